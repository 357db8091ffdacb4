# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What a query finds: voxels, clusters and summaries, against loops written out by hand."""

import itertools
import math

import numpy as np
import pytest
import torch

from gsocc_core import VoxelGrid, VoxelScores
from gsocc_core.errors import ConfigError
from gsocc_core.inference.found import find_clusters, find_voxels, summarize, summary_table

#: Turned a quarter to the left and shifted, with voxels of three different edges.
TURNED = VoxelGrid(
    (0.0, 0.0, -1.0), (6.0, 8.0, 2.0), (1.0, 2.0, 0.5), ((0, -1, 0, 10), (1, 0, 0, 20), (0, 0, 1, 30), (0, 0, 0, 1))
)


def scores_of(volumes, grid, words):
    """As a query gives them: voxels that hold nothing are not there."""
    flat = torch.as_tensor(volumes, dtype=torch.float32).flatten(1)
    index = (flat.amax(0) > 0).nonzero()[:, 0]
    return VoxelScores(index, flat[:, index].contiguous(), grid, tuple(words))


def test_voxels_lie_where_the_grid_is():
    volume = np.zeros((2, *TURNED.shape))
    volume[0, 1, 2, 3], volume[1, 1, 2, 3], volume[1, 0, 0, 0] = 0.5, 0.75, 0.4
    scores = scores_of(volume, TURNED, ["dog", "cow"])
    found = find_voxels(scores)
    assert found.word.tolist() == [0, 1], "one voxel stands there for both words"
    assert found.word.dtype == np.uint8
    assert found.score.tolist() == [0.5, 0.75]
    assert found.index.tolist() == [(1 * 4 + 2) * 6 + 3] * 2
    # Middle of the voxel in the grid: (1.5, 5, 0.75); turned to (-5, 1.5, 0.75).
    np.testing.assert_allclose(found.centers_m, [[5.0, 21.5, 30.75]] * 2)
    assert len(find_voxels(scores, 0.76).word) == 0
    assert len(find_voxels(scores, 0.4).word) == 3


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.01, math.nan])
def test_a_threshold_that_says_nothing_is_refused(threshold):
    scores = scores_of(np.zeros((1, *TURNED.shape)), TURNED, ["dog"])
    with pytest.raises(ConfigError, match="query: threshold: expected above 0, up to 1"):
        find_voxels(scores, threshold)


def groups_by_hand(there):
    """Sets of voxels that a walk over neighbours reaches."""
    left, result = {tuple(v) for v in np.argwhere(there).tolist()}, []
    while left:
        group, border = set(), [left.pop()]
        while border:
            voxel = border.pop()
            group.add(voxel)
            for step in itertools.product((-1, 0, 1), repeat=3):
                near = tuple(a + b for a, b in zip(voxel, step))
                if near in left:
                    left.remove(near)
                    border.append(near)
        result.append(group)
    return result


def test_clusters_are_what_a_walk_over_neighbours_finds():
    grid = VoxelGrid((0.0, 0.0, 0.0), (12.0, 10.0, 6.0), 1.0)
    draw = np.random.default_rng(3)
    volume = np.where(draw.random((2, *grid.shape)) < 0.06, draw.uniform(0.1, 1.0, (2, *grid.shape)), 0.0)
    found = find_clusters(find_voxels(scores_of(volume, grid, ["dog", "cow"]), 0.3))
    expected = []
    for word, scores in enumerate(volume.astype(np.float32)):
        for group in groups_by_hand(scores >= 0.3):
            corners = np.array([min(axis) for axis in zip(*group)]), np.array([max(axis) + 1 for axis in zip(*group)])
            values = [float(scores[voxel]) for voxel in group]
            expected.append((word, sum(corners) / 2, corners[1] - corners[0], values))
    assert 10 < len(found) == len(expected)
    assert [c.voxels for c in found] == sorted((len(values) for *_, values in expected), reverse=True)
    for word, center, size, values in expected:
        same = [c for c in found if c.word == word and np.allclose(c.center_m, center) and np.allclose(c.size_m, size)]
        assert any(
            c.voxels == len(values)
            and c.mean_score == pytest.approx(np.mean(values))
            and c.best_score == pytest.approx(max(values))
            for c in same
        )


def test_boxes_stand_along_the_axes_of_the_grid():
    volume = np.zeros((1, *TURNED.shape))
    volume[0, 1:3, 1, 0], volume[0, 5, 3, 5] = 0.5, 0.9
    large, small = find_clusters(find_voxels(scores_of(volume, TURNED, ["dog"])))
    assert (large.voxels, large.size_m, large.center_m) == (2, (2.0, 2.0, 0.5), (10 - 3.0, 20 + 2.0, 30 - 0.75))
    assert (small.voxels, small.size_m, small.best_score) == (1, (1.0, 2.0, 0.5), pytest.approx(0.9))
    assert find_clusters(find_voxels(scores_of(volume, TURNED, ["dog"]), 0.95)) == ()


def test_a_summary_of_each_word():
    volume = np.zeros((3, *TURNED.shape))
    volume[0, 0, 0, 5], volume[0, 1, 0, 0], volume[1, 1, 0, 0] = 0.6, 0.7, 0.2
    scores = scores_of(volume, TURNED, ["dog", "traffic cone", "cow"])
    dog, cone, cow = summarize(scores, find_voxels(scores))
    assert (dog.voxels, dog.best_score) == (2, pytest.approx(0.7))
    assert dog.nearest_m == pytest.approx(math.hypot(9.0, 20.5)), "height does not count"
    assert (cone.voxels, cone.best_score, cone.nearest_m) == (0, pytest.approx(0.2), None)
    assert cow.best_score == 0
    assert summary_table((dog, cone, cow), 0.5).splitlines()[1:] == [
        "dog                 0.70                2   22.4 m",
        "traffic cone        0.20                0        -",
        "cow                 0.00                0        -",
    ]
