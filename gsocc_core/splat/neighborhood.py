# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A published voxel rule for comparison: every Gaussian reaches a fixed cube of voxels, whatever its size."""

from __future__ import annotations

from typing import Literal

import torch

from gsocc_core.errors import ConfigError
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.voxels import VoxelField, VoxelGrid
from gsocc_core.splat.near_origin import scene_near_grid
from gsocc_core.splat.options import Composition, check_choice
from gsocc_core.splat.shapes import flat_scenes, scenes_in_grid

NeighborhoodComposition = Literal["sum", "hazard", "sum_unweighted"]

#: Gaussians at a time: 1,000 with 729 voxels each are some 50 MB of pairs.
_CHUNK = 1000


@torch.no_grad()
def splat_to_neighborhood(
    gaussians: Gaussians, grid: VoxelGrid, neighborhood: int, composition: Composition = "sum_unweighted"
) -> VoxelField:
    """Splat into the cube of voxels around each mean, as GaussianFlowOcc's original does (``max_neighborhood``).

    A large Gaussian is cut off and a small one costs as much as a large one; :func:`gsocc_core.splat_to_voxels` has
    neither fault. This function is for reproducing published numbers.

    Args:
        gaussians: (..., N) Gaussians in the ego frame. Means outside the grid contribute nothing.
        grid: Voxels.
        neighborhood: n; the cube has 2 n + 1 voxels along each axis.
        composition: As for :func:`gsocc_core.splat_to_voxels`, without ``mean``: a cube that is as large for every
            Gaussian says nothing about who covers a voxel.

    Returns:
        (..., X, Y, Z) field, without gradient.

    Raises:
        ConfigError: a negative neighbourhood, composition ``mean`` or an unknown one.

    Example:
        >>> quats = torch.tensor([[1.0, 0, 0, 0]])
        >>> one = Gaussians(torch.zeros(1, 3), torch.ones(1, 3), quats, torch.ones(1), torch.ones(1, 1))
        >>> field = splat_to_neighborhood(one, VoxelGrid((-2.5,) * 3, (2.5,) * 3, 1.0), 1)
        >>> int((field.density > 0).sum())
        27
    """
    check_choice("splat_to_neighborhood", "composition", composition, NeighborhoodComposition)
    if neighborhood < 0:
        raise ConfigError("splat_to_neighborhood", "neighborhood", "0 or more voxels", neighborhood)
    gaussians, near = scene_near_grid(gaussians, grid)
    scenes = scenes_in_grid(flat_scenes(gaussians).to(torch.float32), near, cutoff=1.0)
    count, channels = len(scenes.means), gaussians.features.shape[-1]
    shape, device = grid.shape, gaussians.means.device
    density = torch.zeros((count, shape[0] * shape[1] * shape[2]), device=device)
    features = torch.zeros((*density.shape, channels), device=device)
    steps = torch.arange(-neighborhood, neighborhood + 1, device=device)
    cube = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij"), dim=-1).view(-1, 3)
    lower, size = (torch.tensor(v, dtype=torch.float32, device=device) for v in (near.lower, near.size_m))
    limit = torch.tensor(shape, device=device)
    for b in range(count):
        scene = scenes.scene(b)
        home = torch.floor((scene.means - lower) / size).long()
        for rows in ((home >= 0) & (home < limit)).all(-1).nonzero()[:, 0].split(_CHUNK):
            cells = home[rows, None] + cube
            offset = lower + (cells + 0.5) * size - scene.means[rows, None]
            distance = (offset @ scene.whitening[rows].transpose(-1, -2)).square().sum(-1)
            weight = torch.exp(-0.5 * distance) * ((cells >= 0) & (cells < limit)).all(-1)
            cells = cells.clamp(min=torch.zeros_like(limit), max=limit - 1)
            key = ((cells[..., 0] * shape[1] + cells[..., 1]) * shape[2] + cells[..., 2]).flatten()
            opaque = weight * scene.opacities[rows, None]
            vote = weight if composition == "sum_unweighted" else opaque
            density[b].index_add_(0, key, opaque.flatten())
            features[b].index_add_(0, key, (vote[..., None] * scene.features[rows, None]).flatten(0, 1))
    if composition != "sum_unweighted":
        features = features / torch.where(density > 0, density, 1.0)[..., None]
    leading = gaussians.batch_shape
    return VoxelField(density.view(*leading, *shape), features.view(*leading, *shape, channels), grid)
