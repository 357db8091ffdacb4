# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The ground below cameras is found among walls, tables, noise and outliers, and is not made up."""

import numpy as np
import pytest

from gsocc_core.errors import ShapeError
from gsocc_core.geometry.ground_plane import find_ground

UP = np.array([0.0, 0.0, 1.0])
CAMERA = np.array([[0.0, 0.0, 1.5]])


def spread(rng, count, low, high):
    return rng.uniform(low, high, (count, 3))


def room(seed=0, noise=0.02):
    """Floor at z = 0 on a slope of 3 degrees, walls, a large table, clutter."""
    rng = np.random.default_rng(seed)
    floor = spread(rng, 400, [-4, -4, 0], [4, 4, 0])
    wall = spread(rng, 500, [4, -4, 0], [4, 4, 3])
    table = spread(rng, 250, [-1, -1, 0.75], [3, 2, 0.75])
    under = spread(rng, 60, [-4, -4, -1.5], [4, 4, -0.5])
    points = np.concatenate([floor, wall, table, spread(rng, 100, [-4, -4, 0], [4, 4, 3]), under[:20]])
    points += rng.normal(0, noise, points.shape)
    a = np.radians(3.0)
    R = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    return points @ R.T, R


@pytest.mark.parametrize("seed", range(5))
def test_floor_is_found_among_walls_a_table_and_outliers(seed):
    points, R = room(seed)
    ground = find_ground(points, CAMERA, UP, seed=seed)
    assert float(ground.height(np.zeros(3))) == pytest.approx(0.0, abs=0.03)
    assert np.degrees(np.arccos(ground.normal @ R[:, 2])) < 1.0
    assert ground.share > 0.3
    assert ground.spread < 0.06


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_unit_of_length_changes_nothing_but_the_unit(scale):
    points, _ = room()
    one, other = find_ground(points, CAMERA, UP), find_ground(scale * points, scale * CAMERA, 7 * UP)
    assert other.offset == pytest.approx(scale * one.offset, rel=1e-6)
    assert other.share == one.share


def test_a_table_that_fills_the_picture_is_no_ground_while_the_floor_is_seen_under_it():
    rng = np.random.default_rng(0)
    table, floor = spread(rng, 500, [-1, -1, 0.75], [3, 2, 0.75]), spread(rng, 300, [-4, -4, 0], [4, 4, 0])
    ground = find_ground(np.concatenate([table, floor]), CAMERA, UP)
    assert float(ground.height(np.zeros(3))) == pytest.approx(0.0, abs=0.02)


def test_walls_alone_a_ceiling_and_a_plane_above_a_camera_are_no_ground():
    rng = np.random.default_rng(0)
    wall = spread(rng, 800, [4, -4, 0], [4, 4, 3])
    ceiling = spread(rng, 800, [-4, -4, 3], [4, 4, 3])
    assert find_ground(wall, CAMERA, UP) is None
    assert find_ground(ceiling, CAMERA, UP) is None
    table = spread(rng, 800, [-4, -4, 1.0], [4, 4, 1.0])
    assert find_ground(table, CAMERA, UP) is not None
    assert find_ground(table, np.concatenate([CAMERA, [[0.0, 0.0, 0.5]]]), UP) is None
    assert find_ground(np.full((100, 3), np.nan), CAMERA, UP) is None


def test_wrong_shapes_are_one_line():
    with pytest.raises(ShapeError, match="points, viewpoints"):
        find_ground(np.zeros((3, 2)), CAMERA, UP)
    with pytest.raises(ShapeError, match="up: expected"):
        find_ground(np.zeros((9, 3)), CAMERA, np.zeros(3))
