# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Depth of every pixel of a picture, as one number."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from gsocc_core.geometry.cameras import Cameras

#: Mean and spread of pictures, 0..255.
_GREY, _CONTRAST = 115.0, 60.0


def _convolution(dim_in: int, dim_out: int, stride: int = 1, side: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(dim_in, dim_out, side, stride, side // 2), nn.ReLU())


class DepthHead(nn.Module):
    """Depth along the optical axis between two bounds, even in its logarithm, at half the picture's size.

    A small U-Net over the picture and the rays of its pixels, which the maps of a pyramid join at a quarter of the
    picture's size. Where a thing stands tells how far away it is: on a plane, the ray of its foot alone says so,
    whatever the rig. So rays come in at the finest size, where feet are sharp, and what is read there goes down and up
    again to all of the thing.

    Args:
        dim: Channels of every level of the pyramid.
        levels: How many there are.
        range_m: Smallest and largest depth, metres.
        detail: Channels at half of the picture's size.
    """

    def __init__(self, dim: int, levels: int, range_m: tuple[float, float], detail: int = 16) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(dim, dim, 1) for _ in range(levels))
        self.at_half, self.at_quarter = _convolution(9, detail, 2, 5), _convolution(detail, dim, 2)
        self.at_eighth, self.at_sixteenth = _convolution(dim, dim, 2), _convolution(dim, dim, 2)
        self.deepest = _convolution(dim, dim)
        self.to_eighth, self.to_quarter = _convolution(dim, dim), _convolution(dim, dim)
        self.to_half = nn.Conv2d(dim, detail, 1)
        self.answer = nn.Sequential(nn.ReLU(), nn.Conv2d(detail, detail, 3, padding=1), nn.ReLU(),
                                    nn.Conv2d(detail, 1, 1))  # fmt: skip
        low, high = torch.tensor(range_m).log()
        self.low, self.span = float(low), float(high - low)

    def forward(self, levels: Sequence[Tensor], cameras: Cameras, images: Tensor) -> Tensor:
        """Predict.

        Args:
            levels: Maps (B * V, dim, H_l, W_l).
            cameras: (B, V) cameras.
            images: (B * V, 3, H, W) RGB, 0..255, any dtype.

        Returns:
            (B * V, 1, H / 2, W / 2) metres, sizes rounded up.
        """
        height, width = images.shape[-2:]
        origins, directions = cameras.resized(width, height).rays()
        rays = torch.cat([origins, functional.normalize(directions, dim=-1)], -1).flatten(0, 1).movedim(-1, 1)
        pictures = (images.to(rays.dtype) - _GREY) / _CONTRAST
        half = self.at_half(torch.cat([pictures, rays], 1))
        quarter = self.at_quarter(half)
        for level, lateral in zip(levels, self.lateral):
            quarter = quarter + _like(lateral(level), quarter)
        eighth = self.at_eighth(quarter)
        deepest = self.deepest(self.at_sixteenth(eighth))
        eighth = self.to_eighth(eighth + _like(deepest, eighth))
        quarter = self.to_quarter(quarter + _like(eighth, quarter))
        merged = half + _like(self.to_half(quarter), half)
        return (self.low + self.span * self.answer(merged).sigmoid()).exp()


def _like(maps: Tensor, other: Tensor) -> Tensor:
    """Maps at the size of others."""
    size = (other.shape[-2], other.shape[-1])
    return functional.interpolate(maps, size, mode="bilinear", align_corners=False)
