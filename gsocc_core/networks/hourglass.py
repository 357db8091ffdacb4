# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Three hourglasses of 3D convolutions, one behind the other (PSMNet, Chang and Chen, CVPR 2018, section 3.4)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def _convolution(dim_in: int, dim_out: int, stride: int = 1) -> nn.Sequential:
    """3 x 3 x 3 convolution and batch norm."""
    return nn.Sequential(nn.Conv3d(dim_in, dim_out, 3, stride, 1, bias=False), nn.BatchNorm3d(dim_out))


def _expansion(dim_in: int, dim_out: int) -> nn.Sequential:
    """Transposed convolution to twice the size, and batch norm."""
    layer = nn.ConvTranspose3d(dim_in, dim_out, 3, 2, 1, output_padding=1, bias=False)
    return nn.Sequential(layer, nn.BatchNorm3d(dim_out))


class Hourglass(nn.Module):
    """Down by two twice and up again, with skips inside and from the hourglasses before."""

    def __init__(self, dim: int) -> None:
        """Build for (B, dim, X, Y, Z); inside it is twice as wide."""
        super().__init__()
        wide = 2 * dim
        self.shrink, self.halved = _convolution(dim, wide, 2), _convolution(wide, wide)
        self.further, self.quartered = _convolution(wide, wide, 2), _convolution(wide, wide)
        self.up, self.out = _expansion(wide, wide), _expansion(wide, dim)

    def forward(self, volume: Tensor, first: Tensor | None, before: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """One hourglass.

        Args:
            volume: (B, dim, X, Y, Z).
            first: Half-size features on the way down of the first hourglass; None = this is it.
            before: Half-size features on the way up of the hourglass before; None = there is none.

        Returns:
            (B, dim, X, Y, Z), and this hourglass's half-size features on its way down and up.
        """
        down = self.halved(torch.relu(self.shrink(volume)))
        down = torch.relu(down if before is None else down + before)
        deep = torch.relu(self.quartered(torch.relu(self.further(down))))
        up = torch.relu(self.up(deep) + (down if first is None else first))
        return self.out(up), down, up


class HourglassStack(nn.Module):
    """A stem with a residual pair, three hourglasses, and a head that ends in a convolution with batch norm.

    All convolutions begin at N(0, sqrt(2 / (27 channels out))).

    Args:
        dim_in: Channels that come in.
        dim: Width; inside the hourglasses it is twice that.
        channels: Channels that come out.
        last_skip: What the hourglasses begin with is added to what the third gives, as to what the others give; without
            it, the head sees the third alone, as in GaussianOcc's original.
    """

    def __init__(self, dim_in: int, dim: int, channels: int, last_skip: bool = True) -> None:
        super().__init__()
        self.last_skip = last_skip
        self.stem = nn.Sequential(_convolution(dim_in, dim), nn.ReLU(), _convolution(dim, dim), nn.ReLU())
        self.pair = nn.Sequential(_convolution(dim, dim), nn.ReLU(), _convolution(dim, dim))
        self.hourglasses = nn.ModuleList(Hourglass(dim) for _ in range(3))
        self.head = nn.Sequential(*(nn.Sequential(_convolution(dim, dim), nn.ReLU()) for _ in range(4)))
        self.last = _convolution(dim, channels)
        for module in self.modules():
            if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
                nn.init.normal_(module.weight, 0.0, math.sqrt(2 / (27 * module.out_channels)))

    def forward(self, volume: Tensor) -> Tensor:
        """(B, dim_in, X, Y, Z), sides of multiples of 4 -> (B, channels, X, Y, Z)."""
        volume = self.stem(volume)
        volume = volume + self.pair(volume)
        present, first, before = volume, None, None
        for i, hourglass in enumerate(self.hourglasses):
            out, down, before = hourglass(present, first, before)
            first = down if first is None else first
            present = out + volume if i < len(self.hourglasses) - 1 or self.last_skip else out
        result: Tensor = self.last(self.head(present))
        return result
