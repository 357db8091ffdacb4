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


class DepthHead(nn.Module):
    """Depth along the optical axis between two bounds, even in its logarithm.

    It reads all levels of a pyramid at the size of the finest, and where each pixel's ray starts and leads: on a plane
    that alone says how far away the ground is, whatever the rig.

    Args:
        dim: Channels of every level.
        levels: How many there are.
        range_m: Smallest and largest depth, metres.
    """

    def __init__(self, dim: int, levels: int, range_m: tuple[float, float]) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(dim, dim, 1) for _ in range(levels))
        self.rays = RayCode(dim)
        self.net = nn.Sequential(
            nn.ReLU(), nn.Conv2d(dim, dim, 3, padding=1), nn.ReLU(), nn.Conv2d(dim, dim, 3, padding=1), nn.ReLU(),
            nn.Conv2d(dim, 1, 1),
        )  # fmt: skip
        low, high = torch.tensor(range_m).log()
        self.low, self.span = float(low), float(high - low)

    def forward(self, levels: Sequence[Tensor], cameras: Cameras) -> Tensor:
        """Predict.

        Args:
            levels: Maps (B * V, dim, H_l, W_l), finest first.
            cameras: (B, V) cameras.

        Returns:
            (B * V, 1, H_0, W_0) metres.
        """
        height, width = levels[0].shape[-2:]
        origins, directions = cameras.resized(width, height).rays()
        merged = self.rays(origins, directions).flatten(0, 1).movedim(-1, 1)
        for level, lateral in zip(levels, self.lateral):
            size = (height, width)
            merged = merged + functional.interpolate(lateral(level), size, mode="bilinear", align_corners=False)
        return (self.low + self.span * self.net(merged).sigmoid()).exp()
