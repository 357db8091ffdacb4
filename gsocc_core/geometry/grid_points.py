# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Points between the ego frame, the frame of a voxel grid, and the unit cube that a grid's box is to networks."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gsocc_core.geometry.constants import constant
from gsocc_core.geometry.rigid import transform_points
from gsocc_core.geometry.voxels import VoxelGrid

Corner = tuple[float, float, float]


def points_in_box(unit: Tensor, grid: VoxelGrid) -> Tensor:
    """Points of the ego frame, metres, of places (..., 3) that run from 0 to 1 across a grid's box.

    Example:
        >>> points_in_box(torch.tensor([[0.5, 0.5, 1.0]]), VoxelGrid((-4.0, -4.0, 0.0), (4.0, 4.0, 2.0), 1.0))
        tensor([[0., 0., 2.]])
    """
    points = unit * constant(_edges_m(grid), unit)
    T_ego_corner = grid.T_ego_corner
    if grid.T_ego_grid is not None:
        points = points @ constant(_rows(T_ego_corner[:3, :3].T), points)
    return points + constant(tuple(T_ego_corner[:3, 3].tolist()), points)


def from_ego(points_m: Tensor, grid: VoxelGrid) -> Tensor:
    """Places (..., 3) of points of the ego frame, metres, 0..1 across a grid's box.

    Example:
        >>> from_ego(torch.tensor([[0.0, 2.0, 2.0]]), VoxelGrid((-4.0, -4.0, 0.0), (4.0, 4.0, 2.0), 1.0))
        tensor([[0.5000, 0.7500, 1.0000]])
    """
    T_ego_corner = grid.T_ego_corner
    points = points_m - constant(tuple(T_ego_corner[:3, 3].tolist()), points_m)
    if grid.T_ego_grid is not None:
        points = points @ constant(_rows(np.linalg.inv(T_ego_corner[:3, :3]).T), points)
    return points / constant(_edges_m(grid), points)


def _edges_m(grid: VoxelGrid) -> tuple[float, ...]:
    return tuple(upper - lower for lower, upper in zip(grid.lower, grid.upper))


def _rows(matrix: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(map(tuple, matrix.tolist()))


def to_grid(points_m: Tensor, grid: VoxelGrid) -> Tensor:
    """Points (..., 3) of the ego frame in the grid frame, metres."""
    if grid.T_ego_grid is None:
        return points_m
    T_grid_ego = constant(_rows(np.linalg.inv(grid.T_ego_grid_matrix)), points_m)
    return transform_points(T_grid_ego, points_m.reshape(-1, 3)).view_as(points_m)


def box_in_ego(grid: VoxelGrid) -> tuple[Corner, Corner]:
    """Lower and upper corner, metres, of the box along the axes of the ego frame that holds a grid.

    Example:
        >>> T_ego_grid = ((0, 1, 0, 1), (-1, 0, 0, 0), (0, 0, 1, 2), (0, 0, 0, 1))
        >>> box_in_ego(VoxelGrid((-4, -1, 0), (4, 1, 2), 1.0, T_ego_grid))
        ((0.0, -4.0, 2.0), (2.0, 4.0, 4.0))
    """
    if grid.T_ego_grid is None:
        return grid.lower, grid.upper
    corners = np.stack(np.meshgrid(*zip(grid.lower, grid.upper), indexing="ij"), axis=-1).reshape(-1, 3)
    T = grid.T_ego_grid_matrix
    corners = corners @ T[:3, :3].T + T[:3, 3]
    (x0, y0, z0), (x1, y1, z1) = corners.min(0).tolist(), corners.max(0).tolist()
    return (x0, y0, z0), (x1, y1, z1)


def to_ego(points_grid: Tensor, grid: VoxelGrid) -> Tensor:
    """Points (..., 3) of the grid frame in the ego frame, metres."""
    if grid.T_ego_grid is None:
        return points_grid
    T_ego_grid = constant(_rows(grid.T_ego_grid_matrix), points_grid)
    return transform_points(T_ego_grid, points_grid.reshape(-1, 3)).view_as(points_grid)


def unit_centers(shape: tuple[int, int, int]) -> Tensor:
    """(X, Y, Z, 3) middles of the cells of a grid, 0..1 across its box.

    Example:
        >>> unit_centers((1, 2, 1))[0, :, 0].tolist()
        [[0.5, 0.25, 0.5], [0.5, 0.75, 0.5]]
    """
    axes = [(torch.arange(n) + 0.5) / n for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
