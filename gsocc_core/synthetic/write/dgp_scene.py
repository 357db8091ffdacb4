# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The JSON files of a scene in TRI's dgp layout: calibration, readings, samples, and the data set that lists scenes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gsocc_core.data.dgp_files import SPLITS
from gsocc_core.geometry.cameras import Camera
from gsocc_core.geometry.rigid import rotmat_to_quat

Json = dict[str, Any]


def write_calibration(folder: Path, cameras: Sequence[Camera], T_ego_lidar: np.ndarray) -> str:
    """Write ``calibration/<key>.json`` of a scene.

    Args:
        folder: Of the scene.
        cameras: With their poses in the vehicle's frame.
        T_ego_lidar: (4, 4) pose of the points' frame.

    Returns:
        The key.
    """
    names, lenses, poses = ["LIDAR"], [_lens(np.zeros((3, 3)))], [_pose(T_ego_lidar)]
    for camera in cameras:
        names.append(camera.name)
        lenses.append(_lens(camera.intrinsics))
        poses.append(_pose(camera.T_ego_cam))
    content = {"names": names, "intrinsics": lenses, "extrinsics": poses}
    key = _sha1(content)
    _write(folder / "calibration" / f"{key}.json", content)
    return key


def image_datum(name: str, filename: str, count: int, T_world_cam: np.ndarray, size: tuple[int, int]) -> Json:
    """A picture.

    Args:
        name: Of the camera.
        filename: In the scene's folder.
        count: Its time in tenths of microseconds.
        T_world_cam: (4, 4) pose of the camera at that time.
        size: (width, height), pixels.
    """
    more = {"width": size[0], "height": size[1], "channels": 3}
    return _datum(name, "image", filename, count, T_world_cam, more)


def cloud_datum(filename: str, count: int, T_world_lidar: np.ndarray) -> Json:
    """A point cloud; see :func:`image_datum`."""
    more = {"point_format": ["X", "Y", "Z", "INTENSITY"], "point_fields": []}
    return _datum("LIDAR", "point_cloud", filename, count, T_world_lidar, more)


def write_scene(folder: Path, samples: Sequence[Sequence[Json]], calibration: str) -> None:
    """Write ``scene_<key>.json``.

    Args:
        folder: Of the scene.
        samples: Data of every sample, the LiDAR's first; their times are those of the samples.
        calibration: Key of the calibration.
    """
    rows = [
        {
            "id": {**sample[0]["id"], "name": "", "index": "0"},
            "datum_keys": [datum["key"] for datum in sample],
            "calibration_key": calibration,
            "metadata": {},
        }
        for sample in samples
    ]
    for row in zip(*samples):
        for before, after in pairwise(row):
            before["next_key"], after["prev_key"] = after["key"], before["key"]
    data = [datum for sample in samples for datum in sample]
    content = {
        "name": "", "description": "synthetic", "log": folder.name, "metadata": {}, "ontologies": {},
        "samples": rows, "data": data,
    }  # fmt: skip
    _write(folder / f"scene_{_sha1(content)}.json", content)


def write_data_set(root: Path, name: str, splits: Mapping[str, Sequence[str]]) -> None:
    """Write ``<name>.json``, which lists the scenes of every split.

    Args:
        root: Folder that holds those of the scenes.
        name: Of the data set.
        splits: Scenes by split, for instance train and val.
    """
    numbers = {split: number for number, split in SPLITS.items()}
    files = {
        numbers[split]: {
            "filenames": [path.relative_to(root).as_posix() for s in scenes for path in (root / s).glob("scene_*.json")]
        }
        for split, scenes in splits.items()
    }
    metadata = {"name": name, "version": "1.0", "creator": "gsocc synthetic generator", "frame_per_second": 10.0}
    _write(root / f"{name}.json", {"metadata": metadata, "scene_splits": files})


def _datum(name: str, kind: str, filename: str, count: int, T_world_sensor: np.ndarray, more: Json) -> Json:
    # The published files say tenths of microseconds where microseconds should be.
    identity = {"name": name, "timestamp": f"{np.datetime64(count, 'us')}Z", "index": "0", "log": ""}
    content = {"filename": filename, "pose": _pose(T_world_sensor), "annotations": {}, "metadata": {}, **more}
    return {"id": identity, "key": _sha1(identity), "datum": {kind: content}, "next_key": "", "prev_key": ""}


def _lens(K: np.ndarray) -> Json:
    return {"fx": K[0, 0], "fy": K[1, 1], "cx": K[0, 2], "cy": K[1, 2], "skew": K[0, 1]}


def _pose(T: np.ndarray) -> Json:
    w, x, y, z = rotmat_to_quat(torch.from_numpy(np.ascontiguousarray(T[:3, :3]))).tolist()
    translation = dict(zip("xyz", map(float, T[:3, 3])))
    return {"translation": translation, "rotation": {"qw": w, "qx": x, "qy": y, "qz": z}}


def _sha1(content: Json) -> str:
    return hashlib.sha1(json.dumps(content, sort_keys=True).encode(), usedforsecurity=False).hexdigest()


def _write(path: Path, content: Json) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
