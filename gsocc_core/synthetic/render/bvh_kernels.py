# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Compiled bounding volume hierarchy: built by binned surface areas, followed with a short stack, double precision.

A node is a leaf when its count is above 0 (its triangles are child ... child + count - 1), else its children are the
nodes child and child + 1.
"""

from __future__ import annotations

import numpy as np

from gsocc_core.compiling import kernel

_LEAF = 4
_BINS = 12


@kernel()
def _area(lower: np.ndarray, upper: np.ndarray) -> float:
    x, y, z = upper[0] - lower[0], upper[1] - lower[1], upper[2] - lower[2]
    if x < 0.0:
        return 0.0
    return x * y + y * z + z * x


@kernel()
def _split(
    centers: np.ndarray, boxes: np.ndarray, order: np.ndarray, start: int, stop: int, low: np.ndarray, high: np.ndarray
) -> int:
    """Reorder start ... stop - 1 into two groups of small surface; returns where the second begins."""
    axis = 0
    for k in range(1, 3):
        if high[k] - low[k] > high[axis] - low[axis]:
            axis = k
    extent = high[axis] - low[axis]
    if extent <= 0.0:
        return (start + stop) // 2
    counts = np.zeros(_BINS, np.int64)
    lowers, uppers = np.full((_BINS, 3), np.inf), np.full((_BINS, 3), -np.inf)
    scale = _BINS * 0.999999 / extent
    for i in range(start, stop):
        t = order[i]
        b = int((centers[t, axis] - low[axis]) * scale)
        counts[b] += 1
        for k in range(3):
            lowers[b, k] = min(lowers[b, k], boxes[t, 0, k])
            uppers[b, k] = max(uppers[b, k], boxes[t, 1, k])
    best, best_cut = np.inf, _BINS // 2
    low_a, high_a, low_b, high_b = np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    for cut in range(1, _BINS):
        low_a[:], high_a[:], low_b[:], high_b[:] = np.inf, -np.inf, np.inf, -np.inf
        n_a, n_b = 0, 0
        for b in range(_BINS):
            if b < cut:
                n_a += counts[b]
                for k in range(3):
                    low_a[k], high_a[k] = min(low_a[k], lowers[b, k]), max(high_a[k], uppers[b, k])
            else:
                n_b += counts[b]
                for k in range(3):
                    low_b[k], high_b[k] = min(low_b[k], lowers[b, k]), max(high_b[k], uppers[b, k])
        if n_a == 0 or n_b == 0:
            continue
        cost = n_a * _area(low_a, high_a) + n_b * _area(low_b, high_b)
        if cost < best:
            best, best_cut = cost, cut
    i, j = start, stop - 1
    while i <= j:
        if int((centers[order[i], axis] - low[axis]) * scale) < best_cut:
            i += 1
        else:
            order[i], order[j] = order[j], order[i]
            j -= 1
    return i if start < i < stop else (start + stop) // 2


@kernel()
def build_bvh(corners: np.ndarray) -> tuple:
    """Build a hierarchy.

    Args:
        corners: (T, 3, 3) float64 corners, T >= 1.

    Returns:
        (T,) int64 order of the triangles in the leaves, (M, 3) lower and (M, 3) upper corners of the nodes' boxes,
        (M,) int64 child and (M,) int64 count of the nodes.
    """
    total = corners.shape[0]
    centers, boxes = np.empty((total, 3)), np.empty((total, 2, 3))
    for t in range(total):
        for k in range(3):
            a, b, c = corners[t, 0, k], corners[t, 1, k], corners[t, 2, k]
            boxes[t, 0, k], boxes[t, 1, k] = min(a, b, c), max(a, b, c)
            centers[t, k] = 0.5 * (boxes[t, 0, k] + boxes[t, 1, k])
    order = np.arange(total)
    lower, upper = np.empty((2 * total, 3)), np.empty((2 * total, 3))
    child, count = np.zeros(2 * total, np.int64), np.zeros(2 * total, np.int64)
    starts, stops = np.zeros(2 * total, np.int64), np.zeros(2 * total, np.int64)
    stops[0] = total
    nodes, at = 1, 0
    low, high = np.empty(3), np.empty(3)
    while at < nodes:
        start, stop = starts[at], stops[at]
        lower[at], upper[at], low[:], high[:] = np.inf, -np.inf, np.inf, -np.inf
        for i in range(start, stop):
            for k in range(3):
                lower[at, k] = min(lower[at, k], boxes[order[i], 0, k])
                upper[at, k] = max(upper[at, k], boxes[order[i], 1, k])
                low[k], high[k] = min(low[k], centers[order[i], k]), max(high[k], centers[order[i], k])
        if stop - start <= _LEAF:
            child[at], count[at] = start, stop - start
        else:
            middle = _split(centers, boxes, order, start, stop, low, high)
            child[at] = nodes
            starts[nodes], stops[nodes] = start, middle
            starts[nodes + 1], stops[nodes + 1] = middle, stop
            nodes += 2
        at += 1
    return order, lower[:nodes].copy(), upper[:nodes].copy(), child[:nodes].copy(), count[:nodes].copy()


@kernel(inline="always")
def _enter(lower: np.ndarray, upper: np.ndarray, node: int, o: np.ndarray, inverse: np.ndarray, far: float) -> float:
    """Distance at which the ray enters a node's box, inf if it does not before ``far``."""
    near = 0.0
    for k in range(3):
        a, b = (lower[node, k] - o[k]) * inverse[k], (upper[node, k] - o[k]) * inverse[k]
        near, far = max(near, min(a, b)), min(far, max(a, b))
    return near if near <= far * (1.0 + 1e-12) else np.inf


@kernel(inline="always")
def _meet(corners: np.ndarray, t: int, o: np.ndarray, d: np.ndarray) -> float:
    """Distance along the ray to a triangle, inf if it misses (Moeller and Trumbore 1997)."""
    ax, ay, az = corners[t, 0, 0], corners[t, 0, 1], corners[t, 0, 2]
    ux, uy, uz = corners[t, 1, 0] - ax, corners[t, 1, 1] - ay, corners[t, 1, 2] - az
    vx, vy, vz = corners[t, 2, 0] - ax, corners[t, 2, 1] - ay, corners[t, 2, 2] - az
    px, py, pz = d[1] * vz - d[2] * vy, d[2] * vx - d[0] * vz, d[0] * vy - d[1] * vx
    det = ux * px + uy * py + uz * pz
    if abs(det) < 1e-14:
        return np.inf
    inverse = 1.0 / det
    sx, sy, sz = o[0] - ax, o[1] - ay, o[2] - az
    b = (sx * px + sy * py + sz * pz) * inverse
    if b < -1e-9 or b > 1.0 + 1e-9:
        return np.inf
    qx, qy, qz = sy * uz - sz * uy, sz * ux - sx * uz, sx * uy - sy * ux
    c = (d[0] * qx + d[1] * qy + d[2] * qz) * inverse
    if c < -1e-9 or b + c > 1.0 + 1e-9:
        return np.inf
    distance = (vx * qx + vy * qy + vz * qz) * inverse
    return distance if distance > 1e-6 else np.inf


@kernel()
def _follow(
    corners: np.ndarray, lower: np.ndarray, upper: np.ndarray, child: np.ndarray, count: np.ndarray,
    root: int, first: int, o: np.ndarray, d: np.ndarray, inverse: np.ndarray, far: float, stack: np.ndarray,
) -> tuple:  # fmt: skip
    """First triangle nearer than ``far`` under the node ``root``; children and triangles count from root and first."""
    best = -1
    if _enter(lower, upper, root, o, inverse, far) == np.inf:
        return far, best
    stack[0] = 0
    size = 1
    while size > 0:
        size -= 1
        node = root + stack[size]
        if _enter(lower, upper, node, o, inverse, far) == np.inf:
            continue
        if count[node] > 0:
            for t in range(first + child[node], first + child[node] + count[node]):
                distance = _meet(corners, t, o, d)
                if distance < far:
                    far, best = distance, t
            continue
        left = child[node]
        near_left = _enter(lower, upper, root + left, o, inverse, far)
        near_right = _enter(lower, upper, root + left + 1, o, inverse, far)
        if near_left <= near_right:
            if near_right < np.inf:
                stack[size] = left + 1
                size += 1
            if near_left < np.inf:
                stack[size] = left
                size += 1
        else:
            if near_left < np.inf:
                stack[size] = left
                size += 1
            stack[size] = left + 1
            size += 1
    return far, best


@kernel(inline="always")
def _invert(d: np.ndarray, inverse: np.ndarray) -> None:
    for k in range(3):
        inverse[k] = 1.0 / d[k] if abs(d[k]) > 1e-15 else 1e15


@kernel()
def trace_static(
    corners: np.ndarray, lower: np.ndarray, upper: np.ndarray, child: np.ndarray, count: np.ndarray,
    origins: np.ndarray, directions: np.ndarray, distance: np.ndarray, triangle: np.ndarray,
) -> None:  # fmt: skip
    """Nearest triangle of one hierarchy for every ray.

    Args:
        corners: (T, 3, 3) in the hierarchy's order.
        lower: (M, 3) of the nodes.
        upper: (M, 3).
        child: (M,).
        count: (M,).
        origins: (N, 3).
        directions: (N, 3) unit.
        distance: (N,) greatest distance on entry, distance of the hit on exit.
        triangle: (N,) set where something is hit.
    """
    stack, inverse = np.empty(128, np.int64), np.empty(3)
    for i in range(origins.shape[0]):
        _invert(directions[i], inverse)
        far, best = _follow(
            corners, lower, upper, child, count, 0, 0, origins[i], directions[i], inverse, distance[i], stack
        )
        if best >= 0:
            distance[i], triangle[i] = far, best


@kernel()
def trace_actors(
    corners: np.ndarray, lower: np.ndarray, upper: np.ndarray, child: np.ndarray, count: np.ndarray,
    first_nodes: np.ndarray, first_triangles: np.ndarray, radii: np.ndarray, poses: np.ndarray,
    origins: np.ndarray, directions: np.ndarray, distance: np.ndarray, triangle: np.ndarray, instance: np.ndarray,
) -> None:  # fmt: skip
    """Nearest actor for every ray, if nearer than what it met before.

    Args:
        corners: (T, 3, 3) of all actors in their box frames.
        lower: (M, 3) of all nodes.
        upper: (M, 3).
        child: (M,) counted from the actor's first node or triangle.
        count: (M,).
        first_nodes: (A + 1,) first node of each actor.
        first_triangles: (A + 1,) first triangle of each actor.
        radii: (A,) of the spheres around the boxes' centres.
        poses: (A, 4, 4) of the boxes in the world.
        origins: (N, 3).
        directions: (N, 3) unit.
        distance: (N,) updated.
        triangle: (N,) updated.
        instance: (N,) updated with the actor's index.
    """
    stack, inverse, o, d = np.empty(128, np.int64), np.empty(3), np.empty(3), np.empty(3)
    for i in range(origins.shape[0]):
        for a in range(radii.shape[0]):
            x, y, z = poses[a, 0, 3] - origins[i, 0], poses[a, 1, 3] - origins[i, 1], poses[a, 2, 3] - origins[i, 2]
            along = x * directions[i, 0] + y * directions[i, 1] + z * directions[i, 2]
            squared = x * x + y * y + z * z
            if squared - along * along > radii[a] ** 2 or along < -radii[a] or along - radii[a] > distance[i]:
                continue
            for k in range(3):
                o[k] = -(poses[a, 0, k] * x + poses[a, 1, k] * y + poses[a, 2, k] * z)
                d[k] = (
                    poses[a, 0, k] * directions[i, 0] + poses[a, 1, k] * directions[i, 1]
                    + poses[a, 2, k] * directions[i, 2]
                )  # fmt: skip
            _invert(d, inverse)
            far, best = _follow(
                corners,
                lower,
                upper,
                child,
                count,
                first_nodes[a],
                first_triangles[a],
                o,
                d,
                inverse,
                distance[i],
                stack,
            )
            if best >= 0:
                distance[i], triangle[i], instance[i] = far, best, a
