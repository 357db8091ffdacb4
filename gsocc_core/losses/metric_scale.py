# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What tells metres where cameras do not overlap: the lengths of motions, and the height of cameras above the ground.

Pictures of one moving camera fit depth and motion times any factor. Either of these fixes it; directions and shapes
still come from the pictures.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.rigid import invert_rigid

#: Ground is looked for up to this distance from a camera along its axis, metres.
GROUND_M = 12.0


def lengths_of_poses(cameras: Cameras) -> Tensor:
    """How far the ego moved from each camera's present picture to its neighbours, by given poses.

    Args:
        cameras: (B, S, V) of views at given poses, the first at the present.

    Returns:
        (B, S - 1, V) metres; NaN where a pose is.
    """
    assert cameras.T_ref_ego is not None
    moved = invert_rigid(cameras.T_ref_ego[:, :1]) @ cameras.T_ref_ego[:, 1:]
    return moved[..., :3, 3].norm(dim=-1)


def length_error(T_ref_ego: Tensor, lengths_m: Tensor, valid: Tensor) -> Tensor:
    """Difference of the lengths of motions from known ones: the mean of abs(norm(t) - length).

    Args:
        T_ref_ego: (B, S, 4, 4) poses of the ego with translations t, the first at the present.
        lengths_m: (B, S - 1, V) known lengths from each camera's present picture to its neighbours, metres; NaN =
            unknown.
        valid: (B, S, V) bool: the pictures are there.

    Returns:
        Scalar mean over the neighbours, metres; 0 where no length is known.
    """
    known = valid[:, :1] & valid[:, 1:] & lengths_m.isfinite()
    # A root of exactly 0 has no gradient.
    length = T_ref_ego[:, 1:, :3, 3].square().sum(-1).add(1e-12).sqrt()
    errors = (length[..., None] - lengths_m.to(length).nan_to_num()).abs() * known
    return errors.sum() / known.sum().clamp(min=1)


def ground_depth(cameras: Cameras) -> Tensor:
    """Depth of flat ground, the plane z = 0 of the ego frame, in each pixel.

    A ray with direction d (unit depth) from a camera at height h meets it at depth h / -d_z.

    Args:
        cameras: (B, V); their calibration counts, not their ego motion.

    Returns:
        (B, V, H * W) metres along the optical axis; NaN where there is none within 12 m, or the camera does not stand
        above the ground.
    """
    rays = cameras.rays_at(cameras.pixel_centres()) @ cameras.T_ego_cam[..., :3, :3].transpose(-1, -2)
    height = cameras.T_ego_cam[..., 2, 3, None]
    depth = height / -rays[..., 2].clamp(max=-1e-6)
    return torch.where((height > 0) & (rays[..., 2] < 0) & (depth <= GROUND_M), depth, torch.nan)


def ground_error(depth_m: Tensor, cameras: Cameras) -> Tensor:
    """How far predicted ground is from the height at which each camera is mounted: abs(median of log(depth / truth)).

    The truth is :func:`ground_depth`. What stands on the ground is outvoted, since the median over a picture counts.

    Args:
        depth_m: (B, V, H, W) metres.
        cameras: (B, V) at that size.

    Returns:
        Scalar mean over the cameras that would see any ground; 0 where none would.
    """
    ground = ground_depth(cameras)
    known = ground.isfinite()
    ratio = (depth_m.flatten(-2) / torch.where(known, ground, 1.0)).log()
    middle = torch.where(known, ratio, torch.nan).nanmedian(-1).values.abs()
    some = known.any(-1)
    return torch.where(some, middle, 0.0).sum() / some.sum().clamp(min=1)
