# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Velocity errors against a slow loop over voxels and boxes."""

import math

import numpy as np
import pytest

from gsocc_core import OCC3D_NUSCENES, VoxelGrid
from gsocc_core.geometry.boxes import Boxes
from gsocc_core.metrics.velocity import VelocityErrors

GRID = VoxelGrid((-4.0, -4.0, -1.0), (4.0, 4.0, 1.0), 0.5)


def turned(yaw, x, y):
    T = np.eye(4)
    T[:2, :2] = [[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]]
    T[:2, 3] = x, y
    return T


def scene(seed):
    rng = np.random.default_rng(seed)
    labels = rng.choice([4, 7, 10, 11, 17], GRID.shape).astype(np.uint8)
    velocity = rng.normal(0, 5, (*GRID.shape, 3))
    count = 5
    poses = np.stack([turned(rng.uniform(-3, 3), *rng.uniform(-3, 3, 2)) for _ in range(count)])
    speeds = rng.normal(0, 4, (count, 3))
    speeds[0] = 0.01  # parked
    speeds[1] = np.nan  # not known
    return labels, velocity, Boxes(poses, rng.uniform(1, 3, (count, 3)), speeds, rng.choice([4, 7, 10], count))


def oracle(labels, velocity, boxes, min_speed):
    errors = {}
    for index in np.ndindex(*GRID.shape):
        point = np.array(GRID.lower) + (np.array(index) + 0.5) * 0.5
        for k in range(len(boxes.class_ids)):
            local = np.linalg.inv(boxes.T_ego_box[k]) @ [*point, 1.0]
            if all(abs(local[i]) <= boxes.sizes_lwh_m[k][i] / 2 for i in range(3)):
                true = boxes.velocities_mps[k]
                right = labels[index] == boxes.class_ids[k] and math.hypot(true[0], true[1]) > min_speed
                if right:
                    error = math.hypot(velocity[index][0] - true[0], velocity[index][1] - true[1])
                    errors.setdefault(int(labels[index]), []).append((error, math.hypot(true[0], true[1])))
                break
    return errors


@pytest.mark.parametrize("seed", range(3))
def test_against_a_slow_loop(seed):
    metric = VelocityErrors(OCC3D_NUSCENES)
    labels, velocity, boxes = scene(seed)
    metric.update(labels, velocity, GRID, boxes)
    expected, scores = oracle(labels, velocity, boxes, 0.5), metric.scores()
    assert scores.matches == sum(map(len, expected.values())) > 0
    means = np.array([np.mean(pairs, axis=0) for pairs in expected.values()])
    assert scores.mave_mps == pytest.approx(means[:, 0].mean())
    assert scores.zero_mave_mps == pytest.approx(means[:, 1].mean())
    for class_id, pairs in expected.items():
        name = OCC3D_NUSCENES.names[class_id]
        assert scores.per_class_mps[name] == pytest.approx(np.mean([error for error, _ in pairs]))


@pytest.mark.parametrize("seed", range(3))
def test_the_mean_over_all_things_is_that_of_a_slow_loop_with_no_least_speed(seed):
    metric = VelocityErrors(OCC3D_NUSCENES)
    labels, velocity, boxes = scene(seed)
    metric.update(labels, velocity, GRID, boxes)
    known = Boxes(boxes.T_ego_box, boxes.sizes_lwh_m, np.nan_to_num(boxes.velocities_mps, nan=-1e9), boxes.class_ids)
    pairs = np.array([pair for part in oracle(labels, velocity, known, -1.0).values() for pair in part])
    pairs = pairs[pairs[:, 1] < 1e8]  # boxes of unknown velocity count nowhere
    assert len(pairs) > metric.scores().matches, "something stands still"
    assert (metric.scores().all_mps, metric.scores().zero_all_mps) == pytest.approx(tuple(pairs.mean(0)))


def test_frames_add_up_and_nothing_is_nan():
    metric, parts = VelocityErrors(OCC3D_NUSCENES), []
    for seed in range(2):
        labels, velocity, boxes = scene(seed)
        metric.update(labels, velocity, GRID, boxes)
        parts.append(metric.count(labels, velocity, GRID, boxes))
    np.testing.assert_allclose(metric.sums, sum(parts))
    assert math.isnan(VelocityErrors(OCC3D_NUSCENES).scores().mave_mps)
