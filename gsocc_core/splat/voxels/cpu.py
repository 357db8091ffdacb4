# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Gaussians to voxels on the CPU: tiles of columns, each written by one thread, so results do not depend on threads.

For a column of voxels the Mahalanobis distance is a quadratic in z, a z^2 + 2 b z + c. Its roots give the voxels inside
the ellipsoid without testing the others, and neighbouring weights follow by multiplication instead of an exponential:
exp(-q(z + 1) / 2) / exp(-q(z) / 2) is itself a geometric sequence.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import torch
from torch import Tensor

from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.splat.threads import PARALLEL_KERNELS

TILE = 8  # columns along x and y; a tile of 16 levels and 18 channels fills 74 kB, about one L2 way


@numba.njit(cache=True, inline="always")
def _column(A, dx, dy, half_z, mz, lower_z, size_z, levels, cutoff2, box):
    """Levels [first, last] of a column inside the support, and the coefficients of its quadratic in metres."""
    u0 = A[0, 0] * dx + A[0, 1] * dy
    u1 = A[1, 0] * dx + A[1, 1] * dy
    u2 = A[2, 0] * dx + A[2, 1] * dy
    a = A[0, 2] * A[0, 2] + A[1, 2] * A[1, 2] + A[2, 2] * A[2, 2]
    b = u0 * A[0, 2] + u1 * A[1, 2] + u2 * A[2, 2]
    c = u0 * u0 + u1 * u1 + u2 * u2
    if box:
        low, high = -half_z, half_z
    else:
        root = b * b - a * (c - cutoff2)
        if root < 0.0:
            return 1, 0, a, b, c
        root = math.sqrt(root)
        low, high = (-b - root) / a, (-b + root) / a
    first = int(math.ceil((mz + low - lower_z) / size_z - 0.5))
    last = int(math.floor((mz + high - lower_z) / size_z - 0.5))
    return max(first, 0), min(last, levels - 1), a, b, c


@numba.njit(cache=True)
def _bin(means, extents, lower, size, shape):
    """Voxel box of every Gaussian (inclusive, x and y) and the tile lists: starts (T + 1,), entries (E,)."""
    n = means.shape[0]
    tiles_x, tiles_y = (shape[0] + TILE - 1) // TILE, (shape[1] + TILE - 1) // TILE
    boxes = np.empty((n, 4), np.int32)
    counts = np.zeros(tiles_x * tiles_y + 1, np.int64)
    for i in range(n):
        empty = False
        for a in range(3):
            low = (means[i, a] - extents[i, a] - lower[a]) / size[a] - 0.5
            high = (means[i, a] + extents[i, a] - lower[a]) / size[a] - 0.5
            if high < 0.0 or low > shape[a] - 1.0:
                empty = True
                break
            if a < 2:
                boxes[i, 2 * a] = int(max(math.ceil(low), 0.0))
                boxes[i, 2 * a + 1] = int(min(math.floor(high), shape[a] - 1.0))
        if empty or boxes[i, 0] > boxes[i, 1] or boxes[i, 2] > boxes[i, 3]:
            boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3] = 1, 0, 1, 0
            continue
        for tx in range(boxes[i, 0] // TILE, boxes[i, 1] // TILE + 1):
            for ty in range(boxes[i, 2] // TILE, boxes[i, 3] // TILE + 1):
                counts[tx * tiles_y + ty + 1] += 1
    starts = np.cumsum(counts)
    entries = np.empty(starts[-1], np.int32)
    fill = starts[:-1].copy()
    for i in range(n):
        if boxes[i, 0] > boxes[i, 1]:
            continue
        for tx in range(boxes[i, 0] // TILE, boxes[i, 1] // TILE + 1):
            for ty in range(boxes[i, 2] // TILE, boxes[i, 3] // TILE + 1):
                tile = tx * tiles_y + ty
                entries[fill[tile]] = i
                fill[tile] += 1
    return boxes, starts, entries


@numba.njit(cache=True, fastmath={"reassoc", "contract", "nsz"})
def _accumulate_tile(
    density,
    votes,
    x0,
    y0,
    x1,
    y1,
    entries,
    boxes,
    means,
    A,
    extents,
    opacities,
    features,
    lower,
    size,
    cutoff2,
    box,
    unweighted,
):
    """Add all listed Gaussians to one tile. density (TX, TY, Z) and votes (TX, TY, Z, C) start at zero."""
    levels, channels = density.shape[2], votes.shape[3]
    for e in range(entries.shape[0]):
        i = entries[e]
        opacity, mz, feature, a_i = opacities[i], means[i, 2], features[i], A[i]
        for x in range(max(boxes[i, 0], x0), min(boxes[i, 1], x1 - 1) + 1):
            dx = lower[0] + (x + 0.5) * size[0] - means[i, 0]
            for y in range(max(boxes[i, 2], y0), min(boxes[i, 3], y1 - 1) + 1):
                dy = lower[1] + (y + 0.5) * size[1] - means[i, 1]
                first, last, a, b, c = _column(a_i, dx, dy, extents[i, 2], mz, lower[2], size[2], levels, cutoff2, box)
                if first > last:
                    continue
                z = lower[2] + (first + 0.5) * size[2] - mz
                phi = math.exp(-0.5 * (a * z * z + 2.0 * b * z + c))
                ratio = math.exp(-(a * z + b) * size[2] - 0.5 * a * size[2] * size[2])
                growth = math.exp(-a * size[2] * size[2])
                for level in range(first, last + 1):
                    weight = np.float32(phi * opacity)
                    vote = np.float32(phi) if unweighted else weight
                    density[x - x0, y - y0, level] += weight
                    row = votes[x - x0, y - y0, level]
                    for channel in range(channels):
                        row[channel] += vote * feature[channel]
                    phi *= ratio
                    ratio *= growth


@numba.njit(cache=True, parallel=True)
def _forward(
    means,
    A,
    extents,
    opacities,
    features,
    lower,
    size,
    starts,
    entries,
    boxes,
    cutoff2,
    box,
    unweighted,
    density,
    votes,
):
    """Fill density (X, Y, Z) and votes (X, Y, Z, C)."""
    shape, channels = density.shape, votes.shape[3]
    tiles_y = (shape[1] + TILE - 1) // TILE
    for tile in numba.prange(starts.shape[0] - 1):
        x0, y0 = (tile // tiles_y) * TILE, (tile % tiles_y) * TILE
        x1, y1 = min(x0 + TILE, shape[0]), min(y0 + TILE, shape[1])
        part, vote = density[x0:x1, y0:y1], votes[x0:x1, y0:y1]
        part[:] = 0.0
        vote[:] = 0.0
        listed = entries[starts[tile] : starts[tile + 1]]
        if listed.shape[0] == 0:
            continue
        _accumulate_tile(
            part, vote, x0, y0, x1, y1, listed, boxes, means, A, extents, opacities, features, lower, size, cutoff2,
            box, unweighted,
        )  # fmt: skip
        if not unweighted:
            for x in range(x1 - x0):
                for y in range(y1 - y0):
                    for z in range(shape[2]):
                        if part[x, y, z] > 0.0:
                            inverse = np.float32(1.0) / part[x, y, z]
                            for c in range(channels):
                                vote[x, y, z, c] *= inverse


@numba.njit(cache=True, parallel=True)
def _labels(
    means, A, extents, opacities, features, lower, size, starts, entries, boxes, cutoff2, box, unweighted, hazard,
    threshold, channel_ids, free_id, labels, confidence,
):  # fmt: skip
    """Fill labels (X, Y, Z) and confidence without a volume of C channels: one tile's votes live at a time."""
    shape, channels = labels.shape, features.shape[1]
    tiles_y = (shape[1] + TILE - 1) // TILE
    for tile in numba.prange(starts.shape[0] - 1):
        x0, y0 = (tile // tiles_y) * TILE, (tile % tiles_y) * TILE
        x1, y1 = min(x0 + TILE, shape[0]), min(y0 + TILE, shape[1])
        labels[x0:x1, y0:y1] = free_id
        confidence[x0:x1, y0:y1] = 1.0
        listed = entries[starts[tile] : starts[tile + 1]]
        if listed.shape[0] == 0:
            continue
        part = np.zeros((x1 - x0, y1 - y0, shape[2]), np.float32)
        vote = np.zeros((x1 - x0, y1 - y0, shape[2], channels), np.float32)
        _accumulate_tile(
            part, vote, x0, y0, x1, y1, listed, boxes, means, A, extents, opacities, features, lower, size, cutoff2,
            box, unweighted,
        )  # fmt: skip
        for x in range(x1 - x0):
            for y in range(y1 - y0):
                for z in range(shape[2]):
                    density = part[x, y, z]
                    occupied = 1.0 - math.exp(-density) if hazard else min(density, 1.0)
                    if density > 0.0 and occupied >= threshold:
                        best = 0
                        for c in range(1, channels):
                            if vote[x, y, z, c] > vote[x, y, z, best]:
                                best = c
                        labels[x0 + x, y0 + y, z] = channel_ids[best]
                        confidence[x0 + x, y0 + y, z] = occupied
                    else:
                        confidence[x0 + x, y0 + y, z] = 1.0 - occupied


@numba.njit(cache=True, parallel=True, fastmath={"reassoc", "contract", "nsz"})
def _backward(
    means, A, extents, opacities, features, lower, size, boxes, cutoff2, box, unweighted, grad_density, grad_votes,
    g_means, g_A, g_opacities, g_features,
):  # fmt: skip
    """Each Gaussian gathers from its own voxels, so no two threads write the same gradient."""
    levels, channels = grad_density.shape[2], features.shape[1]
    for i in numba.prange(means.shape[0]):
        if boxes[i, 0] > boxes[i, 1]:
            continue
        opacity, mz, feature, a_i = opacities[i], means[i, 2], features[i], A[i]
        g_feature = np.zeros(channels, np.float32)
        g_opacity = 0.0
        # dL/dq summed against 1, d and d d^T gives every geometric gradient: q = d^T A^T A d.
        s = np.zeros((3, 3))
        m = np.zeros(3)
        for x in range(boxes[i, 0], boxes[i, 1] + 1):
            dx = lower[0] + (x + 0.5) * size[0] - means[i, 0]
            for y in range(boxes[i, 2], boxes[i, 3] + 1):
                dy = lower[1] + (y + 0.5) * size[1] - means[i, 1]
                first, last, a, b, c = _column(a_i, dx, dy, extents[i, 2], mz, lower[2], size[2], levels, cutoff2, box)
                if first > last:
                    continue
                z = lower[2] + (first + 0.5) * size[2] - mz
                phi = math.exp(-0.5 * (a * z * z + 2.0 * b * z + c))
                ratio = math.exp(-(a * z + b) * size[2] - 0.5 * a * size[2] * size[2])
                growth = math.exp(-a * size[2] * size[2])
                sum0, sum1, sum2 = 0.0, 0.0, 0.0
                for level in range(first, last + 1):
                    row = grad_votes[x, y, level]
                    dot = np.float32(0.0)
                    vote = np.float32(phi) if unweighted else np.float32(phi * opacity)
                    for channel in range(channels):
                        dot += row[channel] * feature[channel]
                        g_feature[channel] += vote * row[channel]
                    if unweighted:
                        g_opacity += phi * grad_density[x, y, level]
                        g_phi = opacity * grad_density[x, y, level] + dot
                    else:
                        g_weight = grad_density[x, y, level] + dot
                        g_opacity += phi * g_weight
                        g_phi = opacity * g_weight
                    g_q = -0.5 * phi * g_phi
                    sum0 += g_q
                    sum1 += g_q * z
                    sum2 += g_q * z * z
                    phi *= ratio
                    ratio *= growth
                    z += size[2]
                m[0] += sum0 * dx
                m[1] += sum0 * dy
                m[2] += sum1
                s[0, 0] += sum0 * dx * dx
                s[0, 1] += sum0 * dx * dy
                s[0, 2] += sum1 * dx
                s[1, 1] += sum0 * dy * dy
                s[1, 2] += sum1 * dy
                s[2, 2] += sum2
        s[1, 0], s[2, 0], s[2, 1] = s[0, 1], s[0, 2], s[1, 2]
        for r in range(3):
            am = a_i[r, 0] * m[0] + a_i[r, 1] * m[1] + a_i[r, 2] * m[2]
            for k in range(3):
                g_A[i, r, k] = 2.0 * (a_i[r, 0] * s[0, k] + a_i[r, 1] * s[1, k] + a_i[r, 2] * s[2, k])
                g_means[i, k] -= 2.0 * a_i[r, k] * am
        g_opacities[i] = g_opacity
        for channel in range(channels):
            g_features[i, channel] = g_feature[channel]


@numba.njit(cache=True, parallel=True)
def _unnormalise_gradients(density, features, grad_density, grad_features, g_den, g_num):
    """Gradients of features = num / den with respect to num and den."""
    channels = features.shape[3]
    for x in numba.prange(density.shape[0]):
        for y in range(density.shape[1]):
            for z in range(density.shape[2]):
                g = grad_density[x, y, z]
                if density[x, y, z] > 0.0:
                    inverse = np.float32(1.0) / density[x, y, z]
                    dot = np.float32(0.0)
                    for c in range(channels):
                        g_num[x, y, z, c] = grad_features[x, y, z, c] * inverse
                        dot += g_num[x, y, z, c] * features[x, y, z, c]
                    g -= dot
                else:
                    for c in range(channels):
                        g_num[x, y, z, c] = 0.0
                g_den[x, y, z] = g


def _array(value: Tensor) -> np.ndarray:
    return np.ascontiguousarray(value.detach().numpy(), dtype=np.float32)


class _Scene:
    """One scene's arrays and tile lists."""

    def __init__(
        self, means: Tensor, A: Tensor, extents: Tensor, opacities: Tensor, features: Tensor, grid: VoxelGrid
    ) -> None:
        self.means, self.A = _array(means), _array(A)
        # A hair wider, so that rounding of the box never cuts off a voxel that the quadratic accepts.
        self.extents = _array(extents)
        self.opacities, self.features = _array(opacities), _array(features)
        self.lower, self.size = np.asarray(grid.lower), np.asarray(grid.size_m)
        self.shape = np.asarray(grid.shape)
        self.boxes, self.starts, self.entries = _bin(self.means, self.extents, self.lower, self.size, self.shape)

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        return self.means, self.A, self.extents, self.opacities, self.features, self.lower, self.size


class SplatToVoxels(torch.autograd.Function):
    """density, features = f(means, A, opacities, features) for one scene; see the module docstring."""

    @staticmethod
    def forward(
        ctx,
        means,
        A,
        opacities,
        features,
        extents,
        grid,
        cutoff,
        box,
        unweighted,
        out,
    ):
        """Evaluate the Gaussians at the voxel centres."""
        scene = _Scene(means, A, extents, opacities, features, grid)
        channels = scene.features.shape[1]
        if out is None:
            density = np.empty(grid.shape, np.float32)
            votes = np.empty((*grid.shape, channels), np.float32)
        else:
            density, votes = (value.detach().numpy() for value in out)
        with PARALLEL_KERNELS:
            _forward(
                *scene.arrays, scene.starts, scene.entries, scene.boxes, cutoff**2, box, unweighted, density, votes
            )
        ctx.scene, ctx.options = scene, (cutoff**2, box, unweighted)
        result = torch.from_numpy(density), torch.from_numpy(votes)
        ctx.save_for_backward(*result)
        return result

    @staticmethod
    def backward(ctx, grad_density, grad_features):
        """Chain rule of the voxel sums."""
        scene, (cutoff2, box, unweighted) = ctx.scene, ctx.options
        density, features = (value.numpy() for value in ctx.saved_tensors)
        g_den, g_num = _array(grad_density), _array(grad_features)
        n, channels = scene.features.shape
        grads = (
            np.zeros((n, 3), np.float32), np.zeros((n, 3, 3), np.float32), np.zeros(n, np.float32),
            np.zeros((n, channels), np.float32),
        )  # fmt: skip
        with PARALLEL_KERNELS:
            if not unweighted:
                g_den, g_num = np.empty_like(g_den), np.empty_like(g_num)
                _unnormalise_gradients(density, features, _array(grad_density), _array(grad_features), g_den, g_num)
            _backward(*scene.arrays, scene.boxes, cutoff2, box, unweighted, g_den, g_num, *grads)
        return (*map(torch.from_numpy, grads), None, None, None, None, None, None)


def labels_cpu(
    means: Tensor, A: Tensor, extents: Tensor, opacities: Tensor, features: Tensor, grid: VoxelGrid, *,
    cutoff: float, box: bool, unweighted: bool, hazard: bool, threshold: float, channel_ids: tuple[int, ...],
    free_id: int, out: tuple[Tensor, Tensor] | None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Labels and confidence of one scene; see :func:`gsocc_core.splat_to_labels`.

    Returns:
        labels (X, Y, Z) uint8 and confidence (X, Y, Z) float32.
    """
    scene = _Scene(means, A, extents, opacities, features, grid)
    labels, confidence = (
        (np.empty(grid.shape, np.uint8), np.empty(grid.shape, np.float32))
        if out is None
        else (out[0].numpy(), out[1].numpy())
    )
    with PARALLEL_KERNELS:
        _labels(
            *scene.arrays, scene.starts, scene.entries, scene.boxes, cutoff**2, box, unweighted, hazard, threshold,
            np.asarray(channel_ids, np.uint8), free_id, labels, confidence,
        )  # fmt: skip
    return torch.from_numpy(labels), torch.from_numpy(confidence)
