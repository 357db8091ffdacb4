# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""When each sensor of a drive fires: LiDAR at 20 Hz, camera cycles 50 or 100 ms apart, key frames at 2 Hz."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gsocc_core.errors import ConfigError
from gsocc_core.synthetic.sensors.rig import CAMERA_NAMES, LIDAR_NAME, LIDAR_OFFSET_MS, TRIGGER_OFFSET_MS

TURN_US = 50_000
TURNS_PER_KEY_FRAME = 10
#: Turns of a key-frame period in which the cameras fire: 100, 50, 100, 100, 50, 100 ms apart, 12 Hz on average.
CAMERA_TURNS = (0, 2, 3, 5, 7, 8)
_FIRST_TURN_US = TURN_US  # so that the first camera of the first cycle still fires after the drive begins
_JITTER_US = 300.0


@dataclass(frozen=True)
class Shot:
    """One sensor reading.

    Attributes:
        channel: Sensor name.
        stamp_us: Time stamp, microseconds.
        key_index: Key frame that the reading belongs to; readings between key frames belong to the one that follows.
        is_key_frame: The reading is part of that key frame itself.
    """

    channel: str
    stamp_us: int
    key_index: int
    is_key_frame: bool


@dataclass(frozen=True)
class Schedule:
    """All readings of one drive.

    Attributes:
        start_us: Time stamp of drive time 0, microseconds.
        shots: Readings in the order of their stamps.
        key_stamps_us: LIDAR_TOP's stamp of every key frame: the time that boxes and labels refer to.
    """

    start_us: int
    shots: tuple[Shot, ...]
    key_stamps_us: tuple[int, ...]

    def time_s(self, stamp_us: int) -> float:
        """Drive time of a stamp, seconds."""
        return (stamp_us - self.start_us) * 1e-6

    def channel(self, name: str) -> tuple[Shot, ...]:
        """Readings of one sensor in the order of their stamps."""
        return tuple(shot for shot in self.shots if shot.channel == name)


def key_frame_count(duration_s: float) -> int:
    """Number of key frames in a drive.

    Args:
        duration_s: Length of the drive, seconds.

    Raises:
        ConfigError: the drive is too short for one key frame, or longer than ten minutes.

    Example:
        >>> key_frame_count(20.0)
        40
    """
    last_us = duration_s * 1e6 - _FIRST_TURN_US - 1000.0 if np.isfinite(duration_s) else -1.0
    if last_us < 0 or duration_s > 600:
        raise ConfigError("synthesize", "duration_s", "0.06 to 600 seconds", duration_s)
    return int(last_us // (TURN_US * TURNS_PER_KEY_FRAME)) + 1


def make_schedule(
    rng: np.random.Generator, duration_s: float, start_us: int, sweeps: bool = True, lidar_sweeps: bool = True
) -> Schedule:
    """Lay out the time stamps of a drive.

    The trigger offsets inside a cycle and the 50 / 100 ms pattern between cycles are those of nuScenes. Every stamp
    has a jitter well below a millisecond. The same ``rng`` gives key frames the same stamps with and without sweeps.

    Args:
        rng: Source of the jitter.
        duration_s: Length of the drive, seconds.
        start_us: Time stamp of the beginning, microseconds.
        sweeps: Keep the readings between key frames.
        lidar_sweeps: Keep those of the LiDAR, too.

    Returns:
        The schedule, from the first to the last key frame.

    Raises:
        ConfigError: ``duration_s`` is out of range.

    Example:
        >>> schedule = make_schedule(np.random.default_rng(0), 1.0, start_us=0)
        >>> len(schedule.key_stamps_us), len(schedule.channel("LIDAR_TOP")), len(schedule.channel("CAM_BACK"))
        (2, 11, 7)
    """
    count = key_frame_count(duration_s)
    shots: list[Shot] = []
    for turn in range((count - 1) * TURNS_PER_KEY_FRAME + 1):
        turn_us = start_us + _FIRST_TURN_US + turn * TURN_US
        jitter = np.clip(rng.normal(0.0, _JITTER_US, 1 + len(CAMERA_NAMES)), -3 * _JITTER_US, 3 * _JITTER_US)
        is_key = turn % TURNS_PER_KEY_FRAME == 0
        if not is_key and not sweeps:
            continue
        key_index = -(-turn // TURNS_PER_KEY_FRAME)
        if is_key or lidar_sweeps:
            shots.append(Shot(LIDAR_NAME, turn_us + round(jitter[0]), key_index, is_key))
        if turn % TURNS_PER_KEY_FRAME in CAMERA_TURNS:
            for name, shift in zip(CAMERA_NAMES, jitter[1:], strict=True):
                delay_us = (TRIGGER_OFFSET_MS[name] - LIDAR_OFFSET_MS) * 1000.0
                shots.append(Shot(name, turn_us + round(delay_us + shift), key_index, is_key))
    shots.sort(key=lambda shot: (shot.stamp_us, shot.channel))
    key_stamps = tuple(shot.stamp_us for shot in shots if shot.channel == LIDAR_NAME and shot.is_key_frame)
    return Schedule(start_us, tuple(shots), key_stamps)
