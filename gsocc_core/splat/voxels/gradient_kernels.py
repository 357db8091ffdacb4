# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Numba kernels of the backward pass: every Gaussian gathers gradients from its voxels, tile by tile.

The arrays, and what a row is, are those of :mod:`gsocc_core.splat.voxels.kernels` and ``sum_kernels``. A tile's
gradients lie in the cache while all of its Gaussians read them, and voxels without a gradient are passed over. What a
Gaussian gathers in one tile is an entry of its own, so that no two threads write the same number; the entries are added
up one after the other.
"""

from __future__ import annotations

import numba
import numpy as np

from gsocc_core.compiling import kernel
from gsocc_core.splat.simd import LANES, add_scaled, any_nonzero, dot
from gsocc_core.splat.voxels.columns import gather, weigh_thrice
from gsocc_core.splat.voxels.kernels import (
    CURVATURE,
    FAST_MATH,
    FEATURES,
    HALF_LOG2,
    NOTHING,
    SMALLEST,
    TILE,
    new_plans,
    plan_columns,
)
from gsocc_core.splat.voxels.sum_kernels import padded

#: Sums of an entry: phi <grad, row> times 1, d, d d^T (upper triangle), and phi times the density's gradient.
SUMS = 11


@kernel(fastmath=FAST_MATH, forceinline=True)
def _is_not_zero(values, row):
    """Whether a row holds anything but zeros."""
    c, some = 0, False
    while c + LANES <= values.shape[1]:
        some = some or any_nonzero(values, row, c)
        c += LANES
    for k in range(c, values.shape[1]):
        some = some or values[row, k] != 0.0
    return some


@kernel(fastmath=FAST_MATH, forceinline=True)
def _product(a, b, row):
    """Product of the same row of two lists."""
    c, total = 0, np.float32(0.0)
    while c + LANES <= a.shape[1]:
        total += dot(a, row, b, row, c)
        c += LANES
    for k in range(c, a.shape[1]):
        total += a[row, k] * b[row, k]
    return total


@kernel(fastmath=FAST_MATH)
def _tile_gradients(x0, y0, x1, y1, normalise, wanted, firsts, density, votes, by_density, by_votes, width):
    """Gradients by the unnormalised sums of one tile. d (num / den) = (d num - feature d den) / den.

    Returns:
        by density (TILE * TILE, Z'), by rows (S, R), and as in ``wanted_levels`` cuts, heights, lowest and highest of
        the levels with a gradient: of their rows, and any.
    """
    levels, channels, everything = density.shape[2], votes.shape[1], wanted.shape[0] == 0
    grads = np.zeros((TILE * TILE, padded(levels)), np.float32)
    cuts, heights = np.empty((TILE * TILE, levels + 1), np.int32), np.empty(TILE * TILE * levels, np.int32)
    sources = np.empty(TILE * TILE * levels, np.int64)
    lowest, highest = np.full(TILE * TILE, levels, np.int32), np.full(TILE * TILE, -1, np.int32)
    count = 0
    for k in range(TILE * TILE):
        x, y = x0 + k // TILE, y0 + k % TILE
        cuts[k] = count
        if x < x1 and y < y1:
            row = firsts[x * density.shape[1] + y]
            for z in range(levels):
                asked = FEATURES if everything else wanted[x, y, z]
                grad, some = by_density[x, y, z] if asked != NOTHING else np.float32(0.0), False
                if asked == FEATURES:
                    some = _is_not_zero(by_votes, row)
                    if some and normalise:
                        value = density[x, y, z]
                        some = value > SMALLEST
                        if some:
                            grad -= _product(by_votes, votes, row) / value
                    if some:
                        heights[count], sources[count] = z, row
                        count += 1
                    row += 1
                grads[k, z], cuts[k, z + 1] = grad, count
                if some or grad != 0.0:
                    lowest[k], highest[k] = min(lowest[k], z), z
    rows = np.zeros((count, width), np.float32)
    for k in range(TILE * TILE):
        for s in range(cuts[k, 0], cuts[k, -1]):
            scale = np.float32(1.0)
            if normalise:
                scale /= density[x0 + k // TILE, y0 + k % TILE, heights[s]]
            for c in range(channels):
                rows[s, c] = by_votes[sources[s], c] * scale
    return grads, rows, (cuts, heights[:count], lowest, highest)


@kernel(fastmath=FAST_MATH)
def _gather_tile(grads, x0, y0, x1, y1, listed, scene, g_rows, sums):
    """What the listed Gaussians gather in one tile: g_rows (E, R) of phi grad, sums (E, SUMS); both are zeros."""
    by_density, by_rows, (cuts, heights, lowest, highest) = grads
    first, last, power, offset = new_plans()
    weights = np.zeros((3, by_density.shape[1]), np.float32)
    rows, boxes, centers = scene.rows, scene.boxes, scene.centers
    for e in range(listed.shape[0]):
        i = listed[e]
        xa, xb = max(boxes[i, 0], x0) - x0, min(boxes[i, 1], x1 - 1) - x0
        ya, yb = max(boxes[i, 2], y0) - y0, min(boxes[i, 3], y1 - 1) - y0
        part = slice(xa * TILE, (xb + 1) * TILE)
        plan_columns(
            centers[i], scene.forms[i], boxes[i], x0 + xa, y0, scene.limit, first[part], last[part], power[part],
            offset[part],
        )  # fmt: skip
        bend, share = np.float32(HALF_LOG2 * scene.forms[i, CURVATURE]), scene.shares[i]
        for k in range(xa * TILE + ya, xb * TILE + yb + 1):
            if k % TILE < ya or k % TILE > yb:
                continue
            low, high = max(first[k], lowest[k]), min(last[k], highest[k])
            if low > high:
                continue
            numbers = (power[k], bend, np.float32(1.0), offset[k])
            weigh_thrice(weights, (low, high, first[k]), numbers, np.float32(first[k] - centers[i, 2]))
            sum0, sum1, sum2, grad = gather(
                weights,
                (low, high),
                by_density,
                k,
                share,
                by_rows,
                cuts[k, low],
                cuts[k, high + 1],
                heights,
                rows,
                i,
                g_rows,
                e,
            )
            dx, dy = x0 + k // TILE - centers[i, 0], y0 + k % TILE - centers[i, 1]
            sums[e, 0] += sum0
            sums[e, 1] += sum0 * dx
            sums[e, 2] += sum0 * dy
            sums[e, 3] += sum1
            sums[e, 4] += sum0 * dx * dx
            sums[e, 5] += sum0 * dx * dy
            sums[e, 6] += sum1 * dx
            sums[e, 7] += sum0 * dy * dy
            sums[e, 8] += sum1 * dy
            sums[e, 9] += sum2
            sums[e, 10] += grad


@kernel(parallel=True)
def gather_tiles(
    order, starts, entries, scene, normalise, wanted, firsts, density, votes, by_density, by_votes, first, g_rows, sums
):
    """Fill g_rows (E, R) and sums (E, SUMS), zeros, with what every Gaussian gathers in the tiles of ``order``.

    ``first`` is the entry that the first row belongs to. The other arguments are those of ``splat_tiles``, what it
    wrote and the gradients by that.
    """
    size_y = density.shape[1]
    tiles_y = (size_y + TILE - 1) // TILE
    for place in numba.prange(order.shape[0]):
        tile = order[place]
        begin, end = starts[tile], starts[tile + 1]
        if begin < end:
            x0, y0 = (tile // tiles_y) * TILE, (tile % tiles_y) * TILE
            x1, y1 = min(x0 + TILE, density.shape[0]), min(y0 + TILE, size_y)
            grads = _tile_gradients(
                x0, y0, x1, y1, normalise, wanted, firsts, density, votes, by_density, by_votes, g_rows.shape[1]
            )
            if np.max(grads[2][3]) >= 0:
                part = slice(begin - first, end - first)
                _gather_tile(grads, x0, y0, x1, y1, entries[begin:end], scene, g_rows[part], sums[part])


@kernel()
def add_entries(listed, g_rows, sums, all_rows, all_sums):
    """Add what was gathered in tiles, (E, R) and (E, SUMS), to the sums (N, R) and (N, SUMS) of the Gaussians."""
    for e in range(listed.shape[0]):
        i = listed[e]
        for c in range(g_rows.shape[1]):
            all_rows[i, c] += g_rows[e, c]
        for c in range(SUMS):
            all_sums[i, c] += sums[e, c]


@kernel()
def shape_gradients(sums, whitening, size, amplitudes, g_means, g_whitening):
    """Gradients of means (N, 3) and whitening (N, 3, 3) from the sums (N, SUMS).

    With q = |A d|^2 and S = sum dL/dq d d^T, m = sum dL/dq d: dL/dA = 2 A S and dL/dmean = -2 A^T A m.
    """
    m, s = np.empty(3), np.empty((3, 3))
    for i in range(sums.shape[0]):
        scale, A, index = -0.5 * amplitudes[i], whitening[i], 4
        for j in range(3):
            m[j] = scale * sums[i, 1 + j] * size[j]
            for k in range(j, 3):
                s[j, k] = scale * sums[i, index] * size[j] * size[k]
                s[k, j] = s[j, k]
                index += 1
        for r in range(3):
            am = A[r, 0] * m[0] + A[r, 1] * m[1] + A[r, 2] * m[2]
            for k in range(3):
                g_whitening[i, r, k] = 2.0 * (A[r, 0] * s[0, k] + A[r, 1] * s[1, k] + A[r, 2] * s[2, k])
                g_means[i, k] -= 2.0 * A[r, k] * am


@kernel(fastmath=FAST_MATH)
def _gather_covered(grads, size_y, levels, center, form, box, i, cover, plans, g_rows):
    """g_rows[i] += grad of every voxel that Gaussian i covers."""
    first, last, power, offset = plans
    for x0 in range(box[0], box[1] + 1, TILE):
        for y0 in range(box[2], box[3] + 1, TILE):
            count_x, count_y = min(TILE, box[1] + 1 - x0), min(TILE, box[3] + 1 - y0)
            part = slice(0, count_x * TILE)
            plan_columns(center, form, box, x0, y0, cover, first[part], last[part], power[part], offset[part])
            for x in range(count_x):
                for k in range(x * TILE, x * TILE + count_y):
                    base = ((x0 + x) * size_y + y0 + k % TILE) * levels
                    for row in range(base + first[k], base + last[k] + 1):
                        for c in range(0, g_rows.shape[1], LANES):
                            add_scaled(g_rows, i, grads, row, c, np.float32(1.0))


@kernel(parallel=True)
def gather_covered(order, cuts, scene, shape, grads, g_rows):
    """Composition ``mean``: g_rows[i] += grad of every voxel that Gaussian i covers, whatever its weight there."""
    for chunk in numba.prange(cuts.shape[0] - 1):
        plans = new_plans()
        for place in range(cuts[chunk], cuts[chunk + 1]):
            i = order[place]
            _gather_covered(
                grads, shape[1], shape[2], scene.centers[i], scene.forms[i], scene.boxes[i], i, scene.cover, plans,
                g_rows,
            )  # fmt: skip
