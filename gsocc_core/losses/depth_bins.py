# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Depth labels as teachers of how likely every distance is (BEVDepth: Li et al., AAAI 2023, section 3.3)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from gsocc_core.errors import ShapeError


def depth_bins_loss(logits: Tensor, position: Tensor, labelled: Tensor) -> Tensor:
    """Cross-entropy between predicted distances of coarse pixels and those of the labels that they cover.

    A coarse pixel that shows two things is asked for both, each by its share of the labelled pixels in it.

    Args:
        logits: (B, V, bins, h, w).
        position: (B, V, H, W) distances of the labels in bins, bin k from k to k + 1; H and W multiples of h and w.
        labelled: (B, V, H, W) bool: there is a label.

    Returns:
        Scalar mean over the coarse pixels with a label; 0 when there is none.

    Raises:
        ShapeError: the labels' size is no multiple of the logits'.

    Example:
        >>> import torch
        >>> likely = torch.tensor([0.5, 0.25, 0.25]).log().view(1, 1, 3, 1, 1)
        >>> depth_bins_loss(likely, torch.tensor([[[[0.1, 0.9]]]]), torch.ones(1, 1, 1, 2).bool())
        tensor(0.6931)
    """
    bins, height, width = logits.shape[2:]
    if position.shape[-2] % height or position.shape[-1] % width:
        expected = f"height and width in multiples of {height} and {width}"
        raise ShapeError("depth_bins_loss", "position", expected, tuple(position.shape))
    index = position.floor().long().clamp(0, bins - 1)
    hits = functional.one_hot(index, bins).to(logits.dtype) * labelled[..., None]
    shares = functional.adaptive_avg_pool2d(hits.flatten(0, 1).movedim(-1, 1), (height, width))
    total = shares.sum(1)
    used = total > 0
    if not bool(used.any()):
        return logits.sum() * 0.0
    target = shares / total.clamp(min=1e-6)[:, None]
    cost = -(target * logits.flatten(0, 1).log_softmax(1)).sum(1)
    return cost[used].mean()
