# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Own recordings as a tree in nuScenes layout, to train on: the way back of ``nuscenes_to_rosbag2``."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from gsocc_core.data.nuscenes_index import TABLES
from gsocc_core.errors import ConfigError, DataError, OutputExistsError
from gsocc_core.geometry.rigid import rotmat_to_quat
from gsocc_core.resuming import resumable_folder
from gsocc_ros.bags.bag_files import open_bag, read_messages
from gsocc_ros.bags.recording import Recording
from gsocc_ros.choices import PoseSource
from gsocc_ros.convert.drive_survey import (
    Survey,
    Wanted,
    ego_pose,
    key_sets,
    lidar_topic,
    mounting,
    survey,
)
from gsocc_ros.convert.truth_labels import TruthLabels
from gsocc_ros.messages.outputs import GROUND_TRUTH_TOPIC, TRUTH_CLASSES_TOPIC
from gsocc_ros.pipeline.camera_input import read_picture, stamp_ns
from gsocc_ros.pipeline.rig import Rig

Row = dict[str, Any]
#: Columns of nuScenes' .pcd.bin files.
_COLUMNS = ("x", "y", "z", "intensity", "ring")
_FIELD_TYPES = {1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 8: "<f8"}


def rosbag2_to_nuscenes(
    bags: Sequence[str],
    out: str,
    rig: str,
    lidar: str | None = None,
    keyframe_rate: float = 2.0,
    sweeps: bool = True,
    version: str = "v1.0-own",
    val_bags: int = 0,
    location: str = "unknown",
    poses: PoseSource = "transforms",
    odometry: str | None = None,
) -> None:
    """Write recordings as the scenes of a data set that nuscenes-devkit and ``gsocc_core train`` read.

    Pictures that are JPEGs already are copied byte for byte. Sets are grouped by the rig's synchroniser, so no key
    frame mixes cycles. Ego poses come from the transforms between the rig's fixed and base frame, at each sensor's own
    stamp; or they are unknown, and the rows of ``ego_pose`` hold null. Where a camera sits comes from the transforms
    too, and its lens from CameraInfo; what they lack is taken from the rig file, if that holds a calibration.

    Where the recording holds ``/occupancy/ground_truth``, key frames are the sets with ground truth, which
    becomes labels in Occ3D's files, with a grid and classes of their own where those are not Occ3D's; else they are
    taken at a rate. Without a point cloud topic an empty LIDAR_TOP stands in, because nuScenes gives every key frame
    its LiDAR's time.

    Args:
        bags: Recording folders; each becomes a scene of that name.
        out: Folder to make; it appears only when complete. What was interrupted goes on with the recordings that are
            not converted yet, see :mod:`gsocc_core.resuming`.
        rig: Rig file, or the name of a shipped rig; its camera names become channels.
        lidar: Point cloud topic; None = the rig's reference topic if that is one.
        keyframe_rate: Key frames per second.
        sweeps: Write the readings between key frames too.
        version: Name of the tables' folder.
        val_bags: The last so many recordings form the split val, the others train.
        location: Stands in the log table.
        poses: ``transforms``, or ``unknown`` for recordings that do not tell the robot's motion.
        odometry: Topic with the speed of the wheels, a nav_msgs/Odometry, geometry_msgs/TwistStamped or
            geometry_msgs/TwistWithCovarianceStamped; the way driven then stands as ``travelled_m`` in ``ego_pose``.

    Raises:
        OutputExistsError: ``out`` exists.
        ConfigError: bad options or rig file.
        DataError: a recording lacks topics, calibration, transforms or speeds, its time jumps back, or pictures are
            distorted.

    Example:
        ``rosbag2_to_nuscenes(["monday", "tuesday"], "data/own", "my_rig.yaml", val_bags=1)``
    """
    target, names = Path(out), [Path(bag).name for bag in bags]
    if target.exists():
        raise OutputExistsError(out, "output", "a path that does not exist yet", "something is there")
    if not bags or len(set(names)) != len(names):
        raise ConfigError("rosbag2_to_nuscenes", "bags", "one or more recordings of different names", list(bags))
    if not 0 < keyframe_rate <= 100:
        raise ConfigError("rosbag2_to_nuscenes", "keyframe_rate", "more than 0, at most 100 (Hz)", keyframe_rate)
    if not 0 <= val_bags <= len(names):
        raise ConfigError("rosbag2_to_nuscenes", "val_bags", f"0 to {len(names)}", val_bags)
    if poses not in get_args(PoseSource):
        raise ConfigError("rosbag2_to_nuscenes", "poses", f"one of {', '.join(get_args(PoseSource))}", poses)
    robot = Rig.load(rig)
    arguments = {
        "bags": list(bags), "rig": robot.path.read_text(encoding="utf-8"), "lidar": lidar,
        "keyframe_rate": keyframe_rate, "sweeps": sweeps, "version": version, "val_bags": val_bags,
        "location": location, "poses": poses, "odometry": odometry,
    }  # fmt: skip
    with resumable_folder(target, arguments) as items:
        truths = TruthLabels(items.folder)
        for bag, name in zip(bags, names):
            if name in items:
                continue
            place, rows = items.begin(name), _no_rows()
            truths.begin_recording(place)
            with open_bag(bag) as recording:
                topic = lidar_topic(robot, lidar)
                found = survey(recording, Path(bag), robot, Wanted(topic, poses, odometry))
                scene = _Scene(found, robot, keyframe_rate, sweeps, location, poses)
                scene.add_rows(rows)
                scene.write_files(recording, place, topic, truths)
            items.finish(name, rows)
        tables = _shared_rows(items.folder, robot, names)
        for name in names:
            for table, rows_of in items.value(name).items():
                tables[table] += rows_of
        folder = items.folder / version
        folder.mkdir(exist_ok=True)
        for table, all_rows in tables.items():
            (folder / f"{table}.json").write_text(json.dumps(all_rows, indent=0), encoding="utf-8")
        last = len(names) - val_bags
        (folder / "splits.json").write_text(json.dumps({"train": names[:last], "val": names[last:]}), encoding="utf-8")


def _no_rows() -> dict[str, list[Row]]:
    return {name: [] for name in TABLES}


def _token(*parts: object) -> str:
    """The same parts, the same token: written twice, a tree is the same."""
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:32]


def _pose_fields(T: np.ndarray) -> Row:
    quat = rotmat_to_quat(torch.from_numpy(np.ascontiguousarray(T[:3, :3]))).tolist()
    return {"rotation": quat, "translation": T[:3, 3].tolist()}


def _shared_rows(root: Path, rig: Rig, names: Sequence[str]) -> dict[str, list[Row]]:
    """Sensors, and a blank map, which is written: the devkit insists on one."""
    tables = _no_rows()
    (root / "maps").mkdir(exist_ok=True)
    Image.new("L", (20, 20)).save(root / "maps" / "blank.png")
    logs = [_token("log", name) for name in names]
    tables["map"].append(
        {"token": _token("map"), "log_tokens": logs, "category": "semantic_prior", "filename": "maps/blank.png"}
    )
    for channel in (*(camera.name for camera in rig.cameras), "LIDAR_TOP"):
        modality = "lidar" if channel == "LIDAR_TOP" else "camera"
        tables["sensor"].append({"token": _token("sensor", channel), "channel": channel, "modality": modality})
    return tables


class _Scene:
    """One recording on its way into the tables and folders."""

    def __init__(self, found: Survey, rig: Rig, rate_hz: float, sweeps: bool, location: str, poses: PoseSource) -> None:
        self.found, self.rig, self.location, self.poses = found, rig, location, poses
        self.name = found.bag.name
        self.keys = list(key_sets(found, rate_hz))
        self.samples = [_token(self.name, "sample", key.reference_stamp_ns) for key in self.keys]
        self.files: dict[tuple[str, int], str] = {}
        self._plan(sweeps)

    def _plan(self, sweeps: bool) -> None:
        """Which readings are written, and as what: (channel, stamp) -> (key frame's number, is one itself)."""
        self.readings: dict[str, list[tuple[int, int, bool]]] = {}
        for channel, key_stamps in self._key_stamps().items():
            rows = []
            for stamp in self.found.stamps_ns.get(channel, key_stamps):
                key = bisect_left(key_stamps, stamp)
                if key == len(key_stamps):
                    break  # nuScenes gives a sweep to the next key frame, and there is none any more
                is_key = key_stamps[key] == stamp
                if is_key or sweeps:
                    rows.append((stamp, key, is_key))
                    folder = "samples" if is_key else "sweeps"
                    ending = "pcd.bin" if channel == "LIDAR_TOP" else "jpg"
                    name = f"{self.name}__{channel}__{stamp // 1000}.{ending}"
                    self.files[channel, stamp] = f"{folder}/{channel}/{name}"
            self.readings[channel] = rows

    def _key_stamps(self) -> dict[str, list[int]]:
        """Stamps of the key frames' readings, by channel; the LiDAR's are the nearest ones to the reference stamps."""
        stamps = {c.name: [key.frames[c.name].stamp_ns for key in self.keys] for c in self.rig.cameras}
        references = np.array([key.reference_stamp_ns for key in self.keys])
        clouds = self.found.stamps_ns.get("LIDAR_TOP")
        if clouds is None:
            return {**stamps, "LIDAR_TOP": references.tolist()}
        near = [clouds[int(np.abs(np.asarray(clouds) - stamp).argmin())] for stamp in references]
        if len(set(near)) < len(near):
            raise DataError(self.found.bag, "LiDAR", "a cloud of its own for every key frame", f"{len(set(near))}")
        return {**stamps, "LIDAR_TOP": near}

    def add_rows(self, tables: dict[str, list[Row]]) -> None:
        first, count = self.keys[0].reference_stamp_ns, len(self.keys)
        log = _token("log", self.name)
        captured = dt.datetime.fromtimestamp(first * 1e-9, dt.timezone.utc)
        tables["log"].append({
            "token": log, "logfile": self.name, "vehicle": self.rig.path.stem,
            "date_captured": captured.date().isoformat(), "location": self.location,
        })  # fmt: skip
        scene = _token("scene", self.name)
        tables["scene"].append({
            "token": scene, "name": self.name, "description": "", "log_token": log, "nbr_samples": count,
            "first_sample_token": self.samples[0], "last_sample_token": self.samples[-1],
        })  # fmt: skip
        for k, key in enumerate(self.keys):
            tables["sample"].append({
                "token": self.samples[k], "scene_token": scene, "timestamp": _micro(key.reference_stamp_ns),
                "prev": self.samples[k - 1] if k else "", "next": self.samples[k + 1] if k + 1 < count else "",
            })  # fmt: skip
        for channel, rows in self.readings.items():
            self._add_channel(tables, channel, rows)

    def _add_channel(self, tables: dict[str, list[Row]], channel: str, rows: list[tuple[int, int, bool]]) -> None:
        sensor = _token(self.name, "calibration", channel)
        calibration = self.found.calibrations.get(channel)
        T_ego_sensor = np.eye(4)
        if channel in self.found.frames:
            T_ego_sensor = mounting(self.found, self.rig, channel)
        tables["calibrated_sensor"].append({
            "token": sensor, "sensor_token": _token("sensor", channel), **_pose_fields(T_ego_sensor),
            "camera_intrinsic": [] if calibration is None else calibration.intrinsics.tolist(),
        })  # fmt: skip
        tokens = [_token(self.name, channel, stamp) for stamp, _, _ in rows]
        for n, (stamp, key, is_key) in enumerate(rows):
            pose = _token(self.name, channel, stamp, "pose")
            tables["ego_pose"].append({"token": pose, "timestamp": _micro(stamp), **self._ego_fields(stamp)})
            tables["sample_data"].append({
                "token": tokens[n], "sample_token": self.samples[key], "ego_pose_token": pose,
                "calibrated_sensor_token": sensor, "timestamp": _micro(stamp), "filename": self.files[channel, stamp],
                "fileformat": "pcd" if calibration is None else "jpg", "is_key_frame": is_key,
                "height": 0 if calibration is None else calibration.height,
                "width": 0 if calibration is None else calibration.width,
                "prev": tokens[n - 1] if n else "", "next": tokens[n + 1] if n + 1 < len(tokens) else "",
            })  # fmt: skip

    def _ego_fields(self, stamp: int) -> Row:
        """Pose of the ego, null where it is unknown: no number could be told from a pose that was measured."""
        fields: Row = {"rotation": None, "translation": None}
        if self.poses == "transforms":
            fields = _pose_fields(ego_pose(self.found, self.rig, stamp))
        if self.found.odometer is not None:
            fields["travelled_m"] = self.found.odometer.travelled_m(stamp)
        return fields

    def write_files(self, recording: Recording, root: Path, lidar: str | None, labels: TruthLabels) -> None:
        """Pictures, clouds and labels, in the second reading."""
        for name in {Path(file).parent for file in self.files.values()}:
            (root / name).mkdir(parents=True, exist_ok=True)
        channels = {camera.topic: camera for camera in self.rig.cameras}
        truths = {key.reference_stamp_ns: token for key, token in zip(self.keys, self.samples, strict=True)}
        topics = [*channels, GROUND_TRUTH_TOPIC, TRUTH_CLASSES_TOPIC, *([] if lidar is None else [lidar])]
        for topic, _, message in tqdm(read_messages(recording, topics), desc=f"{self.name}: write", unit="msg"):
            stamp = stamp_ns(message.header)
            if topic == TRUTH_CLASSES_TOPIC:
                labels.add_table(message)
            elif topic in channels and (channels[topic].name, stamp) in self.files:
                camera = channels[topic]
                (root / self.files[camera.name, stamp]).write_bytes(self._jpeg(message, camera.name))
            elif topic == lidar and ("LIDAR_TOP", stamp) in self.files:
                _cloud(message, topic).tofile(root / self.files["LIDAR_TOP", stamp])
            elif topic == GROUND_TRUTH_TOPIC and stamp in truths:
                labels.write(self.name, truths[stamp], message)
        if lidar is None:
            for stamp, _, _ in self.readings["LIDAR_TOP"]:
                np.zeros((0, len(_COLUMNS)), np.float32).tofile(root / self.files["LIDAR_TOP", stamp])

    def _jpeg(self, message: Any, name: str) -> bytes:
        camera, calibration = self.rig.camera(name), self.found.calibrations[name]
        if camera.transport == "compressed" and bytes(message.data[:3]) == b"\xff\xd8\xff":
            return bytes(message.data)
        buffer = io.BytesIO()
        picture = read_picture(message, camera, (calibration.height, calibration.width))
        Image.fromarray(picture).save(buffer, "JPEG", quality=95)
        return buffer.getvalue()


def _micro(stamp: int) -> int:
    """Microseconds, in which nuScenes counts."""
    return round(stamp / 1000)


def _cloud(message: Any, topic: str) -> np.ndarray:
    """(N, 5) float32 x, y, z, intensity, ring of a sensor_msgs/PointCloud2; what it lacks is zero."""
    if not message.width * message.height:
        return np.zeros((0, len(_COLUMNS)), np.float32)
    fields = {field.name: field for field in message.fields}
    if not {"x", "y", "z"} <= set(fields):
        raise DataError(topic, "fields", "x, y and z", sorted(fields))
    used = [fields[name] for name in _COLUMNS if name in fields]
    order = ">" if message.is_bigendian else "<"
    layout: Any = {
        "names": [field.name for field in used],
        "formats": [_FIELD_TYPES[field.datatype].replace("<", order) for field in used],
        "offsets": [field.offset for field in used],
        "itemsize": message.point_step,
    }
    count = message.width * message.height
    data = np.frombuffer(message.data, np.uint8)
    rows = data.reshape(message.height, message.row_step)[:, : message.width * message.point_step]
    read = np.frombuffer(np.ascontiguousarray(rows).tobytes(), np.dtype(layout), count)
    points = np.zeros((count, len(_COLUMNS)), np.float32)
    for k, name in enumerate(_COLUMNS):
        if name in fields:
            points[:, k] = read[name]
    return points
