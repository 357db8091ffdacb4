# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The car of synthetic KITTI-360 trees: two cameras that look ahead, a Velodyne, and their calibration files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gsocc_core.data.kitti360_index import CALIBRATION, CAMERA_NAMES
from gsocc_core.errors import ConfigError
from gsocc_core.geometry.cameras import Camera
from gsocc_core.synthetic.world.scene import rotation_from_angles

#: Picture size of the cameras before ``image_scale``, pixels.
FULL_SIZE = (1408, 376)
_FOCAL_PX, _CENTER_PX = 552.55, (682.05, 238.77)
_BASELINE_M = 0.6
_CAMERA_PITCH_DEG = 5.0
_VELODYNE = (1.2, 0.0, 1.73)  # in the ego frame, on the road under the rear axle, metres
_CAMERA = (0.80, 0.30, -0.18)  # image_00 in the Velodyne's frame, metres
_IMU = (-0.77, 0.32, -0.83)  # in the Velodyne's frame, metres
# Optical frame (x right, y down, z ahead) seen from a body frame (x ahead, y left, z up).
_R_BODY_OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
# What rectification turns each camera by: yaw, pitch, roll in degrees.
_RECTIFICATION_DEG = {"image_00": (0.4, -0.2, 0.1), "image_01": (-0.3, 0.3, -0.2)}


@dataclass(frozen=True)
class Kitti360Car:
    """Sensors of the car.

    Attributes:
        cameras: Rectified cameras; ``T_ego_cam`` is their pose in the Velodyne's frame.
        rectifications: (4, 4) rotation of each camera: rectified = rotation @ camera.
        T_ego_velo: (4, 4) pose of the Velodyne in the street's ego frame.
        T_imu_velo: (4, 4) pose of the Velodyne in the GPS/IMU's frame (x ahead, y right, z down).
    """

    cameras: tuple[Camera, ...]
    rectifications: tuple[np.ndarray, ...]
    T_ego_velo: np.ndarray
    T_imu_velo: np.ndarray


def make_car(image_scale: float = 1.0) -> Kitti360Car:
    """The car; all drives share it.

    Args:
        image_scale: Factor on the picture size of 1408x376, 0.02 to 2.

    Raises:
        ConfigError: the factor is out of range.

    Example:
        >>> car = make_car(0.5)
        >>> [(camera.name, camera.width, camera.height) for camera in car.cameras]
        [('image_00', 704, 188), ('image_01', 704, 188)]
    """
    if not 0.02 <= image_scale <= 2.0:
        raise ConfigError("synthesize", "image_scale", "a number from 0.02 to 2", image_scale)
    width, height = (round(pixels * image_scale) for pixels in FULL_SIZE)
    K = np.array([[_FOCAL_PX, 0.0, _CENTER_PX[0]], [0.0, _FOCAL_PX, _CENTER_PX[1]], [0.0, 0.0, 1.0]])
    cameras, rectifications = [], []
    for number, name in enumerate(CAMERA_NAMES):
        T_velo_cam = np.eye(4)
        T_velo_cam[:3, :3] = rotation_from_angles(0.0, np.deg2rad(_CAMERA_PITCH_DEG), 0.0) @ _R_BODY_OPTICAL
        # The right camera lies along the left one's x axis, which points to the right.
        T_velo_cam[:3, 3] = np.asarray(_CAMERA) + number * _BASELINE_M * T_velo_cam[:3, 0]
        cameras.append(Camera(name, K, T_velo_cam, *FULL_SIZE).resized(width, height))
        turn = np.eye(4)
        turn[:3, :3] = rotation_from_angles(*np.deg2rad(_RECTIFICATION_DEG[name]))
        rectifications.append(turn)
    T_velo_imu = np.diag([1.0, -1.0, -1.0, 1.0])
    T_velo_imu[:3, 3] = _IMU
    T_ego_velo = np.eye(4)
    T_ego_velo[:3, 3] = _VELODYNE
    return Kitti360Car(tuple(cameras), tuple(rectifications), T_ego_velo, np.linalg.inv(T_velo_imu))


def write_calibration(root: Path, car: Kitti360Car) -> None:
    """Write perspective.txt, calib_cam_to_pose.txt and calib_cam_to_velo.txt as KITTI-360 does.

    Args:
        root: Root of the tree.
        car: Whose calibration.
    """
    folder = root / CALIBRATION
    folder.mkdir(parents=True, exist_ok=True)
    lenses, poses = ["calib_time: 01-Jan-2026 12:00:00"], []
    for camera, turn in zip(car.cameras, car.rectifications, strict=True):
        number = camera.name.removeprefix("image_")
        T_cam_cam0 = np.linalg.inv(camera.T_ego_cam) @ car.cameras[0].T_ego_cam
        T_cam_cam0[:3, :3] = np.eye(3)  # rectified cameras look the same way; without what rounding left
        lenses += [
            f"S_rect_{number}: {camera.width} {camera.height}",
            f"R_rect_{number}: {_words(turn[:3, :3])}",
            f"P_rect_{number}: {_words(camera.intrinsics @ T_cam_cam0[:3])}",
        ]
        poses.append(f"{camera.name}: {_words((car.T_imu_velo @ camera.T_ego_cam @ turn)[:3])}")
    T_velo_cam0 = car.cameras[0].T_ego_cam @ car.rectifications[0]
    for name, lines in (
        ("perspective.txt", lenses),
        ("calib_cam_to_pose.txt", poses),
        ("calib_cam_to_velo.txt", [_words(T_velo_cam0[:3])]),
    ):
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _words(numbers: np.ndarray) -> str:
    return " ".join(f"{value:.12g}" for value in numbers.ravel())
