# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Contracted vertices against the formula in plain numbers, the published spacing, and their own inverse."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gsocc_core import VoxelGrid
from gsocc_core.errors import ShapeError
from gsocc_core.geometry.contracted import ContractedGrid

quick = settings(deadline=None, max_examples=60)
PUBLISHED = ContractedGrid.around(VoxelGrid.occ3d())
SMALL = ContractedGrid(VoxelGrid((-8.0, -4.0, -1.0), (8.0, 4.0, 3.0), 1.0), (9, 8, 6), 0.6)
grids = st.builds(
    lambda lower, counts, shape, inner: ContractedGrid(
        VoxelGrid(lower, tuple(lo + n for lo, n in zip(lower, counts)), 1.0), shape, inner
    ),
    st.tuples(*[st.integers(-50, 50).map(float)] * 3),
    st.tuples(*[st.integers(1, 80)] * 3),
    st.tuples(*[st.integers(4, 9)] * 3),
    st.floats(0.2, 0.9),
)


def by_hand(x, lower, upper, inner):
    """The contraction of one coordinate, in Python's numbers."""
    t, u = inner / (1 - inner), 2 * (x - lower) / (upper - lower) - 1
    if abs(u) <= 1:
        return t * u / (t + 1)
    return math.copysign(1 + t - 1 / (abs(t * u) + 1 - t), u) / (t + 1)


@quick
@given(grids, st.tuples(*[st.floats(-500, 500)] * 3))
def test_the_contraction_is_the_formula(grid, point):
    found = grid.contract(torch.tensor(point, dtype=torch.float64)).tolist()
    box = grid.region
    expected = [by_hand(x, lo, up, grid.inner) for x, lo, up in zip(point, box.lower, box.upper)]
    assert found == pytest.approx(expected, abs=1e-12)
    assert max(abs(c) for c in found) < 1


@quick
@given(grids, st.tuples(*[st.floats(-2000, 2000)] * 3), st.tuples(*[st.floats(-0.999, 0.999)] * 3))
def test_contraction_and_expansion_undo_each_other(grid, point, place):
    point, place = torch.tensor(point, dtype=torch.float64), torch.tensor(place, dtype=torch.float64)
    torch.testing.assert_close(grid.expand(grid.contract(point)), point, atol=1e-6, rtol=1e-9)
    torch.testing.assert_close(grid.contract(grid.expand(place)), place, atol=1e-10, rtol=0)


@quick
@given(grids)
def test_every_vertex_is_nearest_to_itself(grid):
    index, inside = grid.index(grid.centers)
    expected = torch.stack(torch.meshgrid(*[torch.arange(n) for n in grid.shape], indexing="ij"), -1)
    assert torch.equal(index, expected)
    assert inside.all()


def test_the_contraction_has_no_kink_at_the_box():
    at = torch.tensor([[8.0, 4.0, 3.0], [-8.0, -4.0, -1.0]], dtype=torch.float64)
    slopes = [
        (SMALL.contract(at + step) - SMALL.contract(at)) / step for step in (1e-6, -1e-6)
    ]  # fmt: skip
    torch.testing.assert_close(slopes[0], slopes[1], atol=1e-5, rtol=0)


def test_the_published_grid_has_the_published_vertices():
    """80 / 199.33 m in the plane and 6.4 / 15.33 m in height inside the box, then out to two kilometres."""
    assert PUBLISHED.shape == (300, 300, 24)
    centers = PUBLISHED.centers.double()
    assert PUBLISHED.centers.dtype == torch.float32
    x, y, z = centers[:, 0, 0, 0], centers[0, :, 0, 1], centers[0, 0, :, 2]
    assert torch.equal(x, y)
    assert torch.diff(x[50:250]).tolist() == pytest.approx([0.40134] * 199, abs=2e-5)
    assert torch.diff(z[4:20]).tolist() == pytest.approx([0.41739] * 15, abs=2e-5)
    assert x[[50, 51]].tolist() == pytest.approx([-39.93, -39.53], abs=0.005)
    assert z[[4, 5, 19]].tolist() == pytest.approx([-0.930, -0.513, 5.330], abs=0.0005)
    assert ((x > -40) & (x < 40)).sum() == 200
    assert ((z > -1) & (z < 5.4)).sum() == 16
    assert -x[[0, 1, 2]] == pytest.approx([2013, 1017, 518], abs=1)
    assert -x[[10, 20, 49]] == pytest.approx([120, 70, 40.3], abs=0.5)
    assert z[[0, -1]].tolist() == pytest.approx([-122.1, 126.5], abs=0.1)
    middles = VoxelGrid.occ3d().centers[:, 0, 0, 0]
    apart = (x[50:250, None] - middles).abs().min(1).values
    assert apart.max().item() == pytest.approx(0.133, abs=0.001), "no more than a third of a voxel from the middles"


def test_index_is_the_nearest_vertex_by_search():
    g = torch.Generator().manual_seed(0)
    points = torch.randn(200, 3, generator=g, dtype=torch.float64) * 12
    index, inside = SMALL.index(points)
    assert inside.all()
    places = SMALL.contract(SMALL.centers.double())
    for axis in range(3):
        along = places.movedim(axis, 0)[:, 0, 0, axis]
        distance = (SMALL.contract(points)[:, axis, None] - along).abs()
        assert torch.equal(index[:, axis], distance.argmin(1))
    odd = torch.tensor([[float("nan"), 0, 0], [float("inf"), 0, 0], [1e9, -1e9, 0]])
    index, inside = SMALL.index(odd)
    assert inside.tolist() == [False, False, True]
    assert index[2, :2].tolist() == [8, 0]


def test_reading_is_trilinear_between_vertices():
    """Eight vertices and their weights, written out."""
    g = torch.Generator().manual_seed(1)
    values = torch.randn(2, *SMALL.shape, 3, generator=g, dtype=torch.float64)
    points = torch.randn(3, 2, 4, 3, generator=g, dtype=torch.float64) * 3
    found = SMALL.read(values, points)
    for where in [(0, 0, 0), (2, 1, 3), (1, 0, 2)]:
        box = SMALL.region
        at = [
            (by_hand(x, lo, up, SMALL.inner) + 1) / 2 * (n - 1)
            for x, lo, up, n in zip(points[where].tolist(), box.lower, box.upper, SMALL.shape)
        ]
        total = torch.zeros(2, 3, dtype=torch.float64)
        for corner in range(8):
            cell = [math.floor(a) + (corner >> k & 1) for k, a in enumerate(at)]
            weight = math.prod(1 - abs(a - c) for a, c in zip(at, cell))
            total += weight * values[:, cell[0], cell[1], cell[2]]
        torch.testing.assert_close(found[(slice(None), *where)], total)


def test_voxels_are_read_in_their_own_frame():
    """A linear ramp in contracted x, read on a grid that is turned by a quarter and moved."""
    ramp = SMALL.contract(SMALL.centers)[None, ..., :1]
    T_ego_grid = ((0.0, -1.0, 0.0, 1.0), (1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))
    turned = VoxelGrid((-2.0, -2.0, 0.0), (2.0, 2.0, 1.0), 1.0, T_ego_grid)
    found = SMALL.read_voxels(ramp, turned)[0, ..., 0]
    ego_x = 1.0 - turned.centers[..., 1]
    expected = SMALL.contract(torch.stack([ego_x, ego_x * 0, ego_x * 0], -1))[..., 0]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    in_turned = ContractedGrid(turned, (5, 5, 5))
    own = in_turned.read_voxels(in_turned.contract(in_turned.centers)[None], turned)
    torch.testing.assert_close(own[0], in_turned.contract(turned.centers), atol=1e-5, rtol=0)


def test_what_does_not_fit_is_named():
    box = VoxelGrid.occ3d()
    with pytest.raises(ShapeError, match="shape: expected 4 or more vertices"):
        ContractedGrid(box, (3, 8, 8))
    with pytest.raises(ShapeError, match="inner: expected a fraction"):
        ContractedGrid(box, (8, 8, 8), 1.0)
    with pytest.raises(ShapeError, match="values: expected"):
        SMALL.read(torch.zeros(1, 9, 8, 5, 2), torch.zeros(1, 1, 1, 3))
