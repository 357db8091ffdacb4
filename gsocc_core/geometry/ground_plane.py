# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The ground among points that cameras saw: a plane below them, found by votes and refined by least squares."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gsocc_core.errors import ShapeError

#: Points that vote, triplets that are tried, and refinements.
_VOTERS, _DRAWS, _REFINEMENTS = 4096, 400, 4
#: A point lies on a plane when it is nearer to it than this share of the cameras' height above it.
_TOLERANCE = 0.06


@dataclass(frozen=True)
class GroundPlane:
    """A plane in the frame and unit of the points.

    Attributes:
        normal: (3) unit vector, up.
        offset: ``normal @ x + offset`` is the height of a point x above the plane.
        share: Of the points below the cameras, those that lie on it, 0..1.
        spread: Root mean square distance of these from it.
    """

    normal: np.ndarray
    offset: float
    share: float
    spread: float

    def height(self, points: np.ndarray) -> np.ndarray:
        """(...) signed heights of points (..., 3) above the plane."""
        heights: np.ndarray = np.asarray(points) @ self.normal + self.offset
        return heights


def find_ground(
    points: np.ndarray,
    viewpoints: np.ndarray,
    up: np.ndarray,
    *,
    max_tilt_deg: float = 30.0,
    least_share: float = 0.15,
    seed: int = 0,
) -> GroundPlane | None:
    """The plane below all cameras that most points lie on and few lie under.

    Planes through three random points vote (RANSAC, Fischler and Bolles 1981), and so do level ones through one point;
    a point counts when it is nearer than 6 % of the first camera's height, and against a plane when it is as far
    under it. The winner is refined by least squares with Tukey's weights. Walls are out by ``max_tilt_deg``, tables and
    ceilings by what lies under them or by the cameras.

    Args:
        points: (N, 3) surface points, any unit; those that are not finite are passed over.
        viewpoints: (V, 3) the cameras, at least one.
        up: (3) which way is up, roughly: the mean of the cameras' upward axes, for upright pictures.
        max_tilt_deg: Largest angle between ``up`` and the normal.
        least_share: Share of the points below the cameras that must lie on the plane.
        seed: Of the random choices.

    Returns:
        The ground; None where no plane has that many points.

    Raises:
        ShapeError: wrong shapes, or ``up`` has no direction.

    Example:
        >>> floor = np.stack(np.meshgrid(np.arange(5.0), np.arange(5.0), [-1.5]), -1).reshape(-1, 3)
        >>> ground = find_ground(floor, np.zeros((1, 3)), np.array([0.1, 0.0, 1.0]))
        >>> ground.normal.round(6).tolist(), round(float(ground.height(np.zeros(3))), 6)
        ([0.0, 0.0, 1.0], 1.5)
    """
    points, viewpoints, up = (np.asarray(value, np.float64) for value in (points, viewpoints, up))
    if points.ndim != 2 or points.shape[1] != 3 or viewpoints.ndim != 2 or not len(viewpoints):
        raise ShapeError("find_ground", "points, viewpoints", "(N, 3), (V, 3)", (points.shape, viewpoints.shape))
    if up.shape != (3,) or not np.linalg.norm(up) > 1e-9:
        raise ShapeError("find_ground", "up", "(3) with a direction", up)
    up = up / np.linalg.norm(up)
    points = points[np.isfinite(points).all(1)]
    below = points[(points - viewpoints[0]) @ up < 0]
    if len(below) < 8:
        return None
    rng = np.random.default_rng(seed)
    voters = below if len(below) <= _VOTERS else below[rng.choice(len(below), _VOTERS, replace=False)]
    normals, offsets = _candidates(voters, viewpoints, up, math.cos(math.radians(max_tilt_deg)), rng)
    if not len(normals):
        return None
    best = int(np.argmax(_votes(voters, viewpoints[0], normals, offsets)))
    normal, offset = _refined(below, viewpoints[0], normals[best], float(offsets[best]))
    height = float(viewpoints[0] @ normal + offset)
    distances = below @ normal + offset
    on = np.abs(distances) < _TOLERANCE * abs(height)
    steep = normal @ up < math.cos(math.radians(max_tilt_deg))
    if height <= 0 or steep or on.mean() < least_share or (viewpoints @ normal + offset).min() <= 0:
        return None
    return GroundPlane(normal, offset, float(on.mean()), float(np.sqrt(np.mean(distances[on] ** 2))))


def _candidates(
    points: np.ndarray, viewpoints: np.ndarray, up: np.ndarray, least_cosine: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(K, 3) normals and (K) offsets of planes that are level enough and lie below all cameras."""
    three = points[rng.integers(len(points), size=(_DRAWS, 3))]
    normals = np.cross(three[:, 1] - three[:, 0], three[:, 2] - three[:, 0])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    good = lengths[:, 0] > 1e-12
    normals, anchors = normals[good] / lengths[good], three[good, 0]
    normals *= np.where(normals @ up < 0, -1.0, 1.0)[:, None]
    single = points[rng.integers(len(points), size=_DRAWS // 8)]
    normals = np.concatenate([normals, np.broadcast_to(up, single.shape)])
    offsets = -(normals * np.concatenate([anchors, single])).sum(1)
    kept = (normals @ up >= least_cosine) & ((viewpoints @ normals.T + offsets).min(0) > 0)
    return normals[kept], offsets[kept]


def _votes(points: np.ndarray, viewpoint: np.ndarray, normals: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """(K) points on each plane minus those under it."""
    heights = normals @ viewpoint + offsets
    distances = points @ normals.T + offsets
    limit = _TOLERANCE * heights
    near = np.clip(1 - np.abs(distances) / limit, 0, None)
    under = distances < -2 * limit
    votes: np.ndarray = near.sum(0) - under.sum(0)
    return votes


def _refined(points: np.ndarray, viewpoint: np.ndarray, normal: np.ndarray, offset: float) -> tuple[np.ndarray, float]:
    """The plane of least squares near a plane, with Tukey's weights."""
    for _ in range(_REFINEMENTS):
        reach = 2 * _TOLERANCE * float(viewpoint @ normal + offset)
        weight = np.clip(1 - ((points @ normal + offset) / reach) ** 2, 0, None) ** 2
        if not reach > 0 or np.count_nonzero(weight) < 3:
            break
        center = weight @ points / weight.sum()
        apart = points - center
        _, axes = np.linalg.eigh((weight[:, None] * apart).T @ apart)
        found = axes[:, 0] * (1.0 if axes[:, 0] @ normal > 0 else -1.0)
        normal, offset = found, -float(found @ center)
    return normal, offset
