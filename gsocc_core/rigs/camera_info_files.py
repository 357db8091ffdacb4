# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Rigs from the calibration files of ROS: one YAML file per camera, as camera_calibration and drivers keep them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gsocc_core.errors import ConfigError, DataError, GsoccError
from gsocc_core.geometry.cameras import Camera
from gsocc_core.rigs.poses import pose_of
from gsocc_core.rigs.rig_file import CameraRig
from gsocc_core.rigs.ros_lenses import lens_of
from gsocc_core.yaml_files import read_yaml

_EXPECTED = "a camera_info file of ROS: image_width, image_height, camera_matrix, distortion_model ..."


def read_camera_info_files(
    path: str | Path, poses: str | Path | None = None, T_ego_cam0: np.ndarray | None = None
) -> CameraRig:
    """Read calibrations as ``camera_info_manager`` writes them; they belong to pictures that are not rectified.

    Args:
        path: A file, or a folder of ``.yaml`` or ``.yml`` files, one per camera.
        poses: YAML file ``{camera: numbers}``: the pose of each camera's optical frame in the ego frame as
            x, y, z, qw, qx, qy, qz or the 12 or 16 numbers of a matrix, which camera_info files do not hold.
        T_ego_cam0: (4, 4) pose of the only camera, instead.

    Returns:
        One camera per file. Each is called as its file says (``camera_name``), or as the file where several have one
        name or none.

    Raises:
        ConfigError: a file is not YAML, or the poses are missing or wrong.
        DataError: there is no file, a calibration lacks something, or a lens model has no counterpart.
    """
    path = Path(path)
    files = sorted(p for p in path.iterdir() if p.suffix in {".yaml", ".yml"}) if path.is_dir() else [path]
    if not files:
        raise DataError(path, "folder", "camera_info files (.yaml) of ROS, one per camera", "none")
    contents = {file: read_yaml(file, _EXPECTED) for file in files}
    said = Counter(str(content.get("camera_name") or "") for content in contents.values())
    names = {file: str(content.get("camera_name") or "") for file, content in contents.items()}
    names = {file: name if name and said[name] == 1 else file.stem for file, name in names.items()}
    T_ego_cam = _poses(path, list(names.values()), poses, T_ego_cam0)
    return CameraRig.of([_camera(file, content, names[file], T_ego_cam) for file, content in contents.items()])


def _poses(
    path: Path, names: list[str], poses: str | Path | None, T_ego_cam0: np.ndarray | None
) -> dict[str, np.ndarray]:
    """Pose by camera; every camera has one."""
    one = "--T_ego_cam0, the pose of its optical frame in base_link, or " if len(names) == 1 else ""
    expected = f"{one}--poses FILE: YAML {{camera: [x, y, z, qw, qx, qy, qz]}} for {', '.join(names)}"
    if T_ego_cam0 is not None and poses is None and len(names) == 1:
        return {names[0]: T_ego_cam0}
    if poses is None or T_ego_cam0 is not None:
        received = "none" if poses is None and T_ego_cam0 is None else "--T_ego_cam0"
        raise ConfigError(path, "extrinsic to base_link", expected, received)
    given = read_yaml(poses, "poses of cameras")
    if set(given) != set(names):
        raise ConfigError(poses, "cameras", ", ".join(names), ", ".join(map(str, given)) or "none")
    return {name: _pose(poses, name, numbers) for name, numbers in given.items()}


def _pose(poses: str | Path, name: str, numbers: Any) -> np.ndarray:
    if not isinstance(numbers, list) or not all(isinstance(n, int | float) for n in numbers):
        raise ConfigError(poses, name, "a list of 7, 12 or 16 numbers", repr(numbers))
    try:
        return pose_of(numbers, name)
    except GsoccError as error:
        raise ConfigError(poses, name, error.expected, error.received) from error


def _camera(file: Path, content: Mapping[str, Any], name: str, T_ego_cam: Mapping[str, np.ndarray]) -> Camera:
    width, height = content.get("image_width"), content.get("image_height")
    if not (isinstance(width, int) and isinstance(height, int) and min(width, height) > 0):
        raise DataError(file, "image_width, image_height", "the size of the pictures, pixels", (width, height))
    K = np.array(_data(file, content, "camera_matrix", 9)).reshape(3, 3)
    if not (np.isfinite(K).all() and K[0, 0] > 0 and K[1, 1] > 0 and K[2].tolist() == [0, 0, 1]):
        raise DataError(file, "camera_matrix", "positive focal lengths, last row 0 0 1", K.tolist())
    coefficients = _data(file, content, "distortion_coefficients", None)
    model, distortion = lens_of(str(content.get("distortion_model", "")), coefficients, file, "distortion_coefficients")
    return Camera(name, K, T_ego_cam[name], width, height, model, distortion)


def _data(file: Path, content: Mapping[str, Any], key: str, count: int | None) -> list[float]:
    """Numbers of a matrix {rows, cols, data}."""
    entry = content.get(key)
    data = entry.get("data") if isinstance(entry, dict) else entry
    numbers = data if isinstance(data, list) and all(isinstance(n, int | float) for n in data) else None
    if numbers is None or (count is not None and len(numbers) != count):
        wanted = "numbers" if count is None else f"{count} numbers"
        raise DataError(file, key, f"{wanted} as {{rows, cols, data}}", repr(entry))
    return [float(n) for n in numbers]
