# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Depth of every pixel of a picture, as one number."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from gsocc_core.geometry.cameras import Cameras
from gsocc_core.networks.attention import RayCode

#: Mean and spread of pictures, 0..255.
_GREY, _CONTRAST = 115.0, 60.0
#: Share of the range of log depth that the head begins with where a ray never meets the ground, and at most.
_AHEAD = 0.7
#: The last weights are that much smaller than usual where a training is to begin at one depth everywhere.
_QUIET = 0.1


class DepthHead(nn.Module):
    """Depth along the optical axis between two bounds, even in its logarithm, at half the picture's size.

    Every pixel begins with the depth at which its ray meets the ground, z = 0 of the ego frame: that is right for the
    ground, whatever the rig. What has to be added is read from all levels of a pyramid at the size of the finest, from
    the rays, and from the picture itself, so that depth changes where a thing ends, not where a cell of the map does.

    Args:
        dim: Channels of every level.
        levels: How many there are.
        range_m: Smallest and largest depth, metres.
        detail: Channels that are read from the picture.
        first_depth_m: Let all pixels begin with about this depth instead; None = with that of the ground.
    """

    def __init__(
        self, dim: int, levels: int, range_m: tuple[float, float], detail: int = 16, first_depth_m: float | None = None
    ) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(dim, dim, 1) for _ in range(levels))
        self.rays = RayCode(dim)
        self.net = nn.Sequential(
            nn.ReLU(), nn.Conv2d(dim, dim, 3, padding=1), nn.ReLU(), nn.Conv2d(dim, detail, 3, padding=1)
        )
        self.look = nn.Sequential(nn.Conv2d(4, detail, 5, 2, 2), nn.ReLU(), nn.Conv2d(detail, detail, 3, padding=1))
        self.answer = nn.Sequential(
            nn.ReLU(), nn.Conv2d(detail, detail, 3, padding=1), nn.ReLU(), nn.Conv2d(detail, 1, 1)
        )
        low, high = torch.tensor(range_m).log()
        self.low, self.span = float(low), float(high - low)
        self.first_share: float | None = None
        if first_depth_m is not None:
            self.first_share = (math.log(first_depth_m) - self.low) / self.span
            last = self.answer[-1]
            assert isinstance(last, nn.Conv2d)
            assert last.bias is not None
            with torch.no_grad():
                last.weight.mul_(_QUIET)
                last.bias.zero_()

    def forward(self, levels: Sequence[Tensor], cameras: Cameras, images: Tensor) -> Tensor:
        """Predict.

        Args:
            levels: Maps (B * V, dim, H_l, W_l), finest first.
            cameras: (B, V) cameras.
            images: (B * V, 3, H, W) RGB, 0..255, any dtype.

        Returns:
            (B * V, 1, H / 2, W / 2) metres, sizes rounded up.
        """
        coarse = levels[0]
        origins, directions = cameras.resized(coarse.shape[-1], coarse.shape[-2]).rays()
        merged = self.rays(origins, directions).flatten(0, 1).movedim(-1, 1)
        for level, lateral in zip(levels, self.lateral):
            merged = merged + _like(lateral(level), coarse)
        origins, directions = cameras.resized(images.shape[-1], images.shape[-2]).rays()
        first = self._first(origins, directions).flatten(0, 1)[:, None]
        seen = self.look(torch.cat([(images.to(first.dtype) - _GREY) / _CONTRAST, first], 1))
        added = self.answer(seen + _like(self.net(merged), seen))
        return (self.low + self.span * (_like(first, seen).logit() + added).sigmoid()).exp()

    def _first(self, origins_m: Tensor, directions: Tensor) -> Tensor:
        """Shares (...) of the range of log depth that pixels begin with; see ``first_depth_m``.

        Args:
            origins_m: (..., 3) ego frame.
            directions: (..., 3) ego frame, of length 1 along the optical axis.
        """
        if self.first_share is not None:
            return torch.full_like(origins_m[..., 2], self.first_share)
        height, down = origins_m[..., 2], -directions[..., 2]
        meets = (height > 0) & (down > 0)
        depth_m = torch.where(meets, height, 1.0) / torch.where(meets, down, 1.0).clamp(min=1e-6)
        share = (depth_m.log() - self.low) / self.span
        return torch.where(meets, share, _AHEAD).clamp(0.02, _AHEAD)


def _like(maps: Tensor, other: Tensor) -> Tensor:
    """Maps at the size of others."""
    size = (other.shape[-2], other.shape[-1])
    return functional.interpolate(maps, size, mode="bilinear", align_corners=False)
