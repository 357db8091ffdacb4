# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The numba kernel of coarse labels: one pass over the voxels of every block."""

from __future__ import annotations

import numba
import numpy as np

from gsocc_core.compiling import kernel


@kernel(parallel=True)
def commonest(labels, free_id, ignore_id, occupied_share, out):
    """Fill out (N, X, Y, Z) with the labels of blocks of labels (N, X x, Y y, Z z), both uint8.

    The rule is that of :func:`gsocc_core.losses.coarse_labels.coarse_labels`; of equally common things the one with the
    lowest id wins.
    """
    bx, by, bz = labels.shape[1] // out.shape[1], labels.shape[2] // out.shape[2], labels.shape[3] // out.shape[3]
    for job in numba.prange(out.shape[0] * out.shape[1]):
        n, x = job // out.shape[1], job % out.shape[1]
        counts = np.zeros(256, np.int64)
        for y in range(out.shape[2]):
            for z in range(out.shape[3]):
                block = labels[n, x * bx : (x + 1) * bx, y * by : (y + 1) * by, z * bz : (z + 1) * bz]
                known, occupied = 0, 0
                for i in range(bx):
                    for j in range(by):
                        for k in range(bz):
                            label = block[i, j, k]
                            if label != ignore_id:
                                known += 1
                                if label != free_id:
                                    occupied += 1
                                    counts[label] += 1
                best, most = free_id, 0
                for i in range(bx):
                    for j in range(by):
                        for k in range(bz):
                            label = block[i, j, k]
                            count = counts[label]
                            if count > most or (count == most and most > 0 and label < best):
                                best, most = label, count
                for i in range(bx):
                    for j in range(by):
                        for k in range(bz):
                            counts[block[i, j, k]] = 0
                full = occupied > 0 and occupied >= occupied_share * known
                out[n, x, y, z] = ignore_id if known == 0 else best if full else free_id
