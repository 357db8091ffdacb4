# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Rigs from the calibration files of KITTI (raw and object) and KITTI-360."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gsocc_core.data.kitti360_index import read_perspective_cameras
from gsocc_core.data.kitti_text import Table, pose, projection, read_table, rotation, take
from gsocc_core.data.stated_poses import check_same_pose
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.geometry.cameras import Camera
from gsocc_core.rigs.rig_file import CameraRig

#: KITTI's IMU and Velodyne (x forward, y left, z up) stand so high above the road, as its sensor set-up says.
IMU_HEIGHT_M, VELODYNE_HEIGHT_M = 0.93, 1.73
_IMU_TOLD = "The ego frame is the IMU's, 0.93 m lower: on the road."


@dataclass(frozen=True)
class KittiRig:
    """What a calibration of KITTI gives.

    Attributes:
        rig: The cameras.
        T_ego_velo: (4, 4) pose of the Velodyne in the ego frame; None = the file does not hold it.
        ego: What the ego frame is, where nobody gave a pose; empty otherwise.
    """

    rig: CameraRig
    T_ego_velo: np.ndarray | None
    ego: str


def read_kitti(
    path: str | Path,
    T_ego_imu: np.ndarray | None = None,
    size: tuple[int, int] | None = None,
    rectified: bool = True,
    T_ego_cam0: np.ndarray | None = None,
) -> KittiRig:
    """Read KITTI's calibration.

    In files of the benchmarks a matrix of zeros, as some tools write those that they do not use, counts as not there.
    Where such a file does not lead to the IMU, the Velodyne is 1.73 m above the ground, level and ahead.

    Args:
        path: Folder of a day of the raw data (calib_cam_to_cam.txt, calib_velo_to_cam.txt, calib_imu_to_velo.txt), one
            file of the object benchmark (calib/000000.txt), or calib.txt of the odometry benchmark.
        T_ego_imu: (4, 4) pose of the IMU in the ego frame; None = 0.93 m above the ground, as the data set says.
        size: (width, height) of the pictures, pixels: files of the benchmarks do not hold it.
        rectified: The pictures are the rectified ones (``*_sync``, object benchmark); else the raw ones with their
            lens distortion (raw data only).
        T_ego_cam0: (4, 4) pose of the rectified camera 0 in the ego frame, instead of one of the IMU (files of the
            benchmarks only).

    Returns:
        The cameras, and where the Velodyne is.

    Raises:
        ConfigError: the size is missing, or a pose is given that the file cannot use.
        DataError: a file or an entry is missing or has the wrong values, or entries contradict each other.
    """
    path = Path(path)
    if path.is_file():
        return _benchmark(path, T_ego_imu, T_ego_cam0, size, rectified)
    if T_ego_cam0 is not None:
        raise ConfigError(path, "T_ego_cam0", "--T_ego_imu: the raw data lead to the IMU", "a pose of camera 0")
    ego = _IMU_TOLD if T_ego_imu is None else ""
    T_ego_imu = _lifted(IMU_HEIGHT_M) if T_ego_imu is None else T_ego_imu
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
    return KittiRig(CameraRig.of(cameras), T_ego_velo, ego)


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


def _benchmark(
    path: Path,
    T_ego_imu: np.ndarray | None,
    T_ego_cam0: np.ndarray | None,
    size: tuple[int, int] | None,
    rectified: bool,
) -> KittiRig:
    """One file of the object or of the odometry benchmark; matrices of zeros say nothing."""
    table = {key: numbers for key, numbers in read_table(path).items() if numbers.any()}
    if size is None:
        raise ConfigError(path, "size", "--size WIDTH,HEIGHT of the pictures, which this file does not hold", "none")
    if not rectified:
        raise ConfigError(path, "rectified", "true: this file describes rectified pictures only", False)
    T_ego_rect0, T_ego_velo, ego = _placed(path, table, T_ego_imu, T_ego_cam0)
    cameras = []
    for n in sorted(key[1:] for key in table if key[0] == "P" and key[1:].isdigit()):
        K, T_cam_rect0 = projection(path, table, f"P{n}")
        cameras.append(Camera(f"image_{n}", K, T_ego_rect0 @ np.linalg.inv(T_cam_rect0), *size))
    if not cameras:
        raise DataError(path, "P0", "projection matrices P0 ... P3 other than 0", sorted(table))
    return KittiRig(CameraRig.of(cameras), T_ego_velo, ego)


def _placed(
    path: Path, table: Table, T_ego_imu: np.ndarray | None, T_ego_cam0: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None, str]:
    """Poses of the rectified camera 0 and of the Velodyne in the ego frame, and what that frame is."""
    T_rect0_velo: np.ndarray | None = None
    if "Tr_velo_to_cam" in table:
        T_rect0_cam0 = rotation(path, table, "R0_rect" if "R0_rect" in table else "R_rect")
        T_rect0_velo = T_rect0_cam0 @ pose(path, table, "Tr_velo_to_cam")
    elif "Tr" in table:
        T_rect0_velo = pose(path, table, "Tr")
    if T_ego_cam0 is not None and T_ego_imu is None:
        return T_ego_cam0, None if T_rect0_velo is None else T_ego_cam0 @ T_rect0_velo, ""
    if T_ego_cam0 is not None or T_rect0_velo is None or (T_ego_imu is not None and "Tr_imu_to_velo" not in table):
        lacking = "no pose of a LiDAR" if T_rect0_velo is None else "no pose of the IMU"
        expected = f"--T_ego_cam0, the pose of camera 0 in base_link, alone: the file holds {lacking}"
        if T_rect0_velo is not None and "Tr_imu_to_velo" in table:
            expected = "--T_ego_imu or --T_ego_cam0"
        given = [k for k, v in (("--T_ego_imu", T_ego_imu), ("--T_ego_cam0", T_ego_cam0)) if v is not None]
        raise ConfigError(path, "extrinsic to base_link", expected, " and ".join(given) or "none")
    if "Tr_imu_to_velo" in table:
        ego = _IMU_TOLD if T_ego_imu is None else ""
        T_ego_imu = _lifted(IMU_HEIGHT_M) if T_ego_imu is None else T_ego_imu
        T_ego_velo = T_ego_imu @ np.linalg.inv(pose(path, table, "Tr_imu_to_velo"))
    else:
        T_ego_velo, ego = _lifted(VELODYNE_HEIGHT_M), "The ego frame is the Velodyne's, 1.73 m lower: on the road."
    return T_ego_velo @ np.linalg.inv(T_rect0_velo), T_ego_velo, ego


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
