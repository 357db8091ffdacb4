# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Gaussians to voxels in plain PyTorch: every Gaussian against every voxel, any dtype, any device, slow on purpose."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.splat.options import Composition, Support
from gsocc_core.splat.shapes import VoxelScene

#: Voxel-Gaussian pairs held at once.
CHUNK_PAIRS = 4_000_000


def voxels_reference(
    scene: VoxelScene,
    grid: VoxelGrid,
    composition: Composition,
    cutoff: float,
    support: Support,
    out: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """One scene, evaluated exactly as defined.

    Args:
        scene: The Gaussians.
        grid: The grid.
        composition: See :func:`gsocc_core.splat_to_voxels`.
        cutoff: Standard deviations.
        support: See :func:`gsocc_core.splat_to_voxels`.
        out: Buffers that receive the result.

    Returns:
        density (X, Y, Z) and features (X, Y, Z, C).
    """
    points = grid.centers.to(scene.means).reshape(-1, 3)
    # Checkpointing: without it the backward pass would keep every pair of every chunk.
    parts = [
        checkpoint(_evaluate, part, scene, composition, cutoff, support, use_reentrant=False)
        for part in points.split(max(1, CHUNK_PAIRS // max(len(scene.means), 1)))
    ]
    density = torch.cat([p[0] for p in parts]).view(grid.shape)
    voted = torch.cat([p[1] for p in parts]).view(*grid.shape, -1)
    if out is None:
        return density, voted
    out[0].copy_(density.detach())
    out[1].copy_(voted.detach())
    return out


def _evaluate(
    points: Tensor,
    scene: VoxelScene,
    composition: Composition,
    cutoff: float,
    support: Support,
) -> tuple[Tensor, Tensor]:
    """Density (P,) and features (P, C) at points (P, 3)."""
    offset = points[:, None] - scene.means  # (P, N, 3)
    distance2 = torch.einsum("nij,pnj->pni", scene.whitening, offset).square().sum(-1)
    inside = (distance2 <= cutoff**2) if support == "ellipsoid" else (offset.abs() <= scene.half_extents).all(-1)
    phi = torch.where(inside.detach(), torch.exp(-0.5 * distance2), 0.0)
    weight = phi * scene.opacities
    density = weight.sum(-1)
    if composition == "sum_unweighted":
        return density, phi @ scene.features
    safe = torch.where(density > 0, density, 1.0)
    return density, (weight @ scene.features) / safe[:, None]
