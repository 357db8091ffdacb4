# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Trigger offsets come out of stamps alone, under loss and jitter, for even and uneven cycles."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gsocc_ros.pipeline.trigger_offsets import OffsetEstimator, estimate_offset_ns

MS = 1_000_000


@settings(max_examples=60, deadline=None)
@given(
    offset_ms=st.floats(-45, 45),
    steps=st.lists(st.sampled_from([100, 150, 200]), min_size=3, max_size=9),
    loss=st.sampled_from([0.0, 0.1]),
    seed=st.integers(0, 2**31),
)
def test_the_offset_is_found_when_it_is_less_than_half_the_shortest_cycle(offset_ms, steps, loss, seed):
    random = np.random.default_rng(seed)
    cycles = np.cumsum([steps[i % len(steps)] for i in range(60)]) * MS
    reference = [int(t + random.normal(0, 0.5 * MS)) for t in cycles if random.random() >= loss]
    other = [int(t + offset_ms * MS + random.normal(0, 0.5 * MS)) for t in cycles if random.random() >= loss]
    assert estimate_offset_ns(reference, other) == pytest.approx(offset_ms * MS, abs=MS)


def test_unrelated_cameras_give_nothing():
    random = np.random.default_rng(1)
    a, b = (np.sort(random.integers(0, 60_000 * MS, 40)).tolist() for _ in range(2))
    assert estimate_offset_ns(a, b) is None
    assert estimate_offset_ns([0], []) is None


def test_nothing_is_estimated_before_the_time_is_up_and_known_offsets_stay():
    estimator = OffsetEstimator(("A", "B", "C"), "A")
    found = {}
    for cycle in range(30):
        for camera, shift in (("A", 0), ("B", 20)):
            estimator.add(camera, (cycle * 100 + shift) * MS)
            new = estimator.estimate({"A": 5 * MS, **found})
            assert not new or cycle >= 20
            found |= new
    assert found == {"B": 25 * MS}  # relative to the known offset of A; C was never seen


def test_another_known_camera_stands_in_for_a_silent_anchor():
    estimator = OffsetEstimator(("A", "B", "C"), "A")
    for cycle in range(30):
        estimator.add("B", cycle * 100 * MS)
        estimator.add("C", (cycle * 100 + 7) * MS)
    assert estimator.estimate({"B": 3 * MS}) == {"C": 10 * MS}
    assert estimator.estimate({}) == {}
