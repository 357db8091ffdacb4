# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Triton kernels from Gaussians to voxels: exact lists per tile, then weights times features as a matrix product.

Nothing here waits for the host, uses atomics or has a shape that depends on values, so a CUDA graph can hold it:

1. :func:`prepare_gaussians`: whitening matrices and tight boxes, in voxel units (voxel (x, y, z) has its centre there).
2. :func:`list_coarse`: for every column of :data:`SIDE` x :data:`SIDE` voxels and every chunk of Gaussians, those whose
   box meets the column.
3. :func:`list_tiles`, twice: count, then (after a running sum) write, for every small tile, the Gaussians whose
   ellipsoid can meet it. Their number is known on the GPU only, so the list has a fixed capacity; a tile whose part
   does not fit reads the coarse lists instead, which is slower and exactly as right.
4. :func:`splat_tiles` or :func:`label_tiles`: per tile, (V, K) weights of K Gaussians at its V voxels times their
   (K, C) features.

``records`` holds per Gaussian the whitening matrix A (row by row, per voxel), the amplitude a of its weight a phi, the
share of the density that goes with that weight, and the half edges of its box in voxels.
"""

import triton
import triton.language as tl

#: Edge of a coarse column, voxels; a multiple of every tile's edges.
SIDE = tl.constexpr(32)
#: Floats of one record, and where in it the parts after A stand.
RECORD = tl.constexpr(16)
AMPLITUDE = tl.constexpr(9)
SHARE = tl.constexpr(10)
HALF = tl.constexpr(11)
#: Sums that the backward pass gathers per Gaussian: sum of phi t, phi t d (3), phi t d d^T (6), gradient of the share.
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
def _store_range(boxes, i, axis, center, half, length, used):
    """First and last voxel of the box along one axis; returns whether there is any."""
    # A hair wider, so that rounding never leaves out a voxel that the exact test accepts.
    low = tl.maximum(tl.ceil(center - half - 1e-4), 0.0)
    high = tl.minimum(tl.floor(center + half + 1e-4), length - 1.0)
    hit = low <= high
    tl.store(boxes + i * 6 + 2 * axis, tl.where(hit, low, 0.0).to(tl.int32), mask=used)
    tl.store(boxes + i * 6 + 2 * axis + 1, tl.where(hit, high, -1.0).to(tl.int32), mask=used)
    return hit


@triton.jit
def prepare_gaussians(
    means, scales, quats, opacities, features, frame, centers, records, boxes, total, channels, shape_x, shape_y,
    shape_z, cutoff, smallest, UNWEIGHTED: tl.constexpr, BLOCK: tl.constexpr, CHANNELS: tl.constexpr,
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
    tl.store(records + i * RECORD + HALF, half_x, mask=used)
    tl.store(records + i * RECORD + HALF + 1, half_y, mask=used)
    tl.store(records + i * RECORD + HALF + 2, half_z, mask=used)

    hit = _store_range(boxes, i, 0, cx, half_x, shape_x, used)
    hit = hit & _store_range(boxes, i, 1, cy, half_y, shape_y, used)
    hit = hit & _store_range(boxes, i, 2, cz, half_z, shape_z, used)
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
def _origin(tile, tiles_y, tiles_z, TX: tl.constexpr, TY: tl.constexpr, TZ: tl.constexpr):
    return tile // (tiles_y * tiles_z) * TX, tile // tiles_z % tiles_y * TY, tile % tiles_z * TZ


@triton.jit
def _three(record, used):
    """Three consecutive numbers of records."""
    a = tl.load(record, mask=used, other=0.0)
    b = tl.load(record + 1, mask=used, other=0.0)
    c = tl.load(record + 2, mask=used, other=0.0)
    return a, b, c


@triton.jit
def _row_gap(record, used, cx, cy, cz, hx, hy, hz):
    """Smallest |a . d| over a box with centre c and half edges h, a being a row of A."""
    a, b, c = _three(record, used)
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
        limit: Square of the cutoff.
        capacity: Length of ``entries``; what lies beyond is not written.
        FILL: Second pass.
        TX: Voxels of a tile along x; likewise y and z.
        TY: .
        TZ: .
        CHUNK: Gaussians per chunk.
        BLOCK: Gaussians tested at once.
    """
    tile, scene = tl.program_id(0), tl.program_id(1).to(tl.int64)
    x0, y0, z0 = _origin(tile, tiles_y, tiles_z, TX, TY, TZ)
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


@triton.jit
def _phi(i, used, centers, records, x, y, z, x0, y0, z0, limit, BOX: tl.constexpr):
    """(V, K) values phi of Gaussians i (K,) at voxels (V, 1), whose coordinates x, y, z count from x0, y0, z0."""
    # float64 up to the tile's origin: a voxel's coordinate has more digits than float32 leaves for a tiny Gaussian.
    cx = (tl.load(centers + i * 3, mask=used, other=0.0) - x0).to(tl.float32)
    cy = (tl.load(centers + i * 3 + 1, mask=used, other=0.0) - y0).to(tl.float32)
    cz = (tl.load(centers + i * 3 + 2, mask=used, other=0.0) - z0).to(tl.float32)
    dx, dy, dz = x - cx[None, :], y - cy[None, :], z - cz[None, :]
    record = records + i * RECORD
    a, b, c = _three(record, used)
    u = a[None, :] * dx + b[None, :] * dy + c[None, :] * dz
    a, b, c = _three(record + 3, used)
    v = a[None, :] * dx + b[None, :] * dy + c[None, :] * dz
    a, b, c = _three(record + 6, used)
    w = a[None, :] * dx + b[None, :] * dy + c[None, :] * dz
    q = u * u + v * v + w * w
    inside = (q <= limit) & used[None, :]
    if BOX:
        a, b, c = _three(record + HALF, used)
        inside = inside & (tl.abs(dx) <= a[None, :]) & (tl.abs(dy) <= b[None, :]) & (tl.abs(dz) <= c[None, :])
    return tl.where(inside, tl.exp(-0.5 * q), 0.0), dx, dy, dz


@triton.jit
def _add(
    i, used, votes, density, centers, records, features, channels, column, x, y, z, x0, y0, z0, limit,
    BOX: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Add K Gaussians to votes (V, C') and density (V,) of one tile."""
    phi, _, _, _ = _phi(i, used, centers, records, x, y, z, x0, y0, z0, limit, BOX)
    weight = phi * tl.load(records + i * RECORD + AMPLITUDE, mask=used, other=0.0)[None, :]
    density += tl.sum(weight * tl.load(records + i * RECORD + SHARE, mask=used, other=0.0)[None, :], axis=1)
    rows = tl.load(
        features + i[:, None] * channels + column[None, :],
        mask=used[:, None] & (column < channels)[None, :],
        other=0.0,
    )
    return tl.dot(weight, rows, votes, input_precision=PRECISION), density


@triton.jit
def _accumulate(
    tile, scene, centers, records, features, coarse, counts, starts, entries, number, channels, first_channel, chunks,
    columns, columns_y, tiles_y, tiles_z, limit, capacity, BOX: tl.constexpr, PRECISION: tl.constexpr, TX: tl.constexpr,
    TY: tl.constexpr, TZ: tl.constexpr, CHUNK: tl.constexpr, BLOCK: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Votes (V, CHANNELS) and density (V,) of one tile, for the channels from ``first_channel`` on."""
    VOXELS: tl.constexpr = TX * TY * TZ
    x0, y0, z0 = _origin(tile, tiles_y, tiles_z, TX, TY, TZ)
    voxel = tl.arange(0, VOXELS)
    x, y, z = (voxel // (TY * TZ))[:, None], (voxel // TZ % TY)[:, None], (voxel % TZ)[:, None]
    column = first_channel + tl.arange(0, CHANNELS)
    votes = tl.zeros([VOXELS, CHANNELS], tl.float32)
    density = tl.zeros([VOXELS], tl.float32)
    index = scene * tl.num_programs(0) + tile
    start, stop = tl.load(starts + index), tl.load(starts + index + 1)
    if stop <= capacity:
        for first in range(start, stop, BLOCK):
            k = first + tl.arange(0, BLOCK)
            i = tl.load(entries + k, mask=k < stop, other=0).to(tl.int64)
            votes, density = _add(
                i, k < stop, votes, density, centers, records, features, channels, column, x, y, z, x0, y0, z0, limit,
                BOX, PRECISION,
            )  # fmt: skip
    else:
        slots = (scene * columns + x0 // SIDE * columns_y + y0 // SIDE) * chunks
        for chunk in range(chunks):
            count = tl.load(counts + slots + chunk)
            for first in range(0, count, BLOCK):
                k = first + tl.arange(0, BLOCK)
                i = tl.load(coarse + (slots + chunk) * CHUNK + k, mask=k < count, other=0).to(tl.int64)
                i += scene * number + chunk * CHUNK
                votes, density = _add(
                    i, k < count, votes, density, centers, records, features, channels, column, x, y, z, x0, y0, z0,
                    limit, BOX, PRECISION,
                )  # fmt: skip
    return votes, density


@triton.jit
def _targets(
    tile, scene, shape_x, shape_y, shape_z, tiles_y, tiles_z, TX: tl.constexpr, TY: tl.constexpr, TZ: tl.constexpr
):  # fmt: skip
    """Places (V,) of a tile's voxels in a (B, X, Y, Z) volume, and whether they exist."""
    x0, y0, z0 = _origin(tile, tiles_y, tiles_z, TX, TY, TZ)
    voxel = tl.arange(0, TX * TY * TZ)
    x, y, z = x0 + voxel // (TY * TZ), y0 + voxel // TZ % TY, z0 + voxel % TZ
    exists = (x < shape_x) & (y < shape_y) & (z < shape_z)
    return ((scene * shape_x + x) * shape_y + y) * shape_z + z, exists


@triton.jit
def splat_tiles(
    centers, records, features, coarse, counts, starts, entries, out_density, out_features, number, channels, shape_x,
    shape_y, shape_z, chunks, columns, columns_y, tiles_y, tiles_z, limit, capacity, NORMALISE: tl.constexpr,
    BOX: tl.constexpr, PRECISION: tl.constexpr, TX: tl.constexpr, TY: tl.constexpr, TZ: tl.constexpr,
    CHUNK: tl.constexpr, BLOCK: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Density and features of one tile; programs (tile, block of channels, scene)."""
    tile, scene = tl.program_id(0), tl.program_id(2).to(tl.int64)
    first_channel = tl.program_id(1) * CHANNELS
    votes, density = _accumulate(
        tile, scene, centers, records, features, coarse, counts, starts, entries, number, channels, first_channel,
        chunks, columns, columns_y, tiles_y, tiles_z, limit, capacity, BOX, PRECISION, TX, TY, TZ, CHUNK, BLOCK,
        CHANNELS,
    )  # fmt: skip
    target, exists = _targets(tile, scene, shape_x, shape_y, shape_z, tiles_y, tiles_z, TX, TY, TZ)
    if NORMALISE:
        votes = tl.where(density[:, None] > 0.0, votes / tl.where(density > 0.0, density, 1.0)[:, None], 0.0)
    column = first_channel + tl.arange(0, CHANNELS)
    tl.store(
        out_features + target[:, None] * channels + column[None, :],
        votes,
        mask=exists[:, None] & (column < channels)[None, :],
    )
    if tl.program_id(1) == 0:
        tl.store(out_density + target, density, mask=exists)


@triton.jit
def label_tiles(
    centers, records, features, coarse, counts, starts, entries, ids, out_labels, out_confidence, number, channels,
    shape_x, shape_y, shape_z, chunks, columns, columns_y, tiles_y, tiles_z, limit, capacity, threshold, free_id,
    HAZARD: tl.constexpr, BOX: tl.constexpr, PRECISION: tl.constexpr, TX: tl.constexpr, TY: tl.constexpr,
    TZ: tl.constexpr, CHUNK: tl.constexpr, BLOCK: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Label and confidence of one tile, the votes never leaving the registers; programs (tile, 1, scene)."""
    tile, scene = tl.program_id(0), tl.program_id(2).to(tl.int64)
    VOXELS: tl.constexpr = TX * TY * TZ
    best = tl.full([VOXELS], float("-inf"), tl.float32)
    winner = tl.zeros([VOXELS], tl.int32)
    density = tl.zeros([VOXELS], tl.float32)
    for first_channel in range(0, channels, CHANNELS):
        votes, density = _accumulate(
            tile, scene, centers, records, features, coarse, counts, starts, entries, number, channels, first_channel,
            chunks, columns, columns_y, tiles_y, tiles_z, limit, capacity, BOX, PRECISION, TX, TY, TZ, CHUNK, BLOCK,
            CHANNELS,
        )  # fmt: skip
        column = first_channel + tl.arange(0, CHANNELS)
        votes = tl.where((column < channels)[None, :], votes, float("-inf"))
        value, place = tl.max(votes, axis=1, return_indices=True, return_indices_tie_break_left=True)
        winner = tl.where(value > best, place + first_channel, winner)
        best = tl.maximum(best, value)
    occupancy = 1.0 - tl.exp(-density) if HAZARD else tl.minimum(density, 1.0)
    full = (density > 0.0) & (occupancy >= threshold)
    target, exists = _targets(tile, scene, shape_x, shape_y, shape_z, tiles_y, tiles_z, TX, TY, TZ)
    label = tl.where(full, tl.load(ids + winner), free_id)
    tl.store(out_labels + target, label.to(tl.uint8), mask=exists)
    tl.store(out_confidence + target, tl.where(full, occupancy, 1.0 - occupancy), mask=exists)


@triton.jit
def gather_gradients(
    centers, records, boxes, features, grad_density, grad_features, sums, grad_rows, number, channels, shape_x, shape_y,
    shape_z, limit, BOX: tl.constexpr, VOXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """One part of one Gaussian gathers gradients from its own voxels; programs (B * N, parts).

    Args:
        centers: (B, N, 3).
        records: (B, N, RECORD).
        boxes: (B, N, 6).
        features: (B, N, C).
        grad_density: (B, X, Y, Z) gradient by the unnormalised density.
        grad_features: (B, X, Y, Z, C) gradient by the unnormalised votes.
        sums: (parts, B * N, SUMS), written.
        grad_rows: (parts, B * N, C), written: gradient of the features.
        number: N.
        channels: C.
        shape_x: Voxels along x; likewise y and z.
        shape_y: .
        shape_z: .
        limit: Square of the cutoff.
        BOX: Support ``box``.
        VOXELS: Voxels visited at once.
        CHANNELS: Channels visited at once.
    """
    g, part = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    scene = g // number
    x0, y0, z0 = tl.load(boxes + g * 6), tl.load(boxes + g * 6 + 2), tl.load(boxes + g * 6 + 4)
    length_x, length_y, length_z = (
        tl.load(boxes + g * 6 + 1) - x0 + 1,
        tl.load(boxes + g * 6 + 3) - y0 + 1,
        tl.load(boxes + g * 6 + 5) - z0 + 1,
    )
    total = length_x * length_y * length_z
    total = tl.where((length_x > 0) & (length_y > 0) & (length_z > 0), total, 0)
    amplitude, share = tl.load(records + g * RECORD + AMPLITUDE), tl.load(records + g * RECORD + SHARE)
    one = tl.arange(0, 1)
    i, used = g + one, one == 0
    place = part * tl.num_programs(0) + g
    m0, m1, m2, m3 = 0.0, 0.0, 0.0, 0.0
    m4, m5, m6, m7, m8, m9, m10 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for first_channel in range(0, channels, CHANNELS):
        column = first_channel + tl.arange(0, CHANNELS)
        row = tl.load(features + g * channels + column, mask=column < channels, other=0.0)
        grad_row = tl.zeros([CHANNELS], tl.float32)
        for first in range(part * VOXELS, total, tl.num_programs(1) * VOXELS):
            n = first + tl.arange(0, VOXELS)
            exists = n < total
            n = tl.where(exists, n, 0)
            z = n % length_z
            y = n // length_z % length_y
            x = n // (length_z * length_y)
            phi, dx, dy, dz = _phi(
                i, used, centers, records, x[:, None], y[:, None], z[:, None], x0, y0, z0, limit, BOX
            )
            phi = tl.where(exists, tl.sum(phi, axis=1), 0.0)
            dx, dy, dz = tl.sum(dx, axis=1), tl.sum(dy, axis=1), tl.sum(dz, axis=1)
            source = ((scene * shape_x + x0 + x) * shape_y + y0 + y) * shape_z + z0 + z
            grads = tl.load(
                grad_features + source[:, None] * channels + column[None, :],
                mask=exists[:, None] & (column < channels)[None, :],
                other=0.0,
            )
            grad_row += tl.sum(grads * phi[:, None], axis=0)
            term = tl.sum(grads * row[None, :], axis=1)
            if first_channel == 0:
                by_density = tl.load(grad_density + source, mask=exists, other=0.0)
                term += by_density * share
                m10 += tl.sum(phi * by_density, axis=0)
            term = term * phi
            m0 += tl.sum(term, axis=0)
            m1 += tl.sum(term * dx, axis=0)
            m2 += tl.sum(term * dy, axis=0)
            m3 += tl.sum(term * dz, axis=0)
            m4 += tl.sum(term * dx * dx, axis=0)
            m5 += tl.sum(term * dx * dy, axis=0)
            m6 += tl.sum(term * dx * dz, axis=0)
            m7 += tl.sum(term * dy * dy, axis=0)
            m8 += tl.sum(term * dy * dz, axis=0)
            m9 += tl.sum(term * dz * dz, axis=0)
        tl.store(grad_rows + place * channels + column, grad_row * amplitude, mask=column < channels)
    tl.store(sums + place * SUMS, m0)
    tl.store(sums + place * SUMS + 1, m1)
    tl.store(sums + place * SUMS + 2, m2)
    tl.store(sums + place * SUMS + 3, m3)
    tl.store(sums + place * SUMS + 4, m4)
    tl.store(sums + place * SUMS + 5, m5)
    tl.store(sums + place * SUMS + 6, m6)
    tl.store(sums + place * SUMS + 7, m7)
    tl.store(sums + place * SUMS + 8, m8)
    tl.store(sums + place * SUMS + 9, m9)
    tl.store(sums + place * SUMS + 10, m10 * amplitude)
