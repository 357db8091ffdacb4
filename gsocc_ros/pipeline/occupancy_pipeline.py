# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Messages of a robot in, occupancy out: what bag replay and the node share. Plain Python, no rclpy."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np

from gsocc_core import Camera, Prediction
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.geometry.cameras import CameraModel
from gsocc_core.methods.method import InputUse
from gsocc_ros.pipeline.camera_input import stamp_ns
from gsocc_ros.pipeline.camera_poses import CameraPoses
from gsocc_ros.pipeline.counters import PipelineCounters
from gsocc_ros.pipeline.depth_pairs import AwaitedSet, DepthPairs
from gsocc_ros.pipeline.picture_decoder import PictureDecoder
from gsocc_ros.pipeline.rig import Rig, RigCamera
from gsocc_ros.pipeline.set_rhythm import SetRhythm
from gsocc_ros.pipeline.stamp_watch import StampWatch
from gsocc_ros.pipeline.subscriptions import Subscription, rig_subscriptions
from gsocc_ros.pipeline.synchronizer import SyncedSet, Synchronizer
from gsocc_ros.pipeline.transform_buffer import TransformBuffer, Transforms

#: How long the last known pose of a moving link may stand in when the right one did not come in time.
HOLD_POSE_NS = 20_000_000


class Predictor(Protocol):
    """What the pipeline asks of :class:`gsocc_core.OccupancyPredictor`."""

    @property
    def depth_input(self) -> InputUse:
        """What it does with depth beside the pictures."""

    @property
    def features_input(self) -> InputUse:
        """What it does with feature maps beside the pictures."""

    def predict(
        self,
        images: Sequence[np.ndarray | None],
        cameras: Sequence[Camera],
        *,
        depths_m: Sequence[np.ndarray | None] | None = None,
        camera_stamps_ns: Sequence[int] | None = None,
        reference_stamp_ns: int | None = None,
        T_world_ego: np.ndarray | None = None,
    ) -> Prediction:
        """Occupancy from one set of pictures."""

    def reset(self) -> None:
        """Forget streaming memory."""

    def least_size(self, model: CameraModel) -> tuple[int, int] | None:
        """(height, width) in pixels that a decoded picture of a camera of this lens must keep; None = full size."""


@dataclass(frozen=True)
class ReadySet:
    """A set with everything that a prediction needs.

    Attributes:
        synced: The picture messages.
        cameras: Every camera whose calibration and pose are known, in the order of the rig; missing ones included.
        T_world_ego: (4, 4) float64 pose of the base frame in the fixed frame at the reference stamp; None = unknown.
        sync_ms: Time spent on grouping and transforms.
    """

    synced: SyncedSet[Any]
    cameras: tuple[Camera, ...]
    T_world_ego: np.ndarray | None
    sync_ms: float


@dataclass(frozen=True)
class Occupancy:
    """A prediction with where its time went.

    Attributes:
        prediction: What the predictor returned.
        ready: What it was made from.
        latency_ms: Milliseconds per stage: ``sync``, ``decode`` and the predictor's own stages.
    """

    prediction: Prediction
    ready: ReadySet
    latency_ms: Mapping[str, float]


class OccupancyPipeline:
    """Feed it messages, take sets, predict.

    ``feed`` only files messages and may be called from any thread; ``take`` and ``predict`` belong to one worker. No
    lock is held while a picture is decoded or a prediction made.

    Args:
        rig: The robot's cameras.
        predictor: The model.
        newest_only: ``take`` gives only the newest ready set and drops older ones (a live robot), and holds back for
            one that is about to complete (:class:`SetRhythm`); otherwise every set in order (a recording).
        wants: Reference stamps for which sets are wanted; None = all.
        memory_gap_s: A gap in reference stamps beyond this makes the predictor forget its memory.
        transforms: Tree of frames to use; None = a :class:`TransformBuffer`.

    Raises:
        ConfigError: the model requires depth, and the rig has none; or it requires features.

    Example:
        >>> pipeline = OccupancyPipeline(Rig.load("nuscenes"), predictor)  # doctest: +SKIP
        >>> for topic, message in recording:  # doctest: +SKIP
        ...     pipeline.feed(topic, message)
        ...     while (ready := pipeline.take()) is not None:
        ...         grid = pipeline.predict(ready).prediction.grid
    """

    def __init__(
        self,
        rig: Rig,
        predictor: Predictor,
        *,
        newest_only: bool = False,
        wants: Callable[[int], bool] | None = None,
        memory_gap_s: float = 2.0,
        transforms: Transforms | None = None,
    ) -> None:
        _check_inputs(rig, predictor)
        self.rig = rig
        self._predictor = predictor
        self._newest_only, self._wants = newest_only, wants
        self._memory_gap_ns = round(memory_gap_s * 1e9)
        self._lock = threading.Lock()
        self._synchronizer: Synchronizer[Any] = Synchronizer(rig.sync_settings())
        self._transforms = transforms or TransformBuffer(jump_ns=rig.sync_settings().reset_threshold_ns)
        self._poses = CameraPoses(rig, self._transforms)
        self._decoder = PictureDecoder(rig, predictor.least_size)
        self._depths = self._depth_pairs()
        self._pending: deque[AwaitedSet[Any]] = deque()
        self._newest_ns = 0  # reference stamp of the newest set
        self._finished = False
        self._feed_s = 0.0
        self._last: tuple[int, int] | None = None  # epoch and reference stamp of the last prediction
        self._counts: Counter[str] = Counter()  # by the names of PipelineCounters
        self._in_hand = 0
        self._predicting = False
        self._rhythm = SetRhythm()
        self._stamps = StampWatch([camera.name for camera in rig.cameras])
        self._handlers = self._make_handlers()

    def _make_handlers(self) -> dict[str, Callable[[Any], None]]:
        handlers: dict[str, Callable[[Any], None]] = {
            "/tf_static": partial(self._transforms.feed, static=True, topic="/tf_static"),
            "/tf": partial(self._transforms.feed, static=False),
        }
        for camera in self.rig.cameras:
            handlers[camera.topic] = partial(self._feed_picture, camera)
            handlers[camera.camera_info_topic] = partial(self._poses.feed_info, camera)
            if camera.depth_topic is not None:
                handlers[camera.depth_topic] = partial(self._feed_depth, camera)
        if self.rig.reference is not None:
            handlers[self.rig.reference.topic] = self._feed_reference
        return handlers

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """Topics to feed; those of depth only while the model uses it."""
        return rig_subscriptions(self.rig, self._predictor.depth_input != "unused")

    def counters(self) -> PipelineCounters:
        """What happened so far."""
        with self._lock:
            counts = Counter(self._counts)
            counts["waiting"] = len(self._pending) + self._in_hand
            counts["without_depth"] += self._depths.incomplete
            counts["calibration_changes"] = self._poses.calibration_changes
            broken = dict(self._transforms.broken)
            return PipelineCounters(self._synchronizer.counters(), broken_transforms=broken, **counts)

    def camera_faults(self) -> dict[str, str]:
        """Why the pictures of cameras that send some are of no use at present.

        Returns:
            Reason per camera: what is wrong with its calibration or its stamps, or why sets go on without it.
        """
        with self._lock:
            settings, received = self.rig.sync_settings(), self._synchronizer.counters()
            stamps = self._stamps.faults(settings.offsets_ns, settings.tolerance_ns)
            found = {**self._poses.left_out, **stamps, **self._poses.uncalibrated()}
            return {name: reason for name, reason in found.items() if received[name].received}

    def transform_faults(self) -> dict[str, str]:
        """Frames in use that are not connected at present.

        Returns:
            Reason per camera whose frame has no way to the base frame, and under the fixed frame's name when the base
            frame has no way there. Only cameras whose CameraInfo came are asked.
        """
        with self._lock:
            return self._poses.faults()

    def use(self, predictor: Predictor) -> None:
        """Go on with another model, which may change the ``subscriptions``; not while :meth:`predict` runs.

        Raises:
            ConfigError: it requires depth, and the rig has none; or it requires features. The present model goes on.
        """
        _check_inputs(self.rig, predictor)
        with self._lock:
            self._predictor, self._last = predictor, None
            self._counts["without_depth"] += self._depths.incomplete
            self._depths = self._depth_pairs()
            self._rhythm.clear()
        self._decoder.use(predictor.least_size)

    def _depth_pairs(self) -> DepthPairs[Any]:
        used = self._predictor.depth_input != "unused"
        cameras = [camera.name for camera in self.rig.cameras if used and camera.depth_topic is not None]
        settings = self.rig.sync_settings()
        return DepthPairs(cameras, settings.max_wait_ns, settings.reset_threshold_ns)

    def reset(self) -> None:
        """Forget held pictures and the model's memory, as after a jump in time; not while :meth:`predict` runs.

        Calibrations, transforms and counters stay.
        """
        with self._lock:
            self._synchronizer.reset()
            self._depths.reset()
            self._drop_pending()
            self._decoder.forget()
            self._rhythm.clear()
        self._predictor.reset()
        self._last = None

    def close(self) -> None:
        """Stop the decoding threads."""
        self._decoder.close()

    def feed(self, topic: str, message: Any) -> None:
        """File one message of one of the ``subscriptions``.

        Args:
            topic: Where it came from.
            message: A message of rosbags or rclpy.

        Raises:
            ConfigError: the topic is not one of the subscriptions.
            DataError: the message is broken in itself (calibration).
        """
        handler = self._handlers.get(topic)
        if handler is None:
            raise ConfigError("OccupancyPipeline", "topic", f"one of {sorted(self._handlers)}", topic)
        with self._lock:
            start = time.perf_counter()
            handler(message)
            self._feed_s += time.perf_counter() - start

    def _feed_picture(self, camera: RigCamera, message: Any) -> None:
        stamp = stamp_ns(message.header)
        calibration = self._poses.calibration_of(camera.name)
        # Not behind a prediction, when most pictures are passed over, but for those that come towards its end.
        is_early = self._predicting and self._rhythm.is_early(time.monotonic())
        if self._newest_only and not is_early and calibration is not None:
            self._decoder.begin(camera, stamp, message, calibration)
        self._depths.picture(camera.name, stamp)
        self._stamps.add(camera.name, stamp)
        self._file(self._synchronizer.push(camera.name, stamp, message))

    def _feed_depth(self, camera: RigCamera, message: Any) -> None:
        self._depths.push(camera.name, stamp_ns(message.header), message, self._pending)

    def _feed_reference(self, message: Any) -> None:
        self._file(self._synchronizer.push_reference(stamp_ns(message.header)))

    def _file(self, synced: SyncedSet[Any] | None) -> None:
        if self._pending and self._pending[-1].synced.epoch != self._synchronizer.epoch:
            self._drop_pending()
        if synced is None:
            return
        self._newest_ns = synced.reference_stamp_ns
        is_wanted = self._wants is None or self._wants(synced.reference_stamp_ns)
        without_reference = self.rig.reference is not None and synced.reference_source != "reference"
        self._counts.update(
            sets=1, unwanted=not is_wanted, incomplete=bool(synced.missing), without_reference=without_reference
        )
        if is_wanted:
            self._pending.append(self._depths.begin(synced))
            self._rhythm.completed(time.monotonic())

    def _drop_pending(self) -> None:
        self._counts["superseded"] += len(self._pending)
        self._pending.clear()

    def finish(self) -> None:
        """The recording is over: release the sets still held; ``take`` no longer waits for anything."""
        with self._lock:
            for synced in self._synchronizer.flush():
                self._file(synced)
            self._finished = True

    @property
    def hold_s(self) -> float:
        """So many seconds ``take`` gives nothing unless a newer set is ready, though one may be there; 0 = it gives."""
        with self._lock:
            return self._rhythm.hold_s(time.monotonic()) if self._newest_only else 0.0

    def take(self) -> ReadySet | None:
        """The next set whose calibration and transforms are there, and whose depth is there or waited for long enough.

        Returns:
            A set, or None when nothing is ready, or a newer set is worth the wait of ``hold_s``.

        Raises:
            DataError: a set waited ``transform_wait_ms`` in vain for a camera's CameraInfo or for its frame in the
                transform tree.
            Exception: anything else that went wrong with a set. Whatever is raised, the set is dropped and counted,
                and the next call goes on.
        """
        with self._lock:
            start = time.perf_counter()
            found = self._first_ready()
            self._feed_s += time.perf_counter() - start
            if found is None:
                return None
            self._in_hand += 1
            spent_s, self._feed_s = self._feed_s, 0.0
        return replace(found, sync_ms=spent_s * 1e3)

    def _first_ready(self) -> ReadySet | None:
        """Take the newest set that is ready, and drop those before it; or the next one in order, if it is."""
        fault: tuple[int, Exception] | None = None
        for index in self._candidates():
            awaited = self._pending[index]
            if not self._finished and not self._depths.is_settled(awaited):
                continue
            synced = awaited.paired
            waiting_ns = self._newest_ns - synced.reference_stamp_ns
            waited = self._finished or waiting_ns > self.rig.transform_wait_ms * 1e6
            try:
                placed = self._place(synced, waited)
            except Exception as error:  # noqa: BLE001 - an older set that is ready goes first
                if waited or not isinstance(error, DataError):  # else what is not known yet may still come
                    fault = (index, error)
                continue
            for _ in range(index + 1):
                self._pending.popleft()
            self._counts["superseded"] += index
            self._counts["without_ego_motion"] += placed.T_world_ego is None and self.rig.fixed_frame is not None
            self._depths.count(awaited)
            self._rhythm.taken(time.monotonic(), is_newest=not self._pending)
            return placed
        if fault is not None:
            del self._pending[fault[0]]
            self._counts["lost"] += 1
            raise fault[1]
        return None

    def _candidates(self) -> range:
        """Places of the sets to look at, in that order."""
        count = len(self._pending)
        if not self._newest_only:
            return range(min(1, count))
        if self._finished or not self._rhythm.hold_s(time.monotonic()):
            return range(count - 1, -1, -1)
        return range(count - 1, count - 1 - (self._rhythm.has_fresh and count > 0), -1)

    def _place(self, synced: SyncedSet[Any], waited: bool) -> ReadySet:
        # Holding the last pose is the second-best answer: first wait for the exact one.
        tolerance_ns = HOLD_POSE_NS if waited else 0
        T_world_ego = self._poses.ego_motion(synced, tolerance_ns)
        return ReadySet(synced, self._poses.cameras(synced, T_world_ego, tolerance_ns), T_world_ego, sync_ms=0.0)

    def predict(self, ready: ReadySet) -> Occupancy:
        """Decode the pictures of a set and run the model.

        Raises:
            DataError: a picture does not decode or has the wrong size.
            Exception: whatever the model raises. The set is counted as lost, and the next one may be predicted.
        """
        self._predicting, outcome = True, "lost"
        try:
            occupancy = self._predict(ready)
            outcome = "published"
        finally:
            with self._lock:
                self._predicting, self._in_hand = False, max(0, self._in_hand - 1)
                self._rhythm.worked(time.monotonic())
                self._counts[outcome] += 1
        return occupancy

    def unpublished(self) -> None:
        """The set that was predicted last could not be published: it counts as lost."""
        with self._lock:
            self._counts.update(published=-1, lost=1)

    def _predict(self, ready: ReadySet) -> Occupancy:
        synced = ready.synced
        start = time.perf_counter()
        images = self._decoder.decode(synced, ready.cameras)
        depths_m = self._decoder.decode_depths(synced, ready.cameras)
        decode_ms = (time.perf_counter() - start) * 1e3
        now = (synced.epoch, synced.reference_stamp_ns)
        if self._last is not None and (now[0] != self._last[0] or now[1] - self._last[1] > self._memory_gap_ns):
            self._predictor.reset()
        self._last = now
        stamps = [
            synced.frames[camera.name].stamp_ns if camera.name in synced.frames else synced.reference_stamp_ns
            for camera in ready.cameras
        ]
        prediction = self._predictor.predict(
            images,
            ready.cameras,
            depths_m=depths_m,
            camera_stamps_ns=stamps,
            reference_stamp_ns=synced.reference_stamp_ns,
            T_world_ego=ready.T_world_ego,
        )
        stages = {stage: value for stage, value in prediction.latency_ms.items() if stage != "total"}
        latency = {"sync": ready.sync_ms, "decode": decode_ms, **stages}
        return Occupancy(prediction, ready, latency)


def _check_inputs(rig: Rig, predictor: Predictor) -> None:
    if predictor.features_input == "required":
        expected = "a model that takes pictures, or pictures and depth: cameras bring no feature maps"
        raise ConfigError(rig.path, "bundle", expected, "one that requires features")
    if predictor.depth_input == "required" and not any(camera.depth_topic for camera in rig.cameras):
        expected = "depth_topic of at least one camera: the model requires depth and brings no depth_model"
        raise ConfigError(rig.path, "cameras", expected, "none")
