# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Numba kernels for Gaussians on voxels: their forms, their tiles, and where they reach in a column.

Lengths are in voxels, and voxel (x, y, z) has its centre at (x, y, z). In a column of voxels the squared Mahalanobis
distance is q(z) = q_min + a (z - z_min)^2 with q_min a quadratic and z_min a linear form of (x, y): the voxels inside
an ellipsoid are found without testing the others.

A *row* is what a Gaussian adds to the features of a voxel, times its weight: C numbers, then zeros up to a multiple of
eight, so that a row is a whole number of vector registers. A voxel's density is a number of its own, since a training
asks most voxels for that alone.

Composition ``mean`` has another row: features times the opacity. A Gaussian adds it, without any weight, to every voxel
that it covers; the number of these Gaussians is what features and density are divided by.
"""

from __future__ import annotations

import math
from typing import NamedTuple, get_args

import numpy as np

from gsocc_core.compiling import kernel
from gsocc_core.splat.options import Support
from gsocc_core.splat.shapes import MIN_WEIGHT
from gsocc_core.splat.simd import exp32

#: Columns along x and y of one tile.
TILE = 8
SMALLEST = np.float32(MIN_WEIGHT)
ELLIPSOID, BOX, BOX_VOXELS = (get_args(Support).index(name) for name in ("ellipsoid", "box", "box_voxels"))
#: What is asked of a voxel.
NOTHING, DENSITY, FEATURES = 0, 1, 2

#: Columns of ``forms``, from |A d|^2 = |R d|^2 with R triangular: q_min = (UX x + UY y)^2 + (VX x)^2,
#: z_min = EX x + EY y, curvature a.
UX, UY, VX, EX, EY, CURVATURE = range(6)

#: exp(-q / 2) = 2^-(HALF_LOG2 q).
HALF_LOG2 = 0.5 / math.log(2.0)

FAST_MATH = {"reassoc", "contract", "nsz", "arcp"}


class TileScene(NamedTuple):
    """One scene as the kernels read it.

    Attributes:
        centers: (N, 3) voxels.
        forms: (N, 6).
        boxes: (N, 6) int32 first and last voxel along x, y and z.
        amplitudes: (N,) what phi is multiplied by.
        shares: (N,) what a weight is multiplied by in the density.
        rows: (N, R).
        limit: Squared distance up to which there is a weight.
        cover: Squared distance up to which a Gaussian covers a voxel.
    """

    centers: np.ndarray
    forms: np.ndarray
    boxes: np.ndarray
    amplitudes: np.ndarray
    shares: np.ndarray
    rows: np.ndarray
    limit: float
    cover: float


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


@kernel()
def new_plans():
    """Plans of a tile's columns: two arrays of int32, two of float32."""
    columns = TILE * TILE
    first, last = np.empty(columns, np.int32), np.empty(columns, np.int32)
    return first, last, np.empty(columns, np.float32), np.empty(columns, np.float32)


@kernel(fastmath=FAST_MATH, forceinline=True)
def _corner(center, form, x0, y0):
    """What :func:`_column` reads of a Gaussian: offset of column 0 from its centre, height, form."""
    forms = form[UX], form[UY], form[VX], form[EX], form[EY], form[CURVATURE]
    return (x0 - center[0], y0 - center[1], center[2], 1.0 / form[CURVATURE]), forms


@kernel(fastmath=FAST_MATH, forceinline=True)
def _column(corner, k, bottom, top, limit):
    """Column k at x0 + k // TILE, y0 + k % TILE: its first and last level, q_min, and first level - z_min.

    The levels are those of bottom ... top with a squared distance up to the limit (first > last: none).
    """
    (ox, oy, cz, inverse_a), (ux, uy, vx, ex, ey, _) = corner
    dx, dy = ox + (k // TILE), oy + (k % TILE)
    u, v = ux * dx + uy * dy, vx * dx
    q_min = u * u + v * v
    room = limit - q_min
    z_min = cz + ex * dx + ey * dy
    reach = math.sqrt(max(room, 0.0) * inverse_a)
    low, high = np.ceil(max(z_min - reach, bottom)), np.floor(min(z_min + reach, top))
    last = np.int32(-1) if room < 0.0 else np.int32(max(high, -1.0))
    return np.int32(min(low, top + 1.0)), last, q_min, low - z_min


@kernel(fastmath=FAST_MATH)
def plan_columns(center, form, box, x0, y0, limit, first, last, power, offset):
    """Plan the columns x0 + k // TILE, y0 + k % TILE for weights that are computed one by one.

    Writes, for every column k: first and last level of the box with a squared distance up to the limit (first > last:
    none), -log2 phi at z_min, and first - z_min. Whether a column belongs to the box is for the caller to know.

    The loop, like that of :func:`plan_walks`, runs in four lanes. With a fifth array to write to, the compiler would
    give that up: it checks at run time that no two arrays overlap, and not more than eight pairs.

    numba's disk cache notices changes of a kernel's own file only: after an edit here, touch the files that use it.
    """
    corner, bottom, top = _corner(center, form, x0, y0), float(box[4]), float(box[5])
    for k in range(first.shape[0]):
        first[k], last[k], q_min, t = _column(corner, k, bottom, top, limit)
        power[k], offset[k] = np.float32(HALF_LOG2 * q_min), np.float32(t)


@kernel(fastmath=FAST_MATH)
def plan_walks(center, form, box, x0, y0, limit, first, last, phi, ratio):
    """The same for walks up the columns: phi at the first level, and the ratio of phi at the second one to it."""
    corner, bottom, top = _corner(center, form, x0, y0), float(box[4]), float(box[5])
    a = form[CURVATURE]
    for k in range(first.shape[0]):
        first[k], last[k], q_min, t = _column(corner, k, bottom, top, limit)
        phi[k] = exp32(np.float32(max(-0.5 * (q_min + a * t * t), -87.0)))
        ratio[k] = exp32(np.float32(min(max(-a * (t + 0.5), -87.0), 87.0)))


@kernel()
def count_voxels(centers, forms, boxes, limit):
    """Number of (voxel, Gaussian) pairs inside the support: the work of a splat."""
    plans = new_plans()
    first, last = plans[0], plans[1]
    total = 0
    for i in range(centers.shape[0]):
        for x0 in range(boxes[i, 0], boxes[i, 1] + 1, TILE):
            for y0 in range(boxes[i, 2], boxes[i, 3] + 1, TILE):
                plan_columns(centers[i], forms[i], boxes[i], x0, y0, limit, *plans)
                for x in range(min(TILE, boxes[i, 1] + 1 - x0)):
                    for y in range(min(TILE, boxes[i, 3] + 1 - y0)):
                        total += max(0, last[x * TILE + y] - first[x * TILE + y] + 1)
    return total
