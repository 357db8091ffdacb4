# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Rigs from the calibration files of KITTI (raw and object) and KITTI-360."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from gsocc_core.data.kitti360_index import read_perspective_cameras
from gsocc_core.data.kitti_text import Table, pose, projection, read_table, rotation, take
from gsocc_core.data.stated_poses import check_same_pose
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.geometry.cameras import Camera
from gsocc_core.rigs.rig_file import CameraRig

#: KITTI's IMU (x forward, y left, z up) stands 0.93 m above the road, as its sensor set-up says.
IMU_HEIGHT_M = 0.93


def read_kitti(
    path: str | Path,
    T_ego_imu: np.ndarray | None = None,
    size: tuple[int, int] | None = None,
    rectified: bool = True,
) -> tuple[CameraRig, np.ndarray]:
    """Read KITTI's calibration.

    Args:
        path: Folder of a day of the raw data (calib_cam_to_cam.txt, calib_velo_to_cam.txt, calib_imu_to_velo.txt), or
            one file of the object benchmark (calib/000000.txt).
        T_ego_imu: (4, 4) pose of the IMU in the ego frame; None = 0.93 m above the ground, as the data set says.
        size: (width, height) of the pictures, pixels: files of the object benchmark do not hold it.
        rectified: The pictures are the rectified ones (``*_sync``, object benchmark); else the raw ones with their
            lens distortion (raw data only).

    Returns:
        The rig, and the (4, 4) pose of the Velodyne in the ego frame.

    Raises:
        ConfigError: the size is missing.
        DataError: a file or an entry is missing or has the wrong values, or entries contradict each other.
    """
    path = Path(path)
    T_ego_imu = _lifted(IMU_HEIGHT_M) if T_ego_imu is None else T_ego_imu
    if path.is_file():
        return _object(path, T_ego_imu, size, rectified)
    table = read_table(path / "calib_cam_to_cam.txt")
    velo, imu = read_table(path / "calib_velo_to_cam.txt"), read_table(path / "calib_imu_to_velo.txt")
    where = path / "calib_cam_to_cam.txt"
    T_cam0_velo = _turn_and_shift(path / "calib_velo_to_cam.txt", velo, "R", "T")
    T_ego_velo = T_ego_imu @ np.linalg.inv(_turn_and_shift(path / "calib_imu_to_velo.txt", imu, "R", "T"))
    numbers = sorted(key[2:] for key in table if key.startswith("K_"))
    if not numbers:
        raise DataError(where, "K_00", "calibrated cameras", sorted(table))
    cameras = []
    for n in numbers:
        _check_baseline(where, table, n)
        if rectified:
            K, T_cam_cam0 = _rectified(where, table, n)
            width, height = take(where, table, f"S_rect_{n}", 2)
            distortion = None
        else:
            K = take(where, table, f"K_{n}", 9).reshape(3, 3)
            T_cam_cam0 = _turn_and_shift(where, table, f"R_{n}", f"T_{n}")
            width, height = take(where, table, f"S_{n}", 2)
            distortion = tuple(take(where, table, f"D_{n}", 5).tolist())
        T_ego_cam = T_ego_velo @ np.linalg.inv(T_cam_cam0 @ T_cam0_velo)
        cameras.append(Camera(f"image_{n}", K, T_ego_cam, int(width), int(height), "pinhole", distortion))
    return CameraRig.of(cameras), T_ego_velo


def _rectified(path: Path, table: Table, number: str) -> tuple[np.ndarray, np.ndarray]:
    """Intrinsics of a rectified camera, and the pose of the raw camera 0 in it."""
    K, T_cam_rect0 = projection(path, table, f"P_rect_{number}")
    return K, T_cam_rect0 @ rotation(path, table, "R_rect_00")


def _check_baseline(path: Path, table: Table, number: str) -> None:
    """P_rect, and R and T with R_rect, both say where a camera stands with respect to camera 0."""
    keys = (f"P_rect_{number}", "R_rect_00", f"R_rect_{number}", f"R_{number}", f"T_{number}")
    if not all(key in table for key in keys):
        return
    _, one = _rectified(path, table, number)
    other = rotation(path, table, f"R_rect_{number}") @ _turn_and_shift(path, table, f"R_{number}", f"T_{number}")
    names = f"P_rect_{number}", f"R_rect_{number}, R_{number}, T_{number}"
    check_same_pose(path, f"camera 00 in camera {number}", (names[0], one), (names[1], other))


def _object(
    path: Path, T_ego_imu: np.ndarray, size: tuple[int, int] | None, rectified: bool
) -> tuple[CameraRig, np.ndarray]:
    table = read_table(path)
    if size is None:
        raise ConfigError(path, "size", "--size WIDTH,HEIGHT of the pictures, which this file does not hold", "none")
    if not rectified:
        raise ConfigError(path, "rectified", "true: this file describes rectified pictures only", False)
    if "Tr" in table and "Tr_velo_to_cam" not in table:
        expected = "a file of the object benchmark (calib/000000.txt), or the folder of a day of the raw data"
        raise DataError(path, "Tr_velo_to_cam", expected, "one of the odometry benchmark, which leaves out the IMU")
    T_velo_imu, T_cam0_velo = pose(path, table, "Tr_imu_to_velo"), pose(path, table, "Tr_velo_to_cam")
    T_rect0_cam0 = rotation(path, table, "R0_rect" if "R0_rect" in table else "R_rect")
    T_ego_velo = T_ego_imu @ np.linalg.inv(T_velo_imu)
    cameras = []
    for n in sorted(key[1:] for key in table if key[0] == "P" and key[1:].isdigit()):
        K, T_cam_rect0 = projection(path, table, f"P{n}")
        T_ego_cam = T_ego_velo @ np.linalg.inv(T_cam_rect0 @ T_rect0_cam0 @ T_cam0_velo)
        cameras.append(Camera(f"image_{n}", K, T_ego_cam, *size))
    if not cameras:
        raise DataError(path, "P0", "projection matrices P0 ... P3", sorted(table))
    return CameraRig.of(cameras), T_ego_velo


def read_kitti360(path: str | Path, T_ego_imu: np.ndarray | None = None) -> tuple[CameraRig, tuple[str, ...]]:
    """Read KITTI-360's calibration: the two rectified perspective cameras.

    Args:
        path: Folder with perspective.txt and calib_cam_to_pose.txt.
        T_ego_imu: (4, 4) pose of the GPS/IMU frame (x forward, y right, z down) in the ego frame.

    Returns:
        The rig, and the names of cameras that are left out: image_02 and image_03 are MEI (omnidirectional) cameras.

    Raises:
        ConfigError: the pose of the IMU is missing.
        DataError: a file or an entry is missing or has the wrong values, or entries contradict each other.
    """
    path = Path(path)
    if T_ego_imu is None:
        expected = (
            "--T_ego_imu, the pose of the GPS/IMU frame (x forward, y right, z down) in base_link: H metres above the "
            "ground it is 0,0,H,0,1,0,0"
        )
        raise ConfigError(path, "extrinsic to base_link", expected, "none")
    found = read_perspective_cameras(path)
    cameras = [replace(camera, T_ego_cam=T_ego_imu @ camera.T_ego_cam) for camera in found]
    others = set(read_table(path / "calib_cam_to_pose.txt")) - {camera.name for camera in cameras}
    return CameraRig.of(cameras), tuple(sorted(others))


def _lifted(height_m: float) -> np.ndarray:
    T = np.eye(4)
    T[2, 3] = height_m
    return T


def _turn_and_shift(path: Path, table: Table, turn: str, shift: str) -> np.ndarray:
    T = rotation(path, table, turn)
    T[:3, 3] = take(path, table, shift, 3)
    return T
