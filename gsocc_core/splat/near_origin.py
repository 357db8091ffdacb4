# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Scenes that lie far from the origin, moved to it before float32 rounds their coordinates.

float32 tells places near the origin apart to a hundredth of a millimetre, and places 4,600 km away, as northings of
UTM are, to half a metre. Whole steps are subtracted in the type that the coordinates have; within half a step of the
origin nothing changes, bit for bit.
"""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.voxels import VoxelGrid

#: Metres. A power of two: subtracting it rounds nothing.
_STEP_M = 1024.0


def scene_near_grid(gaussians: Gaussians, grid: VoxelGrid) -> tuple[Gaussians, VoxelGrid]:
    """Move a scene and a grid together, so that both the grid's frame and the grid lie near the origin.

    Args:
        gaussians: (..., N) Gaussians in the ego frame, float64 where that is far away.
        grid: The grid, far away by its corners, by ``T_ego_grid``, or by both against each other.

    Returns:
        The same scene and grid in an ego frame whose origin is another; voxel indices stay what they are.
    """
    near, offset = _moved(grid)
    if not any(offset):
        return gaussians, near
    # One axis at a time: a tensor of the offset would have to be uploaded, which a CUDA graph cannot hold.
    means = torch.stack([axis - step for axis, step in zip(gaussians.means.unbind(-1), offset)], dim=-1)
    return gaussians.replace(means=means), near


@functools.lru_cache(maxsize=16)
def _moved(grid: VoxelGrid) -> tuple[VoxelGrid, tuple[float, float, float]]:
    """The grid near the origin, and what has to be subtracted from ego coordinates, metres."""
    lower, upper, T = np.asarray(grid.lower), np.asarray(grid.upper), grid.T_ego_grid_matrix.copy()
    inner = _steps((lower + upper) / 2)
    lower, upper = lower - inner, upper - inner
    T[:3, 3] += T[:3, :3] @ inner
    outer = _steps(T[:3, :3] @ (lower + upper) / 2 + T[:3, 3])
    T[:3, 3] -= outer
    x, y, z = outer.tolist()
    if not (inner.any() or outer.any()):
        return grid, (0.0, 0.0, 0.0)
    pose = None if grid.T_ego_grid is None else tuple(map(tuple, T.tolist()))
    return replace(grid, lower=tuple(lower.tolist()), upper=tuple(upper.tolist()), T_ego_grid=pose), (x, y, z)


def _steps(point_m: np.ndarray) -> np.ndarray:
    return np.round(point_m / _STEP_M) * _STEP_M


def scene_near_cameras(gaussians: Gaussians, cameras: Cameras) -> tuple[Gaussians, Cameras]:
    """Move scenes and their cameras together, so that the middle of the cameras lies near the origin.

    Args:
        gaussians: (..., N) Gaussians in the reference ego frame, float64 where that is far away.
        cameras: (..., V) cameras, likewise.

    Returns:
        The same scenes and cameras in a frame whose origin is another; ``T_ref_ego`` is part of ``T_ego_cam``.
    """
    T_ref_cam = cameras.T_ref_cam
    if not T_ref_cam.shape[-3]:
        return gaussians, cameras
    offset = (T_ref_cam[..., :3, 3].detach().mean(-2) / _STEP_M).round() * _STEP_M  # (..., 3)
    shift = torch.zeros_like(T_ref_cam)
    shift[..., :3, 3] = offset[..., None, :]
    moved = replace(cameras, T_ego_cam=T_ref_cam - shift, T_ref_ego=None)
    return gaussians.replace(means=gaussians.means - _like(offset[..., None, :], gaussians.means)), moved


def _like(offset: Tensor, means: Tensor) -> Tensor:
    """Whole steps survive any type."""
    return offset.to(device=means.device, dtype=means.dtype)
