# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Errors of predicted motions: absolute trajectory error, relative pose error and scale.

ATE and RPE as in Sturm et al. 2012, "A benchmark for the evaluation of RGB-D SLAM systems", section VI; trajectories
are laid upon each other by a rotation and a translation, never by a scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gsocc_core.errors import ShapeError

#: Motions shorter than this tell no scale, metres.
LEAST_MOTION_M = 0.05


@dataclass(frozen=True)
class PoseScores:
    """Errors of predicted motions against true ones; nan where nothing tells them.

    Attributes:
        ate_m: Root mean square distance of positions, mean over the trajectories, metres.
        rpe_m: Root mean square error of the translation of single motions, metres.
        rpe_deg: Root mean square error of their rotation, degrees.
        scale: Median ratio of the predicted to the true length of single motions; 1 = right.
        scale_error: |scale - 1|.
        motions: Number of single motions.
        trajectories: Number of trajectories.
    """

    ate_m: float
    rpe_m: float
    rpe_deg: float
    scale: float
    scale_error: float
    motions: int
    trajectories: int


def absolute_error_m(true: np.ndarray, predicted: np.ndarray) -> float:
    """Root mean square distance of positions after the best rotation and translation (Horn 1987; no scale).

    Args:
        true: (N, 3) positions, metres.
        predicted: (N, 3) positions of the same moments, metres.

    Returns:
        Metres.

    Raises:
        ShapeError: not the same number of positions.

    Example:
        >>> path = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]])
        >>> round(absolute_error_m(path, path @ np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]]) + 5), 6)
        0.0
        >>> round(absolute_error_m(path, 2 * path), 6)
        0.816497
    """
    if true.ndim != 2 or true.shape != predicted.shape or true.shape[1] != 3 or not len(true):
        raise ShapeError("absolute_error_m", "true, predicted", "(N, 3) both", (true.shape, predicted.shape))
    a, b = true - true.mean(0), predicted - predicted.mean(0)
    u, _, vt = np.linalg.svd(b.T @ a)
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    return float(np.sqrt(((b @ u @ flip @ vt - a) ** 2).sum(1).mean()))


def motion_errors(true: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Errors of single motions.

    Args:
        true: (N, 4, 4) rigid transforms, metres.
        predicted: (N, 4, 4) of the same motions.

    Returns:
        (N,) metres and (N,) degrees of the motion from each true to each predicted end.
    """
    apart = np.linalg.inv(true) @ predicted
    axis = np.stack(
        [apart[:, 2, 1] - apart[:, 1, 2], apart[:, 0, 2] - apart[:, 2, 0], apart[:, 1, 0] - apart[:, 0, 1]], -1
    )
    cosine = np.trace(apart[:, :3, :3], axis1=1, axis2=2) - 1
    angle = np.arctan2(np.linalg.norm(axis, axis=-1), cosine)  # the arc cosine loses small angles
    return np.linalg.norm(apart[:, :3, 3], axis=-1), np.degrees(angle)


def pose_scores(trajectories: Sequence[tuple[np.ndarray, np.ndarray]]) -> PoseScores:
    """Scores of trajectories.

    Args:
        trajectories: True and predicted poses (N, 4, 4) of the same moments, each from its own first moment on; N is
            2 or more.

    Returns:
        The scores.
    """
    if not trajectories:
        nan = float("nan")
        return PoseScores(nan, nan, nan, nan, nan, 0, 0)
    steps = [
        tuple(np.linalg.inv(poses[:-1]) @ poses[1:] for poses in (true, predicted)) for true, predicted in trajectories
    ]
    true, predicted = (np.concatenate(parts) for parts in zip(*steps))
    metres, degrees = motion_errors(true, predicted)
    lengths = [np.linalg.norm(motions[:, :3, 3], axis=-1) for motions in (true, predicted)]
    moving = lengths[0] >= LEAST_MOTION_M
    scale = float(np.median(lengths[1][moving] / lengths[0][moving])) if moving.any() else float("nan")
    return PoseScores(
        ate_m=float(np.mean([absolute_error_m(t[:, :3, 3], p[:, :3, 3]) for t, p in trajectories])),
        rpe_m=float(np.sqrt((metres**2).mean())),
        rpe_deg=float(np.sqrt((degrees**2).mean())),
        scale=scale,
        scale_error=abs(scale - 1),
        motions=len(true),
        trajectories=len(trajectories),
    )
