# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Losses between rendered views and 2D labels: classes, depth and solidity per pixel."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from gsocc_core.errors import ConfigError
from gsocc_core.losses.channels import channel_of_label

DepthLossKind = Literal["mse", "log_l1"]


def rendered_semantic_loss(
    logits: Tensor, labels: Tensor, channel_ids: tuple[int, ...], ignore_id: int, class_weights: Tensor | None = None
) -> Tensor:
    """Cross-entropy of composited class logits against pixel labels.

    Args:
        logits: (..., H, W, C) composited class logits.
        labels: (..., H, W) uint8 class ids.
        channel_ids: Class id of each of the C channels; pixels of other ids are left out.
        ignore_id: Label of pixels without a label.
        class_weights: (C,) weights, or None.

    Returns:
        Scalar mean over the labelled pixels; 0 when there is none.

    Example:
        >>> rendered_semantic_loss(torch.zeros(1, 1, 2), torch.tensor([[4]]), (4, 5), 255).item() > 0.69
        True
    """
    channel = channel_of_label(labels, channel_ids)
    channel = torch.where(labels == ignore_id, -1, channel)
    used = channel >= 0
    if not bool(used.any()):
        return logits.sum() * 0.0
    return functional.cross_entropy(logits[used], channel[used], weight=class_weights)


def rendered_depth_loss(depth_m: Tensor, target_m: Tensor, kind: DepthLossKind = "mse") -> Tensor:
    """Depth error over the pixels that have a depth label.

    Args:
        depth_m: (..., H, W) rendered depth, metres.
        target_m: (..., H, W) metres; 0 = no label.
        kind: ``mse``: squared metres (GaussianFlowOcc); ``log_l1``: |log d - log t|, which weighs near and far surfaces
            by their relative error.

    Returns:
        Scalar mean; 0 when no pixel has a label.

    Raises:
        ConfigError: unknown kind.
    """
    used = target_m > 0
    if not bool(used.any()):
        return depth_m.sum() * 0.0
    predicted, target = depth_m[used], target_m[used]
    if kind == "mse":
        return functional.mse_loss(predicted, target)
    if kind == "log_l1":
        return (predicted.clamp(min=0.1).log() - target.clamp(min=0.1).log()).abs().mean()
    raise ConfigError("rendered_depth_loss", "kind", "mse or log_l1", kind)


def rendered_alpha_loss(alpha: Tensor, solid: Tensor) -> Tensor:
    """Every pixel with a depth label shows a surface, so its rays must end: mean of -log(alpha).

    Args:
        alpha: (..., H, W) accumulated opacity, 0..1.
        solid: (..., H, W) bool: the pixel shows a surface.

    Returns:
        Scalar mean; 0 when no pixel is solid.
    """
    if not bool(solid.any()):
        return alpha.sum() * 0.0
    return -alpha[solid].clamp(min=1e-3).log().mean()


def second_moments(means_m: Tensor) -> Tensor:
    """Monomials of positions that make the depth moments of any view linear in rendered features.

    Args:
        means_m: (..., 3) metres.

    Returns:
        (..., 9): x, y, z, xx, yy, zz, xy, xz, yz.
    """
    x, y, z = means_m.unbind(-1)
    return torch.stack([x, y, z, x * x, y * y, z * z, x * y, x * z, y * z], dim=-1)


def depth_spread_loss(moments: Tensor, alpha: Tensor, viewmats: Tensor, target_m: Tensor) -> Tensor:
    """Mean over labelled pixels of sum_i w_i (z_i - d)^2 / d^2: weight before the surface and behind it both cost.

    A rendered depth can be right on average while half of its weight hangs in free space; this loss leaves no such way
    out. With z = r . x + t, the third row of the view matrix, sum w z and sum w z^2 follow from composited
    :func:`second_moments`, so one rendering serves all views.

    Args:
        moments: (..., V, H, W, 9) composited moments of the Gaussians' means.
        alpha: (..., V, H, W) sum of weights.
        viewmats: (..., V, 4, 4) reference ego frame to camera.
        target_m: (..., V, H, W) depth labels d, metres; 0 = no label.

    Returns:
        Scalar; 0 when no pixel has a label.
    """
    used = target_m > 0
    if not bool(used.any()):
        return moments.sum() * 0.0
    first, second = depth_moments(moments, alpha, viewmats)
    d = target_m[used]
    return ((second[used] - 2 * d * first[used] + d * d * alpha[used]) / (d * d)).clamp(min=0).mean()


def depth_moments(moments: Tensor, alpha: Tensor, viewmats: Tensor) -> tuple[Tensor, Tensor]:
    """Composited depth and squared depth of every pixel, from composited :func:`second_moments`.

    Args:
        moments: (..., V, H, W, 9) composited moments of the Gaussians' means.
        alpha: (..., V, H, W) sum of weights.
        viewmats: (..., V, 4, 4) reference ego frame to camera.

    Returns:
        sum w z, metres, and sum w z^2, square metres: (..., V, H, W).
    """
    row = viewmats[..., None, None, 2, :]  # (..., V, 1, 1, 4)
    rx, ry, rz, t = row.unbind(-1)
    x, y, z, xx, yy, zz, xy, xz, yz = moments.unbind(-1)
    along = rx * x + ry * y + rz * z
    square = rx * rx * xx + ry * ry * yy + rz * rz * zz + 2 * (rx * ry * xy + rx * rz * xz + ry * rz * yz)
    return along + t * alpha, square + 2 * t * along + t * t * alpha


def ray_spread_loss(first_m: Tensor, second_m2: Tensor, alpha: Tensor) -> Tensor:
    """Mean over rays of alpha (E z^2 / (E z)^2 - 1), E the mean by weight: what stops a ray stands in one place.

    The distortion loss of mip-NeRF 360 (Barron et al., CVPR 2022), sum w_i w_j |z_i - z_j|, with squared distances as
    2D Gaussian Splatting computes it (Huang et al., SIGGRAPH 2024), over alpha and the square of the mean depth, so
    that it counts relative distances and faint rays alike. The outer alpha has no gradient: rays get no better by
    becoming fainter.

    Args:
        first_m: (...) sum w z of rays, metres.
        second_m2: (...) sum w z^2, square metres.
        alpha: (...) sum w, 0..1; rays below 0.01 are left out.

    Returns:
        Scalar; 0 when no ray hits anything.

    Example:
        >>> one = torch.tensor([1.0])  # half of the weight at 1 m, half at 3 m
        >>> ray_spread_loss(2 * one, 5 * one, one).item()
        0.25
    """
    used = (alpha > 0.01) & (first_m > 0)
    first, total = torch.where(used, first_m, 1.0), torch.where(used, alpha, 1.0)
    relative = (total * torch.where(used, second_m2, 1.0) / first.square() - 1).clamp(min=0)
    return (relative * total.detach() * used).mean()
