# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Numba kernels that sum Gaussians up in the voxels that are asked for, one tile of columns at a time.

The arrays, and what a row is, are those of :mod:`gsocc_core.splat.voxels.kernels`. Features are rows of a list: those
of column c of the grid (x * Y + y) are votes[firsts[c]:firsts[c + 1]], from its lowest voxel that is asked for features
to its highest one.
"""

from __future__ import annotations

import numba
import numpy as np

from gsocc_core.compiling import kernel
from gsocc_core.splat.voxels.columns import LEVELS_AT_ONCE, add_rows, weigh_and_add
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


@kernel()
def padded(levels):
    """Length of a column of densities or weights."""
    return (levels + LEVELS_AT_ONCE - 1) // LEVELS_AT_ONCE * LEVELS_AT_ONCE


@kernel()
def wanted_levels(wanted, x0, y0, x1, y1, levels):
    """What is asked of a tile: of every column, levels with features, and the range of levels with anything.

    Args:
        wanted: (X, Y, Z) uint8, :data:`NOTHING` and so on.
        x0: First column along x.
        y0: First column along y.
        x1: End along x.
        y1: End along y.
        levels: Z.

    Returns:
        cuts (TILE * TILE, Z + 1) and heights: column k wants features at heights[cuts[k, 0]:cuts[k, Z]], and cuts[k, z]
        is the first one at z or above; lowest and highest (TILE * TILE,).
    """
    cuts, heights = np.empty((TILE * TILE, levels + 1), np.int32), np.empty(TILE * TILE * levels, np.int32)
    lowest, highest = np.full(TILE * TILE, levels, np.int32), np.full(TILE * TILE, -1, np.int32)
    count = 0
    for k in range(TILE * TILE):
        x, y = x0 + k // TILE, y0 + k % TILE
        cuts[k] = count
        if x < x1 and y < y1:
            for z in range(levels):
                asked = wanted[x, y, z]
                if asked != NOTHING:
                    lowest[k], highest[k] = min(lowest[k], z), z
                if asked == FEATURES:
                    heights[count] = z
                    count += 1
                cuts[k, z + 1] = count
    return cuts, heights[:count], lowest, highest


@kernel(fastmath=FAST_MATH)
def _add_tile(density, votes, x0, y0, x1, y1, asked, listed, scene):
    """Add the weights of listed Gaussians to density (TILE * TILE, Z'), and weighted rows to votes (S, R)."""
    cuts, heights, lowest, highest = asked
    first, last, power, offset = new_plans()
    weights = np.zeros((1, density.shape[1]), np.float32)
    rows, boxes = scene.rows, scene.boxes
    for e in range(listed.shape[0]):
        i = listed[e]
        xa, xb = max(boxes[i, 0], x0) - x0, min(boxes[i, 1], x1 - 1) - x0
        ya, yb = max(boxes[i, 2], y0) - y0, min(boxes[i, 3], y1 - 1) - y0
        part = slice(xa * TILE, (xb + 1) * TILE)
        plan_columns(
            scene.centers[i], scene.forms[i], boxes[i], x0 + xa, y0, scene.limit, first[part], last[part],
            power[part], offset[part],
        )  # fmt: skip
        bend, amplitude, share = np.float32(HALF_LOG2 * scene.forms[i, CURVATURE]), scene.amplitudes[i], scene.shares[i]
        for x in range(xa, xb + 1):
            for k in range(x * TILE + ya, x * TILE + yb + 1):
                low, high = max(first[k], lowest[k]), min(last[k], highest[k])
                if low > high:
                    continue
                weigh_and_add(weights, density, k, (low, high, first[k]), (power[k], bend, amplitude, offset[k]), share)
                add_rows(votes, cuts[k, low], cuts[k, high + 1], heights, rows, i, weights)


@kernel(fastmath=FAST_MATH)
def _write_tile(x0, y0, x1, y1, sums, asked, normalise, wanted, firsts, density, votes):
    """Copy the sums of one tile to where they belong, features divided by the density where ``normalise`` says so."""
    cuts, heights, _, _ = asked
    levels, channels = density.shape[2], votes.shape[1]
    for x in range(x0, x1):
        for y in range(y0, y1):
            k, row = (x - x0) * TILE + y - y0, firsts[x * density.shape[1] + y]
            for z in range(levels):
                density[x, y, z] = sums[0][k, z] if wanted[x, y, z] != NOTHING else np.float32(0.0)
            for s in range(cuts[k, 0], cuts[k, -1]):
                value, scale = sums[0][k, heights[s]], np.float32(1.0)
                if normalise:
                    scale = np.float32(1.0) / value if value > SMALLEST else np.float32(0.0)
                for c in range(channels):
                    votes[row, c] = sums[1][s, c] * scale
                row += 1


@kernel(parallel=True)
def splat_tiles(order, starts, entries, scene, normalise, wanted, firsts, density, votes):
    """Fill density (X, Y, Z) and votes (S, C) tile by tile, in the given order of tiles.

    Args:
        order: Tiles.
        starts: Where each tile's Gaussians begin in ``entries``.
        entries: Gaussians of all tiles.
        scene: The Gaussians.
        normalise: Divide the votes by the density.
        wanted: What is asked of each voxel, see :func:`wanted_levels`.
        firsts: (X * Y + 1,) rows of the columns in ``votes``.
        density: Receives the density; 0 where nothing is asked.
        votes: Receives the features.
    """
    levels, size_y = density.shape[2], density.shape[1]
    tiles_y = (size_y + TILE - 1) // TILE
    for place in numba.prange(order.shape[0]):
        tile = order[place]
        x0, y0 = (tile // tiles_y) * TILE, (tile % tiles_y) * TILE
        x1, y1 = min(x0 + TILE, density.shape[0]), min(y0 + TILE, size_y)
        listed = entries[starts[tile] : starts[tile + 1]]
        if listed.shape[0] == 0:
            density[x0:x1, y0:y1] = 0.0
            for x in range(x0, x1):
                votes[firsts[x * size_y + y0] : firsts[x * size_y + y1]] = 0.0
            continue
        asked = wanted_levels(wanted, x0, y0, x1, y1, levels)
        sums = np.zeros((TILE * TILE, padded(levels)), np.float32)
        rows = np.zeros((asked[1].shape[0], scene.rows.shape[1]), np.float32)
        _add_tile(sums, rows, x0, y0, x1, y1, asked, listed, scene)
        _write_tile(x0, y0, x1, y1, (sums, rows), asked, normalise, wanted, firsts, density, votes)
