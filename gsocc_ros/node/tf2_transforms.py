# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""tf2's buffer as the pipeline asks for transforms."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np
import tf2_ros
from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.serialization import deserialize_message
from rclpy.time import Time
from tf2_msgs.msg import TFMessage

from gsocc_core.errors import DataError
from gsocc_core.geometry.rigid import rigid_from_quat
from gsocc_ros.node.raw_transforms import RawTransform, raw_transforms, read_pose
from gsocc_ros.pipeline.transform_buffer import TransformReader, ancestors

#: So many of the newest transforms of a link are kept for the case that somebody begins to ask for it.
RECENT = 128


class _Link:
    """A moving link; tf2 hears of it while it is in use."""

    def __init__(self, parent: str, child: str) -> None:
        self.parent, self.child = parent, child
        self.in_use = False
        self.newest_ns: int | None = None  # of what tf2 has
        self.recent: deque[RawTransform] = deque(maxlen=RECENT)
        self.message = _message(parent, child)


class Tf2Transforms:
    """A :class:`tf2_ros.Buffer` that is told of /tf and /tf_static by the node's own subscriptions.

    tf2's listener would subscribe by itself, whatever the node's lifecycle state and without telling of QoS that does
    not match; and in Python it makes an object of every joint of every arm, which takes more than a core. So messages
    come serialised, and of /tf tf2 gets only the links that poses depend on which were looked up.

    When a link in use jumps back in time (bag loop), the moving links are cleared; tf2 would drop the new transforms or
    mix them with the old ones. A link that nobody asks for may jump as it likes.

    Args:
        history_ns: How long moving links are remembered.
        jump_ns: A step back of more than this is a jump.
        tell: Told of broken transforms, of /tf those in use, see
            :class:`~gsocc_ros.pipeline.transform_buffer.TransformReader`.
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
        self.broken = self._reader.broken
        self._parents: dict[str, str] = {}
        self._links: dict[tuple[bytes, bytes], _Link] = {}  # moving ones, by parent and child as they are sent
        self._asked: set[tuple[str, str]] = set()  # pairs of frames that were looked up

    def feed(self, message: bytes, static: bool, topic: str = "/tf") -> None:
        """Take a serialised tf2_msgs/TFMessage; broken transforms in it are told and left out."""
        if static:
            for record in self._reader.read(deserialize_message(message, TFMessage), topic):
                sent = _message(record.parent, record.child)
                _fill(sent, record.stamp_ns, np.roll(record.quat_wxyz, -1).tolist(), record.translation_m.tolist())
                self._buffer.set_transform_static(sent, "gsocc_ros")
                self._connect(record.parent, record.child, topic)
            return
        for moved in raw_transforms(message):
            link = self._links.get((moved.parent, moved.child)) or self._begin(moved, topic)
            if link is None:
                continue
            self._connect(link.parent, link.child, topic)
            if link.in_use:
                self._take(link, moved, topic)
                continue
            if link.recent and moved.stamp_ns < link.recent[-1].stamp_ns - self._jump_ns:
                link.recent.clear()
            link.recent.append(moved)

    def _begin(self, moved: RawTransform, topic: str) -> _Link | None:
        """A link that is new, or spelled anew (``/odom`` is ``odom``); None where the names make no sense."""
        parent, child = (name.decode(errors="replace").lstrip("/") for name in (moved.parent, moved.child))
        if self._reader.check(parent, child, [1, 0, 0, 0], [0, 0, 0], moved.stamp_ns, topic) is None:
            return None
        same = (link for link in self._links.values() if (link.parent, link.child) == (parent, child))
        link = self._links[moved.parent, moved.child] = next(same, None) or _Link(parent, child)
        return link

    def _connect(self, parent: str, child: str, topic: str) -> None:
        if self._parents.get(child) != parent:
            self._parents[child] = parent
            self._refresh(topic)

    def _refresh(self, topic: str = "/tf") -> None:
        """Give tf2 what is known of links that poses depend on by now."""
        chains = ((set(ancestors(f, self._parents.get)) for f in pair) for pair in self._asked)
        depended = {frame for target, source in chains for frame in target ^ source}  # what both are below cancels out
        for link in self._links.values():
            link.in_use = link.child in depended and self._parents.get(link.child) == link.parent
            while link.in_use and link.recent:
                self._take(link, link.recent.popleft(), topic)

    def _take(self, link: _Link, sent: RawTransform, topic: str) -> None:
        newest = link.newest_ns
        if newest == sent.stamp_ns:  # tf2 warns of every repetition
            return
        x, y, z, qx, qy, qz, qw = read_pose(sent.pose)
        length = math.hypot(qx, qy, qz, qw)
        # What is plainly sound needs no look at every number: this is a robot's odometry, hundreds per second.
        if not (0.5 < length < 2 and math.isfinite(x + y + z)):
            names, quat = (link.parent, link.child), [qw, qx, qy, qz]
            if self._reader.check(*names, quat, [x, y, z], sent.stamp_ns, topic) is None:
                return
        if newest is not None and sent.stamp_ns < newest - self._jump_ns:
            self._buffer.clear()
            for other in self._links.values():
                other.newest_ns = None
        link.newest_ns = max(link.newest_ns or sent.stamp_ns, sent.stamp_ns)
        _fill(link.message, sent.stamp_ns, (qx / length, qy / length, qz / length, qw / length), (x, y, z))
        self._buffer.set_transform(link.message, "gsocc_ros")

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
            self._refresh()
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


def _message(parent: str, child: str) -> TransformStamped:
    message = TransformStamped()
    message.header.frame_id, message.child_frame_id = parent, child
    return message


def _fill(message: TransformStamped, stamp_ns: int, quat_xyzw: Sequence[float], shift_m: Sequence[float]) -> None:
    rotation, translation = message.transform.rotation, message.transform.translation
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
    rotation.x, rotation.y, rotation.z, rotation.w = quat_xyzw
    translation.x, translation.y, translation.z = shift_m
