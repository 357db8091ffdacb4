# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Numba kernels of the backward pass: every Gaussian gathers gradients from its own voxels.

The arrays, and what a row is, are those of :mod:`gsocc_core.splat.voxels.kernels`.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from gsocc_core.compiling import kernel
from gsocc_core.splat.simd import LANES, add_scaled, dot
from gsocc_core.splat.voxels.kernels import CURVATURE, FAST_MATH, SMALLEST, TILE, walk_plans


@kernel(parallel=True)
def gradient_rows(density, features, grad_density, grad_features, normalise, out):
    """Gradients by the unnormalised sums, as rows: out (V, R). d (num / den) = (d num - feature d den) / den.

    Density (V,) and features (V, C) are those of V voxels. The arrays are flat, since with rows that are slices of
    (X, Y, Z, C) the same loops take the compiler ten times as long.
    """
    channels, width = features.shape[1], out.shape[1]
    for v in numba.prange(density.shape[0]):
        scale, dot_product = np.float32(1.0), np.float32(0.0)
        if normalise:
            value = density[v]
            scale = np.float32(1.0) / value if value > SMALLEST else np.float32(0.0)
            for c in range(channels):
                dot_product += grad_features[v, c] * features[v, c]
        for c in range(channels):
            out[v, c] = grad_features[v, c] * scale
        out[v, channels] = grad_density[v] - dot_product * scale
        for c in range(channels + 1, width):
            out[v, c] = 0.0


@kernel(fastmath=FAST_MATH)
def _gather(grads, size_y, levels, center, form, box, rows, i, amplitude, limit, g_rows, moments):
    """Walk over the voxels of Gaussian i: g_rows[i] += phi amplitude grad, moments (10,) of phi <grad, row>."""
    first, last = np.empty(TILE * TILE, np.int32), np.empty(TILE * TILE, np.int32)
    phis, ratios = np.empty(TILE * TILE, np.float32), np.empty(TILE * TILE, np.float32)
    growth = math.exp(-form[CURVATURE])
    for x0 in range(box[0], box[1] + 1, TILE):
        for y0 in range(box[2], box[3] + 1, TILE):
            count_x, count_y = min(TILE, box[1] + 1 - x0), min(TILE, box[3] + 1 - y0)
            part = slice(0, count_x * TILE)
            walk_plans(center, form, box, x0, y0, limit, first[part], last[part], phis[part], ratios[part])
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
                grads, shape[1], shape[2], centers[i], forms[i], boxes[i], rows, i, amplitudes[i], limit, g_rows,
                moments,
            )  # fmt: skip
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


@kernel(fastmath=FAST_MATH)
def _gather_covered(grads, size_y, levels, center, form, box, i, cover, g_rows):
    """g_rows[i] += grad of every voxel that Gaussian i covers."""
    first, last = np.empty(TILE * TILE, np.int32), np.empty(TILE * TILE, np.int32)
    phis, ratios = np.empty(TILE * TILE, np.float32), np.empty(TILE * TILE, np.float32)
    for x0 in range(box[0], box[1] + 1, TILE):
        for y0 in range(box[2], box[3] + 1, TILE):
            count_x, count_y = min(TILE, box[1] + 1 - x0), min(TILE, box[3] + 1 - y0)
            part = slice(0, count_x * TILE)
            walk_plans(center, form, box, x0, y0, cover, first[part], last[part], phis[part], ratios[part])
            for x in range(count_x):
                for k in range(x * TILE, x * TILE + count_y):
                    base = ((x0 + x) * size_y + y0 + k % TILE) * levels
                    for row in range(base + first[k], base + last[k] + 1):
                        for c in range(0, g_rows.shape[1], LANES):
                            add_scaled(g_rows, i, grads, row, c, np.float32(1.0))


@kernel(parallel=True)
def gather_covered(order, cuts, centers, forms, boxes, shape, cover, grads, g_rows):
    """Composition ``mean``: g_rows[i] += grad of every voxel that Gaussian i covers, whatever its weight there."""
    for chunk in numba.prange(cuts.shape[0] - 1):
        for place in range(cuts[chunk], cuts[chunk + 1]):
            i = order[place]
            _gather_covered(grads, shape[1], shape[2], centers[i], forms[i], boxes[i], i, cover, g_rows)
