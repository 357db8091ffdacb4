# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Voxels as Gaussians: one in the middle of every chosen voxel, so that a grid can be rendered."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from gsocc_core.errors import ShapeError
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.rigid import rotmat_to_quat
from gsocc_core.geometry.voxels import VoxelGrid

#: Standard deviation per voxel edge with which pictures come closest to those of the voxels themselves
#: (benchmarks/gaussrender_cost.py). GaussRender has 0.27 m on Occ3D's 0.4 m (0.675) and 0.5 on other grids.
RELATIVE_SCALE = 0.4


def chosen_voxels(keep: Tensor) -> tuple[Tensor, Tensor]:
    """Flat indices of the chosen voxels of every sample, filled up to the longest list.

    Args:
        keep: (B, X, Y, Z) bool.

    Returns:
        index (B, K) int64 into X * Y * Z, ascending, K the largest number chosen in a sample; and real (B, K) bool,
        False where an entry (index 0) only fills up.

    Example:
        >>> chosen_voxels(torch.tensor([[[[True, False, True]]], [[[False, True, False]]]]))
        (tensor([[0, 2],
                [1, 0]]), tensor([[ True,  True],
                [ True, False]]))
    """
    lists = [sample.flatten().nonzero()[:, 0] for sample in keep]
    length = max((len(chosen) for chosen in lists), default=0)
    index = torch.zeros((len(lists), length), dtype=torch.long, device=keep.device)
    real = torch.zeros_like(index, dtype=torch.bool)
    for b, chosen in enumerate(lists):
        index[b, : len(chosen)] = chosen
        real[b, : len(chosen)] = True
    return index, real


def gaussians_at_voxels(
    index: Tensor, opacities: Tensor, features: Tensor, grid: VoxelGrid, relative_scale: float = RELATIVE_SCALE
) -> Gaussians:
    """One Gaussian in the middle of each voxel, with its axes along the grid's; a ball where voxels are cubes.

    Args:
        index: (..., N) int64 flat voxel indices (x Y + y) Z + z.
        opacities: (..., N) in 0..1; their type is that of the result.
        features: (..., N, C).
        grid: The grid.
        relative_scale: Standard deviation as a multiple of the voxel's edge.

    Returns:
        (..., N) Gaussians in the ego frame; differentiable for opacities and features.

    Raises:
        ShapeError: the scale is not positive.

    Example:
        >>> grid = VoxelGrid((0.0, 0.0, 0.0), (2.0, 2.0, 2.0), 1.0)
        >>> gaussians_at_voxels(torch.tensor([3]), torch.ones(1), torch.ones(1, 1), grid).means
        tensor([[0.5000, 1.5000, 1.5000]])
    """
    if not relative_scale > 0:
        raise ShapeError("gaussians_at_voxels", "relative_scale", "a positive number of voxel edges", relative_scale)
    _, count_y, count_z = grid.shape
    cell = torch.stack([index // (count_y * count_z), index // count_z % count_y, index % count_z], dim=-1)
    size = opacities.new_tensor(grid.size_m)
    means = (cell.to(opacities.dtype) + 0.5) * size
    quat = opacities.new_tensor([1.0, 0.0, 0.0, 0.0])
    T_ego_corner = torch.as_tensor(grid.T_ego_corner)
    if grid.T_ego_grid is not None:
        means = means @ T_ego_corner[:3, :3].T.to(means)
        quat = rotmat_to_quat(T_ego_corner[:3, :3]).to(means)
    means = means + T_ego_corner[:3, 3].to(means)
    scales = (relative_scale * size).expand_as(means)
    return Gaussians(means, scales, quat.expand(*means.shape[:-1], 4), opacities, features)


def gaussians_of_labels(
    labels: Tensor,
    grid: VoxelGrid,
    num_classes: int,
    empty_id: int,
    ignore_id: int,
    relative_scale: float = RELATIVE_SCALE,
    dtype: torch.dtype = torch.float32,
) -> Gaussians:
    """Opaque Gaussians with one-hot features, one per occupied voxel (GaussRender's ground truth).

    Args:
        labels: (B, X, Y, Z) uint8 class ids.
        grid: The grid.
        num_classes: C, feature channels; channel c stands for class id c.
        empty_id: Id of empty space; such voxels give no Gaussian.
        ignore_id: Id of voxels without a label; no Gaussian either.
        relative_scale: Standard deviation as a multiple of the voxel's edge.
        dtype: Floating-point type of the result.

    Returns:
        (B, K) Gaussians, K the largest number of occupied voxels in a sample; the others are filled up with opacity 0.

    Raises:
        ShapeError: the labels do not lie on the grid, or an id has no channel.
    """
    if tuple(labels.shape[1:]) != grid.shape:
        raise ShapeError("gaussians_of_labels", "labels", ("B", *grid.shape), tuple(labels.shape))
    index, real = chosen_voxels((labels != empty_id) & (labels != ignore_id))
    ids = labels.flatten(1).gather(1, index).long().where(real, empty_id)
    if ids.numel() and int(ids.max()) >= num_classes:
        raise ShapeError("gaussians_of_labels", "labels", f"ids below {num_classes} or {ignore_id}", int(ids.max()))
    one_hot = functional.one_hot(ids, num_classes).to(dtype)
    return gaussians_at_voxels(index, real.to(dtype), one_hot, grid, relative_scale)
