# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A picture gets the map of its own stamp or its nearest one; no set waits longer than the synchroniser does."""

import pytest

from gsocc_ros.pipeline.depth_pairs import IN_VAIN, DepthPairs
from gsocc_ros.pipeline.synchronizer import Frame, SyncedSet

MS = 1_000_000
PERIOD = 100 * MS


def one_set(stamp, cameras=("front",), epoch=0):
    return SyncedSet({name: Frame(stamp, f"{name} {stamp}") for name in cameras}, (), stamp, "anchor", epoch)


class Stream:
    """A robot that sends pictures and maps; sets are complete at once."""

    def __init__(self, depths=("front",), cameras=("front",)):
        self.pairs = DepthPairs(depths, 40 * MS, 500 * MS)
        self.cameras, self.awaited = cameras, []

    def pictures(self, stamp):
        for name in self.cameras:
            self.pairs.picture(name, stamp)
        self.awaited.append(self.pairs.begin(one_set(stamp, self.cameras)))
        return self.awaited[-1]

    def depth(self, stamp, name="front"):
        self.pairs.push(name, stamp, f"depth {stamp}", self.awaited)

    def warmed_up(self):
        """The frame period is known."""
        for k in range(5):
            self.pictures(k * PERIOD)
            self.depth(k * PERIOD)
        self.awaited.clear()
        return self


def payload(awaited, name="front"):
    found = awaited.paired.depths.get(name)
    return None if found is None else found.payload


@pytest.mark.parametrize("first", ["depth", "picture"])
def test_the_same_stamp_pairs_at_once_whichever_comes_first(first):
    stream = Stream()
    if first == "depth":
        stream.depth(7 * MS)
        awaited = stream.pictures(7 * MS)
    else:
        awaited = stream.pictures(7 * MS)
        assert not stream.pairs.is_settled(awaited)
        stream.depth(7 * MS)
    assert stream.pairs.is_settled(awaited)
    assert payload(awaited) == f"depth {7 * MS}"


@pytest.mark.parametrize(("offset_ms", "found"), [(-49, True), (49, True), (-51, False), (51, False)])
def test_the_nearest_map_may_be_half_a_frame_period_away(offset_ms, found):
    stream = Stream().warmed_up()
    stamp = 5 * PERIOD
    stream.depth(stamp + offset_ms * MS)
    awaited = stream.pictures(stamp)
    assert stream.pairs.is_settled(awaited) == (offset_ms > 0), "an earlier one may still be followed by a better one"
    stream.depth(stamp + 60 * MS)
    assert stream.pairs.is_settled(awaited)
    assert payload(awaited) == (f"depth {stamp + offset_ms * MS}" if found else None)
    stream.pairs.count(awaited)
    assert stream.pairs.incomplete == (not found)


def test_a_nearer_map_wins_and_no_later_one_takes_its_place():
    stream = Stream().warmed_up()
    stamp = 5 * PERIOD
    stream.depth(stamp - 30 * MS)
    awaited = stream.pictures(stamp)
    stream.depth(stamp + 10 * MS)
    stream.depth(stamp + 40 * MS)
    assert payload(awaited) == f"depth {stamp + 10 * MS}"


def test_the_first_picture_knows_no_period_and_takes_its_own_stamp_only():
    stream = Stream()
    awaited = stream.pictures(PERIOD)
    stream.depth(PERIOD + 1)
    assert stream.pairs.is_settled(awaited)
    assert payload(awaited) is None


def test_a_late_map_stalls_no_set_beyond_the_deadline():
    stream = Stream(cameras=("front", "rear")).warmed_up()
    awaited = stream.pictures(5 * PERIOD)
    stream.pairs.picture("rear", 5 * PERIOD + 40 * MS)
    assert not stream.pairs.is_settled(awaited)
    stream.pairs.picture("rear", 5 * PERIOD + 41 * MS)  # of any of the set's cameras
    assert stream.pairs.is_settled(awaited)
    assert payload(awaited) is None


def test_cameras_that_fire_late_in_the_cycle_are_not_overdue():
    pairs = DepthPairs(("left",), 40 * MS, 500 * MS)
    pairs.picture("left", 0)
    pairs.picture("right", 45 * MS)
    frames = {"left": Frame(0, "l"), "right": Frame(45 * MS, "r")}
    assert not pairs.is_settled(pairs.begin(SyncedSet(frames, (), 0, "anchor", 0)))


def test_depth_that_stays_away_is_not_waited_for_until_it_is_back():
    stream = Stream().warmed_up()
    for k in range(5, 5 + IN_VAIN):
        awaited = stream.pictures(k * PERIOD)
        assert not stream.pairs.is_settled(awaited)
        stream.pairs.count(awaited)
    assert stream.pairs.incomplete == IN_VAIN
    assert stream.pairs.is_settled(stream.pictures(10 * PERIOD))
    stream.depth(11 * PERIOD - 2 * MS)
    awaited = stream.pictures(11 * PERIOD)
    assert not stream.pairs.is_settled(awaited)
    stream.depth(11 * PERIOD)
    assert payload(awaited) == f"depth {11 * PERIOD}"


@pytest.mark.parametrize("first", ["depth", "picture"])
def test_a_jump_back_in_time_pairs_anew(first):
    stream = Stream()
    for k in range(20, 30):
        stream.pictures(k * PERIOD)
        stream.depth(k * PERIOD)
    stream.awaited.clear()
    if first == "depth":
        stream.depth(0)
        awaited = stream.pictures(0)
    else:
        awaited = stream.pictures(0)
        assert not stream.pairs.is_settled(awaited), "the old epoch's maps say nothing about this picture"
        stream.depth(0)
    assert stream.pairs.is_settled(awaited)
    assert payload(awaited) == "depth 0"


def test_only_cameras_with_depth_are_paired_and_counted():
    stream = Stream(depths=("front",), cameras=("front", "rear"))
    awaited = stream.pictures(0)
    stream.depth(0, "rear")
    stream.depth(0)
    assert dict.fromkeys(awaited.paired.depths, 1) == {"front": 1}
    stream.pairs.count(awaited)
    assert stream.pairs.incomplete == 0
    nothing = DepthPairs((), 40 * MS, 500 * MS)
    assert nothing.is_settled(nothing.begin(one_set(0)))
    missing = stream.pairs.begin(one_set(PERIOD, ("rear",)))
    assert stream.pairs.is_settled(missing), "a missing picture waits for no map"
