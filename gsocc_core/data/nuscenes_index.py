# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Reads nuScenes tables once, through nuscenes-devkit, into records of key frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gsocc_core.data.args import SURROUND_CAMERAS
from gsocc_core.data.boxes import read_boxes
from gsocc_core.data.key_frames import CameraShot, KeyFrame
from gsocc_core.data.nuscenes_tables import open_tables
from gsocc_core.data.protocol import Protocol
from gsocc_core.data.stored import read_splits, reading
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.geometry.cameras import Camera
from gsocc_core.geometry.rigid import rigid_from_quat

__all__ = [
    "SURROUND_CAMERAS",
    "CameraShot",
    "KeyFrame",
    "choose_scenes",
    "open_nuscenes",
    "read_key_frames",
    "tables_version",
]

TABLES = (
    "attribute", "calibrated_sensor", "category", "ego_pose", "instance", "log", "map", "sample", "sample_annotation",
    "sample_data", "scene", "sensor", "visibility",
)  # fmt: skip
#: Columns that are read here, each in every row.
COLUMNS = {
    "scene": ("name", "first_sample_token"),
    "sample": ("token", "timestamp", "scene_token", "next"),
    "sample_data": ("filename", "timestamp", "ego_pose_token", "calibrated_sensor_token", "width", "height"),
    "ego_pose": ("translation", "rotation"),
    "calibrated_sensor": ("translation", "rotation", "camera_intrinsic"),
}
#: Versions that commands have by default: whoever names none takes the only tables there are.
_DEFAULT_VERSIONS = ("v1.0-trainval", "v1.0-synthetic")
#: A camera that is silent for longer has missed more than a picture or two: what follows is no neighbour.
_LONGEST_CYCLE_US = 250_000


def open_nuscenes(dataroot: str | Path, version: str) -> Any:
    """Open a data set with nuscenes-devkit; :mod:`gsocc_core.data.nuscenes_tables` says what may be missing.

    Args:
        dataroot: Folder that holds ``<version>/`` with the tables.
        version: For instance v1.0-mini; see :func:`tables_version`.

    Returns:
        A ``nuscenes.nuscenes.NuScenes``.

    Raises:
        ConfigError: nuscenes-devkit is not installed.
        DataError: the folder or a table is missing or unreadable, or a row lacks a column.
    """
    try:
        import nuscenes.nuscenes  # noqa: F401 - before the tables are looked for
    except ImportError as error:
        raise ConfigError("nuscenes-devkit", "import", "pip install nuscenes-devkit", error) from error
    root, version = Path(dataroot), tables_version(dataroot, version)
    folder = root / version
    for table in TABLES:
        if not (folder / f"{table}.json").is_file():
            raise DataError(folder, f"{table}.json", f"all {len(TABLES)} nuScenes tables", "no such file")
    with reading(folder, "tables that nuscenes-devkit can read"):
        nusc = open_tables(root, version)
    for table, columns in COLUMNS.items():
        for column in columns:
            if lacking := next((row for row in getattr(nusc, table) if column not in row), None):
                expected = f"columns {', '.join(columns)} in every row"
                raise DataError(folder / f"{table}.json", column, expected, f"none in row {lacking.get('token')}")
    return nusc


def tables_version(dataroot: str | Path, version: str) -> str:
    """The folder of the tables: ``version``, or the only one there is where that is missing and a default.

    Args:
        dataroot: Folder that holds folders of tables.
        version: The one asked for.

    Raises:
        DataError: there is none, or another was asked for.
    """
    root = Path(dataroot)
    if (root / version).is_dir():
        return version
    if not root.is_dir():
        raise DataError(root, "dataroot", "a folder with nuScenes tables", "no such folder")
    found = sorted(path.name for path in root.iterdir() if path.is_dir())
    there = [name for name in found if (root / name / "sample.json").is_file()]
    if version in _DEFAULT_VERSIONS and len(there) == 1:
        return there[0]
    hint = f" (is --version {there[0]} meant?)" if there else ""
    raise DataError(root, version, "a folder with the nuScenes tables", f"{found}{hint}")


def choose_scenes(nusc: Any, split: str | None, scenes: Sequence[str] | None) -> list[str]:
    """Scene names in the order of the tables.

    Args:
        nusc: An open data set.
        split: A split of ``splits.json`` beside the tables ({split: [scene names]}), else an official nuScenes split;
            None = all scenes.
        scenes: Explicit names; they win over ``split``.

    Returns:
        Names of scenes that are in the tables.

    Raises:
        DataError: a name or split does not exist, or nothing is left.
    """
    where = Path(nusc.dataroot) / nusc.version
    with reading(where, "scenes with names"):
        known = [str(scene["name"]) for scene in nusc.scene]
    if scenes is not None:
        missing = [name for name in scenes if name not in known]
        if missing:
            raise DataError(
                where, f"scene {missing[0]}", f"one of {known[:5]}... ({len(known)} scenes)", "no such scene"
            )
        wanted = set(scenes)
    elif split is None:
        wanted = set(known)
    else:
        splits = _splits(where)
        if split not in splits:
            raise DataError(where, f"split {split}", f"one of {sorted(splits)}", "no such split")
        wanted = set(splits[split])
    chosen = [name for name in known if name in wanted]
    if not chosen:
        raise DataError(where, f"split {split}", f"scenes among {known[:5]}...", "none of its scenes is in the tables")
    return chosen


def _splits(where: Path) -> dict[str, list[str]]:
    own = where / "splits.json"
    if not own.is_file():
        from nuscenes.utils.splits import create_splits_scenes

        official: dict[str, list[str]] = create_splits_scenes()
        return official
    return read_splits(own)


def read_key_frames(
    nusc: Any,
    scene_names: Sequence[str],
    cameras: Sequence[str],
    boxes: Protocol | None = None,
    sweeps: Sequence[int] = (),
) -> list[list[KeyFrame]]:
    """Key frames of scenes, in time order.

    Args:
        nusc: An open data set.
        scene_names: Which scenes.
        cameras: Camera names, the order of ``KeyFrame.shots``.
        boxes: Read the annotated boxes too, with the classes of this protocol.
        sweeps: Offsets in camera cycles of further pictures, read into ``KeyFrame.sweeps``.

    Returns:
        One list of key frames per scene. Poses are None where the rows of ``ego_pose`` hold null.

    Raises:
        DataError: a sample lacks one of the sensors, a picture is missing on disk, the tree has no pictures between
            key frames although ``sweeps`` asks for them, or no poses although ``boxes`` does.
    """
    by_name = {str(scene["name"]): scene for scene in nusc.scene}
    cameras_by_key: dict[tuple[str, int, int], Camera] = {}
    result = []
    for name in scene_names:
        frames: list[KeyFrame] = []
        with reading(Path(nusc.dataroot) / nusc.version, f"tables whose rows of {name} fit each other"):
            token = by_name[name]["first_sample_token"]
            while token:
                sample = nusc.get("sample", token)
                frame = _read_key_frame(nusc, sample, name, len(frames), cameras, cameras_by_key)
                if boxes is not None:
                    T_ego_world = np.linalg.inv(frame.known_pose("boxes"))
                    found = read_boxes(nusc, frame.token, T_ego_world, boxes.classes, boxes.box_classes)
                    frame = replace(frame, boxes=found)
                if sweeps:
                    frame = replace(frame, sweeps=_read_sweeps(nusc, sample, cameras, sweeps, cameras_by_key))
                frames.append(frame)
                token = sample["next"]
        result.append(frames)
    shots = (shot for frames in result for frame in frames for sweep in frame.sweeps.values() for shot in sweep)
    if sweeps and not any(shots):
        where = Path(nusc.dataroot) / nusc.version / "sample_data.json"
        raise DataError(where, "view_sweeps", "pictures between key frames, or none asked for", "key frames alone")
    return result


def read_camera_video(
    nusc: Any, scene_name: str, camera: str, sweeps: bool = False
) -> list[tuple[CameraShot, KeyFrame | None]]:
    """Pictures of one camera of a scene, in time order.

    Args:
        nusc: An open data set.
        scene_name: Which scene.
        camera: Name of the camera.
        sweeps: Those between key frames too.

    Returns:
        Each picture and the key frame, of that camera alone, to which it belongs; None = it lies between them.

    Raises:
        DataError: see :func:`read_key_frames`.
    """
    frames = read_key_frames(nusc, [scene_name], (camera,))[0]
    if not sweeps:
        return [(frame.shots[0], frame) for frame in frames]
    of_stamp = {frame.shots[0].stamp_ns: frame for frame in frames}
    result: list[tuple[CameraShot, KeyFrame | None]] = []
    cameras_by_key: dict[tuple[str, int, int], Camera] = {}
    with reading(Path(nusc.dataroot) / nusc.version, f"tables whose rows of {scene_name} fit each other"):
        token = nusc.get("sample", frames[0].token)["data"][camera]
        while token:
            shot = _read_shot(nusc, token, camera, cameras_by_key)
            result.append((shot, of_stamp.get(shot.stamp_ns)))
            token = _row(nusc, "sample_data", token)["next"]
    return result


def _read_sweeps(
    nusc: Any,
    sample: dict[str, Any],
    cameras: Sequence[str],
    offsets: Sequence[int],
    cameras_by_key: dict[tuple[str, int, int], Camera],
) -> dict[int, tuple[CameraShot | None, ...]]:
    """Pictures that each camera took some of its cycles before or after a key frame."""
    rows: dict[int, list[CameraShot | None]] = {offset: [] for offset in offsets}
    for camera in cameras:
        for offset in offsets:
            token: str = sample["data"][camera]
            stamp = int(_row(nusc, "sample_data", token)["timestamp"])
            for _ in range(abs(offset)):
                token = _row(nusc, "sample_data", token)["prev" if offset < 0 else "next"]
                if not token:
                    break
                before, stamp = stamp, int(_row(nusc, "sample_data", token)["timestamp"])
                if abs(stamp - before) > _LONGEST_CYCLE_US:
                    token = ""
                    break
            rows[offset].append(_read_shot(nusc, token, camera, cameras_by_key) if token else None)
    return {offset: tuple(shots) for offset, shots in rows.items()}


def _read_key_frame(
    nusc: Any,
    sample: dict[str, Any],
    scene_name: str,
    index: int,
    cameras: Sequence[str],
    cameras_by_key: dict[tuple[str, int, int], Camera],
) -> KeyFrame:
    for channel in (*cameras, "LIDAR_TOP"):
        if channel not in sample["data"]:
            where = Path(nusc.dataroot) / nusc.version / "sample_data.json"
            raise DataError(where, f"sample {sample['token']}", f"a key frame of {channel}", sorted(sample["data"]))
    lidar = _row(nusc, "sample_data", sample["data"]["LIDAR_TOP"])
    return KeyFrame(
        token=sample["token"],
        scene_name=scene_name,
        index=index,
        stamp_ns=_stamp_ns(nusc, lidar),
        T_world_ego=_ego_pose(nusc, lidar["ego_pose_token"])[0],
        T_ego_lidar=_pose(_row(nusc, "calibrated_sensor", lidar["calibrated_sensor_token"])),
        lidar_path=Path(nusc.dataroot) / lidar["filename"],
        shots=tuple(_read_shot(nusc, sample["data"][camera], camera, cameras_by_key) for camera in cameras),
    )


def _read_shot(nusc: Any, token: str, name: str, cameras_by_key: dict[tuple[str, int, int], Camera]) -> CameraShot:
    data = _row(nusc, "sample_data", token)
    path = Path(nusc.dataroot) / data["filename"]
    if not path.is_file():
        raise DataError(path, f"sample_data {token}", "a picture", "no such file")
    # Shots of a drive share one Camera: it is checked once, and pickling for loader processes stores it once.
    key = (data["calibrated_sensor_token"], int(data["width"]), int(data["height"]))
    if key not in cameras_by_key:
        sensor = _row(nusc, "calibrated_sensor", key[0])
        intrinsics = np.asarray(sensor["camera_intrinsic"], np.float64)
        cameras_by_key[key] = Camera(name, intrinsics, _pose(sensor), key[1], key[2])
    pose, travelled_m = _ego_pose(nusc, data["ego_pose_token"])
    return CameraShot(path, _stamp_ns(nusc, data), cameras_by_key[key], pose, travelled_m=travelled_m)


def _stamp_ns(nusc: Any, data: dict[str, Any]) -> int:
    stamp_ns = int(data["timestamp"]) * 1000
    if not 0 <= stamp_ns < 1 << 63:
        where = Path(nusc.dataroot) / nusc.version / "sample_data.json"
        raise DataError(where, f"timestamp of {data['token']}", "microseconds since 1970", data["timestamp"])
    return stamp_ns


def _row(nusc: Any, table: str, token: str) -> dict[str, Any]:
    try:
        row: dict[str, Any] = nusc.get(table, token)
    except KeyError as error:
        where = Path(nusc.dataroot) / nusc.version / f"{table}.json"
        raise DataError(where, f"token {token}", "a row", "no such token") from error
    return row


def _ego_pose(nusc: Any, token: str) -> tuple[np.ndarray | None, float | None]:
    """Pose and odometer of a row of ``ego_pose``; null in it means unknown, and so does no odometer at all."""
    row = _row(nusc, "ego_pose", token)
    travelled_m = row.get("travelled_m")
    known = [row[key] is not None for key in ("translation", "rotation")]
    if any(known) != all(known):
        where = Path(nusc.dataroot) / nusc.version / "ego_pose.json"
        raise DataError(where, f"token {token}", "translation and rotation both null, or neither", row)
    return _pose(row) if all(known) else None, None if travelled_m is None else float(travelled_m)


def _pose(record: dict[str, Any]) -> np.ndarray:
    return rigid_from_quat(record["rotation"], record["translation"])
