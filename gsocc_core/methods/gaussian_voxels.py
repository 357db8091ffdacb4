# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""From a scene of Gaussians with class logits to labels and velocities on a grid."""

from __future__ import annotations

import torch
from torch import Tensor

from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.grid_points import to_ego
from gsocc_core.geometry.voxels import SemanticGrid, VoxelGrid
from gsocc_core.methods.gaussianflowocc_args import SplatArgs
from gsocc_core.splat import splat_to_labels, splat_to_voxels
from gsocc_core.splat.neighborhood import splat_to_neighborhood


@torch.no_grad()
def gaussian_occupancy(
    scene: Gaussians, grid: VoxelGrid, classes: ClassTable, splat: SplatArgs, dynamic: Tensor | None = None
) -> SemanticGrid:
    """Labels, confidence and velocity.

    Args:
        scene: (B, N) Gaussians in the ego frame; feature channel c is the logit of ``classes.channel_ids[c]``.
        grid: Where to evaluate.
        classes: Class table.
        splat: How Gaussians become voxels.
        dynamic: (B, N) bool: Gaussians of moving classes; needed for velocities.

    Returns:
        (B, X, Y, Z) labels. Where the scene has velocities, a voxel of a moving class has the mean velocity of the
        moving Gaussians that reach it, weighted by their density; all others are at rest.
    """
    if splat.published_neighborhood is not None:
        result = _published(scene, grid, classes, splat)
    else:
        result = splat_to_labels(
            scene.replace(velocities=None), grid, classes, composition=splat.composition, threshold=splat.threshold,
            cutoff=splat.cutoff, support=splat.support,
        )  # fmt: skip
    if splat.published_roof_cut_m is not None:
        above = to_ego(grid.centers, grid)[..., 2] > splat.published_roof_cut_m
        result.labels[:, above.to(result.labels.device)] = classes.free_id
    if scene.velocities is None or dynamic is None:
        return result
    velocity = _velocity(scene, dynamic, grid, result, splat)
    return SemanticGrid(result.labels, grid, classes, result.confidence, result.observed, velocity)


def _published(scene: Gaussians, grid: VoxelGrid, classes: ClassTable, splat: SplatArgs) -> SemanticGrid:
    """The original's procedure: a fixed cube of voxels per Gaussian, whose density ends at one."""
    assert splat.published_neighborhood is not None
    field = splat_to_neighborhood(scene, grid, splat.published_neighborhood, splat.composition)
    occupancy = field.density.clamp(max=1.0) if splat.composition != "hazard" else -torch.expm1(-field.density)
    full = (occupancy >= splat.threshold) & (occupancy >= 1e-3)
    ids = torch.as_tensor(classes.channel_ids, dtype=torch.uint8, device=full.device)
    labels = torch.where(full, ids[field.features.argmax(-1)], classes.free_id).to(torch.uint8)
    return SemanticGrid(labels, grid, classes, torch.where(full, occupancy, 1 - occupancy))


def _velocity(scene: Gaussians, dynamic: Tensor, grid: VoxelGrid, result: SemanticGrid, splat: SplatArgs) -> Tensor:
    assert scene.velocities is not None
    ids = torch.tensor(result.classes.dynamic_ids, dtype=torch.uint8, device=result.labels.device)
    moving = torch.isin(result.labels, ids)
    velocity = torch.zeros((*result.labels.shape, 3), device=result.labels.device)
    for b in range(len(velocity)):
        rows = dynamic[b].nonzero()[:, 0]
        if not len(rows) or not bool(moving[b].any()):
            continue
        part = scene.map(lambda t, b=b, rows=rows: t[b, rows])
        assert part.velocities is not None
        part = part.replace(features=part.velocities, velocities=None)
        field = splat_to_voxels(part, grid, composition="sum", cutoff=splat.cutoff, support=splat.support)
        velocity[b] = torch.where(moving[b][..., None], field.features, 0.0)
    return velocity
