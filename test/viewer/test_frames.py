# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Plain values of the viewer: Gaussians, motion, arrows, frusta."""

import numpy as np
import pytest
import torch

from gsocc_core import OCC3D_NUSCENES, Camera, Gaussians, SemanticGrid, VoxelGrid
from gsocc_core.errors import ShapeError
from gsocc_core.viewer import LabelledGaussians, Motion
from gsocc_core.viewer.frames import seen, thin
from gsocc_core.viewer.shapes import arrows, frustum

GRID = VoxelGrid((0.0, 0.0, 0.0), (4.0, 4.0, 2.0), 1.0)


def grid_with(cells, velocity=None, observed=None):
    labels = torch.full(GRID.shape, 17, dtype=torch.uint8)
    for cell, label in cells.items():
        labels[cell] = label
    return SemanticGrid(labels, GRID, OCC3D_NUSCENES, velocity=velocity, observed=observed)


def gaussians(velocities=None):
    features = torch.zeros(3, 16)
    features[[0, 1, 2], [3, 10, 3]] = 1.0
    quats = torch.tensor([[1.0, 0, 0, 0]]).repeat(3, 1)
    means, opacities = torch.arange(9.0).view(3, 3), torch.tensor([0.9, 0.01, 0.5])
    return Gaussians(means, torch.ones(3, 3) * 2, quats, opacities, features, velocities)


def test_gaussians_are_labelled_by_their_channels():
    labelled = LabelledGaussians.of(gaussians(), OCC3D_NUSCENES.with_channels(range(1, 17)))
    assert labelled.labels.tolist() == [4, 11, 4]
    np.testing.assert_allclose(labelled.covariances_m2, np.tile(4 * np.eye(3), (3, 1, 1)))
    assert thin(labelled, 0.03, {4, 11}).opacities.tolist() == pytest.approx([0.9, 0.5])
    assert len(thin(labelled, 0.0, {11}).labels) == 1
    with pytest.raises(ShapeError, match="features"):
        LabelledGaussians.of(gaussians(), OCC3D_NUSCENES)


def test_motion_comes_from_moving_voxels_that_are_there():
    velocity = torch.zeros(*GRID.shape, 3)
    velocity[1, 2, 0] = torch.tensor([3.0, 0, 0])
    velocity[2, 2, 0] = torch.tensor([0.1, 0, 0])  # stands
    velocity[0, 0, 0] = torch.tensor([9.0, 0, 0])  # free
    motion = Motion.of(grid_with({(1, 2, 0): 4, (2, 2, 0): 4}, velocity))
    assert motion.points_m.tolist() == [[1.5, 2.5, 0.5]]
    assert motion.velocities_m_s.tolist() == [[3.0, 0, 0]]
    assert Motion.of(grid_with({})) is None
    moving = gaussians(torch.tensor([[0.0, 0, 0], [0, 2.0, 0], [0, 0, 0]]))
    assert Motion.of(grid_with({}), moving).points_m.tolist() == [[3.0, 4.0, 5.0]]


def test_one_arrow_per_column():
    points = np.array([[0.1, 0.1, 0], [0.5, 0.3, 2], [8.0, 0, 0]], np.float32)
    velocities = np.array([[1, 0, 0], [3, 0, 0], [0, 5, 0]], np.float32)
    drawn = arrows(Motion(points, velocities), seconds=2.0)
    np.testing.assert_allclose(drawn[0], [[0.3, 0.2, 1.0], [4.3, 0.2, 1.0]], atol=1e-6)
    np.testing.assert_allclose(drawn[1], [[8, 0, 0], [8, 10, 0]], atol=1e-6)
    assert arrows(Motion(points[:0], velocities[:0])).shape == (0, 2, 3)


def test_predictions_are_shown_where_cameras_look():
    observed = torch.zeros(GRID.shape, dtype=torch.bool)
    observed[0, 0, 0] = True
    prediction = grid_with({(0, 0, 0): 4, (1, 0, 0): 4})
    shown = seen(prediction, grid_with({}, observed=observed))
    assert (shown.labels != 17).sum() == 1
    assert seen(prediction, None) is prediction


def test_a_frustum_stands_where_its_camera_was():
    T_ego_cam, T_ref_ego = np.eye(4), np.eye(4)
    T_ego_cam[:3, 3], T_ref_ego[:3, 3] = [1, 0, 2], [-0.5, 0, 0]
    K = np.array([[100.0, 0, 100], [0, 100, 100], [0, 0, 1]])
    shape = frustum(Camera("a", K, T_ego_cam, 200, 200, T_ref_ego=T_ref_ego))
    assert (shape.position_m, shape.wxyz) == ((0.5, 0, 2), (1, 0, 0, 0))
    assert shape.fov_rad == pytest.approx(np.pi / 2)
    assert frustum(Camera("b", K, T_ego_cam, 800, 800, model="fisheye")).fov_rad == 2.6
