# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A map of every pixel out of tokens of several layers: the dense prediction transformer's head, DPT."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Weight of the position code beside the features.
_POSITION_WEIGHT = 0.1


def position_code(height: int, width: int, channels: int, aspect: float, device: torch.device) -> Tensor:
    """Sines and cosines of every pixel's place, in units of the picture's half diagonal, so that its aspect counts.

    Args:
        height: Of the map.
        width: Of the map.
        channels: A multiple of 4: half for the column, half for the row.
        aspect: Width of the picture by its height.
        device: Of the result.

    Returns:
        (channels, height, width) float32.
    """
    diagonal = math.sqrt(1 + aspect * aspect)
    axes = []
    for count, side in ((width, aspect / diagonal), (height, 1 / diagonal)):
        edge = side * (count - 1) / count
        axes.append(torch.linspace(-edge, edge, count, device=device))
    quarter = channels // 4
    rates = 100.0 ** -(torch.arange(quarter, device=device) / quarter)
    columns, rows = (torch.cat([a.sin(), a.cos()]) for a in (rates[:, None] * axis for axis in axes))
    return torch.cat([columns[:, None].expand(-1, height, -1), rows[:, :, None].expand(-1, -1, width)])


class _Residual(nn.Module):
    """Two convolutions beside the rectified input, as VGGT's head has it: its rectifier works in place."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)

    def forward(self, level: Tensor) -> Tensor:
        level = functional.relu(level)
        return level + self.conv2(functional.relu(self.conv1(level)))


class _Fusion(nn.Module):
    """Add a finer level to what the coarser ones gave, and enlarge (Ranftl et al., ICCV 2021, figure 1)."""

    def __init__(self, width: int, first: bool = False) -> None:
        super().__init__()
        self.incoming = None if first else _Residual(width)
        self.outgoing = _Residual(width)
        self.out = nn.Conv2d(width, width, 1)

    def forward(self, coarse: Tensor, fine: Tensor | None, size: tuple[int, int]) -> Tensor:
        if self.incoming is not None and fine is not None:
            coarse = coarse + self.incoming(fine)
        return self.out(_resized(self.outgoing(coarse), size))


def _resized(level: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(level, size, mode="bilinear", align_corners=True)


class DenseHead(nn.Module):
    """Four layers' tokens -> one map (DPT, Ranftl et al., ICCV 2021, as in VGGT, section 3.3).

    Tokens of a layer become a map at 4, 2, 1 and 1/2 times the patches' resolution; the maps are fused from the
    coarsest to the finest, then resized to the size asked for.

    Args:
        dim: Channels of the tokens.
        width: Channels inside.
        levels: Channels of each of the four maps before they are fused.
        out: Channels of the result; None = features of ``width`` channels, without the last two layers.
        hidden: Channels between these two.
        fine: The last map before the result has eight times the patches' resolution, as published, though the result be
            coarser; without it none is finer than the result.
    """

    def __init__(
        self,
        dim: int = 2048,
        width: int = 256,
        levels: Sequence[int] = (256, 512, 1024, 1024),
        out: int | None = None,
        hidden: int = 32,
        fine: bool = True,
    ) -> None:
        super().__init__()
        self.fine = fine
        one, two, three, four = levels
        self.norm = nn.LayerNorm(dim)
        self.project = nn.ModuleList(nn.Conv2d(dim, channels, 1) for channels in levels)
        self.resize = nn.ModuleList(
            [
                nn.ConvTranspose2d(one, one, 4, 4),
                nn.ConvTranspose2d(two, two, 2, 2),
                nn.Identity(),
                nn.Conv2d(four, four, 3, 2, 1),
            ]
        )
        self.narrow = nn.ModuleList(nn.Conv2d(c, width, 3, padding=1, bias=False) for c in (one, two, three, four))
        self.fuse = nn.ModuleList(_Fusion(width, first=level == 3) for level in range(4))
        self.smooth = nn.Conv2d(width, width if out is None else width // 2, 3, padding=1)
        self.last = None
        if out is not None:
            self.last = nn.Sequential(nn.Conv2d(width // 2, hidden, 3, padding=1), nn.ReLU(), nn.Conv2d(hidden, out, 1))

    def forward(self, layers: Sequence[Tensor], grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
        """Predict.

        Args:
            layers: Four of (M, h * w, dim), shallow to deep.
            grid: (h, w) patches.
            size: (H, W) of the result.

        Returns:
            (M, ``out`` or ``width``, H, W).
        """
        aspect = size[1] / size[0]
        maps = []
        for tokens, project, resize, narrow in zip(layers, self.project, self.resize, self.narrow):
            level = project(self.norm(tokens).transpose(-1, -2).unflatten(-1, grid))
            maps.append(narrow(resize(_placed(level, aspect))))
        fused = maps[3]
        for level in (3, 2, 1, 0):
            height, width = maps[level].shape[-2:]
            finest = (2 * height, 2 * width)
            if not self.fine:
                finest = (min(finest[0], size[0]), min(finest[1], size[1]))
            target = finest if level == 0 else (maps[level - 1].shape[-2], maps[level - 1].shape[-1])
            fused = self.fuse[level](fused, None if level == 3 else maps[level], target)
        fused = _placed(_resized(self.smooth(fused), size), aspect)
        return fused if self.last is None else self.last(fused)


def _placed(level: Tensor, aspect: float) -> Tensor:
    _, channels, height, width = level.shape
    code = position_code(height, width, channels, aspect, level.device)
    return level + _POSITION_WEIGHT * code.to(level)


def points_and_confidence(raw: Tensor) -> tuple[Tensor, Tensor]:
    """A point and how sure it is, of every pixel: sign(x) (exp|x| - 1) per coordinate, and 1 + exp of the last channel.

    Args:
        raw: (M, 4, H, W).

    Returns:
        (M, H, W, 3) and (M, H, W), above 1.
    """
    place, sure = raw.movedim(1, -1).split([3, 1], dim=-1)
    return place.sign() * torch.expm1(place.abs()), 1 + sure[..., 0].exp()


def depth_and_confidence(raw: Tensor) -> tuple[Tensor, Tensor]:
    """Depth and how sure it is, of every pixel: exp of the first channel, and 1 + exp of the second.

    Args:
        raw: (M, 2, H, W).

    Returns:
        (M, H, W), above 0, and (M, H, W), above 1.
    """
    return raw[:, 0].exp(), 1 + raw[:, 1].exp()
