# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Visible faces of labelled voxels, merged into rectangles."""

from __future__ import annotations

import numpy as np

from gsocc_core.compiling import kernel


@kernel(nogil=True)
def merge_faces(groups, nothing, rectangles):
    """List the faces between a voxel and a neighbour of another group as rectangles of one plane and one group.

    Rectangles grow along the plane's second axis, then along its first, from each cell that none covers yet.

    Args:
        groups: (X, Y, Z) uint8.
        nothing: Group whose voxels have no faces.
        rectangles: (capacity, 8) int32 to fill: group, normal axis, side (0 lower, 1 upper), plane, then the
            rectangle's bounds a0, a1, b0, b1 along the two other axes in ascending order.

    Returns:
        Number of rectangles; those beyond the capacity are counted, not written.
    """
    shape = groups.shape
    count = 0
    for axis in range(3):
        a_axis, b_axis = (1 if axis == 0 else 0), (1 if axis == 2 else 2)
        layers, rows, columns = shape[axis], shape[a_axis], shape[b_axis]
        plane = np.empty((rows, columns), np.uint8)
        cell = np.empty(3, np.int64)
        for side in range(2):
            step = 1 if side == 1 else -1
            for layer in range(layers):
                some = False
                for a in range(rows):
                    for b in range(columns):
                        cell[axis], cell[a_axis], cell[b_axis] = layer, a, b
                        group = groups[cell[0], cell[1], cell[2]]
                        if group != nothing and 0 <= layer + step < layers:
                            cell[axis] = layer + step
                            if groups[cell[0], cell[1], cell[2]] == group:
                                group = nothing
                        plane[a, b] = group
                        some |= group != nothing
                if not some:
                    continue
                for a in range(rows):
                    b = 0
                    while b < columns:
                        group = plane[a, b]
                        if group == nothing:
                            b += 1
                            continue
                        b1 = b + 1
                        while b1 < columns and plane[a, b1] == group:
                            b1 += 1
                        a1 = a + 1
                        while a1 < rows:
                            same = True
                            for k in range(b, b1):
                                if plane[a1, k] != group:
                                    same = False
                                    break
                            if not same:
                                break
                            plane[a1, b:b1] = nothing
                            a1 += 1
                        if count < len(rectangles):
                            row = rectangles[count]
                            row[0], row[1], row[2], row[3] = group, axis, side, layer + side
                            row[4], row[5], row[6], row[7] = a, a1, b, b1
                        count += 1
                        b = b1
    return count
