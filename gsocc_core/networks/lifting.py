# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Features of pictures carried to points in space without parameters: means over the cameras that see a point."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from gsocc_core.errors import ConfigError
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.constants import constant
from gsocc_core.networks.pictures import see_points

#: ``exact``: bilinear at the projection, a mean over the cameras that see the point. ``published``: as SimpleOcc and
#: GaussianOcc do it. They take the middles of the map's pixels for whole numbers, so that a camera sees half a pixel
#: more at the map's upper left and half a pixel less at its lower right; they read up to half a pixel beside the
#: projection, fade to 0 within a pixel of the border, and take the mean of each channel over the cameras in which it
#: is not exactly 0.
LiftingRule = Literal["exact", "published"]

#: Added to the number of cameras.
_EPS = 1e-6
#: Smallest depth at which a camera sees a point; published: 0.
_NEAREST_M = 0.01


def lift_pictures(
    maps: Tensor, cameras: Cameras, valid: Tensor, points_m: Tensor, rule: LiftingRule = "exact"
) -> Tensor:
    """Mean over cameras of a feature map at the projections of points (SimpleOcc, Gan et al. 2023).

    Args:
        maps: (B, V, C, h, w) features of pictures.
        cameras: (B, V) cameras of the pictures, of any size.
        valid: (B, V) bool: the picture is there.
        points_m: (N, 3) ego frame, metres.
        rule: See :data:`LiftingRule`.

    Returns:
        (B, C, N); 0 where no camera sees the point. Differentiable for the maps.

    Raises:
        ConfigError: unknown rule.
    """
    if rule not in {"exact", "published"}:
        raise ConfigError("lift_pictures", "rule", "exact or published", rule)
    height, width = maps.shape[-2:]
    published = rule == "published"
    with torch.no_grad():
        see = _published_places(cameras, valid, points_m, (height, width)) if published else None
        uv, visible = see or see_points(cameras, valid, points_m)
        place = (uv * 2 - 1)[..., None, :]  # (B, V, N, 1, 2)
    total = maps.new_zeros((len(maps), maps.shape[2], points_m.shape[-2]))
    count = torch.zeros_like(total) if published else total.new_zeros((len(maps), 1, total.shape[-1]))
    padding = "zeros" if published else "border"
    # Camera by camera: all at once would hold V times the volume.
    for view in range(maps.shape[1]):
        sampled = functional.grid_sample(
            maps[:, view], place[:, view].to(maps), padding_mode=padding, align_corners=False
        )[..., 0]
        seen = visible[:, view, None]
        sampled = torch.where(seen, sampled, 0.0)
        total = total + sampled
        count = count + (sampled != 0 if published else seen)
    return total / (count + _EPS) if published else total / count.clamp(min=1)


def _published_places(
    cameras: Cameras, valid: Tensor, points_m: Tensor, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """As :func:`gsocc_core.networks.pictures.see_points`, by the published rule for maps of ``size`` (h, w)."""
    points = points_m.to(cameras.intrinsics).expand(len(valid), *points_m.shape[-2:])
    uv, depth, _ = cameras.project(points)
    pixels = constant((size[1], size[0]), uv)
    column_row = uv / constant((cameras.width, cameras.height), uv) * pixels
    inside = ((column_row > -0.5) & (column_row < pixels - 0.5)).all(-1)
    visible = inside & (depth > _NEAREST_M) & valid[..., None]
    return torch.where(visible[..., None], column_row / (pixels - 1), -1.0), visible
