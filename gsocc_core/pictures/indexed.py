# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures in 255 colours, of which those that mean something are exact."""

from __future__ import annotations

import numpy as np
from PIL import Image

from gsocc_core.errors import ShapeError

#: Places in a palette: at most so many for exact colours, and so many for what a picture holds besides.
_EXACT, _REST = 127, 128
_BLOCK = 16384
#: So many pixels across or down tell what colours a picture holds besides; more cost time and change little.
_LOOK = 400


def index_picture(picture: Image.Image, exact: np.ndarray) -> Image.Image:
    """A picture with a palette of its own: every pixel takes the nearest colour of it, without dithering.

    Args:
        picture: RGB.
        exact: (N, 3) uint8 colours that belong to the palette as they are. Where they are too many, those that occur in
            the picture come first, and then the earlier ones.

    Returns:
        A picture of mode P with at most 255 colours.

    Raises:
        ShapeError: the colours are not (N, 3) uint8.

    Example:
        >>> noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
        >>> noise[5, 7] = (255, 220, 0)
        >>> index_picture(Image.fromarray(noise), np.array([[255, 220, 0]], np.uint8)).convert("RGB").getpixel((7, 5))
        (255, 220, 0)
    """
    if exact.ndim != 2 or exact.shape[1] != 3 or exact.dtype != np.uint8:
        raise ShapeError("index_picture", "exact", "(N, 3) uint8", f"{exact.shape} {exact.dtype}")
    picture = picture.convert("RGB")
    codes = _codes(np.asarray(picture))
    occurs = np.zeros(1 << 24, bool)
    occurs[codes] = True
    first = np.argsort(~occurs[_codes(exact)], kind="stable")[:_EXACT]
    few = picture.copy()
    few.thumbnail((_LOOK, _LOOK), Image.Resampling.NEAREST)
    rest = few.quantize(_REST, dither=Image.Dither.NONE).getpalette() or []
    # Equal distances go to the earlier one, an exact colour.
    palette = np.concatenate([exact[first], np.asarray(rest, np.uint8).reshape(-1, 3)])
    used = np.flatnonzero(occurs)
    nearest = np.empty(1 << 24, np.uint8)
    for start in range(0, len(used), _BLOCK):
        part = used[start : start + _BLOCK]
        nearest[part] = _nearest(part, palette)
    indexed = Image.fromarray(nearest[codes])
    indexed.putpalette(palette.tobytes())
    return indexed


def _codes(colors: np.ndarray) -> np.ndarray:
    """(..., 3) uint8 as one number each."""
    wide = colors.astype(np.int32)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


def _nearest(codes: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """(N,) places in a palette (K, 3); squared distances are whole numbers, which float32 holds exactly."""
    colors = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], 1).astype(np.float32)
    entries = palette.astype(np.float32)
    return ((entries**2).sum(1) - 2 * colors @ entries.T).argmin(1).astype(np.uint8)
