# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The frame of a reconstruction: on the ground below its first camera, x where that one looks."""

from __future__ import annotations

import numpy as np

from gsocc_core.geometry.ground_plane import GroundPlane

#: No camera of a robot stands lower, metres.
_LEAST_HEIGHT_M = 0.1


def upward(T_first_cam: np.ndarray) -> np.ndarray:
    """(3) mean of the upward axes of cameras (V, 4, 4): which way is up where pictures are taken upright."""
    mean: np.ndarray = -T_first_cam[:, :3, 1].mean(0)
    return mean if np.linalg.norm(mean) > 1e-6 else -T_first_cam[0, :3, 1]


def T_ego_scene(
    T_scene_cam: np.ndarray,
    points: np.ndarray,
    ground: GroundPlane | None,
    unit_m: float,
    mounting_height_m: float | None = None,
) -> np.ndarray:
    """Pose of the reconstruction's frame, scaled to metres, in the ego frame.

    Args:
        T_scene_cam: (V, 4, 4) cameras, in units; the ego's origin lies below the first of them.
        points: (N, 3) what was seen, in units.
        ground: The plane that z = 0 shall be; None = z = 0 is below the first camera by ``mounting_height_m``, or as
            low as the lowest fiftieth of the points, with cameras upright on average.
        unit_m: Metres in one unit.
        mounting_height_m: Known height of the first camera.

    Returns:
        (4, 4) float64, metres: x_ego = T @ (unit_m * x_scene). All cameras are above z = 0.
    """
    normal = upward(T_scene_cam) if ground is None else ground.normal
    z = normal / np.linalg.norm(normal)
    ahead = T_scene_cam[0, :3, 2] - (T_scene_cam[0, :3, 2] @ z) * z
    if np.linalg.norm(ahead) < 1e-3:  # it looks straight down or up: the top of its picture is ahead
        ahead = -T_scene_cam[0, :3, 1] + (T_scene_cam[0, :3, 1] @ z) * z
    x = ahead / np.linalg.norm(ahead)
    R = np.stack([x, np.cross(z, x), z])
    centers = T_scene_cam[:, :3, 3]
    if ground is not None:
        height_m = unit_m * float(ground.height(centers[0]))
    elif mounting_height_m is not None:
        height_m = mounting_height_m
    else:
        low = float(np.percentile(points @ z, 2)) if len(points) else float(centers[0] @ z)
        height_m = unit_m * (float(centers[0] @ z) - low)
    lowest = height_m + unit_m * float(((centers - centers[0]) @ z).min())
    height_m += max(_LEAST_HEIGHT_M - lowest, 0.0)
    T = np.eye(4)
    T[:3, :3] = R
    T[:3, 3] = np.array([0.0, 0.0, height_m]) - R @ (unit_m * centers[0])
    return T
