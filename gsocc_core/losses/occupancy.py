# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Losses between a voxel field and 3D labels: is the voxel occupied, and by what."""

from __future__ import annotations

import torch
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
    if not bool(mask.any()):
        return probability.sum() * 0.0
    p = probability[mask].clamp(1e-4, 1 - 1e-4)
    target = occupied[mask].to(p.dtype)
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
    used = channel >= 0
    if not bool(used.any()):
        return logits.sum() * 0.0
    return functional.cross_entropy(logits[used], channel[used], weight=class_weights)


def lovasz_softmax(probabilities: Tensor, target: Tensor) -> Tensor:
    """Lovasz-softmax, the convex surrogate of the mean IoU (Berman et al. 2018, eq. 11), over the classes present.

    Args:
        probabilities: (P, C), rows sum to one.
        target: (P,) int64 classes.

    Returns:
        Scalar mean over the classes in ``target``; 0 when P is 0.

    Example:
        >>> lovasz_softmax(torch.eye(3), torch.arange(3)).item()
        0.0
    """
    losses = []
    for c in torch.unique(target):
        foreground = (target == c).to(probabilities.dtype)
        errors, order = (foreground - probabilities[:, c]).abs().sort(descending=True)
        hit = foreground[order]
        total = hit.sum()
        jaccard = 1 - (total - hit.cumsum(0)) / (total + (1 - hit).cumsum(0))
        gradient = torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])
        losses.append(errors @ gradient)
    return torch.stack(losses).mean() if losses else probabilities.sum() * 0.0
