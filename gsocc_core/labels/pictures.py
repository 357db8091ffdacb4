# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures as foundation models want them. Channels are RGB, in that order, all the way."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

#: Statistics of ImageNet, of values 0 ... 1, RGB.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def normalise(pictures: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """(B, 3, H, W) values 0 ... 255 of any type -> float32 ``(value / 255 - mean) / std`` per channel."""
    centre, width = (torch.tensor(list(v), device=pictures.device).view(1, 3, 1, 1) for v in (mean, std))
    return pictures.float() * (1 / (255 * width)) - centre / width


def shrink(pictures: Tensor, height: int, width: int, mode: str) -> Tensor:
    """Resize as Pillow does: averaging where it shrinks.

    Args:
        pictures: (B, 3, H, W) uint8.
        height: Pixels.
        width: Pixels.
        mode: bilinear or bicubic.

    Returns:
        (B, 3, height, width) float32, rounded to whole numbers and within 0 ... 255.
    """
    if tuple(pictures.shape[-2:]) == (height, width):
        return pictures.float()
    if pictures.device.type == "cpu":  # in whole numbers, as Pillow, ten times faster; there is no such kernel on a GPU
        return functional.interpolate(pictures, (height, width), mode=mode, antialias=True).float()
    resized = functional.interpolate(pictures.float(), (height, width), mode=mode, antialias=True)
    return resized.round_().clamp_(0, 255)


def multiple_size(
    height: int, width: int, target_height: int, target_width: int, multiple: int, keep_aspect: bool
) -> tuple[int, int]:
    """Input size of dense-prediction transformers (Ranftl et al. 2021), whose sides are multiples of the patch.

    Args:
        height: Height of the picture, pixels.
        width: Width of the picture, pixels.
        target_height: Wanted height, pixels.
        target_width: Wanted width, pixels.
        multiple: Sides become the nearest multiples of this.
        keep_aspect: Scale both sides alike, by whichever of the two factors is nearer to 1.

    Returns:
        Height and width, pixels.

    Example:
        >>> multiple_size(900, 1600, 518, 518, 14, keep_aspect=True)
        (518, 924)
    """
    scales = [target_height / height, target_width / width]
    if keep_aspect:
        scales = [min(scales, key=lambda scale: abs(1 - scale))] * 2
    rows, columns = (max(round(s * side / multiple), 1) * multiple for s, side in zip(scales, (height, width)))
    return rows, columns


def edge_size(height: int, width: int, shortest: int, longest: int) -> tuple[int, int]:
    """Input size of detectors: the short side is ``shortest`` pixels unless the long one would exceed ``longest``.

    Example:
        >>> edge_size(900, 1600, 800, 1333)
        (750, 1333)
    """
    short, long = sorted((height, width))
    scale = min(shortest / short, longest / long)
    rounded = max(1, math.floor(scale * short + 0.5)), max(1, math.floor(scale * long + 1e-6))
    return rounded if height <= width else (rounded[1], rounded[0])
