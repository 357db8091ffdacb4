# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The compiled loop that follows rays through voxels, in one thread."""

from __future__ import annotations

import math

import numpy as np

from gsocc_core.compiling import kernel


@kernel()
def trace_rays(origins: np.ndarray, ends: np.ndarray, hits: np.ndarray, mask: np.ndarray) -> None:
    """Mark the voxels that rays pass through, by the traversal of Amanatides and Woo (1987).

    Args:
        origins: (N, 3) float64 starts, voxel units: voxel (i, j, k) covers [i, i + 1) x [j, j + 1) x [k, k + 1).
        ends: (N, 3) float64 ends, voxel units.
        hits: (N,) bool: the ray ends on a surface, whose voxel is marked whatever the rounding.
        mask: (X, Y, Z) uint8, 1 is written.
    """
    nx, ny, nz = mask.shape
    for i in range(origins.shape[0]):
        ox, oy, oz = origins[i, 0], origins[i, 1], origins[i, 2]
        ex, ey, ez = ends[i, 0], ends[i, 1], ends[i, 2]
        if hits[i]:
            x, y, z = int(math.floor(ex)), int(math.floor(ey)), int(math.floor(ez))
            if 0 <= x < nx and 0 <= y < ny and 0 <= z < nz:
                mask[x, y, z] = 1
        enter_x, leave_x = _inside_slab(ox, ex - ox, nx)
        enter_y, leave_y = _inside_slab(oy, ey - oy, ny)
        enter_z, leave_z = _inside_slab(oz, ez - oz, nz)
        enter, leave = max(enter_x, enter_y, enter_z, 0.0), min(leave_x, leave_y, leave_z, 1.0)
        if enter >= leave:
            continue
        x, step_x, next_x, delta_x = _axis(ox, ex - ox, enter, nx)
        y, step_y, next_y, delta_y = _axis(oy, ey - oy, enter, ny)
        z, step_z, next_z, delta_z = _axis(oz, ez - oz, enter, nz)
        while 0 <= x < nx and 0 <= y < ny and 0 <= z < nz:
            mask[x, y, z] = 1
            if min(next_x, next_y, next_z) >= leave:
                break
            if next_x <= next_y and next_x <= next_z:
                x += step_x
                next_x += delta_x
            elif next_y <= next_z:
                y += step_y
                next_y += delta_y
            else:
                z += step_z
                next_z += delta_z


@kernel()
def _inside_slab(origin: float, way: float, count: int) -> tuple[float, float]:
    """Ray parameters at which origin + t * way enters and leaves [0, count]."""
    if abs(way) < 1e-12:
        return (-math.inf, math.inf) if 0.0 <= origin < count else (math.inf, -math.inf)
    first, second = -origin / way, (count - origin) / way
    return min(first, second), max(first, second)


@kernel()
def _axis(origin: float, way: float, enter: float, count: int) -> tuple[int, int, float, float]:
    """First voxel along one axis, step, ray parameter of the next voxel border, and of every further one."""
    cell = min(max(int(math.floor(origin + enter * way)), 0), count - 1)
    if abs(way) < 1e-12:
        return cell, 0, math.inf, math.inf
    if way > 0.0:
        return cell, 1, (cell + 1 - origin) / way, 1.0 / way
    return cell, -1, (cell - origin) / way, -1.0 / way
