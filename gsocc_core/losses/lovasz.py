# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Lovasz-softmax: the mean IoU as a loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gsocc_core.losses.lovasz_kernels import lovasz_gradients
from gsocc_core.splat.threads import parallel_kernels


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
    if not len(target):
        return probabilities.sum() * 0.0
    if probabilities.device.type == "cpu" and probabilities.dtype == torch.float32:
        loss: Tensor = _LovaszSoftmax.apply(probabilities, target)
        return loss
    return _sorted_by_class(probabilities, target)


def _sorted_by_class(probabilities: Tensor, target: Tensor) -> Tensor:
    """:func:`lovasz_softmax` for any device and type."""
    losses = []
    for c in torch.unique(target):
        foreground = (target == c).to(probabilities.dtype)
        errors, order = (foreground - probabilities[:, c]).abs().sort(descending=True)
        hit = foreground[order]
        total = hit.sum()
        jaccard = 1 - (total - hit.cumsum(0)) / (total + (1 - hit).cumsum(0))
        gradient = torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])
        losses.append(errors @ gradient)
    return torch.stack(losses).mean()


class _LovaszSoftmax(torch.autograd.Function):
    """On the CPU in float32: the gradient is known as soon as the errors are sorted."""

    @staticmethod
    def forward(ctx: Any, probabilities: Tensor, target: Tensor) -> Tensor:
        values, truth = probabilities.detach().contiguous().numpy(), target.contiguous().numpy()
        classes = np.flatnonzero(np.bincount(truth))
        losses, by_class = np.empty(len(classes)), np.empty((len(classes), len(truth)), np.float32)
        with parallel_kernels():
            lovasz_gradients(values, truth, classes, losses, by_class)
        gradients = np.zeros_like(values)
        gradients[:, classes] = by_class.T / np.float32(len(classes))
        ctx.save_for_backward(torch.from_numpy(gradients))
        return torch.tensor(losses.mean(), dtype=torch.float32)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (gradients,) = ctx.saved_tensors
        return gradients * grad, None
