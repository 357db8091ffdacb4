# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Stamps follow nuScenes: trigger offsets inside a turn, 50 and 100 ms between cycles, key frames at 2 Hz."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gsocc_core.errors import ConfigError
from gsocc_core.synthetic.sensors.rig import CAMERA_NAMES, LIDAR_NAME, TRIGGER_OFFSET_MS
from gsocc_core.synthetic.sensors.schedule import key_frame_count, make_schedule

START_US = 1_600_000_000_000_000


def schedule(duration_s=20.0, sweeps=True, seed=0):
    return make_schedule(np.random.default_rng(seed), duration_s, START_US, sweeps)


def test_rates_and_cycles():
    drive = schedule()
    assert len(drive.key_stamps_us) == 40
    lidar = np.diff([shot.stamp_us for shot in drive.channel(LIDAR_NAME)])
    assert np.abs(lidar - 50_000).max() < 2_000
    for name in CAMERA_NAMES:
        steps = np.diff([shot.stamp_us for shot in drive.channel(name)])
        rounded = np.round(steps / 50_000).astype(int)
        assert np.abs(steps - rounded * 50_000).max() < 2_000
        assert set(rounded) == {1, 2}
        assert 1e6 / steps.mean() == pytest.approx(12, abs=0.1)
    assert np.abs(np.diff(drive.key_stamps_us) - 500_000).max() < 2_000


def test_cameras_of_a_key_frame_fire_at_their_offsets_just_before_the_lidar_stamp():
    drive = schedule()
    for i, lidar_stamp in enumerate(drive.key_stamps_us):
        cycle = {s.channel: s.stamp_us for s in drive.shots if s.is_key_frame and s.key_index == i}
        assert set(cycle) == {*CAMERA_NAMES, LIDAR_NAME}
        for name in CAMERA_NAMES:
            expected = lidar_stamp - 43_100 + TRIGGER_OFFSET_MS[name] * 1000
            assert abs(cycle[name] - expected) < 2_500


@settings(deadline=None, max_examples=50)
@given(duration_s=st.floats(0.06, 25), sweeps=st.booleans(), seed=st.integers(0, 5))
def test_stamps_ascend_inside_the_drive_and_sweeps_belong_to_the_following_key_frame(duration_s, sweeps, seed):
    drive = schedule(duration_s, sweeps, seed)
    stamps = [shot.stamp_us for shot in drive.shots]
    assert stamps == sorted(stamps)
    assert drive.time_s(stamps[0]) >= 0
    assert drive.time_s(stamps[-1]) <= duration_s
    assert len(drive.key_stamps_us) == key_frame_count(duration_s)
    for shot in drive.shots:
        assert shot.is_key_frame or sweeps
        if not shot.is_key_frame:
            assert drive.key_stamps_us[shot.key_index - 1] < shot.stamp_us < drive.key_stamps_us[shot.key_index]


def test_key_frames_have_the_same_stamps_with_and_without_sweeps():
    with_sweeps = [shot for shot in schedule(3.0).shots if shot.is_key_frame]
    assert with_sweeps == list(schedule(3.0, sweeps=False).shots)


def test_lengths():
    assert key_frame_count(0.06) == 1
    assert key_frame_count(10.5) == 21
    for wrong in (0.0, -1.0, float("nan"), float("inf"), 601.0):
        with pytest.raises(ConfigError, match="duration_s"):
            key_frame_count(wrong)
