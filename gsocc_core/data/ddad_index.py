# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Key frames of DDAD: scenes of a dgp tree, and the masks of what cameras see of their own vehicle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from gsocc_core.data.dgp_files import (
    DgpReading,
    DgpSample,
    SensorCalibration,
    read_dgp_calibration,
    read_dgp_scene,
    read_dgp_splits,
)
from gsocc_core.data.key_frames import CameraShot, KeyFrame
from gsocc_core.data.vehicle_masks import check_vehicle_mask
from gsocc_core.errors import DataError
from gsocc_core.geometry.cameras import Camera

LIDAR = "LIDAR"
#: Names a sample: all cameras fire together, and their files have the same name.
FRONT = "CAMERA_01"
#: Where GaussianOcc's authors keep the tree, below their root.
RAW_FOLDER = "raw_data"
#: Half of the sensors' cycle: readings farther from the LiDAR's belong to another sample.
SYNCHRONISED_NS = 50_000_000


def dataset_file(root: Path, version: str) -> Path:
    """The data set's JSON: ``<version>.json`` in the root or in its ``raw_data``.

    Raises:
        DataError: there is neither.
    """
    candidates = (root / f"{version}.json", root / RAW_FOLDER / f"{version}.json")
    for path in candidates:
        if path.is_file():
            return path
    raise DataError(candidates[0], "file", f"the data set's JSON there or in {RAW_FOLDER}/", "no such file")


def choose_ddad_scenes(path: Path, split: str | None, scenes: Sequence[str] | None) -> list[Path]:
    """JSON files of scenes in alphabetical order of the scenes' names, which are those of their folders.

    Args:
        path: The data set's JSON.
        split: train, val or test; None = all.
        scenes: Explicit names; they win over ``split``.

    Raises:
        DataError: there is no such split or scene, or nothing is left.
    """
    splits = read_dgp_splits(path)
    files = {file.parent.name: file for part in splits.values() for file in part}
    if scenes is not None:
        if missing := [name for name in scenes if name not in files]:
            raise DataError(path, f"scene {missing[0]}", f"one of {sorted(files)[:5]}...", "no such scene")
        wanted = {name: files[name] for name in scenes}
    elif split is None:
        wanted = files
    else:
        if split not in splits:
            raise DataError(path, f"split {split}", f"one of {sorted(splits)}", "no such split")
        wanted = {file.parent.name: file for file in splits[split]}
    if not wanted:
        raise DataError(path, f"split {split}", "scenes", "none")
    return [wanted[name] for name in sorted(wanted)]


class DdadIndex:
    """Reads scenes; calibrations that they share are read once.

    Args:
        cameras: Camera names, the order of ``KeyFrame.shots``.
        masks: Folder of self-occlusion masks; None = none.
    """

    def __init__(self, cameras: Sequence[str], masks: Path | None) -> None:
        self.cameras, self.masks = tuple(cameras), masks
        self._calibrations: dict[Path, dict[str, SensorCalibration]] = {}
        self._cameras: dict[tuple[Path, str, tuple[int, int]], Camera] = {}
        self._checked: set[tuple[Path, int, int]] = set()

    def read_scene(self, path: Path) -> list[KeyFrame]:
        """Key frames of a scene in the order of time.

        Args:
            path: The scene's JSON.

        Raises:
            DataError: a file is missing or damaged, a sample lacks one of the sensors, or they did not fire together.
        """
        samples = read_dgp_scene(path)
        if not samples:
            raise DataError(path, "samples", "one or more", "none")
        frames = [self._key_frame(path, sample) for sample in samples]
        frames.sort(key=lambda frame: frame.stamp_ns)
        for one, other in pairwise(frames):
            if one.stamp_ns == other.stamp_ns or one.token == other.token:
                raise DataError(path, "samples", "different time stamps", f"{other.token} twice")
        return [replace(frame, index=index) for index, frame in enumerate(frames)]

    def _key_frame(self, path: Path, sample: DgpSample) -> KeyFrame:
        readings = sample.readings
        there = sorted(name for name, found in readings.items() if found.kind == "image")
        for camera in self.cameras:
            if camera not in there:
                raise DataError(path, sample.key, f"a picture of {camera}", f"only {there}")
        if LIDAR not in readings or readings[LIDAR].kind != "point_cloud":
            raise DataError(path, sample.key, f"a point cloud of {LIDAR}", f"only {sorted(readings)}")
        cloud = readings[LIDAR]
        lidar = self._sensor(sample.calibration, LIDAR)
        shots = tuple(self._shot(path, sample, readings[camera]) for camera in self.cameras)
        for shot in shots:
            if abs(shot.stamp_ns - cloud.stamp_ns) > SYNCHRONISED_NS:
                apart = abs(shot.stamp_ns - cloud.stamp_ns) / 1e6
                expected = f"sensors that fire within {SYNCHRONISED_NS / 1e6:g} ms"
                raise DataError(path, sample.key, expected, f"{shot.camera.name} and {LIDAR} {apart:.1f} ms apart")
        if not cloud.path.is_file():
            raise DataError(cloud.path, "file", "a point cloud", "no such file")
        return KeyFrame(
            token=readings[FRONT if FRONT in readings else there[0]].path.stem,
            scene_name=path.parent.name,
            index=0,
            stamp_ns=cloud.stamp_ns,
            T_world_ego=cloud.T_world_sensor @ np.linalg.inv(lidar.T_ego_sensor),
            T_ego_lidar=lidar.T_ego_sensor,
            lidar_path=cloud.path,
            shots=shots,
        )

    def _shot(self, path: Path, sample: DgpSample, found: DgpReading) -> CameraShot:
        if not found.path.is_file():
            raise DataError(found.path, "file", f"a picture of {found.name}", "no such file")
        key = (sample.calibration, found.name, found.size)
        if key not in self._cameras:
            sensor = self._sensor(sample.calibration, found.name)
            if sensor.intrinsics is None:
                raise DataError(sample.calibration, found.name, "fx and fy above 0", 0)
            self._cameras[key] = Camera(
                found.name, sensor.intrinsics, sensor.T_ego_sensor, *found.size, distortion=sensor.distortion
            )
        camera = self._cameras[key]
        T_world_ego = found.T_world_sensor @ np.linalg.inv(camera.T_ego_cam)
        shot = CameraShot(found.path, found.stamp_ns, camera, T_world_ego, self._mask(path.parent.name, found.name))
        # Once per mask, not per picture.
        if shot.mask_path is not None and (checked := (shot.mask_path, *found.size)) not in self._checked:
            check_vehicle_mask(shot)
            self._checked.add(checked)
        return shot

    def _mask(self, scene: str, camera: str) -> Path | None:
        """``<camera>/<scene>/mask.png``, as published; the two folders may stand the other way round."""
        if self.masks is None:
            return None
        usual, turned = self.masks / camera / scene / "mask.png", self.masks / scene / camera / "mask.png"
        return turned if turned.is_file() and not usual.is_file() else usual

    def _sensor(self, path: Path, name: str) -> SensorCalibration:
        if path not in self._calibrations:
            self._calibrations[path] = read_dgp_calibration(path)
        sensors = self._calibrations[path]
        if name not in sensors:
            raise DataError(path, "names", f"{name} among the sensors", sorted(sensors))
        return sensors[name]
