# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What a nuScenes scene says, event by event, in the order in which a recording wants it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rosbags.interfaces import Qos

from gsocc_core import OCC3D_NUSCENES, Camera, SemanticGrid, VoxelGrid
from gsocc_core.data.occ3d import read_occ3d
from gsocc_core.data.surroundocc import SURROUNDOCC_GRID, SURROUNDOCC_NUSCENES, label_file, read_surroundocc
from gsocc_core.errors import ConfigError, DataError
from gsocc_ros.bags.bag_files import qos_profile
from gsocc_ros.messages import sensor_messages
from gsocc_ros.messages.annotation_messages import BoxRecord, box_markers, odometry, velocities
from gsocc_ros.messages.can_messages import CAN_TOPICS, CanBus, can_message, can_stamp_ns, read_can_bus
from gsocc_ros.messages.label_messages import lidarseg_classes, read_point_labels, with_labels
from gsocc_ros.messages.map_messages import read_mask, road_map
from gsocc_ros.messages.message_host import MessageHost
from gsocc_ros.messages.occupancy_messages import class_table, occupancy
from gsocc_ros.messages.outputs import GROUND_TRUTH_TOPIC
from gsocc_ros.messages.radar_messages import read_radar
from gsocc_ros.messages.vision_messages import detections

WORLD_FRAME, BASE_FRAME = "map", "base_link"
ODOMETRY_TOPIC, BOXES_TOPIC, MAP_TOPIC = "/odom", "/annotations", "/map"
DETECTIONS_TOPIC, POINT_LABELS_TOPIC = "/annotations/detections", "/lidar_top/labels"
SURROUNDOCC_TOPIC = f"{GROUND_TRUTH_TOPIC}/surroundocc"
#: Where Occ3D keeps its labels.
OCC3D_FOLDER = "gts"
#: Points of our clouds, as long as those of nuScenes' .pcd.bin files, whose rings are float32.
_CLOUD_POINT = np.dtype({
    "names": ["x", "y", "z", "intensity", "ring"], "formats": ["<f4", "<f4", "<f4", "<f4", "<u2"], "itemsize": 20,
})  # fmt: skip
#: First bytes of the picture formats that players know, and what CompressedImage calls them.
_ENCODINGS = {b"\xff\xd8\xff": "jpeg", b"\x89PNG\r\n": "png"}

#: A reliable offer suits every subscriber, also best-effort ones.
SENSOR_DATA, STREAM, LATCHED = qos_profile(5), qos_profile(100), qos_profile(1, latched=True)


@dataclass(frozen=True)
class Contents:
    """What is written of a scene.

    Attributes:
        occupancy: Folder of Occ3D labels inside the tree; None = without.
        sweeps: The readings between key frames too.
        radar: The radars.
        can_bus: Inertial unit, speed, steering and wheels, where the tree has the CAN bus expansion.
        road_map: The map around the drive.
        lidarseg: Clouds with the labels of their points at the key frames, where the tree has them.
        surroundocc: Folder of SurroundOcc labels, below the tree or anywhere; None = without.
        vision_msgs: The boxes as vision_msgs/Detection3DArray too.
        start_s: Leave out what is earlier, seconds after the scene's first ego pose.
        duration_s: Leave out what is as much later than that, seconds; None = to the end.

    Raises:
        ConfigError: a time is negative, or no number.
    """

    occupancy: str | None = OCC3D_FOLDER
    sweeps: bool = True
    radar: bool = True
    can_bus: bool = True
    road_map: bool = True
    lidarseg: bool = True
    surroundocc: str | None = None
    vision_msgs: bool = False
    start_s: float = 0.0
    duration_s: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start_s < math.inf:
            raise ConfigError("nuscenes_to_rosbag2", "start", "seconds, not negative", self.start_s)
        if self.duration_s is not None and not 0 < self.duration_s < math.inf:
            raise ConfigError("nuscenes_to_rosbag2", "duration", "seconds, more than 0", self.duration_s)

    @property
    def whole(self) -> bool:
        """Whether no time is left out."""
        return not self.start_s and self.duration_s is None


@dataclass(frozen=True)
class Event:
    """One message to be written: when, where, and how to make it (late, so that one picture is in memory at a time)."""

    stamp_ns: int
    order: int
    topic: str
    message_type: str
    qos: Qos
    build: Callable[[], Any]


def topic_of(channel: str) -> str:
    """Topic prefix of a nuScenes channel: CAM_FRONT -> /cam_front."""
    return f"/{channel.lower()}"


def frame_of(channel: str) -> str:
    """Frame of a nuScenes channel: CAM_FRONT -> cam_front_optical_frame, LIDAR_TOP -> lidar_top."""
    name = channel.lower()
    return f"{name}_optical_frame" if channel.startswith("CAM") else name


class SceneEvents:
    """Events of one scene.

    Args:
        nusc: The devkit's NuScenes.
        drive: The scene's record.
        host: Whose messages.
        contents: What is wanted.
    """

    def __init__(self, nusc: Any, drive: dict[str, Any], host: MessageHost, contents: Contents) -> None:
        self.nusc, self.drive, self.host, self.contents = nusc, drive, host, contents
        self.root = Path(nusc.dataroot)
        self.labels = self._labels_folder("occupancy", contents.occupancy)
        self.surroundocc = self._labels_folder("surroundocc", contents.surroundocc)
        self.channels = ("CAM", "LIDAR", "RADAR") if contents.radar else ("CAM", "LIDAR")
        self.can_bus = read_can_bus(self.root, drive["name"]) if contents.can_bus else CanBus()
        self.samples = list(self._chain("sample", drive["first_sample_token"]))
        self.sensors: dict[str, dict[str, Any]] = {}  # the drive's calibration by channel, filled by events()
        self.infos: dict[tuple[str, tuple[int, int]], Any] = {}

    def _get(self, table: str, token: str) -> dict[str, Any]:
        try:
            record: dict[str, Any] = self.nusc.get(table, token)
        except KeyError as error:
            where = self.root / self.nusc.version / f"{table}.json"
            raise DataError(where, "token", f"a record {token!r}", "none") from error
        return record

    def _labels_folder(self, key: str, name: str | None) -> Path | None:
        if name is None:
            return None
        folder = self.root / name
        if folder.is_dir():
            return folder
        if (key, name) == ("occupancy", OCC3D_FOLDER):
            return None
        kind = {"occupancy": "Occ3D", "surroundocc": "SurroundOcc"}[key]
        raise DataError(folder, key, f"a folder of {kind} labels", "no such folder")

    def _window(self, stamps: Iterable[int]) -> range:
        """Stamps that are wanted, from the first ego pose among them to the last."""
        stamps = sorted(stamps)
        begin = stamps[0] + round(self.contents.start_s * 1e9)
        end = stamps[-1] + 1 if self.contents.duration_s is None else begin + round(self.contents.duration_s * 1e9)
        wanted = [stamp for stamp in stamps if begin <= stamp < end]
        if not wanted:
            length = f"within the {(stamps[-1] - stamps[0]) * 1e-9:.1f} s of {self.drive['name']}"
            received = f"start {self.contents.start_s} s, duration {self.contents.duration_s} s"
            raise ConfigError("nuscenes_to_rosbag2", "start, duration", length, received)
        return range(wanted[0], wanted[-1] + 1)

    def _chain(self, table: str, token: str) -> Iterator[dict[str, Any]]:
        while token:
            record = self._get(table, token)
            yield record
            token = record["next"]

    def _readings(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """(channel, sample_data) of every reading of the scene, whatever the sensor."""
        tokens = {sample["token"] for sample in self.samples}
        for channel, token in self.samples[0]["data"].items():
            first = self._get("sample_data", token)
            while first["prev"]:  # sweeps may begin before the first key frame
                first = self._get("sample_data", first["prev"])
            for data in self._chain("sample_data", first["token"]):
                if data["sample_token"] in tokens:
                    yield channel, data

    def events(self) -> Iterator[Event]:
        """All messages, in no particular order.

        Raises:
            DataError: a picture or point cloud is missing, or the LiDAR that ground truth refers to.
            ConfigError: the scene has ended when the recording should begin.
        """
        poses: dict[int, dict[str, Any]] = {}
        readings = []
        for channel, data in self._readings():
            pose = self._get("ego_pose", data["ego_pose_token"])
            poses.setdefault(int(pose["timestamp"]) * 1000, pose)
            if channel.startswith(self.channels):
                self.sensors[channel] = self._get("calibrated_sensor", data["calibrated_sensor_token"])
                if self.contents.sweeps or data["is_key_frame"]:
                    readings.append((channel, data))
        window = self._window(poses)
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
        yield from self._can_messages(window)
        yield from self._map([pose["translation"] for stamp, pose in poses.items() if stamp in window], begin)
        if not self.contents.whole:
            self.samples = [sample for sample in self.samples if int(sample["timestamp"]) * 1000 in window]
        yield from self._boxes()
        yield from self._point_labels(begin)
        yield from self._truths(begin)

    def _odometry(self, poses: dict[int, dict[str, Any]], window: range) -> Iterator[Event]:
        stamps = sorted(poses)
        speeds = velocities(stamps, np.array([poses[stamp]["translation"] for stamp in stamps], np.float64))
        for stamp, speed in zip(stamps, speeds, strict=True):
            if stamp in window:
                build = partial(self._odom, poses[stamp], speed, stamp)
                yield Event(stamp, 1, ODOMETRY_TOPIC, "nav_msgs/msg/Odometry", STREAM, build)

    def _odom(self, pose: dict[str, Any], speed: np.ndarray, stamp: int) -> Any:
        frames = (WORLD_FRAME, BASE_FRAME)
        return odometry(self.host, pose["rotation"], pose["translation"], speed.tolist(), stamp, frames)

    def _boxes(self) -> Iterator[Event]:
        """Boxes of the key frames; a test split has none, and then there is no such topic."""
        for sample in self.samples:
            if sample["anns"]:
                stamp = int(sample["timestamp"]) * 1000
                build = partial(self._markers, sample["anns"], stamp)
                yield Event(stamp, 4, BOXES_TOPIC, "visualization_msgs/msg/MarkerArray", STREAM, build)
                if self.contents.vision_msgs:
                    build = partial(self._detections, sample["anns"], stamp)
                    yield Event(stamp, 4, DETECTIONS_TOPIC, "vision_msgs/msg/Detection3DArray", STREAM, build)

    def _markers(self, tokens: list[str], stamp: int) -> Any:
        boxes = (self._box(self._get("sample_annotation", token)) for token in tokens)
        return box_markers(self.host, boxes, stamp, WORLD_FRAME)

    def _detections(self, tokens: list[str], stamp: int) -> Any:
        records = (self._get("sample_annotation", token) for token in tokens)
        boxes = ((record["instance_token"], self._box(record)) for record in records)
        return detections(self.host, boxes, stamp, WORLD_FRAME)

    def _box(self, record: dict[str, Any]) -> BoxRecord:
        speed = self.nusc.box_velocity(record["token"]).tolist()
        return BoxRecord(record["category_name"], record["translation"], record["size"], record["rotation"], speed)

    def _reading(self, channel: str, data: dict[str, Any]) -> Iterator[Event]:
        stamp, path, topic = int(data["timestamp"]) * 1000, self.root / data["filename"], topic_of(channel)
        if not path.is_file():
            expected = (
                "a radar file, or no radars wanted" if channel.startswith("RADAR") else "a picture or point cloud"
            )
            raise DataError(path, f"sample_data {data['token']}", expected, "no such file")
        if not channel.startswith("CAM"):
            cloud = self._radar if channel.startswith("RADAR") else self._cloud
            build = partial(cloud, path, stamp, frame_of(channel))
            yield Event(stamp, 3, topic, "sensor_msgs/msg/PointCloud2", SENSOR_DATA, build)
            return
        info = partial(self._info, channel, (int(data["width"]), int(data["height"])), stamp)
        yield Event(stamp, 2, f"{topic}/camera_info", "sensor_msgs/msg/CameraInfo", SENSOR_DATA, info)
        build = partial(self._picture, path, stamp, frame_of(channel))
        yield Event(stamp, 3, f"{topic}/image/compressed", "sensor_msgs/msg/CompressedImage", SENSOR_DATA, build)

    def _info(self, channel: str, size: tuple[int, int], stamp: int) -> Any:
        """A drive's calibration does not change: only the stamp is new."""
        if (channel, size) not in self.infos:
            K = np.asarray(self.sensors[channel]["camera_intrinsic"], np.float64)
            camera = Camera(channel, K, np.eye(4), *size)
            self.infos[channel, size] = sensor_messages.camera_info(self.host, camera, stamp, frame_of(channel))
        return replace(self.infos[channel, size], header=self.host.header(stamp, frame_of(channel)))

    def _picture(self, path: Path, stamp: int, frame: str) -> Any:
        data = path.read_bytes()
        encoding = next((name for start, name in _ENCODINGS.items() if data.startswith(start)), None)
        if encoding is None:
            raise DataError(path, "content", "a JPEG or PNG picture", f"{len(data)} bytes that begin with {data[:6]!r}")
        return sensor_messages.compressed_image(self.host, data, stamp, frame, encoding)

    def _cloud(self, path: Path, stamp: int, frame: str) -> Any:
        return sensor_messages.point_cloud(self.host, _lidar_points(path), stamp, frame)

    def _point_labels(self, begin: int) -> Iterator[Event]:
        """Key frames' clouds with the class of each point, where the data set has them."""
        classes = lidarseg_classes(self.nusc) if self.contents.lidarseg else None
        if classes is None:
            return
        table = "panoptic" if getattr(self.nusc, "panoptic", None) else "lidarseg"  # panoptic knows more
        for sample in self.samples:
            data = self._get("sample_data", self._lidar(sample))
            # The devkit gives both tables the tokens of the clouds.
            labels = self.root / self._get(table, data["token"])["filename"]
            stamp = int(data["timestamp"]) * 1000
            build = partial(self._labelled, self.root / data["filename"], labels, stamp)
            yield Event(stamp, 4, POINT_LABELS_TOPIC, "sensor_msgs/msg/PointCloud2", SENSOR_DATA, build)
        about = partial(class_table, self.host, classes, begin)
        yield Event(begin, 0, f"{POINT_LABELS_TOPIC}/classes", "gsocc_ros/msg/SemanticClassTable", LATCHED, about)

    def _labelled(self, path: Path, labels: Path, stamp: int) -> Any:
        points = with_labels(_lidar_points(path), read_point_labels(labels), labels)
        return sensor_messages.point_cloud(self.host, points, stamp, frame_of("LIDAR_TOP"))

    def _lidar(self, sample: dict[str, Any]) -> str:
        if "LIDAR_TOP" not in sample["data"]:
            where = self.root / self.nusc.version / "sample_data.json"
            raise DataError(where, f"sample {sample['token']}", "a key frame of LIDAR_TOP", sorted(sample["data"]))
        return str(sample["data"]["LIDAR_TOP"])

    def _radar(self, path: Path, stamp: int, frame: str) -> Any:
        return sensor_messages.point_cloud(self.host, read_radar(path), stamp, frame)

    def _can_messages(self, window: range) -> Iterator[Event]:
        """CAN readings within the scene's time; the expansion's files reach a little beyond."""
        scene = self.drive["name"]
        for topic in CAN_TOPICS:
            for record in self.can_bus.records.get(topic.name, ()):
                stamp = can_stamp_ns(self.root, scene, topic.name, record)
                if stamp in window:
                    build = partial(can_message, self.host, self.root, scene, topic, record, stamp, BASE_FRAME)
                    yield Event(stamp, 2, topic.topic, topic.message_type, STREAM, build)

    def _map(self, places: list[list[float]], stamp: int) -> Iterator[Event]:
        if not self.contents.road_map:
            return
        chart = self._get("map", self._get("log", self.drive["log_token"])["map_token"])
        message = road_map(
            self.host, read_mask(self.root / chart["filename"]), np.array(places, np.float64), stamp, WORLD_FRAME
        )
        if message is not None:
            yield Event(stamp, 0, MAP_TOPIC, "nav_msgs/msg/OccupancyGrid", LATCHED, lambda: message)

    def _static(self, stamp: int) -> Any:
        sensors = {frame_of(channel): sensor for channel, sensor in self.sensors.items()}
        return self._transforms(sensors, BASE_FRAME, stamp)

    def _transforms(self, children: dict[str, dict[str, Any]], parent: str, stamp: int) -> Any:
        """Poses of child frames as the tables' records hold them."""
        items = [
            sensor_messages.transform_from_quat(self.host, pose["rotation"], pose["translation"], parent, child, stamp)
            for child, pose in children.items()
        ]
        return sensor_messages.transforms(self.host, items)

    def _truths(self, begin: int) -> Iterator[Event]:
        """Ground truth of the key frames that have label files, and its class tables."""
        kind, kind_of_table = "gsocc_ros/msg/SemanticOccupancy", "gsocc_ros/msg/SemanticClassTable"
        for folder, topic, classes in (
            (self.labels, GROUND_TRUTH_TOPIC, OCC3D_NUSCENES),
            (self.surroundocc, SURROUNDOCC_TOPIC, SURROUNDOCC_NUSCENES),
        ):
            labelled = list(self._label_files(folder, topic)) if folder is not None else []
            for path, stamp in labelled:
                build = partial(self._truth if topic == GROUND_TRUTH_TOPIC else self._surround_truth, path, stamp)
                yield Event(stamp, 4, topic, kind, STREAM, build)
            if labelled:
                table = partial(class_table, self.host, classes, begin)
                yield Event(begin, 0, f"{topic}/classes", kind_of_table, LATCHED, table)

    def _label_files(self, folder: Path, topic: str) -> Iterator[tuple[Path, int]]:
        for sample in self.samples:
            path = folder / self.drive["name"] / sample["token"] / "labels.npz"
            if topic == SURROUNDOCC_TOPIC:
                lidar = self._get("sample_data", self._lidar(sample))
                path = label_file(folder, lidar["filename"])
            if path.is_file():
                yield path, int(self._get("sample_data", self._lidar(sample))["timestamp"]) * 1000

    def _truth(self, path: Path, stamp: int) -> Any:
        labels = read_occ3d(path)
        observed = torch.from_numpy(labels.mask_camera)
        truth = SemanticGrid(torch.from_numpy(labels.semantics), VoxelGrid.occ3d(), OCC3D_NUSCENES, observed=observed)
        return occupancy(self.host, truth, stamp, BASE_FRAME, "ground_truth")

    def _surround_truth(self, path: Path, stamp: int) -> Any:
        labels = torch.from_numpy(read_surroundocc(path))
        truth = SemanticGrid(labels, SURROUNDOCC_GRID, SURROUNDOCC_NUSCENES)
        return occupancy(self.host, truth, stamp, frame_of("LIDAR_TOP"), "ground_truth")

    def custom_data(self) -> dict[str, str]:
        """What the recording says about itself; complete after :meth:`events`."""
        log = self._get("log", self.drive["log_token"])
        keys = ("translation", "rotation", "camera_intrinsic")
        calibration = {channel: {key: sensor[key] for key in keys} for channel, sensor in self.sensors.items()}
        notes = {"notes": json.dumps(self.can_bus.notes)} if self.can_bus.notes else {}
        return {
            "dataset": "nuScenes",
            "dataset_version": self.nusc.version,
            "scene": self.drive["name"],
            "scene_token": self.drive["token"],
            "logfile": str(log.get("logfile", "")),
            "location": str(log.get("location", "")),
            "calibration": json.dumps(calibration),  # rotation: w, x, y, z; pose of the sensor in base_link
            **notes,
        }


def _lidar_points(path: Path) -> np.ndarray:
    raw = np.fromfile(path, np.uint8)
    if raw.size % _CLOUD_POINT.itemsize:
        raise DataError(path, "size", f"a multiple of {_CLOUD_POINT.itemsize} bytes", raw.size)
    words = raw.view("<u4").reshape(-1, 5)
    # The ring goes into the lower half of its word, zeros into the upper one, which is padding: faster than by fields.
    words[:, 4] = words[:, 4].view("<f4").astype(np.uint16)
    return words.view(_CLOUD_POINT).reshape(-1)
