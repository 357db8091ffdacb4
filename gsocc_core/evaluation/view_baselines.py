# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What target views look like to somebody without a model: pictures that are there already, as they are or warped."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.rigid import invert_rigid
from gsocc_core.geometry.view_sets import ViewSet
from gsocc_core.losses.photometric import warp


def nearest_views(views: ViewSet, median_m: Tensor) -> Tensor:
    """The context view that looks most like each target: the one by whose motion what is seen moves least.

    Args:
        views: One sample, B = 1, with targets. Context views whose pose is unknown are never nearest, but the first.
        median_m: (T) median depth of the target views, metres.

    Returns:
        (T) numbers of context views: their distance over the depth plus their rotation, rad, is least.
    """
    assert views.targets is not None
    relative = invert_rigid(views.targets.T_first_cam[0].double())[:, None] @ views.T_first_cam[0].double()
    cosine = (relative[..., :3, :3].diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    moved = relative[..., :3, 3].norm(dim=-1) / median_m.double()[:, None] + cosine.clamp(-1, 1).acos()
    return torch.where(moved.isfinite() & views.valid, moved, torch.inf).argmin(-1)


def baseline_pictures(views: ViewSet) -> dict[str, Tensor]:
    """Pictures of the target views that no model made; poses and depth are the true ones.

    Args:
        views: One sample, B = 1, with known targets and their depth.

    Returns:
        By name (T, 3, H, W) values 0..1: ``nearest`` = the nearest context view as it is; ``warped`` = the same, warped
        as if all that the target sees lay on one plane at its median depth; ``mean_color`` = the mean of the context.
        ``warped`` needs the context's intrinsics and the target's depth, and is left out without them.
    """
    targets = views.targets
    assert targets is not None
    pictures = views.images[0].float() / 255
    count, (height, width) = targets.images.shape[1], targets.images.shape[-2:]
    median_m = median_depth_m(targets)
    chosen = nearest_views(views, median_m.nan_to_num(1.0))
    mean = pictures.mean((0, 2, 3))[None, :, None, None].expand(count, 3, height, width)
    found = {"nearest": pictures[chosen], "mean_color": mean}
    source = Cameras(views.intrinsics[0, chosen], views.T_first_cam[0, chosen], width, height)
    if bool(source.intrinsics.isfinite().all() & source.T_ref_cam.isfinite().all() & median_m.isfinite().all()):
        target = Cameras(targets.intrinsics[0], targets.T_first_cam[0], width, height)
        plane = median_m[:, None, None].expand(count, height, width).float()
        found["warped"] = warp(pictures[chosen], source, plane, target)[0]
    return found


def median_depth_m(views: ViewSet) -> Tensor:
    """(V) median of the known depth of each view of the only sample, metres; NaN where none is known."""
    count = views.images.shape[1]
    if views.depth_m is None:
        return torch.full((count,), torch.nan)
    depths = [depth[depth > 0] for depth in views.depth_m[0]]
    return torch.stack([depth.median() if len(depth) else depth.new_tensor(torch.nan) for depth in depths])


def without_motion(views: ViewSet) -> Tensor:
    """(V, 4, 4) poses of context cameras that have not moved."""
    return torch.eye(4).expand(replace(views, targets=None).images.shape[1], 4, 4)
