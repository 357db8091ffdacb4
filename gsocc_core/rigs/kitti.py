# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Rigs from the calibration files of KITTI (raw and object) and KITTI-360."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gsocc_core.data.kitti_text import Table, affine, read_table, rotation, take
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
        DataError: a file or an entry is missing or has the wrong number of values.
    """
    path = Path(path)
    T_ego_imu = _lifted(IMU_HEIGHT_M) if T_ego_imu is None else T_ego_imu
    if path.is_file():
        return _object(path, T_ego_imu, size, rectified)
    table = read_table(path / "calib_cam_to_cam.txt")
    velo, imu = read_table(path / "calib_velo_to_cam.txt"), read_table(path / "calib_imu_to_velo.txt")
    where = path / "calib_cam_to_cam.txt"
    T_cam0_velo = _pose(path / "calib_velo_to_cam.txt", velo, "R", "T")
    T_ego_velo = T_ego_imu @ np.linalg.inv(_pose(path / "calib_imu_to_velo.txt", imu, "R", "T"))
    numbers = sorted(key[2:] for key in table if key.startswith("K_"))
    if not numbers:
        raise DataError(where, "K_00", "calibrated cameras", sorted(table))
    cameras = []
    for n in numbers:
        if rectified:
            T_rect0_cam0 = rotation(where, table, "R_rect_00")
            K, T_cam_rect0 = _projection(where, table, f"P_rect_{n}")
            width, height = take(where, table, f"S_rect_{n}", 2)
            T_cam_velo, distortion = T_cam_rect0 @ T_rect0_cam0 @ T_cam0_velo, None
        else:
            K = take(where, table, f"K_{n}", 9).reshape(3, 3)
            width, height = take(where, table, f"S_{n}", 2)
            T_cam_velo = _pose(where, table, f"R_{n}", f"T_{n}") @ T_cam0_velo
            distortion = tuple(take(where, table, f"D_{n}", 5).tolist())
        pose = T_ego_velo @ np.linalg.inv(T_cam_velo)
        cameras.append(Camera(f"image_{n}", K, pose, int(width), int(height), "pinhole", distortion))
    return CameraRig.of(cameras), T_ego_velo


def _object(
    path: Path, T_ego_imu: np.ndarray, size: tuple[int, int] | None, rectified: bool
) -> tuple[CameraRig, np.ndarray]:
    table = read_table(path)
    if size is None:
        raise ConfigError(path, "size", "--size WIDTH,HEIGHT of the pictures, which this file does not hold", "none")
    if not rectified:
        raise ConfigError(path, "rectified", "true: this file describes rectified pictures only", False)
    T_velo_imu = affine(take(path, table, "Tr_imu_to_velo", 12))
    T_cam0_velo = affine(take(path, table, "Tr_velo_to_cam", 12))
    T_rect0_cam0 = rotation(path, table, "R0_rect" if "R0_rect" in table else "R_rect")
    T_ego_velo = T_ego_imu @ np.linalg.inv(T_velo_imu)
    cameras = []
    for n in sorted(key[1:] for key in table if key[0] == "P" and key[1:].isdigit()):
        K, T_cam_rect0 = _projection(path, table, f"P{n}")
        pose = T_ego_velo @ np.linalg.inv(T_cam_rect0 @ T_rect0_cam0 @ T_cam0_velo)
        cameras.append(Camera(f"image_{n}", K, pose, *size))
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
        DataError: a file or an entry is missing or has the wrong number of values.
    """
    path = Path(path)
    if T_ego_imu is None:
        expected = (
            "--T_ego_imu, the pose of the GPS/IMU frame (x forward, y right, z down) in base_link: H metres above the "
            "ground it is 0,0,H,0,1,0,0"
        )
        raise ConfigError(path, "extrinsic to base_link", expected, "none")
    where = path / "perspective.txt"
    table, poses = read_table(where), read_table(path / "calib_cam_to_pose.txt")
    cameras = []
    for n in sorted(key[7:] for key in table if key.startswith("P_rect_")):
        K = take(where, table, f"P_rect_{n}", 12).reshape(3, 4)[:, :3]
        T_imu_cam = affine(take(path / "calib_cam_to_pose.txt", poses, f"image_{n}", 12))
        width, height = take(where, table, f"S_rect_{n}", 2)
        # The pose file holds the camera before rectification.
        pose = T_ego_imu @ T_imu_cam @ np.linalg.inv(rotation(where, table, f"R_rect_{n}"))
        cameras.append(Camera(f"image_{n}", K, pose, int(width), int(height)))
    if not cameras:
        raise DataError(where, "P_rect_00", "rectified cameras", sorted(table))
    return CameraRig.of(cameras), tuple(sorted(set(poses) - {camera.name for camera in cameras}))


def _lifted(height_m: float) -> np.ndarray:
    T = np.eye(4)
    T[2, 3] = height_m
    return T


def _pose(path: Path, table: Table, rotation_key: str, translation: str) -> np.ndarray:
    T = rotation(path, table, rotation_key)
    T[:3, 3] = take(path, table, translation, 3)
    return T


def _projection(path: Path, table: Table, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Split P = K [I | t] into K and the shift of the camera against the rectified camera 0."""
    P = take(path, table, key, 12).reshape(3, 4)
    T = np.eye(4)
    T[:3, 3] = np.linalg.solve(P[:, :3], P[:, 3])
    return P[:, :3], T
