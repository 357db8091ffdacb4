# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Rigs from Kalibr's camera chains (camchain.yaml, camchain-imucam.yaml)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from gsocc_core.data.stated_poses import check_same_pose
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.geometry.cameras import Camera, CameraModel
from gsocc_core.geometry.rigid import rotation_fault
from gsocc_core.rigs.rig_file import CameraRig
from gsocc_core.yaml_files import read_yaml

#: Kalibr's distortion models and the lens models of gsocc that are the same formula.
LENSES: dict[str, CameraModel] = {"radtan": "pinhole", "equidistant": "fisheye", "equi": "fisheye", "none": "pinhole"}
_SUPPORTED = "pinhole-radtan, pinhole-equi or pinhole-none"
_ADVICE = f"{_SUPPORTED}; calibrate again with `--models pinhole-equi`, which fits lenses up to about 180 degrees"


def read_kalibr(
    path: str | Path, T_ego_imu: np.ndarray | None = None, T_ego_cam0: np.ndarray | None = None
) -> CameraRig:
    """Read a camera chain.

    Kalibr knows where the cameras are with respect to each other and to the IMU. Where the robot's base is it does not
    know: one of the two poses has to be given.

    Args:
        path: camchain.yaml of ``kalibr_calibrate_cameras`` (cameras only), or camchain-imucam.yaml of
            ``kalibr_calibrate_imu_camera`` (with ``T_cam_imu``). Where a camera has both ``T_cn_cnm1`` and
            ``T_cam_imu``, they have to agree; one of them is enough.
        T_ego_imu: (4, 4) pose of the IMU in the ego frame, for chains with an IMU.
        T_ego_cam0: (4, 4) pose of cam0's optical frame in the ego frame, for chains without one.

    Returns:
        One camera per entry, named as in the file. ``timeshift_cam_imu`` is the delay of stamps against the IMU's
        clock, no trigger offset, and is not used.

    Raises:
        ConfigError: neither or both poses are given, or the one that the chain cannot use.
        DataError: the file is not a camera chain, a lens model has no counterpart, or ``T_cn_cnm1`` and ``T_cam_imu``
            of a camera contradict each other.
    """
    path = Path(path)
    chain = read_yaml(path, "a camera chain of Kalibr")
    names = sorted((n for n in chain if isinstance(chain[n], dict) and "camera_model" in chain[n]), key=_number)
    if not names:
        raise DataError(path, "cam0", "an entry with camera_model, intrinsics, resolution", sorted(map(str, chain)))
    T_ego_cam = _first_pose(path, names[0], chain[names[0]], T_ego_imu, T_ego_cam0)
    cameras = [_camera(path, names[0], chain[names[0]], T_ego_cam)]
    if T_ego_imu is None and "T_cam_imu" in chain[names[0]]:
        T_ego_imu = T_ego_cam @ _matrix(path, names[0], chain[names[0]], "T_cam_imu")
    for previous, name in pairwise(names):
        T_ego_cam = T_ego_cam @ np.linalg.inv(_from_previous(path, previous, name, chain[name], T_ego_cam, T_ego_imu))
        cameras.append(_camera(path, name, chain[name], T_ego_cam))
    return CameraRig.of(cameras)


def _number(name: str) -> tuple[int, str]:
    digits = "".join(c for c in str(name) if c.isdigit())
    return int(digits or 0), str(name)


def _first_pose(
    path: Path, name: str, entry: Mapping[str, Any], T_ego_imu: np.ndarray | None, T_ego_cam0: np.ndarray | None
) -> np.ndarray:
    with_imu = "T_cam_imu" in entry
    expected = (
        "--T_ego_imu, the pose of the IMU in base_link (the chain leads to the IMU, not to the robot's base), or "
        "--T_ego_cam0"
        if with_imu
        else "--T_ego_cam0, the pose of cam0's optical frame in base_link: the chain holds no T_cam_imu and knows only "
        "where the cameras are with respect to each other"
    )
    if (T_ego_imu is None) == (T_ego_cam0 is None) or (T_ego_imu is not None and not with_imu):
        given = [k for k, v in (("--T_ego_imu", T_ego_imu), ("--T_ego_cam0", T_ego_cam0)) if v is not None]
        raise ConfigError(path, "extrinsic to base_link", expected, " and ".join(given) or "none")
    if T_ego_cam0 is not None:
        return T_ego_cam0
    assert T_ego_imu is not None
    return T_ego_imu @ np.linalg.inv(_matrix(path, name, entry, "T_cam_imu"))


def _from_previous(
    path: Path,
    previous: str,
    name: str,
    entry: Mapping[str, Any],
    T_ego_previous: np.ndarray,
    T_ego_imu: np.ndarray | None,
) -> np.ndarray:
    """The (4, 4) pose of the previous camera in this one: by T_cn_cnm1, by T_cam_imu, or by both if they agree."""
    by_imu = None
    if "T_cam_imu" in entry and T_ego_imu is not None:
        by_imu = _matrix(path, name, entry, "T_cam_imu") @ np.linalg.inv(T_ego_imu) @ T_ego_previous
        if "T_cn_cnm1" not in entry:
            return by_imu
    by_chain = _matrix(path, name, entry, "T_cn_cnm1")
    if by_imu is not None:
        check_same_pose(path, f"{previous} in {name}", ("T_cn_cnm1", by_chain), ("T_cam_imu", by_imu))
    return by_chain


def _matrix(path: Path, name: str, entry: Mapping[str, Any], key: str) -> np.ndarray:
    expected = "4 rows of 4 numbers, a rigid transform"
    try:
        matrix = np.array(entry[key], dtype=np.float64)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(path, f"{name}.{key}", expected, repr(entry.get(key))) from error
    if matrix.shape == (16,):  # as some tools write it
        matrix = matrix.reshape(4, 4)
    if matrix.shape != (4, 4) or rotation_fault(matrix) or matrix[3].tolist() != [0, 0, 0, 1]:
        raise DataError(path, f"{name}.{key}", expected, repr(entry[key]))
    return matrix


def _camera(path: Path, name: str, entry: Mapping[str, Any], T_ego_cam: np.ndarray) -> Camera:
    model, lens = entry["camera_model"], str(entry.get("distortion_model", "none"))
    if model != "pinhole" or lens not in LENSES:
        raise DataError(path, f"{name}.camera_model, distortion_model", _ADVICE, f"{model}-{lens}")
    fx, fy, cx, cy = _numbers(path, name, entry, "intrinsics", 4)
    width, height = _numbers(path, name, entry, "resolution", 2)
    coefficients = () if lens == "none" else _numbers(path, name, entry, "distortion_coeffs", 4)
    intrinsics = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    return Camera(name, intrinsics, T_ego_cam, int(width), int(height), LENSES[lens], tuple(coefficients) or None)


def _numbers(path: Path, name: str, entry: Mapping[str, Any], key: str, count: int) -> list[float]:
    value = entry.get(key)
    if not isinstance(value, list) or len(value) != count or not all(isinstance(v, int | float) for v in value):
        raise DataError(path, f"{name}.{key}", f"{count} numbers", repr(value))
    return [float(v) for v in value]
