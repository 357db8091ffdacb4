# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Several resolutions out of one feature map, as plain vision transformers need them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gsocc_core.errors import ConfigError

#: Factors on the map's sides that a level can have.
FACTORS = (4.0, 2.0, 1.0, 0.5)


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of every pixel."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        """Build for ``channels`` channels."""
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, level_map: Tensor) -> Tensor:
        """(M, C, H, W) -> the same shape."""
        centred = level_map - level_map.mean(1, keepdim=True)
        scaled = centred * (centred.square().mean(1, keepdim=True) + self.eps).rsqrt()
        return scaled * self.weight[:, None, None] + self.bias[:, None, None]


class SimplePyramid(nn.Module):
    """Simple feature pyramid of ViTDet (Li et al., ECCV 2022, section 3): no top-down path, no activation at the end.

    A level is the map enlarged by transposed convolutions or reduced by max-pooling, then a 1x1 and a 3x3 convolution,
    each followed by :class:`ChannelNorm`.

    Args:
        channels: Channels of the map that comes in; a multiple of 4 where a level enlarges it by 4, of 2 by 2.
        dim: Channels of every level.
        factors: Size of each level relative to that map, out of 4, 2, 1 and 0.5.

    Raises:
        ConfigError: a factor or a number of channels that cannot be.
    """

    def __init__(self, channels: int, dim: int, factors: Sequence[float] = FACTORS) -> None:
        super().__init__()
        if not factors or any(factor not in FACTORS for factor in factors):
            raise ConfigError("SimplePyramid", "factors", f"some of {FACTORS}", tuple(factors))
        if channels % 4 and max(factors) > 1:
            raise ConfigError("SimplePyramid", "channels", "a multiple of 4, to enlarge the map", channels)
        self.resize = nn.ModuleList(_resize(channels, factor) for factor in factors)
        widths = [channels // int(max(factor, 1.0)) for factor in factors]
        self.lateral = nn.ModuleList(nn.Conv2d(width, dim, 1, bias=False) for width in widths)
        self.smooth = nn.ModuleList(nn.Conv2d(dim, dim, 3, padding=1, bias=False) for _ in factors)
        for conv in (*self.lateral, *self.smooth):
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        self.first_norms = nn.ModuleList(ChannelNorm(dim) for _ in factors)
        self.last_norms = nn.ModuleList(ChannelNorm(dim) for _ in factors)

    def forward(self, feature_map: Tensor) -> list[Tensor]:
        """Map (M, C, H, W) -> levels of (M, dim, factor * H, factor * W), in the order of the factors."""
        levels = []
        for resize, lateral, smooth, first, second in zip(
            self.resize, self.lateral, self.smooth, self.first_norms, self.last_norms
        ):
            levels.append(second(smooth(first(lateral(resize(feature_map))))))
        return levels


def _resize(channels: int, factor: float) -> nn.Module:
    if factor == FACTORS[0]:
        return nn.Sequential(
            nn.ConvTranspose2d(channels, channels // 2, 2, 2),
            ChannelNorm(channels // 2),
            nn.GELU(),
            nn.ConvTranspose2d(channels // 2, channels // 4, 2, 2),
        )
    if factor == FACTORS[1]:
        return nn.ConvTranspose2d(channels, channels // 2, 2, 2)
    return nn.Identity() if factor == FACTORS[2] else nn.MaxPool2d(2)
