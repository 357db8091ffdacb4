# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Finds the depth map of each picture of a set, by stamp. Plain Python, calls nobody."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from statistics import median
from typing import Generic, TypeVar

from gsocc_ros.pipeline.synchronizer import Frame, SyncedSet

P = TypeVar("P")
#: Maps per camera that are held for pictures whose set is not complete yet.
RING = 16
#: Pictures of a camera that its frame period is measured on.
_PICTURES = 9
#: After so many pictures of a camera in a row that no map came for, none is waited for until one comes again.
IN_VAIN = 3


@dataclass
class AwaitedSet(Generic[P]):
    """A set whose maps may still come.

    Attributes:
        synced: The pictures.
        maps: The best map so far of each camera's picture.
    """

    synced: SyncedSet[P]
    maps: dict[str, Frame[P]] = field(default_factory=dict)

    @property
    def paired(self) -> SyncedSet[P]:
        """The set with the maps that were found."""
        return replace(self.synced, depths=dict(self.maps))


@dataclass
class _Stream(Generic[P]):
    """What is known of one camera's maps and pictures."""

    ring: deque[Frame[P]] = field(default_factory=lambda: deque(maxlen=RING))
    latest_ns: int | None = None
    pictures_ns: deque[int] = field(default_factory=lambda: deque(maxlen=_PICTURES))
    in_vain: int = 0

    @property
    def tolerance_ns(self) -> float:
        """Half of a frame period; 0 until it is known."""
        stamps = sorted(self.pictures_ns)
        return median(b - a for a, b in pairwise(stamps)) / 2 if len(stamps) > 1 else 0


class DepthPairs(Generic[P]):
    """Pairs pictures with maps of the same camera.

    A picture gets the map with its own stamp, or else the nearest one within half of the camera's frame period. A set
    waits for its maps until each has come or been overtaken by a later one, and no longer than its own cameras take to
    be ``max_wait_ns`` further, in sensor time: the synchroniser's own deadline. A camera whose maps stay away is not
    waited for.

    Args:
        cameras: Names of the cameras that have depth.
        max_wait_ns: See above.
        reset_threshold_ns: Stamps that jump back by more than this begin anew.

    Attributes:
        incomplete: Sets so far of which a picture had no map, though its camera has depth.

    Example:
        >>> pairs = DepthPairs(("front",), 40_000_000, 500_000_000)
        >>> pairs.picture("front", 1_000_000_000)
        >>> awaited = AwaitedSet(SyncedSet({"front": Frame(1_000_000_000, "p")}, (), 1_000_000_000, "anchor", 0))
        >>> pairs.is_settled(awaited)
        False
        >>> pairs.push("front", 1_000_000_000, "d", [awaited])
        >>> pairs.is_settled(awaited), awaited.paired.depths["front"].payload
        (True, 'd')
    """

    def __init__(self, cameras: Sequence[str], max_wait_ns: int, reset_threshold_ns: int) -> None:
        self._streams: dict[str, _Stream[P]] = {name: _Stream() for name in cameras}
        self._max_wait_ns, self._reset_threshold_ns = max_wait_ns, reset_threshold_ns
        self._reached_ns: dict[str, int] = {}  # newest picture of each camera, those without depth too
        self.incomplete = 0

    def reset(self) -> None:
        """Forget all maps and stamps, not the count."""
        self._streams = {name: _Stream() for name in self._streams}
        self._reached_ns = {}

    def picture(self, camera: str, stamp_ns: int) -> None:
        """A picture came; its set may be complete or not."""
        back = stamp_ns < self._reached_ns.get(camera, stamp_ns) - self._reset_threshold_ns
        self._reached_ns[camera] = stamp_ns if back else max(stamp_ns, self._reached_ns.get(camera, stamp_ns))
        if (stream := self._streams.get(camera)) is not None:
            if back:
                stream.pictures_ns.clear()
            stream.pictures_ns.append(stamp_ns)

    def push(self, camera: str, stamp_ns: int, payload: P, awaited: Iterable[AwaitedSet[P]]) -> None:
        """Take one map.

        Args:
            camera: Whose; a camera without depth is passed over.
            stamp_ns: Sensor time, nanoseconds.
            payload: Anything; never looked at.
            awaited: Sets that wait for their maps.
        """
        stream = self._streams.get(camera)
        if stream is None:
            return
        if stream.latest_ns is not None and stamp_ns < stream.latest_ns - self._reset_threshold_ns:
            stream.ring.clear()
            stream.latest_ns = None
        stream.latest_ns = stamp_ns if stream.latest_ns is None else max(stamp_ns, stream.latest_ns)
        stream.in_vain = 0
        frame = Frame(stamp_ns, payload)
        stream.ring.append(frame)
        for one in awaited:
            self._offer(one, camera, stream, frame)

    def begin(self, synced: SyncedSet[P]) -> AwaitedSet[P]:
        """Look for the maps of a complete set among those that came already."""
        awaited = AwaitedSet(synced)
        for camera, stream in self._streams.items():
            for frame in stream.ring:
                self._offer(awaited, camera, stream, frame)
        return awaited

    def is_settled(self, awaited: AwaitedSet[P]) -> bool:
        """Whether no map is to be waited for."""
        frames = awaited.synced.frames
        further = max((self._reached_ns.get(name, 0) - frame.stamp_ns for name, frame in frames.items()), default=0)
        return further > self._max_wait_ns or all(
            self._is_final(stream, frames[camera].stamp_ns, awaited.maps.get(camera))
            for camera, stream in self._streams.items()
            if camera in frames
        )

    def count(self, awaited: AwaitedSet[P]) -> None:
        """A set goes on with the maps that it has."""
        without = [s for c, s in self._streams.items() if c in awaited.synced.frames and c not in awaited.maps]
        self.incomplete += bool(without)
        for stream in without:
            stream.in_vain += 1

    def _is_final(self, stream: _Stream[P], picture_ns: int, found: Frame[P] | None) -> bool:
        if found is not None and found.stamp_ns == picture_ns:
            return True
        if stream.in_vain >= IN_VAIN:
            return True
        # Before the maps' own jump back in time, their newest stamp says nothing about this picture.
        latest = stream.latest_ns
        return latest is not None and picture_ns <= latest <= picture_ns + self._reset_threshold_ns

    @staticmethod
    def _offer(awaited: AwaitedSet[P], camera: str, stream: _Stream[P], frame: Frame[P]) -> None:
        picture = awaited.synced.frames.get(camera)
        if picture is None:
            return
        distance, known = abs(frame.stamp_ns - picture.stamp_ns), awaited.maps.get(camera)
        if distance <= stream.tolerance_ns and (known is None or distance < abs(known.stamp_ns - picture.stamp_ns)):
            awaited.maps[camera] = frame
