# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The sensor rig of the synthetic drives: six cameras and a spinning LiDAR, mounted like those of nuScenes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gsocc_core.data.images import fit_camera
from gsocc_core.errors import ConfigError
from gsocc_core.geometry.cameras import Camera

#: Picture size of the cameras before ``image_scale``, pixels.
FULL_SIZE = (1600, 900)
#: Picture size of :func:`small_rig`, pixels.
SMALL_SIZE = (176, 96)
LIDAR_NAME = "LIDAR_TOP"
#: Delay of each camera's trigger after the start of its LiDAR turn, milliseconds.
TRIGGER_OFFSET_MS = {
    "CAM_FRONT_LEFT": 0.0,
    "CAM_FRONT": 7.6,
    "CAM_FRONT_RIGHT": 15.5,
    "CAM_BACK_RIGHT": 23.0,
    "CAM_BACK": 32.7,
    "CAM_BACK_LEFT": 42.6,
}
CAMERA_NAMES = tuple(TRIGGER_OFFSET_MS)
#: The LiDAR's stamp (end of its turn) after the trigger of CAM_FRONT_LEFT in the same turn, milliseconds.
LIDAR_OFFSET_MS = 43.1

# name: position in the ego frame (m), heading (degrees, left positive), focal length and principal point (px, 1600x900)
_MOUNTS: dict[str, tuple[tuple[float, float, float], float, float, tuple[float, float]]] = {
    "CAM_FRONT_LEFT": ((1.52, 0.49, 1.51), 55.0, 1272.0, (826.0, 480.0)),
    "CAM_FRONT": ((1.70, 0.02, 1.51), 0.0, 1266.0, (816.0, 491.0)),
    "CAM_FRONT_RIGHT": ((1.55, -0.49, 1.50), -55.0, 1261.0, (808.0, 495.0)),
    "CAM_BACK_RIGHT": ((1.01, -0.48, 1.56), -110.0, 1260.0, (807.0, 501.0)),
    "CAM_BACK": ((0.03, 0.00, 1.58), 180.0, 809.0, (829.0, 482.0)),
    "CAM_BACK_LEFT": ((1.04, 0.48, 1.59), 110.0, 1257.0, (792.0, 493.0)),
}
_LIDAR_MOUNT = ((0.94, 0.0, 1.84), -90.0)  # nuScenes: the sensor's x axis points to the right, y ahead
_BEAMS = 32
_ELEVATION_DEG = (-30.0, 10.0)
_AZIMUTH_STEPS = 1085
# Optical frame (x right, y down, z ahead) seen from a body frame (x ahead, y left, z up).
_R_BODY_OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


@dataclass(frozen=True)
class Rig:
    """Calibrated sensors of one drive.

    Attributes:
        cameras: One camera per name, in the order of ``CAMERA_NAMES``.
        T_ego_lidar: (4, 4) float64 pose of the LiDAR frame (x right, y ahead, z up) in the ego frame.
    """

    cameras: tuple[Camera, ...]
    T_ego_lidar: np.ndarray

    def camera(self, name: str) -> Camera:
        """The camera of that name.

        Raises:
            ConfigError: the rig has no such camera.
        """
        for camera in self.cameras:
            if camera.name == name:
                return camera
        raise ConfigError("synthetic rig", "camera", f"one of {CAMERA_NAMES}", name)


def picture_size(image_scale: float) -> tuple[int, int]:
    """Width and height of the pictures, pixels.

    Args:
        image_scale: Factor on 1600x900, above 0 and at most 2.

    Raises:
        ConfigError: the factor is out of range.

    Example:
        >>> picture_size(0.25)
        (400, 225)
    """
    if not 0.02 <= image_scale <= 2.0:
        raise ConfigError("synthesize", "image_scale", "a number from 0.02 to 2", image_scale)
    return round(FULL_SIZE[0] * image_scale), round(FULL_SIZE[1] * image_scale)


def make_rig(rng: np.random.Generator, image_scale: float = 1.0) -> Rig:
    """A rig whose calibration differs a little from drive to drive, as between the cars and logs of nuScenes.

    Args:
        rng: Source of the differences: about 1 cm, 0.3 degrees and 0.5 % of the focal length.
        image_scale: Factor on the picture size of 1600x900; the same ``rng`` gives the same mounting at any scale.

    Returns:
        The calibrated sensors.

    Raises:
        ConfigError: ``image_scale`` is out of range.

    Example:
        >>> rig = make_rig(np.random.default_rng(0), 0.5)
        >>> [camera.name for camera in rig.cameras][0], rig.cameras[0].width
        ('CAM_FRONT_LEFT', 800)
    """
    width, height = picture_size(image_scale)
    cameras = []
    for name in CAMERA_NAMES:
        position, yaw_deg, focal_px, principal_px = _MOUNTS[name]
        T_ego_cam = _disturbed_pose(rng, position, yaw_deg)
        T_ego_cam[:3, :3] = T_ego_cam[:3, :3] @ _R_BODY_OPTICAL
        focal = focal_px * (1.0 + rng.normal(0.0, 0.004))
        center = np.asarray(principal_px) + rng.normal(0.0, 5.0, 2)
        intrinsics = np.array([[focal, 0.0, center[0]], [0.0, focal, center[1]], [0.0, 0.0, 1.0]])
        full = Camera(name, intrinsics, T_ego_cam, *FULL_SIZE)
        cameras.append(full.resized(width, height))
    position, yaw_deg = _LIDAR_MOUNT
    return Rig(tuple(cameras), _disturbed_pose(rng, position, yaw_deg))


def small_rig(rng: np.random.Generator, image_scale: float = 1.0) -> Rig:
    """The same rig with small pictures: 176 x 96 pixels times ``image_scale``, the upper edge cut off.

    Args:
        rng: Source of the differences; see :func:`make_rig`.
        image_scale: Factor on the picture size.

    Returns:
        The calibrated sensors.

    Raises:
        ConfigError: ``image_scale`` is out of range.

    Example:
        >>> small_rig(np.random.default_rng(0)).cameras[0].width
        176
    """
    if not 0.2 <= image_scale <= 10.0:
        raise ConfigError("synthesize", "image_scale", "a number from 0.2 to 10", image_scale)
    full = make_rig(rng)
    width, height = (round(edge * image_scale) for edge in SMALL_SIZE)
    return Rig(tuple(fit_camera(camera, width, height) for camera in full.cameras), full.T_ego_lidar)


def lidar_directions() -> tuple[np.ndarray, np.ndarray]:
    """Beam directions of one full turn of a 32-beam LiDAR.

    Returns:
        (N, 3) float64 unit vectors in the LiDAR frame, azimuth by azimuth, and (N,) float32 ring indices, 0 lowest.

    Example:
        >>> directions, rings = lidar_directions()
        >>> directions.shape, int(rings.max())
        ((34720, 3), 31)
    """
    elevation = np.deg2rad(np.linspace(*_ELEVATION_DEG, _BEAMS))
    azimuth = np.linspace(0.0, -2.0 * np.pi, _AZIMUTH_STEPS, endpoint=False)  # clockwise, like the cameras' triggers
    azimuth, elevation = (grid.ravel() for grid in np.meshgrid(azimuth, elevation, indexing="ij"))
    directions = np.stack(
        [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)], axis=-1
    )
    return directions, np.tile(np.arange(_BEAMS, dtype=np.float32), _AZIMUTH_STEPS)


def _disturbed_pose(rng: np.random.Generator, position: tuple[float, float, float], yaw_deg: float) -> np.ndarray:
    T = np.eye(4)
    yaw, pitch, roll = np.deg2rad(np.array([yaw_deg, 0.0, 0.0]) + rng.normal(0.0, 0.3, 3))
    T[:3, :3] = _rotation(2, yaw) @ _rotation(1, pitch) @ _rotation(0, roll)
    T[:3, 3] = np.asarray(position) + rng.normal(0.0, 0.01, 3)
    return T


def _rotation(axis: int, angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    R = np.eye(3)
    R[i, i], R[i, j], R[j, i], R[j, j] = c, -s, s, c
    return R
