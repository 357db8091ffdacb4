# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Tiled rasteriser on the CPU, forward and backward, all pictures in one call.

Gaussians are sorted by depth per picture and listed per tile; one thread owns a tile. The backward pass writes one
partial gradient per list entry and sums them per Gaussian afterwards, so results do not depend on the threads.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import torch
from torch import Tensor

from gsocc_core.splat.images.projection import MAX_ALPHA, MIN_ALPHA, MIN_TRANSMITTANCE
from gsocc_core.splat.threads import parallel_kernels

TILE = 8  # pixels; training pictures are small, so small tiles keep all threads busy


@numba.njit(cache=True)
def _tile_range(center, radius, tiles, limit):
    """Inclusive range of tiles whose pixel centres lie within center +- radius."""
    first = max(int(math.ceil(center - radius - 0.5)), 0)
    last = min(int(math.floor(center + radius - 0.5)), limit - 1)
    if first > last:
        return 1, 0
    return first // TILE, min(last // TILE, tiles - 1)


@numba.njit(cache=True)
def _bin(means2d, radii, depths, width, height):
    """Lists per picture and tile, front to back: starts (M * T + 1,), entries (E,) Gaussian indices."""
    pictures, n = depths.shape
    tiles_x, tiles_y = (width + TILE - 1) // TILE, (height + TILE - 1) // TILE
    counts = np.zeros(pictures * tiles_x * tiles_y + 1, np.int64)
    ranges = np.empty((pictures, n, 4), np.int32)
    for m in range(pictures):
        for i in range(n):
            ranges[m, i, 0], ranges[m, i, 1] = 1, 0
            if radii[m, i, 0] <= 0.0 or radii[m, i, 1] <= 0.0:
                continue
            x0, x1 = _tile_range(means2d[m, i, 0], radii[m, i, 0], tiles_x, width)
            y0, y1 = _tile_range(means2d[m, i, 1], radii[m, i, 1], tiles_y, height)
            if x0 > x1 or y0 > y1:
                continue
            ranges[m, i, 0], ranges[m, i, 1], ranges[m, i, 2], ranges[m, i, 3] = x0, x1, y0, y1
            for ty in range(y0, y1 + 1):
                for tx in range(x0, x1 + 1):
                    counts[(m * tiles_y + ty) * tiles_x + tx + 1] += 1
    starts = np.cumsum(counts)
    entries = np.empty(starts[-1], np.int32)
    fill = starts[:-1].copy()
    for m in range(pictures):
        order = np.argsort(depths[m], kind="mergesort")
        for k in range(n):
            i = order[k]
            for ty in range(ranges[m, i, 2], ranges[m, i, 3] + 1) if ranges[m, i, 0] <= ranges[m, i, 1] else range(0):
                for tx in range(ranges[m, i, 0], ranges[m, i, 1] + 1):
                    tile = (m * tiles_y + ty) * tiles_x + tx
                    entries[fill[tile]] = i
                    fill[tile] += 1
    return starts, entries


@numba.njit(cache=True, parallel=True, fastmath={"reassoc", "contract", "nsz"})
def _forward(means2d, conics, depths, opacities, features, starts, entries, out_features, out_depth, out_alpha):
    pictures, height, width, channels = out_features.shape
    tiles_x, tiles_y = (width + TILE - 1) // TILE, (height + TILE - 1) // TILE
    for tile in numba.prange(pictures * tiles_x * tiles_y):
        m = tile // (tiles_x * tiles_y)
        y0, x0 = (tile // tiles_x) % tiles_y * TILE, tile % tiles_x * TILE
        for row in range(y0, min(y0 + TILE, height)):
            for column in range(x0, min(x0 + TILE, width)):
                transmittance, depth = 1.0, 0.0
                target = out_features[m, row, column]
                target[:] = 0.0
                for e in range(starts[tile], starts[tile + 1]):
                    i = entries[e]
                    dx = column + 0.5 - means2d[m, i, 0]
                    dy = row + 0.5 - means2d[m, i, 1]
                    c = conics[m, i]
                    power = 0.5 * (c[0] * dx * dx + c[2] * dy * dy) + c[1] * dx * dy
                    if power < 0.0 or power > 6.0:  # exp(-6) < 1/255 whatever the opacity
                        continue
                    alpha = min(MAX_ALPHA, opacities[i] * math.exp(-power))
                    if alpha < MIN_ALPHA:
                        continue
                    after = transmittance * (1.0 - alpha)
                    if after <= MIN_TRANSMITTANCE:
                        break
                    weight = np.float32(alpha * transmittance)
                    feature = features[i]
                    for channel in range(channels):
                        target[channel] += weight * feature[channel]
                    depth += weight * depths[m, i]
                    transmittance = after
                out_depth[m, row, column] = depth
                out_alpha[m, row, column] = 1.0 - transmittance


@numba.njit(cache=True, parallel=True, fastmath={"reassoc", "contract", "nsz"})
def _backward(
    means2d, conics, depths, opacities, features, starts, entries, out_features, out_depth, out_alpha,
    g_features, g_depth, g_alpha, parts, feature_parts,
):  # fmt: skip
    """Fill parts (E, 7): means2d 2, conic 3, depth, opacity; and feature_parts (E, C)."""
    pictures, height, width, channels = out_features.shape
    tiles_x, tiles_y = (width + TILE - 1) // TILE, (height + TILE - 1) // TILE
    for tile in numba.prange(pictures * tiles_x * tiles_y):
        m = tile // (tiles_x * tiles_y)
        y0, x0 = (tile // tiles_x) % tiles_y * TILE, tile % tiles_x * TILE
        for row in range(y0, min(y0 + TILE, height)):
            for column in range(x0, min(x0 + TILE, width)):
                grad = g_features[m, row, column]
                gz, ga = g_depth[m, row, column], g_alpha[m, row, column]
                # What the pixel shows, seen through the gradient; behind[i] = total - front[i] needs no second walk.
                behind = gz * out_depth[m, row, column] + ga * out_alpha[m, row, column]
                for channel in range(channels):
                    behind += grad[channel] * out_features[m, row, column, channel]
                transmittance = 1.0
                for e in range(starts[tile], starts[tile + 1]):
                    i = entries[e]
                    dx = column + 0.5 - means2d[m, i, 0]
                    dy = row + 0.5 - means2d[m, i, 1]
                    c = conics[m, i]
                    power = 0.5 * (c[0] * dx * dx + c[2] * dy * dy) + c[1] * dx * dy
                    if power < 0.0 or power > 6.0:
                        continue
                    phi = math.exp(-power)
                    alpha = min(MAX_ALPHA, opacities[i] * phi)
                    if alpha < MIN_ALPHA:
                        continue
                    after = transmittance * (1.0 - alpha)
                    if after <= MIN_TRANSMITTANCE:
                        break
                    weight = np.float32(alpha * transmittance)
                    feature, part = features[i], feature_parts[e]
                    shown = np.float32(gz * depths[m, i] + ga)
                    for channel in range(channels):
                        shown += grad[channel] * feature[channel]
                        part[channel] += weight * grad[channel]
                    behind -= weight * shown
                    parts[e, 5] += weight * gz
                    transmittance, before = after, transmittance
                    if opacities[i] * phi >= MAX_ALPHA:
                        continue  # the cap is flat
                    g = before * shown - behind / (1.0 - alpha)
                    parts[e, 6] += phi * g
                    g_power = -alpha * g
                    parts[e, 0] -= g_power * (c[0] * dx + c[1] * dy)
                    parts[e, 1] -= g_power * (c[2] * dy + c[1] * dx)
                    parts[e, 2] += 0.5 * g_power * dx * dx
                    parts[e, 3] += g_power * dx * dy
                    parts[e, 4] += 0.5 * g_power * dy * dy


@numba.njit(cache=True)
def _reduce(starts, entries, parts, feature_parts, tiles, g_means2d, g_conics, g_depths, g_opacities, g_features):
    """Sum the partial gradients of all list entries of a Gaussian."""
    channels = feature_parts.shape[1]
    for tile in range(starts.shape[0] - 1):
        m = tile // tiles
        for e in range(starts[tile], starts[tile + 1]):
            i = entries[e]
            g_means2d[m, i, 0] += parts[e, 0]
            g_means2d[m, i, 1] += parts[e, 1]
            for k in range(3):
                g_conics[m, i, k] += parts[e, 2 + k]
            g_depths[m, i] += parts[e, 5]
            g_opacities[i] += parts[e, 6]
            for c in range(channels):
                g_features[i, c] += feature_parts[e, c]


def _array(value: Tensor) -> np.ndarray:
    return np.ascontiguousarray(value.detach().numpy(), dtype=np.float32)


class Rasterize(torch.autograd.Function):
    """features, depth, alpha = f(means2d, conics, depths, opacities, features) for M pictures of one scene."""

    @staticmethod
    def forward(ctx, means2d, conics, depths, opacities, features, radii, width, height):
        """Rasterise."""
        arrays = tuple(map(_array, (means2d, conics, depths, opacities, features)))
        starts, entries = _bin(arrays[0], _array(radii), arrays[2], width, height)
        pictures = arrays[2].shape[0]
        out = (
            np.empty((pictures, height, width, arrays[4].shape[1]), np.float32),
            np.empty((pictures, height, width), np.float32),
            np.empty((pictures, height, width), np.float32),
        )
        with parallel_kernels():
            _forward(*arrays, starts, entries, *out)
        ctx.arrays, ctx.lists, ctx.out = arrays, (starts, entries), out
        return tuple(map(torch.from_numpy, out))

    @staticmethod
    def backward(ctx, g_features, g_depth, g_alpha):
        """Chain rule of the rasteriser."""
        starts, entries = ctx.lists
        parts = np.zeros((len(entries), 7), np.float32)
        feature_parts = np.zeros((len(entries), ctx.arrays[4].shape[1]), np.float32)
        grads = tuple(np.zeros(a.shape, np.float32) for a in ctx.arrays)
        given = tuple(map(_array, (g_features, g_depth, g_alpha)))
        with parallel_kernels():
            _backward(*ctx.arrays, starts, entries, *ctx.out, *given, parts, feature_parts)
        tiles = (len(starts) - 1) // max(ctx.arrays[2].shape[0], 1)
        _reduce(starts, entries, parts, feature_parts, tiles, *grads)
        return (*map(torch.from_numpy, grads), None, None, None)
