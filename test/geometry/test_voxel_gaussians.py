# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Voxels as Gaussians: they sit in the middle of their voxels, in any grid frame."""

import numpy as np
import pytest
import torch

from gsocc_core import OCC3D_NUSCENES, VoxelGrid, splat_to_labels
from gsocc_core.errors import ShapeError
from gsocc_core.geometry.rigid import rigid_from_quat, transform_points
from gsocc_core.geometry.voxel_gaussians import chosen_voxels, gaussians_at_voxels, gaussians_of_labels


def turned_grid():
    T = rigid_from_quat([0.9, 0.1, -0.3, 0.2], [1.0, -2.0, 0.5])
    return VoxelGrid((-2.0, -1.0, 0.0), (2.0, 2.0, 1.0), (0.5, 1.0, 0.25), tuple(map(tuple, T)))


def test_means_are_voxel_centres_in_the_ego_frame():
    grid = turned_grid()
    index = torch.arange(8 * 3 * 4).view(2, -1)
    g = gaussians_at_voxels(index, torch.ones(2, 48), torch.ones(2, 48, 1), grid)
    expected = transform_points(torch.as_tensor(grid.T_ego_grid_matrix).float(), grid.centers.reshape(-1, 3))
    assert torch.allclose(g.means.reshape(-1, 3), expected, atol=1e-6)


def test_large_numbers_that_cancel_are_not_rounded():
    """A grid in map coordinates around the robot, its frame as far away on the other side: float32 is enough."""
    near = VoxelGrid((-2.0, -1.0, 0.0), (2.0, 2.0, 1.0), 0.5)
    away = np.array([691_234.5, 5_334_765.0, 519.5])
    T = np.eye(4)
    T[:3, 3] = -away
    far = VoxelGrid(tuple(near.lower + away), tuple(near.upper + away), 0.5, tuple(map(tuple, T)))
    index = torch.arange(8)
    expected = gaussians_at_voxels(index, torch.ones(8), torch.ones(8, 1), near).means
    assert torch.equal(gaussians_at_voxels(index, torch.ones(8), torch.ones(8, 1), far).means, expected)


def test_axes_follow_the_grid_and_scales_the_voxels():
    grid = turned_grid()
    g = gaussians_at_voxels(torch.tensor([5]), torch.ones(1), torch.ones(1, 1), grid, relative_scale=0.5)
    R = torch.as_tensor(grid.T_ego_grid_matrix[:3, :3])
    expected = R @ torch.diag(torch.tensor([0.25, 0.5, 0.125], dtype=torch.float64).square()) @ R.T
    assert torch.allclose(g.covariances()[0].double(), expected, atol=1e-7)


def test_true_voxels_splat_back_to_their_own_labels():
    rng = np.random.default_rng(0)
    labels = torch.from_numpy(rng.choice([4, 11, 17, 255], (2, 8, 3, 4), p=[0.2, 0.2, 0.5, 0.1]).astype(np.uint8))
    grid = turned_grid()
    g = gaussians_of_labels(labels, grid, 18, 17, 255, relative_scale=0.1)
    back = splat_to_labels(g, grid, OCC3D_NUSCENES, threshold=0.5).labels
    assert torch.equal(back, torch.where(labels == 255, 17, labels))


def test_shorter_samples_are_filled_up_with_transparent_gaussians():
    labels = torch.full((2, 8, 3, 4), 17, dtype=torch.uint8)
    labels[1, 0, 0, :3] = 4
    g = gaussians_of_labels(labels, turned_grid(), 18, 17, 255)
    assert g.opacities.tolist() == [[0, 0, 0], [1, 1, 1]]
    assert len(gaussians_of_labels(labels[:1], turned_grid(), 18, 17, 255)) == 0
    index, real = chosen_voxels(torch.zeros(0, 2, 2, 2, dtype=torch.bool))
    assert index.shape == real.shape == (0, 0)


def test_bad_input_is_named():
    grid = turned_grid()
    labels = torch.full((1, 8, 3, 4), 18, dtype=torch.uint8)
    with pytest.raises(ShapeError, match="ids below 18"):
        gaussians_of_labels(labels, grid, 18, 17, 255)
    with pytest.raises(ShapeError, match="labels"):
        gaussians_of_labels(labels[:, 1:], grid, 18, 17, 255)
    with pytest.raises(ShapeError, match="relative_scale"):
        gaussians_at_voxels(torch.tensor([5]), torch.ones(1), torch.ones(1, 1), grid, relative_scale=0.0)
