# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Errors of voxel velocities against the true velocities of the boxes that hold the voxels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gsocc_core.geometry.boxes import Boxes
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.voxels import VoxelGrid


@dataclass(frozen=True)
class VelocityScores:
    """Errors over true positives: voxels that lie in a moving box of the predicted class.

    Attributes:
        mave_mps: Mean over classes of the mean error, m/s, as nuScenes' mAVE; nan when there is no match.
        zero_mave_mps: The same for a prediction of no motion, on the same matches.
        per_class_mps: Mean error per class name.
        matches: Number of voxels.
        parked_mps: Mean predicted speed of voxels in boxes that stand still, m/s; nan when there is none.
        all_mps: Mean error over all voxels in boxes of the predicted class, moving or not, m/s: who calls everything
            moving pays for it here.
        zero_all_mps: The same for a prediction of no motion.
    """

    mave_mps: float
    zero_mave_mps: float
    per_class_mps: dict[str, float]
    matches: int
    parked_mps: float
    all_mps: float
    zero_all_mps: float


class VelocityErrors:
    """Sums errors of horizontal velocities over frames.

    nuScenes' mAVE (Caesar et al., CVPR 2020, section 3.1) matches boxes, moving or not; here a voxel is the unit, so
    that no clustering stands between the model and its score, and the mean over classes is of moving boxes alone. A
    predicted voxel counts when its centre lies in a box of the predicted class.

    Args:
        classes: Class table; only its dynamic classes count.
        min_speed_mps: Boxes slower than this do not count, m/s.

    Example:
        >>> import torch
        >>> from gsocc_core import OCC3D_NUSCENES
        >>> grid = VoxelGrid((0.0, 0.0, 0.0), (2.0, 1.0, 1.0), 1.0)
        >>> pose = np.eye(4)
        >>> pose[:3, 3] = 0.5
        >>> boxes = Boxes(pose[None], np.ones((1, 3)), np.array([[4.0, 3.0, 0.0]]), np.array([4]))
        >>> metric = VelocityErrors(OCC3D_NUSCENES)
        >>> metric.update(np.array([[[4]], [[17]]], np.uint8), np.zeros((2, 1, 1, 3)), grid, boxes)
        >>> metric.scores().mave_mps, metric.scores().matches
        (5.0, 1)
    """

    def __init__(self, classes: ClassTable, min_speed_mps: float = 0.5) -> None:
        self.classes, self.min_speed_mps = classes, min_speed_mps
        # Moving voxels, their error, their speed; voxels at rest, their predicted speed, their error, their speed.
        self.sums = np.zeros((len(classes.names), 7))

    def update(self, labels: np.ndarray, velocity: np.ndarray, grid: VoxelGrid, boxes: Boxes) -> None:
        """Add one frame.

        Args:
            labels: (X, Y, Z) uint8 predicted ids.
            velocity: (X, Y, Z, 3) m/s over ground, along the axes of the ego frame.
            grid: The grid of both.
            boxes: True boxes.
        """
        self.sums += self.count(labels, velocity, grid, boxes)

    def count(self, labels: np.ndarray, velocity: np.ndarray, grid: VoxelGrid, boxes: Boxes) -> np.ndarray:
        """(K, 7) sums of one frame, without adding them; see :meth:`update`."""
        sums = np.zeros_like(self.sums)
        moving = np.isin(labels, self.classes.dynamic_ids)
        predicted, found = labels[moving].astype(np.int64), velocity[moving][:, :2].astype(np.float64)
        T = grid.T_ego_grid_matrix
        box = boxes.index_of(grid.centers.numpy()[moving].astype(np.float64) @ T[:3, :3].T + T[:3, 3])
        rows = np.flatnonzero(box >= 0)
        predicted, found, box = predicted[rows], found[rows], box[rows]
        true = boxes.velocities_mps[box][:, :2]
        speed = np.linalg.norm(true, axis=-1)
        right = boxes.class_ids[box] == predicted
        used = right & (speed > self.min_speed_mps)  # nan compares false
        error = np.linalg.norm(found[used] - true[used], axis=-1)
        np.add.at(sums[:, :3], predicted[used], np.stack([np.ones_like(error), error, speed[used]], axis=-1))
        rest = right & (speed <= self.min_speed_mps)
        moved, error = np.linalg.norm(found[rest], axis=-1), np.linalg.norm(found[rest] - true[rest], axis=-1)
        np.add.at(sums[:, 3:], predicted[rest], np.stack([np.ones_like(moved), moved, error, speed[rest]], axis=-1))
        return sums

    def scores(self) -> VelocityScores:
        """Scores of everything seen so far."""
        return velocity_scores_of(self.sums, self.classes)


def velocity_scores_of(sums: np.ndarray, classes: ClassTable) -> VelocityScores:
    """Scores of summed errors (see :class:`VelocityErrors`)."""
    present = np.flatnonzero(sums[:, 0] > 0)
    means = sums[present, 1:3] / sums[present, :1]
    overall = means.mean(0) if len(present) else np.full(2, np.nan)
    per_class = {classes.names[c]: float(mean) for c, mean in zip(present, means[:, 0])}
    resting, drift = sums[:, 3].sum(), sums[:, 4].sum()
    parked = float(drift / resting) if resting else float("nan")
    voxels, found, still = (sums[:, [a, b]].sum() for a, b in ((0, 3), (1, 5), (2, 6)))
    every = (float(found / voxels), float(still / voxels)) if voxels else (float("nan"), float("nan"))
    return VelocityScores(float(overall[0]), float(overall[1]), per_class, int(sums[:, 0].sum()), parked, *every)
