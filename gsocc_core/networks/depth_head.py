# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Depth of every pixel of a feature map, as one number."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DepthHead(nn.Module):
    """Depth along the optical axis between two bounds, even in its logarithm."""

    def __init__(self, dim: int, range_m: tuple[float, float]) -> None:
        """Build for maps of ``dim`` channels; ``range_m`` are the smallest and largest depth, metres."""
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(dim, dim, 3, padding=1), nn.ReLU(), nn.Conv2d(dim, 1, 1))
        low, high = torch.tensor(range_m).log()
        self.low, self.span = float(low), float(high - low)

    def forward(self, level_map: Tensor) -> Tensor:
        """(M, dim, H, W) -> (M, 1, H, W) metres."""
        return (self.low + self.span * self.net(level_map).sigmoid()).exp()
