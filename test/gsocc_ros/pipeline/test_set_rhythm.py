# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""When a worker waits for the next set, and what that is worth."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsocc_ros.pipeline.set_rhythm import SLACK, WORTH, SetRhythm


def run(period_s, work_s, waits, lag_s=0.0, until_s=20.0, spike_s=None):
    """A worker beside sets that complete every period and are ready a lag later: (when taken, when complete).

    Every twentieth set takes ``spike_s`` instead of ``work_s``.
    """
    rhythm, complete, taken, now, last = SetRhythm(), [], [], 0.0, -1.0

    def go_to(time_s):
        nonlocal now
        while (due := len(complete) * period_s) <= time_s:
            complete.append(due)
            rhythm.completed(due)
        now = time_s

    while now < until_s:
        hold_s = rhythm.hold_s(now) if waits else 0.0
        ready = [at for at in complete if at > last and at + lag_s <= now]
        if ready and (hold_s == 0 or (rhythm.has_fresh and ready[-1] == complete[-1])):
            last = ready[-1]
            taken.append((now, last))
            rhythm.taken(now, is_newest=last == complete[-1])
            go_to(now + (work_s if spike_s is None or len(taken) % 20 else spike_s))
            rhythm.worked(now)
            continue
        events = [len(complete) * period_s, *(at + lag_s for at in complete if at + lag_s > now)]
        go_to(min([*events, *([now + hold_s] if hold_s else [])]))
    return taken


def age_of_what_is_known(taken, work_s):
    """How old the newest result is, averaged over time."""
    area, begin = 0.0, taken[0][0] + work_s
    for (start, complete), (next_start, _) in pairwise(taken):
        came, gone = start + work_s, next_start + work_s
        area += (gone - came) * ((came + gone) / 2 - complete)
    return area / (taken[-1][0] + work_s - begin)


@given(st.floats(0.02, 0.5), st.floats(0.1, 6.0))
def test_what_is_known_is_not_older_than_without_waiting(period_s, works):
    work_s = works * period_s
    waiting, greedy = (run(period_s, work_s, waits, until_s=100 * period_s) for waits in (True, False))
    assert age_of_what_is_known(waiting, work_s) <= 1.01 * age_of_what_is_known(greedy, work_s)
    oldest_s = max(at - complete for at, complete in waiting[8:])
    assert oldest_s <= (1 - WORTH) * period_s + 1e-6


@given(st.floats(0.05, 0.6), st.floats(1.0, 1.39))
def test_one_slow_prediction_costs_no_set(works, spike):
    """Whoever is done with a set that came meanwhile before the next one comes begins with it at once."""
    taken = run(0.1, 0.1 * works, True, spike_s=0.1 * spike)
    assert [round(b[1] / 0.1) - round(a[1] / 0.1) for a, b in pairwise(taken)] == [1] * (len(taken) - 1)


@given(st.floats(0.02, 0.5), st.floats(0.05, 0.98))
def test_a_worker_that_keeps_up_takes_every_set_at_once(period_s, works):
    taken = run(period_s, works * period_s, True)
    assert all(at == complete for at, complete in taken)
    assert [round(b[1] / period_s) - round(a[1] / period_s) for a, b in pairwise(taken)] == [1] * (len(taken) - 1)


def test_ten_sets_per_second_and_two_tenths_of_work():
    """The demo model on two cores: every second set is fresh, the others as old as the work on it took too long."""
    ages = [round(at - complete, 3) for at, complete in run(0.1, 0.22, True)[10:]]
    assert ages[:2] in ([0.0, 0.02], [0.02, 0.0])
    assert set(ages) == {0.0, 0.02}


@given(st.floats(0.2, 0.9), st.floats(1.0, 3.0))
def test_sets_that_are_ready_late_are_not_waited_for_again_and_again(lag, works):
    """A wait ends without a ready set once in a while, and no set is held back for longer than the wait."""
    period_s, work_s, lag_s = 0.1, 0.1 * works, 0.1 * lag
    waiting, greedy = (run(period_s, work_s, waits, lag_s, 40.0) for waits in (True, False))
    assert len(waiting) >= 0.9 * len(greedy) * work_s / (work_s + WORTH * period_s)
    longest_s = max(b[0] - a[0] - work_s for a, b in pairwise(waiting))
    assert longest_s <= (WORTH + SLACK) * period_s + lag_s + 1e-6


def test_the_next_set_that_stays_away_is_given_up():
    rhythm = SetRhythm()
    for k in range(6):
        rhythm.completed(0.1 * k)
    rhythm.taken(0.5)
    rhythm.worked(0.57)
    assert rhythm.hold_s(0.57) == pytest.approx(0.03 + SLACK * 0.1)
    assert rhythm.hold_s(0.62) == 0.0
    assert not rhythm.has_fresh


def test_a_set_that_is_only_just_complete_goes_before_an_older_one():
    """Its last transform is on its way; without it the older one is taken, and the next ones are not waited for."""
    rhythm = SetRhythm()
    for k in range(7):
        rhythm.completed(0.1 * k)
    rhythm.taken(0.4)
    rhythm.worked(0.605)
    assert rhythm.hold_s(0.605) == pytest.approx(SLACK * 0.1 - 0.005)
    assert rhythm.has_fresh
    assert rhythm.hold_s(0.62) == 0.0
    rhythm.taken(0.62, is_newest=False)
    rhythm.worked(0.805)
    assert rhythm.hold_s(0.805) == 0.0


def test_nothing_is_known_before_some_sets_came():
    rhythm = SetRhythm()
    for k in range(3):
        rhythm.completed(0.1 * k)
        rhythm.taken(0.1 * k)
        rhythm.worked(0.1 * k + 0.05)
        assert rhythm.hold_s(0.1 * k + 0.06) == 0.0
        assert rhythm.is_early(0.1 * k)


def test_pictures_that_come_towards_the_end_of_the_work_are_not_early():
    rhythm = SetRhythm()
    for k in range(6):
        rhythm.completed(0.1 * k)
    rhythm.taken(1.0)
    rhythm.worked(1.25)
    rhythm.taken(2.0)
    assert rhythm.is_early(2.14)
    assert not rhythm.is_early(2.16)
    rhythm.clear()
    assert rhythm.is_early(2.16)
