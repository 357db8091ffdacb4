# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A fixed part of a data set, for quick runs and ablations."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from gsocc_core.errors import ConfigError


def choose_fraction(names: Sequence[str], fraction: float, seed: int) -> set[str]:
    """Choose a part of some names, the same on every machine and in any order.

    Names are ranked by a hash of themselves and the seed. So 10 % are a part of 20 %, another order of the key frames
    chooses the same ones, and Occ3D and SurroundOcc, which share key frames, share the choice.

    Args:
        names: Different names.
        fraction: Part to keep, above 0 and at most 1; rounded down to whole names, but at least one is kept.
        seed: Chooses the part.

    Returns:
        The chosen names.

    Raises:
        ConfigError: ``fraction`` is out of range.

    Example:
        >>> names = [f"frame {i}" for i in range(28130)]
        >>> chosen = choose_fraction(names, 0.2, seed=0)
        >>> len(chosen), choose_fraction(names[::-1], 0.1, seed=0) < chosen
        (5626, True)
    """
    if not 0 < fraction <= 1:
        raise ConfigError("data", "fraction", "above 0 and at most 1", fraction)
    if fraction == 1:
        return set(names)
    # Rounded first: 0.2 * 15 must not lose a name to 2.9999999.
    count = max(int(round(fraction * len(names), 6)), 1)
    ranked = sorted(names, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
    return set(ranked[:count])
