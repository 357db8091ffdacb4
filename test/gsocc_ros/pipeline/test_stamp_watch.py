# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A camera whose clock is wrong is named, with by how much; others are not."""

import random

import pytest

from gsocc_ros.pipeline.stamp_watch import StampWatch

MS = 1_000_000
START = 1_700_000_000_000 * MS
CAMERAS = ("front", "left", "rear", "right")
OFFSETS = {name: k * 20 * MS for k, name in enumerate(CAMERAS)}


def watched(errors_ms=(), cycles=40, cycle_ms=100, jitter_ms=0.0, start=START, cameras=CAMERAS, every=()):
    watch, chance = StampWatch(cameras), random.Random(1)
    for k in range(cycles):
        for name in cameras:
            if k % dict(every).get(name, 1):
                continue
            jitter = round(chance.uniform(-jitter_ms, jitter_ms) * MS)
            error = round(dict(errors_ms).get(name, 0) * MS)
            watch.add(name, start + k * cycle_ms * MS + OFFSETS[name] + jitter + error)
    return watch.faults({name: OFFSETS[name] for name in cameras}, 10 * MS)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"jitter_ms": 4.0},
        {"cycle_ms": 700},  # slow cameras
        {"every": {"front": 1, "left": 3, "rear": 3, "right": 3}},  # a fast one beside them
        {"errors_ms": {"left": 6}},  # less than the tolerance
        {"cycles": 2},
        {"cameras": ("front",)},
        {"start": 0, "cycles": 20},  # a simulation that begins there
    ],
)
def test_what_fits_is_not_told(how):
    assert watched(**how) == {}


@pytest.mark.parametrize("cycle_ms", [100, 50, 700])
@pytest.mark.parametrize(("error_ms", "words"), [(20, "20.0 ms later"), (-20, "20.0 ms earlier")])
@pytest.mark.parametrize("name", CAMERAS)
def test_a_camera_that_fires_at_another_time_than_stated_is_named(name, error_ms, words, cycle_ms):
    found = watched({name: error_ms}, cycle_ms=cycle_ms, jitter_ms=0.0)
    assert list(found) == [name]
    assert words in found[name]
    assert "tolerance_ms is 10" in found[name]


@pytest.mark.parametrize(("error_s", "words"), [(3600, "3600.0 s ahead of"), (-7200, "7200.0 s behind")])
def test_clocks_far_apart(error_s, words):
    for name in CAMERAS:
        found = watched({name: error_s * 1000})
        assert list(found) == [name]
        assert words in found[name]


def test_a_camera_that_gives_no_stamps():
    watch = StampWatch(CAMERAS)
    for k in range(20):
        for name in CAMERAS:
            watch.add(name, 0 if name == "rear" else START + k * 100 * MS)
    assert watch.faults({}, 10 * MS) == {"rear": "its stamps are 0"}


def test_after_a_loop_of_a_recording_the_new_time_counts():
    watch = StampWatch(CAMERAS)
    for loop in range(2):
        for k in range(40):
            for name in CAMERAS:
                watch.add(name, START + k * 100 * MS + OFFSETS[name])
        assert watch.faults(OFFSETS, 10 * MS) == {}, loop
