# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What the pipeline asks of a transform tree, and a small one for bag replay without ROS."""

from __future__ import annotations

import logging
import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from gsocc_core.errors import DataError, GsoccError
from gsocc_core.geometry.rigid import rigid_from_quat

_log = logging.getLogger(__name__)
#: So many messages of a link may come late in a row; more of them are a loop.
_LATE = 3


def slerp(a_wxyz: np.ndarray, b_wxyz: np.ndarray, fraction: float) -> np.ndarray:
    """Spherical interpolation between unit quaternions along the shorter arc (Shoemake 1985).

    Args:
        a_wxyz: (4,) unit quaternion at fraction 0.
        b_wxyz: (4,) unit quaternion at fraction 1.
        fraction: 0...1.

    Returns:
        (4,) unit quaternion.
    """
    cosine = float(a_wxyz @ b_wxyz)
    sign = 1.0 if cosine >= 0 else -1.0
    angle = float(np.arccos(min(1.0, abs(cosine))))
    if angle < 1e-6:  # sin(angle) would divide by nearly zero; here the chord is the arc
        mixed = (1 - fraction) * a_wxyz + fraction * sign * b_wxyz
    else:
        mixed = np.sin((1 - fraction) * angle) * a_wxyz + sign * np.sin(fraction * angle) * b_wxyz
    result: np.ndarray = mixed / np.linalg.norm(mixed)
    return result


class Transforms(Protocol):
    """A tree of frames: :class:`TransformBuffer`, or tf2's behind ``gsocc_ros.node.tf2_transforms``."""

    @property
    def broken(self) -> Mapping[str, int]:
        """How many transforms were broken in themselves, by topic and transform."""

    def feed(self, message: Any, static: bool, topic: str = "/tf") -> None:
        """Take a tf2_msgs/TFMessage without the transforms in it that are broken in themselves."""

    def fault(self, target: str, source: str) -> str | None:
        """Why the newest pose of ``source`` in ``target`` is not known; None = it is."""

    def lookup(self, target: str, source: str, stamp_ns: int | None = None, tolerance_ns: int = 0) -> np.ndarray:
        """(4, 4) ``T_target_source``; DataError when it is not known at that time, give or take the tolerance."""


class TransformRecord(NamedTuple):
    """One checked transform.

    Attributes:
        parent: Frame name without a leading slash.
        child: Frame name without a leading slash.
        quat_wxyz: (4,) of length 1.
        translation_m: (3,) metres.
        stamp_ns: Its time.
    """

    parent: str
    child: str
    quat_wxyz: np.ndarray
    translation_m: np.ndarray
    stamp_ns: int


def checked(
    parent: str, child: str, quat_wxyz: object, translation_m: object, stamp_ns: int, topic: str
) -> TransformRecord:
    """A transform whose names and numbers make sense.

    Raises:
        DataError: the quaternion is zero, a number is not finite, or a frame has no name or is its own parent.
    """
    parent, child = parent.lstrip("/"), child.lstrip("/")
    if parent == child or not child:
        raise DataError(topic, "child_frame_id", "a name other than the parent's", repr(child))
    if not parent:
        raise DataError(topic, f"frame_id of the transform to {child}", "the name of a frame", "an empty one")
    try:
        rigid_from_quat(quat_wxyz, translation_m)
    except GsoccError as error:
        raise DataError(topic, f"transform {parent} -> {child}", error.expected, error.received) from error
    quat = np.asarray(quat_wxyz, np.float64)
    return TransformRecord(parent, child, quat / np.linalg.norm(quat), np.asarray(translation_m, np.float64), stamp_ns)


def _warn(error: DataError) -> None:
    _log.warning("%s; this transform is left out", error)


class TransformReader:
    """Reads the transforms of messages; one that is broken costs neither those beside it nor the message.

    Args:
        tell: Told of the first broken transform of every child frame; further ones of that frame are dropped silently.
            None = a warning in Python's log.

    Attributes:
        broken: How many there were, by topic and transform.
    """

    def __init__(self, tell: Callable[[DataError], None] | None = None) -> None:
        self._tell = tell or _warn
        self._told: set[str] = set()
        self.broken: Counter[str] = Counter()

    def read(self, message: Any, topic: str) -> list[TransformRecord]:
        """The sound transforms of a tf2_msgs/TFMessage of rosbags or rclpy.

        Args:
            message: Has ``transforms``, a list of geometry_msgs/TransformStamped.
            topic: Where it came from, for errors.
        """
        records = []
        for item in message.transforms:
            q, p, stamp = item.transform.rotation, item.transform.translation, item.header.stamp
            stamp_ns = int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)
            names = item.header.frame_id, item.child_frame_id
            records.append(self.check(*names, [q.w, q.x, q.y, q.z], [p.x, p.y, p.z], stamp_ns, topic))
        return [record for record in records if record is not None]

    def check(
        self, parent: str, child: str, quat_wxyz: object, translation_m: object, stamp_ns: int, topic: str
    ) -> TransformRecord | None:
        """One transform, see :func:`checked`; None = it is broken, which is told the first time."""
        try:
            return checked(parent, child, quat_wxyz, translation_m, stamp_ns, topic)
        except DataError as error:
            self.broken[f"{error.where}: {error.key}"] += 1
            if child not in self._told:
                self._told.add(child)
                self._tell(error)
            return None


def ancestors(frame: str, parent_of: Callable[[str], str | None]) -> list[str]:
    """A frame, its parent, the parent's parent and so on; a ring ends before it closes.

    Args:
        frame: Where to begin.
        parent_of: Parent of a frame; None = it has none.
    """
    chain = [frame]
    while (parent := parent_of(chain[-1])) is not None and parent not in chain:
        chain.append(parent)
    return chain


class _Link:
    """Pose of one frame in its parent: constant, or a history over time."""

    def __init__(self, parent: str) -> None:
        self.parent = parent
        self.static: np.ndarray | None = None
        self.stamps: list[int] = []
        self.poses: list[tuple[np.ndarray, np.ndarray]] = []  # quaternion wxyz, translation
        # What was there before stamps jumped back: a loop, unless the next ones go on where it ended.
        self._before: tuple[list[int], list[tuple[np.ndarray, np.ndarray]]] | None = None

    def insert(self, stamp_ns: int, quat: np.ndarray, translation: np.ndarray, history_ns: int, jump_ns: int) -> None:
        if self.stamps and stamp_ns < self.stamps[-1] - jump_ns:
            self._before = (self.stamps, self.poses)
            self.stamps, self.poses = [], []
        elif self._before is not None and stamp_ns >= self._before[0][-1]:
            late = list(zip(self.stamps, self.poses))
            (self.stamps, self.poses), self._before = self._before, None
            for stamp, pose in late:
                self._put(stamp, *pose)
        elif len(self.stamps) > _LATE:
            self._before = None
        self._put(stamp_ns, quat, translation)
        old = bisect_left(self.stamps, self.stamps[-1] - history_ns)
        if old > 64:  # dropped in larger pieces, so that a list is fast enough
            del self.stamps[:old], self.poses[:old]

    def _put(self, stamp_ns: int, quat: np.ndarray, translation: np.ndarray) -> None:
        at = bisect_left(self.stamps, stamp_ns)
        if at < len(self.stamps) and self.stamps[at] == stamp_ns:
            self.poses[at] = (quat, translation)
        else:
            self.stamps.insert(at, stamp_ns)
            self.poses.insert(at, (quat, translation))

    def at(self, stamp_ns: int | None, tolerance_ns: int) -> np.ndarray | None:
        if self.static is not None:
            return self.static
        stamps = self.stamps
        if not stamps:
            return None
        stamp = stamps[-1] if stamp_ns is None else min(max(stamp_ns, stamps[0]), stamps[-1])
        if stamp_ns is not None and abs(stamp - stamp_ns) > tolerance_ns:
            return None
        after = bisect_left(stamps, stamp)
        quat, translation = self.poses[after]
        if stamps[after] != stamp:
            before_quat, before_translation = self.poses[after - 1]
            fraction = (stamp - stamps[after - 1]) / (stamps[after] - stamps[after - 1])
            quat = slerp(before_quat, quat, fraction)
            translation = (1 - fraction) * before_translation + fraction * translation
        return rigid_from_quat(quat, translation)


class TransformBuffer:
    """Tree of frames with constant and moving links.

    Between two stamps a moving link is interpolated (linear and slerp). Outside its history it is unknown, unless a
    lookup allows to hold the nearest pose. A moving link whose stamps jump back starts anew (bag loop), unless the next
    ones go on where it was: then a few messages were late.

    Args:
        history_ns: How long moving links are remembered.
        jump_ns: A step back of more than this clears the link's history, and no other one's.
        tell: Told of broken transforms, see :class:`TransformReader`.

    Example:
        >>> buffer = TransformBuffer()
        >>> buffer.set_transform("base_link", "camera", [1, 0, 0, 0], [1, 2, 3], stamp_ns=0, static=True)
        >>> buffer.lookup("base_link", "camera")[:3, 3]
        array([1., 2., 3.])
    """

    def __init__(
        self,
        history_ns: int = 10_000_000_000,
        jump_ns: int = 500_000_000,
        tell: Callable[[DataError], None] | None = None,
    ) -> None:
        self._history_ns, self._jump_ns = history_ns, jump_ns
        self._reader = TransformReader(tell)
        #: How many transforms were broken in themselves, by topic and transform.
        self.broken: Mapping[str, int] = self._reader.broken
        self._links: dict[str, _Link] = {}

    @property
    def frames(self) -> tuple[str, ...]:
        """All frames seen, sorted."""
        return tuple(sorted(set(self._links) | {link.parent for link in self._links.values()}))

    def feed(self, message: Any, static: bool, topic: str = "/tf") -> None:
        """Take a tf2_msgs/TFMessage of rosbags or rclpy; broken transforms in it are told and left out.

        Args:
            message: Has ``transforms``, a list of geometry_msgs/TransformStamped.
            static: The message came from /tf_static.
            topic: Where it came from, for errors.
        """
        for record in self._reader.read(message, topic):
            self._put(record, static)

    def set_transform(
        self,
        parent: str,
        child: str,
        quat_wxyz: object,
        translation_m: object,
        stamp_ns: int,
        static: bool = False,
        topic: str = "/tf",
    ) -> None:
        """Set the pose of ``child`` in ``parent``.

        Args:
            parent: Frame name.
            child: Frame name; it has one parent at a time, the last one told.
            quat_wxyz: 4 numbers, scalar first.
            translation_m: 3 numbers, metres.
            stamp_ns: Time of a moving link.
            static: The pose holds at all times.
            topic: Where it came from, for errors.

        Raises:
            DataError: the quaternion is zero, a number is not finite, or a frame has no name or is its own parent.
        """
        self._put(checked(parent, child, quat_wxyz, translation_m, stamp_ns, topic), static)

    def _put(self, record: TransformRecord, static: bool) -> None:
        parent, child, quat, translation, stamp_ns = record
        link = self._links.get(child)
        if link is None or link.parent != parent:
            link = self._links[child] = _Link(parent)
        if static:
            link.static = rigid_from_quat(quat, translation)
        else:
            link.static = None
            link.insert(stamp_ns, quat, translation, self._history_ns, self._jump_ns)

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
            stamp_ns: When; None = the newest of every moving link.
            tolerance_ns: How far outside the history of a link its nearest pose still holds.

        Returns:
            (4, 4) float64 ``T_target_source``.

        Raises:
            DataError: a frame is unknown, the two are not connected, or a moving link is not known at that time.
        """
        target, source = target.lstrip("/"), source.lstrip("/")
        if target == source:
            return np.eye(4)
        common = self._common(target, source)
        if common is None:
            known = self.frames
            for frame in (source, target):
                if frame not in known:
                    raise DataError("/tf, /tf_static", frame, f"one of the frames {list(known)}", "an unknown frame")
            raise DataError("/tf, /tf_static", source, f"a chain to {target}", f"two separate trees of {list(known)}")
        return np.linalg.solve(
            self._climb(target, common, stamp_ns, tolerance_ns), self._climb(source, common, stamp_ns, tolerance_ns)
        )

    def known_until_ns(self, target: str, source: str) -> float:
        """Newest stamp at which the pose of ``source`` in ``target`` is known.

        Args:
            target: Frame name.
            source: Frame name.

        Returns:
            Nanoseconds; infinity where no link between the two moves, minus infinity where nothing connects them.
        """
        target, source = target.lstrip("/"), source.lstrip("/")
        common = self._common(target, source)
        if common is None:
            return -math.inf
        links = [link for frame in (target, source) for link in self._links_below(common, frame) if link.static is None]
        return min((link.stamps[-1] for link in links), default=math.inf)

    def _links_below(self, ancestor: str, frame: str) -> Iterator[_Link]:
        while frame != ancestor:
            link = self._links[frame]
            yield link
            frame = link.parent

    def _common(self, target: str, source: str) -> str | None:
        """The nearest frame above both; None = there is none."""
        above = ancestors(target, self._parent_of)
        return next((frame for frame in ancestors(source, self._parent_of) if frame in above), None)

    def _parent_of(self, frame: str) -> str | None:
        link = self._links.get(frame)
        return None if link is None else link.parent

    def _climb(self, frame: str, ancestor: str, stamp_ns: int | None, tolerance_ns: int) -> np.ndarray:
        T = np.eye(4)
        while frame != ancestor:
            link = self._links[frame]
            step = link.at(stamp_ns, tolerance_ns)
            if step is None:
                first, last = link.stamps[0], link.stamps[-1]
                raise DataError(
                    "/tf", f"{link.parent} -> {frame}", f"a pose at {stamp_ns} ns", f"poses of {first}...{last} ns"
                )
            T = step @ T
            frame = link.parent
        return T
