# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What a camera sees: its rays, its field of view, and the directions around the robot that cameras share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from gsocc_core.geometry.cameras import Camera, Cameras

#: Directions around the ego frame's origin.
AZIMUTHS = 720


@dataclass(frozen=True)
class PixelRays:
    """Rays through a coarse raster of a camera's pixels.

    Attributes:
        origin: (3,) metres, ego frame.
        directions: (H, W, 3) unit vectors, ego frame.
        valid: (H, W) bool: the lens model has a ray for this pixel.
    """

    origin: np.ndarray
    directions: np.ndarray
    valid: np.ndarray


def project(camera: Camera, points_m: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Project points of the ego frame in float64.

    Args:
        camera: The camera.
        points_m: (N, 3) metres.

    Returns:
        (N, 2) pixels, (N,) depth along the optical axis in metres, (N,) bool: in front of the lens and in the picture.
    """
    stacked = Cameras.stack([camera], dtype=torch.float64)
    uv, depth, valid = stacked.project(torch.from_numpy(np.ascontiguousarray(points_m, np.float64)))
    return uv[0].numpy(), depth[0].numpy(), valid[0].numpy()


def pixel_rays(camera: Camera, columns: int = 64) -> PixelRays:
    """Rays of a raster over the whole picture.

    Args:
        camera: The camera.
        columns: Raster points across; rows follow from the picture's shape.

    Returns:
        The rays. Pixels to which the lens model leads no point (outside a fisheye's image circle, beyond the fold of a
        distortion polynomial) are not valid.
    """
    rows = max(2, round(columns * camera.height / camera.width))
    small = camera.resized(columns, rows)
    origins, directions = Cameras.stack([small], dtype=torch.float64).rays()
    units = torch.nn.functional.normalize(directions[0], dim=-1).numpy()
    origin = origins[0, 0, 0].numpy()
    uv, _, valid = project(small, (origin + 10.0 * units).reshape(-1, 3))
    v, u = np.meshgrid(np.arange(rows) + 0.5, np.arange(columns) + 0.5, indexing="ij")
    error = np.abs(uv.reshape(rows, columns, 2) - np.stack([u, v], -1)).max(-1)
    return PixelRays(origin, units, valid.reshape(rows, columns) & (error < 0.25))


def field_of_view_deg(camera: Camera) -> tuple[float, float]:
    """Horizontal and vertical field of view through the middle of the picture, degrees.

    Example:
        >>> K = np.array([[500.0, 0, 500], [0, 500, 250], [0, 0, 1]])
        >>> [round(angle) for angle in field_of_view_deg(Camera("front", K, np.eye(4), 1000, 500))]
        [90, 53]
    """
    rays = pixel_rays(camera, 129)
    rows, columns = rays.valid.shape
    across, down = rays.directions[rows // 2], rays.directions[:, columns // 2]
    grow = (columns / (columns - 1), rows / (rows - 1))  # from pixel centres to the picture's borders
    return (
        _angle(across[rays.valid[rows // 2]]) * grow[0],
        _angle(down[rays.valid[:, columns // 2]]) * grow[1],
    )


def _angle(units: np.ndarray) -> float:
    """Degrees along a row of directions; beyond 180 too, since it adds up small steps."""
    if len(units) < 2:
        return 0.0
    steps = np.arccos(np.clip((units[1:] * units[:-1]).sum(-1), -1, 1))
    return float(np.degrees(steps.sum()))


def seen_around(camera: Camera, distance_m: float = 10.0, heights_m: tuple[float, ...] = (0.0, 1.0, 2.0)) -> np.ndarray:
    """Which directions around the ego frame's origin a camera sees.

    Args:
        camera: The camera.
        distance_m: Distance from the origin.
        heights_m: Heights above the ground, of which one suffices.

    Returns:
        (AZIMUTHS,) bool, direction i at (i + 0.5) * 360 / AZIMUTHS degrees to the left of ahead.
    """
    angles = (np.arange(AZIMUTHS) + 0.5) * 2 * np.pi / AZIMUTHS
    ring = distance_m * np.stack([np.cos(angles), np.sin(angles)], -1)
    seen = np.zeros(AZIMUTHS, bool)
    for height in heights_m:
        seen |= project(camera, np.column_stack([ring, np.full(AZIMUTHS, height)]))[2]
    return seen


def heading_deg(camera: Camera) -> float:
    """Where a camera looks, degrees to the left of ahead, -180...180."""
    axis = camera.T_ego_cam[:3, 2]
    if np.hypot(axis[0], axis[1]) < 0.2:  # a camera that looks down is placed where its picture's upper edge points
        axis = -camera.T_ego_cam[:3, 1]
    return float(np.degrees(np.arctan2(axis[1], axis[0])))
