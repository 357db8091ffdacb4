# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Which camera's stamps do not fit the others', and by how much. Plain Python, calls nobody."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import median

from gsocc_ros.pipeline.trigger_offsets import estimate_offset_ns

#: Stamps of one clock lie closer together than this, nanoseconds, or three pictures of the slowest camera.
FAR_NS = 1_000_000_000
#: Stamps per camera that are looked at, and the fewest that say when it fires.
KEPT, LEAST = 32, 8


class StampWatch:
    """Remembers the last stamps of every camera and compares them.

    Args:
        cameras: Names; the first one decides where clocks are divided evenly.

    Example:
        >>> watch = StampWatch(("front", "left", "rear"))
        >>> for k in range(3):
        ...     for name, ahead_s in (("front", 0), ("left", 3600), ("rear", 0)):
        ...         watch.add(name, (1000 + ahead_s) * 10**9 + k * 10**8)
        >>> watch.faults({}, tolerance_ns=10_000_000)
        {'left': "its stamps are 3600.0 s ahead of the other cameras'"}
    """

    def __init__(self, cameras: Sequence[str]) -> None:
        self._stamps: dict[str, deque[int]] = {name: deque(maxlen=KEPT) for name in cameras}

    def add(self, camera: str, stamp_ns: int) -> None:
        """Remember one stamp; a jump back begins anew."""
        stamps = self._stamps[camera]
        if stamps and stamp_ns < stamps[-1] - FAR_NS:
            stamps.clear()
        stamps.append(stamp_ns)

    def faults(self, offsets_ns: Mapping[str, int], tolerance_ns: int) -> dict[str, str]:
        """What is wrong with stamps at present.

        Args:
            offsets_ns: Trigger offsets of cameras; others are not judged by when they fire.
            tolerance_ns: Largest difference of stamps minus offsets inside a set.

        Returns:
            Per camera a sentence with the figure; nothing of cameras whose stamps fit.
        """
        newest = {name: stamps[-1] for name, stamps in self._stamps.items() if stamps}
        found = {name: "its stamps are 0" for name, stamp in newest.items() if stamp == 0}
        running = {name: stamp for name, stamp in newest.items() if stamp != 0}
        together = self._largest_group(running)
        for name in running.keys() - set(together):
            gap_s = (running[name] - median(running[other] for other in together)) * 1e-9
            found[name] = f"its stamps are {abs(gap_s):.1f} s {_side(gap_s)} the other cameras'"
        for name, error_ns in self._trigger_errors(together, offsets_ns).items():
            if abs(error_ns) > tolerance_ns:
                late = "later" if error_ns > 0 else "earlier"
                found[name] = (
                    f"it fires {abs(error_ns) * 1e-6:.1f} ms {late} than its trigger_offset_ms says, beside the other "
                    f"cameras; tolerance_ms is {tolerance_ns * 1e-6:g}"
                )
        return {name: found[name] for name in self._stamps if name in found}

    def _largest_group(self, newest: Mapping[str, int]) -> list[str]:
        far_ns = max(FAR_NS, *(3 * self._cycle_ns(name) for name in newest), 0)
        groups = [[b for b in newest if abs(newest[b] - newest[a]) <= far_ns] for a in newest]
        return max(groups, key=len, default=[])

    def _cycle_ns(self, camera: str) -> float:
        stamps = self._stamps[camera]
        return median(b - a for a, b in pairwise(stamps)) if len(stamps) > 1 else 0.0

    def _trigger_errors(self, cameras: Sequence[str], offsets_ns: Mapping[str, int]) -> dict[str, float]:
        """How much later than stated each camera fires, beside the most of them, nanoseconds."""
        judged = [name for name in cameras if name in offsets_ns and len(self._stamps[name]) >= LEAST]
        if len(judged) < 2:
            return {}
        first = judged[0]
        cycle = self._cycle_ns(first)
        errors: dict[str, float] = {first: 0.0}
        for name in judged[1:]:
            measured = estimate_offset_ns(self._stamps[first], self._stamps[name])
            if measured is not None and cycle > 0:
                error = measured - (offsets_ns[name] - offsets_ns[first])
                errors[name] = error - cycle * round(error / cycle)
        ordinary = sorted(errors.values())[(len(errors) - 1) // 2]
        return {name: error - ordinary for name, error in errors.items()}


def _side(gap_s: float) -> str:
    return "ahead of" if gap_s > 0 else "behind"
