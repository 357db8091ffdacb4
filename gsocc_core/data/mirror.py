# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The world in a mirror: left and right exchanged in pictures, cameras, motion and labels alike."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from gsocc_core.errors import ConfigError
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.frames import FrameSet, Targets
from gsocc_core.geometry.voxels import VoxelGrid

#: Targets whose last dimension runs along the columns of pictures, and those on voxels (B, X, Y, Z).
COLUMNS = ("view_semantics", "view_depth_m", "view_features", "view_images", "view_usable")
VOXELS = ("labels", "mask_camera", "mask_lidar", "mask_remembered")


def check_mirror(grid: VoxelGrid) -> None:
    """Refuse a grid whose labels have no place in the mirror.

    Raises:
        ConfigError: the grid is turned in the ego frame, or not as wide to the left as to the right.
    """
    if grid.T_ego_grid is not None or abs(grid.lower[1] + grid.upper[1]) > 1e-6:
        expected = "0 for this data set: its grid is not as wide to the left as to the right"
        raise ConfigError("data", "mirror", expected, (grid.lower[1], grid.upper[1]))


def mirrored(frames: FrameSet) -> FrameSet:
    """Exchange left and right: y of the ego frame and columns of all pictures.

    Cameras keep their names and places in the list, so that CAM_FRONT_LEFT then looks to the right.

    Args:
        frames: Items whose voxel labels lie on a grid that :func:`check_mirror` accepts.

    Returns:
        Items of a world that could be just as well.
    """
    targets = frames.targets
    return replace(
        frames,
        images=frames.images.flip(-1),
        cameras=_cameras(frames.cameras),
        T_ref_ego=_pose(frames.T_ref_ego),
        T_world_ego=None if frames.T_world_ego is None else _pose(frames.T_world_ego),
        features=_columns(frames.features),
        depth_m=_columns(frames.depth_m),
        usable=_columns(frames.usable),
        targets=None if targets is None else _targets(targets),
    )


def _targets(targets: Targets) -> Targets:
    changes = {key: _columns(getattr(targets, key)) for key in COLUMNS}
    changes |= {key: None if (v := getattr(targets, key)) is None else v.flip(2) for key in VOXELS}
    views = targets.view_cameras
    return replace(targets, **changes, view_cameras=None if views is None else _cameras(views))


def _columns(pictures: Tensor | None) -> Tensor | None:
    return None if pictures is None else pictures.flip(-1)


def _pose(pose: Tensor) -> Tensor:
    """(..., 4, 4) a motion seen in the mirror."""
    mirror = pose.new_tensor([1.0, -1.0, 1.0, 1.0])
    return mirror[:, None] * pose * mirror


def _cameras(cameras: Cameras) -> Cameras:
    mirror = cameras.T_ego_cam.new_tensor([1.0, -1.0, 1.0, 1.0])
    sideways = cameras.T_ego_cam.new_tensor([-1.0, 1.0, 1.0, 1.0])  # x of the optical frame
    intrinsics = cameras.intrinsics.clone()
    intrinsics[..., 0, 1] *= -1
    intrinsics[..., 0, 2] = cameras.width - intrinsics[..., 0, 2]
    distortion = cameras.distortion
    if distortion is not None and cameras.model == "pinhole":
        distortion = distortion.clone()
        distortion[..., 3] *= -1  # p2, which bends columns
    return replace(
        cameras,
        intrinsics=intrinsics,
        T_ego_cam=mirror[:, None] * cameras.T_ego_cam * sideways,
        distortion=distortion,
        T_ref_ego=None if cameras.T_ref_ego is None else _pose(cameras.T_ref_ego),
    )


def comes_mirrored(seed: int | None, share: float) -> bool:
    """Whether the item with this seed is one of the ``share`` that come mirrored; never without a seed.

    Example:
        >>> comes_mirrored(None, 1.0), comes_mirrored(3, 1.0)
        (False, True)
    """
    if seed is None or not share:
        return False
    return bool(torch.rand((), generator=torch.Generator().manual_seed(seed)) < share)
