# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Numba kernels of deformable sampling: interpolate, weigh and sum in one pass, without a tensor of the samples.

Values are rows: a cell of a map is a row of the channels of all heads, (M * H * W, heads * C). A sample reads the four
cells around its place; cells outside the map are zero.
"""

from __future__ import annotations

import numba
import numpy as np

from gsocc_core.compiling import kernel
from gsocc_core.splat.simd import HALF, LANES, add_four, add_four_half, add_scaled, add_scaled_half, dot, dot_half

FAST_MATH = {"reassoc", "contract", "nsz", "arcp"}


@kernel(fastmath=FAST_MATH, forceinline=True)
def _corners(x, y, height, width):
    """Cells around a place (cell units, middles at whole numbers), which of them exist (1 or 0), and what is left.

    Returns:
        (4,) places of the cells in the map, those that do not exist moved inside, (4,) 1 or 0, and the fractions along
        x and y.
    """
    left, top = np.floor(x), np.floor(y)
    x0, y0 = int(left), int(top)
    in_x0, in_x1 = np.float32(0 <= x0 < width), np.float32(-1 <= x0 < width - 1)
    in_y0, in_y1 = np.float32(0 <= y0 < height), np.float32(-1 <= y0 < height - 1)
    a, b = min(max(x0, 0), width - 1), min(max(x0 + 1, 0), width - 1)
    c, d = min(max(y0, 0), height - 1) * width, min(max(y0 + 1, 0), height - 1) * width
    exist = (in_x0 * in_y0, in_x1 * in_y0, in_x0 * in_y1, in_x1 * in_y1)
    return (c + a, c + b, d + a, d + b), exist, np.float32(x - left), np.float32(y - top)


@kernel(fastmath=FAST_MATH, forceinline=True)
def _sum_samples(values, first, height, width, places, shares, out, row, column, channels):
    """out[row, column:column + channels] += the samples of one query and head; the map begins at values[first]."""
    for s in range(shares.shape[0]):
        x, y = places[s, 0] * width - np.float32(0.5), places[s, 1] * height - np.float32(0.5)
        if not (-1 < x < width and -1 < y < height):  # NaN too
            continue
        cells, exist, u, v = _corners(x, y, height, width)
        share, one = shares[s], np.float32(1.0)
        rows = (first + cells[0], first + cells[1], first + cells[2], first + cells[3])
        weights = (
            share * exist[0] * (one - u) * (one - v), share * exist[1] * u * (one - v),
            share * exist[2] * (one - u) * v, share * exist[3] * u * v,
        )  # fmt: skip
        c = column
        while c + LANES <= column + channels:
            add_four(out, row, values, rows, c, weights)
            c += LANES
        while c + HALF <= column + channels:
            add_four_half(out, row, values, rows, c, weights)
            c += HALF
        for k in range(c, column + channels):
            for j in range(4):
                out[row, k] += weights[j] * values[rows[j], k]


@kernel(parallel=True)
def sum_samples(values, height, width, places, shares, out):
    """Add to out (M, K, heads * C) the sum over samples of share * value.

    Args:
        values: (M * height * width, heads * C).
        height: Rows of each map.
        width: Columns of each map.
        places: (M, K, heads, S, 2) x, y, 0..1 from border to border.
        shares: (M, K, heads, S).
        out: (M * K, heads * C), zeros.
    """
    count, queries, heads, _ = shares.shape
    channels = values.shape[1] // heads
    for job in numba.prange(count * queries):
        m, k = job // queries, job % queries
        for h in range(heads):
            _sum_samples(
                values, m * height * width, height, width, places[m, k, h], shares[m, k, h], out, job, h * channels,
                channels,
            )  # fmt: skip


@kernel(fastmath=FAST_MATH, forceinline=True)
def _product(a, a_row, b, b_row, column, channels):
    """Sum of a[a_row] * b[b_row] over the columns of a head."""
    total, c = np.float32(0.0), column
    while c + LANES <= column + channels:
        total += dot(a, a_row, b, b_row, c)
        c += LANES
    while c + HALF <= column + channels:
        total += dot_half(a, a_row, b, b_row, c)
        c += HALF
    for k in range(c, column + channels):
        total += a[a_row, k] * b[b_row, k]
    return total


@kernel(fastmath=FAST_MATH, forceinline=True)
def _add(y, y_row, x, x_row, column, channels, scale):
    """y[y_row] += scale * x[x_row] in the columns of a head."""
    c = column
    while c + LANES <= column + channels:
        add_scaled(y, y_row, x, x_row, c, scale)
        c += LANES
    while c + HALF <= column + channels:
        add_scaled_half(y, y_row, x, x_row, c, scale)
        c += HALF
    for k in range(c, column + channels):
        y[y_row, k] += scale * x[x_row, k]


@kernel(fastmath=FAST_MATH, forceinline=True)
def _spread_gradient(
    values, first, height, width, places, shares, grad, row, column, channels, g_values, g_places, g_shares
):
    """The backward pass of :func:`_sum_samples`: adds to g_values, fills g_places (S, 2) and g_shares (S,)."""
    one = np.float32(1.0)
    for s in range(shares.shape[0]):
        g_places[s, 0], g_places[s, 1], g_shares[s] = 0.0, 0.0, 0.0
        x, y = places[s, 0] * width - np.float32(0.5), places[s, 1] * height - np.float32(0.5)
        if not (-1 < x < width and -1 < y < height):
            continue
        cells, exist, u, v = _corners(x, y, height, width)
        share = shares[s]
        a = exist[0] * _product(grad, row, values, first + cells[0], column, channels)
        b = exist[1] * _product(grad, row, values, first + cells[1], column, channels)
        c = exist[2] * _product(grad, row, values, first + cells[2], column, channels)
        d = exist[3] * _product(grad, row, values, first + cells[3], column, channels)
        g_shares[s] = (a * (one - u) + b * u) * (one - v) + (c * (one - u) + d * u) * v
        g_places[s, 0] = share * width * ((b - a) * (one - v) + (d - c) * v)
        g_places[s, 1] = share * height * ((c - a) * (one - u) + (d - b) * u)
        _add(g_values, first + cells[0], grad, row, column, channels, share * exist[0] * (one - u) * (one - v))
        _add(g_values, first + cells[1], grad, row, column, channels, share * exist[1] * u * (one - v))
        _add(g_values, first + cells[2], grad, row, column, channels, share * exist[2] * (one - u) * v)
        _add(g_values, first + cells[3], grad, row, column, channels, share * exist[3] * u * v)


@kernel(parallel=True)
def spread_gradients(values, height, width, places, shares, grad, g_values, g_places, g_shares):
    """Gradients of :func:`sum_samples`; one thread writes a head of a map, queries one after the other.

    Args:
        values: As there.
        height: As there.
        width: As there.
        places: As there.
        shares: As there.
        grad: (M * K, heads * C) of the result.
        g_values: Like ``values``, zeros.
        g_places: Like ``places``, filled.
        g_shares: Like ``shares``, filled.
    """
    count, queries, heads, _ = shares.shape
    channels = values.shape[1] // heads
    for job in numba.prange(count * heads):
        m, h = job // heads, job % heads
        column = h * channels
        for k in range(queries):
            row = m * queries + k
            empty = True
            for c in range(column, column + channels):
                empty = empty and grad[row, c] == 0.0
            if empty:
                g_places[m, k, h] = 0.0
                g_shares[m, k, h] = 0.0
                continue
            _spread_gradient(
                values, m * height * width, height, width, places[m, k, h], shares[m, k, h], grad, row, column,
                channels, g_values, g_places[m, k, h], g_shares[m, k, h],
            )  # fmt: skip
