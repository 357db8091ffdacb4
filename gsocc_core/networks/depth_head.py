# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Depth of every pixel of a feature map, as one number."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from gsocc_core.geometry.cameras import Cameras
from gsocc_core.networks.attention import RayCode

#: Mean and spread of pictures, 0..255.
_GREY, _CONTRAST = 115.0, 60.0


class DepthHead(nn.Module):
    """Depth along the optical axis between two bounds, even in its logarithm.

    It reads all levels of a pyramid at the size of the finest, and where each pixel's ray starts and leads: on a plane
    that alone says how far away the ground is, whatever the rig. It looks far around every pixel, since how far away a
    thing is shows where it stands. With ``detail`` it also looks at the picture itself
    and answers at half of its size, so that depth changes where a thing ends, not where a cell of the map does.

    Args:
        dim: Channels of every level.
        levels: How many there are.
        range_m: Smallest and largest depth, metres.
        detail: Channels that are read from the picture; 0 = none are.
    """

    def __init__(self, dim: int, levels: int, range_m: tuple[float, float], detail: int = 0) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(dim, dim, 1) for _ in range(levels))
        self.rays = RayCode(dim)
        last = detail or dim
        self.around = nn.Sequential(
            nn.ReLU(), nn.AvgPool2d(4, ceil_mode=True), nn.Conv2d(dim, dim, 3, padding=1), nn.ReLU(),
            nn.Conv2d(dim, dim, 3, padding=1),
        )  # fmt: skip
        self.net = nn.Sequential(
            nn.ReLU(), nn.Conv2d(dim, dim, 3, padding=1), nn.ReLU(), nn.Conv2d(dim, last, 3, padding=1)
        )
        self.look = self.sharpen = None
        if detail:
            self.look = nn.Sequential(nn.Conv2d(3, detail, 5, 2, 2), nn.ReLU(), nn.Conv2d(detail, detail, 3, padding=1))
            self.sharpen = nn.Sequential(nn.ReLU(), nn.Conv2d(detail, detail, 3, padding=1))
        self.answer = nn.Sequential(nn.ReLU(), nn.Conv2d(last, 1, 1))
        low, high = torch.tensor(range_m).log()
        self.low, self.span = float(low), float(high - low)

    def forward(self, levels: Sequence[Tensor], cameras: Cameras, images: Tensor) -> Tensor:
        """Predict.

        Args:
            levels: Maps (B * V, dim, H_l, W_l), finest first.
            cameras: (B, V) cameras.
            images: (B * V, 3, H, W) RGB, 0..255; only read with ``detail``.

        Returns:
            (B * V, 1, H_0, W_0) metres; with ``detail`` of half the picture's size.
        """
        height, width = levels[0].shape[-2:]
        origins, directions = cameras.resized(width, height).rays()
        merged = self.rays(origins, directions).flatten(0, 1).movedim(-1, 1)
        for level, lateral in zip(levels, self.lateral):
            merged = merged + _at_size(lateral(level), (height, width))
        merged = self.net(merged + _at_size(self.around(merged), (height, width)))
        if self.look is not None and self.sharpen is not None:
            seen = self.look((images.to(merged.dtype) - _GREY) / _CONTRAST)
            merged = self.sharpen(seen + _at_size(merged, (seen.shape[-2], seen.shape[-1])))
        return (self.low + self.span * self.answer(merged).sigmoid()).exp()


def _at_size(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(maps, size, mode="bilinear", align_corners=False)
