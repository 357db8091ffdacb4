# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""When the next set completes and the worker is free: what is worth a wait, or to be prepared. Calls nobody."""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from statistics import median

#: Intervals between sets whose median is the period, and the fewest that say what it is.
KEPT, LEAST = 8, 3
#: A set that is this share of a period away, or less, is waited for. What is published is then never older than without
#: waiting, averaged over time, however long a set is worked on; the higher the share, the fewer sets.
WORTH = 0.7
#: So much of a period later than expected, the next set is not waited for any longer; nor are transforms of the newest
#: one, so long after it completed.
SLACK = 0.15
#: So many sets go without a wait after one that was complete and yet not ready.
SUSPENDED = 16


class SetRhythm:
    """Learns how often sets complete and how long one is worked on.

    It says how long a worker that is free again should hold back, and which pictures it may take next.

    A worker that takes the newest set whenever it is free finds it half a period old on average. Times are seconds of
    one steady clock. A wait is decided once per set that was taken.

    Attributes:
        has_fresh: A set completed since the worker is free, or just before.

    Example:
        >>> rhythm = SetRhythm()
        >>> for k in range(5): rhythm.completed(0.1 * k)
        >>> rhythm.taken(0.4)
        >>> rhythm.worked(0.46)
        >>> round(rhythm.hold_s(0.46), 3)  # the next one comes in 40 ms, and may be 15 ms late
        0.055
        >>> rhythm.completed(0.5)
        >>> rhythm.has_fresh
        True
    """

    def __init__(self) -> None:
        self._completed: deque[float] = deque(maxlen=KEPT + 1)
        self._worked_s: deque[float] = deque(maxlen=KEPT)
        self.clear()

    def clear(self) -> None:
        """Time begins anew."""
        self._completed.clear()
        self._worked_s.clear()
        self._suspended, self._until, self._taken_s = 0, 0.0, 0.0
        self._undecided = self._held = self.has_fresh = False

    def completed(self, now_s: float) -> None:
        """A set is complete."""
        self._completed.append(now_s)
        self.has_fresh = not self._undecided

    def taken(self, now_s: float, is_newest: bool = True) -> None:
        """The worker has a set in hand; what completes meanwhile is old when it is free again.

        Args:
            now_s: Time.
            is_newest: No later set is complete. If one is, though it was waited for, then it lacks something (a
                transform), and so would the next ones: there is no wait for a while.
        """
        self._suspended = SUSPENDED if self._held and not is_newest else max(0, self._suspended - 1)
        self._undecided, self._held, self.has_fresh, self._taken_s = True, False, False, now_s

    def worked(self, now_s: float) -> None:
        """The worker is free again."""
        self._worked_s.append(now_s - self._taken_s)

    def is_early(self, now_s: float) -> bool:
        """While the worker has a set in hand: a picture that comes now is passed over, as far as can be foreseen.

        What the worker takes next came at most one period before: it has been complete for less than the share of a
        period that is not waited for, and its pictures came one after another.
        """
        if not self._worked_s or (period_s := self._period_s()) is None:
            return True
        return now_s < self._taken_s + median(self._worked_s) - period_s

    def hold_s(self, now_s: float) -> float:
        """How long to hold back unless a fresh set is ready; 0 = take what is there."""
        if self._undecided:
            self._until = self._decide(now_s)
            self._undecided, self._held = False, self._until > now_s
        return max(0.0, self._until - now_s)

    def _decide(self, now_s: float) -> float:
        period_s = self._period_s()
        if self._suspended or period_s is None or not self._worked_s:
            return now_s
        if now_s < (late_s := self._completed[-1] + SLACK * period_s):
            self.has_fresh = True  # though it may lack a transform, which is on its way
            return late_s
        expected_s = self._completed[-1] + period_s
        latest_s = expected_s + SLACK * period_s
        is_near = expected_s - WORTH * period_s <= now_s < latest_s
        # Who is done with the set at hand before the next one comes loses nothing by beginning at once.
        has_time = now_s + median(self._worked_s) <= expected_s
        return latest_s if is_near and not has_time else now_s

    def _period_s(self) -> float | None:
        if len(self._completed) <= LEAST:
            return None
        return median(later - earlier for earlier, later in pairwise(self._completed))
