# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""tf2's buffer as the pipeline asks for transforms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tf2_ros
from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.time import Time

from gsocc_core.errors import DataError
from gsocc_core.geometry.rigid import rigid_from_quat
from gsocc_ros.pipeline.transform_buffer import TransformReader, TransformRecord, ancestors


class Tf2Transforms:
    """A :class:`tf2_ros.Buffer` that is told of /tf and /tf_static by the node's own subscriptions.

    tf2's listener would subscribe by itself, whatever the node's lifecycle state and without telling of QoS that does
    not match. When a link that somebody asks for jumps back in time (bag loop), the moving links are cleared; tf2 would
    drop the new transforms or mix them with the old ones. A link that nobody asks for is left out until its time is
    reached again: two publishers whose clocks differ cost what is asked for nothing.

    Args:
        history_ns: How long moving links are remembered.
        jump_ns: A step back of more than this is a jump.
        tell: Told of broken transforms, see :class:`~gsocc_ros.pipeline.transform_buffer.TransformReader`.
    """

    def __init__(
        self,
        history_ns: int = 10_000_000_000,
        jump_ns: int = 500_000_000,
        tell: Callable[[DataError], None] | None = None,
    ) -> None:
        self._buffer = tf2_ros.Buffer(cache_time=Duration(nanoseconds=history_ns))
        self._jump_ns = jump_ns
        self._reader = TransformReader(tell)
        self._parents: dict[str, str] = {}
        self._newest_ns: dict[str, int] = {}
        self._asked: set[tuple[str, str]] = set()  # pairs of frames that were looked up
        self._left_out: dict[str, TransformRecord] = {}  # the last one of every link that jumped back unasked

    def feed(self, message: Any, static: bool, topic: str = "/tf") -> None:
        """Take a tf2_msgs/TFMessage; broken transforms in it are told and left out."""
        for record in self._reader.read(message, topic):
            self._parents[record.child] = record.parent
            if static:
                self._buffer.set_transform_static(_as_message(record), "gsocc_ros")
                continue
            newest = self._newest_ns.get(record.child)
            if newest is not None and record.stamp_ns < newest - self._jump_ns:
                self._left_out[record.child] = record
                if self._is_asked(record.child):
                    self._begin_anew()
            elif newest != record.stamp_ns:  # tf2 warns of every repetition
                self._put(record)

    def _put(self, record: TransformRecord) -> None:
        self._newest_ns[record.child] = max(self._newest_ns.get(record.child, record.stamp_ns), record.stamp_ns)
        self._buffer.set_transform(_as_message(record), "gsocc_ros")

    def _is_asked(self, frame: str) -> bool:
        """Whether a pose that was looked up depends on the link from a frame to its parent."""
        chains = ((set(ancestors(f, self._parents.get)) for f in pair) for pair in self._asked)
        return any(frame in target ^ source for target, source in chains)  # what both are below cancels out

    def _begin_anew(self) -> None:
        self._buffer.clear()
        self._newest_ns.clear()
        for record in self._left_out.values():
            self._put(record)
        self._left_out.clear()

    def fault(self, target: str, source: str) -> str | None:
        """Why the newest pose of ``source`` in ``target`` is not known; None = it is."""
        try:
            self.lookup(target, source)
        except DataError as error:
            return str(error)
        return None

    def lookup(self, target: str, source: str, stamp_ns: int | None = None, tolerance_ns: int = 0) -> np.ndarray:
        """Pose of ``source`` in ``target``.

        Args:
            target: Frame to express the pose in.
            source: Frame whose pose is asked for.
            stamp_ns: When; None = the newest time at which all moving links between them are known.
            tolerance_ns: How far outside what is known the nearest pose still holds.

        Returns:
            (4, 4) float64 ``T_target_source``.

        Raises:
            DataError: a frame is unknown, the two are not connected, or a moving link is not known at that time.
        """
        target, source = target.lstrip("/"), source.lstrip("/")
        if target == source:
            return np.eye(4)
        if (target, source) not in self._asked:
            self._asked.add((target, source))
            if any(self._is_asked(frame) for frame in self._left_out):
                self._begin_anew()
        try:
            try:
                # To tf2, time zero means the newest; a simulation that begins there means zero.
                return self._at(target, source, 0 if stamp_ns is None else max(stamp_ns, 1))
            except tf2_ros.ExtrapolationException:
                if stamp_ns is None or not tolerance_ns:
                    raise
                return self._at(target, source, self._nearest_ns(target, source, stamp_ns, tolerance_ns))
        except tf2_ros.ExtrapolationException as error:
            raise DataError("/tf", f"{target} -> {source}", f"a pose at {stamp_ns} ns", error) from error
        except tf2_ros.TransformException as error:
            raise DataError("/tf, /tf_static", source, f"a chain to {target}", error) from error

    def _at(self, target: str, source: str, stamp_ns: int) -> np.ndarray:
        found = self._buffer.lookup_transform_core(target, source, Time(nanoseconds=stamp_ns)).transform
        q, p = found.rotation, found.translation
        return rigid_from_quat([q.w, q.x, q.y, q.z], [p.x, p.y, p.z])

    def _nearest_ns(self, target: str, source: str, stamp_ns: int, tolerance_ns: int) -> int:
        """The time nearest to a stamp at which the pose is known, if it is within the tolerance; else the stamp."""
        newest = self._buffer.get_latest_common_time(target, source).nanoseconds
        if stamp_ns > newest:
            return newest if stamp_ns - newest <= tolerance_ns else stamp_ns
        # tf2 does not tell the oldest time, but whether a time is known; what is known has no holes.
        low, high = stamp_ns, min(stamp_ns + tolerance_ns, newest)
        if not self._knows(target, source, high):
            return stamp_ns
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._knows(target, source, middle) else (middle, high)
        return high

    def _knows(self, target: str, source: str, stamp_ns: int) -> bool:
        try:
            self._at(target, source, stamp_ns)
        except tf2_ros.ExtrapolationException:
            return False
        return True


def _as_message(record: TransformRecord) -> TransformStamped:
    message = TransformStamped()
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(record.stamp_ns, 1_000_000_000)
    message.header.frame_id, message.child_frame_id = record.parent, record.child
    rotation, translation = message.transform.rotation, message.transform.translation
    rotation.w, rotation.x, rotation.y, rotation.z = record.quat_wxyz.tolist()
    translation.x, translation.y, translation.z = record.translation_m.tolist()
    return message
