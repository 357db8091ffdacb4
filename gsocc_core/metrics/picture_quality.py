# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""How like a picture is to the true one: PSNR, and SSIM as its authors have it."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from gsocc_core.errors import ShapeError

#: Width of SSIM's window and its standard deviation, pixels, and its two constants for values 0..1 (section III.B).
_WINDOW_PX, _SIGMA_PX, _C1, _C2 = 11, 1.5, 0.01**2, 0.03**2


def psnr_db(picture: Tensor, truth: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each picture.

    Args:
        picture: (..., C, H, W); values are clamped to 0..1.
        truth: The same shape, 0..1.

    Returns:
        (...) decibels; infinite where both are the same.

    Raises:
        ShapeError: shapes differ.

    Example:
        >>> round(psnr_db(torch.full((3, 4, 4), 0.6), torch.full((3, 4, 4), 0.5)).item(), 4)
        20.0
    """
    _check(picture, truth)
    error = (picture.double().clamp(0, 1) - truth.double()).square().mean((-3, -2, -1))
    return (-10 * error.log10()).to(picture)


def ssim(picture: Tensor, truth: Tensor) -> Tensor:
    """Structural similarity of each picture (Wang et al. 2004), mean over channels and all whole windows.

    Windows are Gaussian, 11 x 11 pixels with a standard deviation of 1.5; in smaller pictures as large as fits.

    Args:
        picture: (..., C, H, W); values are clamped to 0..1.
        truth: The same shape, 0..1.

    Returns:
        (...) at most 1.

    Raises:
        ShapeError: shapes differ.

    Example:
        >>> grey = torch.full((3, 16, 16), 0.5)
        >>> ssim(grey, grey).item()
        1.0
    """
    _check(picture, truth)
    leading = picture.shape[:-3]
    flat = [t.double().clamp(0, 1).reshape(-1, 1, *t.shape[-2:]) for t in (picture, truth)]
    x, y = flat
    windows = [_window(side, x.device) for side in x.shape[-2:]]
    moments = torch.stack([x, y, x * x, y * y, x * y]).flatten(0, 1)
    moments = functional.conv2d(
        functional.conv2d(moments, windows[0][None, None, :, None]), windows[1][None, None, None]
    )
    mx, my, xx, yy, xy = moments.unflatten(0, (5, -1))
    over = (2 * mx * my + _C1) * (2 * (xy - mx * my) + _C2)
    under = (mx * mx + my * my + _C1) * (xx - mx * mx + yy - my * my + _C2)
    return (over / under).mean((-3, -2, -1)).reshape(*leading, -1).mean(-1).to(picture)


def _window(side: int, device: torch.device) -> Tensor:
    """One side of a window."""
    count = min(_WINDOW_PX, side - (side + 1) % 2)
    places = torch.arange(count, dtype=torch.float64, device=device) - (count - 1) / 2
    weights = (-0.5 * (places / _SIGMA_PX) ** 2).exp()
    return weights / weights.sum()


def mean_of(values: list[float]) -> float:
    """Mean of scores of pictures; nan when there is none."""
    return sum(values) / len(values) if values else math.nan


def _check(picture: Tensor, truth: Tensor) -> None:
    if picture.shape != truth.shape or picture.ndim < 3:
        raise ShapeError("picture quality", "picture", f"(..., C, H, W) as truth, {tuple(truth.shape)}", picture.shape)
