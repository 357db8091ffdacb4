# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Triton kernels that list, for every tile of voxels, the Gaussians that reach it.

Nothing here or in :mod:`gsocc_core.splat.voxels.triton_sum_kernels` waits for the host, uses atomics or has a shape
that depends on values, so a CUDA graph can hold it all:

1. :func:`prepare_gaussians`: whitening matrices and tight boxes, in voxel units (voxel (x, y, z) has its centre there).
2. :func:`list_coarse`: for every column of :data:`SIDE` x :data:`SIDE` voxels and every chunk of Gaussians, those whose
   box meets the column.
3. :func:`list_tiles`, twice: count, then (after a running sum) write, for every small tile, the Gaussians whose
   ellipsoid can meet it. Their number is known on the GPU only, so the list has a fixed capacity; a tile whose part
   does not fit reads the coarse lists instead, which is slower and exactly as right.
4. ``splat_tiles`` or ``label_tiles``: per tile, (V, K) weights of K Gaussians at its V voxels times their (K, C)
   features.

``records`` holds per Gaussian the whitening matrix A (row by row, per voxel), the amplitude a of its weight a phi, and
the share of the density that goes with that weight. ``boxes`` holds the first and last voxel along every axis: those of
a box are the support itself, those of an ellipsoid only hold it.
"""

from typing import get_args

import triton
import triton.language as tl

from gsocc_core.splat.options import Support

#: Edge of a coarse column, voxels; a multiple of every tile's edges.
SIDE = tl.constexpr(32)
#: Floats of one record, and where in it the parts after A stand.
RECORD = tl.constexpr(12)
AMPLITUDE = tl.constexpr(9)
SHARE = tl.constexpr(10)
#: Places of the supports among the choices.
ELLIPSOID, BOX_VOXELS = (tl.constexpr(get_args(Support).index(name)) for name in ("ellipsoid", "box_voxels"))
#: Sums that the backward pass gathers per Gaussian: sum of phi t, phi t d (3), phi t d d^T (6), and what its opacity
#: gets beside the first one: gradient of the share, for ``mean`` that of the features' factor.
SUMS = tl.constexpr(11)


@triton.jit
def _finite(value):
    return (value == value) & (tl.abs(value) < float("inf"))


@triton.jit
def _turned(frame, x, y, z):
    """R_ego_grid^T times a direction."""
    a = tl.load(frame) * x + tl.load(frame + 3) * y + tl.load(frame + 6) * z
    b = tl.load(frame + 1) * x + tl.load(frame + 4) * y + tl.load(frame + 7) * z
    c = tl.load(frame + 2) * x + tl.load(frame + 5) * y + tl.load(frame + 8) * z
    return a.to(tl.float32), b.to(tl.float32), c.to(tl.float32)


@triton.jit
def _store_axis(records, i, row, frame, x, y, z, sigma, used):
    """Row ``row`` of A = S^-1 R^T in voxel units; returns the squares of sigma times the axis."""
    x, y, z = _turned(frame, x, y, z)  # float64 inside, so that a posed grid costs no digits
    size_x, size_y, size_z = tl.load(frame + 15), tl.load(frame + 16), tl.load(frame + 17)
    tl.store(records + i * RECORD + 3 * row, (x / sigma * size_x).to(tl.float32), mask=used)
    tl.store(records + i * RECORD + 3 * row + 1, (y / sigma * size_y).to(tl.float32), mask=used)
    tl.store(records + i * RECORD + 3 * row + 2, (z / sigma * size_z).to(tl.float32), mask=used)
    return (sigma * x) * (sigma * x), (sigma * y) * (sigma * y), (sigma * z) * (sigma * z)


@triton.jit
def _store_range(boxes, i, axis, center, half, length, used, SUPPORT: tl.constexpr):
    """First and last voxel of the box along one axis; returns whether there is any."""
    if SUPPORT == BOX_VOXELS:  # those that hold its corners, and all between
        low, high = tl.floor(center + 0.5 - half), tl.floor(center + 0.5 + half)
    else:
        # Those with their centre inside; of an ellipsoid a hair more, so that rounding never leaves one out.
        spare = 1e-4 if SUPPORT == ELLIPSOID else 0.0
        low, high = tl.ceil(center - half - spare), tl.floor(center + half + spare)
    low, high = tl.maximum(low, 0.0), tl.minimum(high, length - 1.0)
    hit = low <= high
    tl.store(boxes + i * 6 + 2 * axis, tl.where(hit, low, 0.0).to(tl.int32), mask=used)
    tl.store(boxes + i * 6 + 2 * axis + 1, tl.where(hit, high, -1.0).to(tl.int32), mask=used)
    return hit


@triton.jit
def prepare_gaussians(
    means, scales, quats, opacities, features, frame, centers, records, boxes, total, channels, shape_x, shape_y,
    shape_z, cutoff, smallest, UNWEIGHTED: tl.constexpr, SUPPORT: tl.constexpr, BLOCK: tl.constexpr,
    CHANNELS: tl.constexpr,
):  # fmt: skip
    """Gaussians in voxel units.

    Args:
        means: (M, 3) metres, ego frame.
        scales: (M, 3) metres.
        quats: (M, 4) w, x, y, z.
        opacities: (M,).
        features: (M, C); read only to leave out Gaussians that hold NaN or infinity.
        frame: (18,) float64: R_ego_grid row by row, t_ego_grid, lower corner of the grid (m), voxel edges (m).
        centers: (M, 3) float64, written: voxels.
        records: (M, RECORD) float32, written.
        boxes: (M, 6) int32, written: first and last voxel along x, y, z; last < first when it misses the grid.
        total: M.
        channels: C.
        shape_x: Voxels along x; likewise y and z.
        shape_y: .
        shape_z: .
        cutoff: Standard deviations.
        smallest: Smallest standard deviation, metres.
        UNWEIGHTED: Composition ``sum_unweighted``.
        SUPPORT: Place of the support among the choices.
        BLOCK: Gaussians per program.
        CHANNELS: Channels read at once.
    """
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    used = i < total
    x = tl.load(means + i * 3, mask=used, other=0.0)
    y = tl.load(means + i * 3 + 1, mask=used, other=0.0)
    z = tl.load(means + i * 3 + 2, mask=used, other=0.0)
    s0 = tl.load(scales + i * 3, mask=used, other=1.0)
    s1 = tl.load(scales + i * 3 + 1, mask=used, other=1.0)
    s2 = tl.load(scales + i * 3 + 2, mask=used, other=1.0)
    qw = tl.load(quats + i * 4, mask=used, other=1.0)
    qx = tl.load(quats + i * 4 + 1, mask=used, other=0.0)
    qy = tl.load(quats + i * 4 + 2, mask=used, other=0.0)
    qz = tl.load(quats + i * 4 + 3, mask=used, other=0.0)
    opacity = tl.load(opacities + i, mask=used, other=0.0)
    good = _finite(x) & _finite(y) & _finite(z) & _finite(s0) & _finite(s1) & _finite(s2)
    good = good & _finite(qw) & _finite(qx) & _finite(qy) & _finite(qz) & _finite(opacity)
    for c in range(0, channels, CHANNELS):
        column = c + tl.arange(0, CHANNELS)
        inside = used[:, None] & (column < channels)[None, :]
        values = tl.load(features + i[:, None] * channels + column[None, :], mask=inside, other=0.0)
        good = good & (tl.min(_finite(values).to(tl.int32), axis=1) > 0)

    dx, dy, dz = x - tl.load(frame + 9), y - tl.load(frame + 10), z - tl.load(frame + 11)
    gx = tl.load(frame) * dx + tl.load(frame + 3) * dy + tl.load(frame + 6) * dz
    gy = tl.load(frame + 1) * dx + tl.load(frame + 4) * dy + tl.load(frame + 7) * dz
    gz = tl.load(frame + 2) * dx + tl.load(frame + 5) * dy + tl.load(frame + 8) * dz
    size_x, size_y, size_z = tl.load(frame + 15), tl.load(frame + 16), tl.load(frame + 17)
    cx = (gx - tl.load(frame + 12)) / size_x - 0.5
    cy = (gy - tl.load(frame + 13)) / size_y - 0.5
    cz = (gz - tl.load(frame + 14)) / size_z - 0.5
    tl.store(centers + i * 3, cx, mask=used)
    tl.store(centers + i * 3 + 1, cy, mask=used)
    tl.store(centers + i * 3 + 2, cz, mask=used)

    length = 1.0 / tl.maximum(tl.sqrt(qw * qw + qx * qx + qy * qy + qz * qz), 1e-12)
    qw, qx, qy, qz = qw * length, qx * length, qy * length, qz * length
    s0, s1, s2 = tl.maximum(s0, smallest), tl.maximum(s1, smallest), tl.maximum(s2, smallest)
    xx0, yy0, zz0 = _store_axis(
        records, i, 0, frame, 1 - 2 * (qy * qy + qz * qz), 2 * (qx * qy + qw * qz), 2 * (qx * qz - qw * qy), s0, used
    )
    xx1, yy1, zz1 = _store_axis(
        records, i, 1, frame, 2 * (qx * qy - qw * qz), 1 - 2 * (qx * qx + qz * qz), 2 * (qy * qz + qw * qx), s1, used
    )
    xx2, yy2, zz2 = _store_axis(
        records, i, 2, frame, 2 * (qx * qz + qw * qy), 2 * (qy * qz - qw * qx), 1 - 2 * (qx * qx + qy * qy), s2, used
    )
    half_x = cutoff * tl.sqrt(xx0 + xx1 + xx2) / size_x.to(tl.float32)
    half_y = cutoff * tl.sqrt(yy0 + yy1 + yy2) / size_y.to(tl.float32)
    half_z = cutoff * tl.sqrt(zz0 + zz1 + zz2) / size_z.to(tl.float32)
    one = tl.full([BLOCK], 1.0, tl.float32)
    tl.store(records + i * RECORD + AMPLITUDE, one if UNWEIGHTED else opacity, mask=used)
    tl.store(records + i * RECORD + SHARE, opacity if UNWEIGHTED else one, mask=used)

    hit = _store_range(boxes, i, 0, cx, half_x, shape_x, used, SUPPORT)
    hit = hit & _store_range(boxes, i, 1, cy, half_y, shape_y, used, SUPPORT)
    hit = hit & _store_range(boxes, i, 2, cz, half_z, shape_z, used, SUPPORT)
    # One empty range empties the box: every later test looks at all three.
    tl.store(boxes + i * 6 + 1, tl.full([BLOCK], -1, tl.int32), mask=used & ~(hit & good))


@triton.jit
def list_coarse(boxes, coarse, counts, number, columns_y, CHUNK: tl.constexpr):
    """The Gaussians of one chunk whose box meets one coarse column of one scene; programs (chunk, column, scene).

    Args:
        boxes: (B, N, 6).
        coarse: (B, columns, chunks, CHUNK) int16, written: places within the chunk.
        counts: (B, columns, chunks) int32, written.
        number: N.
        columns_y: Coarse columns along y.
        CHUNK: Gaussians per chunk.
    """
    chunk, column, scene = tl.program_id(0), tl.program_id(1), tl.program_id(2).to(tl.int64)
    x0, y0 = column // columns_y * SIDE, column % columns_y * SIDE
    place = tl.arange(0, CHUNK)
    i = chunk * CHUNK + place
    box = boxes + (scene * number + i) * 6
    used = i < number
    hit = (tl.load(box, mask=used, other=0) < x0 + SIDE) & (tl.load(box + 1, mask=used, other=-1) >= x0)
    hit = hit & (tl.load(box + 2, mask=used, other=0) < y0 + SIDE) & (tl.load(box + 3, mask=used, other=-1) >= y0)
    slot = (scene * tl.num_programs(1) + column) * tl.num_programs(0) + chunk
    before = tl.cumsum(hit.to(tl.int32), axis=0) - 1
    tl.store(coarse + slot * CHUNK + before, place.to(tl.int16), mask=hit)
    tl.store(counts + slot, tl.sum(hit.to(tl.int32), axis=0))


@triton.jit
def tile_origin(tile, tiles_y, tiles_z, TX: tl.constexpr, TY: tl.constexpr, TZ: tl.constexpr):
    """First voxel of a tile along x, y and z."""
    return tile // (tiles_y * tiles_z) * TX, tile // tiles_z % tiles_y * TY, tile % tiles_z * TZ


@triton.jit
def three(record, used):
    """Three consecutive numbers of records."""
    a = tl.load(record, mask=used, other=0.0)
    b = tl.load(record + 1, mask=used, other=0.0)
    c = tl.load(record + 2, mask=used, other=0.0)
    return a, b, c


@triton.jit
def _row_gap(record, used, cx, cy, cz, hx, hy, hz):
    """Smallest |a . d| over a box with centre c and half edges h, a being a row of A."""
    a, b, c = three(record, used)
    return tl.maximum(tl.abs(a * cx + b * cy + c * cz) - (tl.abs(a) * hx + tl.abs(b) * hy + tl.abs(c) * hz), 0.0)


@triton.jit
def _meets(
    i, used, boxes, centers, records, x0, y0, z0, limit, TX: tl.constexpr, TY: tl.constexpr, TZ: tl.constexpr
):  # fmt: skip
    """Whether Gaussians can reach a tile: their box meets it, and no axis of the ellipsoid separates the two."""
    box = boxes + i * 6
    hit = (tl.load(box, mask=used, other=0) < x0 + TX) & (tl.load(box + 1, mask=used, other=-1) >= x0)
    hit = hit & (tl.load(box + 2, mask=used, other=0) < y0 + TY) & (tl.load(box + 3, mask=used, other=-1) >= y0)
    hit = hit & (tl.load(box + 4, mask=used, other=0) < z0 + TZ) & (tl.load(box + 5, mask=used, other=-1) >= z0)
    hx: tl.constexpr = (TX - 1) / 2
    hy: tl.constexpr = (TY - 1) / 2
    hz: tl.constexpr = (TZ - 1) / 2
    cx = (x0 + hx - tl.load(centers + i * 3, mask=hit, other=0.0)).to(tl.float32)
    cy = (y0 + hy - tl.load(centers + i * 3 + 1, mask=hit, other=0.0)).to(tl.float32)
    cz = (z0 + hz - tl.load(centers + i * 3 + 2, mask=hit, other=0.0)).to(tl.float32)
    u = _row_gap(records + i * RECORD, hit, cx, cy, cz, hx, hy, hz)
    v = _row_gap(records + i * RECORD + 3, hit, cx, cy, cz, hx, hy, hz)
    w = _row_gap(records + i * RECORD + 6, hit, cx, cy, cz, hx, hy, hz)
    return hit & (u * u + v * v + w * w <= limit * 1.001)


@triton.jit
def list_tiles(
    boxes, centers, records, coarse, counts, starts, entries, number, chunks, columns, columns_y, tiles_y, tiles_z,
    limit, capacity, FILL: tl.constexpr, TX: tl.constexpr, TY: tl.constexpr, TZ: tl.constexpr, CHUNK: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Count (into ``starts[t + 1]``) or, with FILL, write the Gaussians of one tile t; programs (tile, scene).

    Args:
        boxes: (B, N, 6).
        centers: (B, N, 3).
        records: (B, N, RECORD).
        coarse: (B, columns, chunks, CHUNK).
        counts: (B, columns, chunks).
        starts: (B * T + 1,) int64; with FILL the running sum of the counts.
        entries: (capacity,) int32: b N + i of Gaussian i in scene b.
        number: N.
        chunks: Chunks of Gaussians.
        columns: Coarse columns.
        columns_y: Coarse columns along y.
        tiles_y: Tiles along y.
        tiles_z: Tiles along z.
        limit: Squared distance up to which Gaussians reach.
        capacity: Length of ``entries``; what lies beyond is not written.
        FILL: Second pass.
        TX: Voxels of a tile along x; likewise y and z.
        TY: .
        TZ: .
        CHUNK: Gaussians per chunk.
        BLOCK: Gaussians tested at once.
    """
    tile, scene = tl.program_id(0), tl.program_id(1).to(tl.int64)
    x0, y0, z0 = tile_origin(tile, tiles_y, tiles_z, TX, TY, TZ)
    slots = (scene * columns + x0 // SIDE * columns_y + y0 // SIDE) * chunks
    index = scene * tl.num_programs(0) + tile
    place = tl.load(starts + index) if FILL else tl.zeros([], tl.int64)
    for chunk in range(chunks):
        count = tl.load(counts + slots + chunk)
        for first in range(0, count, BLOCK):
            k = first + tl.arange(0, BLOCK)
            i = tl.load(coarse + (slots + chunk) * CHUNK + k, mask=k < count, other=0).to(tl.int64)
            i += scene * number + chunk * CHUNK
            hit = _meets(i, k < count, boxes, centers, records, x0, y0, z0, limit, TX, TY, TZ)
            if FILL:
                target = place + tl.cumsum(hit.to(tl.int32), axis=0) - 1
                tl.store(entries + target, i.to(tl.int32), mask=hit & (target < capacity))
            place += tl.sum(hit.to(tl.int32), axis=0)
    if not FILL:
        tl.store(starts + index + 1, place)
