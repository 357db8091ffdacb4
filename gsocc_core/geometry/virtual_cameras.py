# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Cameras that nobody built: ideal pinholes in place of real lenses, and a camera that looks down on a grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from gsocc_core.errors import ShapeError
from gsocc_core.geometry.cameras import Camera, Cameras
from gsocc_core.geometry.voxels import VoxelGrid

TopDownModel = Literal["perspective", "orthographic"]


def ideal_pinholes(cameras: Cameras) -> Cameras:
    """Cameras at the same places without lens distortion or skew, which every renderer can draw.

    Args:
        cameras: (..., V) cameras of any model.

    Returns:
        (..., V) pinhole cameras whose ``T_ego_cam`` is the pose at the reference stamp. Pinholes keep focal lengths and
        principal point; a fisheye becomes a camera with 90 degrees across its picture.
    """
    K = torch.zeros_like(cameras.intrinsics)
    K[..., 2, 2] = 1.0
    if cameras.model == "pinhole":
        K[..., 0, 0], K[..., 1, 1] = cameras.intrinsics[..., 0, 0], cameras.intrinsics[..., 1, 1]
        K[..., :2, 2] = cameras.intrinsics[..., :2, 2]
    elif cameras.model == "fisheye":
        K[..., 0, 0] = K[..., 1, 1] = cameras.width / 2
        K[..., 0, 2], K[..., 1, 2] = cameras.width / 2, cameras.height / 2
    else:
        raise ShapeError("ideal_pinholes", "cameras.model", "pinhole or fisheye", cameras.model)
    return Cameras(K, cameras.T_ref_cam, cameras.width, cameras.height)


def virtual_rig(cameras: Sequence[Camera], width: int) -> Cameras:
    """Ideal pinholes of one picture size in place of real cameras of any sizes and lenses.

    Args:
        cameras: V cameras, at least one.
        width: Width of the pictures, pixels; the height has the proportions of the first camera.

    Returns:
        (V) cameras.

    Raises:
        ShapeError: there is no camera, or one that cannot be a pinhole.
    """
    if not cameras:
        raise ShapeError("virtual_rig", "cameras", "at least one", 0)
    height = max(1, round(width * cameras[0].height / cameras[0].width))
    ideal = [ideal_pinholes(Cameras.stack([camera.resized(width, height)])) for camera in cameras]
    K, T_ref_cam = (torch.cat(parts) for parts in zip(*((c.intrinsics, c.T_ego_cam) for c in ideal)))
    return Cameras(K, T_ref_cam, width, height)


def top_down_camera(
    grid: VoxelGrid, width: int, height: int, model: TopDownModel = "perspective", like: Tensor | None = None
) -> Cameras:
    """A camera over the middle of a grid whose picture is spanned by the grid's upper face: x up, y to the left.

    It stands one grid length (along x) above that face, so every voxel is inside the picture (GaussRender's view
    has the same field, but lets the plane z = 0 span the picture, which cuts off what stands at the border).
    Pixels are not square unless the picture has the grid's proportions.

    Args:
        grid: The grid.
        width: Picture width, pixels.
        height: Picture height, pixels.
        model: ``perspective`` or ``orthographic``.
        like: Gives type and device; None = float32 on the CPU.

    Returns:
        One camera (V = 1), without batch dimensions.

    Raises:
        ShapeError: unknown model.

    Example:
        >>> grid = VoxelGrid((-4.0, -4.0, 0.0), (4.0, 4.0, 2.0), 1.0)
        >>> uv, depth, valid = top_down_camera(grid, 16, 8).project(torch.tensor([[4.0, 0.0, 2.0]]))
        >>> uv.flatten().tolist(), depth.item()  # the middle of the front edge is at the top
        ([8.0, 0.0], 8.0)
    """
    if model not in get_args(TopDownModel):
        raise ShapeError("top_down_camera", "model", f"one of {get_args(TopDownModel)}", model)
    length_x, length_y = grid.upper[0] - grid.lower[0], grid.upper[1] - grid.lower[1]
    T_grid_cam = torch.eye(4, dtype=torch.float64)
    T_grid_cam[:3, :3] = torch.tensor([[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
    T_grid_cam[0, 3] = (grid.lower[0] + grid.upper[0]) / 2
    T_grid_cam[1, 3] = (grid.lower[1] + grid.upper[1]) / 2
    T_grid_cam[2, 3] = grid.upper[2] + length_x
    focal = length_x if model == "perspective" else 1.0
    K = torch.tensor(
        [[width / length_y * focal, 0, width / 2], [0, height / length_x * focal, height / 2], [0, 0, 1]],
        dtype=torch.float64,
    )
    T_ego_cam = torch.as_tensor(grid.T_ego_grid_matrix) @ T_grid_cam
    like = torch.empty(0) if like is None else like
    camera_model: Literal["pinhole", "orthographic"] = "pinhole" if model == "perspective" else "orthographic"
    return Cameras(K[None].to(like), T_ego_cam[None].to(like), width, height, camera_model)
