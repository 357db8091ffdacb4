# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Numba kernels between Gaussians and voxels: tiles of columns forward, one Gaussian at a time backward.

Lengths are in voxels, and voxel (x, y, z) has its centre at (x, y, z). In a column of voxels the squared Mahalanobis
distance is q(z) = q_min + a (z - z_min)^2 with q_min a quadratic and z_min a linear form of (x, y): the voxels inside
an ellipsoid are found without testing the others, and neighbouring weights follow by multiplication instead of an
exponential: phi(z + 1) / phi(z) is itself a geometric sequence.

A *row* is what a Gaussian adds to a voxel, times its weight: C features, then its share of the density, then zeros up
to a multiple of eight, so that a row is a whole number of vector registers.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from gsocc_core.compiling import kernel
from gsocc_core.splat.shapes import MIN_WEIGHT
from gsocc_core.splat.simd import LANES, add_scaled, dot, exp32

#: Columns along x and y of one tile.
TILE = 8
_SMALLEST = np.float32(MIN_WEIGHT)

#: Columns of ``forms``, from |A d|^2 = |R d|^2 with R triangular: q_min = (UX x + UY y)^2 + (VX x)^2,
#: z_min = EX x + EY y, curvature a; then the half edges of the box support (infinite for an ellipsoid).
UX, UY, VX, EX, EY, CURVATURE, HALF_X, HALF_Y, HALF_Z = range(9)

_FAST = {"reassoc", "contract", "nsz", "arcp"}


@kernel()
def prepare(means, whitening, half_extents, lower, size, shape, box):
    """Gaussians in voxel units and their tile lists.

    Args:
        means: (N, 3) metres.
        whitening: (N, 3, 3) per metre.
        half_extents: (N, 3) metres.
        lower: (3,) corner of the grid, metres.
        size: (3,) voxel edges, metres.
        shape: (3,) voxels.
        box: The support is the box, not the ellipsoid.

    Returns:
        centers (N, 3) voxels, forms (N, 9), boxes (N, 4) first and last column in x and y, starts (T + 1,) and
        entries (E,): the Gaussians of tile t are entries[starts[t]:starts[t + 1]].
    """
    n = means.shape[0]
    centers, forms, boxes = np.empty((n, 3)), np.empty((n, 9)), np.empty((n, 4), np.int32)
    tiles_x, tiles_y = (shape[0] + TILE - 1) // TILE, (shape[1] + TILE - 1) // TILE
    counts = np.zeros(tiles_x * tiles_y + 1, np.int64)
    for i in range(n):
        for k in range(3):
            centers[i, k] = (means[i, k] - lower[k]) / size[k] - 0.5
            forms[i, HALF_X + k] = half_extents[i, k] / size[k] if box else np.inf
        _triangular_form(whitening[i], size, forms[i])
        _column_box(centers[i], half_extents[i], size, shape, boxes[i])
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
def _column_box(center, half_extent, size, shape, box):
    """First and last column inside the tight box, x then y; (0, -1, 0, -1) when it misses the grid."""
    hit = True
    for k in range(3):
        # A hair wider, so that rounding never leaves out a voxel that the exact test accepts.
        half = half_extent[k] / size[k] + 1e-4
        low, high = max(np.ceil(center[k] - half), 0.0), min(np.floor(center[k] + half), shape[k] - 1.0)
        hit = hit and low <= high
        if k < 2 and hit:
            box[2 * k], box[2 * k + 1] = int(low), int(high)
    if not hit:
        box[0], box[1], box[2], box[3] = 0, -1, 0, -1


@kernel(fastmath=_FAST)
def _columns(center, form, x0, y0, levels, limit, first, last, phi, ratio):
    """Walk plans of one Gaussian for the TILE rows of columns x0 + k // TILE, y0 + k % TILE of a tile.

    Writes, for every column k: first and last level inside the support (first > last: none), phi at the first one,
    and the ratio of phi at the second one to it.
    """
    a, inverse_a = form[CURVATURE], 1.0 / form[CURVATURE]
    ox, oy, cz, top = x0 - center[0], y0 - center[1], center[2], levels - 1.0
    ux, uy, vx, ex, ey = form[UX], form[UY], form[VX], form[EX], form[EY]
    half_x, half_y, half_z = form[HALF_X], form[HALF_Y], form[HALF_Z]
    for k in range(first.shape[0]):
        dx, dy = ox + (k // TILE), oy + (k % TILE)
        u, v = ux * dx + uy * dy, vx * dx
        q_min = u * u + v * v
        room = limit - q_min
        z_min = cz + ex * dx + ey * dy
        reach = math.sqrt(max(room, 0.0) * inverse_a)
        low = np.ceil(max(max(z_min - reach, cz - half_z), 0.0))
        high = np.floor(min(min(z_min + reach, cz + half_z), top))
        outside = (room < 0.0) | (abs(dx) > half_x) | (abs(dy) > half_y)
        t = low - z_min
        first[k] = np.int32(min(low, top + 1.0))
        last[k] = np.int32(-1) if outside else np.int32(max(high, -1.0))
        phi[k] = exp32(np.float32(max(-0.5 * (q_min + a * t * t), -87.0)))
        ratio[k] = exp32(np.float32(min(max(-a * (t + 0.5), -87.0), 87.0)))


@kernel()
def count_voxels(centers, forms, boxes, levels, limit):
    """Number of (voxel, Gaussian) pairs inside the support: the work of a splat."""
    first, last = np.empty(TILE * TILE, np.int32), np.empty(TILE * TILE, np.int32)
    phis, ratios = np.empty(TILE * TILE, np.float32), np.empty(TILE * TILE, np.float32)
    total = 0
    for i in range(centers.shape[0]):
        for x0 in range(boxes[i, 0], boxes[i, 1] + 1, TILE):
            for y0 in range(boxes[i, 2], boxes[i, 3] + 1, TILE):
                _columns(centers[i], forms[i], x0, y0, levels, limit, first, last, phis, ratios)
                for x in range(min(TILE, boxes[i, 1] + 1 - x0)):
                    for y in range(min(TILE, boxes[i, 3] + 1 - y0)):
                        total += max(0, last[x * TILE + y] - first[x * TILE + y] + 1)
    return total


@kernel(fastmath=_FAST)
def _add_tile(volume, x0, y0, x1, y1, levels, entries, centers, forms, boxes, amplitudes, rows, limit):
    """Add all listed Gaussians to one tile; volume (TILE * TILE * Z, R) starts at zero."""
    first, last = np.empty(TILE * TILE, np.int32), np.empty(TILE * TILE, np.int32)
    phis, ratios = np.empty(TILE * TILE, np.float32), np.empty(TILE * TILE, np.float32)
    for e in range(entries.shape[0]):
        i = entries[e]
        xa, xb = max(boxes[i, 0], x0) - x0, min(boxes[i, 1], x1 - 1) - x0
        ya, yb = max(boxes[i, 2], y0) - y0, min(boxes[i, 3], y1 - 1) - y0
        part = slice(xa * TILE, (xb + 1) * TILE)
        _columns(centers[i], forms[i], x0 + xa, y0, levels, limit, first[part], last[part], phis[part], ratios[part])
        growth = math.exp(-forms[i, CURVATURE])
        for x in range(xa, xb + 1):
            for k in range(x * TILE + ya, x * TILE + yb + 1):
                phi, ratio, base = float(phis[k] * amplitudes[i]), float(ratios[k]), k * levels
                for z in range(first[k], last[k] + 1):
                    for c in range(0, rows.shape[1], LANES):
                        add_scaled(volume, base + z, rows, i, c, np.float32(phi))
                    phi *= ratio
                    ratio *= growth


@kernel(parallel=True)
def splat_tiles(order, centers, forms, boxes, starts, entries, amplitudes, rows, limit, normalise, density, votes):
    """Fill density (X, Y, Z) and votes (X, Y, Z, C) tile by tile, in the given order of tiles."""
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
            continue
        volume = np.zeros((TILE * TILE * levels, rows.shape[1]), np.float32)
        _add_tile(volume, x0, y0, x1, y1, levels, listed, centers, forms, boxes, amplitudes, rows, limit)
        for x in range(x1 - x0):
            for y in range(y1 - y0):
                for z in range(levels):
                    source = volume[(x * TILE + y) * levels + z]
                    target = votes[x0 + x, y0 + y, z]
                    value = source[channels]
                    density[x0 + x, y0 + y, z] = value
                    scale = np.float32(1.0)
                    if normalise:
                        scale = np.float32(1.0) / value if value > _SMALLEST else np.float32(0.0)
                    for c in range(channels):
                        target[c] = source[c] * scale


@kernel(parallel=True)
def label_tiles(
    order, centers, forms, boxes, starts, entries, amplitudes, rows, limit, hazard, threshold, ids, free_id, labels,
    confidence,
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
        volume = np.zeros((TILE * TILE * levels, rows.shape[1]), np.float32)
        _add_tile(volume, x0, y0, x1, y1, levels, listed, centers, forms, boxes, amplitudes, rows, limit)
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


@kernel(parallel=True)
def gradient_rows(density, features, grad_density, grad_features, normalise, out):
    """Gradients by the unnormalised sums, as rows: out (X, Y, Z, R). d (num / den) = (d num - feature d den) / den."""
    channels, width = features.shape[3], out.shape[3]
    for x in numba.prange(density.shape[0]):
        for y in range(density.shape[1]):
            for z in range(density.shape[2]):
                row, grad, feature = out[x, y, z], grad_features[x, y, z], features[x, y, z]
                scale, dot_product = np.float32(1.0), np.float32(0.0)
                if normalise:
                    value = density[x, y, z]
                    scale = np.float32(1.0) / value if value > _SMALLEST else np.float32(0.0)
                    for c in range(channels):
                        dot_product += grad[c] * feature[c]
                for c in range(channels):
                    row[c] = grad[c] * scale
                row[channels] = grad_density[x, y, z] - dot_product * scale
                for c in range(channels + 1, width):
                    row[c] = 0.0


@kernel(fastmath=_FAST)
def _gather(grads, size_y, levels, center, form, box, rows, i, amplitude, limit, g_rows, moments):
    """Walk over the voxels of Gaussian i: g_rows[i] += phi amplitude grad, moments (10,) of phi <grad, row>."""
    first, last = np.empty(TILE * TILE, np.int32), np.empty(TILE * TILE, np.int32)
    phis, ratios = np.empty(TILE * TILE, np.float32), np.empty(TILE * TILE, np.float32)
    growth = math.exp(-form[CURVATURE])
    for x0 in range(box[0], box[1] + 1, TILE):
        for y0 in range(box[2], box[3] + 1, TILE):
            count_x, count_y = min(TILE, box[1] + 1 - x0), min(TILE, box[3] + 1 - y0)
            part = slice(0, count_x * TILE)
            _columns(center, form, x0, y0, levels, limit, first[part], last[part], phis[part], ratios[part])
            for x in range(count_x):
                dx = x0 + x - center[0]
                for y in range(count_y):
                    dy = y0 + y - center[1]
                    k = x * TILE + y
                    phi, ratio = float(phis[k]), float(ratios[k])
                    base = ((x0 + x) * size_y + y0 + y) * levels
                    sum0, sum1, sum2 = 0.0, 0.0, 0.0
                    for z in range(first[k], last[k] + 1):
                        product = np.float32(0.0)
                        for c in range(0, rows.shape[1], LANES):
                            product += dot(grads, base + z, rows, i, c)
                            add_scaled(g_rows, i, grads, base + z, c, np.float32(phi * amplitude))
                        dz = z - center[2]
                        term = phi * float(product)
                        sum0, sum1, sum2 = sum0 + term, sum1 + term * dz, sum2 + term * dz * dz
                        phi, ratio = phi * ratio, ratio * growth
                    moments[0] += sum0
                    moments[1] += sum0 * dx
                    moments[2] += sum0 * dy
                    moments[3] += sum1
                    moments[4] += sum0 * dx * dx
                    moments[5] += sum0 * dx * dy
                    moments[6] += sum1 * dx
                    moments[7] += sum0 * dy * dy
                    moments[8] += sum1 * dy
                    moments[9] += sum2


@kernel(parallel=True)
def gather_gradients(
    order, cuts, centers, forms, boxes, whitening, size, shape, amplitudes, rows, limit, grads, g_means, g_whitening,
    g_amplitudes, g_rows,
):  # fmt: skip
    """Each Gaussian gathers from its own voxels, so no two threads write the same gradient.

    With q = |A d|^2 and S = sum dL/dq d d^T, m = sum dL/dq d: dL/dA = 2 A S and dL/dmean = -2 A^T A m.
    """
    for chunk in numba.prange(cuts.shape[0] - 1):
        for place in range(cuts[chunk], cuts[chunk + 1]):
            i = order[place]
            moments = np.zeros(10)
            _gather(
                grads,
                shape[1],
                shape[2],
                centers[i],
                forms[i],
                boxes[i],
                rows,
                i,
                amplitudes[i],
                limit,
                g_rows,
                moments,
            )
            g_amplitudes[i] = moments[0]
            scale = -0.5 * amplitudes[i]
            m, s, A = np.empty(3), np.empty((3, 3)), whitening[i]
            index = 4
            for j in range(3):
                m[j] = scale * moments[1 + j] * size[j]
                for k in range(j, 3):
                    s[j, k] = scale * moments[index] * size[j] * size[k]
                    s[k, j] = s[j, k]
                    index += 1
            for r in range(3):
                am = A[r, 0] * m[0] + A[r, 1] * m[1] + A[r, 2] * m[2]
                for k in range(3):
                    g_whitening[i, r, k] = 2.0 * (A[r, 0] * s[0, k] + A[r, 1] * s[1, k] + A[r, 2] * s[2, k])
                    g_means[i, k] -= 2.0 * A[r, k] * am
