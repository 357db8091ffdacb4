# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Gaussians that begin on the rays of pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gsocc_core.geometry.cameras import Cameras
from gsocc_core.networks.attention import mlp
from gsocc_core.networks.depth_bins import DepthBins


class PixelGaussians(nn.Module):
    """Gaussians on the ray of every pixel of a feature map.

    Without ``bins`` a number says where the only one stands. With them the network says how likely every distance is,
    and the ``per_pixel`` Gaussians of a pixel stand at the quantiles (k + 0.5) / ``per_pixel`` of that: close together
    where it is sure, and on both things where a pixel shows the border of two.
    """

    def __init__(self, dim: int, depth_m: tuple[float, float], bins: int = 0, per_pixel: int = 1) -> None:
        """Build for maps of ``dim`` channels and depths, with ``bins`` distances along rays, in ``depth_m``, metres."""
        super().__init__()
        self.per_pixel = per_pixel
        self.distance = DepthBins(dim, bins, depth_m) if bins else None
        if bins:
            self.place = nn.Parameter(torch.zeros(per_pixel, dim))
        else:
            self.depth = mlp(dim, dim, 1)
        self.feature = nn.Linear(dim, dim)
        low, high = torch.tensor(depth_m).log()
        self.low, self.span = float(low), float(high - low)

    def forward(self, level_map: Tensor, cameras: Cameras) -> tuple[Tensor, Tensor, Tensor | None]:
        """Lift a map.

        Args:
            level_map: (B, V, D, H, W).
            cameras: (B, V) cameras of the pictures, of any size.

        Returns:
            Features (B, V * H * W * K, D) and means (B, V * H * W * K, 3), metres, ego frame; a pixel's K are beside
            each other, from near to far. And the logits (B, V, bins, H, W) of distances, None without bins.
        """
        height, width = level_map.shape[-2:]
        origins, directions = cameras.resized(width, height).rays()
        pixels = level_map.movedim(-3, -1)
        features = self.feature(pixels)
        if self.distance is None:
            depth_m = torch.exp(self.low + self.span * self.depth(pixels).sigmoid())
            return features.flatten(1, 3), (origins + directions * depth_m).flatten(1, 3), None
        logits = self.distance(level_map)
        shares = (torch.arange(self.per_pixel, device=logits.device, dtype=logits.dtype) + 0.5) / self.per_pixel
        distances_m = self.distance.quantiles_m(logits, shares)
        directions = directions / directions.norm(dim=-1, keepdim=True)
        means = origins[..., None, :] + directions[..., None, :] * distances_m[..., None]
        return (features[..., None, :] + self.place).flatten(1, 4), means.flatten(1, 4), logits
