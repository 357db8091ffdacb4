# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of voxels and cameras."""

import numpy as np
import pytest
import torch

from gsocc_core import OCC3D_NUSCENES, SemanticGrid, VoxelGrid
from gsocc_core.errors import ShapeError
from gsocc_core.pictures import Viewpoint, camera_mosaic, draw_comparison, draw_voxels
from gsocc_core.pictures.draw import SURROUND_LAYOUT

GRID = VoxelGrid((-8.0, -8.0, -1.0), (8.0, 8.0, 3.0), 1.0)


def semantics(*blocks):
    labels = torch.full(GRID.shape, 17, dtype=torch.uint8)
    for index, label in blocks:
        labels[index] = label
    return SemanticGrid(labels, GRID, OCC3D_NUSCENES)


def hue(pixel, class_id):
    """Cosine between a pixel and a class colour: shading scales a colour, it does not turn it."""
    a, b = np.asarray(pixel, float), np.asarray(OCC3D_NUSCENES.colors[class_id], float)
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


def test_a_voxel_appears_where_it_projects():
    # Straight down from 20 m over the origin: x points up in the picture, y to the left.
    view = Viewpoint((0.0, 0.0, 20.0), (0.0, 0.0, 0.0), fov_deg=60.0)
    grid = semantics(((slice(11, 13), slice(2, 4), slice(0, 2)), 7))
    picture = draw_voxels(grid.labels.numpy(), grid, 201, 201, view)
    focal = 201 / 2 / np.tan(np.radians(30))
    center = np.array([11 + 1 - 8.0, 2 + 1 - 8.0, 1.0])  # the middle of the block's top
    column, row = 100.5 - center[1] / (20 - 1) * focal, 100.5 - center[0] / (20 - 1) * focal
    assert hue(picture[int(row), int(column)], 7) > 0.99
    assert picture[5, 5].min() > 200, "the background is light"


def test_the_nearer_voxel_hides_the_farther_one():
    view = Viewpoint((-20.0, 0.5, 0.5), (0.0, 0.5, 0.5), fov_deg=40.0)
    grid = semantics(((slice(4, 5), slice(7, 10), slice(0, 4)), 4), ((slice(10, 11), slice(7, 10), slice(0, 4)), 16))
    picture = draw_voxels(grid.labels.numpy(), grid, 101, 101, view)
    assert hue(picture[50, 50], 4) > 0.99


def test_an_eye_inside_the_grid_sees_voxels():
    view = Viewpoint((0.5, 0.5, 0.5), (5.0, 0.5, 0.5), fov_deg=60.0)
    grid = semantics(((slice(14, 16), slice(None), slice(None)), 15))
    assert hue(draw_voxels(grid.labels.numpy(), grid, 51, 51, view)[25, 25], 15) > 0.99


def test_labels_off_the_grid_are_an_error():
    with pytest.raises(ShapeError, match="labels"):
        draw_voxels(np.zeros((2, 2, 2), np.uint8), semantics(), 10, 10)


def test_mosaic_places_cameras_as_a_driver_sees_them():
    names = [name for row in SURROUND_LAYOUT for name in row]
    images = {name: np.full((90, 160, 3), 20 * i, np.uint8) for i, name in enumerate(names)}
    images["CAM_BACK"] = None
    mosaic = np.asarray(camera_mosaic(images, 80))
    assert mosaic.shape == (90, 240, 3)
    assert mosaic[20, 120, 0] == 20, "CAM_FRONT is in the middle of the upper row"
    assert mosaic[60, 120, 0] > 200, "a missing camera is grey"
    assert np.asarray(camera_mosaic({"a": images["CAM_FRONT"]}, 80)).shape == (45, 80, 3)


def test_comparison_lists_the_classes_present():
    grid = semantics(((slice(0, 4), slice(0, 4), slice(0, 1)), 11))
    picture = draw_comparison({"front": np.zeros((90, 160, 3), np.uint8)}, grid, grid, "frame 1", width=400)
    assert picture.width == 400
    assert draw_comparison({"front": None}, grid, width=400).height > 200
