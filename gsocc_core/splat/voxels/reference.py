# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Gaussians to voxels in plain PyTorch: every Gaussian against every voxel, any dtype, any device, slow on purpose."""

from __future__ import annotations

import torch
from torch import Tensor

from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.splat.options import Composition, Support, half_extents, whitening

#: Voxel-Gaussian pairs held at once.
CHUNK_PAIRS = 4_000_000


def voxels_reference(
    gaussians: Gaussians, grid: VoxelGrid, composition: Composition, cutoff: float, support: Support
) -> tuple[Tensor, Tensor]:
    """One scene (no batch dimension), Gaussians in the grid frame.

    Args:
        gaussians: N Gaussians.
        grid: The grid.
        composition: See :func:`gsocc_core.splat_to_voxels`.
        cutoff: Standard deviations.
        support: See :func:`gsocc_core.splat_to_voxels`.

    Returns:
        density (X, Y, Z) and features (X, Y, Z, C).
    """
    points = grid.centers.to(gaussians.means).reshape(-1, 3)
    A, extents = whitening(gaussians), half_extents(gaussians, cutoff).detach()
    densities, features = [], []
    for part in points.split(max(1, CHUNK_PAIRS // max(len(gaussians), 1))):
        offset = part[:, None] - gaussians.means  # (P, N, 3)
        q = torch.einsum("nij,pnj->pni", A, offset).square().sum(-1)
        inside = (q <= cutoff**2) if support == "ellipsoid" else (offset.abs() <= extents).all(-1)
        phi = torch.where(inside.detach(), torch.exp(-0.5 * q), 0.0)
        weight = phi * gaussians.opacities
        density = weight.sum(-1)
        if composition == "sum_unweighted":
            voted = phi @ gaussians.features
        else:
            safe = torch.where(density > 0, density, 1.0)
            voted = (weight @ gaussians.features) / safe[:, None]
        densities.append(density)
        features.append(voted)
    return torch.cat(densities).view(grid.shape), torch.cat(features).view(*grid.shape, -1)
