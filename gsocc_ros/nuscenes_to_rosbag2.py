# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""nuScenes scenes as rosbag2 recordings, without ROS: pictures, calibration, transforms, LiDAR, ground truth."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rosbags.interfaces import Connection, Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import Writer
from rosbags.typesys.store import Typestore
from tqdm import tqdm

from gsocc_core import OCC3D_NUSCENES, Camera, SemanticGrid, VoxelGrid
from gsocc_core.data.nuscenes_index import choose_scenes, open_nuscenes
from gsocc_core.data.occ3d import read_occ3d
from gsocc_core.errors import DataError, GsoccError
from gsocc_core.geometry.rigid import rigid_from_quat
from gsocc_ros import messages
from gsocc_ros.bag_files import Distro, Storage, new_bag
from gsocc_ros.message_host import MessageHost, rosbags_host

WORLD_FRAME, BASE_FRAME = "map", "base_link"
TRUTH_TOPIC, TRUTH_CLASSES_TOPIC = "/occupancy/ground_truth", "/occupancy/ground_truth/classes"
#: Points of nuScenes' .pcd.bin files.
_LIDAR_POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("intensity", "<f4"), ("ring", "<f4")])
_CLOUD_POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("intensity", "<f4"), ("ring", "<u2")])

SENSOR_DATA = (5, QosReliability.RELIABLE, QosDurability.VOLATILE)
LATCHED = (1, QosReliability.RELIABLE, QosDurability.TRANSIENT_LOCAL)
STREAM = (100, QosReliability.RELIABLE, QosDurability.VOLATILE)


@dataclass(frozen=True)
class _Event:
    """One message to be written: when, where, and how to make it (late, so that one picture is in memory at a time)."""

    stamp_ns: int
    order: int
    topic: str
    message_type: str
    qos: tuple[int, QosReliability, QosDurability]
    build: Callable[[], Any]


def nuscenes_to_rosbag2(
    dataroot: str,
    out: str,
    scene: str,
    version: str = "v1.0-trainval",
    storage: Storage = "mcap",
    distro: Distro = "jazzy",
    occupancy: str | None = "gts",
    sweeps: bool = True,
) -> None:
    """Write one nuScenes scene as a rosbag2 recording that ``ros2 bag`` plays.

    Frames: ``map`` -> ``base_link`` in ``/tf`` at every distinct ego-pose stamp; ``base_link`` -> sensors in the
    latched ``/tf_static``, from that drive's own calibration. Camera frames are optical (z forward) and named
    ``<camera>_optical_frame``, as REP-103 asks. Pictures stay the JPEGs they are. Log time = header stamp, sorted.

    Args:
        dataroot: A tree in nuScenes layout.
        out: Recording folder to make; it appears only when complete.
        scene: Scene name.
        version: Name of the tables' folder.
        storage: mcap or sqlite3.
        distro: Oldest ROS 2 distribution that must read it.
        occupancy: Folder of Occ3D labels inside ``dataroot``, written as ground truth; None = without. Key frames
            without a label file (a test split has none) get no ground truth.
        sweeps: Write the readings between key frames too.

    Raises:
        DataError: the tree lacks tables, the scene or a file.
        OutputExistsError: ``out`` exists.
        ConfigError: nuscenes-devkit is not installed.

    Example:
        ``nuscenes_to_rosbag2("data/nuscenes", "scene-0103", scene="scene-0103", version="v1.0-mini")``
    """
    nusc = open_nuscenes(dataroot, version)
    choose_scenes(nusc, None, [scene])
    drive = next(s for s in nusc.scene if s["name"] == scene)
    host, types = rosbags_host(distro)
    source = _Scene(nusc, drive, host, Path(occupancy) if occupancy else None, sweeps)
    events = sorted(source.events(), key=lambda event: (event.stamp_ns, event.order))
    with new_bag(out, storage, distro) as writer:
        connections: dict[str, Connection] = {}
        for event in tqdm(events, desc=scene, unit="msg"):
            if event.topic not in connections:
                connections[event.topic] = _connect(writer, event, types)
            raw = types.serialize_cdr(event.build(), event.message_type)
            writer.write(connections[event.topic], event.stamp_ns, raw)
        details = {"scene": scene, "scene_token": drive["token"], "dataset_version": version}
        for key, value in details.items():
            writer.set_custom_data(key, value)


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
        self, nusc: Any, drive: dict[str, Any], host: MessageHost, occupancy: Path | None, sweeps: bool
    ) -> None:
        self.nusc, self.drive, self.host, self.occupancy, self.sweeps = nusc, drive, host, occupancy, sweeps
        self.root = Path(nusc.dataroot)
        self.samples = list(self._chain("sample", drive["first_sample_token"]))

    def _chain(self, table: str, token: str) -> Iterator[dict[str, Any]]:
        while token:
            record = self.nusc.get(table, token)
            yield record
            token = record["next"]

    def _readings(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """(channel, sample_data) of every camera and LiDAR reading of the scene."""
        tokens = {sample["token"] for sample in self.samples}
        for channel, token in self.samples[0]["data"].items():
            if not channel.startswith(("CAM", "LIDAR")):
                continue
            first = self.nusc.get("sample_data", token)
            while first["prev"]:  # sweeps may begin before the first key frame
                first = self.nusc.get("sample_data", first["prev"])
            for data in self._chain("sample_data", first["token"]):
                if data["sample_token"] in tokens and (self.sweeps or data["is_key_frame"]):
                    yield channel, data

    def events(self) -> Iterator[_Event]:
        """All messages, in no particular order."""
        poses: dict[int, str] = {}
        sensors: dict[str, str] = {}
        for channel, data in self._readings():
            stamp = int(data["timestamp"]) * 1000
            pose = self.nusc.get("ego_pose", data["ego_pose_token"])
            poses.setdefault(int(pose["timestamp"]) * 1000, pose["token"])
            sensors[channel] = data["calibrated_sensor_token"]
            path = self.root / data["filename"]
            if not path.is_file():
                raise DataError(path, f"sample_data {data['token']}", "a picture or point cloud", "no such file")
            yield from (
                self._camera(channel, data, stamp, path)
                if channel.startswith("CAM")
                else self._lidar(channel, stamp, path)
            )
        begin = min(poses)
        yield _Event(begin, 0, "/tf_static", "tf2_msgs/msg/TFMessage", LATCHED, lambda: self._static(sensors, begin))
        for stamp, token in poses.items():
            build = partial(self._ego_pose, stamp, token)
            yield _Event(stamp, 1, "/tf", "tf2_msgs/msg/TFMessage", STREAM, build)
        if self.occupancy is not None:
            yield from self._truths(begin)

    def _camera(self, channel: str, data: dict[str, Any], stamp: int, path: Path) -> Iterator[_Event]:
        host, frame, topic = self.host, frame_of(channel), topic_of(channel)
        sensor = self.nusc.get("calibrated_sensor", data["calibrated_sensor_token"])
        K = np.asarray(sensor["camera_intrinsic"], np.float64)
        camera = Camera(channel, K, np.eye(4), int(data["width"]), int(data["height"]))
        yield _Event(
            stamp, 2, f"{topic}/camera_info", "sensor_msgs/msg/CameraInfo", SENSOR_DATA,
            lambda: messages.camera_info(host, camera, stamp, frame),
        )  # fmt: skip
        encoding = "png" if path.suffix.lower() == ".png" else "jpeg"
        yield _Event(
            stamp, 3, f"{topic}/image/compressed", "sensor_msgs/msg/CompressedImage", SENSOR_DATA,
            lambda: messages.compressed_image(host, path.read_bytes(), stamp, frame, encoding),
        )  # fmt: skip

    def _lidar(self, channel: str, stamp: int, path: Path) -> Iterator[_Event]:
        def build() -> Any:
            raw = np.fromfile(path, np.uint8)
            if raw.size % _LIDAR_POINT.itemsize:
                raise DataError(path, "size", f"a multiple of {_LIDAR_POINT.itemsize} bytes", raw.size)
            return messages.point_cloud(
                self.host, raw.view(_LIDAR_POINT).astype(_CLOUD_POINT), stamp, frame_of(channel)
            )

        yield _Event(stamp, 3, topic_of(channel), "sensor_msgs/msg/PointCloud2", SENSOR_DATA, build)

    def _static(self, sensors: dict[str, str], stamp: int) -> Any:
        items = []
        for channel, token in sensors.items():
            sensor = self.nusc.get("calibrated_sensor", token)
            T = rigid_from_quat(sensor["rotation"], sensor["translation"])
            items.append(messages.transform(self.host, T, BASE_FRAME, frame_of(channel), stamp))
        return messages.transforms(self.host, items)

    def _ego_pose(self, stamp: int, token: str) -> Any:
        pose = self.nusc.get("ego_pose", token)
        T = rigid_from_quat(pose["rotation"], pose["translation"])
        return messages.transforms(self.host, [messages.transform(self.host, T, WORLD_FRAME, BASE_FRAME, stamp)])

    def _truths(self, begin: int) -> Iterator[_Event]:
        host, grid = self.host, VoxelGrid.occ3d()
        found = 0
        for sample in self.samples:
            stamp = int(self.nusc.get("sample_data", sample["data"]["LIDAR_TOP"])["timestamp"]) * 1000
            path = self.root / str(self.occupancy) / self.drive["name"] / sample["token"] / "labels.npz"
            if not path.is_file():
                continue
            found += 1

            def build(path: Path = path, stamp: int = stamp) -> Any:
                labels = read_occ3d(path)
                truth = SemanticGrid(
                    torch.from_numpy(labels.semantics),
                    grid,
                    OCC3D_NUSCENES,
                    observed=torch.from_numpy(labels.mask_camera),
                )
                return messages.occupancy(host, truth, stamp, BASE_FRAME, "ground_truth")

            yield _Event(stamp, 4, TRUTH_TOPIC, "gsocc_ros/msg/SemanticOccupancy", STREAM, build)
        if found:
            yield _Event(
                begin, 0, TRUTH_CLASSES_TOPIC, "gsocc_ros/msg/SemanticClassTable", LATCHED,
                lambda: messages.class_table(host, OCC3D_NUSCENES, begin),
            )  # fmt: skip


def _connect(writer: Writer, event: _Event, types: Typestore) -> Connection:
    return writer.add_connection(
        event.topic, event.message_type, typestore=types, offered_qos_profiles=[qos_profile(*event.qos)]
    )


def qos_profile(depth: int, reliability: QosReliability, durability: QosDurability) -> Qos:
    """A keep-last QoS profile with otherwise default policies, as a recording stores it."""
    forever = QosTime(9223372036, 854775807)
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=depth,
        reliability=reliability,
        durability=durability,
        deadline=forever,
        lifespan=forever,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=forever,
        avoid_ros_namespace_conventions=False,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line of :func:`nuscenes_to_rosbag2`.

    Args:
        arguments: Words after the program name; None = those of the process.

    Returns:
        0 when all went well, 2 when an error was told.
    """
    import jsonargparse

    parser = jsonargparse.ArgumentParser(prog="nuscenes_to_rosbag2", description="nuScenes scenes as recordings.")
    parser.add_argument("dataroot", type=str, help="a tree in nuScenes layout")
    parser.add_argument("out", type=str, help="recording folder to make")
    parser.add_function_arguments(nuscenes_to_rosbag2, skip={"dataroot", "out"})
    options = parser.instantiate_classes(parser.parse_args(arguments))
    try:
        nuscenes_to_rosbag2(**{k: v for k, v in vars(options).items() if k != "config"})
    except GsoccError as error:
        sys.stderr.write(f"nuscenes_to_rosbag2: error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
