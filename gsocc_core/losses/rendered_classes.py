# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Losses between two renderings of a scene, one predicted and one true: class probabilities and depth per pixel."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from gsocc_core.errors import ConfigError

ClassDistance = Literal["l1", "kl"]

#: Added to both probabilities inside the logarithm: a rendered probability can be exactly 0.
_SMALL = 1e-4


def rendered_class_loss(
    predicted: Tensor, truth: Tensor, distance: ClassDistance = "l1", balanced: bool = False
) -> Tensor:
    """Distance between rendered class probabilities, over all pixels of all pictures.

    ``l1`` is the mean over channels of |p - t| (GaussRender), ``kl`` is sum_c t_c log(t_c / p_c).

    Plain, every pixel counts alike, and most of them show road, walls or nothing. Balanced, every class in the true
    pictures has the same total weight, whatever its area: pixel weights are sum_c t_c / max(m_c, 1) with m_c = sum of
    t_c over all pixels. Ours, not the paper's.

    Args:
        predicted: (..., H, W, C) probabilities, empty space included.
        truth: (..., H, W, C) likewise, without gradient.
        distance: ``l1`` or ``kl``.
        balanced: Let every class count alike.

    Returns:
        Scalar.

    Raises:
        ConfigError: unknown distance.

    Example:
        >>> import torch
        >>> truth, predicted = torch.eye(2).view(1, 2, 2), torch.full((1, 2, 2), 0.5)
        >>> rendered_class_loss(predicted, truth).item(), round(rendered_class_loss(predicted, truth, "kl").item(), 3)
        (0.5, 0.693)
    """
    if distance == "l1":
        error = (predicted - truth).abs().mean(-1)
    elif distance == "kl":
        error = (truth * ((truth + _SMALL) / (predicted.clamp(min=0) + _SMALL)).log()).sum(-1)
    else:
        raise ConfigError("rendered_class_loss", "distance", "l1 or kl", distance)
    if not balanced:
        return error.mean() if error.numel() else error.sum()
    mass = truth.flatten(0, -2).sum(0)
    weight = (truth / mass.clamp(min=1.0)).sum(-1)
    return (error * weight).sum() / weight.sum().clamp(min=_SMALL)


def rendered_depth_l1(predicted_m: Tensor, truth_m: Tensor, seen_from_m: float = 0.1) -> Tensor:
    """Mean absolute depth error where the truth shows something, averaged over pictures (GaussRender).

    Args:
        predicted_m: (..., H, W) metres.
        truth_m: (..., H, W) metres; 0 where nothing is hit.
        seen_from_m: Pixels whose true depth is not greater do not count, metres.

    Returns:
        Scalar in metres; 0 when no picture shows anything.

    Example:
        >>> import torch
        >>> rendered_depth_l1(torch.tensor([[[3.0, 9.0]]]), torch.tensor([[[5.0, 0.0]]])).item()
        2.0
    """
    used = truth_m > seen_from_m
    error = ((predicted_m - truth_m).abs() * used).flatten(-2).sum(-1)
    pixels = used.flatten(-2).sum(-1)
    return (error / pixels.clamp(min=1)).sum() / (pixels > 0).sum().clamp(min=1)
