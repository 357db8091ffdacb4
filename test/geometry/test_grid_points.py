# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Grids that are turned and shifted in the ego frame: there and back, and against NumPy's own matrices."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from gsocc_core import VoxelGrid
from gsocc_core.geometry.grid_points import box_in_ego, from_ego, points_in_box, to_ego, to_grid, unit_centers

quick = settings(deadline=None, max_examples=50)


def _posed(angles_deg, shift_m, size):
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler("zyx", angles_deg, degrees=True).as_matrix()
    T[:3, 3] = shift_m
    lower = (-4.0, 1.0, -2.0)
    return VoxelGrid(lower, tuple(lo + n * 0.5 for lo, n in zip(lower, size)), 0.5, tuple(map(tuple, T.tolist())))


posed = st.builds(
    _posed,
    st.tuples(st.floats(-180, 180), st.floats(-89, 89), st.floats(-180, 180)),
    st.tuples(*[st.floats(-20, 20)] * 3),
    st.tuples(*[st.integers(1, 9)] * 3),
)
seeds = st.integers(0, 2**31 - 1)


def _points(seed, scale=10.0):
    return torch.randn(4, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * scale


@quick
@given(posed, seeds)
def test_to_ego_is_the_matrix_and_to_grid_undoes_it(grid, seed):
    points = _points(seed)
    T = np.asarray(grid.T_ego_grid)
    by_hand = points.numpy() @ T[:3, :3].T + T[:3, 3]
    np.testing.assert_allclose(to_ego(points, grid).numpy(), by_hand, atol=1e-9)
    torch.testing.assert_close(to_grid(to_ego(points, grid), grid), points, atol=1e-9, rtol=0)


@quick
@given(posed, seeds)
def test_places_in_the_box_come_back_and_lie_in_the_box_of_the_ego_frame(grid, seed):
    unit = torch.rand(7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    points = points_in_box(unit, grid)
    torch.testing.assert_close(from_ego(points, grid), unit, atol=1e-9, rtol=0)
    lower, upper = map(np.asarray, box_in_ego(grid))
    assert (points.numpy() >= lower - 1e-9).all()
    assert (points.numpy() <= upper + 1e-9).all()


def test_large_numbers_that_cancel_are_not_rounded():
    """A grid in map coordinates around the robot, its frame as far away on the other side: float32 is enough."""
    away = np.array([691_234.2, 5_334_765.3, 519.4])
    T = np.eye(4)
    T[:2, :2], T[:3, 3] = [[0.0, 1.0], [-1.0, 0.0]], [-away[1], away[0], -away[2]]
    far = VoxelGrid(tuple(away - 2), tuple(away + 2), 0.5, tuple(map(tuple, T)))
    unit, points = torch.tensor([[0.3, 0.6, 0.9]]), torch.tensor([[0.4, 0.8, 1.6]])
    np.testing.assert_allclose(points_in_box(unit, far), points, atol=1e-6)
    np.testing.assert_allclose(from_ego(points, far), unit, atol=1e-6)


@quick
@given(posed)
def test_no_smaller_box_holds_the_grid(grid):
    corners = points_in_box(torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 3), grid).numpy()
    np.testing.assert_allclose(box_in_ego(grid), [corners.min(0), corners.max(0)], atol=1e-9)


@quick
@given(posed)
def test_unit_centres_are_the_grids_centres(grid):
    centers = points_in_box(unit_centers(grid.shape).double(), grid)
    torch.testing.assert_close(centers, to_ego(grid.centers.double(), grid), atol=1e-4, rtol=0)


def test_a_grid_without_a_pose_is_the_ego_frame_itself():
    grid, points = VoxelGrid((-1.0, -1.0, 0.0), (1.0, 1.0, 2.0), 0.5), _points(0)
    assert to_ego(points, grid) is points
    assert to_grid(points, grid) is points
    assert box_in_ego(grid) == (grid.lower, grid.upper)
