# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""How far rays go through labelled voxels until something stops them."""

from __future__ import annotations

import torch
from torch import Tensor

from gsocc_core.geometry.rigid import transform_points
from gsocc_core.geometry.voxels import VoxelGrid


@torch.no_grad()
def first_hit_m(
    labels: Tensor,
    grid: VoxelGrid,
    origins_m: Tensor,
    directions: Tensor,
    free_id: int,
    ignore_id: int,
    reach_m: float,
) -> Tensor:
    """Distance to the first occupied voxel along rays, in steps of half the smallest voxel edge.

    Args:
        labels: (B, X, Y, Z) uint8.
        grid: Where the voxels are.
        origins_m: (B, R, 3) ego frame, metres.
        directions: (B, R, 3) of unit length.
        free_id: Id of empty space.
        ignore_id: Label of voxels without a label.
        reach_m: How far to look, metres.

    Returns:
        (B, R) metres; 0 where a ray meets nothing, or a voxel without a label first.

    Example:
        >>> grid = VoxelGrid((0.0, 0.0, 0.0), (4.0, 1.0, 1.0), 1.0)
        >>> labels = torch.tensor([17, 17, 3, 3], dtype=torch.uint8).view(1, 4, 1, 1)
        >>> start, ahead = torch.tensor([[[0.1, 0.5, 0.5]]]), torch.tensor([[[1.0, 0.0, 0.0]]])
        >>> first_hit_m(labels, grid, start, ahead, 17, 255, 10.0)
        tensor([[2.]])
    """
    if grid.T_ego_grid is not None:
        T_grid_ego = torch.linalg.inv(torch.as_tensor(grid.T_ego_grid_matrix)).to(origins_m)
        directions = directions @ T_grid_ego[:3, :3].T
        origins_m = transform_points(T_grid_ego, origins_m.reshape(-1, 3)).view_as(origins_m)
    step = min(grid.size_m) / 2
    _, y, z = grid.shape
    flat = labels.flatten(1)
    result = torch.zeros_like(origins_m[..., 0])
    done = torch.zeros_like(result, dtype=torch.bool)
    for index in range(1, int(reach_m / step) + 1):
        distance = index * step
        cell, inside = grid.index(origins_m + distance * directions)
        met = flat.gather(1, (cell[..., 0] * y + cell[..., 1]) * z + cell[..., 2])
        stop = inside & (met != free_id) & ~done
        result = torch.where(stop & (met != ignore_id), distance, result)
        done |= stop
    return result
