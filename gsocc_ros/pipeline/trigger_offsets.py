# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Estimates when each camera of a rig fires relative to a reference camera, from stamps alone."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Mapping, Sequence
from statistics import median


def estimate_offset_ns(
    reference_ns: Sequence[int], stamps_ns: Sequence[int], window_ns: int = 120_000_000, width_ns: int = 8_000_000
) -> int | None:
    """Most constant time difference between two cameras.

    Every difference within the window is a candidate. The right one occurs at (nearly) every reference picture, while
    differences to a neighbouring cycle occur only where the cycles happen to be that far apart. Among candidates that
    are about as frequent as the best one, the smallest is taken.

    Args:
        reference_ns: Stamps of the reference camera, nanoseconds.
        stamps_ns: Stamps of the other camera, nanoseconds.
        window_ns: Largest difference considered.
        width_ns: Differences this close count as the same one.

    Returns:
        The offset in nanoseconds, positive = fires later; None when fewer than half of the pictures agree on one.

    Example:
        >>> cycles = [0, 50, 150, 200, 300, 400]
        >>> estimate_offset_ns([t * 10**6 for t in cycles], [(t + 35) * 10**6 for t in cycles])
        35000000
    """
    stamps = sorted(stamps_ns)
    differences = sorted(
        stamp - r
        for r in reference_ns
        for stamp in stamps[bisect_left(stamps, r - window_ns) : bisect_right(stamps, r + window_ns)]
    )
    candidates: list[tuple[int, int]] = []  # (how many, offset)
    end = 0
    for start, low in enumerate(differences):
        while end < len(differences) and differences[end] - low <= width_ns:
            end += 1
        candidates.append((end - start, round(median(differences[start:end]))))
    if not candidates:
        return None
    most = max(count for count, _ in candidates)
    if 2 * most < min(len(reference_ns), len(stamps_ns)):
        return None
    frequent = [(abs(offset), -count, offset) for count, offset in candidates if count >= 0.85 * most]
    closest = min(frequent)[0]
    # Neighbouring windows cover parts of one cluster: the fullest one near the closest has the best median.
    return min((negative, size, offset) for size, negative, offset in frequent if size <= closest + width_ns)[2]


class OffsetEstimator:
    """Collects the last stamps of every camera and estimates the offsets that are not known yet.

    Args:
        cameras: All names.
        anchor: The camera whose offset counts as zero unless another one is known.
        duration_ns: Stamps must span this long before anything is estimated.
        history: Stamps kept per camera.
    """

    def __init__(
        self, cameras: Sequence[str], anchor: str, duration_ns: int = 2_000_000_000, history: int = 256
    ) -> None:
        self._stamps: dict[str, deque[int]] = {name: deque(maxlen=history) for name in cameras}
        self._anchor = anchor
        self._duration_ns = duration_ns

    def add(self, camera: str, stamp_ns: int) -> None:
        """Remember one stamp."""
        self._stamps[camera].append(stamp_ns)

    def estimate(self, known_ns: Mapping[str, int]) -> dict[str, int]:
        """Offsets of cameras that are not in ``known_ns`` and can be estimated by now."""
        ready = [name for name, stamps in self._stamps.items() if self._spans(stamps)]
        unknown = [name for name in ready if name not in known_ns]
        if not unknown:
            return {}
        found: dict[str, int] = {}
        reference = self._anchor
        if reference not in ready:
            others = [name for name in ready if name in known_ns]
            if not others:
                return {}
            reference = others[0]
        zero = known_ns.get(reference, 0)
        for name in unknown:
            offset = 0 if name == reference else estimate_offset_ns(self._stamps[reference], self._stamps[name])
            if offset is not None:
                found[name] = zero + offset
        return found

    def _spans(self, stamps: deque[int]) -> bool:
        return len(stamps) >= 5 and max(stamps) - min(stamps) >= self._duration_ns
