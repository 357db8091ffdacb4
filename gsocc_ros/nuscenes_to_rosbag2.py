# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""nuScenes scenes as rosbag2 recordings, without ROS: pictures, calibration, transforms, LiDAR, ground truth."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rosbags.interfaces import Connection, Qos
from tqdm import tqdm

from gsocc_core import OCC3D_NUSCENES, Camera, SemanticGrid, VoxelGrid
from gsocc_core.data.nuscenes_index import choose_scenes, open_nuscenes
from gsocc_core.data.occ3d import read_occ3d
from gsocc_core.errors import DataError, GsoccError, OutputExistsError
from gsocc_ros import messages, sensor_messages
from gsocc_ros.annotation_messages import BoxRecord, box_markers, odometry, velocities
from gsocc_ros.bag_files import Distro, Storage, new_bag, qos_profile
from gsocc_ros.message_host import MessageHost, rosbags_host
from gsocc_ros.outputs import GROUND_TRUTH_TOPIC, TRUTH_CLASSES_TOPIC

WORLD_FRAME, BASE_FRAME = "map", "base_link"
ODOMETRY_TOPIC, BOXES_TOPIC = "/odom", "/annotations"
#: Where Occ3D keeps its labels.
OCC3D_FOLDER = "gts"
#: Points of nuScenes' .pcd.bin files, and of our clouds (padded, so that every field is aligned to its size).
_LIDAR_POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("intensity", "<f4"), ("ring", "<f4")])
_CLOUD_POINT = np.dtype({
    "names": ["x", "y", "z", "intensity", "ring"], "formats": ["<f4", "<f4", "<f4", "<f4", "<u2"], "itemsize": 20,
})  # fmt: skip
#: First bytes of the picture formats that players know, and what CompressedImage calls them.
_ENCODINGS = {b"\xff\xd8\xff": "jpeg", b"\x89PNG\r\n": "png"}

#: A reliable offer suits every subscriber, also best-effort ones.
SENSOR_DATA, STREAM, LATCHED = qos_profile(5), qos_profile(100), qos_profile(1, latched=True)


@dataclass(frozen=True)
class _Event:
    """One message to be written: when, where, and how to make it (late, so that one picture is in memory at a time)."""

    stamp_ns: int
    order: int
    topic: str
    message_type: str
    qos: Qos
    build: Callable[[], Any]


def nuscenes_to_rosbag2(
    dataroot: str,
    out: str,
    scene: str,
    version: str = "v1.0-trainval",
    storage: Storage = "mcap",
    distro: Distro = "jazzy",
    occupancy: str | None = OCC3D_FOLDER,
    sweeps: bool = True,
) -> None:
    """Write one nuScenes scene as a rosbag2 recording that ``ros2 bag`` plays.

    Frames: ``map`` -> ``base_link`` in ``/tf`` at every distinct ego-pose stamp of the scene, radars and sweeps
    included; ``base_link`` -> cameras and LiDAR in the latched ``/tf_static``, from that drive's own calibration.
    nuScenes' camera frames are optical (z forward) and named ``<camera>_optical_frame``, as REP-103 asks. Pictures
    stay the JPEGs they are. ``/odom`` holds the same poses with velocities, ``/annotations`` the key frames' boxes as
    markers. Log time = header stamp, sorted. Scene, data set version and calibration stand in the
    recording's custom data.

    Args:
        dataroot: A tree in nuScenes layout.
        out: Recording folder to make; it appears only when complete.
        scene: Scene name.
        version: Name of the tables' folder.
        storage: mcap or sqlite3.
        distro: Oldest ROS 2 distribution that must read it.
        occupancy: Folder of Occ3D labels inside ``dataroot``, written as ground truth of the voxels that the key
            frame's cameras see; None = without. Key frames without a label file get no ground truth, and a tree
            without the folder ``gts`` (a test split) gets none at all; any other folder has to exist.
        sweeps: Write the readings between key frames too.

    Raises:
        DataError: the tree lacks tables, the scene or a file, or a file is no picture, point cloud or label file.
        OutputExistsError: ``out`` exists.
        ConfigError: nuscenes-devkit is not installed.

    Example:
        ``nuscenes_to_rosbag2("data/nuscenes", "scene-0103", scene="scene-0103", version="v1.0-mini")``
    """
    if Path(out).exists():  # told at once: the tables of the whole data set take half a minute to read
        raise OutputExistsError(out, "output", "a path that does not exist yet", "something is there")
    nusc = open_nuscenes(dataroot, version)
    choose_scenes(nusc, None, [scene])
    write_scene(nusc, out, scene, storage, distro, occupancy, sweeps)


def write_scene(
    nusc: Any,
    out: str,
    scene: str,
    storage: Storage = "mcap",
    distro: Distro = "jazzy",
    occupancy: str | None = OCC3D_FOLDER,
    sweeps: bool = True,
    quiet: bool = False,
) -> int:
    """:func:`nuscenes_to_rosbag2` for tables that are open already.

    Args:
        nusc: The devkit's NuScenes.
        out: Recording folder to make.
        scene: Scene name.
        storage: mcap or sqlite3.
        distro: Oldest ROS 2 distribution that must read it.
        occupancy: Folder of Occ3D labels, or None.
        sweeps: Write the readings between key frames too.
        quiet: Show no progress.

    Returns:
        Number of messages.
    """
    drive = next(s for s in nusc.scene if s["name"] == scene)
    host, types = rosbags_host(distro)
    source = _Scene(nusc, drive, host, occupancy, sweeps)
    events = sorted(source.events(), key=lambda event: (event.stamp_ns, event.order))
    with new_bag(out, storage, distro) as writer:
        connections: dict[str, Connection] = {}
        for event in tqdm(events, desc=scene, unit="msg", disable=quiet):
            if event.topic not in connections:
                connections[event.topic] = writer.add_connection(
                    event.topic, event.message_type, typestore=types, offered_qos_profiles=[event.qos]
                )
            raw = types.serialize_cdr(event.build(), event.message_type)
            writer.write(connections[event.topic], event.stamp_ns, raw)
        for key, value in source.custom_data().items():
            writer.set_custom_data(key, value)
    return len(events)


def topic_of(channel: str) -> str:
    """Topic prefix of a nuScenes channel: CAM_FRONT -> /cam_front."""
    return f"/{channel.lower()}"


def frame_of(channel: str) -> str:
    """Frame of a nuScenes channel: CAM_FRONT -> cam_front_optical_frame, LIDAR_TOP -> lidar_top."""
    name = channel.lower()
    return f"{name}_optical_frame" if channel.startswith("CAM") else name


class _Scene:
    """Events of one scene."""

    def __init__(
        self, nusc: Any, drive: dict[str, Any], host: MessageHost, occupancy: str | None, sweeps: bool
    ) -> None:
        self.nusc, self.drive, self.host, self.sweeps = nusc, drive, host, sweeps
        self.root = Path(nusc.dataroot)
        self.labels = self._labels_folder(occupancy)
        self.samples = list(self._chain("sample", drive["first_sample_token"]))
        self.sensors: dict[str, dict[str, Any]] = {}  # the drive's calibration by channel, filled by events()

    def _get(self, table: str, token: str) -> dict[str, Any]:
        try:
            record: dict[str, Any] = self.nusc.get(table, token)
        except KeyError as error:
            where = self.root / self.nusc.version / f"{table}.json"
            raise DataError(where, "token", f"a record {token!r}", "none") from error
        return record

    def _labels_folder(self, occupancy: str | None) -> Path | None:
        if occupancy is None:
            return None
        folder = self.root / occupancy
        if folder.is_dir():
            return folder
        if occupancy == OCC3D_FOLDER:
            return None
        raise DataError(folder, "occupancy", "a folder of Occ3D labels", "no such folder")

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

    def events(self) -> Iterator[_Event]:
        """All messages, in no particular order.

        Raises:
            DataError: a picture or point cloud is missing, or the LiDAR that ground truth refers to.
        """
        poses: dict[int, dict[str, Any]] = {}
        for channel, data in self._readings():
            pose = self._get("ego_pose", data["ego_pose_token"])
            poses.setdefault(int(pose["timestamp"]) * 1000, pose)
            if channel.startswith(("CAM", "LIDAR")):
                self.sensors[channel] = self._get("calibrated_sensor", data["calibrated_sensor_token"])
                if self.sweeps or data["is_key_frame"]:
                    yield from self._reading(channel, data)
        begin = min(poses)
        yield _Event(begin, 0, "/tf_static", "tf2_msgs/msg/TFMessage", LATCHED, partial(self._static, begin))
        for stamp, pose in poses.items():
            build = partial(self._transforms, {BASE_FRAME: pose}, WORLD_FRAME, stamp)
            yield _Event(stamp, 1, "/tf", "tf2_msgs/msg/TFMessage", STREAM, build)
        yield from self._odometry(poses)
        yield from self._boxes()
        if self.labels is not None:
            yield from self._truths(self.labels, begin)

    def _odometry(self, poses: dict[int, dict[str, Any]]) -> Iterator[_Event]:
        stamps = sorted(poses)
        speeds = velocities(stamps, np.array([poses[stamp]["translation"] for stamp in stamps], np.float64))
        for stamp, speed in zip(stamps, speeds, strict=True):
            build = partial(self._odom, poses[stamp], speed, stamp)
            yield _Event(stamp, 1, ODOMETRY_TOPIC, "nav_msgs/msg/Odometry", STREAM, build)

    def _odom(self, pose: dict[str, Any], speed: np.ndarray, stamp: int) -> Any:
        frames = (WORLD_FRAME, BASE_FRAME)
        return odometry(self.host, pose["rotation"], pose["translation"], speed.tolist(), stamp, frames)

    def _boxes(self) -> Iterator[_Event]:
        """Boxes of the key frames; a test split has none, and then there is no such topic."""
        for sample in self.samples:
            if sample["anns"]:
                stamp = int(sample["timestamp"]) * 1000
                build = partial(self._markers, sample["anns"], stamp)
                yield _Event(stamp, 4, BOXES_TOPIC, "visualization_msgs/msg/MarkerArray", STREAM, build)

    def _markers(self, tokens: list[str], stamp: int) -> Any:
        records = [(token, self._get("sample_annotation", token)) for token in tokens]
        boxes = [
            BoxRecord(
                r["category_name"], r["translation"], r["size"], r["rotation"], self.nusc.box_velocity(token).tolist()
            )
            for token, r in records
        ]
        return box_markers(self.host, boxes, stamp, WORLD_FRAME)

    def _reading(self, channel: str, data: dict[str, Any]) -> Iterator[_Event]:
        stamp, path, topic = int(data["timestamp"]) * 1000, self.root / data["filename"], topic_of(channel)
        if not path.is_file():
            raise DataError(path, f"sample_data {data['token']}", "a picture or point cloud", "no such file")
        if channel.startswith("LIDAR"):
            build = partial(self._cloud, path, stamp, frame_of(channel))
            yield _Event(stamp, 3, topic, "sensor_msgs/msg/PointCloud2", SENSOR_DATA, build)
            return
        K = np.asarray(self.sensors[channel]["camera_intrinsic"], np.float64)
        camera = Camera(channel, K, np.eye(4), int(data["width"]), int(data["height"]))
        info = partial(sensor_messages.camera_info, self.host, camera, stamp, frame_of(channel))
        yield _Event(stamp, 2, f"{topic}/camera_info", "sensor_msgs/msg/CameraInfo", SENSOR_DATA, info)
        build = partial(self._picture, path, stamp, frame_of(channel))
        yield _Event(stamp, 3, f"{topic}/image/compressed", "sensor_msgs/msg/CompressedImage", SENSOR_DATA, build)

    def _picture(self, path: Path, stamp: int, frame: str) -> Any:
        data = path.read_bytes()
        encoding = next((name for start, name in _ENCODINGS.items() if data.startswith(start)), None)
        if encoding is None:
            raise DataError(path, "content", "a JPEG or PNG picture", f"{len(data)} bytes that begin with {data[:6]!r}")
        return sensor_messages.compressed_image(self.host, data, stamp, frame, encoding)

    def _cloud(self, path: Path, stamp: int, frame: str) -> Any:
        raw = np.fromfile(path, np.uint8)
        if raw.size % _LIDAR_POINT.itemsize:
            raise DataError(path, "size", f"a multiple of {_LIDAR_POINT.itemsize} bytes", raw.size)
        read = raw.view(_LIDAR_POINT)
        points = np.zeros(len(read), _CLOUD_POINT)  # astype would leave chance values in the padding
        for name in _LIDAR_POINT.names or ():
            points[name] = read[name]
        return sensor_messages.point_cloud(self.host, points, stamp, frame)

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

    def _truths(self, folder: Path, begin: int) -> Iterator[_Event]:
        files = {
            sample["token"]: folder / self.drive["name"] / sample["token"] / "labels.npz" for sample in self.samples
        }
        labelled = [sample for sample in self.samples if files[sample["token"]].is_file()]
        for sample in labelled:
            if "LIDAR_TOP" not in sample["data"]:
                where = self.root / self.nusc.version / "sample_data.json"
                raise DataError(where, f"sample {sample['token']}", "a key frame of LIDAR_TOP", sorted(sample["data"]))
            stamp = int(self._get("sample_data", sample["data"]["LIDAR_TOP"])["timestamp"]) * 1000
            build = partial(self._truth, files[sample["token"]], stamp)
            yield _Event(stamp, 4, GROUND_TRUTH_TOPIC, "gsocc_ros/msg/SemanticOccupancy", STREAM, build)
        if labelled:
            table = partial(messages.class_table, self.host, OCC3D_NUSCENES, begin)
            yield _Event(begin, 0, TRUTH_CLASSES_TOPIC, "gsocc_ros/msg/SemanticClassTable", LATCHED, table)

    def _truth(self, path: Path, stamp: int) -> Any:
        labels = read_occ3d(path)
        observed = torch.from_numpy(labels.mask_camera)
        truth = SemanticGrid(torch.from_numpy(labels.semantics), VoxelGrid.occ3d(), OCC3D_NUSCENES, observed=observed)
        return messages.occupancy(self.host, truth, stamp, BASE_FRAME, "ground_truth")

    def custom_data(self) -> dict[str, str]:
        """What the recording says about itself; complete after :meth:`events`."""
        log = self._get("log", self.drive["log_token"])
        keys = ("translation", "rotation", "camera_intrinsic")
        calibration = {channel: {key: sensor[key] for key in keys} for channel, sensor in self.sensors.items()}
        return {
            "dataset": "nuScenes",
            "dataset_version": self.nusc.version,
            "scene": self.drive["name"],
            "scene_token": self.drive["token"],
            "logfile": str(log.get("logfile", "")),
            "location": str(log.get("location", "")),
            "calibration": json.dumps(calibration),  # rotation: w, x, y, z; pose of the sensor in base_link
        }


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line of :func:`nuscenes_to_rosbag2`.

    Args:
        arguments: Words after the program name; None = those of the process.

    Returns:
        0 when all went well, 2 when an error was told; with GSOCC_DEBUG=1 in the environment it is raised.
    """
    import jsonargparse

    parser = jsonargparse.ArgumentParser(prog="nuscenes_to_rosbag2", description="nuScenes scenes as recordings.")
    parser.add_argument("dataroot", type=str, help="a tree in nuScenes layout")
    parser.add_argument("out", type=str, help="recording folder to make; with --split a folder of recordings")
    parser.add_argument("--scene", type=str, help="write this scene")
    parser.add_argument("--split", type=str, help="write all scenes of a split, or of the version (all)")
    parser.add_argument(
        "--sweeps", action=jsonargparse.ActionYesNo(no_prefix="no-"), default=True,
        help="write the readings between key frames too",
    )  # fmt: skip
    parser.add_argument("--jobs", type=int, help="with --split: scenes at the same time; default: one per core")
    parser.add_argument("--resume", action="store_true", help="with --split: go on in an existing folder")
    parser.add_function_arguments(nuscenes_to_rosbag2, skip={"dataroot", "out", "scene", "sweeps"})
    options = parser.instantiate_classes(parser.parse_args(arguments)).as_dict()
    scene, split = options.pop("scene"), options.pop("split")
    jobs, resume = options.pop("jobs"), options.pop("resume")
    if (scene is None) == (split is None):
        parser.error("give either --scene NAME or --split NAME")
    try:
        if scene is not None:
            nuscenes_to_rosbag2(scene=scene, **options)
        else:
            from gsocc_ros.convert_scenes import convert_scenes

            convert_scenes(split=None if split == "all" else split, jobs=jobs, resume=resume, **options)
    except GsoccError as error:
        if os.environ.get("GSOCC_DEBUG"):
            raise
        sys.stderr.write(f"nuscenes_to_rosbag2: error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
