# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Compiled loops behind the occupancy labels: sampling surfaces, marking what was seen, voting.

Every kernel runs in one thread: drives are made in parallel, one process each, and results must not depend on threads.
"""

from __future__ import annotations

import math

import numpy as np

from gsocc_core.compiling import kernel

#: Label of voxels without a surface, and name of those without one, while votes are counted.
NOTHING = 255


@kernel()
def sample_triangles(
    corners: np.ndarray,
    spacing: float,
    T_grid_world: np.ndarray,
    shape: np.ndarray,
    points: np.ndarray,
    triangles: np.ndarray,
) -> int:
    """Put points on triangles, in rows parallel to the longest edge, at most ``spacing`` apart.

    Args:
        corners: (T, 3, 3) float64 corners.
        spacing: Distance of neighbouring points, in the unit of the corners.
        T_grid_world: (K, 4, 4) float64 into voxel units; points outside all K grids are dropped. K = 0 keeps all.
        shape: (3,) voxels along each axis.
        points: (N, 3) float32 to fill, or (0, 3) to count only.
        triangles: (N,) int32 to fill with the triangle of each point, or (0,).

    Returns:
        Number of points.
    """
    count, grids, fill, last = 0, T_grid_world.shape[0], points.shape[0] > 0, 0
    p = np.empty(3)
    for t in range(corners.shape[0]):
        first = _longest_edge(corners[t])
        a, b, c = corners[t, first], corners[t, (first + 1) % 3], corners[t, (first + 2) % 3]
        length = math.sqrt(_dot(a, b, b))
        if length <= 0.0 or (grids > 0 and not _touches(a, b, c, T_grid_world, shape)):
            continue
        height = math.sqrt(max(_dot(a, c, c) - (_dot(a, b, c) / length) ** 2, 0.0))
        rows = max(math.ceil(height / spacing), 1)
        # The longest edge and the tip belong to the rows: in a sharp corner nothing else comes near the points.
        for row in range(rows + 1):
            up = row / rows
            columns = max(math.ceil(length * (1.0 - up) / spacing), 1)
            for column in range(columns):
                along = (column + 0.5) / columns
                for k in range(3):
                    p[k] = (a[k] + along * (b[k] - a[k])) * (1.0 - up) + c[k] * up
                if grids > 0:
                    last = _grid_around(p, T_grid_world, shape, last)
                    if last < 0:
                        last = 0
                        continue
                if fill:
                    points[count, 0], points[count, 1], points[count, 2] = p[0], p[1], p[2]
                    triangles[count] = t
                count += 1
    return count


@kernel()
def _dot(origin: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """Scalar product of a and b, both measured from an origin."""
    return (
        (a[0] - origin[0]) * (b[0] - origin[0])
        + (a[1] - origin[1]) * (b[1] - origin[1])
        + (a[2] - origin[2]) * (b[2] - origin[2])
    )


@kernel()
def _longest_edge(corners: np.ndarray) -> int:
    """Index of the corner where the longest edge begins."""
    best, length = 0, -1.0
    for k in range(3):
        edge = _dot(corners[k], corners[(k + 1) % 3], corners[(k + 1) % 3])
        if edge > length:
            best, length = k, edge
    return best


@kernel()
def _touches(a: np.ndarray, b: np.ndarray, c: np.ndarray, T: np.ndarray, shape: np.ndarray) -> bool:
    """The bounding box of the triangle, in voxel units of some grid, overlaps that grid."""
    for g in range(T.shape[0]):
        inside = True
        for k in range(3):
            qa = T[g, k, 0] * a[0] + T[g, k, 1] * a[1] + T[g, k, 2] * a[2] + T[g, k, 3]
            qb = T[g, k, 0] * b[0] + T[g, k, 1] * b[1] + T[g, k, 2] * b[2] + T[g, k, 3]
            qc = T[g, k, 0] * c[0] + T[g, k, 1] * c[1] + T[g, k, 2] * c[2] + T[g, k, 3]
            if max(qa, qb, qc) < 0.0 or min(qa, qb, qc) > shape[k]:
                inside = False
                break
        if inside:
            return True
    return False


@kernel()
def _grid_around(p: np.ndarray, T: np.ndarray, shape: np.ndarray, first: int) -> int:
    """Index of a grid that holds the point, tried from ``first`` on, or -1."""
    for i in range(T.shape[0]):
        g = (first + i) % T.shape[0]
        inside = True
        for k in range(3):
            q = T[g, k, 0] * p[0] + T[g, k, 1] * p[1] + T[g, k, 2] * p[2] + T[g, k, 3]
            if q < 0.0 or q >= shape[k]:
                inside = False
                break
        if inside:
            return g
    return -1


@kernel()
def mark_seen_by_camera(
    points: np.ndarray,
    visible: np.ndarray,
    tile_starts: np.ndarray,
    tile_bodies: np.ndarray,
    tile_centers: np.ndarray,
    tile_radii: np.ndarray,
    T_cam_body: np.ndarray,
    intrinsics: np.ndarray,
    far_depth: np.ndarray,
    range_m: float,
) -> None:
    """Mark the samples that do not lie behind what a camera sees.

    Args:
        points: (N, 3) float32 samples, each in its body's frame, sorted by tile.
        visible: (N,) uint8, 1 is written; samples that have it already are not looked at.
        tile_starts: (M + 1,) first sample of every tile.
        tile_bodies: (M,) body of every tile.
        tile_centers: (M, 3) centre of every tile in its body's frame.
        tile_radii: (M,) radius of the sphere around the centre that holds the tile.
        T_cam_body: (B, 4, 4) float64 body frames to the optical frame.
        intrinsics: (3, 3) pixels.
        far_depth: (H, W) float32 largest depth around every pixel, infinite where a neighbour is sky.
        range_m: Samples deeper than this are left alone.
    """
    height, width = far_depth.shape
    fx, fy, cx, cy = intrinsics[0, 0], intrinsics[1, 1], intrinsics[0, 2], intrinsics[1, 2]
    # Outward slopes of the picture's side planes: a sphere wholly outside one of them is skipped.
    slopes = (max(cx, width - cx) / fx, max(cy, height - cy) / fy)
    for tile in range(tile_bodies.shape[0]):
        T = T_cam_body[tile_bodies[tile]]
        center, radius = tile_centers[tile], tile_radii[tile]
        z = T[2, 0] * center[0] + T[2, 1] * center[1] + T[2, 2] * center[2] + T[2, 3]
        if z < -radius or z > range_m + radius:
            continue
        x = T[0, 0] * center[0] + T[0, 1] * center[1] + T[0, 2] * center[2] + T[0, 3]
        y = T[1, 0] * center[0] + T[1, 1] * center[1] + T[1, 2] * center[2] + T[1, 3]
        if abs(x) - slopes[0] * z > radius * math.sqrt(1.0 + slopes[0] ** 2):
            continue
        if abs(y) - slopes[1] * z > radius * math.sqrt(1.0 + slopes[1] ** 2):
            continue
        for i in range(tile_starts[tile], tile_starts[tile + 1]):
            if visible[i]:
                continue
            px, py, pz = points[i, 0], points[i, 1], points[i, 2]
            z = T[2, 0] * px + T[2, 1] * py + T[2, 2] * pz + T[2, 3]
            if z < 0.1 or z > range_m:
                continue
            u = fx * (T[0, 0] * px + T[0, 1] * py + T[0, 2] * pz + T[0, 3]) / z + cx
            v = fy * (T[1, 0] * px + T[1, 1] * py + T[1, 2] * pz + T[1, 3]) / z + cy
            if 0.0 <= u < width and 0.0 <= v < height and z <= 1.005 * far_depth[int(v), int(u)] + 0.05:
                visible[i] = 1


@kernel()
def mark_cells(
    points: np.ndarray,
    bodies: np.ndarray,
    T_body_world: np.ndarray,
    lower: np.ndarray,
    counts: np.ndarray,
    starts: np.ndarray,
    cell_m: np.ndarray,
    cells: np.ndarray,
) -> None:
    """Mark the cells of each body's own grid that hold a world point of that body.

    Args:
        points: (N, 3) float64 world points.
        bodies: (N,) body of every point; negative = none.
        T_body_world: (B, 4, 4) float64.
        lower: (B, 3) lower corner of every body's cells, body frame.
        counts: (B, 3) cells along each axis.
        starts: (B,) first cell of every body in ``cells``.
        cell_m: (B,) cell edges, metres.
        cells: uint8 flags of all bodies, 1 is written.
    """
    for i in range(points.shape[0]):
        b = bodies[i]
        if b < 0:
            continue
        T = T_body_world[b]
        flat = np.int64(0)
        for k in range(3):
            q = T[k, 0] * points[i, 0] + T[k, 1] * points[i, 1] + T[k, 2] * points[i, 2] + T[k, 3]
            cell = int(math.floor((q - lower[b, k]) / cell_m[b]))
            if cell < 0 or cell >= counts[b, k]:
                flat = np.int64(-1)
                break
            flat = flat * counts[b, k] + cell
        if flat >= 0:
            cells[starts[b] + flat] = 1


@kernel()
def mark_seen_in_cells(
    points: np.ndarray,
    seen: np.ndarray,
    tile_starts: np.ndarray,
    tile_bodies: np.ndarray,
    lower: np.ndarray,
    counts: np.ndarray,
    starts: np.ndarray,
    cell_m: np.ndarray,
    cells: np.ndarray,
) -> None:
    """Mark the samples that share a marked cell; arguments as in the two kernels above."""
    for tile in range(tile_bodies.shape[0]):
        b = tile_bodies[tile]
        for i in range(tile_starts[tile], tile_starts[tile + 1]):
            flat = np.int64(0)
            for k in range(3):
                cell = int(math.floor((points[i, k] - lower[b, k]) / cell_m[b]))
                flat = flat * counts[b, k] + min(max(cell, 0), counts[b, k] - 1)
            if cells[starts[b] + flat]:
                seen[i] = 1


@kernel()
def _voxel_of(T: np.ndarray, point: np.ndarray) -> tuple[int, int, int]:
    """Index of the voxel that holds a point, whether the grid has it or not."""
    x, y, z = point[0], point[1], point[2]
    return (
        int(math.floor(T[0, 0] * x + T[0, 1] * y + T[0, 2] * z + T[0, 3])),
        int(math.floor(T[1, 0] * x + T[1, 1] * y + T[1, 2] * z + T[1, 3])),
        int(math.floor(T[2, 0] * x + T[2, 1] * y + T[2, 2] * z + T[2, 3])),
    )


@kernel()
def vote(
    points: np.ndarray,
    classes: np.ndarray,
    seen: np.ndarray,
    tile_starts: np.ndarray,
    tile_bodies: np.ndarray,
    tile_centers: np.ndarray,
    tile_radii: np.ndarray,
    T_voxel_body: np.ndarray,
    weights: np.ndarray,
    votes: np.ndarray,
    labels: np.ndarray,
) -> None:
    """Give every voxel the class of most of the seen samples in it.

    Args:
        points: (N, 3) float32 samples, each in its body's frame, sorted by tile.
        classes: (N,) uint8 class ids.
        seen: (N,) uint8, only samples with 1 vote.
        tile_starts: (M + 1,) first sample of every tile.
        tile_bodies: (M,) body of every tile.
        tile_centers: (M, 3) centre of every tile in its body's frame.
        tile_radii: (M,) radius of the sphere around the centre that holds the tile, in voxels.
        T_voxel_body: (B, 4, 4) float64 body frames to voxel units.
        weights: (C,) uint8 how much a sample of each class counts.
        votes: (X, Y, Z, C) uint16 zeros; zeros again afterwards.
        labels: (X, Y, Z) uint8 full of NOTHING, written where a sample votes.
    """
    nx, ny, nz = labels.shape
    touched = np.empty((nx * ny * nz, 3), np.int16)
    count = 0
    for tile in range(tile_bodies.shape[0]):
        T = T_voxel_body[tile_bodies[tile]]
        center, radius = tile_centers[tile], tile_radii[tile]
        x = T[0, 0] * center[0] + T[0, 1] * center[1] + T[0, 2] * center[2] + T[0, 3]
        y = T[1, 0] * center[0] + T[1, 1] * center[1] + T[1, 2] * center[2] + T[1, 3]
        if x < -radius or x > nx + radius or y < -radius or y > ny + radius:
            continue
        for i in range(tile_starts[tile], tile_starts[tile + 1]):
            if not seen[i]:
                continue
            ix, iy, iz = _voxel_of(T, points[i])
            if ix < 0 or ix >= nx or iy < 0 or iy >= ny or iz < 0 or iz >= nz:
                continue
            c = classes[i]
            cell = votes[ix, iy, iz]
            if labels[ix, iy, iz] == NOTHING:
                labels[ix, iy, iz] = 0
                touched[count, 0], touched[count, 1], touched[count, 2] = ix, iy, iz
                count += 1
            if cell[c] < 65000:
                cell[c] += weights[c]
    for i in range(count):
        cell = votes[touched[i, 0], touched[i, 1], touched[i, 2]]
        best = 0
        for c in range(len(weights)):
            best = c if cell[c] > cell[best] else best
        labels[touched[i, 0], touched[i, 1], touched[i, 2]] = best
        for c in range(len(weights)):
            cell[c] = 0


@kernel()
def name_voxels(
    points: np.ndarray,
    classes: np.ndarray,
    names: np.ndarray,
    seen: np.ndarray,
    tile_starts: np.ndarray,
    tile_bodies: np.ndarray,
    T_voxel_body: np.ndarray,
    labels: np.ndarray,
    found: np.ndarray,
    margins: np.ndarray,
) -> None:
    """Give every labelled voxel the name of most of the seen samples in it that have its class.

    The vote of Boyer and Moore (1981): one candidate per voxel, right wherever one name has more than half.

    Args:
        points: (N, 3) float32 samples, each in its body's frame, sorted by tile.
        classes: (N,) uint8 class ids.
        names: (N,) uint8 name ids.
        seen: (N,) uint8, only samples with 1 vote.
        tile_starts: (M + 1,) first sample of every tile.
        tile_bodies: (M,) body of every tile.
        T_voxel_body: (B, 4, 4) float64 body frames to voxel units.
        labels: (X, Y, Z) uint8 class ids of the voxels.
        found: (X, Y, Z) uint8 full of NOTHING, written where a sample votes.
        margins: (X, Y, Z) uint16 zeros; scratch.
    """
    nx, ny, nz = labels.shape
    for tile in range(tile_bodies.shape[0]):
        T = T_voxel_body[tile_bodies[tile]]
        for i in range(tile_starts[tile], tile_starts[tile + 1]):
            if not seen[i]:
                continue
            ix, iy, iz = _voxel_of(T, points[i])
            if ix < 0 or ix >= nx or iy < 0 or iy >= ny or iz < 0 or iz >= nz:
                continue
            if labels[ix, iy, iz] != classes[i]:
                continue
            if margins[ix, iy, iz] == 0:
                found[ix, iy, iz], margins[ix, iy, iz] = names[i], 1
            elif found[ix, iy, iz] == names[i]:
                margins[ix, iy, iz] += 1 if margins[ix, iy, iz] < 65000 else 0
            else:
                margins[ix, iy, iz] -= 1


@kernel()
def mark_voxels(
    points: np.ndarray,
    flags: np.ndarray,
    tile_starts: np.ndarray,
    tile_bodies: np.ndarray,
    T_voxel_body: np.ndarray,
    mask: np.ndarray,
) -> None:
    """Mark the voxels that hold a flagged sample.

    Args:
        points: (N, 3) float32 samples, each in its body's frame, sorted by tile.
        flags: (N,) uint8.
        tile_starts: (M + 1,) first sample of every tile.
        tile_bodies: (M,) body of every tile.
        T_voxel_body: (B, 4, 4) float64 body frames to voxel units.
        mask: (X, Y, Z) uint8, 1 is written.
    """
    nx, ny, nz = mask.shape
    for tile in range(tile_bodies.shape[0]):
        T = T_voxel_body[tile_bodies[tile]]
        for i in range(tile_starts[tile], tile_starts[tile + 1]):
            if not flags[i]:
                continue
            ix, iy, iz = _voxel_of(T, points[i])
            if 0 <= ix < nx and 0 <= iy < ny and 0 <= iz < nz:
                mask[ix, iy, iz] = 1
