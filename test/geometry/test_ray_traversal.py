# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Rays mark the voxels that they pass through."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gsocc_core.geometry.ray_traversal import trace
from gsocc_core.geometry.voxels import VoxelGrid

GRID = VoxelGrid((-8.0, -8.0, -1.0), (8.0, 8.0, 3.0), 0.4)
point = st.tuples(st.floats(-12, 12), st.floats(-12, 12), st.floats(-3, 5))


@settings(max_examples=150, deadline=None)
@given(a=point, b=point, hit=st.booleans())
def test_trace_marks_the_voxels_along_the_ray(a, b, hit):
    a, b = np.array(a), np.array(b)
    mask = trace(a[None], b[None], np.array([hit]), GRID)
    # Independent answer: dense points along the ray; the two may differ in voxels that the ray only grazes.
    way = (a + np.linspace(0, 1, 20_001)[:, None] * (b - a) - GRID.lower) / np.array(GRID.size_m)
    cells = np.floor(way).astype(int)
    inside = ((cells >= 0) & (cells < GRID.shape)).all(1)
    dense = np.zeros(GRID.shape, np.uint8)
    dense[tuple(cells[inside].T)] = 1
    for cell in np.argwhere((mask == 1) & (dense == 0)):
        assert np.abs(way - cell - 0.5).max(1).min() < 0.5 + 0.005
    for cell in np.argwhere((mask == 0) & (dense == 1)):
        assert np.abs(way - cell - 0.5).max(1).min() > 0.5 - 1e-6


def test_trace_marks_the_end_voxel_of_a_hit():
    grid = VoxelGrid((0, 0, 0), (4, 1, 1), 1.0)
    origin, end = np.array([[0.5, 0.5, 0.5]]), np.array([[2.0, 0.5, 0.5]])
    assert trace(origin, end, np.array([True]), grid).ravel().tolist() == [1, 1, 1, 0]
