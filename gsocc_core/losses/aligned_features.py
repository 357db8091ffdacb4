# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Rendered views against a foundation model: features by their direction, depth by its logarithm."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

FarPixels = Literal["empty", "ignored"]

#: Smallest depth inside a logarithm, metres.
_EPS_M = 1e-6


def cosine_loss(rendered: Tensor, target: Tensor) -> Tensor:
    """One minus the cosine between rendered features and a teacher's, at the rendered size (GaussTR, section 3.3).

    The teacher's map is enlarged bilinearly; comparing at full size is better than reducing the rendering.

    Args:
        rendered: (M, H, W, K).
        target: (M, K, h, w); a vector of zeros = no label, and so is all that is mixed with one.

    Returns:
        Scalar mean over the labelled pixels; 0 when there is none.

    Example:
        >>> up, right = torch.tensor([0.0, 2.0]), torch.tensor([1.0, 0.0])
        >>> cosine_loss(torch.stack([up, right]).view(1, 1, 2, 2), up.view(1, 2, 1, 1)).item()
        0.5
    """
    size = rendered.shape[1:3]
    empty = (target == 0).all(1, keepdim=True).to(rendered.dtype)
    enlarged = functional.interpolate(target.to(rendered.dtype), size, mode="bilinear")
    labelled = functional.interpolate(empty, size, mode="bilinear")[:, 0] == 0
    error = 1 - functional.cosine_similarity(rendered, enlarged.movedim(1, -1), dim=-1)
    return (error * labelled).sum() / labelled.sum().clamp(min=1)


def silog_depth_loss(
    depth_m: Tensor, target_m: Tensor, limit_m: float, far: FarPixels = "empty", l1_weight: float = 0.2
) -> Tensor:
    """Scale-invariant logarithmic error (Eigen et al. 2014, eq. 4) plus a part of the mean absolute error.

    Per picture, with g = ln t - ln d, sqrt(mean(g^2) - mean(g)^2 / 2).

    Args:
        depth_m: (M, H, W) accumulated depth, metres.
        target_m: (M, H, W) metres; 0 = no label.
        limit_m: Where depth ends, metres.
        far: Pixels whose label lies there or beyond. ``empty`` (GaussTR) labels them with a millimetre, which says of
            accumulated depth that nothing is there; ``ignored`` takes away their label.
        l1_weight: Weight of the mean absolute error, which all labelled pixels of all pictures share.

    Returns:
        Scalar, a mean over pictures with labels; 0 when there is none.

    Example:
        >>> near, far = torch.full((1, 1, 2), 2.0), torch.full((1, 1, 2), 4.0)
        >>> round(silog_depth_loss(near, far, 50.0, l1_weight=0.0).item(), 3)  # ln 2 / sqrt(2)
        0.49
    """
    used = target_m > 0 if far == "empty" else (target_m > 0) & (target_m < limit_m)
    target = torch.where(target_m < limit_m, target_m, 1e-3)
    g = torch.where(used, target.clamp(min=_EPS_M).log() - depth_m.clamp(min=_EPS_M).log(), 0.0).flatten(1)
    pixels = used.flatten(1).sum(-1)
    there = pixels > 0
    count = pixels.clamp(min=1)
    inside = g.square().sum(-1) / count - 0.5 * (g.sum(-1) / count).square()
    silog = (inside.clamp(min=1e-12).sqrt() * there).sum() / there.sum().clamp(min=1)
    l1 = ((depth_m - target).abs() * used).sum() / used.sum().clamp(min=1)
    return silog + l1_weight * l1
