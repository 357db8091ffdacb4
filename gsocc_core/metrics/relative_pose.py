# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Errors of relative poses of two cameras whose scale is unknown: the angle of the rotation, that of the direction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gsocc_core.errors import ShapeError
from gsocc_core.metrics.trajectory import motion_errors

#: Cameras nearer to each other than this have no direction from one to the other, metres.
LEAST_APART_M = 0.01


@dataclass(frozen=True)
class RelativePoseScores:
    """Errors of pairs of cameras; nan where there are none.

    Attributes:
        pairs: Number of pairs.
        rotation_deg: Median angle between true and predicted rotation, degrees.
        direction_deg: Median angle between true and predicted direction from one camera to the other, degrees.
        rotation_within: Share of pairs whose rotation is within the limit.
        both_within: Share of pairs whose rotation and direction both are.
    """

    pairs: int
    rotation_deg: float
    direction_deg: float
    rotation_within: float
    both_within: float


class RelativePoses:
    """Collects pairs of cameras.

    Args:
        turned_deg: Only pairs count that are turned against each other by least to most degrees.
        within_deg: The limit of the shares, degrees.

    Example:
        >>> metric = RelativePoses((0.0, 180.0))
        >>> poses = np.tile(np.eye(4), (2, 1, 1))
        >>> poses[1, 0, 3] = 1.0
        >>> metric.update(poses, poses)
        >>> metric.scores().both_within
        1.0
    """

    def __init__(self, turned_deg: tuple[float, float] = (10.0, 40.0), within_deg: float = 7.5) -> None:
        if not 0 <= turned_deg[0] < turned_deg[1] <= 180:
            raise ShapeError("RelativePoses", "turned_deg", "0 <= least < most <= 180", turned_deg)
        if within_deg <= 0:
            raise ShapeError("RelativePoses", "within_deg", "above 0", within_deg)
        self.turned_deg, self.within_deg = turned_deg, within_deg
        self._rotations: list[float] = []
        self._directions: list[float] = []

    def update(self, true: np.ndarray, predicted: np.ndarray) -> None:
        """Add all pairs of a scene's cameras that count.

        Args:
            true: (N, 4, 4) poses in any one frame; NaN = unknown, whose pairs are left out.
            predicted: (N, 4, 4) of the same cameras in any other frame and at any scale. Cameras at one place have no
                direction; their error is 90 degrees, that of a guess.

        Raises:
            ShapeError: shapes differ.
        """
        if true.ndim != 3 or true.shape[1:] != (4, 4) or predicted.shape != true.shape:
            raise ShapeError("RelativePoses", "predicted", f"(N, 4, 4) as true, {true.shape}", predicted.shape)
        known = np.isfinite(true).all((1, 2))
        first, second = (index for index in np.triu_indices(len(true), 1))
        chosen = known[first] & known[second]
        first, second = first[chosen], second[chosen]
        if not len(first):
            return
        t, p = (np.linalg.inv(m[first].astype(np.float64)) @ m[second].astype(np.float64) for m in (true, predicted))
        turned = motion_errors(np.tile(np.eye(4), (len(t), 1, 1)), t)[1]
        apart = np.linalg.norm(t[:, :3, 3], axis=-1)
        used = (turned >= self.turned_deg[0]) & (turned <= self.turned_deg[1]) & (apart >= LEAST_APART_M)
        self._rotations += motion_errors(t[used], p[used])[1].tolist()
        self._directions += direction_errors_deg(t[used, :3, 3], p[used, :3, 3]).tolist()

    def scores(self) -> RelativePoseScores:
        """Scores of all pairs seen so far."""
        if not self._rotations:
            nan = float("nan")
            return RelativePoseScores(0, nan, nan, nan, nan)
        rotations, directions = np.array(self._rotations), np.array(self._directions)
        near = rotations <= self.within_deg
        return RelativePoseScores(
            pairs=len(rotations),
            rotation_deg=float(np.median(rotations)),
            direction_deg=float(np.median(directions)),
            rotation_within=float(near.mean()),
            both_within=float((near & (directions <= self.within_deg)).mean()),
        )


def direction_errors_deg(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Angles between vectors.

    Args:
        true: (N, 3), none of length 0.
        predicted: (N, 3).

    Returns:
        (N,) degrees; 90 where the prediction has no length.
    """
    across = np.linalg.norm(np.cross(true, predicted), axis=-1)
    along = (true * predicted).sum(-1)
    lengths = np.linalg.norm(true, axis=-1) * np.linalg.norm(predicted, axis=-1)
    return np.where(lengths > 1e-12, np.degrees(np.arctan2(across, along)), 90.0)
