# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Numba kernels that fill whole volumes, one tile of columns at a time: what inference asks for.

The arrays are those of :mod:`gsocc_core.splat.voxels.kernels`, but for rows: those here end with the share of the
density, so that a voxel's sums are one gapless row, C features, density, then zeros up to a multiple of eight. Up a
column neighbouring weights follow by multiplication instead of an exponential: phi(z + 1) / phi(z) is itself a
geometric sequence.

Composition ``mean`` has another row: C features times the opacity, 0, then 1. A Gaussian adds it, without any weight,
to every voxel that it covers, and its weight to the density's place; the sum of the ones is what both are divided by.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from gsocc_core.compiling import kernel
from gsocc_core.splat.simd import LANES, add_scaled
from gsocc_core.splat.voxels.kernels import (
    CURVATURE,
    FAST_MATH,
    SMALLEST,
    TILE,
    new_plans,
    plan_walks,
)


@kernel(fastmath=FAST_MATH)
def _part_of_tile(box, x0, y0, x1, y1):
    """Columns of a tile that a box meets: first and last along x and y, counted from the tile's corner."""
    return max(box[0], x0) - x0, min(box[1], x1 - 1) - x0, max(box[2], y0) - y0, min(box[3], y1 - 1) - y0


@kernel(fastmath=FAST_MATH)
def _add_tile(volume, x0, y0, x1, y1, levels, entries, scene):
    """Add all listed Gaussians to one tile; volume (TILE * TILE * Z, R) starts at zero."""
    (first, last, phis, ratios), rows = new_plans(), scene.rows
    for e in range(entries.shape[0]):
        i = entries[e]
        xa, xb, ya, yb = _part_of_tile(scene.boxes[i], x0, y0, x1, y1)
        span = slice(xa * TILE, (xb + 1) * TILE)
        part = first[span], last[span], phis[span], ratios[span]
        plan_walks(scene.centers[i], scene.forms[i], scene.boxes[i], x0 + xa, y0, scene.limit, *part)
        growth = math.exp(-scene.forms[i, CURVATURE])
        for x in range(xa, xb + 1):
            for k in range(x * TILE + ya, x * TILE + yb + 1):
                phi, ratio, base = float(phis[k] * scene.amplitudes[i]), float(ratios[k]), k * levels
                for z in range(first[k], last[k] + 1):
                    for c in range(0, rows.shape[1], LANES):
                        add_scaled(volume, base + z, rows, i, c, np.float32(phi))
                    phi *= ratio
                    ratio *= growth


@kernel(fastmath=FAST_MATH)
def _count_tile(volume, x0, y0, x1, y1, levels, entries, scene, column):
    """The same for ``mean``: rows without a weight as far as Gaussians cover, weights to the density's place."""
    (first, last, phis, ratios), rows = new_plans(), scene.rows
    for e in range(entries.shape[0]):
        i = entries[e]
        xa, xb, ya, yb = _part_of_tile(scene.boxes[i], x0, y0, x1, y1)
        span = slice(xa * TILE, (xb + 1) * TILE)
        part = first[span], last[span], phis[span], ratios[span]
        plan_walks(scene.centers[i], scene.forms[i], scene.boxes[i], x0 + xa, y0, scene.cover, *part)
        for x in range(xa, xb + 1):
            for k in range(x * TILE + ya, x * TILE + yb + 1):
                for row in range(k * levels + first[k], k * levels + last[k] + 1):
                    for c in range(0, rows.shape[1], LANES):
                        add_scaled(volume, row, rows, i, c, np.float32(1.0))
        if scene.limit < scene.cover:  # beyond it there is no weight left, and a walk could not start there
            plan_walks(scene.centers[i], scene.forms[i], scene.boxes[i], x0 + xa, y0, scene.limit, *part)
        growth = math.exp(-scene.forms[i, CURVATURE])
        for x in range(xa, xb + 1):
            for k in range(x * TILE + ya, x * TILE + yb + 1):
                phi, ratio = float(phis[k] * scene.amplitudes[i]), float(ratios[k])
                for row in range(k * levels + first[k], k * levels + last[k] + 1):
                    volume[row, column] += np.float32(phi)
                    phi *= ratio
                    ratio *= growth


@kernel()
def _tile_sums(x0, y0, x1, y1, levels, listed, scene, counted, channels):
    """Sums (TILE * TILE * Z, R) of one tile; for ``mean`` features and density divided, and then the divisor."""
    volume = np.zeros((TILE * TILE * levels, scene.rows.shape[1]), np.float32)
    if not counted:
        _add_tile(volume, x0, y0, x1, y1, levels, listed, scene)
        return volume
    _count_tile(volume, x0, y0, x1, y1, levels, listed, scene, channels)
    for v in range(volume.shape[0]):
        volume[v, channels + 1] = max(volume[v, channels + 1], np.float32(1.0))
        scale = np.float32(1.0) / volume[v, channels + 1]
        for c in range(channels + 1):
            volume[v, c] *= scale
    return volume


@kernel(parallel=True)
def fill_tiles(order, starts, entries, scene, counted, normalise, density, votes, divisors):
    """Fill density (X, Y, Z) and votes (X, Y, Z, C) tile by tile, in the given order of tiles.

    ``normalise`` divides the votes by the density. ``counted`` stands for ``mean``; then ``divisors`` (X, Y, Z), unless
    it is empty, receives what density and votes were divided by.
    """
    levels, channels = density.shape[2], votes.shape[3]
    tiles_y = (density.shape[1] + TILE - 1) // TILE
    for place in numba.prange(order.shape[0]):
        tile = order[place]
        x0, y0 = (tile // tiles_y) * TILE, (tile % tiles_y) * TILE
        x1, y1 = min(x0 + TILE, density.shape[0]), min(y0 + TILE, density.shape[1])
        listed = entries[starts[tile] : starts[tile + 1]]
        if listed.shape[0] == 0:
            density[x0:x1, y0:y1] = 0.0
            votes[x0:x1, y0:y1] = 0.0
            divisors[x0:x1, y0:y1] = 1.0
            continue
        volume = _tile_sums(x0, y0, x1, y1, levels, listed, scene, counted, channels)
        for x in range(x1 - x0):
            for y in range(y1 - y0):
                for z in range(levels):
                    source = volume[(x * TILE + y) * levels + z]
                    target = votes[x0 + x, y0 + y, z]
                    value = source[channels]
                    density[x0 + x, y0 + y, z] = value
                    scale = np.float32(1.0)
                    if normalise:
                        scale = np.float32(1.0) / value if value > SMALLEST else np.float32(0.0)
                    for c in range(channels):
                        target[c] = source[c] * scale
        if divisors.shape[0] > 0:
            for x in range(x1 - x0):
                for y in range(y1 - y0):
                    first = (x * TILE + y) * levels
                    divisors[x0 + x, y0 + y] = volume[first : first + levels, channels + 1]


@kernel(parallel=True)
def label_tiles(order, starts, entries, scene, counted, hazard, threshold, ids, free_id, labels, confidence):
    """Fill labels (X, Y, Z) and confidence without a volume of C channels: one tile's rows live at a time."""
    levels, channels = labels.shape[2], ids.shape[0]
    tiles_y = (labels.shape[1] + TILE - 1) // TILE
    for place in numba.prange(order.shape[0]):
        tile = order[place]
        x0, y0 = (tile // tiles_y) * TILE, (tile % tiles_y) * TILE
        x1, y1 = min(x0 + TILE, labels.shape[0]), min(y0 + TILE, labels.shape[1])
        labels[x0:x1, y0:y1] = free_id
        confidence[x0:x1, y0:y1] = 1.0
        listed = entries[starts[tile] : starts[tile + 1]]
        if listed.shape[0] == 0:
            continue
        volume = _tile_sums(x0, y0, x1, y1, levels, listed, scene, counted, channels)
        for x in range(x1 - x0):
            for y in range(y1 - y0):
                for z in range(levels):
                    row = volume[(x * TILE + y) * levels + z]
                    density = row[channels]
                    occupied = min(1.0 - math.exp(-density) if hazard else float(density), 1.0)
                    if density > 0.0 and occupied >= threshold:
                        value, best = row[0], 0
                        for c in range(1, channels):
                            better = row[c] > value  # no branch: which class wins cannot be predicted
                            best, value = (c if better else best), (row[c] if better else value)
                        labels[x0 + x, y0 + y, z] = ids[best]
                        confidence[x0 + x, y0 + y, z] = occupied
                    else:
                        confidence[x0 + x, y0 + y, z] = 1.0 - occupied
