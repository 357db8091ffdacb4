# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Previous Gaussians that go on living where the present pictures say nothing better."""

from __future__ import annotations

from dataclasses import fields

import torch
from torch import Tensor, nn

from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.networks.attention import mlp
from gsocc_core.networks.hidden import behind_m, density_at, depth_shown

#: A place so much before what a picture shows is seen through, metres.
_SEEN_THROUGH_M = 1.0


class CarriedGaussians(nn.Module):
    """Chooses among previous Gaussians, and says how opaque each still is.

    Those at places that a picture sees through are gone. Of the others the most opaque are taken, each the less the
    denser the present scene is at its mean: what is seen again needs no second Gaussian. A small network then reads
    what is known of each, how far behind the shown surface it lies, and how dense the present scene is there, and gives
    the share of its opacity that it keeps; the losses teach that share.

    Args:
        dim: Feature width.
        count: Gaussians that go on at most.
        kept: The share before training.
    """

    def __init__(self, dim: int, count: int, kept: float = 0.5) -> None:
        super().__init__()
        self.count = count
        self.keep = mlp(dim + 4, dim, 1)
        final = self.keep[-1]
        assert isinstance(final, nn.Linear)
        nn.init.normal_(final.weight, std=1e-2)
        nn.init.constant_(final.bias, float(torch.logit(torch.tensor(kept))))

    def forward(
        self,
        old: Gaussians,
        features: Tensor,
        lives: Tensor,
        scene: Gaussians,
        cameras: Cameras,
        valid: Tensor,
        size: tuple[int, int],
    ) -> tuple[Gaussians, Tensor]:
        """Choose.

        Args:
            old: (B, K) previous Gaussians in the present ego frame.
            features: (B, K, dim) what is known of each.
            lives: (B, K) bool: may go on.
            scene: (B, N) the present scene.
            cameras: (B, V) of the present pictures.
            valid: (B, V) bool: the picture is there.
            size: (h, w) at which the pictures' depth is told.

        Returns:
            (B, count) Gaussians that go on, and their places in ``old``.
        """
        with torch.no_grad():
            present = scene.map(torch.detach)
            behind = behind_m(cameras, valid, depth_shown(present, cameras, size), old.means)
            density = density_at(present, old.means)
            worth = old.opacities * (lives & (behind > -_SEEN_THROUGH_M)) * (1 - density).clamp(min=0)
            best = worth.topk(min(self.count, worth.shape[1]), dim=1).indices
            beyond = behind.isinf()
            told = torch.stack([behind.clamp(-2.0, 10.0) / 5, beyond, density.clamp(max=2.0), old.opacities], dim=-1)
        taken = old.map(lambda t: gathered(t, best))
        share = self.keep(torch.cat([gathered(features, best), gathered(told, best)], dim=-1))[..., 0].sigmoid()
        return taken.replace(opacities=taken.opacities * share * (gathered(worth, best) > 0)), best


def joined(one: Gaussians, other: Gaussians) -> Gaussians:
    """(B, N + K) Gaussians; fields that one of the two lacks are left out."""
    names = [f.name for f in fields(one) if getattr(one, f.name) is not None and getattr(other, f.name) is not None]
    return Gaussians(**{name: torch.cat([getattr(one, name), getattr(other, name)], dim=1) for name in names})


def gathered(values: Tensor, places: Tensor) -> Tensor:
    """(B, N) or (B, N, C) values at (B, K) places."""
    if values.ndim == 2:
        return values.gather(1, places)
    return values.gather(1, places[..., None].expand(-1, -1, values.shape[-1]))
