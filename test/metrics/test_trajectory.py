# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Trajectory errors with numbers that can be reckoned in the head."""

import math

import numpy as np
import pytest

from gsocc_core.errors import ShapeError
from gsocc_core.geometry.rigid import rigid_from_quat
from gsocc_core.metrics.trajectory import absolute_error_m, motion_errors, pose_scores


def driven(step_m, steps=4, degrees=0.0):
    half = math.radians(degrees) / 2
    step = rigid_from_quat([math.cos(half), 0, 0, math.sin(half)], [step_m, 0, 0])
    poses = [np.eye(4)]
    for _ in range(steps):
        poses.append(poses[-1] @ step)
    return np.stack(poses)


def test_scale_is_not_forgiven():
    scores = pose_scores([(driven(1.0), driven(1.2))])
    assert scores.scale == pytest.approx(1.2)
    assert scores.scale_error == pytest.approx(0.2)
    assert scores.rpe_m == pytest.approx(0.2)
    assert scores.rpe_deg == pytest.approx(0.0, abs=1e-6)
    # Positions 0 ... 4 against 0 ... 4.8, both about their middle: errors of 0.4, 0.2, 0, 0.2, 0.4.
    assert scores.ate_m == pytest.approx(math.sqrt((2 * 0.16 + 2 * 0.04) / 5))
    assert (scores.motions, scores.trajectories) == (4, 1)


def test_turns_are_told_in_degrees_and_a_turned_start_costs_nothing():
    metres, degrees = motion_errors(driven(1.0, 1, 3.0)[1:], driven(1.0, 1, 5.0)[1:])
    assert degrees == pytest.approx([2.0])
    assert metres == pytest.approx([0.0], abs=1e-12)
    true = driven(1.0, 6, 10.0)
    turned = rigid_from_quat([0.3, 0.1, -0.4, 0.8], [5.0, 6.0, -7.0]) @ true
    assert absolute_error_m(true[:, :3, 3], turned[:, :3, 3]) == pytest.approx(0.0, abs=1e-9)
    mirrored = true[:, :3, 3] * [1, 1, -1] + np.arange(7)[:, None] ** 2 * [0, 0, 0.1]
    assert absolute_error_m(true[:, :3, 3], mirrored) > 0.01


def test_rest_tells_no_scale():
    scores = pose_scores([(driven(0.01), driven(0.5))])
    assert math.isnan(scores.scale)
    assert scores.rpe_m == pytest.approx(0.49)
    assert math.isnan(pose_scores([]).ate_m)
    with pytest.raises(ShapeError, match="true, predicted"):
        absolute_error_m(np.zeros((3, 3)), np.zeros((4, 3)))
