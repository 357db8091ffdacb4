# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""LSeg's picture side (Li et al., ICLR 2022): features of every pixel that can be compared with CLIP's text."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from gsocc_core.errors import ShapeError


class _Residual(nn.Module):
    """Two convolutions with batch norm beside the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.norm2 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)

    def forward(self, level: Tensor) -> Tensor:
        inner = torch.relu(self.norm1(self.conv1(torch.relu(level))))
        return level + self.norm2(self.conv2(inner))


class _Fusion(nn.Module):
    """Add a finer level to what the coarser ones gave, and double the size."""

    def __init__(self, width: int, first: bool) -> None:
        super().__init__()
        self.incoming = None if first else _Residual(width)
        self.outgoing, self.out = _Residual(width), nn.Conv2d(width, width, 1)

    def forward(self, coarse: Tensor, fine: Tensor | None) -> Tensor:
        if self.incoming is not None and fine is not None:
            coarse = coarse + self.incoming(fine)
        coarse = self.outgoing(coarse)
        return self.out(functional.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=True))


class LSegPictures(nn.Module):
    """Vision transformer and dense prediction head; frozen, its batch norms with their stored statistics.

    Args:
        dim: Width of the transformer, ViT-L by default.
        depth: Blocks.
        heads: Attention heads.
        patch: Side of a patch, pixels.
        grid: Patches along each side that the position embeddings were learned with.
        taps: Blocks, counted from 0, whose tokens become maps.
        levels: Channels of their maps.
        width: Channels inside the head.
        out: Channels of the features, CLIP's.
    """

    def __init__(
        self,
        dim: int = 1024,
        depth: int = 24,
        heads: int = 16,
        patch: int = 16,
        grid: int = 24,
        taps: Sequence[int] = (5, 11, 17, 23),
        levels: Sequence[int] = (256, 512, 1024, 1024),
        width: int = 256,
        out: int = 512,
    ) -> None:
        super().__init__()
        one, two, _, four = levels
        self.taps, self.patch_px = tuple(taps), patch
        self.patches = nn.Conv2d(3, dim, patch, patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.positions = nn.Parameter(torch.zeros(1, 1 + grid * grid, dim))
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                dim, heads, 4 * dim, 0.0, "gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True
            )
            for _ in range(depth)
        )
        self.readout = nn.ModuleList(nn.Linear(2 * dim, dim) for _ in levels)
        self.project = nn.ModuleList(nn.Conv2d(dim, channels, 1) for channels in levels)
        self.resize = nn.ModuleList(
            [
                nn.ConvTranspose2d(one, one, 4, 4),
                nn.ConvTranspose2d(two, two, 2, 2),
                nn.Identity(),
                nn.Conv2d(four, four, 3, 2, 1),
            ]
        )
        self.narrow = nn.ModuleList(nn.Conv2d(channels, width, 3, padding=1, bias=False) for channels in levels)
        self.fuse = nn.ModuleList(_Fusion(width, first=level == 3) for level in range(4))
        self.head = nn.Conv2d(width, out, 1)
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> LSegPictures:  # noqa: ARG002 - it never trains
        """Stay in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Features of pictures.

        Args:
            images: (M, 3, H, W) RGB 0..255, any dtype; sides that are even numbers of patches.

        Returns:
            (M, out, h, w), eight for each patch along both sides: half the picture's size with patches of 16 pixels.

        Raises:
            ShapeError: sides are others.
        """
        height, width = images.shape[-2:]
        if 0 in (height, width) or height % (2 * self.patch_px) or width % (2 * self.patch_px):
            expected = f"sides that are multiples of {2 * self.patch_px} pixels"
            raise ShapeError("LSeg", "images", expected, f"{height} x {width}")
        patches = self.patches(images.to(self.positions.dtype) / 127.5 - 1)
        size = (patches.shape[-2], patches.shape[-1])
        tokens = torch.cat([self.cls_token.expand(len(images), -1, -1), patches.flatten(2).transpose(1, 2)], dim=1)
        tokens = tokens + self._positions(size)
        maps: list[Tensor] = []
        for index, block in enumerate(self.blocks):
            tokens = block(tokens)
            maps += [self._map(tokens, size, level) for level, tap in enumerate(self.taps) if tap == index]
        fused = maps[3]
        for level in (3, 2, 1, 0):
            fused = self.fuse[level](fused, None if level == 3 else maps[level])
        return self.head(fused)

    def _map(self, tokens: Tensor, size: tuple[int, int], level: int) -> Tensor:
        """What a block's tokens, each told the class token, are at a level."""
        own, told = tokens[:, 1:], tokens[:, :1].expand(-1, tokens.shape[1] - 1, -1)
        read = functional.gelu(self.readout[level](torch.cat([own, told], dim=-1)))
        level_map = self.project[level](read.transpose(1, 2).unflatten(2, size))
        return self.narrow[level](self.resize[level](level_map))

    def _positions(self, size: tuple[int, int]) -> Tensor:
        first, grid = self.positions[:, :1], self.positions[:, 1:]
        side = round(grid.shape[1] ** 0.5)
        square = grid.transpose(1, 2).unflatten(2, (side, side))
        square = functional.interpolate(square, size, mode="bilinear", align_corners=False)
        return torch.cat([first, square.flatten(2).transpose(1, 2)], dim=1)
