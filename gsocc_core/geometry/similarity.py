# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Similarity transforms between point sets: scale, rotation and translation, many sets at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gsocc_core.errors import ShapeError


@dataclass(frozen=True)
class Similarity:
    """x -> scale * rotation @ x + translation.

    Attributes:
        scale: (...).
        rotation: (..., 3, 3).
        translation: (..., 3).
    """

    scale: Tensor
    rotation: Tensor
    translation: Tensor

    def apply(self, points: Tensor) -> Tensor:
        """(..., N, 3) -> (..., N, 3)."""
        turned = points @ self.rotation.transpose(-1, -2)
        return self.scale[..., None, None] * turned + self.translation[..., None, :]


@torch.no_grad()
def fit_similarity(source: Tensor, target: Tensor, weights: Tensor | None = None) -> Similarity:
    """The similarity with the least squared error between corresponding points (Umeyama 1991, eq. 40 to 42).

    Computed in float64 on the device of the points; nothing of it carries a gradient. Sets without extent (no weight,
    or all points the same) get scale 1, and no rotation where nothing tells it.

    Args:
        source: (..., N, 3) points to be moved.
        target: (..., N, 3) where they belong.
        weights: (..., N) of each pair, 0 or more; None = all 1.

    Returns:
        The transform of each set, in the dtype of ``source``.

    Raises:
        ShapeError: shapes that differ.

    Example:
        >>> points = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
        >>> found = fit_similarity(points, 2 * points + 1)
        >>> round(found.scale.item(), 4), found.translation.round(decimals=4)
        (2.0, tensor([1., 1., 1.]))
    """
    if source.shape != target.shape or source.shape[-1:] != (3,):
        raise ShapeError("fit_similarity", "target", f"(..., N, 3) as source, {tuple(source.shape)}", target.shape)
    if weights is not None and weights.shape != source.shape[:-1]:
        raise ShapeError("fit_similarity", "weights", tuple(source.shape[:-1]), tuple(weights.shape))
    x, y = source.double(), target.double()
    w = torch.ones_like(x[..., 0]) if weights is None else weights.double()
    total = w.sum(-1, keepdim=True)
    w = (w / torch.where(total > 0, total, 1.0))[..., None]
    mean_x, mean_y = (w * x).sum(-2), (w * y).sum(-2)
    x, y = x - mean_x[..., None, :], y - mean_y[..., None, :]
    spread = (w * x * x).sum((-1, -2))
    U, D, Vt = torch.linalg.svd((w * y).transpose(-1, -2) @ x)
    # A mirror image fits best of all where the smallest axis is turned over: that is no rotation.
    mirrored = torch.linalg.det(U) * torch.linalg.det(Vt) < 0
    sign = torch.ones_like(D)
    sign[..., 2] = torch.where(mirrored, -1.0, 1.0)
    rotation = (U * sign[..., None, :]) @ Vt
    reach = mean_x.square().sum(-1) + spread
    there = spread > 1e-18 * reach
    scale = torch.where(there, (D * sign).sum(-1) / torch.where(there, spread, 1.0), 1.0)
    translation = mean_y - scale[..., None] * (rotation @ mean_x[..., None])[..., 0]
    return Similarity(scale.to(source), rotation.to(source), translation.to(source))
