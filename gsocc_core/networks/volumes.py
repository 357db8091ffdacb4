# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Blocks of three-dimensional convolutions, and the feed-forward block of attention layers."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

Stride = tuple[int, int, int]


def group_norm(channels: int) -> nn.GroupNorm:
    """Group norm of up to 16 groups: unlike batch norm it treats each sample by itself."""
    return nn.GroupNorm(math.gcd(16, channels), channels)


def conv_block(dim_in: int, dim_out: int) -> nn.Sequential:
    """3 x 3 x 3 convolution, group norm, ReLU on (B, C, X, Y, Z)."""
    return nn.Sequential(nn.Conv3d(dim_in, dim_out, 3, padding=1, bias=False), group_norm(dim_out), nn.ReLU())


def upsample_block(dim_in: int, dim_out: int, stride: Stride) -> nn.Sequential:
    """Transposed convolution that makes every voxel ``stride`` finer ones, group norm, ReLU."""
    layer = nn.ConvTranspose3d(dim_in, dim_out, stride, stride, bias=False)
    return nn.Sequential(layer, group_norm(dim_out), nn.ReLU())


class FeedForward(nn.Module):
    """Two linear layers beside a shortcut, then layer norm."""

    def __init__(self, dim: int, hidden: int, dropout: float = 0.0) -> None:
        """Build with ``hidden`` channels inside."""
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(dim, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, dim), nn.Dropout(dropout)
        )
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        """(..., dim) -> (..., dim)."""
        return self.norm(x + self.net(x))


class DilatedContext(nn.Module):
    """Parallel 3 x 3 x 3 convolutions of several dilations, summed beside a shortcut (Chen et al. 2017, ASPP)."""

    def __init__(self, dim: int, dilations: tuple[int, ...] = (1, 3)) -> None:
        """Build for (B, dim, X, Y, Z)."""
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Conv3d(dim, dim, 3, padding=d, dilation=d, bias=False), group_norm(dim), nn.ReLU(),
                          nn.Conv3d(dim, dim, 3, padding=d, dilation=d, bias=False), group_norm(dim))
            for d in dilations
        )  # fmt: skip

    def forward(self, volume: Tensor) -> Tensor:
        """(B, dim, X, Y, Z) -> the same shape."""
        return torch.relu(volume + torch.stack([branch(volume) for branch in self.branches]).sum(0))
