# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Flow: where a Gaussian of a moving class is at another time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from gsocc_core.errors import ConfigError
from gsocc_core.geometry.constants import constant
from gsocc_core.networks.attention import mlp
from gsocc_core.networks.fixed_sizes import sizes_are_fixed


@dataclass(frozen=True)
class FlowArgs:
    """The flow head; the defaults are the paper's.

    Attributes:
        horizon: Key frames before and after the present that have a time token.
        interval_s: Time between key frames, seconds.
        hidden: Width of the MLP.
        layers: Its linear layers.
        motion: ``tokens``: an offset of its own for every key frame, as in the paper; ``velocity``: one velocity per
            Gaussian times the exact time, for irregular key frames and short trainings.
        max_speed_mps: Bound of each component of an offset, as a speed over its time, m/s; None = unbounded, as in
            the paper.
        neighbours: A Gaussian's feature is joined by what its so many nearest Gaussians of classes that can move say,
            those of now and those of the key frame before (:mod:`gsocc_core.networks.flow_embedding`). Motion is in
            two moments, and the paper's way from one to the other leads through points that sum up a whole scene;
            0 = none, as in the paper. Needs a memory.
    """

    horizon: int = 6
    interval_s: float = 0.5
    hidden: int = 768
    layers: int = 5
    motion: Literal["tokens", "velocity"] = "tokens"
    max_speed_mps: float | None = None
    neighbours: int = 0

    def __post_init__(self) -> None:
        if self.horizon < 1 or self.interval_s <= 0:
            raise ConfigError("flow", "horizon, interval_s", "positive", (self.horizon, self.interval_s))
        if self.neighbours < 0:
            raise ConfigError("flow", "neighbours", "0 or more", self.neighbours)
        if self.max_speed_mps is not None and self.max_speed_mps <= 0:
            raise ConfigError("flow", "max_speed_mps", "a positive speed (m/s), or null", self.max_speed_mps)


class FlowHead(nn.Module):
    """The temporal module of GaussianFlowOcc (Boeder et al., ICCV 2025, section 3.3).

    An MLP reads a Gaussian's feature beside the learned token of a time and gives the offset of its mean, in the
    present ego frame; the ego vehicle's own motion is no part of it. Gaussians of classes that cannot move get exactly
    zero, and so does the present.

    Args:
        dim: Feature width.
        args: Sizes and kind.
    """

    def __init__(self, dim: int, args: FlowArgs) -> None:
        super().__init__()
        self.args = args
        if args.motion == "tokens":
            self.tokens = nn.Parameter(torch.randn(2 * args.horizon + 1, dim) * 0.02)
        width = 2 * dim if args.motion == "tokens" else dim
        self.net = mlp(width, args.hidden, 3, layers=args.layers)
        final = self.net[-1]
        assert isinstance(final, nn.Linear)
        nn.init.normal_(final.weight, std=1e-3)

    def forward(self, features: Tensor, dynamic: Tensor, time_s: Tensor) -> Tensor:
        """Offsets of means.

        Args:
            features: (B, N, dim).
            dynamic: (B, N) bool: the Gaussian's class can move.
            time_s: (B, S) seconds from the present.

        Returns:
            (B, S, N, 3) metres, present ego frame; zero where not dynamic and at the present. Times are rounded to
            key frames and cut at the horizon for ``tokens``.
        """
        batch, moments = time_s.shape
        # Few of all are dynamic, and the rest is not computed where their number may be read.
        sample, place = _all_places(dynamic) if sizes_are_fixed() else dynamic.nonzero(as_tuple=True)
        chosen = features[sample, place]  # (M, dim)
        time = time_s[sample]  # (M, S)
        step = torch.round(time / self.args.interval_s).clamp(-self.args.horizon, self.args.horizon)
        if self.args.motion == "tokens":
            tokens = self.tokens[step.long() + self.args.horizon]
            raw = self.net(torch.cat([chosen[:, None].expand_as(tokens), tokens], dim=-1))
            time = step * self.args.interval_s
            offsets = raw if self.args.max_speed_mps is None else self._bounded(raw, time[..., None])
            offsets = offsets * (step != 0)[..., None]
        else:
            velocity = self.net(chosen)[:, None]
            if self.args.max_speed_mps is not None:
                velocity = self._bounded(velocity, torch.ones_like(velocity))
            offsets = velocity * time[..., None]
        result = offsets.new_zeros(batch, features.shape[1], moments, 3)
        result = result.index_put((sample, place), offsets * dynamic[sample, place, None, None])
        # Without a dynamic Gaussian the head still takes part in the graph, which distributed training relies on.
        return result.transpose(1, 2) + 0.0 * sum(p.sum() for p in self.parameters())

    def velocities(self, features: Tensor, dynamic: Tensor) -> Tensor:
        """Velocity over ground by the central difference of the offsets one key frame ahead and back.

        Args:
            features: (B, N, dim).
            dynamic: (B, N) bool.

        Returns:
            (B, N, 3) m/s, along the axes of the present ego frame.
        """
        step = self.args.interval_s
        times = constant((step, -step), features).expand(len(features), 2)
        ahead, back = self(features, dynamic, times).unbind(1)
        return (ahead - back) / (2 * step)

    def _bounded(self, raw: Tensor, time_s: Tensor) -> Tensor:
        """Offsets within the bound. The raw value counts in units of the bound, so that speeds are learned quickly."""
        assert self.args.max_speed_mps is not None
        return self.args.max_speed_mps * time_s.abs() * torch.tanh(raw)


def _all_places(like: Tensor) -> tuple[Tensor, Tensor]:
    """Sample and place (B * N) of everything in (B, N)."""
    index = torch.arange(like.numel(), device=like.device)
    return index // like.shape[1], index % like.shape[1]
