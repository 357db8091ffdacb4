# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Fine labels as teachers of coarse pixels, which often show more than one thing.

For distances: BEVDepth (Li et al., AAAI 2023, section 3.3), with shares in place of the nearest label.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from gsocc_core.errors import ShapeError


def pixel_shares_loss(logits: Tensor, index: Tensor, labelled: Tensor) -> Tensor:
    """Cross-entropy between what coarse pixels say and the labels that they cover.

    A coarse pixel that shows two things is asked for both, each by its share of the labelled pixels in it.

    Args:
        logits: (B, V, C, h, w).
        index: (B, V, H, W) int64, which of the C a pixel shows; H and W multiples of h and w.
        labelled: (B, V, H, W) bool: the pixel has a label; the others may hold any index.

    Returns:
        Scalar mean over the coarse pixels with a label; 0 when there is none.

    Raises:
        ShapeError: the labels' size is no multiple of the logits'.

    Example:
        >>> import torch
        >>> likely = torch.tensor([0.5, 0.25, 0.25]).log().view(1, 1, 3, 1, 1)
        >>> pixel_shares_loss(likely, torch.tensor([[[[0, 0]]]]), torch.ones(1, 1, 1, 2).bool())
        tensor(0.6931)
    """
    count, height, width = logits.shape[2:]
    if index.shape[-2] % height or index.shape[-1] % width:
        expected = f"height and width in multiples of {height} and {width}"
        raise ShapeError("pixel_shares_loss", "index", expected, tuple(index.shape))
    hits = functional.one_hot(index.clamp(0, count - 1), count).to(logits.dtype) * labelled[..., None]
    shares = functional.adaptive_avg_pool2d(hits.flatten(0, 1).movedim(-1, 1), (height, width))
    total = shares.sum(1)
    used = total > 0
    if not bool(used.any()):
        return logits.sum() * 0.0
    target = shares / total.clamp(min=1e-6)[:, None]
    cost = -(target * logits.flatten(0, 1).log_softmax(1)).sum(1)
    return cost[used].mean()
