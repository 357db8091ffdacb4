# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Numba kernels between Gaussians and voxels: tiles of columns forward, one Gaussian at a time backward.

Lengths are in voxels, and voxel (x, y, z) has its centre at (x, y, z). In a column of voxels the squared Mahalanobis
distance is q(z) = q_min + a (z - z_min)^2 with q_min a quadratic and z_min a linear form of (x, y): the voxels inside
an ellipsoid are found without testing the others, and neighbouring weights follow by multiplication instead of an
exponential: phi(z + 1) / phi(z) is itself a geometric sequence.

A *row* is what a Gaussian adds to a voxel, times its weight: C features, then its share of the density, then zeros up
to a multiple of eight, so that a row is a whole number of vector registers.

Composition ``mean`` has another row: C features times the opacity, 0, then 1. A Gaussian adds it, without any weight,
to every voxel that it covers, and its weight to the density's place; the sum of the ones is what both are divided by.
"""

from __future__ import annotations

import math
from typing import get_args

import numba
import numpy as np

from gsocc_core.compiling import kernel
from gsocc_core.splat.options import Support
from gsocc_core.splat.shapes import MIN_WEIGHT
from gsocc_core.splat.simd import LANES, add_scaled, exp32

#: Columns along x and y of one tile.
TILE = 8
SMALLEST = np.float32(MIN_WEIGHT)
ELLIPSOID, BOX, BOX_VOXELS = (get_args(Support).index(name) for name in ("ellipsoid", "box", "box_voxels"))

#: Columns of ``forms``, from |A d|^2 = |R d|^2 with R triangular: q_min = (UX x + UY y)^2 + (VX x)^2,
#: z_min = EX x + EY y, curvature a.
UX, UY, VX, EX, EY, CURVATURE = range(6)

FAST_MATH = {"reassoc", "contract", "nsz", "arcp"}


@kernel()
def prepare(means, whitening, half_extents, lower, size, shape, support):
    """Gaussians in voxel units and their tile lists.

    Args:
        means: (N, 3) metres.
        whitening: (N, 3, 3) per metre.
        half_extents: (N, 3) metres.
        lower: (3,) corner of the grid, metres.
        size: (3,) voxel edges, metres.
        shape: (3,) voxels.
        support: :data:`ELLIPSOID`, :data:`BOX` or :data:`BOX_VOXELS`.

    Returns:
        centers (N, 3) voxels, forms (N, 6), boxes (N, 6) first and last voxel along x, y and z, starts (T + 1,) and
        entries (E,): the Gaussians of tile t are entries[starts[t]:starts[t + 1]].
    """
    n = means.shape[0]
    centers, forms, boxes = np.empty((n, 3)), np.empty((n, 6)), np.empty((n, 6), np.int32)
    tiles_x, tiles_y = (shape[0] + TILE - 1) // TILE, (shape[1] + TILE - 1) // TILE
    counts = np.zeros(tiles_x * tiles_y + 1, np.int64)
    for i in range(n):
        for k in range(3):
            centers[i, k] = (means[i, k] - lower[k]) / size[k] - 0.5
        _triangular_form(whitening[i], size, forms[i])
        _voxel_box(centers[i], half_extents[i], size, shape, support, boxes[i])
        for tx in range(boxes[i, 0] // TILE, boxes[i, 1] // TILE + 1):
            for ty in range(boxes[i, 2] // TILE, boxes[i, 3] // TILE + 1):
                counts[tx * tiles_y + ty + 1] += 1
    starts = np.cumsum(counts)
    entries = np.empty(starts[-1], np.int32)
    fill = starts[:-1].copy()
    for i in range(n):
        for tx in range(boxes[i, 0] // TILE, boxes[i, 1] // TILE + 1):
            for ty in range(boxes[i, 2] // TILE, boxes[i, 3] // TILE + 1):
                tile = tx * tiles_y + ty
                entries[fill[tile]] = i
                fill[tile] += 1
    return centers, forms, boxes, starts, entries


@kernel()
def _triangular_form(whitening, size, form):
    """Orthogonalise the columns z, y, x of A (Gram-Schmidt): sums of squares without cancellation."""
    ax, ay, az = whitening[:, 0] * size[0], whitening[:, 1] * size[1], whitening[:, 2] * size[2]
    r_z = math.sqrt(az[0] * az[0] + az[1] * az[1] + az[2] * az[2])
    zy = (az[0] * ay[0] + az[1] * ay[1] + az[2] * ay[2]) / r_z
    zx = (az[0] * ax[0] + az[1] * ax[1] + az[2] * ax[2]) / r_z
    for k in range(3):
        ay[k] -= zy * az[k] / r_z
        ax[k] -= zx * az[k] / r_z
    r_y = max(math.sqrt(ay[0] * ay[0] + ay[1] * ay[1] + ay[2] * ay[2]), 1e-30)
    yx = (ay[0] * ax[0] + ay[1] * ax[1] + ay[2] * ax[2]) / r_y
    for k in range(3):
        ax[k] -= yx * ay[k] / r_y
    form[UX], form[UY], form[VX] = yx, r_y, math.sqrt(ax[0] * ax[0] + ax[1] * ax[1] + ax[2] * ax[2])
    form[EX], form[EY], form[CURVATURE] = -zx / r_z, -zy / r_z, r_z * r_z


@kernel()
def _voxel_box(center, half_extent, size, shape, support, box):
    """First and last voxel of the tight box along x, y and z; (0, -1) three times when it misses the grid.

    The voxels of a box are the support itself, those of an ellipsoid only hold it.
    """
    hit = True
    for k in range(3):
        half = half_extent[k] / size[k]
        if support == BOX_VOXELS:  # those that hold its corners, and all between
            low, high = np.floor(center[k] + 0.5 - half), np.floor(center[k] + 0.5 + half)
        else:  # those with their centre inside; of an ellipsoid a hair more, so that rounding never leaves one out
            spare = 1e-4 if support == ELLIPSOID else 0.0
            low, high = np.ceil(center[k] - half - spare), np.floor(center[k] + half + spare)
        low, high = max(low, 0.0), min(high, shape[k] - 1.0)
        hit = hit and low <= high
        if hit:
            box[2 * k], box[2 * k + 1] = int(low), int(high)
    if not hit:
        box[0::2], box[1::2] = 0, -1


@kernel(fastmath=FAST_MATH)
def walk_plans(center, form, box, x0, y0, limit, first, last, phi, ratio):
    """Walk plans of one Gaussian for the TILE rows of columns x0 + k // TILE, y0 + k % TILE of a tile.

    Writes, for every column k: first and last level of the box with a squared distance up to the limit (first > last:
    none), phi at the first one, and the ratio of phi at the second one to it. Whether a column belongs to the box is
    for the caller to know.

    numba's disk cache notices changes of a kernel's own file only: after an edit here, touch gradient_kernels.py.
    """
    a, inverse_a = form[CURVATURE], 1.0 / form[CURVATURE]
    ox, oy, cz = x0 - center[0], y0 - center[1], center[2]
    ux, uy, vx, ex, ey = form[UX], form[UY], form[VX], form[EX], form[EY]
    bottom, top = float(box[4]), float(box[5])
    for k in range(first.shape[0]):
        dx, dy = ox + (k // TILE), oy + (k % TILE)
        u, v = ux * dx + uy * dy, vx * dx
        q_min = u * u + v * v
        room = limit - q_min
        z_min = cz + ex * dx + ey * dy
        reach = math.sqrt(max(room, 0.0) * inverse_a)
        low, high = np.ceil(max(z_min - reach, bottom)), np.floor(min(z_min + reach, top))
        t = low - z_min
        first[k] = np.int32(min(low, top + 1.0))
        last[k] = np.int32(-1) if room < 0.0 else np.int32(max(high, -1.0))
        phi[k] = exp32(np.float32(max(-0.5 * (q_min + a * t * t), -87.0)))
        ratio[k] = exp32(np.float32(min(max(-a * (t + 0.5), -87.0), 87.0)))


@kernel()
def count_voxels(centers, forms, boxes, limit):
    """Number of (voxel, Gaussian) pairs inside the support: the work of a splat."""
    first, last = np.empty(TILE * TILE, np.int32), np.empty(TILE * TILE, np.int32)
    phis, ratios = np.empty(TILE * TILE, np.float32), np.empty(TILE * TILE, np.float32)
    total = 0
    for i in range(centers.shape[0]):
        for x0 in range(boxes[i, 0], boxes[i, 1] + 1, TILE):
            for y0 in range(boxes[i, 2], boxes[i, 3] + 1, TILE):
                walk_plans(centers[i], forms[i], boxes[i], x0, y0, limit, first, last, phis, ratios)
                for x in range(min(TILE, boxes[i, 1] + 1 - x0)):
                    for y in range(min(TILE, boxes[i, 3] + 1 - y0)):
                        total += max(0, last[x * TILE + y] - first[x * TILE + y] + 1)
    return total


@kernel(fastmath=FAST_MATH)
def _add_tile(volume, x0, y0, x1, y1, levels, entries, centers, forms, boxes, amplitudes, rows, limit):
    """Add all listed Gaussians to one tile; volume (TILE * TILE * Z, R) starts at zero."""
    first, last = np.empty(TILE * TILE, np.int32), np.empty(TILE * TILE, np.int32)
    phis, ratios = np.empty(TILE * TILE, np.float32), np.empty(TILE * TILE, np.float32)
    for e in range(entries.shape[0]):
        i = entries[e]
        xa, xb = max(boxes[i, 0], x0) - x0, min(boxes[i, 1], x1 - 1) - x0
        ya, yb = max(boxes[i, 2], y0) - y0, min(boxes[i, 3], y1 - 1) - y0
        part = slice(xa * TILE, (xb + 1) * TILE)
        walk_plans(
            centers[i], forms[i], boxes[i], x0 + xa, y0, limit, first[part], last[part], phis[part], ratios[part]
        )
        growth = math.exp(-forms[i, CURVATURE])
        for x in range(xa, xb + 1):
            for k in range(x * TILE + ya, x * TILE + yb + 1):
                phi, ratio, base = float(phis[k] * amplitudes[i]), float(ratios[k]), k * levels
                for z in range(first[k], last[k] + 1):
                    for c in range(0, rows.shape[1], LANES):
                        add_scaled(volume, base + z, rows, i, c, np.float32(phi))
                    phi *= ratio
                    ratio *= growth


@kernel(fastmath=FAST_MATH)
def _count_tile(volume, x0, y0, x1, y1, levels, entries, centers, forms, boxes, amplitudes, rows, limit, cover, column):
    """The same for ``mean``: rows without a weight as far as Gaussians cover, weights to the density's place."""
    first, last = np.empty(TILE * TILE, np.int32), np.empty(TILE * TILE, np.int32)
    phis, ratios = np.empty(TILE * TILE, np.float32), np.empty(TILE * TILE, np.float32)
    for e in range(entries.shape[0]):
        i = entries[e]
        xa, xb = max(boxes[i, 0], x0) - x0, min(boxes[i, 1], x1 - 1) - x0
        ya, yb = max(boxes[i, 2], y0) - y0, min(boxes[i, 3], y1 - 1) - y0
        part = slice(xa * TILE, (xb + 1) * TILE)
        walk_plans(
            centers[i], forms[i], boxes[i], x0 + xa, y0, cover, first[part], last[part], phis[part], ratios[part]
        )
        for x in range(xa, xb + 1):
            for k in range(x * TILE + ya, x * TILE + yb + 1):
                for row in range(k * levels + first[k], k * levels + last[k] + 1):
                    for c in range(0, rows.shape[1], LANES):
                        add_scaled(volume, row, rows, i, c, np.float32(1.0))
        if limit < cover:  # beyond it there is no weight left, and a walk could not start there
            walk_plans(
                centers[i], forms[i], boxes[i], x0 + xa, y0, limit, first[part], last[part], phis[part], ratios[part]
            )  # fmt: skip
        growth = math.exp(-forms[i, CURVATURE])
        for x in range(xa, xb + 1):
            for k in range(x * TILE + ya, x * TILE + yb + 1):
                phi, ratio = float(phis[k] * amplitudes[i]), float(ratios[k])
                for row in range(k * levels + first[k], k * levels + last[k] + 1):
                    volume[row, column] += np.float32(phi)
                    phi *= ratio
                    ratio *= growth


@kernel()
def _tile_sums(
    x0, y0, x1, y1, levels, listed, centers, forms, boxes, amplitudes, rows, limit, cover, counted, channels
):
    """Sums (TILE * TILE * Z, R) of one tile; for ``mean`` features and density divided, and then the divisor."""
    volume = np.zeros((TILE * TILE * levels, rows.shape[1]), np.float32)
    if not counted:
        _add_tile(volume, x0, y0, x1, y1, levels, listed, centers, forms, boxes, amplitudes, rows, limit)
        return volume
    _count_tile(
        volume, x0, y0, x1, y1, levels, listed, centers, forms, boxes, amplitudes, rows, limit, cover, channels
    )  # fmt: skip
    for v in range(volume.shape[0]):
        volume[v, channels + 1] = max(volume[v, channels + 1], np.float32(1.0))
        scale = np.float32(1.0) / volume[v, channels + 1]
        for c in range(channels + 1):
            volume[v, c] *= scale
    return volume


@kernel(parallel=True)
def splat_tiles(
    order, centers, forms, boxes, starts, entries, amplitudes, rows, limit, cover, counted, normalise, density, votes,
    divisors,
):  # fmt: skip
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
        volume = _tile_sums(
            x0, y0, x1, y1, levels, listed, centers, forms, boxes, amplitudes, rows, limit, cover, counted, channels
        )  # fmt: skip
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
def label_tiles(
    order, centers, forms, boxes, starts, entries, amplitudes, rows, limit, cover, counted, hazard, threshold, ids,
    free_id, labels, confidence,
):  # fmt: skip
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
        volume = _tile_sums(
            x0, y0, x1, y1, levels, listed, centers, forms, boxes, amplitudes, rows, limit, cover, counted, channels
        )  # fmt: skip
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
