# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Scenes that the tests of the operators share."""

import pytest
import torch

from gsocc_core import Gaussians, VoxelGrid
from gsocc_core.splat.shapes import scenes_in_grid


def _random_scene(n: int, channels: int, seed: int = 0, sigma=(0.1, 1.5)) -> Gaussians:
    g = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(*shape, generator=g, dtype=torch.float64)

    means = rand(n, 3) * torch.tensor([10.0, 8.0, 4.0]) - torch.tensor([5.0, 4.0, 1.6])
    scales = sigma[0] + (sigma[1] - sigma[0]) * rand(n, 3)
    quats = torch.randn(n, 4, generator=g, dtype=torch.float64) * 3
    return Gaussians(means, scales, quats, rand(n), torch.randn(n, channels, generator=g, dtype=torch.float64))


def _away_from_the_cutoff(scene: Gaussians, grid: VoxelGrid, cutoff: float, support: str) -> torch.Tensor:
    """Voxels whose membership no rounding can flip."""
    _, whitening, half_extents, _, _ = scenes_in_grid(scene, grid, cutoff).scene(0)
    offset = grid.centers.double()[..., None, :] - scene.means
    if support == "ellipsoid":
        margin = (torch.einsum("nij,...nj->...ni", whitening, offset).norm(dim=-1) - cutoff).abs()
    else:  # a box touches a voxel as soon as a wider box holds its centre
        wider = torch.tensor(grid.size_m, dtype=torch.float64) / 2 if support == "box_voxels" else 0.0
        margin = (offset.abs() - half_extents - wider).abs().amin(-1)
    return (margin > 1e-4).all(-1)


@pytest.fixture(scope="session")
def random_scene():
    return _random_scene


@pytest.fixture(scope="session")
def away_from_the_cutoff():
    return _away_from_the_cutoff
