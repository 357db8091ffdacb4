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
from gsocc_core.networks.hidden import behind_m, density_at

#: A Gaussian so far before what a picture shows is seen through, and so far behind it is hidden, metres.
_REACH_M = 1.0


class CarriedGaussians(nn.Module):
    """Chooses among previous Gaussians, and says how opaque each still is.

    Only what was seen goes on: a Gaussian that a network puts where nothing is seen is a guess, and guesses of one key
    frame after the other would fill up what is hidden. Those at places that a picture sees through are gone. Of the
    others the most opaque are taken; what the pictures show again counts the less, the denser the present scene is
    there. A small network reads what is known of each, how far behind the shown surface it lies, and how dense the
    present scene is there, and gives the share of its opacity that it keeps; the losses teach that share. Where they
    are, guesses of the present are left out.

    Args:
        dim: Feature width.
        count: Gaussians that go on at most.
        kept: The share before training.
    """

    def __init__(self, dim: int, count: int, kept: float = 0.9) -> None:
        super().__init__()
        self.count = count
        self.keep = mlp(dim + 4, dim, 1)
        final = self.keep[-1]
        assert isinstance(final, nn.Linear)
        nn.init.normal_(final.weight, std=1e-2)
        nn.init.constant_(final.bias, float(torch.logit(torch.tensor(kept))))

    def idle(self) -> Tensor:
        """0 that depends on every parameter: a step without a memory has a gradient, too, for distributed training."""
        return 0.0 * torch.stack([p.sum() for p in self.parameters()]).sum()

    def forward(
        self,
        old: Gaussians,
        features: Tensor,
        lives: Tensor,
        scene: Gaussians,
        seen: Tensor,
        cameras: Cameras,
        valid: Tensor,
        depth_m: Tensor,
    ) -> tuple[Gaussians, Gaussians, Tensor]:
        """Choose.

        Args:
            old: (B, K) previous Gaussians in the present ego frame.
            features: (B, K, dim) what is known of each.
            lives: (B, K) bool: was seen once and may go on.
            scene: (B, N) the present scene.
            seen: (B, N) bool: the present pictures show it.
            cameras: (B, V) of the present pictures.
            valid: (B, V) bool: the picture is there.
            depth_m: (B, V, h, w) what they show, as :func:`gsocc_core.networks.hidden.depth_shown`.

        Returns:
            The present scene, (B, count) Gaussians that go on, and their places in ``old``.
        """
        with torch.no_grad():
            behind = behind_m(cameras, valid, depth_m, old.means)
            density = density_at(scene.map(torch.detach), old.means)
            new = torch.where(behind > _REACH_M, 1.0, (1 - density).clamp(min=0))
            worth = old.opacities * (lives & (behind > -_REACH_M)) * new
            worth, best = worth.topk(min(self.count, worth.shape[1]), dim=1)
            told = torch.stack(
                [behind.clamp(-2.0, 10.0) / 5, behind.isinf(), density.clamp(max=2.0), old.opacities], dim=-1
            )
        taken = old.map(lambda t: gathered(t, best))
        share = self.keep(torch.cat([gathered(features, best), gathered(told, best)], dim=-1))[..., 0].sigmoid()
        taken = taken.replace(opacities=taken.opacities * share * (worth > 0))
        with torch.no_grad():
            known = density_at(taken, scene.means).clamp(max=1.0)
        guessed = torch.where(seen, 1.0, 1 - known)
        return scene.replace(opacities=scene.opacities * guessed), taken, best


def is_seen(scene: Gaussians, cameras: Cameras, valid: Tensor, depth_m: Tensor) -> Tensor:
    """(B, N) bool: a picture holds the Gaussian, and nothing else stands before it; arguments as above."""
    return behind_m(cameras, valid, depth_m, scene.means.detach()) <= _REACH_M


def joined(one: Gaussians, other: Gaussians) -> Gaussians:
    """(B, N + K) Gaussians; fields that one of the two lacks are left out."""
    names = [f.name for f in fields(one) if getattr(one, f.name) is not None and getattr(other, f.name) is not None]
    return Gaussians(**{name: torch.cat([getattr(one, name), getattr(other, name)], dim=1) for name in names})


def gathered(values: Tensor, places: Tensor) -> Tensor:
    """(B, N) or (B, N, C) values at (B, K) places."""
    if values.ndim == 2:
        return values.gather(1, places)
    return values.gather(1, places[..., None].expand(-1, -1, values.shape[-1]))
