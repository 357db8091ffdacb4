# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Groups of touching voxels."""

from __future__ import annotations

import numpy as np

from gsocc_core.compiling import kernel


@kernel(nogil=True)
def group_voxels(index, word, score, shape, corners, counts, totals, bests):
    """Walk from voxel to voxel over faces, edges and corners, word by word.

    Args:
        index: (M,) int64 flat numbers of voxels; those of one word stand together.
        word: (M,) their words.
        score: (M,) float32.
        shape: (3,) int64 of the grid.
        corners: (M, 2, 3) int64 to fill: first and last voxel of each group's box.
        counts: (M, 2) int64 to fill: word and number of voxels.
        totals: (M,) float64 to fill: sum of the scores.
        bests: (M,) float32 to fill: largest score.

    Returns:
        Number of groups, whose rows come first.
    """
    place = np.full(shape[0] * shape[1] * shape[2], -1, np.int32)
    cell = np.empty(3, np.int64)
    left = np.ones(len(index), np.bool_)
    stack = np.empty(len(index), np.int64)
    groups, begin = 0, 0
    while begin < len(index):
        end = begin
        while end < len(index) and word[end] == word[begin]:
            place[index[end]] = end
            end += 1
        for seed in range(begin, end):
            if not left[seed]:
                continue
            left[seed] = False
            stack[0], size = seed, 1
            counts[groups, 0], counts[groups, 1] = word[seed], 0
            totals[groups], bests[groups] = 0.0, score[seed]
            for axis in range(3):
                corners[groups, 0, axis], corners[groups, 1, axis] = shape[axis], -1
            while size:
                size -= 1
                one = stack[size]
                cell[0] = index[one] // (shape[1] * shape[2])
                cell[1] = index[one] // shape[2] % shape[1]
                cell[2] = index[one] % shape[2]
                counts[groups, 1] += 1
                totals[groups] += score[one]
                bests[groups] = max(bests[groups], score[one])
                for axis in range(3):
                    corners[groups, 0, axis] = min(corners[groups, 0, axis], cell[axis])
                    corners[groups, 1, axis] = max(corners[groups, 1, axis], cell[axis])
                for a in range(max(cell[0] - 1, 0), min(cell[0] + 2, shape[0])):
                    for b in range(max(cell[1] - 1, 0), min(cell[1] + 2, shape[1])):
                        for c in range(max(cell[2] - 1, 0), min(cell[2] + 2, shape[2])):
                            near = place[(a * shape[1] + b) * shape[2] + c]
                            if near >= 0 and left[near]:
                                left[near] = False
                                stack[size] = near
                                size += 1
            groups += 1
        for one in range(begin, end):
            place[index[one]] = -1
        begin = end
    return groups
