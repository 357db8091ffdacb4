# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Gaussians of Uni3R: what the network says of a pixel, and how that becomes a shape, a colour and a feature."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.nearest import spacing
from gsocc_core.geometry.spherical_harmonics import COUNTS, SH_C0
from gsocc_core.methods.uni3r_args import GaussianArgs, NetworkArgs
from gsocc_core.networks.dense_head import DenseHead

#: Largest logarithm of a scale.
_LARGEST_LOG_SCALE = 10.0


class GaussianHead(nn.Module):
    """Attributes of every Gaussian: a dense head beside the picture itself, then two convolutions.

    Args:
        dim: Channels of the tokens.
        network: Sizes.
        gaussians: See :class:`GaussianArgs`.
        semantic: Channels of a Gaussian's feature.
    """

    def __init__(self, dim: int, network: NetworkArgs, gaussians: GaussianArgs, semantic: int) -> None:
        super().__init__()
        width, self.args = network.head_width, gaussians
        self.parts = (3, 4, 1, 3 * COUNTS[gaussians.sh_degree], semantic, 3)
        self.dense = DenseHead(dim, width, network.head_levels, fine=network.head_fine)
        self.picture = nn.Conv2d(3, width, 7, gaussians.stride, 3)
        self.attributes = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, sum(self.parts), 1)
        )

    def forward(
        self, layers: Sequence[Tensor], grid: tuple[int, int], pictures: Tensor, size: tuple[int, int]
    ) -> Tensor:
        """Predict.

        Args:
            layers: Four of (M, h * w, dim).
            grid: (h, w) patches.
            pictures: (M, 3, H, W) values -1..1.
            size: (H / stride, W / stride).

        Returns:
            (M, channels, *size): scale 3, rotation 4, opacity 1, spherical harmonics 3 x K, feature, colour 3.
        """
        features = self.dense(layers, grid, size)
        return self.attributes(features + functional.relu(self.picture(pictures)))

    def decode(
        self,
        raw: Tensor,
        points: Tensor,
        base: Tensor | None = None,
        colors: Tensor | None = None,
        valid: Tensor | None = None,
    ) -> Gaussians:
        """Gaussians out of raw attributes.

        Args:
            raw: (B, V, channels, h, w) of :meth:`forward`.
            points: (B, V, h, w, 3) their means.
            base: (B, V, C, h, w) added to the features; None = nothing.
            colors: (B, V, 3, h, w) values -1..1 added to the colours; None = nothing.
            valid: (B, V) bool: views that are there; the Gaussians of others are transparent. None = all.

        Returns:
            (B, V * h * w) Gaussians, view after view and row after row.
        """
        scale, quat, opacity, harmonics, feature, color = raw.split(self.parts, dim=2)
        feature = feature if base is None else feature + base
        color = color if colors is None else color + colors
        means = points.flatten(1, 3)
        quats = functional.normalize(_rows(quat), dim=-1)
        sh = _rows(harmonics).unflatten(-1, (3, -1)).transpose(-1, -2)
        sh = sh * _band_weights(sh.shape[-2]).to(sh)[:, None]
        # A colour c of -1..1 is (c + 1) / 2 of the full one, whose coefficient is (c / 2) / SH_C0.
        sh = torch.cat([sh[..., :1, :] + (0.5 / SH_C0) * _rows(color)[..., None, :], sh[..., 1:, :]], dim=-2)
        opacities = _rows(opacity)[..., 0].sigmoid()
        there: Tensor | None = None
        if valid is not None:
            there = valid.repeat_interleave(points.shape[2] * points.shape[3], dim=1)
            opacities = opacities * there
        scales = scales_of(_rows(scale), means, self.args, there)
        return Gaussians(means, scales, quats, opacities, _rows(feature), colors_sh=sh)


def _rows(maps: Tensor) -> Tensor:
    """(B, V, C, h, w) -> (B, V * h * w, C)."""
    return maps.movedim(2, -1).flatten(1, 3)


def _band_weights(count: int) -> Tensor:
    """(K) factors on the coefficients: 1 for the first, 0.5 * 0.25^degree beyond, so that colours start plain."""
    degrees = torch.arange(count, dtype=torch.float64).sqrt().floor()
    return torch.where(degrees > 0, 0.5 * 0.25**degrees, 1.0)


def scales_of(raw: Tensor, means: Tensor, args: GaussianArgs, there: Tensor | None = None) -> Tensor:
    """Standard deviations relative to how far apart the scene's Gaussians lie.

    Args:
        raw: (B, N, 3).
        means: (B, N, 3).
        args: See :class:`GaussianArgs`.
        there: (B, N) bool: Gaussians that count, at least one per scene; None = all.

    Returns:
        (B, N, 3) in the unit of the means; no gradient reaches the means.
    """
    apart, median = raw.new_zeros(raw.shape[:2]), raw.new_zeros(len(raw))
    for index, scene in enumerate(means.detach().float()):
        chosen: slice | Tensor = slice(None) if there is None else there[index]
        found = spacing(scene[chosen]).to(raw)
        apart[index, chosen], median[index] = found, found.median()
    median = median[:, None, None]
    free = raw.clamp(max=_LARGEST_LOG_SCALE).exp() * args.scale_factor * apart[..., None]
    low, high = args.span
    return torch.minimum(torch.maximum(free, low * median), high * median)
