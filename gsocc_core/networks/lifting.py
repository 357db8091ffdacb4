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
from gsocc_core.networks.pictures import see_points

#: ``exact``: bilinear at the projection, a mean over the cameras that see the point. ``published``: as SimpleOcc and
#: GaussianOcc do it, which reads up to half a pixel beside the projection, leaves out the outermost half pixel, and
#: takes the mean of each channel over the cameras in which it is not exactly 0.
LiftingRule = Literal["exact", "published"]

#: Added to the number of cameras.
_EPS = 1e-6


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
    with torch.no_grad():
        uv, visible = see_points(cameras, valid, points_m)
        if rule == "published":
            size = uv.new_tensor([width, height])
            inner = ((uv * size > 0.5) & (uv * size < size - 0.5)).all(-1)
            visible, uv = visible & inner, uv * size / (size - 1)
        place = (uv * 2 - 1)[..., None, :]  # (B, V, N, 1, 2)
    total = maps.new_zeros((len(maps), maps.shape[2], points_m.shape[-2]))
    count = torch.zeros_like(total) if rule == "published" else total.new_zeros((len(maps), 1, total.shape[-1]))
    # Camera by camera: all at once would hold V times the volume.
    for view in range(maps.shape[1]):
        sampled = functional.grid_sample(
            maps[:, view], place[:, view].to(maps), padding_mode="border", align_corners=False
        )[..., 0]
        seen = visible[:, view, None]
        sampled = torch.where(seen, sampled, 0.0)
        total = total + sampled
        count = count + (sampled != 0 if rule == "published" else seen)
    return total / (count + _EPS) if rule == "published" else total / count.clamp(min=1)
