# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""How far a robot drove, from the speeds that its wheels tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gsocc_core.errors import DataError

#: How a message of each type tells the velocity of the base (geometry_msgs/Vector3, m/s).
VELOCITIES: Mapping[str, Callable[[Any], Any]] = {
    "nav_msgs/msg/Odometry": lambda message: message.twist.twist.linear,
    "geometry_msgs/msg/TwistStamped": lambda message: message.twist.linear,
    "geometry_msgs/msg/TwistWithCovarianceStamped": lambda message: message.twist.twist.linear,
}
#: What is farther than this from a speed that was told has an unknown speed, nanoseconds.
_LONGEST_GAP_NS = 500_000_000


class Odometer:
    """Speeds over time, and the way between them: the integral of the speed, linear between two messages.

    Args:
        bag: The recording, for errors.
        topic: Where the speeds come from.
        message_type: Its type, a key of :data:`VELOCITIES`.

    Raises:
        DataError: the type tells no velocity.

    Example:
        >>> odometer = Odometer(Path("bag"), "/odom", "nav_msgs/msg/Odometry")
        >>> for second, speed in enumerate((0.0, 2.0, 2.0)):
        ...     odometer.add_speed(second * 400_000_000, speed)
        >>> round(odometer.travelled_m(800_000_000) - odometer.travelled_m(0), 3)
        1.2
    """

    def __init__(self, bag: Path, topic: str, message_type: str) -> None:
        if message_type not in VELOCITIES:
            raise DataError(bag, topic, f"one of {', '.join(VELOCITIES)}", message_type)
        self._bag, self._topic, self._velocity = bag, topic, VELOCITIES[message_type]
        #: How many velocities were no finite numbers.
        self.broken = 0
        self._stamps: list[int] = []
        self._speeds: list[float] = []
        self._ways: np.ndarray | None = None

    def add(self, stamp_ns: int, message: Any) -> None:
        """Take a message.

        Raises:
            DataError: see :meth:`add_speed`.
        """
        velocity = self._velocity(message)
        self.add_speed(stamp_ns, float(np.linalg.norm([velocity.x, velocity.y, velocity.z])))

    def add_speed(self, stamp_ns: int, speed_mps: float) -> None:
        """Take a speed, metres per second; one that is no finite number is counted and left out.

        Raises:
            DataError: its stamp is older than the one before.
        """
        if not np.isfinite(speed_mps):
            self.broken += 1
            return
        if self._stamps and stamp_ns < self._stamps[-1]:
            raise DataError(self._bag, self._topic, f"stamps that grow; after {self._stamps[-1]} ns", f"{stamp_ns} ns")
        self._stamps.append(stamp_ns)
        self._speeds.append(speed_mps)
        self._ways = None

    def travelled_m(self, stamp_ns: int) -> float:
        """Metres from the first message to a stamp; before it negative, at the nearest speed outside the recording.

        Raises:
            DataError: no speed was told within half a second of the stamp, or all of them are 0.
        """
        stamps = np.asarray(self._stamps, np.int64)
        near = int(np.abs(stamps - stamp_ns).min()) if len(stamps) else _LONGEST_GAP_NS + 1
        if near > _LONGEST_GAP_NS:
            span = f"{stamps[0]} ... {stamps[-1]} ns" if len(stamps) else "none"
            expected = f"velocities within {_LONGEST_GAP_NS / 1e9:g} s of every picture, so of {stamp_ns} ns"
            raise DataError(self._bag, self._topic, expected, f"{len(stamps)} of {span}")
        if not any(self._speeds):
            raise DataError(self._bag, self._topic, "a robot that drives", f"{len(stamps)} velocities of 0")
        seconds, speeds = (stamps - stamps[0]) * 1e-9, np.asarray(self._speeds)
        if self._ways is None:
            self._ways = np.concatenate([[0.0], np.cumsum(np.diff(seconds) * (speeds[1:] + speeds[:-1]) / 2)])
        at = (stamp_ns - stamps[0]) * 1e-9
        k = int(np.clip(np.searchsorted(stamps, stamp_ns, side="right") - 1, 0, len(stamps) - 1))
        speed = float(np.interp(at, seconds, speeds))
        return float(self._ways[k] + (at - seconds[k]) * (speeds[k] + speed) / 2)
