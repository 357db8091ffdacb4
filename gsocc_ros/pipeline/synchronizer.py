# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Groups pictures of several cameras into trigger cycles by stamp minus each camera's known trigger offset."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Generic, Literal, TypeVar

from gsocc_core.errors import ConfigError
from gsocc_ros.pipeline.trigger_offsets import OffsetEstimator

P = TypeVar("P")
Policy = Literal["all", "anchor"]
POLICIES: tuple[Policy, ...] = ("all", "anchor")
#: So many stamps of a stream are remembered, to know pictures that come again: half a second at 120 Hz.
_REMEMBERED = 64
#: Stream name of the optional reference stamps; no camera may be called so.
REFERENCE = "reference"


@dataclass(frozen=True)
class SyncSettings:
    """What belongs together and how long to wait for it.

    A cycle is one round of triggers. Two pictures belong to the same cycle when their stamps, each minus its camera's
    trigger offset, differ by at most ``tolerance_ns``; so the tolerance must stay below half the shortest cycle.

    Attributes:
        cameras: Names, each once.
        anchor: The camera whose stamp is the set's reference stamp, and which policy ``anchor`` insists on.
        offsets_ns: Trigger offset per camera; a camera that is not listed has its offset estimated from its first
            pictures, which are not used for sets.
        policy: ``all`` treats all cameras alike; ``anchor`` emits only sets that hold the anchor camera.
        min_cameras: Smallest set to emit; None = every camera with ``all``, one with ``anchor``.
        tolerance_ns: Largest difference of corrected stamps inside a set.
        max_spread_ns: Largest difference of raw stamps inside a set; None = no further bound.
        max_wait_ns: An incomplete set is given up waiting for when its own cameras are this much further, in sensor
            time, or when every missing camera has delivered a later picture. The default, below the shortest cycle,
            gives a cycle up when the next one begins.
        reset_threshold_ns: A stream whose stamps jump back by more than this resets the synchroniser (bag loop). So do
            pictures in a row, more than one of each camera, that all came before (a shorter loop).
        ring_size: Largest number of pictures per camera that are held.
        reference_offset_ns: Trigger offset of an extra stream of reference stamps (a LiDAR); None = there is none.

    Raises:
        ConfigError: a value is out of range or names an unknown camera.
    """

    cameras: tuple[str, ...]
    anchor: str
    offsets_ns: Mapping[str, int] = field(default_factory=dict)
    policy: Policy = "all"
    min_cameras: int | None = None
    tolerance_ns: int = 10_000_000
    max_spread_ns: int | None = None
    max_wait_ns: int = 40_000_000
    reset_threshold_ns: int = 500_000_000
    ring_size: int = 8
    reference_offset_ns: int | None = None

    def __post_init__(self) -> None:
        where, count = "SyncSettings", len(self.cameras)
        if count < 1 or len(set(self.cameras)) != count or REFERENCE in self.cameras:
            raise ConfigError(where, "cameras", f"one or more unique names other than {REFERENCE!r}", self.cameras)
        if self.anchor not in self.cameras:
            raise ConfigError(where, "anchor", f"one of {self.cameras}", self.anchor)
        if unknown := set(self.offsets_ns) - set(self.cameras):
            raise ConfigError(where, "offsets_ns", f"names out of {self.cameras}", sorted(unknown))
        if self.policy not in POLICIES:
            raise ConfigError(where, "policy", f"one of {POLICIES}", self.policy)
        if self.min_cameras is not None and not 1 <= self.min_cameras <= count:
            raise ConfigError(where, "min_cameras", f"1...{count}", self.min_cameras)
        for key in ("tolerance_ns", "max_wait_ns", "reset_threshold_ns", "ring_size"):
            if getattr(self, key) < 1:
                raise ConfigError(where, key, "a positive number", getattr(self, key))

    @property
    def smallest_set(self) -> int:
        """Number of cameras that a set needs."""
        if self.min_cameras is not None:
            return self.min_cameras
        return len(self.cameras) if self.policy == "all" else 1


@dataclass(frozen=True)
class Frame(Generic[P]):
    """One picture: its sensor stamp and an opaque payload."""

    stamp_ns: int
    payload: P


@dataclass(frozen=True)
class SyncedSet(Generic[P]):
    """Pictures of one cycle.

    Attributes:
        frames: Picture per camera, in the order of the settings; missing cameras are left out.
        missing: Names of the cameras without a picture.
        reference_stamp_ns: Time that the set stands for.
        reference_source: Where that time comes from: the ``reference`` stream, the ``anchor`` camera, or an
            ``estimate`` from the other cameras when the anchor is missing.
        epoch: Number of resets before this set; a change means that time jumped.
        depths: Depth map per camera, for pictures that have one; see :mod:`gsocc_ros.pipeline.depth_pairs`.
    """

    frames: Mapping[str, Frame[P]]
    missing: tuple[str, ...]
    reference_stamp_ns: int
    reference_source: Literal["reference", "anchor", "estimate"]
    epoch: int
    depths: Mapping[str, Frame[P]] = field(default_factory=dict)

    @property
    def spread_ns(self) -> int:
        """Largest difference of the raw stamps, nanoseconds."""
        stamps = [frame.stamp_ns for frame in self.frames.values()]
        return max(stamps) - min(stamps)


@dataclass(frozen=True)
class CameraCounters:
    """What became of one camera's pictures. ``received = used + late + stale + duplicate + unplaced + held``.

    Attributes:
        received: All that came in.
        used: Part of an emitted set.
        late: Came after its cycle was emitted or passed over.
        stale: Held, then given up: its cycle stayed incomplete, or time jumped back.
        duplicate: Same stamp as a picture still held.
        unplaced: Came before the camera's trigger offset was known.
        held: Wait for the rest of their cycle.
        missing: Cycles closed (emitted or given up) without a picture of this camera.
    """

    received: int = 0
    used: int = 0
    late: int = 0
    stale: int = 0
    duplicate: int = 0
    unplaced: int = 0
    held: int = 0
    missing: int = 0


class _Cycle(Generic[P]):
    """Pictures that may become a set, with their corrected stamps."""

    def __init__(self) -> None:
        self.frames: dict[str, Frame[P]] = {}
        self.corrected_ns: dict[str, int] = {}
        self.reference_ns: int | None = None

    @property
    def start_ns(self) -> int:
        return min(self.corrected_ns.values())

    def fits(self, stream: str, stamp_ns: int, corrected_ns: int, settings: SyncSettings) -> bool:
        if stream in self.corrected_ns:
            return False
        values = [*self.corrected_ns.values(), corrected_ns]
        if max(values) - min(values) > settings.tolerance_ns:
            return False
        if settings.max_spread_ns is None or stream == REFERENCE:
            return True
        raw = [*(frame.stamp_ns for frame in self.frames.values()), stamp_ns]
        return max(raw) - min(raw) <= settings.max_spread_ns


class Synchronizer(Generic[P]):
    """Turns a stream of pictures into sets, one per trigger cycle. Plain Python, thread-safe, calls nobody.

    Only the newest set is of interest: emitting one gives up everything older, and nothing older follows. Every
    picture is used at most once. A partial set leaves only when it can no longer become complete.

    Args:
        settings: See :class:`SyncSettings`.

    Example:
        >>> settings = SyncSettings(("LEFT", "RIGHT"), "LEFT", {"LEFT": 0, "RIGHT": 20_000_000})
        >>> synchronizer = Synchronizer(settings)
        >>> synchronizer.push("LEFT", 1_000_000_000, "l") is None
        True
        >>> synchronizer.push("RIGHT", 1_021_000_000, "r").reference_stamp_ns
        1000000000
    """

    def __init__(self, settings: SyncSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._offsets = dict(settings.offsets_ns)
        if settings.reference_offset_ns is not None:
            self._offsets[REFERENCE] = settings.reference_offset_ns
        self._members = (*settings.cameras, *([REFERENCE] if settings.reference_offset_ns is not None else []))
        self._counters = {name: CameraCounters() for name in settings.cameras}
        self._seen = {name: deque[int](maxlen=_REMEMBERED) for name in self._members}
        self._epoch = 0
        self._clear()

    def _clear(self) -> None:
        self._open: list[_Cycle[P]] = []
        self._latest: dict[str, deque[int]] = {}  # stamps of this epoch in the order in which they came
        self._again = 0  # so many pictures in a row came before
        self._floor: int | None = None
        self._estimator = OffsetEstimator(self._settings.cameras, self._settings.anchor)

    @property
    def epoch(self) -> int:
        """Number of resets so far."""
        return self._epoch

    @property
    def offsets_ns(self) -> dict[str, int]:
        """Trigger offsets in use; cameras that are still being estimated are left out."""
        with self._lock:
            return {name: value for name, value in self._offsets.items() if name != REFERENCE}

    def counters(self) -> dict[str, CameraCounters]:
        """Counters per camera since construction; they survive resets."""
        with self._lock:
            held = {name: sum(name in cycle.frames for cycle in self._open) for name in self._counters}
            return {name: replace(count, held=held[name]) for name, count in self._counters.items()}

    def push(self, camera: str, stamp_ns: int, payload: P) -> SyncedSet[P] | None:
        """Take one picture; return the set that it completes or releases, if any.

        Args:
            camera: Its name.
            stamp_ns: Sensor time, nanoseconds.
            payload: Anything; handed back in the set, never looked at.

        Returns:
            A set newer than all sets of this epoch before, or None.

        Raises:
            ConfigError: the camera is not one of the settings.
        """
        if camera not in self._counters:
            raise ConfigError("Synchronizer", "camera", f"one of {self._settings.cameras}", camera)
        with self._lock:
            self._count(camera, received=1)
            return self._place(camera, stamp_ns, Frame(stamp_ns, payload))

    def push_reference(self, stamp_ns: int) -> SyncedSet[P] | None:
        """Take one stamp of the reference stream; return the set that it completes or releases, if any.

        Raises:
            ConfigError: the settings have no reference stream.
        """
        if self._settings.reference_offset_ns is None:
            raise ConfigError("Synchronizer", "reference_offset_ns", "a trigger offset of the reference stream", None)
        with self._lock:
            return self._place(REFERENCE, stamp_ns, None)

    def flush(self) -> list[SyncedSet[P]]:
        """End of the stream: every held cycle with enough cameras, oldest first; nothing is held afterwards."""
        with self._lock:
            sets = [self._emit(cycle) for cycle in sorted(self._open, key=lambda c: c.start_ns) if self._enough(cycle)]
            self._give_up(self._open)
            self._open = []
            return sets

    def reset(self) -> None:
        """Forget all pictures held and the time reached, as after a backward jump of time."""
        with self._lock:
            self._reset()

    def _reset(self) -> None:
        self._give_up(self._open)
        self._clear()
        self._epoch += 1

    def _place(self, stream: str, stamp_ns: int, frame: Frame[P] | None) -> SyncedSet[P] | None:
        settings = self._settings
        if self._jumped(stream, stamp_ns):
            self._reset()
        self._latest.setdefault(stream, deque(maxlen=_REMEMBERED)).append(stamp_ns)
        self._seen[stream].append(stamp_ns)
        if stream not in self._offsets:
            self._count(stream, unplaced=1)
            self._estimate(stream, stamp_ns)
            return None
        self._estimate(stream, stamp_ns)
        corrected = stamp_ns - self._offsets[stream]
        if self._floor is not None and corrected <= self._floor:
            self._count(stream, late=1)
            return None
        held = [cycle.frames.get(stream) for cycle in self._open]
        if any(other is not None and other.stamp_ns == stamp_ns for other in held):
            self._count(stream, duplicate=1)
            return None
        fitting = [cycle for cycle in self._open if cycle.fits(stream, stamp_ns, corrected, settings)]
        if fitting:
            cycle = min(fitting, key=lambda c: abs(c.start_ns - corrected))
        else:
            cycle = _Cycle()
            self._open.append(cycle)
        cycle.corrected_ns[stream] = corrected
        if frame is None:
            cycle.reference_ns = stamp_ns
        else:
            cycle.frames[stream] = frame
        self._bound(stream)
        return self._newest_ready()

    def _jumped(self, stream: str, stamp_ns: int) -> bool:
        """Time begins anew with this stamp; a single one that was too far ahead before it changes nothing."""
        stamps = self._latest.get(stream)
        if not stamps:
            return False
        threshold_ns = self._settings.reset_threshold_ns
        second, newest = (stamps[0], *sorted(stamps))[-2:]
        if stamp_ns < (second if newest - second > threshold_ns else newest) - threshold_ns:
            return True
        back = bool(self._again) or stamp_ns < newest  # the newest picture twice is no loop
        self._again = self._again + 1 if back and stamp_ns in self._seen[stream] else 0
        return self._again > len(self._latest)

    def _heard_ns(self, stream: str) -> int:
        """Where a stream is, its trigger offset taken off."""
        return self._latest[stream][-1] - self._offsets[stream]

    def _bound(self, stream: str) -> None:
        """Keep at most a ring of pictures per stream: a stream with a wrong clock costs only itself."""
        holding = [cycle for cycle in self._open if stream in cycle.corrected_ns]
        if len(holding) > self._settings.ring_size:
            oldest = min(holding, key=lambda c: c.corrected_ns[stream])
            del oldest.corrected_ns[stream]
            if oldest.frames.pop(stream, None) is None:
                oldest.reference_ns = None
            else:
                self._count(stream, stale=1)
            if not oldest.corrected_ns:
                self._open.remove(oldest)

    def _estimate(self, stream: str, stamp_ns: int) -> None:
        if stream == REFERENCE or len(self._offsets) == len(self._members):
            return
        self._estimator.add(stream, stamp_ns)
        self._offsets.update(self._estimator.estimate(self._offsets))

    def _newest_ready(self) -> SyncedSet[P] | None:
        ready = [cycle for cycle in self._open if self._enough(cycle) and self._settled(cycle)]
        return self._emit(max(ready, key=lambda c: c.start_ns)) if ready else None

    def _enough(self, cycle: _Cycle[P]) -> bool:
        if len(cycle.frames) < self._settings.smallest_set:
            return False
        return self._settings.policy == "all" or self._settings.anchor in cycle.frames

    def _settled(self, cycle: _Cycle[P]) -> bool:
        """Nothing can join any more: complete, overtaken by the missing streams, or waited for long enough."""
        own = max(self._heard_ns(name) for name in cycle.corrected_ns)
        if own - cycle.start_ns > self._settings.max_wait_ns:
            return True
        limit = cycle.start_ns + self._settings.tolerance_ns
        return all(
            name in cycle.corrected_ns
            or (name in self._offsets and name in self._latest and self._heard_ns(name) > limit)
            for name in self._members
        )

    def _emit(self, cycle: _Cycle[P]) -> SyncedSet[P]:
        settings = self._settings
        self._floor = cycle.start_ns + settings.tolerance_ns
        older = [other for other in self._open if other is not cycle and other.start_ns <= self._floor]
        self._open = [other for other in self._open if other.start_ns > self._floor]
        self._give_up(older)
        frames = {name: cycle.frames[name] for name in settings.cameras if name in cycle.frames}
        missing = tuple(name for name in settings.cameras if name not in frames)
        for name in settings.cameras:
            self._count(name, **({"missing": 1} if name in missing else {"used": 1}))
        if cycle.reference_ns is not None:
            return SyncedSet(frames, missing, cycle.reference_ns, "reference", self._epoch)
        if settings.anchor in frames:
            return SyncedSet(frames, missing, frames[settings.anchor].stamp_ns, "anchor", self._epoch)
        # The middle corrected stamp moved to where the anchor would have fired.
        corrected = sorted(cycle.corrected_ns.values())
        stamp = corrected[len(corrected) // 2] + self._offsets.get(settings.anchor, 0)
        return SyncedSet(frames, missing, stamp, "estimate", self._epoch)

    def _give_up(self, cycles: list[_Cycle[P]]) -> None:
        for cycle in cycles:
            if cycle.frames:
                for name in self._settings.cameras:
                    self._count(name, **({"stale": 1} if name in cycle.frames else {"missing": 1}))

    def _count(self, stream: str, **more: int) -> None:
        if stream != REFERENCE:
            old = self._counters[stream]
            self._counters[stream] = replace(old, **{key: getattr(old, key) + n for key, n in more.items()})
