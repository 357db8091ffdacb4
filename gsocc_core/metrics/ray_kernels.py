# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Marching of rays through labelled voxels."""

from __future__ import annotations

import math

import numba
import numpy as np

from gsocc_core.compiling import kernel

FREE, OCCUPIED, OUTSIDE = 0, 1, 2


@kernel(forceinline=True)
def _along(origin, direction):
    """One axis of a ray: cell, step, and t of the first and between any two crossings of faces."""
    cell = math.floor(origin)
    d = direction if abs(direction) > 1e-12 else 1e-12
    ahead = d > 0
    return cell, (1 if ahead else -1), (cell + (1 if ahead else 0) - origin) / d, abs(1.0 / d)


@kernel(forceinline=True)
def _nearest(t_x, t_y, t_z):
    """Whether y is crossed before x, whether z is crossed before both, and t of the first crossing."""
    y_first = t_y < t_x
    t = t_y if y_first else t_x
    z_first = t_z < t
    return y_first, z_first, (t_z if z_first else t)


@kernel(forceinline=True)
def _passed(cell, step, size):
    """Whether a ray lies behind the grid along one axis and goes on away from it."""
    return (cell < 0 and step < 0) or (cell >= size and step > 0)


@kernel()
def march_ray(codes, origin, direction):
    """The last cell of a ray, flat in ``codes``, and t of its far side; 0 and 0 where it never enters the grid."""
    size_x, size_y, size_z = codes.shape[0] - 2, codes.shape[1] - 2, codes.shape[2] - 2
    x, step_x, t_x, delta_x = _along(origin[0], direction[0])
    y, step_y, t_y, delta_y = _along(origin[1], direction[1])
    z, step_z, t_z, delta_z = _along(origin[2], direction[2])
    while not (0 <= x < size_x and 0 <= y < size_y and 0 <= z < size_z):
        y_first, z_first, _ = _nearest(t_x, t_y, t_z)
        if z_first:
            z, t_z = z + step_z, t_z + delta_z
        elif y_first:
            y, t_y = y + step_y, t_y + delta_y
        else:
            x, t_x = x + step_x, t_x + delta_x
        if _passed(x, step_x, size_x) or _passed(y, step_y, size_y) or _passed(z, step_z, size_z):
            return 0, 0.0
    flat, row = codes.reshape(-1), codes.shape[2]
    cell = ((x + 1) * codes.shape[1] + y + 1) * row + z + 1
    step_y, step_x = step_y * row, step_x * row * codes.shape[1]
    before, t_before = 0, 0.0
    while True:  # without branches inside: which axis comes next cannot be predicted
        y_first, z_first, t = _nearest(t_x, t_y, t_z)
        code = flat[cell]
        if code == OCCUPIED:
            return cell, t
        if code == OUTSIDE:
            return before, t_before
        before, t_before = cell, t
        cell += step_z if z_first else (step_y if y_first else step_x)
        t_x = t_x if y_first or z_first else t_x + delta_x
        t_y = t_y + delta_y if y_first and not z_first else t_y
        t_z = t_z + delta_z if z_first else t_z


@kernel(parallel=True)
def march(labels, free_id, origins, directions, distances, hits):
    """First occupied voxel of every ray, in voxel units (Amanatides & Woo 1987); the far side of that voxel counts.

    A ray that meets nothing ends at the far side of the grid with the class of the last voxel, which is free. A ray
    that starts outside the grid is followed to where it enters; one that never enters has distance 0 and is free.
    """
    # With a border of cells around the grid, one byte says whether a ray goes on.
    codes = np.full((labels.shape[0] + 2, labels.shape[1] + 2, labels.shape[2] + 2), OUTSIDE, np.uint8)
    for x in numba.prange(labels.shape[0]):
        for y in range(labels.shape[1]):
            for z in range(labels.shape[2]):
                codes[x + 1, y + 1, z + 1] = FREE if labels[x, y, z] == free_id else OCCUPIED
    count, row = directions.shape[0], codes.shape[2]
    for r in numba.prange(origins.shape[0] * count):
        cell, distances[r] = march_ray(codes, origins[r // count], directions[r % count])
        x, y, z = cell // (row * codes.shape[1]) - 1, cell // row % codes.shape[1] - 1, cell % row - 1
        hits[r] = labels[x, y, z] if cell > 0 else free_id
