# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Motion read off two moments: where what can move stands now, and where it stood a key frame before."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gsocc_core.networks.attention import mlp
from gsocc_core.networks.carried import gathered


@dataclass(frozen=True)
class MovingPoints:
    """Gaussians of one moment, seen from the present ego frame, without anything having been moved by its flow.

    Attributes:
        means: (B, K, 3) metres.
        features: (B, K, D).
        velocities: (B, K, 3) m/s, zero where unknown.
        worth: (B, K) opacity, 0 for what cannot move or does not exist.
    """

    means: Tensor
    features: Tensor
    velocities: Tensor
    worth: Tensor


class FlowEmbedding(nn.Module):
    """What lies around every Gaussian now and what lay there before: the flow embedding of FlowNet3D.

    Liu et al., CVPR 2019, section 4.2: a point reads its nearest points of the other moment, their features and places
    relative to its own, and keeps the maximum of every channel. Its nearest points of its own moment are read likewise,
    since where the middle of a thing is now and was then says how it moved. Inducing points cannot say that: they sum
    up a whole scene.

    Args:
        dim: Feature width.
        hidden: Width inside.
        neighbours: Nearest points that are read of either moment.
        reach_m: What lies farther away is not read, metres.
        candidates: The most opaque Gaussians of a moment, so many of them, may be neighbours.
    """

    def __init__(self, dim: int, hidden: int, neighbours: int, reach_m: float = 6.0, candidates: int = 256) -> None:
        super().__init__()
        self.neighbours, self.reach_m, self.candidates = neighbours, reach_m, candidates
        self.now, self.then = mlp(dim + 7, hidden, hidden), mlp(dim + 7, hidden, hidden)
        self.out = nn.Linear(2 * hidden, dim)
        nn.init.normal_(self.out.weight, std=1e-2)
        nn.init.zeros_(self.out.bias)

    def forward(self, means: Tensor, now: MovingPoints, then: MovingPoints) -> Tensor:
        """Read both moments.

        Args:
            means: (B, N, 3) metres, present ego frame.
            now: What can move now.
            then: What could move a key frame before.

        Returns:
            (B, N, dim).
        """
        read = [self._read(net, means.detach(), points) for net, points in ((self.now, now), (self.then, then))]
        return self.out(torch.cat(read, dim=-1))

    def _read(self, net: nn.Module, means: Tensor, points: MovingPoints) -> Tensor:
        """(B, N, hidden) maximum over the nearest of one moment; 0 where there is none."""
        worth, best = points.worth.topk(min(self.candidates, points.worth.shape[1]), dim=1)
        places = gathered(points.means.detach(), best)
        far = torch.cdist(means, places) + torch.where(worth > 0, 0.0, torch.inf)[:, None]
        distance, near = far.topk(min(self.neighbours, far.shape[-1]), dim=-1, largest=False)  # (B, N, k)
        parts = [gathered(points.features, best), gathered(points.velocities, best) / self.reach_m, worth[..., None]]
        taken = gathered(torch.cat([places, *parts], dim=-1), near.flatten(1)).unflatten(1, near.shape[1:])
        offset = (taken[..., :3] - means[..., None, :]) / self.reach_m
        found = net(torch.cat([offset, taken[..., 3:]], dim=-1))
        there = (distance < self.reach_m)[..., None]
        found = torch.where(there, found, -torch.inf).amax(-2)
        return torch.where(there.any(-2), found, 0.0)
