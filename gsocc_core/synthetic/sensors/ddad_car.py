# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The car of synthetic DDAD trees: six cameras that see parts of its own body, and a long-range LiDAR."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gsocc_core.data.args import DDAD_CAMERAS
from gsocc_core.errors import ConfigError
from gsocc_core.geometry.cameras import Camera

#: Picture size of the cameras before ``image_scale``, pixels; the small ones are those of the plain world.
FULL_SIZE, SMALL_SIZE = (1936, 1216), (176, 110)
#: Returns farther than this are lost, metres.
LIDAR_RANGE_M = 250.0
# Position in the ego frame (m), heading (degrees, left positive) and focal length (px): a narrow lens ahead, wide ones
# around, as DDAD's.
_MOUNTS: dict[str, tuple[tuple[float, float, float], float, float]] = {
    "CAMERA_01": ((1.65, 0.00, 1.40), 0.0, 2160.0),
    "CAMERA_05": ((1.64, 0.40, 1.36), 60.0, 1060.0),
    "CAMERA_07": ((1.20, 0.42, 1.37), 120.0, 1060.0),
    "CAMERA_09": ((0.20, 0.00, 1.40), 180.0, 1060.0),
    "CAMERA_08": ((1.20, -0.42, 1.37), -120.0, 1060.0),
    "CAMERA_06": ((1.64, -0.40, 1.36), -60.0, 1060.0),
}
_CENTER_PX = (950.0, 604.0)
#: Where the LiDAR's beams start, in the ego frame, metres; its points are given in the ego frame.
LIDAR_POSITION = (1.0, 0.0, 1.9)
# The body below the sensors, in the ego frame: lower and upper corner, metres.
_BODY = np.array([[-1.0, -0.92, 0.2], [3.7, 0.92, 0.95]])
# Optical frame (x right, y down, z ahead) seen from a body frame (x ahead, y left, z up).
_R_BODY_OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


@dataclass(frozen=True)
class DdadCar:
    """Sensors of the car.

    Attributes:
        cameras: One per name, in the order of :data:`gsocc_core.data.args.DDAD_CAMERAS`.
        masks: (H, W) bool by camera name: the pixel shows the car itself.
    """

    cameras: tuple[Camera, ...]
    masks: dict[str, np.ndarray]


def make_ddad_car(image_scale: float = 1.0, small: bool = False) -> DdadCar:
    """The car; all drives share it.

    Args:
        image_scale: Factor on the picture size of 1936x1216, 0.02 to 2, or of 176x110, 0.2 to 10.
        small: The pictures are those of the plain world.

    Raises:
        ConfigError: the factor is out of range.

    Example:
        >>> car = make_ddad_car(small=True)
        >>> (car.cameras[0].name, car.cameras[0].width, car.cameras[0].height)
        ('CAMERA_01', 176, 110)
        >>> bool(car.masks["CAMERA_01"][-1].any()), bool(car.masks["CAMERA_01"][0].any())  # the bonnet lies below
        (True, False)
    """
    low, high = (0.2, 10.0) if small else (0.02, 2.0)
    if not low <= image_scale <= high:
        raise ConfigError("synthesize", "image_scale", f"a number from {low:g} to {high:g}", image_scale)
    width, height = (round(pixels * image_scale) for pixels in (SMALL_SIZE if small else FULL_SIZE))
    cameras = []
    for name in DDAD_CAMERAS:
        position, heading_deg, focal_px = _MOUNTS[name]
        c, s = np.cos(np.deg2rad(heading_deg)), np.sin(np.deg2rad(heading_deg))
        T_ego_cam = np.eye(4)
        T_ego_cam[:3, :3] = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]) @ _R_BODY_OPTICAL
        T_ego_cam[:3, 3] = position
        K = np.array([[focal_px, 0.0, _CENTER_PX[0]], [0.0, focal_px, _CENTER_PX[1]], [0.0, 0.0, 1.0]])
        cameras.append(Camera(name, K, T_ego_cam, *FULL_SIZE).resized(width, height))
    return DdadCar(tuple(cameras), {camera.name: _own_body(camera) for camera in cameras})


def hits_body(origin: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Whether rays hit the car's own body.

    Args:
        origin: (3,) outside of the body, ego frame, metres.
        directions: (..., 3), ego frame.

    Returns:
        (...) bool.
    """
    with np.errstate(divide="ignore"):
        ends = (_BODY[:, None] - origin) / directions.reshape(1, -1, 3)
    near, far = ends.min(0).max(-1), ends.max(0).min(-1)
    found: np.ndarray = ((near <= far) & (far > 0)).reshape(directions.shape[:-1])
    return found


def _own_body(camera: Camera) -> np.ndarray:
    rows, columns = np.mgrid[0 : camera.height, 0 : camera.width] + 0.5
    pixels = np.stack([columns, rows, np.ones_like(rows)], axis=-1)
    directions = pixels @ np.linalg.inv(camera.intrinsics).T @ camera.T_ego_cam[:3, :3].T
    return hits_body(camera.T_ego_cam[:3, 3], directions)
