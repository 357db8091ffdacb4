# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Random scenes of the sizes that published systems use."""

from __future__ import annotations

import torch

from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.voxels import VoxelGrid

#: Standard deviations, metres, uniform between the two.
SIGMAS_M = {"small": (0.05, 0.3), "mixed": (0.1, 1.5), "large": (1.0, 4.0), "voxel": (0.1, 0.25)}


def random_scene(count: int, sigma: str, grid: VoxelGrid, channels: int = 18, seed: int = 0) -> Gaussians:
    """Gaussians with means uniform in the grid, any rotation, opacities U(0, 1) and normal features.

    Args:
        count: N.
        sigma: A key of :data:`SIGMAS_M`.
        grid: Where.
        channels: C.
        seed: Same seed, same scene.

    Returns:
        (N,) Gaussians on the CPU.
    """
    g = torch.Generator().manual_seed(seed)
    low, high = SIGMAS_M[sigma]
    lower, upper = torch.tensor(grid.lower), torch.tensor(grid.upper)
    return Gaussians(
        lower + torch.rand(count, 3, generator=g) * (upper - lower),
        low + (high - low) * torch.rand(count, 3, generator=g),
        torch.randn(count, 4, generator=g),
        torch.rand(count, generator=g),
        torch.randn(count, channels, generator=g),
    )


def one_per_voxel(grid: VoxelGrid, channels: int = 18, seed: int = 0) -> Gaussians:
    """The Gaussians of a dense voxel model: one at every voxel centre."""
    means = grid.centers.reshape(-1, 3)
    return random_scene(len(means), "voxel", grid, channels, seed).replace(means=means.clone())


def surround_cameras(width: int = 200, height: int = 112) -> Cameras:
    """Six pinhole cameras, 60 degrees apart, 1.5 m above the ground, 65 degrees of view."""
    poses = torch.eye(4).repeat(6, 1, 1)
    for view, yaw in enumerate(torch.arange(6) * torch.pi / 3):
        forward = torch.stack([yaw.cos(), yaw.sin(), torch.zeros(())])
        right = torch.stack([yaw.sin(), -yaw.cos(), torch.zeros(())])
        poses[view, :3, 0], poses[view, :3, 1], poses[view, :3, 2] = right, torch.tensor([0.0, 0.0, -1.0]), forward
        poses[view, 2, 3] = 1.5
    focal = width / 2 / torch.tan(torch.deg2rad(torch.tensor(32.5)))
    K = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]]).expand(6, 3, 3)
    return Cameras(K, poses, width, height)
