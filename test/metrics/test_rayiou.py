# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""RayIoU against a slow exact march, and scenes small enough to count by hand."""

import itertools
import math

import numpy as np
import pytest

from gsocc_core import OCC3D_NUSCENES, VoxelGrid
from gsocc_core.errors import ShapeError
from gsocc_core.metrics.rayiou import RayIoU, first_hits, lidar_directions, ray_origins

GRID = VoxelGrid((-4.0, -4.0, -1.0), (4.0, 4.0, 2.2), 0.4)


def empty():
    return np.full(GRID.shape, 17, np.uint8)


def test_rays_are_those_of_the_benchmark():
    directions = lidar_directions()
    assert directions.shape == (14040, 3)
    assert np.linalg.norm(directions, axis=1) == pytest.approx(np.ones(14040))
    pitch = np.degrees(np.arcsin(directions[:, 2]))
    assert pitch.min() == pytest.approx(-45.0)
    assert pitch.max() == pytest.approx(12.5, abs=0.05)


def slow_march(labels, origin, direction):
    """First occupied voxel and where the ray leaves it, from all crossings with voxel walls, sorted."""
    walls = [GRID.lower[a] + 0.4 * np.arange(GRID.shape[a] + 1) for a in range(3)]
    crossings = np.sort(np.concatenate([(walls[a] - origin[a]) / direction[a] for a in range(3)]))
    crossings = np.concatenate([[0.0], crossings[crossings > 0]])
    for start, end in itertools.pairwise(crossings):
        cell = np.floor((origin + (start + end) / 2 * direction - GRID.lower) / 0.4).astype(int)
        if ((cell >= 0) & (cell < GRID.shape)).all() and labels[tuple(cell)] != 17:
            return labels[tuple(cell)], end
    return 17, None


@pytest.mark.parametrize(
    "origin", [(0.13, -0.21, 0.57), (-1.03, 2.17, 0.31), (-6.03, 0.21, 3.17), (1.1, 5.2, 0.3), (-9.0, 0.2, -1.7)]
)
def test_first_hits_equal_sorted_wall_crossings(origin):
    """Also from outside: a LiDAR further down the road may lie above or beside the present grid."""
    rng = np.random.default_rng(0)
    labels = np.where(rng.random(GRID.shape) < 0.04, rng.integers(0, 17, GRID.shape), 17).astype(np.uint8)
    distances, hits = first_hits(labels, GRID, 17, np.array([origin]))
    some = rng.choice(len(distances), 60, replace=False)
    for ray in [*some, *rng.choice(np.flatnonzero(hits != 17), 60, replace=False)]:
        expected, end = slow_march(labels, origin, lidar_directions()[ray])
        assert hits[ray] == expected
        if end is not None:
            assert distances[ray] == pytest.approx(end, abs=1e-6)


def test_rays_that_never_enter_the_grid_see_nothing():
    labels = np.full(GRID.shape, 11, np.uint8)
    for origin in ((0.0, 0.0, 50.0), (3.0, 0.0, -9.0)):
        distances, hits = first_hits(labels, GRID, 17, np.array([origin]))
        assert (hits == 17).all()
        assert (distances == 0).all()


def test_a_shifted_wall_is_right_within_the_tolerance_only():
    truth, near, far = empty(), empty(), empty()
    truth[15], near[17], far[19] = 15, 15, 15  # 0.8 m and 1.6 m behind the true wall
    origin = np.array([[0.01, 0.01, 0.57]])
    scores = []
    for predicted in (truth, near, far):
        metric = RayIoU(OCC3D_NUSCENES, GRID)
        metric.update(truth, predicted, origin)
        scores.append(metric.scores())
    assert scores[0].rayiou == 1
    assert scores[1].per_threshold[0] > 0.3
    assert scores[2].per_threshold[0] < scores[2].per_threshold[1]
    assert scores[0].per_class["manmade"] == 1
    assert math.isnan(scores[0].per_class["car"])


def test_wrong_class_counts_against_both_classes():
    truth, predicted = empty(), empty()
    truth[15], predicted[15] = 15, 16
    metric = RayIoU(OCC3D_NUSCENES, GRID)
    metric.update(truth, predicted, np.array([[0.01, 0.01, 0.57]]))
    scores = metric.scores()
    assert scores.per_class["manmade"] == scores.per_class["vegetation"] == scores.rayiou == 0


def test_counts_add_up():
    truth = empty()
    truth[:, :, 0] = 11
    metric = RayIoU(OCC3D_NUSCENES, GRID)
    origins = np.array([[0.0, 0.0, 0.5], [1.0, 1.0, 0.5]])
    whole = metric.count(truth, truth, origins)
    assert np.array_equal(whole, metric.count(truth, truth, origins[:1]) + metric.count(truth, truth, origins[1:]))


def test_origins_are_near_and_few():
    positions = np.stack([np.arange(-100.0, 100.0, 2.0), np.zeros(100), np.full(100, 1.8)], -1)
    origins = ray_origins(positions)
    assert len(origins) == 8
    assert np.abs(origins).max() < 39
    assert len(ray_origins(positions[48:51])) == 3


def test_bad_grids_are_named():
    with pytest.raises(ShapeError, match="labels"):
        first_hits(np.zeros((2, 2, 2), np.uint8), GRID, 17, np.zeros((1, 3)))
    flat = VoxelGrid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.5, 0.5, 0.25))
    with pytest.raises(ShapeError, match="cubic"):
        first_hits(np.zeros(flat.shape, np.uint8), flat, 17, np.zeros((1, 3)))
