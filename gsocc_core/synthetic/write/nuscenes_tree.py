# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The thirteen JSON tables of a nuScenes tree, filled from a synthetic drive."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gsocc_core.errors import DataError
from gsocc_core.geometry.rigid import rotmat_to_quat
from gsocc_core.synthetic.sensors.rig import CAMERA_NAMES, LIDAR_NAME, Rig
from gsocc_core.synthetic.sensors.schedule import Schedule, Shot
from gsocc_core.synthetic.world.scene import Actor

Row = dict[str, Any]
Tables = dict[str, list[Row]]

TABLE_NAMES = (
    "attribute", "calibrated_sensor", "category", "ego_pose", "instance", "log", "map", "sample",
    "sample_annotation", "sample_data", "scene", "sensor", "visibility",
)  # fmt: skip
CATEGORIES = (
    "animal", "human.pedestrian.adult", "human.pedestrian.child", "human.pedestrian.construction_worker",
    "human.pedestrian.personal_mobility", "human.pedestrian.police_officer", "human.pedestrian.stroller",
    "human.pedestrian.wheelchair", "movable_object.barrier", "movable_object.debris",
    "movable_object.pushable_pullable", "movable_object.trafficcone", "static_object.bicycle_rack", "vehicle.bicycle",
    "vehicle.bus.bendy", "vehicle.bus.rigid", "vehicle.car", "vehicle.construction", "vehicle.emergency.ambulance",
    "vehicle.emergency.police", "vehicle.motorcycle", "vehicle.trailer", "vehicle.truck",
)  # fmt: skip
ATTRIBUTES = (
    "cycle.with_rider", "cycle.without_rider", "pedestrian.moving", "pedestrian.sitting_lying_down",
    "pedestrian.standing", "vehicle.moving", "vehicle.parked", "vehicle.stopped",
)  # fmt: skip
#: Token, level and upper limit of the visible fraction.
VISIBILITIES = (("1", "v0-40", 0.4), ("2", "v40-60", 0.6), ("3", "v60-80", 0.8), ("4", "v80-100", 1.0))
LOCATION = "synthetic"


@dataclass(frozen=True)
class BoxNote:
    """One annotated box at one key frame.

    Attributes:
        actor: Whose box.
        key_index: Key frame.
        T_global_box: (4, 4) float64 pose of the box at the key frame's LiDAR stamp.
        num_lidar_pts: LiDAR returns from it.
        visible_fraction: Part of it that some camera sees, 0 ... 1.
    """

    actor: Actor
    key_index: int
    T_global_box: np.ndarray
    num_lidar_pts: int
    visible_fraction: float


@dataclass(frozen=True)
class DriveRecord:
    """What the tables say about one drive.

    Attributes:
        name: Scene name.
        description: For people.
        generator: Which world, and which version of it.
        rig: Calibrated sensors.
        schedule: All readings.
        T_global_ego: (4, 4) float64 ego pose per reading, in the order of ``schedule.shots``.
        notes: All annotated boxes, ordered by key frame.
    """

    name: str
    description: str
    generator: str
    rig: Rig
    schedule: Schedule
    T_global_ego: Sequence[np.ndarray]
    notes: Sequence[BoxNote]


def token(*names: object) -> str:
    """A nuScenes token (32 hexadecimal digits) that depends on nothing but the names.

    Example:
        >>> token("sample", "synthetic-0-0000", 0) == token("sample", "synthetic-0-0000", 0)
        True
    """
    return hashlib.md5("/".join(map(str, names)).encode(), usedforsecurity=False).hexdigest()


def sample_token(scene_name: str, key_index: int) -> str:
    """Token of a key frame."""
    return token("sample", scene_name, key_index)


def shot_filename(scene_name: str, shot: Shot) -> str:
    """Where a reading lies below the root of the tree, as in nuScenes."""
    folder = "samples" if shot.is_key_frame else "sweeps"
    suffix = "pcd.bin" if shot.channel == LIDAR_NAME else "jpg"
    return f"{folder}/{shot.channel}/{scene_name}__{shot.channel}__{shot.stamp_us}.{suffix}"


def map_filename(scene_name: str) -> str:
    """Where the map picture of a drive lies below the root of the tree."""
    return f"maps/{token('map', scene_name)}.png"


def scene_tables(record: DriveRecord) -> Tables:
    """All rows that belong to one drive.

    Args:
        record: The drive.

    Returns:
        Rows of the nine tables that grow with the number of drives.

    Raises:
        DataError: an actor's category or attribute is not one of nuScenes'.
    """
    return {**_head_rows(record), **_sensor_rows(record), **_annotation_rows(record)}


def shared_tables() -> Tables:
    """Rows that are the same for every drive: sensors, categories, attributes, visibility levels."""
    sensors = [(name, "camera") for name in CAMERA_NAMES] + [(LIDAR_NAME, "lidar")]
    return {
        "sensor": [{"token": token("sensor", n), "channel": n, "modality": m} for n, m in sensors],
        "category": [{"token": token("category", n), "name": n, "description": ""} for n in CATEGORIES],
        "attribute": [{"token": token("attribute", n), "name": n, "description": ""} for n in ATTRIBUTES],
        "visibility": [
            {"token": key, "level": level, "description": f"visible fraction up to {limit:.0%}"}
            for key, level, limit in VISIBILITIES
        ],
    }


def write_tables(folder: Path, drives: Iterable[Tables], splits: Mapping[str, Sequence[str]]) -> None:
    """Write the tables of a whole tree, and ``splits.json``: scene names per split.

    Args:
        folder: Version folder of the tree; made if it is not there.
        drives: Rows of every drive, see :func:`scene_tables`.
        splits: Scene names per split, for instance train and val.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tables: Tables = {name: [] for name in TABLE_NAMES}
    for part in (shared_tables(), *drives):
        for name, rows in part.items():
            tables[name].extend(rows)
    for name, rows in tables.items():
        text = ",\n".join(json.dumps(row) for row in rows)
        (folder / f"{name}.json").write_text(f"[\n{text}\n]\n", encoding="utf-8")
    text = json.dumps({name: list(scenes) for name, scenes in splits.items()}, indent=1)
    (folder / "splits.json").write_text(text + "\n", encoding="utf-8")


def _head_rows(record: DriveRecord) -> Tables:
    name, stamps = record.name, record.schedule.key_stamps_us
    count = len(stamps)
    day = datetime.fromtimestamp(record.schedule.start_us // 1_000_000, tz=timezone.utc).date().isoformat()
    samples = [
        {
            "token": sample_token(name, i),
            "timestamp": stamp,
            "prev": sample_token(name, i - 1) if i > 0 else "",
            "next": sample_token(name, i + 1) if i + 1 < count else "",
            "scene_token": token("scene", name),
        }
        for i, stamp in enumerate(stamps)
    ]
    scene = {
        "token": token("scene", name),
        "log_token": token("log", name),
        "nbr_samples": count,
        "first_sample_token": samples[0]["token"],
        "last_sample_token": samples[-1]["token"],
        "name": name,
        "description": record.description,
    }
    log = {
        "token": token("log", name),
        "logfile": name,
        "vehicle": record.generator,
        "date_captured": day,
        "location": LOCATION,
    }
    chart = {
        "token": token("map", name),
        "log_tokens": [token("log", name)],
        "category": "semantic_prior",
        "filename": map_filename(name),
    }
    return {"scene": [scene], "sample": samples, "log": [log], "map": [chart]}


def _sensor_rows(record: DriveRecord) -> Tables:
    name = record.name
    mounts: list[tuple[str, np.ndarray, list[list[float]], int, int]] = [
        (c.name, c.T_ego_cam, c.intrinsics.tolist(), c.width, c.height) for c in record.rig.cameras
    ]
    mounts.append((LIDAR_NAME, record.rig.T_ego_lidar, [], 0, 0))
    calibrations = [
        {
            "token": token("calibrated_sensor", name, channel),
            "sensor_token": token("sensor", channel),
            **pose,
            "camera_intrinsic": intrinsics,
        }
        for (channel, _, intrinsics, _, _), pose in zip(mounts, _pose_fields([T for _, T, *_ in mounts]), strict=True)
    ]
    sizes = {channel: (width, height) for channel, _, _, width, height in mounts}
    readings: list[Row] = []
    poses: list[Row] = []
    newest: dict[str, Row] = {}
    for shot, pose in zip(record.schedule.shots, _pose_fields(record.T_global_ego), strict=True):
        key = token("sample_data", name, shot.channel, shot.stamp_us)
        width, height = sizes[shot.channel]
        row: Row = {
            "token": key,
            "sample_token": sample_token(name, shot.key_index),
            "ego_pose_token": key,
            "calibrated_sensor_token": token("calibrated_sensor", name, shot.channel),
            "timestamp": shot.stamp_us,
            "fileformat": "pcd" if shot.channel == LIDAR_NAME else "jpg",
            "is_key_frame": shot.is_key_frame,
            "height": height,
            "width": width,
            "filename": shot_filename(name, shot),
            "prev": "",
            "next": "",
        }
        if previous := newest.get(shot.channel):
            row["prev"], previous["next"] = previous["token"], key
        newest[shot.channel] = row
        readings.append(row)
        poses.append({"token": key, "timestamp": shot.stamp_us, **pose})
    return {"calibrated_sensor": calibrations, "sample_data": readings, "ego_pose": poses}


def _annotation_rows(record: DriveRecord) -> Tables:
    annotations: list[Row] = []
    tracks: dict[int, list[Row]] = {}
    instances: list[Row] = []
    for note, pose in zip(record.notes, _pose_fields([note.T_global_box for note in record.notes]), strict=True):
        actor, track = note.actor, tracks.setdefault(note.actor.instance_index, [])
        key = token("sample_annotation", record.name, actor.instance_index, note.key_index)
        row: Row = {
            "token": key,
            "sample_token": sample_token(record.name, note.key_index),
            "instance_token": token("instance", record.name, actor.instance_index),
            "visibility_token": next((k for k, _, limit in VISIBILITIES if note.visible_fraction <= limit), "4"),
            "attribute_tokens": [token("attribute", _known(actor.attribute, ATTRIBUTES))] if actor.attribute else [],
            **pose,
            "size": [float(edge) for edge in actor.size_wlh_m],
            "prev": "",
            "next": "",
            "num_lidar_pts": int(note.num_lidar_pts),
            "num_radar_pts": 0,
        }
        if track:
            row["prev"], track[-1]["next"] = track[-1]["token"], key
        else:
            category = token("category", _known(actor.category, CATEGORIES))
            instances.append({"token": row["instance_token"], "category_token": category})
        track.append(row)
        annotations.append(row)
    for instance, track in zip(instances, tracks.values(), strict=True):
        ends = {"first_annotation_token": track[0]["token"], "last_annotation_token": track[-1]["token"]}
        instance.update(nbr_annotations=len(track), **ends)
    return {"instance": instances, "sample_annotation": annotations}


def _known(name: str, names: tuple[str, ...]) -> str:
    if name not in names:
        raise DataError("synthetic street", "actor", f"one of {names}", name)
    return name


def _pose_fields(poses: Sequence[np.ndarray]) -> list[Row]:
    T = np.array(poses, np.float64).reshape(-1, 4, 4)
    quats = rotmat_to_quat(torch.from_numpy(np.ascontiguousarray(T[:, :3, :3])))
    return [{"translation": t, "rotation": q} for t, q in zip(T[:, :3, 3].tolist(), quats.tolist(), strict=True)]
