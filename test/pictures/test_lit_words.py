# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Voxels that fit to words shine, in the cameras, from behind and from above."""

import numpy as np
import pytest
import torch

from gsocc_core import OCC3D_NUSCENES, Camera, SemanticGrid, VoxelGrid, VoxelScores
from gsocc_core.errors import ConfigError, ShapeError
from gsocc_core.pictures import draw_query, light_up, word_colors
from gsocc_core.pictures.lit_words import light_picture

GRID = VoxelGrid((-8.0, -8.0, -1.0), (8.0, 8.0, 3.0), 1.0)
FREE, WALL, TREE = 17, 15, 16
#: A camera at the origin, 0.5 m up, that looks ahead along x.
AHEAD = np.array([[0, 0, 1.0, 0.5], [-1, 0, 0, 0.5], [0, -1, 0, 0.5], [0, 0, 0, 1]])


def camera(**lens):
    return Camera("front", np.array([[50.0, 0, 50], [0, 50, 30], [0, 0, 1]]), AHEAD, 100, 60, **lens)


def scene():
    """A wall 3 m ahead to the left, a tree 5 m ahead behind its right half, and nothing else."""
    labels = torch.full(GRID.shape, FREE, dtype=torch.uint8)
    labels[11, 8:12, 1:] = WALL
    labels[13, 5:10, 1:] = TREE
    return SemanticGrid(labels, GRID, OCC3D_NUSCENES)


def scores(semantics, *values):
    """Scores per class id of voxels, one mapping per word."""
    index = semantics.occupied.flatten().nonzero()[:, 0]
    there = semantics.labels.flatten()[index].tolist()
    table = torch.tensor([[per_class.get(label, 0.0) for label in there] for per_class in values])
    return VoxelScores(index, table, GRID, tuple(f"word {i}" for i in range(len(values))))


def test_the_best_word_above_the_threshold_counts():
    semantics = scene()
    semantics.labels[0, 0, 0] = 255
    lit = light_up(semantics, scores(semantics, {TREE: 0.6, WALL: 0.2}, {TREE: 0.7, WALL: 0.3}), 0.3)
    assert lit.classes.names[18:] == ('"word 0"', '"word 1"')
    assert lit.classes.colors[18:] == word_colors(2)
    assert lit.classes.free_id == FREE
    assert set(lit.labels[13, 5:10, 1:].unique().tolist()) == set(lit.labels[11, 8:12, 1:].unique().tolist()) == {19}
    assert int(lit.labels[0, 0, 0]) == 255
    pale = light_up(semantics, scores(semantics, {TREE: 0.6}, {TREE: 0.7}), 0.71)
    assert torch.equal(pale.labels, semantics.labels)
    assert all(min(color) > 120 for color in pale.classes.colors[:17]), "what no word lights up is pale"


def test_what_does_not_fit_is_named():
    semantics = scene()
    other = VoxelScores(torch.zeros(0, dtype=torch.int64), torch.zeros(1, 0), VoxelGrid.occ3d(), ("a",))
    with pytest.raises(ShapeError, match="light_up: scores.grid"):
        light_up(semantics, other, 0.5)
    many = VoxelScores(other.index, torch.zeros(238, 0), GRID, ("a",) * 238)
    with pytest.raises(ConfigError, match="words: expected at most 237 beside 18 classes, received 238"):
        light_up(semantics, many, 0.5)


def reddish(picture):
    """(H, W) bool: clearly in the colour of the first word."""
    red, green, blue = picture.astype(int).transpose(2, 0, 1)
    return (red - green > 40) & (red - blue > 40)


@pytest.mark.parametrize("word", [TREE, WALL])
def test_lit_voxels_shine_where_the_camera_sees_them(word):
    """The tree spans y from -3 to 2 at 5 m; the wall hides it from y = 0 on at 3 m."""
    semantics = scene()
    lit = light_up(semantics, scores(semantics, {word: 0.9}), 0.5)
    seen = camera()
    picture = light_picture(np.full((60, 100, 3), 128, np.uint8), seen, lit, 18, 100)
    row = reddish(picture)[30]
    rays = (np.arange(100) + 0.5 - 50) / 50  # to the right per metre ahead
    wall = (0.5 - rays * 2.5 > 0) & (0.5 - rays * 2.5 < 4)
    tree = (0.5 - rays * 4.5 > -3) & (0.5 - rays * 4.5 < 2) & ~wall
    np.testing.assert_array_equal(row, wall if word == WALL else tree)
    assert 10 < row.sum() < 70
    assert not reddish(picture)[-1].any(), "no voxel is so low"
    assert light_picture(None, seen, lit, 18, 100) is None


def test_a_lens_bends_what_shines():
    semantics = scene()
    lit = light_up(semantics, scores(semantics, {TREE: 0.9, WALL: 0.9}), 0.5)
    fisheye = camera(model="fisheye", distortion=(0.05, -0.01, 0.0, 0.0))
    picture = light_picture(np.full((60, 100, 3), 128, np.uint8), fisheye, lit, 18, 100)
    from gsocc_core import Cameras

    corner = torch.tensor([[3.0, 4.0, 0.5], [5.0, -3.0, 0.5]])  # the wall's left and the tree's right end
    uv, _, _ = Cameras.stack([fisheye]).project(corner)
    left, right = uv[0, :, 0].tolist()
    columns = np.flatnonzero(reddish(picture)[30])
    assert abs(columns[0] - left) <= 1.0
    assert abs(columns[-1] + 1 - right) <= 1.0


def test_the_voxel_around_a_camera_does_not_blind_it():
    semantics = scene()
    semantics.labels[8, 8, 1] = TREE
    lit = light_up(semantics, scores(semantics, {TREE: 0.9}), 0.5)
    assert 10 < reddish(light_picture(np.full((60, 100, 3), 128, np.uint8), camera(), lit, 18, 100))[30].sum() < 60


def test_one_picture_of_everything():
    semantics = scene()
    semantics.labels[13, 5:10, 3] = WALL  # a roof over the tree
    found = scores(semantics, {TREE: 0.9})
    image = np.full((60, 100, 3), 128, np.uint8)
    picture = np.asarray(draw_query({"front": image}, [camera()], semantics, found, 0.5, ["word 0: 20 voxels"], 400))
    cameras, above = picture[:120], picture[120:280, 240:]
    assert picture.shape == (120 + 160 + 58, 400, 3)
    assert reddish(cameras[:, :200]).any()
    assert reddish(picture[120:280, :240]).any()
    assert reddish(above).sum() > 300, "5 voxels of 10 x 10 pixels"
    rows, columns = np.nonzero(reddish(above))
    # x up, y to the left: the tree lies 5 m ahead and reaches farther to the right; the roof over it is left out.
    assert rows.max() < 80 - 4 * 9
    assert 80 - 2.5 * 10 < columns.min() < 80 - 1 * 9
    assert 80 + 2 * 9 < columns.max() < 80 + 3.5 * 10
    dark = np.asarray(draw_query({}, [camera()], semantics, found, 0.95, None, 400))
    assert not reddish(dark[:-58]).any()
