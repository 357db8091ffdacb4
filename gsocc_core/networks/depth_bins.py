# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""How far away what a pixel shows is, as probabilities of distances along its ray."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gsocc_core.geometry.cameras import Cameras


class DepthBins(nn.Module):
    """Logits of distances that rise by equal factors, one set per pixel of a feature map.

    Distances run along the ray, not along the optical axis, so that a fisheye is as good as a pinhole.
    """

    centers_m: Tensor

    def __init__(self, dim: int, count: int, range_m: tuple[float, float]) -> None:
        """Build for maps of ``dim`` channels and ``count`` distances in ``range_m``, metres."""
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(dim, dim, 3, padding=1), nn.ReLU(), nn.Conv2d(dim, count, 1))
        low, high = torch.tensor(range_m).log()
        self.low, self.width = float(low), float(high - low) / count
        steps = low + (torch.arange(count) + 0.5) * self.width
        self.register_buffer("centers_m", steps.exp(), persistent=False)

    def forward(self, level_map: Tensor) -> Tensor:
        """(B, V, dim, H, W) -> logits (B, V, bins, H, W)."""
        return self.net(level_map.flatten(0, 1)).unflatten(0, level_map.shape[:2])

    def bin_of(self, distance_m: Tensor) -> Tensor:
        """Position of distances among the bins; bin k reaches from k to k + 1."""
        return (distance_m.clamp(min=1e-3).log() - self.low) / self.width

    def expected_m(self, logits: Tensor) -> Tensor:
        """(B, V, bins, H, W) -> expected distance (B, V, H, W), metres; the mean of logarithms."""
        return torch.exp(torch.einsum("bvkhw,k->bvhw", logits.softmax(2), self.centers_m.log()))

    def quantiles_m(self, logits: Tensor, shares: Tensor) -> Tensor:
        """Distances that given shares of the probability lie before; within a bin it is evenly spread over logarithms.

        Args:
            logits: (B, V, bins, H, W).
            shares: (K,) above 0 and below 1.

        Returns:
            (B, V, H, W, K) metres.

        Example:
            >>> bins = DepthBins(8, 4, (1.0, 16.0))
            >>> bins.quantiles_m(torch.zeros(1, 1, 4, 1, 1), torch.tensor([0.25, 0.5])).flatten()
            tensor([2., 4.])
        """
        probability = logits.softmax(2).movedim(2, -1)
        upto = probability.cumsum(-1)
        wanted = shares.expand(*upto.shape[:-1], len(shares)).contiguous()
        index = torch.searchsorted(upto.detach(), wanted).clamp(max=logits.shape[2] - 1)
        share = probability.gather(-1, index)
        part = ((wanted - (upto.gather(-1, index) - share)) / share.clamp(min=1e-6)).clamp(0, 1)
        return torch.exp(self.low + self.width * (index + part))

    def surface(self, logits: Tensor, cameras: Cameras, points_m: Tensor, uv_norm: Tensor, seen: Tensor) -> Tensor:
        """How well points fit to the surfaces that pixels show.

        Args:
            logits: (B, V, bins, H, W).
            cameras: (B, V) cameras.
            points_m: (N, 3), ego frame, metres.
            uv_norm: (B, V, N, 2) their projections, 0..1.
            seen: (B, V, N) bool.

        Returns:
            (B, V, N) probability of the point's distance, relative to the likeliest distance of its pixel; 0..1, and 0
            where it is not seen.
        """
        probability = logits.softmax(2)
        relative = (probability / probability.amax(2, keepdim=True)).flatten(0, 1)[:, None]
        offset = points_m.to(logits) - cameras.T_ref_cam[..., None, :3, 3]
        depth = self.bin_of(offset.norm(dim=-1)) / logits.shape[2]
        place = torch.cat([uv_norm, depth[..., None]], dim=-1).flatten(0, 1)[:, :, None, None] * 2 - 1
        found = functional.grid_sample(relative, place, padding_mode="zeros", align_corners=False)
        return found.view(seen.shape) * seen
