# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Random light: cameras of one rig differ in exposure, and a network should not care."""

from __future__ import annotations

import numpy as np


def jitter(pictures: np.ndarray, seed: int, strength: float) -> np.ndarray:
    """Change brightness, contrast and gamma of every picture at random, each by its own draw.

    Args:
        pictures: (V, H, W, 3) uint8.
        seed: The same seed gives the same change, whatever the pictures show.
        strength: Gain in 1 -+ strength, offset in -+ strength / 4 of full scale, gamma in 2 ** -+strength.

    Returns:
        (V, H, W, 3) uint8.

    Example:
        >>> grey = np.full((2, 1, 1, 3), 128, np.uint8)
        >>> bool((jitter(grey, seed=0, strength=0.3) != 128).all())
        True
    """
    draws = np.random.default_rng((seed, 1)).uniform(-strength, strength, (len(pictures), 3))
    levels = np.linspace(0.0, 1.0, 256)
    result = np.empty_like(pictures)
    for picture, (gain, offset, gamma), out in zip(pictures, draws, result):
        # One table per picture: 256 powers instead of one per pixel.
        changed = np.clip((levels - 0.5) * (1 + gain) + 0.5 + offset / 4, 0, 1) ** (2.0**gamma)
        np.take(np.rint(255 * changed).astype(np.uint8), picture, out=out)
    return result
