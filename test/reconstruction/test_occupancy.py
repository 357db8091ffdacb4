# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Voxels of a few Gaussians and rays: what is occupied, free, grazed ground, or unobserved; and grids around scenes."""

import numpy as np
import pytest
import torch

from gsocc_core.errors import ConfigError, ShapeError
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.reconstruction.occupancy import Sight, grid_around, occupancy_of

CLASSES = ClassTable(("road", "wall", "free"), ((90, 90, 90), (200, 0, 0), (255, 255, 255)), 2)
#: A strip of ground of 12 m, one voxel wide, from 0.5 m below the ground to 3.5 m above it.
GRID = VoxelGrid((0.0, -0.5, -0.5), (12.0, 0.5, 3.5), 1.0)
ROAD, WALL, FREE, NONE = 0, 1, 2, 255


def made(places, ids, size=0.05):
    means = torch.tensor(places)
    quats = torch.tensor([1.0, 0, 0, 0]).expand(len(means), 4)
    scene = Gaussians(means, torch.full((len(means), 3), size), quats, torch.full((len(means),), 0.9),
                      torch.zeros(len(means), 0))  # fmt: skip
    return scene, torch.nn.functional.one_hot(torch.tensor(ids), 3).float()


def seen(on_ground):
    """Road at 2.5 m and at 9.5 m, a wall at 11.5 m, looked at from 1.6 m above the origin."""
    places = [[2.5, 0.0, 0.0], [9.5, 0.0, 0.0], [11.5, 0.0, 1.5]]
    scene, scores = made(places, [ROAD, ROAD, WALL])
    sight = Sight(np.tile([0.05, 0.0, 1.6], (3, 1)), np.array(places))
    return occupancy_of(scene, scores, sight, GRID, CLASSES, on_ground=on_ground)


def test_voxels_between_the_eye_and_a_surface_are_free_and_no_others():
    grid = seen(on_ground=False)
    ground, eye, above, top = grid.labels[:, 0].T.tolist()
    assert [x for x, label in enumerate(ground) if label == ROAD] == [2, 9]
    # The ray to the far road dips below half a metre from 6.6 m on, and ends one voxel before its surface.
    assert [x for x, label in enumerate(ground) if label == FREE] == [6, 7, 8]
    assert eye[11] == WALL or above[11] == WALL
    assert set(top) == {NONE}
    torch.testing.assert_close(grid.observed, grid.labels != NONE)
    assert grid.confidence[grid.labels == FREE].eq(1).all()
    assert grid.confidence[grid.labels == NONE].eq(0).all()
    assert grid.confidence[2, 0, 0] == pytest.approx(1 - np.exp(-0.9), abs=0.02)


def test_ground_that_rays_only_graze_is_ground_where_there_is_a_plane():
    grid = seen(on_ground=True)
    ground = grid.labels[:, 0, 0].tolist()
    assert [x for x, label in enumerate(ground) if label == ROAD] == [2, 6, 7, 8, 9]
    assert FREE not in ground
    assert grid.confidence[7, 0, 0] == 0.5
    assert grid.labels[:, :, 1:].tolist() == seen(on_ground=False).labels[:, :, 1:].tolist()


def test_a_gaussian_anywhere_in_a_voxel_makes_that_one_occupied():
    for x in (4.05, 4.3, 4.5, 4.95):
        scene, scores = made([[x, 0.0, 0.0]], [ROAD])
        labels = occupancy_of(scene, scores, Sight(np.zeros((0, 3)), np.zeros((0, 3))), GRID, CLASSES).labels
        assert labels[4, 0, 0] == ROAD
        assert (labels != NONE).sum() <= 2


@pytest.mark.parametrize("size", [0.005, 0.02, 0.1])
@pytest.mark.parametrize("side", [1, 2, 3, 4, 6])
def test_more_of_a_surface_never_empties_its_voxel(size, side):
    across = (np.arange(side) + 0.5) / side
    places = [[4.5, y - 0.5, z - 0.5] for y in across for z in across]
    scene, scores = made(places, [WALL] * len(places), size)
    beyond = Sight(np.array([[0.0, 0.0, 0.0]]), np.array([[11.0, 0.0, 0.0]]))  # one ray slips through
    assert occupancy_of(scene, scores, beyond, GRID, CLASSES).labels[4, 0, 0] == WALL


def test_what_holds_something_is_never_free():
    scene, scores = made([[4.5, 0.2, 0.0], [4.5, -0.2, 0.0]], [ROAD, WALL])
    scores = torch.tensor([[0.6, 0.0, 0.4], [0.0, 0.6, 0.4]])  # on average free is largest
    nowhere = Sight(np.zeros((0, 3)), np.zeros((0, 3)))
    assert int(occupancy_of(scene, scores, nowhere, GRID, CLASSES).labels[4, 0, 0]) in {ROAD, WALL}
    sky = torch.tensor([[0.2, 0.0, 0.8], [0.0, 0.6, 0.4]])  # sky takes no room
    assert occupancy_of(scene, sky, nowhere, GRID, CLASSES).labels[4, 0, 0] == WALL


def test_no_gaussians_and_shapes_that_do_not_fit():
    scene, scores = made([[1.0, 0.0, 0.0]], [ROAD])
    nothing = scene.map(lambda t: t[:0])
    sight = Sight(np.array([[0.5, 0.0, 0.0]]), np.array([[5.5, 0.0, 0.0]]))
    labels = occupancy_of(nothing, scores[:0], sight, GRID, CLASSES, on_ground=True).labels
    assert labels[:, 0, 0].tolist() == [FREE] * 5 + [NONE] * 7
    with pytest.raises(ShapeError, match="class_scores"):
        occupancy_of(scene, scores[:, :2], sight, GRID, CLASSES)
    with pytest.raises(ShapeError, match="origins, ends"):
        Sight(np.zeros((2, 3)), np.zeros((3, 3)))


def test_a_grid_holds_points_and_cameras_and_is_cut_on_the_far_side():
    rng = np.random.default_rng(0)
    points = rng.uniform([-1, -2, 0], [5, 2, 2.5], (2000, 3))
    cameras = np.array([[0.0, 0.0, 1.2]])
    grid = grid_around(points, cameras)
    assert grid.size_m == (0.1, 0.1, 0.1)
    assert (np.array(grid.lower) <= np.percentile(points, 2, axis=0)).all()
    assert (np.array(grid.upper) >= np.percentile(points, 98, axis=0)).all()
    far = grid_around(np.array([[0.0, 0, 0], [500.0, 0, 0]] * 50), cameras, 0.4)
    assert far.shape[0] == 200
    assert far.lower[0] <= 0.0
    with pytest.raises(ConfigError, match="voxel_m: expected above 0"):
        grid_around(points, cameras, 0.0)
