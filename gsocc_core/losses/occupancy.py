# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Losses between a voxel field and 3D labels: is the voxel occupied, and by what."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def occupied_loss(probability: Tensor, occupied: Tensor, mask: Tensor, balance: float = 1.0) -> Tensor:
    """Binary cross-entropy between the occupancy probability and the labels.

    Args:
        probability: (..., X, Y, Z) in 0..1.
        occupied: (..., X, Y, Z) bool.
        mask: (..., X, Y, Z) bool, voxels that count.
        balance: Weight of occupied voxels.

    Returns:
        Scalar mean over the mask; 0 when it is empty.
    """
    places = mask.flatten().nonzero()[:, 0]
    if not len(places):
        return probability.sum() * 0.0
    p = probability.flatten().gather(0, places).clamp(1e-4, 1 - 1e-4)
    target = occupied.flatten()[places].to(p.dtype)
    return functional.binary_cross_entropy(p, target, weight=1 + (balance - 1) * target)


def voxel_class_loss(logits: Tensor, channel: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Cross-entropy of class logits in occupied voxels.

    Args:
        logits: (..., C).
        channel: (...) int64 true channel; negative = leave out.
        class_weights: (C,) weights, or None.

    Returns:
        Scalar mean; 0 when nothing is labelled.
    """
    rows = (channel.flatten() >= 0).nonzero()[:, 0]
    if not len(rows):
        return logits.sum() * 0.0
    return functional.cross_entropy(logits.flatten(0, -2)[rows], channel.flatten()[rows], weight=class_weights)
