# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Grids: indices and centres, borders, and values that are no numbers."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gsocc_core import OCC3D_NUSCENES, SemanticGrid, VoxelField, VoxelGrid
from gsocc_core.errors import ShapeError

quick = settings(deadline=None, max_examples=50)
grids = st.builds(
    lambda lower, counts, sizes: VoxelGrid(
        tuple(lower), tuple(lo + n * s for lo, n, s in zip(lower, counts, sizes)), tuple(sizes)
    ),
    st.tuples(*[st.integers(-50, 50).map(float)] * 3),
    st.tuples(*[st.integers(1, 12)] * 3),
    st.tuples(*[st.sampled_from([0.1, 0.2, 0.4, 0.5, 1.0])] * 3),
)


@quick
@given(grids)
def test_every_centre_lies_in_its_voxel(grid):
    index, inside = grid.index(grid.centers)
    assert inside.all()
    expected = torch.stack(torch.meshgrid(*[torch.arange(n) for n in grid.shape], indexing="ij"), -1)
    assert torch.equal(index, expected)


@quick
@given(grids, st.tuples(*[st.floats(-2, 3)] * 3))
def test_index_equals_a_division_by_hand(grid, fraction):
    """Fractions 0..1 lie inside; float64, away from voxel walls where rounding decides."""
    point = [lo + f * (up - lo) for lo, up, f in zip(grid.lower, grid.upper, fraction)]
    cells = [(p - lo) / s for p, lo, s in zip(point, grid.lower, grid.size_m)]
    if any(abs(c - round(c)) < 1e-6 for c in cells):
        return
    index, inside = grid.index(torch.tensor(point, dtype=torch.float64))
    assert inside.item() == all(0 <= c < n for c, n in zip(cells, grid.shape))
    assert index.tolist() == [min(max(math.floor(c), 0), n - 1) for c, n in zip(cells, grid.shape)]


def test_lower_borders_belong_to_the_grid_and_upper_ones_do_not():
    grid = VoxelGrid((0.0, 0.0, 0.0), (2.0, 2.0, 1.0), (0.5, 0.5, 0.25))
    points = torch.tensor([[0, 0, 0], [2.0, 1, 0.5], [1, 2, 0.5], [1, 1, 1], [0.5, 0.5, 0.25], [-1e-6, 1, 0.5]])
    index, inside = grid.index(points)
    assert inside.tolist() == [True, False, False, False, True, False]
    assert index[4].tolist() == [1, 1, 1]
    assert index[1].tolist() == [3, 2, 2], "outside points are clamped into the grid"


def test_what_is_no_number_lies_outside():
    grid = VoxelGrid.occ3d()
    points = torch.tensor([[math.nan, 0, 0], [math.inf, 0, 0], [0, -math.inf, 0], [0, 0, math.nan], [0, 0, 0]])
    index, inside = grid.index(points)
    assert inside.tolist() == [False, False, False, False, True]
    assert (index >= 0).all()
    assert (index < torch.tensor(grid.shape)).all()


def test_occ3ds_grid():
    grid = VoxelGrid.occ3d()
    assert grid.shape == (200, 200, 16)
    assert grid.centers[0, 0, 0].tolist() == pytest.approx([-39.8, -39.8, -0.8])
    assert grid.centers[-1, -1, -1].tolist() == pytest.approx([39.8, 39.8, 5.2])
    assert grid.centers is VoxelGrid.occ3d().centers, "made once"
    assert (grid.T_ego_grid_matrix == np.eye(4)).all()


def test_centres_far_from_the_frames_origin_are_exact():
    """In UTM coordinates float32 would move them by up to 0.25 m."""
    grid = VoxelGrid((691_234.5, 5_334_765.2, 519.0), (691_236.5, 5_334_767.2, 520.0), 0.4 / 2)
    assert VoxelGrid.occ3d().centers.dtype == torch.float32
    assert grid.centers[0, 0, 0].tolist() == pytest.approx([691_234.6, 5_334_765.3, 519.1], abs=1e-6)
    index, inside = grid.index(grid.centers)
    assert inside.all()
    assert index[3, 4, 2].tolist() == [3, 4, 2]
    assert grid.T_ego_corner[:3, 3].tolist() == list(grid.lower)


def test_a_grid_in_another_frame_is_hashable_and_equal_by_value():
    pose = np.eye(4)
    pose[:3, 3] = 0.9, 0.0, 1.8
    first = replace(VoxelGrid.occ3d(), T_ego_grid=pose)
    assert hash(first) == hash(replace(VoxelGrid.occ3d(), T_ego_grid=pose.tolist()))
    assert first != VoxelGrid.occ3d()
    assert (first.T_ego_grid_matrix == pose).all()


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"lower": (0.0, 0.0)}, "lower"), ({"upper": (math.inf, 1.0, 1.0)}, "upper"),
        ({"voxel_size": 0.0}, "voxel_size"),
        ({"voxel_size": -0.4}, "voxel_size"), ({"voxel_size": 0.3}, "voxel_size"),
        ({"upper": (-50.0, 40.0, 5.4)}, "upper"),
        ({"T_ego_grid": np.eye(3)}, "T_ego_grid"), ({"voxel_size": 1000.0}, "upper"),
    ],
)  # fmt: skip
def test_bad_grids_are_named(change, key):
    with pytest.raises(ShapeError, match=f"VoxelGrid: {key}"):
        replace(VoxelGrid.occ3d(), **change)


def test_values_must_lie_on_their_grid():
    grid = VoxelGrid((0.0, 0.0, 0.0), (2.0, 3.0, 4.0), 1.0)
    labels = torch.full((5, 2, 3, 4), 17, dtype=torch.uint8)
    labels[0, 0, 0, 0] = 4
    semantic = SemanticGrid(labels, grid, OCC3D_NUSCENES)
    assert semantic.occupied.sum() == 1
    bad = {
        "labels": labels.long(), "confidence": torch.zeros(2, 3, 4), "observed": torch.zeros(5, 2, 3, 5),
        "velocity": torch.zeros(5, 2, 3, 4, 2),
    }  # fmt: skip
    for key, value in bad.items():
        with pytest.raises(ShapeError, match=key):
            replace(semantic, **{key: value})
    with pytest.raises(ShapeError, match="labels"):
        replace(semantic, labels=labels[..., :3])
    with pytest.raises(ShapeError, match="features"):
        VoxelField(torch.zeros(2, 3, 4), torch.zeros(2, 3, 5, 7), grid)
    with pytest.raises(ShapeError, match="density"):
        VoxelField(torch.zeros(3, 4), torch.zeros(2, 3, 4, 7), grid)
