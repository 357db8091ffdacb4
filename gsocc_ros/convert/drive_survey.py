# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""First reading of an own recording: what it holds, when, in which frames, and which pictures belong together."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from gsocc_core.errors import DataError
from gsocc_ros.bags.bag_files import read_messages
from gsocc_ros.bags.recording import Recording
from gsocc_ros.choices import PoseSource
from gsocc_ros.convert.mounting import mounting_pose
from gsocc_ros.convert.odometer import Odometer
from gsocc_ros.messages.outputs import GROUND_TRUTH_TOPIC
from gsocc_ros.pipeline.camera_input import Calibration, read_camera_info, stamp_ns
from gsocc_ros.pipeline.rig import Rig, RigCamera
from gsocc_ros.pipeline.synchronizer import SyncedSet, Synchronizer
from gsocc_ros.pipeline.transform_buffer import TransformBuffer

#: How far outside the recorded transforms the nearest pose still holds, nanoseconds.
HOLD_POSE_NS = 200_000_000
_log = logging.getLogger(__name__)
POINT_CLOUD = "sensor_msgs/msg/PointCloud2"


@dataclass(frozen=True)
class Wanted:
    """What is to be read beside the cameras.

    Attributes:
        lidar: Point cloud topic; None = none.
        poses: Where ego poses come from.
        odometry: Topic of speeds, see :data:`gsocc_ros.convert.odometer.VELOCITIES`; None = none.
    """

    lidar: str | None = None
    poses: PoseSource = "transforms"
    odometry: str | None = None


@dataclass
class Survey:
    """What a recording holds.

    Attributes:
        bag: The recording.
        transforms: All of its transforms.
        calibrations: Per camera.
        frames: Frame of every camera and, under ``LIDAR_TOP``, of the LiDAR.
        stamps_ns: Ascending stamps of every camera and of the LiDAR.
        sets: Sets of pictures that belong together, in time order.
        truths_ns: Stamps of ground truth.
        odometer: How far the robot drove; None = nobody asked.
    """

    bag: Path
    transforms: TransformBuffer
    calibrations: dict[str, Calibration] = field(default_factory=dict)
    frames: dict[str, str] = field(default_factory=dict)
    stamps_ns: dict[str, list[int]] = field(default_factory=dict)
    sets: list[SyncedSet[int]] = field(default_factory=list)
    truths_ns: set[int] = field(default_factory=set)
    odometer: Odometer | None = None


def lidar_topic(rig: Rig, topic: str | None) -> str | None:
    """The point cloud topic: the one that is named, else the rig's reference if that is one."""
    if topic is None and rig.reference is not None and rig.reference.message_type == POINT_CLOUD:
        return rig.reference.topic
    return topic


def wanted_topics(rig: Rig, wanted: Wanted) -> list[str]:
    """Everything that is read."""
    cameras = [topic for camera in rig.cameras for topic in (camera.topic, camera.camera_info_topic)]
    reference = [] if rig.reference is None else [rig.reference.topic]
    others = [topic for topic in (wanted.lidar, wanted.odometry) if topic is not None]
    return ["/tf", "/tf_static", *cameras, *reference, *others, GROUND_TRUTH_TOPIC]


def survey(recording: Recording, bag: Path, rig: Rig, wanted: Wanted) -> Survey:
    """Read a recording once without keeping pictures.

    Args:
        recording: The open recording.
        bag: Its path, for errors.
        rig: Cameras, topics and timing.
        wanted: What is to be read beside the cameras.

    Returns:
        What it holds.

    Raises:
        DataError: a topic or calibration is missing, a calibration or frame changes, time jumps back, no set is
            complete, or a camera has a lens distortion.
    """
    others = [topic for topic in (wanted.lidar, wanted.odometry) if topic is not None]
    for name in (*(camera.topic for camera in rig.cameras), *others):
        if name not in recording.topics:
            raise DataError(bag, name, "a topic of the recording", f"only {sorted(recording.topics)}")
    found = Survey(bag, TransformBuffer(history_ns=1 << 62))
    if (topic := wanted.odometry) is not None:
        kind = next(connection.msgtype for connection in recording.connections if connection.topic == topic)
        found.odometer = Odometer(bag, topic, kind)
    synchronizer: Synchronizer[int] = Synchronizer(rig.sync_settings())
    reader = _Reader(found, rig, wanted, synchronizer)
    messages = read_messages(recording, wanted_topics(rig, wanted))
    for topic, _, message in tqdm(messages, desc=f"{bag.name}: read", unit="msg"):
        reader.take(topic, message)
    found.sets += synchronizer.flush()
    broken = dict(found.transforms.broken)
    if found.odometer is not None and found.odometer.broken:
        broken[f"velocity of {wanted.odometry}"] = found.odometer.broken
    for kind, count in broken.items():
        _log.warning("%s: left out %d times: %s", bag.name, count, kind)
    _check(found, rig, synchronizer)
    if wanted.poses == "transforms" and rig.fixed_frame is None:
        expected = "the frame in which the robot's motion is known (odom, map), or --poses unknown"
        raise DataError(rig.path, "fixed_frame", expected, None)
    return found


class _Reader:
    """Files one message after the other."""

    def __init__(self, found: Survey, rig: Rig, wanted: Wanted, synchronizer: Synchronizer[int]) -> None:
        self._found, self._rig, self._wanted, self._synchronizer = found, rig, wanted, synchronizer
        self._pictures = {camera.topic: camera for camera in rig.cameras}
        self._infos = {camera.camera_info_topic: camera for camera in rig.cameras}

    def take(self, topic: str, message: Any) -> None:
        if topic in {"/tf", "/tf_static"}:
            self._found.transforms.feed(message, static=topic == "/tf_static", topic=topic)
        elif topic in self._infos:
            self._calibrate(self._infos[topic], message)
        elif topic in self._pictures:
            camera = self._pictures[topic]
            stamp = self._stamp(camera.name, camera.frame or message.header.frame_id, topic, message)
            self._keep(self._synchronizer.push(camera.name, stamp, stamp))
        elif topic == GROUND_TRUTH_TOPIC:
            self._found.truths_ns.add(stamp_ns(message.header))
        if topic == self._wanted.lidar:
            self._stamp("LIDAR_TOP", message.header.frame_id, topic, message)
        if topic == self._wanted.odometry and self._found.odometer is not None:
            self._found.odometer.add(stamp_ns(message.header), message)
        if self._rig.reference is not None and topic == self._rig.reference.topic:
            self._keep(self._synchronizer.push_reference(stamp_ns(message.header)))

    def _keep(self, made: SyncedSet[int] | None) -> None:
        if made is not None:
            self._found.sets.append(made)

    def _stamp(self, name: str, frame: str, topic: str, message: Any) -> int:
        stamp = stamp_ns(message.header)
        before = self._found.stamps_ns.setdefault(name, [])
        if before and stamp <= before[-1]:
            raise DataError(self._found.bag, topic, f"stamps that grow; after {before[-1]} ns", f"{stamp} ns")
        before.append(stamp)
        known = self._found.frames.setdefault(name, frame)
        if known != frame:
            raise DataError(self._found.bag, topic, f"one frame_id for the whole recording: {known}", frame)
        return stamp

    def _calibrate(self, camera: RigCamera, message: Any) -> None:
        calibration = read_camera_info(message, camera)
        known = self._found.calibrations.setdefault(camera.name, calibration)
        if known != calibration:
            raise DataError(
                self._found.bag, camera.camera_info_topic, "one calibration for the whole recording", "a change"
            )


def _check(found: Survey, rig: Rig, synchronizer: Synchronizer[int]) -> None:
    for camera in rig.cameras:
        if camera.name not in found.stamps_ns:
            raise DataError(found.bag, camera.topic, "pictures", "none")
        calibration = found.calibrations.get(camera.name) or _of_rig_file(camera)
        if calibration is None:
            expected = "a sensor_msgs/CameraInfo, or a calibration in the rig file"
            raise DataError(found.bag, camera.camera_info_topic, expected, "none")
        if calibration.distortion is not None or calibration.model != "pinhole":
            expected = "rectified pictures (nuScenes has no place for a lens model); rectify them, for instance with "
            raise DataError(
                found.bag, camera.camera_info_topic, expected + "image_proc, and set rectified: true in the rig",
                f"{calibration.model} with distortion {calibration.distortion}",
            )  # fmt: skip
        found.calibrations[camera.name] = calibration
    found.sets = [made for made in found.sets if not made.missing]
    if not found.sets:
        counters = {name: f"{c.received} received" for name, c in synchronizer.counters().items()}
        raise DataError(found.bag, "pictures", f"sets of all cameras within {rig.tolerance_ms} ms", counters)
    _tell_losses(found, synchronizer)


def _tell_losses(found: Survey, synchronizer: Synchronizer[int]) -> None:
    """Cycles without a camera's picture become no key frames: a camera that fell silent costs its part of the drive."""
    gaps = {name: c.missing for name, c in synchronizer.counters().items() if c.missing}
    if gaps:
        told = ", ".join(f"{name} {count}" for name, count in gaps.items())
        _log.warning("%s: cycles without a picture, which become no key frames: %s", found.bag, told)
    alone = found.truths_ns - {made.reference_stamp_ns for made in found.sets}
    if alone:
        _log.warning(
            "%s: %d of %d ground truths are left out: no complete set of pictures has their stamp",
            found.bag, len(alone), len(found.truths_ns),
        )  # fmt: skip


def _of_rig_file(camera: RigCamera) -> Calibration | None:
    """What the rig file says of a camera's lens and picture."""
    if (known := camera.calibration) is None:
        return None
    return Calibration(known.intrinsics, known.width, known.height, known.model, known.distortion, camera.frame or "")


def mounting(found: Survey, rig: Rig, channel: str) -> np.ndarray:
    """(4, 4) pose of a sensor in the base frame; of a camera, that of its pictures.

    Transforms say it; of a camera whose frame they do not know, the rig file.

    Raises:
        DataError: its frame is not connected to the base frame, or moves on the robot.
    """
    stated = {camera.name: camera.calibration for camera in rig.cameras}.get(channel)
    if stated is not None and found.transforms.fault(rig.base_frame, found.frames[channel]) is not None:
        return stated.T_ego_cam
    try:
        stamps = found.stamps_ns[channel]
        T_ego_frame = mounting_pose(found.transforms, rig.base_frame, found.frames[channel], stamps)
    except DataError as error:
        raise DataError(found.bag, f"{channel}, frame {error.key}", error.expected, error.received) from error
    calibration = found.calibrations.get(channel)
    return T_ego_frame if calibration is None else T_ego_frame @ calibration.T_frame_cam


def ego_pose(found: Survey, rig: Rig, stamp: int) -> np.ndarray:
    """(4, 4) pose of the base in the fixed frame at a stamp.

    Raises:
        DataError: it is not known.
    """
    assert rig.fixed_frame is not None
    try:
        return found.transforms.lookup(rig.fixed_frame, rig.base_frame, stamp, HOLD_POSE_NS)
    except DataError as error:
        expected = f"{error.expected}, or --poses unknown"
        raise DataError(found.bag, error.key, expected, error.received) from error


def choose_key_frames(stamps_ns: Sequence[int], period_ns: int) -> list[int]:
    """Stamps at least nine tenths of a period apart: the first one, then always the next possible one.

    Args:
        stamps_ns: Ascending stamps of sets.
        period_ns: Wanted time between key frames.

    Example:
        >>> choose_key_frames([0, 100, 200, 300, 400, 500], 250)
        [0, 300]
    """
    chosen: list[int] = []
    for stamp in stamps_ns:
        if not chosen or stamp - chosen[-1] >= 0.9 * period_ns:
            chosen.append(stamp)
    return chosen


def key_sets(found: Survey, rate_hz: float) -> Iterator[SyncedSet[int]]:
    """Sets that become key frames: those with ground truth where there is some, else by the rate."""
    by_stamp = {made.reference_stamp_ns: made for made in found.sets}
    wanted = sorted(found.truths_ns & set(by_stamp))
    for stamp in wanted or choose_key_frames(sorted(by_stamp), round(1e9 / rate_hz)):
        yield by_stamp[stamp]
