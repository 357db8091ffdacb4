# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Which voxels rays pass through."""

from __future__ import annotations

import numpy as np

from gsocc_core.errors import ShapeError
from gsocc_core.geometry.traversal_kernels import trace_rays
from gsocc_core.geometry.voxels import VoxelGrid


def T_voxel_ego(grid: VoxelGrid) -> np.ndarray:
    """(4, 4) float64 affine map from the ego frame (metres) into voxel units; voxel (i, j, k) starts at (i, j, k).

    Example:
        >>> T_voxel_ego(VoxelGrid.occ3d())[:3, 3].round(6)
        array([100. , 100. ,   2.5])
    """
    T = np.diag([*(1.0 / np.asarray(grid.size_m)), 1.0])
    T[:3, 3] = -np.asarray(grid.lower) / np.asarray(grid.size_m)
    return T @ np.linalg.inv(grid.T_ego_grid_matrix)


def trace(origins_ego_m: np.ndarray, ends_ego_m: np.ndarray, hits: np.ndarray, grid: VoxelGrid) -> np.ndarray:
    """Voxels that rays pass through or end in.

    Args:
        origins_ego_m: (N, 3) starts, ego frame, metres.
        ends_ego_m: (N, 3) ends, ego frame, metres.
        hits: (N,) bool: the ray ends on a surface.
        grid: Grid in the ego frame.

    Returns:
        (X, Y, Z) uint8, 1 = passed through or first hit.

    Raises:
        ShapeError: lengths differ.

    Example:
        >>> grid = VoxelGrid((0, 0, 0), (3, 1, 1), 1.0)
        >>> trace(np.array([[0.5, 0.5, 0.5]]), np.array([[1.5, 0.5, 0.5]]), np.array([True]), grid).ravel()
        array([1, 1, 0], dtype=uint8)
    """
    if origins_ego_m.shape != ends_ego_m.shape or hits.shape != origins_ego_m.shape[:1]:
        raise ShapeError("trace", "hits", "one per ray", (origins_ego_m.shape, ends_ego_m.shape, hits.shape))
    T = T_voxel_ego(grid)
    mask = np.zeros(grid.shape, np.uint8)
    origins, ends = (points @ T[:3, :3].T + T[:3, 3] for points in (origins_ego_m, ends_ego_m))
    trace_rays(origins, ends, hits, mask)
    return mask
