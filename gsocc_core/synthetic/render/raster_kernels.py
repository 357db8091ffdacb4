# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Compiled z-buffer: which triangle each pixel's ray meets first, without clipping and exact at the pixel's point.

A point with weights b on a triangle's corners P lies on the ray r when r = b0 P0 + b1 P1 + b2 P2, so b = M r with
the rows of M = (P1 x P2, P2 x P0, P0 x P1) / det: linear in the pixel's coordinates, valid for corners behind the
camera too, and 1 / depth = b0 + b1 + b2 (Olano and Greer 1997, "Triangle scan conversion using 2D homogeneous
coordinates").
"""

from __future__ import annotations

import math

import numpy as np

from gsocc_core.compiling import kernel

#: Nearest visible depth, metres.
NEAR_M = 0.05
#: Greatest distance from a box at which it still darkens the ground, metres.
COVER_REACH_M = 0.625


@kernel(inline="always")
def _edge_rows(p: np.ndarray, inverse_det: float, rows: np.ndarray) -> None:
    """Write M = (P1 x P2, P2 x P0, P0 x P1) / det for the corners in the rows of ``p``."""
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        rows[i, 0] = (p[j, 1] * p[k, 2] - p[j, 2] * p[k, 1]) * inverse_det
        rows[i, 1] = (p[j, 2] * p[k, 0] - p[j, 0] * p[k, 2]) * inverse_det
        rows[i, 2] = (p[j, 0] * p[k, 1] - p[j, 1] * p[k, 0]) * inverse_det


@kernel(inline="always")
def _determinant(p: np.ndarray) -> float:
    return (
        p[0, 0] * (p[1, 1] * p[2, 2] - p[1, 2] * p[2, 1])
        - p[0, 1] * (p[1, 0] * p[2, 2] - p[1, 2] * p[2, 0])
        + p[0, 2] * (p[1, 0] * p[2, 1] - p[1, 1] * p[2, 0])
    )


@kernel(inline="always")
def pixel_weights(
    corners: np.ndarray, R_cam_world: np.ndarray, origin: np.ndarray, K_inv: np.ndarray, p: np.ndarray,
    rows: np.ndarray, out: np.ndarray,
) -> bool:  # fmt: skip
    """Coefficients of a triangle's weights as functions of the pixel: b_i = out[i] . (u, v, 1).

    Args:
        corners: (3, 3) corners in the world.
        R_cam_world: (3, 3) rotation into the camera frame.
        origin: (3,) camera position in the world.
        K_inv: (3, 3) inverse intrinsics.
        p: (3, 3) float64 scratch, corners in the camera frame afterwards.
        rows: (3, 3) float64 scratch.
        out: (3, 3) float64 result.

    Returns:
        False if the triangle is seen exactly edge-on.
    """
    for i in range(3):
        x, y, z = corners[i, 0] - origin[0], corners[i, 1] - origin[1], corners[i, 2] - origin[2]
        for k in range(3):
            p[i, k] = R_cam_world[k, 0] * x + R_cam_world[k, 1] * y + R_cam_world[k, 2] * z
    det = _determinant(p)
    if abs(det) < 1e-12:
        return False
    _edge_rows(p, 1.0 / det, rows)
    for i in range(3):
        for k in range(3):
            out[i, k] = rows[i, 0] * K_inv[0, k] + rows[i, 1] * K_inv[1, k] + rows[i, 2] * K_inv[2, k]
    return True


@kernel()
def _bounds(p: np.ndarray, K: np.ndarray, box: np.ndarray) -> None:
    """Smallest rectangle (u0, v0, u1, v1) around the part of the triangle in front of the near plane."""
    box[0] = box[1] = 1e30
    box[2] = box[3] = -1e30
    for i in range(3):
        j = (i + 1) % 3
        if p[i, 2] >= NEAR_M:
            _grow(p[i, 0], p[i, 1], p[i, 2], K, box)
        if (p[i, 2] >= NEAR_M) != (p[j, 2] >= NEAR_M):
            w = (NEAR_M - p[i, 2]) / (p[j, 2] - p[i, 2])
            x, y = p[i, 0] + w * (p[j, 0] - p[i, 0]), p[i, 1] + w * (p[j, 1] - p[i, 1])
            _grow(x, y, NEAR_M, K, box)


@kernel(inline="always")
def _grow(x: float, y: float, z: float, K: np.ndarray, box: np.ndarray) -> None:
    u = (K[0, 0] * x + K[0, 1] * y) / z + K[0, 2]
    v = K[1, 1] * y / z + K[1, 2]
    box[0], box[1] = min(box[0], u), min(box[1], v)
    box[2], box[3] = max(box[2], u), max(box[3], v)


@kernel()
def _fill(q: np.ndarray, box: np.ndarray, triangle: int, inverse_depth: np.ndarray, triangle_of: np.ndarray) -> None:
    """Visit the pixels whose centres lie in the triangle with weight coefficients ``q``."""
    height, width = inverse_depth.shape
    row0, row1 = max(math.ceil(box[1] - 0.5 - 1e-7), 0), min(math.floor(box[3] - 0.5 + 1e-7), height - 1)
    left, right = max(math.ceil(box[0] - 0.5 - 1e-7), 0), min(math.floor(box[2] - 0.5 + 1e-7), width - 1)
    a0, a1, a2 = q[0, 0], q[1, 0], q[2, 0]
    nearest = 1.0 / NEAR_M
    for row in range(row0, row1 + 1):
        v = row + 0.5
        c0 = q[0, 1] * v + q[0, 2] + 0.5 * a0
        c1 = q[1, 1] * v + q[1, 2] + 0.5 * a1
        c2 = q[2, 1] * v + q[2, 2] + 0.5 * a2
        first, last = float(left), float(right)
        for a, c in ((a0, c0), (a1, c1), (a2, c2)):
            if a > 0.0:
                first = max(first, -c / a - 1e-3)
            elif a < 0.0:
                last = min(last, -c / a + 1e-3)
            elif c < 0.0:
                last = -1.0
        for column in range(math.ceil(first), math.floor(last) + 1):
            b0, b1, b2 = a0 * column + c0, a1 * column + c1, a2 * column + c2
            if b0 >= 0.0 and b1 >= 0.0 and b2 >= 0.0:
                inverse = b0 + b1 + b2
                if inverse > inverse_depth[row, column] and inverse <= nearest:
                    inverse_depth[row, column] = inverse
                    triangle_of[row, column] = triangle


@kernel()
def rasterize(
    corners: np.ndarray,
    chunks: np.ndarray,
    starts: np.ndarray,
    first_id: int,
    R_cam_world: np.ndarray,
    origin: np.ndarray,
    K: np.ndarray,
    K_inv: np.ndarray,
    inverse_depth: np.ndarray,
    triangle_of: np.ndarray,
) -> None:
    """Draw chunks of triangles into a z-buffer.

    Args:
        corners: (T, 3, 3) corners in the world.
        chunks: (K,) chunks to draw, in this order.
        starts: (C + 1,) first triangle of each chunk.
        first_id: Added to the triangle's index to give what is written.
        R_cam_world: (3, 3) rotation into the camera frame.
        origin: (3,) camera position in the world.
        K: (3, 3) intrinsics.
        K_inv: (3, 3) their inverse.
        inverse_depth: (H, W) float32, 0 where nothing was drawn; updated.
        triangle_of: (H, W) int32; updated.
    """
    height, width = inverse_depth.shape
    x0, x1 = K_inv[0, 2], K_inv[0, 0] * width + K_inv[0, 2]
    y0, y1 = K_inv[1, 2], K_inv[1, 1] * height + K_inv[1, 2]
    skewed = K[0, 1] != 0.0
    p, rows, q, box = np.empty((3, 3)), np.empty((3, 3)), np.empty((3, 3)), np.empty(4)
    for chunk in chunks:
        for t in range(starts[chunk], starts[chunk + 1]):
            for i in range(3):
                x, y, z = corners[t, i, 0] - origin[0], corners[t, i, 1] - origin[1], corners[t, i, 2] - origin[2]
                for k in range(3):
                    p[i, k] = R_cam_world[k, 0] * x + R_cam_world[k, 1] * y + R_cam_world[k, 2] * z
            if p[0, 2] < NEAR_M and p[1, 2] < NEAR_M and p[2, 2] < NEAR_M:
                continue
            if not skewed and _outside(p, x0, x1, 0):
                continue
            if _outside(p, y0, y1, 1):
                continue
            _bounds(p, K, box)
            if math.ceil(box[0] - 0.5 - 1e-7) > math.floor(box[2] - 0.5 + 1e-7):
                continue
            if math.ceil(box[1] - 0.5 - 1e-7) > math.floor(box[3] - 0.5 + 1e-7):
                continue
            det = _determinant(p)
            if abs(det) < 1e-12:
                continue
            _edge_rows(p, 1.0 / det, rows)
            for i in range(3):
                for k in range(3):
                    q[i, k] = rows[i, 0] * K_inv[0, k] + rows[i, 1] * K_inv[1, k] + rows[i, 2] * K_inv[2, k]
            _fill(q, box, first_id + t, inverse_depth, triangle_of)


@kernel(inline="always")
def _outside(p: np.ndarray, low: float, high: float, axis: int) -> bool:
    """Whether all corners lie beyond the same side plane of the view."""
    below = p[0, axis] < low * p[0, 2] and p[1, axis] < low * p[1, 2] and p[2, axis] < low * p[2, 2]
    above = p[0, axis] > high * p[0, 2] and p[1, axis] > high * p[1, 2] and p[2, axis] > high * p[2, 2]
    return below or above


@kernel()
def visible_chunks(
    lower: np.ndarray, upper: np.ndarray, planes: np.ndarray, origin: np.ndarray, far: float
) -> np.ndarray:
    """Which boxes may be seen.

    Args:
        lower: (C, 3) lower corners in the world.
        upper: (C, 3) upper corners.
        planes: (P, 4) inward planes n . x + d >= 0 of the view.
        origin: (3,) camera position.
        far: Greatest distance, metres.

    Returns:
        (C,) bool.
    """
    visible = np.ones(lower.shape[0], np.bool_)
    for c in range(lower.shape[0]):
        squared = 0.0
        for k in range(3):
            gap = max(lower[c, k] - origin[k], origin[k] - upper[c, k], 0.0)
            squared += gap * gap
        if squared > far * far:
            visible[c] = False
        for i in range(planes.shape[0]):
            best = planes[i, 3]
            for k in range(3):
                best += planes[i, k] * (upper[c, k] if planes[i, k] > 0.0 else lower[c, k])
            if best < 0.0:
                visible[c] = False
                break
    return visible


@kernel()
def fill_from_above(corners: np.ndarray, raster: np.ndarray) -> None:
    """Set the pixels whose centres lie in triangles seen from above to 255.

    Args:
        corners: (T, 3, 2) corners, column and row in pixels.
        raster: (H, W) uint8; updated.
    """
    height, width = raster.shape
    for t in range(corners.shape[0]):
        a, b, c = corners[t, 0], corners[t, 1], corners[t, 2]
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        if area == 0.0:
            continue
        column0 = max(math.ceil(min(a[0], b[0], c[0]) - 0.5), 0)
        column1 = min(math.floor(max(a[0], b[0], c[0]) - 0.5), width - 1)
        for row in range(
            max(math.ceil(min(a[1], b[1], c[1]) - 0.5), 0), min(math.floor(max(a[1], b[1], c[1]) - 0.5), height - 1) + 1
        ):
            for column in range(column0, column1 + 1):
                x, y = column + 0.5, row + 0.5
                w0 = ((b[0] - x) * (c[1] - y) - (b[1] - y) * (c[0] - x)) / area
                w1 = ((c[0] - x) * (a[1] - y) - (c[1] - y) * (a[0] - x)) / area
                if w0 >= 0.0 and w1 >= 0.0 and w0 + w1 <= 1.0:
                    raster[row, column] = 255


@kernel()
def draw_heights(
    corners: np.ndarray, spans: np.ndarray, frame: np.ndarray, first_row: int, first_column: int, heights: np.ndarray
) -> None:
    """Keep the greatest height over each texel of a map, or of a window of it, seen along a slanted direction.

    Args:
        corners: (T, 3, 3) in the world.
        spans: (S, 2) first triangle and one after the last, of what is drawn.
        frame: (8,) the map's origin x, y, texels per metre, shear x, y per metre of height, and what is added to
            heights so that every drawn one is positive, metres.
        first_row: Row of the map at which the window begins.
        first_column: Column.
        heights: (H, W) float32 window, 0 where nothing was drawn; updated with height + offset.
    """
    height, width = heights.shape
    x0, y0, scale, shear_x, shear_y, offset = frame[0], frame[1], frame[2], frame[3], frame[4], frame[5]
    last_row, last_column = first_row + height - 1, first_column + width - 1
    for s in range(spans.shape[0]):
        for t in range(spans[s, 0], spans[s, 1]):
            az, bz, cz = corners[t, 0, 2], corners[t, 1, 2], corners[t, 2, 2]
            ax, ay = (corners[t, 0, 0] - az * shear_x - x0) * scale, (corners[t, 0, 1] - az * shear_y - y0) * scale
            bx, by = (corners[t, 1, 0] - bz * shear_x - x0) * scale, (corners[t, 1, 1] - bz * shear_y - y0) * scale
            cx, cy = (corners[t, 2, 0] - cz * shear_x - x0) * scale, (corners[t, 2, 1] - cz * shear_y - y0) * scale
            az, bz, cz = az + offset, bz + offset, cz + offset
            area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
            if abs(area) < 1e-9:
                continue
            column0 = max(math.ceil(min(ax, bx, cx) - 0.5), first_column)
            column1 = min(math.floor(max(ax, bx, cx) - 0.5), last_column)
            row0 = max(math.ceil(min(ay, by, cy) - 0.5), first_row)
            row1 = min(math.floor(max(ay, by, cy) - 0.5), last_row)
            for row in range(row0, row1 + 1):
                y = row + 0.5
                for column in range(column0, column1 + 1):
                    x = column + 0.5
                    w0 = ((bx - x) * (cy - y) - (by - y) * (cx - x)) / area
                    w1 = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) / area
                    if w0 >= 0.0 and w1 >= 0.0 and w0 + w1 <= 1.0:
                        z = w0 * az + w1 * bz + (1.0 - w0 - w1) * cz
                        i, j = row - first_row, column - first_column
                        heights[i, j] = max(heights[i, j], z)


@kernel()
def lay_patches(
    which: np.ndarray, places: np.ndarray, starts: np.ndarray, values: np.ndarray, raster: np.ndarray
) -> None:
    """Lay parts of a map over it, greater values win.

    Args:
        which: (K,) patches to lay.
        places: (A, 4) their first row and column in the map, rows and columns.
        starts: (A,) their first value.
        values: (V,) values of all patches, row by row.
        raster: (H, W) map; updated.
    """
    for a in which:
        at = starts[a]
        for i in range(places[a, 0], places[a, 0] + places[a, 2]):
            for j in range(places[a, 1], places[a, 1] + places[a, 3]):
                raster[i, j] = max(raster[i, j], values[at])
                at += 1


@kernel()
def cover_ground(
    poses: np.ndarray, sizes: np.ndarray, frame: np.ndarray, first_row: int, first_column: int, cover: np.ndarray
) -> None:
    """Darken the ground under and beside boxes.

    Args:
        poses: (A, 4, 4) of the boxes in the world.
        sizes: (A, 3) width, length, height, metres.
        frame: (3,) the map's origin x, y and texels per metre.
        first_row: Row of the map at which the window begins.
        first_column: Column.
        cover: (P, Q) uint8 window of the map, 255 = covered; greater values win.
    """
    scale = frame[2]
    for a in range(poses.shape[0]):
        width, length, height = sizes[a, 0], sizes[a, 1], sizes[a, 2]
        reach = min(0.25 + 0.15 * height, COVER_REACH_M)
        radius = 0.5 * math.hypot(width, length) + reach
        x0, y0 = poses[a, 0, 3], poses[a, 1, 3]
        j0 = max(int(math.floor((x0 - radius - frame[0]) * scale)), first_column)
        i0 = max(int(math.floor((y0 - radius - frame[1]) * scale)), first_row)
        j1 = min(int(math.ceil((x0 + radius - frame[0]) * scale)) + 1, first_column + cover.shape[1])
        i1 = min(int(math.ceil((y0 + radius - frame[1]) * scale)) + 1, first_row + cover.shape[0])
        for i in range(i0, i1):
            y = (i + 0.5) / scale + frame[1] - y0
            for j in range(j0, j1):
                x = (j + 0.5) / scale + frame[0] - x0
                along = abs(x * poses[a, 0, 0] + y * poses[a, 1, 0]) - 0.5 * length
                across = abs(x * poses[a, 0, 1] + y * poses[a, 1, 1]) - 0.5 * width
                inside = min(max(0.5 - max(along, across) / (2 * reach), 0.0), 1.0)
                row, column = i - first_row, j - first_column
                cover[row, column] = max(cover[row, column], np.uint8(255 * inside * inside * (3 - 2 * inside)))
