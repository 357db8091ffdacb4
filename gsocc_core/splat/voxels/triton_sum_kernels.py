# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Triton kernels that add up Gaussians at the voxels of a tile, and gather the gradients.

Weights times features is a matrix product on the tensor cores. The lists and the meaning of the arrays are those of
:mod:`gsocc_core.splat.voxels.triton_list_kernels`.
"""

import triton
import triton.language as tl

from gsocc_core.splat.shapes import MIN_WEIGHT
from gsocc_core.splat.voxels.triton_list_kernels import AMPLITUDE, RECORD, SHARE, SIDE, SUMS, three, tile_origin

#: Densities below it have no class vote: float32 could not divide by them.
SMALLEST = tl.constexpr(MIN_WEIGHT)


@triton.jit
def _between(ends, used, x):
    """Whether voxels (V, 1) lie between the first and last voxels (K,) of boxes along an axis."""
    return (x >= tl.load(ends, mask=used, other=0)[None, :]) & (x <= tl.load(ends + 1, mask=used, other=-1)[None, :])


@triton.jit
def _phi(i, used, centers, records, boxes, x, y, z, x0, y0, z0, limit, BOX: tl.constexpr):
    """(V, K) values phi of Gaussians i (K,) at voxels (V, 1), whose coordinates x, y, z count from x0, y0, z0.

    Returns phi, whether the support holds the voxel, and the three offsets. With BOX the voxels are tested against the
    boxes; a caller that visits no others need not.
    """
    # float64 up to the tile's origin: a voxel's coordinate has more digits than float32 leaves for a tiny Gaussian.
    cx = (tl.load(centers + i * 3, mask=used, other=0.0) - x0).to(tl.float32)
    cy = (tl.load(centers + i * 3 + 1, mask=used, other=0.0) - y0).to(tl.float32)
    cz = (tl.load(centers + i * 3 + 2, mask=used, other=0.0) - z0).to(tl.float32)
    dx, dy, dz = x - cx[None, :], y - cy[None, :], z - cz[None, :]
    record = records + i * RECORD
    a, b, c = three(record, used)
    u = a[None, :] * dx + b[None, :] * dy + c[None, :] * dz
    a, b, c = three(record + 3, used)
    v = a[None, :] * dx + b[None, :] * dy + c[None, :] * dz
    a, b, c = three(record + 6, used)
    w = a[None, :] * dx + b[None, :] * dy + c[None, :] * dz
    q = u * u + v * v + w * w
    inside = (q <= limit) & used[None, :]
    if BOX:
        box = boxes + i * 6
        inside = inside & _between(box, used, x + x0) & _between(box + 2, used, y + y0)
        inside = inside & _between(box + 4, used, z + z0)
    return tl.where(inside, tl.exp(-0.5 * q), 0.0), inside, dx, dy, dz


@triton.jit
def _add(
    i, used, votes, density, covering, centers, records, boxes, features, channels, column, x, y, z, x0, y0, z0, limit,
    MEAN: tl.constexpr, BOX: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Add K Gaussians to votes (V, C'), density (V,) and, with MEAN, the number of those that cover (V,)."""
    phi, inside, _, _, _ = _phi(i, used, centers, records, boxes, x, y, z, x0, y0, z0, limit, BOX)
    amplitude = tl.load(records + i * RECORD + AMPLITUDE, mask=used, other=0.0)[None, :]
    weight = phi * amplitude
    density += tl.sum(weight * tl.load(records + i * RECORD + SHARE, mask=used, other=0.0)[None, :], axis=1)
    if MEAN:
        weight = tl.where(inside, amplitude, 0.0)
        covering += tl.sum(inside.to(tl.float32), axis=1)
    rows = tl.load(
        features + i[:, None] * channels + column[None, :],
        mask=used[:, None] & (column < channels)[None, :],
        other=0.0,
    )
    return tl.dot(weight, rows, votes, input_precision=PRECISION), density, covering


@triton.jit
def _accumulate(
    tile, scene, centers, records, boxes, features, coarse, counts, starts, entries, number, channels, first_channel,
    chunks, columns, columns_y, tiles_y, tiles_z, limit, capacity, MEAN: tl.constexpr, BOX: tl.constexpr,
    PRECISION: tl.constexpr, TX: tl.constexpr, TY: tl.constexpr, TZ: tl.constexpr, CHUNK: tl.constexpr,
    BLOCK: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Votes (V, CHANNELS), density (V,) and covering (V,) of one tile, for the channels from ``first_channel`` on."""
    VOXELS: tl.constexpr = TX * TY * TZ
    x0, y0, z0 = tile_origin(tile, tiles_y, tiles_z, TX, TY, TZ)
    voxel = tl.arange(0, VOXELS)
    x, y, z = (voxel // (TY * TZ))[:, None], (voxel // TZ % TY)[:, None], (voxel % TZ)[:, None]
    column = first_channel + tl.arange(0, CHANNELS)
    votes = tl.zeros([VOXELS, CHANNELS], tl.float32)
    density = tl.zeros([VOXELS], tl.float32)
    covering = tl.zeros([VOXELS], tl.float32)
    index = scene * tl.num_programs(0) + tile
    start, stop = tl.load(starts + index), tl.load(starts + index + 1)
    if stop <= capacity:
        for first in range(start, stop, BLOCK):
            k = first + tl.arange(0, BLOCK)
            i = tl.load(entries + k, mask=k < stop, other=0).to(tl.int64)
            votes, density, covering = _add(
                i, k < stop, votes, density, covering, centers, records, boxes, features, channels, column, x, y, z, x0,
                y0, z0, limit, MEAN, BOX, PRECISION,
            )  # fmt: skip
    else:
        slots = (scene * columns + x0 // SIDE * columns_y + y0 // SIDE) * chunks
        for chunk in range(chunks):
            count = tl.load(counts + slots + chunk)
            for first in range(0, count, BLOCK):
                k = first + tl.arange(0, BLOCK)
                i = tl.load(coarse + (slots + chunk) * CHUNK + k, mask=k < count, other=0).to(tl.int64)
                i += scene * number + chunk * CHUNK
                votes, density, covering = _add(
                    i, k < count, votes, density, covering, centers, records, boxes, features, channels, column, x, y,
                    z, x0, y0, z0, limit, MEAN, BOX, PRECISION,
                )  # fmt: skip
    if MEAN:
        covering = tl.maximum(covering, 1.0)
        votes, density = votes / covering[:, None], density / covering
    return votes, density, covering


@triton.jit
def _targets(
    tile, scene, shape_x, shape_y, shape_z, tiles_y, tiles_z, TX: tl.constexpr, TY: tl.constexpr, TZ: tl.constexpr
):  # fmt: skip
    """Places (V,) of a tile's voxels in a (B, X, Y, Z) volume, and whether they exist."""
    x0, y0, z0 = tile_origin(tile, tiles_y, tiles_z, TX, TY, TZ)
    voxel = tl.arange(0, TX * TY * TZ)
    x, y, z = x0 + voxel // (TY * TZ), y0 + voxel // TZ % TY, z0 + voxel % TZ
    exists = (x < shape_x) & (y < shape_y) & (z < shape_z)
    return ((scene * shape_x + x) * shape_y + y) * shape_z + z, exists


@triton.jit
def splat_tiles(
    centers, records, boxes, features, coarse, counts, starts, entries, out_density, out_features, out_covering, number,
    channels, shape_x, shape_y, shape_z, chunks, columns, columns_y, tiles_y, tiles_z, limit, capacity,
    NORMALISE: tl.constexpr, MEAN: tl.constexpr, BOX: tl.constexpr, PRECISION: tl.constexpr, TX: tl.constexpr,
    TY: tl.constexpr, TZ: tl.constexpr, CHUNK: tl.constexpr, BLOCK: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Density and features of one tile, with MEAN also how many cover; programs (tile, block of channels, scene)."""
    tile, scene = tl.program_id(0), tl.program_id(2).to(tl.int64)
    first_channel = tl.program_id(1) * CHANNELS
    votes, density, covering = _accumulate(
        tile, scene, centers, records, boxes, features, coarse, counts, starts, entries, number, channels,
        first_channel, chunks, columns, columns_y, tiles_y, tiles_z, limit, capacity, MEAN, BOX, PRECISION, TX, TY, TZ,
        CHUNK, BLOCK, CHANNELS,
    )  # fmt: skip
    target, exists = _targets(tile, scene, shape_x, shape_y, shape_z, tiles_y, tiles_z, TX, TY, TZ)
    if NORMALISE:
        solid = density > SMALLEST
        votes = tl.where(solid[:, None], votes / tl.where(solid, density, 1.0)[:, None], 0.0)
    column = first_channel + tl.arange(0, CHANNELS)
    tl.store(
        out_features + target[:, None] * channels + column[None, :],
        votes,
        mask=exists[:, None] & (column < channels)[None, :],
    )
    if tl.program_id(1) == 0:
        tl.store(out_density + target, density, mask=exists)
        if MEAN:
            tl.store(out_covering + target, covering, mask=exists)


@triton.jit
def label_tiles(
    centers, records, boxes, features, coarse, counts, starts, entries, ids, out_labels, out_confidence, number,
    channels, shape_x, shape_y, shape_z, chunks, columns, columns_y, tiles_y, tiles_z, limit, capacity, threshold,
    free_id, HAZARD: tl.constexpr, MEAN: tl.constexpr, BOX: tl.constexpr, PRECISION: tl.constexpr, TX: tl.constexpr,
    TY: tl.constexpr, TZ: tl.constexpr, CHUNK: tl.constexpr, BLOCK: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Label and confidence of one tile, the votes never leaving the registers; programs (tile, 1, scene)."""
    tile, scene = tl.program_id(0), tl.program_id(2).to(tl.int64)
    VOXELS: tl.constexpr = TX * TY * TZ
    best = tl.full([VOXELS], float("-inf"), tl.float32)
    winner = tl.zeros([VOXELS], tl.int32)
    density = tl.zeros([VOXELS], tl.float32)
    for first_channel in range(0, channels, CHANNELS):
        votes, density, _ = _accumulate(
            tile, scene, centers, records, boxes, features, coarse, counts, starts, entries, number, channels,
            first_channel, chunks, columns, columns_y, tiles_y, tiles_z, limit, capacity, MEAN, BOX, PRECISION, TX, TY,
            TZ, CHUNK, BLOCK, CHANNELS,
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
    shape_z, limit, MEAN: tl.constexpr, VOXELS: tl.constexpr, CHANNELS: tl.constexpr,
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
        limit: Squared distance up to which Gaussians reach.
        MEAN: Composition ``mean``: the features do not decay.
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
            phi, inside, dx, dy, dz = _phi(
                i, used, centers, records, boxes, x[:, None], y[:, None], z[:, None], x0, y0, z0, limit, BOX=False
            )
            phi = tl.where(exists, tl.sum(phi, axis=1), 0.0)
            dx, dy, dz = tl.sum(dx, axis=1), tl.sum(dy, axis=1), tl.sum(dz, axis=1)
            source = ((scene * shape_x + x0 + x) * shape_y + y0 + y) * shape_z + z0 + z
            grads = tl.load(
                grad_features + source[:, None] * channels + column[None, :],
                mask=exists[:, None] & (column < channels)[None, :],
                other=0.0,
            )
            if MEAN:
                grad_row += tl.sum(tl.where(inside, grads, 0.0), axis=0)
                term = tl.zeros([VOXELS], tl.float32)
            else:
                grad_row += tl.sum(grads * phi[:, None], axis=0)
                term = tl.sum(grads * row[None, :], axis=1)
            if first_channel == 0:
                by_density = tl.load(grad_density + source, mask=exists, other=0.0)
                term += by_density * share
                if not MEAN:
                    m10 += tl.sum(phi * by_density * amplitude, axis=0)
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
        if MEAN:
            m10 += tl.sum(grad_row * row, axis=0)
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
    tl.store(sums + place * SUMS + 10, m10)
