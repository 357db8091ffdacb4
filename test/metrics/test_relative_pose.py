# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Angles between true and predicted relative poses, against rotations made by scipy pair by pair."""

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from gsocc_core.errors import ShapeError
from gsocc_core.metrics.relative_pose import RelativePoses, direction_errors_deg


def poses(rng, count, turn=0.4):
    T = np.tile(np.eye(4), (count, 1, 1))
    T[:, :3, :3] = Rotation.from_rotvec(rng.normal(0, turn, (count, 3))).as_matrix()
    T[:, :3, 3] = rng.normal(size=(count, 3))
    return T


def slow(true, predicted, least, most, within):
    """Every pair by itself, angles by scipy and by the arc cosine."""
    rotations, directions = [], []
    for i in range(len(true)):
        for j in range(i + 1, len(true)):
            t, p = np.linalg.inv(true[i]) @ true[j], np.linalg.inv(predicted[i]) @ predicted[j]
            if not least <= np.degrees(Rotation.from_matrix(t[:3, :3]).magnitude()) <= most:
                continue
            apart = Rotation.from_matrix(t[:3, :3]).inv() * Rotation.from_matrix(p[:3, :3])
            rotations.append(np.degrees(apart.magnitude()))
            a, b = t[:3, 3], p[:3, 3]
            cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
            directions.append(math.degrees(math.acos(cosine)))
    both = [r <= within and d <= within for r, d in zip(rotations, directions)]
    return len(rotations), np.median(rotations), np.median(directions), np.mean(both)


def test_pairs_are_scored_as_each_by_itself():
    rng = np.random.default_rng(0)
    true = poses(rng, 9)
    noise = poses(rng, 9, 0.05)
    noise[:, :3, 3] *= 0.05
    predicted = true @ noise
    metric = RelativePoses((10.0, 40.0), 6.0)
    metric.update(true, predicted)
    scores = metric.scores()
    pairs, rotation, direction, both = slow(true, predicted, 10, 40, 6.0)
    assert 5 < scores.pairs == pairs < 36
    assert (scores.rotation_deg, scores.direction_deg) == pytest.approx((rotation, direction), abs=1e-6)
    assert scores.both_within == pytest.approx(both)
    assert 0 < both < scores.rotation_within < 1


def test_neither_frame_nor_scale_counts_and_no_motion_has_no_direction():
    rng = np.random.default_rng(1)
    true = poses(rng, 5)
    moved = poses(rng, 1) @ true
    moved[:, :3, 3] *= 3
    same, still = RelativePoses((0.0, 180.0)), RelativePoses((0.0, 180.0))
    same.update(true, moved)
    still.update(true, np.tile(np.eye(4), (5, 1, 1)))
    assert same.scores().both_within == 1
    assert same.scores().direction_deg == pytest.approx(0, abs=1e-5)
    assert still.scores().direction_deg == 90
    assert still.scores().both_within == 0


def test_what_is_unknown_or_does_not_move_is_no_pair():
    true = poses(np.random.default_rng(2), 4)
    true[1] = np.nan
    true[3] = true[0]
    metric = RelativePoses((0.0, 180.0))
    metric.update(true, true.copy())
    assert metric.scores().pairs == 2  # of views 0, 2 and 3, the first and the last stand in one place
    empty = RelativePoses()
    empty.update(true[:1], true[:1])
    assert empty.scores().pairs == 0
    assert math.isnan(empty.scores().both_within)


def test_directions_and_limits():
    assert direction_errors_deg(np.eye(3)[:2], np.array([[0, 2.0, 0], [0, -1, 0]])).tolist() == [90, 180]
    for arguments, key in ((((40.0, 10.0),), "turned_deg"), (((0.0, 5.0), 0.0), "within_deg")):
        with pytest.raises(ShapeError, match=key):
            RelativePoses(*arguments)
    with pytest.raises(ShapeError, match=r"predicted: expected \(N, 4, 4\)"):
        RelativePoses().update(np.zeros((2, 4, 4)), np.zeros((3, 4, 4)))
