# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What a nuScenes scene says, event by event, in the order in which a recording wants it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from gsocc_core import Camera
from gsocc_core.data.stored import reading
from gsocc_core.errors import ConfigError, DataError
from gsocc_ros.convert.contents import Contents
from gsocc_ros.convert.events import (
    BASE_FRAME,
    BOXES_TOPIC,
    DETECTIONS_TOPIC,
    LATCHED,
    MAP_TOPIC,
    ODOMETRY_TOPIC,
    SENSOR_DATA,
    STREAM,
    WHEELS_TOPIC,
    WORLD_FRAME,
    Event,
    frame_of,
    topic_of,
)
from gsocc_ros.convert.ground_truth import GroundTruth
from gsocc_ros.convert.scene_tables import SceneTables
from gsocc_ros.messages.annotation_messages import (
    BoxRecord,
    MotionRecord,
    box_markers,
    odometry,
    rates,
    velocities,
)
from gsocc_ros.messages.can_messages import (
    CAN_TOPICS,
    CanBus,
    can_message,
    can_stamp_ns,
    read_can_bus,
    wheel_speed,
)
from gsocc_ros.messages.map_messages import read_mask, road_map
from gsocc_ros.messages.message_host import MessageHost
from gsocc_ros.messages.radar_messages import read_radar
from gsocc_ros.messages.sensor_messages import (
    camera_info,
    compressed_image,
    point_cloud,
    read_lidar,
    transform_from_quat,
    transforms,
)
from gsocc_ros.messages.vision_messages import detections

_log = logging.getLogger(__name__)
#: First bytes of the picture formats that players know, and what CompressedImage calls them.
_ENCODINGS = {b"\xff\xd8\xff": "jpeg", b"\x89PNG\r\n": "png"}


class SceneEvents:
    """Events of one scene.

    Args:
        nusc: The devkit's NuScenes.
        drive: The scene's record.
        host: Whose messages.
        contents: What is wanted.
    """

    def __init__(self, nusc: Any, drive: dict[str, Any], host: MessageHost, contents: Contents) -> None:
        self.tables, self.host, self.contents = SceneTables(nusc, drive), host, contents
        self.truth = GroundTruth(self.tables, host, contents)
        self.modalities = {"camera", "lidar", "radar"} if contents.radar else {"camera", "lidar"}
        self.can_bus = read_can_bus(self.tables.root, self.tables.name) if contents.can_bus else CanBus()
        self.frames: dict[str, str] = {}  # by channel, filled by events()
        self.sensors: dict[str, dict[str, Any]] = {}  # the drive's calibration by channel, filled by events()
        self.infos: dict[tuple[str, tuple[int, int]], Any] = {}

    def _window(self, stamps: Iterable[int]) -> range:
        """Stamps that are wanted, from the first ego pose among them to the last."""
        stamps = sorted(stamps)
        begin = stamps[0] + round(self.contents.start_s * 1e9)
        end = stamps[-1] + 1 if self.contents.duration_s is None else begin + round(self.contents.duration_s * 1e9)
        wanted = [stamp for stamp in stamps if begin <= stamp < end]
        if not wanted:
            length = f"within the {(stamps[-1] - stamps[0]) * 1e-9:.1f} s of {self.tables.drive['name']}"
            received = f"start {self.contents.start_s} s, duration {self.contents.duration_s} s"
            raise ConfigError("nuscenes_to_rosbag2", "start, duration", length, received)
        return range(wanted[0], wanted[-1] + 1)

    def events(self) -> Iterator[Event]:
        """All messages, in no particular order.

        Raises:
            DataError: a picture or point cloud is missing, or the LiDAR that ground truth refers to; or a sensor's
                calibration changes.
            ConfigError: the scene has ended when the recording should begin.
        """
        poses: dict[int, dict[str, Any]] = {}
        ways_m: dict[int, float] = {}
        readings = []
        stamps = set()
        for channel, data in self.tables.readings():
            pose = self.tables.get("ego_pose", data["ego_pose_token"])
            stamps.add(int(pose["timestamp"]) * 1000)
            if pose["translation"] is not None:  # null: nobody knows where the ego was
                poses.setdefault(int(pose["timestamp"]) * 1000, pose)
            if pose.get("travelled_m") is not None:
                ways_m.setdefault(int(pose["timestamp"]) * 1000, float(pose["travelled_m"]))
            if data["sensor_modality"] in self.modalities:
                self.frames[channel] = frame_of(channel, data["sensor_modality"])
                self.sensors[channel] = self.tables.calibration(channel, data, self.sensors.get(channel))
                if self.contents.sweeps or data["is_key_frame"]:
                    readings.append((channel, data))
        window = self._window(stamps)
        for channel, data in readings:
            if self.contents.whole or int(data["timestamp"]) * 1000 in window:
                yield from self._reading(channel, data)
        begin = window[0]
        yield Event(begin, 0, "/tf_static", "tf2_msgs/msg/TFMessage", LATCHED, partial(self._static, begin))
        for stamp, pose in poses.items():
            if stamp in window:
                build = partial(self._transforms, {BASE_FRAME: pose}, WORLD_FRAME, stamp)
                yield Event(stamp, 1, "/tf", "tf2_msgs/msg/TFMessage", STREAM, build)
        yield from self._odometry(poses, window)
        yield from self._wheels(ways_m, window)
        yield from self._can_messages(window)
        yield from self._map([pose["translation"] for stamp, pose in poses.items() if stamp in window], begin)
        samples = self.tables.samples
        if not self.contents.whole:
            samples = [sample for sample in samples if int(sample["timestamp"]) * 1000 in window]
        if poses:  # boxes stand in the world
            yield from self._boxes(samples)
        yield from self.truth.events(samples, begin)

    def _odometry(self, poses: dict[int, dict[str, Any]], window: range) -> Iterator[Event]:
        if not poses:
            return
        stamps = sorted(poses)
        places, quats = (
            np.array([poses[stamp][key] for stamp in stamps], np.float64) for key in ("translation", "rotation")
        )
        for stamp, speed, rate in zip(stamps, velocities(stamps, places), rates(stamps, quats), strict=True):
            if stamp in window:
                build = partial(self._odom, poses[stamp], speed, rate, stamp)
                yield Event(stamp, 1, ODOMETRY_TOPIC, "nav_msgs/msg/Odometry", STREAM, build)

    def _odom(self, pose: dict[str, Any], speed: np.ndarray, rate: np.ndarray, stamp: int) -> Any:
        motion = MotionRecord(pose["rotation"], pose["translation"], speed.tolist(), rate.tolist())
        return odometry(self.host, motion, stamp, (WORLD_FRAME, BASE_FRAME))

    def _wheels(self, ways_m: dict[int, float], window: range) -> Iterator[Event]:
        """The speed between two pictures at both of their stamps, so that its integral is the way that was counted."""
        for (begin, before), (end, after) in pairwise(sorted(ways_m.items())):
            if begin in window and end in window:
                speed = (after - before) / ((end - begin) * 1e-9)
                for stamp in (begin, end):
                    build = partial(self._wheel_speed, speed, stamp)
                    yield Event(stamp, 1, WHEELS_TOPIC, "geometry_msgs/msg/TwistStamped", STREAM, build)

    def _wheel_speed(self, speed_mps: float, stamp: int) -> Any:
        return wheel_speed(self.host, self.host.header(stamp, BASE_FRAME), speed_mps)

    def _boxes(self, samples: list[dict[str, Any]]) -> Iterator[Event]:
        """Boxes of the key frames; a test split has none, and then there is no such topic."""
        for sample in samples:
            if sample["anns"]:
                stamp = int(sample["timestamp"]) * 1000
                build = partial(self._markers, sample["anns"], stamp)
                yield Event(stamp, 4, BOXES_TOPIC, "visualization_msgs/msg/MarkerArray", STREAM, build)
                if self.contents.vision_msgs:
                    build = partial(self._detections, sample["anns"], stamp)
                    yield Event(stamp, 4, DETECTIONS_TOPIC, "vision_msgs/msg/Detection3DArray", STREAM, build)

    def _markers(self, tokens: list[str], stamp: int) -> Any:
        boxes = (self._box(self.tables.get("sample_annotation", token)) for token in tokens)
        return box_markers(self.host, boxes, stamp, WORLD_FRAME)

    def _detections(self, tokens: list[str], stamp: int) -> Any:
        records = (self.tables.get("sample_annotation", token) for token in tokens)
        boxes = ((record["instance_token"], self._box(record)) for record in records)
        return detections(self.host, boxes, stamp, WORLD_FRAME)

    def _box(self, record: dict[str, Any]) -> BoxRecord:
        speed = self.tables.nusc.box_velocity(record["token"]).tolist()
        return BoxRecord(record["category_name"], record["translation"], record["size"], record["rotation"], speed)

    def _reading(self, channel: str, data: dict[str, Any]) -> Iterator[Event]:
        stamp, path, topic = int(data["timestamp"]) * 1000, self.tables.root / data["filename"], topic_of(channel)
        modality, frame = data["sensor_modality"], self.frames[channel]
        if not path.is_file():
            expected = "a radar file, or no radars wanted" if modality == "radar" else "a picture or point cloud"
            raise DataError(path, f"sample_data {data['token']}", expected, "no such file")
        if modality != "camera":
            cloud = self._radar if modality == "radar" else self._cloud
            build = partial(cloud, path, stamp, frame)
            yield Event(stamp, 3, topic, "sensor_msgs/msg/PointCloud2", SENSOR_DATA, build)
            return
        info = partial(self._info, channel, (int(data["width"]), int(data["height"])), stamp)
        yield Event(stamp, 2, f"{topic}/camera_info", "sensor_msgs/msg/CameraInfo", SENSOR_DATA, info)
        build = partial(self._picture, path, stamp, frame)
        yield Event(stamp, 3, f"{topic}/image/compressed", "sensor_msgs/msg/CompressedImage", SENSOR_DATA, build)

    def _info(self, channel: str, size: tuple[int, int], stamp: int) -> Any:
        """A drive's calibration does not change: only the stamp is new."""
        if (channel, size) not in self.infos:
            K = np.asarray(self.sensors[channel]["camera_intrinsic"], np.float64)
            camera = Camera(channel, K, np.eye(4), *size)
            self.infos[channel, size] = camera_info(self.host, camera, stamp, self.frames[channel])
        return replace(self.infos[channel, size], header=self.host.header(stamp, self.frames[channel]))

    def _picture(self, path: Path, stamp: int, frame: str) -> Any:
        with reading(path, "a JPEG or PNG picture"):
            data = path.read_bytes()
        encoding = next((name for start, name in _ENCODINGS.items() if data.startswith(start)), None)
        if encoding is None:
            raise DataError(path, "content", "a JPEG or PNG picture", f"{len(data)} bytes that begin with {data[:6]!r}")
        return compressed_image(self.host, data, stamp, frame, encoding)

    def _cloud(self, path: Path, stamp: int, frame: str) -> Any:
        return point_cloud(self.host, read_lidar(path), stamp, frame)

    def _radar(self, path: Path, stamp: int, frame: str) -> Any:
        return point_cloud(self.host, read_radar(path), stamp, frame)

    def _can_messages(self, window: range) -> Iterator[Event]:
        """CAN readings within the scene's time; the expansion's files reach a little beyond."""
        scene = self.tables.name
        for topic in CAN_TOPICS:
            for record in self.can_bus.records.get(topic.name, ()):
                stamp = can_stamp_ns(self.tables.root, scene, topic.name, record)
                if stamp in window:
                    build = partial(can_message, self.host, self.tables.root, scene, topic, record, stamp, BASE_FRAME)
                    yield Event(stamp, 2, topic.topic, topic.message_type, STREAM, build)

    def _map(self, places: list[list[float]], stamp: int) -> Iterator[Event]:
        if not self.contents.road_map or not places:
            return
        chart = self.tables.get("map", self.tables.get("log", self.tables.drive["log_token"])["map_token"])
        picture = self.tables.root / chart["filename"]
        if not picture.is_file():
            _log.warning("%s: no such map; the recording has none", picture)
            return
        message = road_map(self.host, read_mask(picture), np.array(places, np.float64), stamp, WORLD_FRAME)
        if message is not None:
            yield Event(stamp, 0, MAP_TOPIC, "nav_msgs/msg/OccupancyGrid", LATCHED, lambda: message)

    def _static(self, stamp: int) -> Any:
        sensors = {self.frames[channel]: sensor for channel, sensor in self.sensors.items()}
        return self._transforms(sensors, BASE_FRAME, stamp)

    def _transforms(self, children: dict[str, dict[str, Any]], parent: str, stamp: int) -> Any:
        """Poses of child frames as the tables' records hold them."""
        items = [
            transform_from_quat(self.host, pose["rotation"], pose["translation"], parent, child, stamp)
            for child, pose in children.items()
        ]
        return transforms(self.host, items)

    def custom_data(self) -> dict[str, str]:
        """What the recording says about itself; complete after :meth:`events`."""
        log = self.tables.get("log", self.tables.drive["log_token"])
        keys = ("translation", "rotation", "camera_intrinsic")
        calibration = {channel: {key: sensor[key] for key in keys} for channel, sensor in self.sensors.items()}
        notes = {"notes": json.dumps(self.can_bus.notes)} if self.can_bus.notes else {}
        return {
            "dataset": "nuScenes",
            "dataset_version": self.tables.nusc.version,
            "scene": self.tables.name,
            "scene_token": self.tables.drive["token"],
            "logfile": str(log.get("logfile", "")),
            "location": str(log.get("location", "")),
            "calibration": json.dumps(calibration),  # rotation: w, x, y, z; pose of the sensor in base_link
            **notes,
        }
