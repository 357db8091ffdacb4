# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Fusion over time: a still world comes back, and what is gone is forgotten."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gsocc_core import OCC3D_NUSCENES, SemanticGrid, VoxelGrid
from gsocc_core.errors import ConfigError, ShapeError
from gsocc_ros.pipeline.fusion import FusedMap, FusionArgs

FREE, UNKNOWN = OCC3D_NUSCENES.free_id, OCC3D_NUSCENES.ignore_id
GRID = VoxelGrid((-4.0, -4.0, -1.0), (4.0, 4.0, 1.0), 0.5)
SECOND = 1_000_000_000


def pose(x=0.0, y=0.0, yaw=0.0):
    T = np.eye(4)
    T[:2, :2] = [[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]]
    T[:2, 3] = x, y
    return T


def world(points):
    """Labels of lattice cells of the world, in blocks of 2 m of one class."""
    blocks = np.floor(points / 2.0).astype(int)
    number = (blocks * [7, 13, 5]).sum(-1) % 6
    return np.choose(number, [FREE, 11, FREE, 15, 16, FREE]).astype(np.uint8)


def seen_from(T, grid=GRID):
    centers = grid.centers.numpy().reshape(-1, 3) @ T[:3, :3].T + T[:3, 3]
    return SemanticGrid(torch.from_numpy(world(centers).reshape(grid.shape)), grid, OCC3D_NUSCENES)


def world_of(result, T):
    """Centres of the result's voxels in the world."""
    local = result.grid.centers.numpy().reshape(-1, 3).astype(np.float64)
    S = T @ result.grid.T_ego_grid_matrix
    return local @ S[:3, :3].T + S[:3, 3]


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=1, max_size=5))
def test_moves_by_whole_voxels_lose_nothing(steps):
    fused, x, y = FusedMap(), 0.0, 0.0
    for k, (dx, dy) in enumerate([(0, 0), *steps]):
        x, y = x + 0.5 * dx, y + 0.5 * dy
        result = fused.update(seen_from(pose(x, y)), pose(x, y), k * SECOND // 10)
        np.testing.assert_array_equal(result.labels.numpy().reshape(-1), world(world_of(result, pose(x, y))))
        assert bool(result.observed.all())


def test_far_from_the_fixed_frames_origin_nothing_is_rounded():
    """In UTM coordinates the map is the one beside the origin, and its grid says so in numbers near zero."""
    far = np.eye(4)
    far[:3, 3] = np.array([691_234.0, 5_334_765.5, 519.0])
    near_map, far_map = FusedMap(), FusedMap()
    for k in range(3):
        T = pose(0.13 * k, 0.21, 0.4 + 0.05 * k)
        near = near_map.update(seen_from(T), T, k * SECOND // 10)
        result = far_map.update(seen_from(T), far @ T, k * SECOND // 10)
        assert torch.equal(result.labels, near.labels)
        np.testing.assert_allclose(result.grid.T_ego_corner, near.grid.T_ego_corner, atol=1e-6)
        # Whoever takes the grid's numbers in float32 is right to a thousandth of a millimetre, too.
        ego = result.grid.centers.reshape(-1, 3) @ torch.tensor(result.grid.T_ego_grid).float()[:3, :3].T
        ego += torch.tensor(result.grid.T_ego_grid).float()[:3, 3]
        np.testing.assert_allclose(ego.numpy() @ T[:3, :3].T + T[:3, 3], world_of(near, T), atol=1e-5)


@settings(deadline=None, max_examples=15)
@given(st.floats(-3, 3), st.floats(-2, 2), st.floats(-2, 2))
def test_a_turned_robot_sees_the_same_world(yaw, x, y):
    fused = FusedMap()
    for k in range(4):
        T = pose(x + 0.13 * k, y, yaw + 0.05 * k)
        result = fused.update(seen_from(T), T, k * SECOND // 10)
    known = result.observed.numpy().reshape(-1)
    right = result.labels.numpy().reshape(-1) == world(world_of(result, T))
    assert known.mean() > 0.6
    assert right[known].mean() > 0.75  # nearest voxels err at the faces of the blocks


def single(label, confidence=None):
    labels = torch.full(GRID.shape, UNKNOWN, dtype=torch.uint8)
    labels[10, 8, 2] = label
    found = None if confidence is None else torch.full(GRID.shape, confidence)
    return SemanticGrid(labels, GRID, OCC3D_NUSCENES, confidence=found)


def test_a_car_is_forgotten_sooner_than_a_wall():
    nothing = SemanticGrid(torch.full(GRID.shape, UNKNOWN, dtype=torch.uint8), GRID, OCC3D_NUSCENES)
    for label, stays in ((4, False), (15, True)):
        fused = FusedMap()
        for k in range(3):
            fused.update(single(label), np.eye(4), k * SECOND // 100)
        result = fused.update(nothing, np.eye(4), 2 * SECOND)
        assert bool(result.labels[10, 8, 2] == label) is stays


def test_free_space_wins_over_an_old_ghost():
    fused = FusedMap()
    fused.update(single(15), np.eye(4), 0)
    assert fused.update(single(15), np.eye(4), SECOND // 10).labels[10, 8, 2] == 15
    for k in range(2, 8):
        result = fused.update(single(FREE), np.eye(4), k * SECOND // 10)
    assert result.labels[10, 8, 2] == FREE


def test_one_doubtful_vote_is_not_enough_and_the_majority_names_the_class():
    fused = FusedMap()
    assert fused.update(single(15, confidence=0.3), np.eye(4), 0).labels[10, 8, 2] == FREE
    for k, label in enumerate([15, 16, 16, 16]):
        result = fused.update(single(label), np.eye(4), k + 1)
    assert result.labels[10, 8, 2] == 16


@pytest.mark.parametrize(
    ("label", "sure", "fused_label", "probability"),
    [(15, 0.2, FREE, 0.455121), (15, 0.4, FREE, 0.410959), (15, 0.5, FREE, 0.389361), (15, 0.6, 15, 0.631812),
     (15, 1.0, 15, 0.710950), (FREE, 1.0, FREE, 0.622459), (UNKNOWN, 1.0, UNKNOWN, 0.0)],
)  # fmt: skip
def test_the_confidence_is_the_probability_of_the_label(label, sure, fused_label, probability):
    """1 / (1 + exp(-0.9 sure)) of being occupied after one hit, below the threshold of 0.5 called free."""
    result = FusedMap().update(single(label, confidence=sure), np.eye(4), 0)
    assert result.labels[10, 8, 2] == fused_label
    assert float(result.confidence[10, 8, 2]) == pytest.approx(probability, abs=1e-6)


@pytest.mark.parametrize("how", ["time", "place", "reset"])
def test_jumps_start_a_new_map(how):
    fused = FusedMap()
    for k in range(4):
        fused.update(single(15), np.eye(4), SECOND + k)
    nothing = SemanticGrid(torch.full(GRID.shape, UNKNOWN, dtype=torch.uint8), GRID, OCC3D_NUSCENES)
    if how == "reset":
        fused.reset()
    T = pose(x=30.0) if how == "place" else np.eye(4)
    result = fused.update(nothing, T, 0 if how == "time" else SECOND + 9)
    assert (result.labels == UNKNOWN).all()
    assert not result.observed.any()


def test_wrong_arguments_are_clear_errors():
    with pytest.raises(ConfigError, match="half_life_s"):
        FusionArgs(half_life_s=0.0)
    with pytest.raises(ConfigError, match=r"class_half_life_s\.car"):
        FusionArgs(class_half_life_s={"car": -1.0})
    with pytest.raises(ShapeError, match="T_world_ego"):
        FusedMap().update(single(15), np.eye(3), 0)
