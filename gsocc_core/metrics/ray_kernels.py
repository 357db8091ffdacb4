# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Marching of rays through labelled voxels."""

from __future__ import annotations

import math

import numba
import numpy as np

from gsocc_core.compiling import kernel


@kernel(parallel=True)
def march(labels, free_id, origins, directions, distances, hits):
    """First occupied voxel of every ray, in voxel units (Amanatides & Woo 1987); the far side of that voxel counts.

    A ray that meets nothing ends at the far side of the grid with the class of the last voxel, which is free. A ray
    that starts outside the grid is followed to where it enters; one that never enters has distance 0 and is free.
    """
    count = directions.shape[0]
    for r in numba.prange(origins.shape[0] * count):
        origin, direction = origins[r // count], directions[r % count]
        cell = np.empty(3, np.int64)
        step = np.empty(3, np.int64)
        t_next = np.empty(3)
        t_delta = np.empty(3)
        inside, comes_nearer = True, True
        for a in range(3):
            cell[a] = math.floor(origin[a])
            inside = inside and 0 <= cell[a] < labels.shape[a]
            d = direction[a] if abs(direction[a]) > 1e-12 else 1e-12
            step[a] = 1 if d > 0 else -1
            t_delta[a] = abs(1.0 / d)
            t_next[a] = (cell[a] + (1 if d > 0 else 0) - origin[a]) / d
        t, label = 0.0, free_id
        while comes_nearer and not inside:
            axis = 0
            if t_next[1] < t_next[axis]:
                axis = 1
            if t_next[2] < t_next[axis]:
                axis = 2
            cell[axis] += step[axis]
            t_next[axis] += t_delta[axis]
            inside = True
            for a in range(3):
                inside = inside and 0 <= cell[a] < labels.shape[a]
                if (cell[a] < 0 and step[a] < 0) or (cell[a] >= labels.shape[a] and step[a] > 0):
                    comes_nearer = False
        while inside:
            axis = 0
            if t_next[1] < t_next[axis]:
                axis = 1
            if t_next[2] < t_next[axis]:
                axis = 2
            t = t_next[axis]
            label = labels[cell[0], cell[1], cell[2]]
            if label != free_id:
                break
            cell[axis] += step[axis]
            t_next[axis] += t_delta[axis]
            inside = 0 <= cell[axis] < labels.shape[axis]
        distances[r] = t
        hits[r] = label
