# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Gaussians to voxels in plain PyTorch: every Gaussian against every voxel, any dtype, any device, slow on purpose."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.splat.options import Composition, Support
from gsocc_core.splat.shapes import VoxelScenes

#: Voxel-Gaussian pairs held at once.
CHUNK_PAIRS = 4_000_000


def voxels_reference(
    scenes: VoxelScenes, grid: VoxelGrid, composition: Composition, cutoff: float, support: Support
) -> tuple[Tensor, Tensor]:
    """Evaluate the sums exactly as defined.

    Args:
        scenes: B scenes of N Gaussians.
        grid: The grid.
        composition: See :func:`gsocc_core.splat_to_voxels`.
        cutoff: Standard deviations.
        support: See :func:`gsocc_core.splat_to_voxels`.

    Returns:
        density (B, X, Y, Z) and features (B, X, Y, Z, C).
    """
    count, number, channels = scenes.features.shape
    points = grid.centers.to(scenes.means).reshape(-1, 3)
    # Checkpointing: without it the backward pass would keep every pair of every chunk.
    parts = [
        checkpoint(_evaluate, part, scenes.scene(b), grid, composition, cutoff, support, use_reentrant=False)
        for b in range(count)
        for part in points.split(max(1, CHUNK_PAIRS // max(number, 1)))
    ]
    if not parts:
        return points.new_zeros((0, *grid.shape)), points.new_zeros((0, *grid.shape, channels))
    density, features = (torch.cat([part[k] for part in parts]) for k in (0, 1))
    return density.view(count, *grid.shape), features.view(count, *grid.shape, channels)


def _evaluate(
    points: Tensor,
    scene: VoxelScenes,
    grid: VoxelGrid,
    composition: Composition,
    cutoff: float,
    support: Support,
) -> tuple[Tensor, Tensor]:
    """Density (P,) and features (P, C) of one scene at points (P, 3)."""
    offset = points[:, None] - scene.means  # (P, N, 3)
    distance2 = torch.einsum("nij,pnj->pni", scene.whitening, offset).square().sum(-1)
    if support == "ellipsoid":
        inside = distance2 <= cutoff * cutoff
    elif support == "box":
        inside = (offset.abs() <= scene.half_extents).all(-1)
    else:
        inside = _touched(points, scene, grid)
    inside = inside.detach()
    phi = torch.where(inside, torch.exp(-0.5 * distance2), 0.0)
    weight = phi * scene.opacities
    density = weight.sum(-1)
    if composition == "sum_unweighted":
        return density, phi @ scene.features
    if composition == "mean":
        covering = inside.sum(-1).clamp(min=1)
        opaque = inside * scene.opacities
        return density / covering, (opaque @ scene.features) / covering[:, None]
    safe = torch.where(density > 0, density, 1.0)
    return density, (weight @ scene.features) / safe[:, None]


def _touched(points: Tensor, scene: VoxelScenes, grid: VoxelGrid) -> Tensor:
    """(P, N): the voxel with its centre at a point lies between those that hold the lower and upper corner of a box."""
    lower, size = (points.new_tensor(v) for v in (grid.lower, grid.size_m))
    cells = ((points - lower) / size).floor()[:, None]
    first, last = (((scene.means + k * scene.half_extents - lower) / size).floor() for k in (-1, 1))
    return ((first <= cells) & (cells <= last)).all(-1)
