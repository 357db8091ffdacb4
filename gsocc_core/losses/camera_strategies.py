# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Where virtual cameras stand when predicted voxels are compared with true ones in pictures (GaussRender).

``T_cam_ref`` (world to camera) is multiplied from the left, so angles and offsets are in camera axes: x right, y down,
z ahead. Random numbers are drawn on the CPU, so that a seed gives the same cameras on every device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from gsocc_core.errors import ConfigError
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.rigid import invert_rigid
from gsocc_core.geometry.voxels import VoxelGrid

CameraStrategy = Literal["sensor", "trajectory", "elevated", "random", "stereo", "elevated_around"]

#: Height and pitch of a raised camera, metres and degrees.
RAISED_M, RAISED_PITCH_DEG = 8.0, 20.0
#: Height of the ``trajectory`` strategy, metres.
TRAJECTORY_RAISED_M = 2.0
#: Farthest shift of ``elevated_around`` along x and along y, metres. Ours: the paper's number is not published.
AROUND_M = 5.0
#: Weights with which the original draws one nuScenes camera: front, back and each of four sides.
NUSCENES_VIEW_WEIGHTS = {
    "CAM_FRONT": 2.0, "CAM_BACK": 2.0, "CAM_FRONT_LEFT": 1.0, "CAM_FRONT_RIGHT": 1.0, "CAM_BACK_LEFT": 1.0,
    "CAM_BACK_RIGHT": 1.0,
}  # fmt: skip


def choose_views(
    cameras: Cameras, count: int, weights: Sequence[float] | None = None, generator: torch.Generator | None = None
) -> Cameras:
    """Draw some cameras of every sample, without repetition.

    Args:
        cameras: (B, V) cameras without distortion and ``T_ref_ego``, as :func:`move_cameras` gives.
        count: Number of cameras to draw per sample.
        weights: V weights of the cameras; None = all alike.
        generator: Source of randomness; None = torch's own.

    Returns:
        (B, count) cameras.

    Raises:
        ConfigError: fewer cameras than asked for, or weights that do not fit them.
    """
    batch, views = cameras.intrinsics.shape[:2]
    if not 1 <= count <= views:
        raise ConfigError("choose_views", "count", f"1...{views} cameras", count)
    chances = torch.ones(views) if weights is None else torch.as_tensor(weights, dtype=torch.float32)
    if chances.shape != (views,) or not bool(((chances >= 0) & chances.isfinite()).all()):
        raise ConfigError("choose_views", "weights", f"{views} weights of at least 0", weights)
    if int((chances > 0).sum()) < count:
        raise ConfigError("choose_views", "weights", f"at least {count} positive weights", weights)
    index = torch.multinomial(chances.expand(batch, views), count, replacement=False, generator=generator)
    index, sample = index.to(cameras.intrinsics.device), torch.arange(batch)[:, None]
    return cameras.map(lambda t: t[sample.to(t.device), index])


def move_cameras(
    cameras: Cameras, strategy: CameraStrategy, grid: VoxelGrid, generator: torch.Generator | None = None
) -> Cameras:
    """Move every camera on its own by a strategy.

    ``sensor``: as they stand. ``trajectory``: 2 m up, and ahead and sideways along a grid that is not centred
    (KITTI-360: up to 36 m ahead). ``elevated``: 8 m up, pitched down by 20 degrees, turned by up to 5 degrees.
    ``random``: 0 to 8 m up, pitched down in proportion up to 20 degrees, turned by up to 10 degrees, up to 10 m ahead
    or back. ``stereo``: a second camera up to 1 m away beside each. ``elevated_around``: 8 m up and pitched by 20
    degrees like ``elevated``, and shifted by up to 5 m along x and y of the ego frame; the paper finds such a strategy
    best but does not give its numbers.

    Args:
        cameras: (B, V) undistorted pinhole cameras.
        strategy: Name of the strategy.
        grid: Gives ``trajectory`` its range.
        generator: Source of randomness; None = torch's own.

    Returns:
        (B, V) cameras, (B, 2 V) for ``stereo``; the pose at the reference stamp is their ``T_ego_cam``.

    Raises:
        ConfigError: unknown strategy.
    """
    if strategy not in get_args(CameraStrategy):
        raise ConfigError("move_cameras", "strategy", f"one of {get_args(CameraStrategy)}", strategy)
    cameras = Cameras(cameras.intrinsics, cameras.T_ref_cam, cameras.width, cameras.height, cameras.model)
    draw = _Draw(cameras.intrinsics, generator)
    if strategy == "trajectory":
        u, zero = draw.between(0, 1), draw.constant(0)
        ahead = 0.7 * (grid.upper[0] - abs(grid.lower[0])) * u
        sideways = 0.5 * (grid.upper[1] - abs(grid.lower[1])) * u
        move = _motion(zero, zero, sideways, draw.constant(TRAJECTORY_RAISED_M), -ahead)
    elif strategy == "elevated":
        zero = draw.constant(0)
        pitch, up = draw.constant(RAISED_PITCH_DEG), draw.constant(RAISED_M)
        move = _motion(pitch, draw.between(-5, 5), zero, up, zero)
    elif strategy == "random":
        pitch, yaw = draw.between(0, RAISED_PITCH_DEG), draw.between(-10, 10)
        up = pitch * (RAISED_M / RAISED_PITCH_DEG)
        move = _motion(pitch, yaw, draw.constant(0), up, draw.between(-10, 10))
    elif strategy == "stereo":
        zero = draw.constant(0)
        beside = _moved(cameras, _motion(zero, zero, zero, draw.between(-1, 1), draw.between(-1, 1)))
        return join_views(cameras, beside)
    elif strategy == "elevated_around":
        zero = draw.constant(0)
        shift = torch.stack(
            [draw.between(-AROUND_M, AROUND_M), draw.between(-AROUND_M, AROUND_M), draw.constant(RAISED_M)], dim=-1
        )
        T = cameras.T_ego_cam.clone()
        T[..., :3, 3] += shift
        cameras = Cameras(cameras.intrinsics, T, cameras.width, cameras.height, cameras.model)
        move = _motion(draw.constant(RAISED_PITCH_DEG), zero, zero, zero, zero)
    else:
        return cameras
    return _moved(cameras, move)


def join_views(first: Cameras, second: Cameras) -> Cameras:
    """(B, V + W) cameras out of (B, V) and (B, W) of one picture size and model, without distortion.

    Raises:
        ConfigError: they differ in size or model.
    """
    kinds = [(c.width, c.height, c.model) for c in (first, second)]
    if kinds[0] != kinds[1]:
        raise ConfigError("join_views", "second", f"(width, height, model) {kinds[0]}", kinds[1])
    K = torch.cat([first.intrinsics, second.intrinsics], dim=1)
    T_ref_cam = torch.cat([first.T_ref_cam, second.T_ref_cam], dim=1)
    return Cameras(K, T_ref_cam, first.width, first.height, first.model)


class _Draw:
    """Numbers (B, V), one per camera."""

    def __init__(self, like: Tensor, generator: torch.Generator | None) -> None:
        self.like, self.generator = like, generator

    def between(self, low: float, high: float) -> Tensor:
        return (low + (high - low) * torch.rand(self.like.shape[:2], generator=self.generator)).to(self.like)

    def constant(self, value: float) -> Tensor:
        return self.like.new_full(self.like.shape[:2], value)


def _motion(pitch_deg: Tensor, yaw_deg: Tensor, x_m: Tensor, y_m: Tensor, z_m: Tensor) -> Tensor:
    """(B, V, 4, 4) matrix [Rx(pitch) Ry(yaw) | (x, y, z)] that is put before ``T_cam_ref``; a positive y raises."""
    a, b = pitch_deg * (math.pi / 180), yaw_deg * (math.pi / 180)
    one, zero = torch.ones_like(a), torch.zeros_like(a)
    pitch = torch.stack([one, zero, zero, zero, a.cos(), -a.sin(), zero, a.sin(), a.cos()], dim=-1)
    yaw = torch.stack([b.cos(), zero, b.sin(), zero, one, zero, -b.sin(), zero, b.cos()], dim=-1)
    move = torch.zeros((*a.shape, 4, 4), dtype=a.dtype, device=a.device)
    move[..., :3, :3] = pitch.unflatten(-1, (3, 3)) @ yaw.unflatten(-1, (3, 3))
    move[..., :3, 3] = torch.stack([x_m, y_m, z_m], dim=-1)
    move[..., 3, 3] = 1.0
    return move


def _moved(cameras: Cameras, move: Tensor) -> Cameras:
    """Cameras with ``T_cam_ref`` replaced by ``move @ T_cam_ref``."""
    T_ref_cam = cameras.T_ref_cam @ invert_rigid(move)
    return Cameras(cameras.intrinsics, T_ref_cam, cameras.width, cameras.height, cameras.model)
