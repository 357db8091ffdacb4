# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Numbers that a 3D page wants for cameras and motion."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from gsocc_core.geometry.cameras import Camera
from gsocc_core.geometry.rigid import rotmat_to_quat
from gsocc_core.viewer.frames import Motion

#: A frustum cannot open wider, rad; fisheye cameras do.
_WIDEST_RAD = 2.6


@dataclass(frozen=True)
class Frustum:
    """A camera as a pyramid.

    Attributes:
        fov_rad: Vertical opening angle.
        aspect: Width over height.
        wxyz: Rotation of the optical frame in the ego frame at the reference time.
        position_m: Its origin there.
    """

    fov_rad: float
    aspect: float
    wxyz: tuple[float, float, float, float]
    position_m: tuple[float, float, float]


def frustum(camera: Camera) -> Frustum:
    """The pyramid that a camera sees, without lens distortion.

    Args:
        camera: Any model; fisheye lenses are shown with their own opening angle, but never wider than 149 degrees.

    Example:
        >>> K = np.array([[100.0, 0, 100], [0, 100, 50], [0, 0, 1]])
        >>> round(math.degrees(frustum(Camera("front", K, np.eye(4), 200, 100)).fov_rad), 2)
        53.13
    """
    half = camera.height / 2 / camera.intrinsics[1, 1]
    fov = {"pinhole": 2 * math.atan(half), "fisheye": 2 * half, "orthographic": 0.05}[camera.model]
    T = camera.T_ref_cam
    w, x, y, z = rotmat_to_quat(torch.from_numpy(np.ascontiguousarray(T[:3, :3]))).tolist()
    tx, ty, tz = T[:3, 3].tolist()
    return Frustum(min(fov, _WIDEST_RAD), camera.width / camera.height, (w, x, y, z), (tx, ty, tz))


def arrows(motion: Motion, seconds: float = 1.0, cell_m: float = 1.6) -> np.ndarray:
    """One arrow per upright column of moving things, from where they are to where they will be.

    Args:
        motion: Points and velocities.
        seconds: Length of an arrow: the way in this time.
        cell_m: Edge of a column, metres; points of one column share the mean of their velocities.

    Returns:
        (M, 2, 3) float32 begin and end of each arrow, metres, ego frame.

    Example:
        >>> points = np.array([[0.1, 0.1, 0.0], [0.3, 0.1, 1.0], [9.0, 0.0, 0.0]], np.float32)
        >>> arrows(Motion(points, np.tile(np.float32([2, 0, 0]), (3, 1)))).shape
        (2, 2, 3)
    """
    if not len(motion.points_m):
        return np.zeros((0, 2, 3), np.float32)
    columns = np.floor(motion.points_m[:, :2] / cell_m).astype(np.int64)
    _, cell, counts = np.unique(columns, axis=0, return_inverse=True, return_counts=True)
    cell = cell.reshape(-1)
    means = np.zeros((2, len(counts), 3))
    for total, values in zip(means, (motion.points_m, motion.velocities_m_s)):
        np.add.at(total, cell, values)
    begin, velocity = means / counts[:, None]
    return np.stack([begin, begin + seconds * velocity], axis=1).astype(np.float32)
