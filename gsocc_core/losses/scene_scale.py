# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Losses of whole scenes: precision, recall and specificity of classes, and the mixture of classes a region shows."""

from __future__ import annotations

import torch
from torch import Tensor

#: Keeps logarithms finite.
_TINY = 1e-7


def _affinity(probability: Tensor, truth: Tensor) -> Tensor:
    """-log precision - log recall - log specificity of soft predictions (P) of a class with truth (P) 0 or 1."""
    hit, predicted, true = (probability * truth).sum(), probability.sum(), truth.sum()
    avoided, false = ((1 - probability) * (1 - truth)).sum(), (1 - truth).sum()
    result = ((predicted + _TINY) / (hit + _TINY)).log()
    if bool(true > 0):
        result = result - (hit / true).clamp(min=_TINY).log()
    if bool(false > 0):
        result = result - (avoided / false).clamp(min=_TINY).log()
    return result


def semantic_affinity_loss(probabilities: Tensor, target: Tensor) -> Tensor:
    """Scene-class affinity of every class present (MonoScene, Cao and de Charette, CVPR 2022, eq. 2 to 5).

    Args:
        probabilities: (P, C), rows sum to one.
        target: (P) int64 channels.

    Returns:
        Scalar mean over the classes in ``target``; 0 when P is 0.

    Example:
        >>> semantic_affinity_loss(torch.eye(3), torch.arange(3)).item()
        0.0
    """
    present = torch.unique(target)
    if not len(present):
        return probabilities.sum() * 0.0
    return torch.stack([_affinity(probabilities[:, c], (target == c).to(probabilities)) for c in present]).mean()


def geometric_affinity_loss(occupied_probability: Tensor, occupied: Tensor) -> Tensor:
    """Scene-class affinity of "something is there" (MonoScene, section 3.3.1).

    Args:
        occupied_probability: (P) in 0..1.
        occupied: (P) bool.

    Returns:
        Scalar; 0 when nothing is occupied, for then the ratios mean nothing.

    Example:
        >>> p = torch.tensor([0.5, 0.5])
        >>> round(geometric_affinity_loss(p, torch.tensor([True, False])).item(), 3)  # three times log 2
        2.079
    """
    if not bool(occupied.any()):
        return occupied_probability.sum() * 0.0
    return _affinity(occupied_probability, occupied.to(occupied_probability))


def frustum_proportion_loss(
    probabilities: Tensor, channel: Tensor, uv_norm: Tensor, visible: Tensor, size: int = 8
) -> Tensor:
    """What lies behind one part of a picture has the true mixture of classes (MonoScene, section 3.3.2, eq. 6).

    Args:
        probabilities: (P, C) class probabilities of the voxels of one sample.
        channel: (P) int64 true channels; negative = not labelled.
        uv_norm: (V, P, 2) projections of their middles, 0..1 across the picture.
        visible: (V, P) bool.
        size: Parts of the picture along either axis.

    Returns:
        Scalar mean of the divergence KL(true, predicted) over the parts that see labelled voxels; 0 without any.
    """
    classes = probabilities.shape[-1]
    view, voxel = (visible & (channel >= 0)).nonzero(as_tuple=True)
    if not len(view):
        return probabilities.sum() * 0.0
    cell = (uv_norm[view, voxel] * size).long().clamp(0, size - 1)
    part = (view * size + cell[:, 1]) * size + cell[:, 0]
    count = probabilities.new_zeros(len(visible) * size * size, classes)
    true = count.index_put((part, channel[voxel]), count.new_ones(()), accumulate=True)
    predicted = count.index_add(0, part, probabilities[voxel])
    used = true.sum(-1) > 0
    true, predicted = (t[used] / t[used].sum(-1, keepdim=True) for t in (true, predicted))
    ratio = true.clamp(min=_TINY).log() - predicted.clamp(min=_TINY).log()
    return torch.where(true > 0, true * ratio, 0.0).sum(-1).mean()
