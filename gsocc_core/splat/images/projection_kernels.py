# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Numba kernels: project Gaussians into views, sort them by depth, and list them per picture tile; and the way back.

A *pair* is one Gaussian seen in one view; pairs of a view stand together, front to back. An *entry* is one pair in one
tile. Geometry is computed in float64: the covariance of a Gaussian just before the camera spans many magnitudes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np

from gsocc_core.compiling import kernel
from gsocc_core.splat.images.rules import JACOBIAN_MARGIN, LOW_PASS_PX2, MIN_ALPHA

#: Edge of a picture tile, pixels.
TILE = 8

#: Columns of ``Pairs.geometry``: position, upper triangular L with L^T L = inverse covariance, depth.
U, V, L00, L01, L11, DEPTH = range(6)

#: Columns of an entry's gradient sums over its pixels: of weight times depth gradient, of dL/dpower, and of dL/dpower
#: times whitened offsets u, v and their products.
SUM_DEPTH, SUM_POWER, SUM_U, SUM_V, SUM_UU, SUM_UV, SUM_VV = range(7)
SUMS = 7

#: Squared standard deviations, and a little more, at which the most opaque Gaussian falls below MIN_ALPHA.
FARTHEST_SQUARED = (math.sqrt(-2.0 * math.log(MIN_ALPHA)) + 1e-3) ** 2


class Views(NamedTuple):
    """W views of B scenes, flattened; view w shows scene w // (W // B).

    Attributes:
        rotations: (W, 3, 3) float64 of ``T_cam_ref``.
        translations: (W, 3) float64, metres.
        intrinsics: (W, 4) float64 fx, fy, cx, cy, pixels.
        limits: near, far, metres.
        size: (height, width), pixels.
        orthographic: Parallel projection instead of a pinhole.
    """

    rotations: np.ndarray
    translations: np.ndarray
    intrinsics: np.ndarray
    limits: tuple[float, float]
    size: tuple[int, int]
    orthographic: bool


class Pairs(NamedTuple):
    """P visible (view, Gaussian) pairs.

    Attributes:
        starts: (W + 1,) first pair of each view.
        gaussian: (P,) index into the flattened (B * N) Gaussians.
        geometry: (P, 6) float64, see ``U`` ... ``DEPTH``.
        rects: (P, 4) int32 first and last column, first and last row of pixels, inclusive.
        of_gaussian: (W, N) int32 pair of each Gaussian, -1 = not seen.
    """

    starts: np.ndarray
    gaussian: np.ndarray
    geometry: np.ndarray
    rects: np.ndarray
    of_gaussian: np.ndarray


@kernel(inline="always")
def _slope(value: float, focal: float, center: float, length: int) -> tuple[float, bool]:
    """Ratio x / z, held within the picture and a margin; and whether it was held."""
    margin = JACOBIAN_MARGIN * length
    low, high = (-center - margin) / focal, (length - center + margin) / focal
    if value < low:
        return low, True
    if value > high:
        return high, True
    return value, False


@kernel()
def _jacobian(
    x: float, y: float, z: float, intrinsics: np.ndarray, size: tuple[int, int], ortho: bool
) -> tuple[float, float, float, float, bool, bool]:
    """J = [[j00, 0, j02], [0, j11, j12]] of the projection, and whether its slopes were held at the border."""
    fx, fy = intrinsics[0], intrinsics[1]
    if ortho:
        return fx, 0.0, fy, 0.0, False, False
    a, held_x = _slope(x / z, fx, intrinsics[2], size[1])
    b, held_y = _slope(y / z, fy, intrinsics[3], size[0])
    return fx / z, -fx * a / z, fy / z, -fy * b / z, held_x, held_y


@kernel()
def _project(
    mean: np.ndarray,
    covariance: np.ndarray,
    opacity: float,
    rotation: np.ndarray,
    translation: np.ndarray,
    intrinsics: np.ndarray,
    limits: tuple[float, float],
    size: tuple[int, int],
    ortho: bool,
    geometry: np.ndarray,
    rect: np.ndarray,
) -> bool:
    """Write one pair's geometry (6,) and rect (4,); False when the Gaussian touches no pixel."""
    R, m = rotation, mean
    z = R[2, 0] * m[0] + R[2, 1] * m[1] + R[2, 2] * m[2] + translation[2]
    if not (limits[0] <= z <= limits[1]) or opacity < MIN_ALPHA:
        return False
    x = R[0, 0] * m[0] + R[0, 1] * m[1] + R[0, 2] * m[2] + translation[0]
    y = R[1, 0] * m[0] + R[1, 1] * m[1] + R[1, 2] * m[2] + translation[1]
    j00, j02, j11, j12, _, _ = _jacobian(x, y, z, intrinsics, size, ortho)
    scale = 1.0 if ortho else 1.0 / z
    u, v = intrinsics[0] * x * scale + intrinsics[2], intrinsics[1] * y * scale + intrinsics[3]
    # Most Gaussians are beside a camera's picture. No variance is above the trace, so this bound costs no product.
    trace = covariance[0, 0] + covariance[1, 1] + covariance[2, 2]
    beside, beyond = max(-u, u - size[1], 0.0), max(-v, v - size[0], 0.0)
    if opacity <= 1.0 and (
        beside * beside > FARTHEST_SQUARED * (LOW_PASS_PX2 + (j00 * j00 + j02 * j02) * trace)
        or beyond * beyond > FARTHEST_SQUARED * (LOW_PASS_PX2 + (j11 * j11 + j12 * j12) * trace)
    ):
        return False
    c00, c01, c11 = LOW_PASS_PX2, 0.0, LOW_PASS_PX2
    for k in range(3):
        mk0, mk1 = 0.0, 0.0
        for j in range(3):
            mk0 += (j00 * R[0, j] + j02 * R[2, j]) * covariance[j, k]
            mk1 += (j11 * R[1, j] + j12 * R[2, j]) * covariance[j, k]
        m0, m1 = j00 * R[0, k] + j02 * R[2, k], j11 * R[1, k] + j12 * R[2, k]
        c00 += mk0 * m0
        c01 += mk0 * m1
        c11 += mk1 * m1
    determinant = c00 * c11 - c01 * c01
    if not determinant > 0.0:
        return False
    # Beyond this radius the Gaussian is fainter than MIN_ALPHA, so the rectangle decides nothing.
    radius = math.sqrt(2.0 * math.log(opacity / MIN_ALPHA)) + 1e-3
    ru, rv = radius * math.sqrt(c00), radius * math.sqrt(c11)
    left, right = max(np.ceil(u - ru - 0.5), 0.0), min(np.floor(u + ru - 0.5), size[1] - 1.0)
    top, bottom = max(np.ceil(v - rv - 0.5), 0.0), min(np.floor(v + rv - 0.5), size[0] - 1.0)
    if not (left <= right and top <= bottom):
        return False
    rect[0], rect[1], rect[2], rect[3] = int(left), int(right), int(top), int(bottom)
    l00 = math.sqrt(c11 / determinant)
    geometry[U], geometry[V], geometry[DEPTH] = u, v, z
    geometry[L00], geometry[L01], geometry[L11] = l00, -c01 / (determinant * l00), 1.0 / math.sqrt(c11)
    return True


@kernel(parallel=True)
def count_visible(
    means: np.ndarray, covariances: np.ndarray, opacities: np.ndarray, views: Views, of_gaussian: np.ndarray
) -> np.ndarray:
    """Number of visible Gaussians per view (W,); marks them in ``of_gaussian`` (W, N), -1 elsewhere."""
    count, number = of_gaussian.shape
    counts = np.zeros(count, np.int64)
    per_scene = count // max(means.shape[0], 1)
    rotations, translations, intrinsics = views.rotations, views.translations, views.intrinsics
    limits, size, ortho = views.limits, views.size, views.orthographic
    for w in numba.prange(count):
        geometry, rect = np.empty(6), np.empty(4, np.int32)
        seen = 0
        b = w // per_scene
        for i in range(number):
            visible = _project(
                means[b, i], covariances[b, i], opacities[b, i], rotations[w], translations[w], intrinsics[w],
                limits, size, ortho, geometry, rect,
            )  # fmt: skip
            of_gaussian[w, i] = 0 if visible else -1
            seen += visible
        counts[w] = seen
    return counts


@kernel(parallel=True)
def fill_pairs(
    means: np.ndarray, covariances: np.ndarray, opacities: np.ndarray, views: Views, pairs: Pairs
) -> tuple[np.ndarray, np.ndarray]:
    """Fill the pairs of every view front to back; returns entries per tile (W, tiles) and per pair (P,)."""
    starts, gaussian, all_geometry, all_rects, of_gaussian = pairs
    rotations, translations, intrinsics = views.rotations, views.translations, views.intrinsics
    limits, size, ortho = views.limits, views.size, views.orthographic
    count, number = of_gaussian.shape
    per_scene = count // max(means.shape[0], 1)
    columns, rows = (size[1] + TILE - 1) // TILE, (size[0] + TILE - 1) // TILE
    per_tile = np.zeros((count, columns * rows), np.int64)
    per_pair = np.zeros(gaussian.shape[0], np.int64)
    for w in numba.prange(count):
        seen, b = starts[w + 1] - starts[w], w // per_scene
        geometry, rects, index = np.empty((seen, 6)), np.empty((seen, 4), np.int32), np.empty(seen, np.int32)
        k = 0
        for i in range(number):
            if of_gaussian[w, i] >= 0:
                _project(
                    means[b, i], covariances[b, i], opacities[b, i], rotations[w], translations[w], intrinsics[w],
                    limits, size, ortho, geometry[k], rects[k],
                )  # fmt: skip
                index[k] = i
                k += 1
        order = np.argsort(geometry[:, DEPTH], kind="mergesort")
        for place in range(seen):
            k, p = order[place], starts[w] + place
            gaussian[p] = b * number + index[k]
            of_gaussian[w, index[k]] = p
            for c in range(6):
                all_geometry[p, c] = geometry[k, c]
            for c in range(4):
                all_rects[p, c] = rects[k, c]
            for ty in range(rects[k, 2] // TILE, rects[k, 3] // TILE + 1):
                for tx in range(rects[k, 0] // TILE, rects[k, 1] // TILE + 1):
                    per_tile[w, ty * columns + tx] += 1
                    per_pair[p] += 1
    return per_tile, per_pair


@kernel(parallel=True)
def fill_tiles(
    pairs: Pairs, tile_starts: np.ndarray, pair_starts: np.ndarray, columns: int, tiles: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pair (E,) and gradient row (E,) of every entry, entries of a tile together and front to back."""
    starts, rects = pairs.starts, pairs.rects
    entry_pair = np.empty(tile_starts[-1], np.int32)
    entry_row = np.empty(tile_starts[-1], np.int64)
    for w in numba.prange(starts.shape[0] - 1):
        fill = tile_starts[w * tiles : (w + 1) * tiles].copy()
        for p in range(starts[w], starts[w + 1]):
            row = pair_starts[p]
            for ty in range(rects[p, 2] // TILE, rects[p, 3] // TILE + 1):
                for tx in range(rects[p, 0] // TILE, rects[p, 1] // TILE + 1):
                    slot = fill[ty * columns + tx]
                    fill[ty * columns + tx] += 1
                    entry_pair[slot], entry_row[slot] = p, row
                    row += 1
    return entry_pair, entry_row


@kernel()
def _project_backward(
    m: np.ndarray,
    covariance: np.ndarray,
    R: np.ndarray,
    translation: np.ndarray,
    intrinsics: np.ndarray,
    size: tuple[int, int],
    ortho: bool,
    geometry: np.ndarray,
    sums: np.ndarray,
    g_mean: np.ndarray,
    g_covariance: np.ndarray,
) -> None:
    """Add one pair's gradients to those of its Gaussian.

    With s = |L d|^2 / 2 and w = L d: ds/dd = L^T w and ds/dC = -L^T w w^T L / 2 for the covariance C in the picture,
    so sums of w and w w^T (columns ``SUM_U`` ...) hold everything, and stay small however thin the Gaussian is.
    """
    l00, l01, l11 = geometry[L00], geometry[L01], geometry[L11]
    g_u, g_v = l00 * sums[SUM_U], l01 * sums[SUM_U] + l11 * sums[SUM_V]
    # G = -L^T W L / 2
    a, b, c = sums[SUM_UU], sums[SUM_UV], sums[SUM_VV]
    g00 = -0.5 * l00 * l00 * a
    g01 = -0.5 * l00 * (l01 * a + l11 * b)
    g11 = -0.5 * (l01 * l01 * a + 2.0 * l01 * l11 * b + l11 * l11 * c)

    x = R[0, 0] * m[0] + R[0, 1] * m[1] + R[0, 2] * m[2] + translation[0]
    y = R[1, 0] * m[0] + R[1, 1] * m[1] + R[1, 2] * m[2] + translation[1]
    z = R[2, 0] * m[0] + R[2, 1] * m[1] + R[2, 2] * m[2] + translation[2]
    j00, j02, j11, j12, held_x, held_y = _jacobian(x, y, z, intrinsics, size, ortho)
    # M = J R, C = M Sigma M^T: dSigma = M^T G M, dJ = 2 G M Sigma R^T
    g_j00, g_j02, g_j11, g_j12 = 0.0, 0.0, 0.0, 0.0
    for k in range(3):
        s0, s1 = 0.0, 0.0  # (M Sigma)[:, k]
        m0k, m1k = j00 * R[0, k] + j02 * R[2, k], j11 * R[1, k] + j12 * R[2, k]
        for j in range(3):
            m0j, m1j = j00 * R[0, j] + j02 * R[2, j], j11 * R[1, j] + j12 * R[2, j]
            s0 += m0j * covariance[j, k]
            s1 += m1j * covariance[j, k]
            g_covariance[k, j] += m0k * (g00 * m0j + g01 * m1j) + m1k * (g01 * m0j + g11 * m1j)
        t0, t1 = 2.0 * (g00 * s0 + g01 * s1), 2.0 * (g01 * s0 + g11 * s1)
        g_j00 += t0 * R[0, k]
        g_j02 += t0 * R[2, k]
        g_j11 += t1 * R[1, k]
        g_j12 += t1 * R[2, k]
    fx, fy = intrinsics[0], intrinsics[1]
    g_z = sums[SUM_DEPTH]
    if ortho:
        g_x, g_y = fx * g_u, fy * g_v
    else:
        g_x, g_y = fx / z * g_u, fy / z * g_v
        g_z -= (fx * x * g_u + fy * y * g_v) / (z * z)
        # j00 = fx / z; j02 = -fx slope / z, where slope = x / z unless it is held at the border
        g_z -= (j00 * g_j00 + j02 * g_j02 + j11 * g_j11 + j12 * g_j12) / z
        if not held_x:
            g_x -= fx / (z * z) * g_j02
            g_z += fx * x / (z * z * z) * g_j02
        if not held_y:
            g_y -= fy / (z * z) * g_j12
            g_z += fy * y / (z * z * z) * g_j12
    for k in range(3):
        g_mean[k] += R[0, k] * g_x + R[1, k] * g_y + R[2, k] * g_z


@kernel(parallel=True)
def collect_gradients(
    means: np.ndarray,
    covariances: np.ndarray,
    opacities: np.ndarray,
    views: Views,
    pairs: Pairs,
    pair_starts: np.ndarray,
    entry_sums: np.ndarray,
    entry_rows: np.ndarray,
    moves: bool,
    g_means: np.ndarray,
    g_covariances: np.ndarray,
    g_opacities: np.ndarray,
    g_features: np.ndarray,
) -> None:
    """Sum the entries' gradients per Gaussian, in a fixed order, and carry them back through the projection.

    Without ``moves`` means and covariances are not asked for, and their gradients stay as they are.
    """
    scenes, number = opacities.shape
    geometry, of_gaussian = pairs.geometry, pairs.of_gaussian
    rotations, translations, intrinsics = views.rotations, views.translations, views.intrinsics
    size, ortho = views.size, views.orthographic
    per_scene = of_gaussian.shape[0] // max(scenes, 1)
    for n in numba.prange(scenes * number):
        b, i = n // number, n % number
        last = b * per_scene - 1
        for w in range(b * per_scene, (b + 1) * per_scene):
            if of_gaussian[w, i] >= 0:
                last = w
        if last < b * per_scene:  # most Gaussians of a large scene are in no picture: nothing to allocate for
            continue
        g_mean, g_covariance, sums = np.zeros(3), np.zeros((3, 3)), np.empty(SUMS)
        for w in range(b * per_scene, last + 1):
            p = of_gaussian[w, i]
            if p < 0:
                continue
            sums[:] = 0.0
            for e in range(pair_starts[p], pair_starts[p + 1]):
                for k in range(SUMS):
                    sums[k] += entry_sums[e, k]
                for c in range(g_features.shape[2]):
                    g_features[b, i, c] += entry_rows[e, c]
            g_opacities[b, i] -= sums[SUM_POWER] / opacities[b, i]
            if moves:
                _project_backward(
                    means[b, i], covariances[b, i], rotations[w], translations[w], intrinsics[w], size, ortho,
                    geometry[p], sums, g_mean, g_covariance,
                )  # fmt: skip
        if not moves:
            continue
        for k in range(3):
            g_means[b, i, k] = g_mean[k]
            for j in range(3):
                g_covariances[b, i, k, j] = g_covariance[k, j]
