# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Rigs from trees in nuScenes layout."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from gsocc_core.data.key_frames import KeyFrame
from gsocc_core.data.nuscenes_index import choose_scenes, open_nuscenes, read_key_frames
from gsocc_core.data.stored import reading
from gsocc_core.errors import DataError
from gsocc_core.rigs.rig_file import CameraRig


def read_nuscenes(
    dataroot: str | Path, version: str, scene: str | None = None, cameras: tuple[str, ...] | None = None
) -> tuple[CameraRig, np.ndarray]:
    """Read the calibration of one drive; it differs from log to log.

    Args:
        dataroot: Folder that holds ``<version>/`` with the tables.
        version: For instance v1.0-mini.
        scene: Whose calibration; None = the first scene's.
        cameras: Which cameras; None = all of the scene.

    Returns:
        The rig, with trigger offsets that are medians over the drive's key frames, and the (4, 4) pose of LIDAR_TOP in
        the ego frame.

    Raises:
        ConfigError: nuscenes-devkit is not installed.
        DataError: the tree or the scene is missing, a camera is at a key frame, or a calibration changes.
    """
    nusc = open_nuscenes(dataroot, version)
    name = choose_scenes(nusc, None, None if scene is None else (scene,))[0]
    frames = read_key_frames(nusc, [name], cameras or _all_cameras(nusc, name))[0]
    first = frames[0]
    for frame in frames[1:]:
        _check_same(first, frame, Path(dataroot) / nusc.version / "calibrated_sensor.json")
    shots = {shot.camera.name: i for i, shot in enumerate(first.shots)}
    begin = [min(shot.stamp_ns for shot in frame.shots) for frame in frames]
    offsets: dict[str, float | None] = {
        camera: median(frame.shots[i].stamp_ns - start for frame, start in zip(frames, begin)) * 1e-6
        for camera, i in shots.items()
    }
    return CameraRig.of([shot.camera for shot in first.shots], offsets), first.T_ego_lidar


def _check_same(first: KeyFrame, frame: KeyFrame, where: Path) -> None:
    """A rig has one calibration."""
    sensors = {"LIDAR_TOP": (first.T_ego_lidar, frame.T_ego_lidar)}
    for a, b in ((one.camera, other.camera) for one, other in zip(first.shots, frame.shots)):
        if a is not b:  # the reader shares those of one row
            sensors[a.name] = (np.hstack([a.intrinsics, a.T_ego_cam[:3]]), np.hstack([b.intrinsics, b.T_ego_cam[:3]]))
    for name, (known, found) in sensors.items():
        if not np.array_equal(known, found):
            raise DataError(where, f"{name} of {frame.scene_name}", "one calibration for the whole drive", "a change")


def _all_cameras(nusc: Any, scene: str) -> tuple[str, ...]:
    """Cameras of any of the scene's key frames: the first one may lack some."""
    names: dict[str, None] = {}
    with reading(Path(nusc.dataroot) / nusc.version, f"tables whose rows of {scene} fit each other"):
        token = next(record for record in nusc.scene if record["name"] == scene)["first_sample_token"]
        while token:
            sample = nusc.get("sample", token)
            names.update(dict.fromkeys(channel for channel in sample["data"] if channel.startswith("CAM")))
            token = sample["next"]
    return tuple(names)
