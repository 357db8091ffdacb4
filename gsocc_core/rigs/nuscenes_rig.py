# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Rigs from trees in nuScenes layout."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import numpy as np

from gsocc_core.data.nuscenes_index import choose_scenes, open_nuscenes, read_key_frames
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
        DataError: the tree, the scene or a camera is missing.
    """
    nusc = open_nuscenes(dataroot, version)
    name = choose_scenes(nusc, None, None if scene is None else (scene,))[0]
    frames = read_key_frames(nusc, [name], cameras or _all_cameras(nusc, name))[0]
    first = frames[0]
    shots = {shot.camera.name: i for i, shot in enumerate(first.shots)}
    begin = [min(shot.stamp_ns for shot in frame.shots) for frame in frames]
    offsets: dict[str, float | None] = {
        camera: median(frame.shots[i].stamp_ns - start for frame, start in zip(frames, begin)) * 1e-6
        for camera, i in shots.items()
    }
    return CameraRig.of([shot.camera for shot in first.shots], offsets), first.T_ego_lidar


def _all_cameras(nusc: object, scene: str) -> tuple[str, ...]:
    record = next(record for record in nusc.scene if record["name"] == scene)  # type: ignore[attr-defined]
    data = nusc.get("sample", record["first_sample_token"])["data"]  # type: ignore[attr-defined]
    return tuple(channel for channel in data if channel.startswith("CAM"))
