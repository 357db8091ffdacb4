# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""How much of what one view shows the others show as well, from depth and poses."""

from __future__ import annotations

import numpy as np

#: Pixels per side that are looked at, and how far depth may differ on the same surface: relative, and metres.
_SIDE, _RELATIVE, _ABSOLUTE_M = 32, 0.05, 0.05


def view_overlap(depth_m: np.ndarray, intrinsics: np.ndarray, T_world_cam: np.ndarray) -> np.ndarray:
    """Share of each view's surface that some other view sees, not hidden behind anything.

    Args:
        depth_m: (V, H, W) metres along the optical axis, 0 = unknown.
        intrinsics: (V, 3, 3) pixels.
        T_world_cam: (V, 4, 4) float64 poses.

    Returns:
        (V,) float32 0 ... 1; NaN for views without depth, intrinsics or pose, which are seen by no other either, and
        where there is only one view.
    """
    count, height, width = depth_m.shape
    rows, columns = (np.unique(np.linspace(0, n - 1, min(n, _SIDE)).round().astype(int)) for n in (height, width))
    known = np.isfinite(intrinsics).all((1, 2)) & np.isfinite(T_world_cam).all((1, 2)) & (depth_m > 0).any((1, 2))
    shares = np.full(count, np.nan, np.float32)
    if known.sum() < 2:
        return shares
    for i in np.flatnonzero(known):
        metres = depth_m[i][np.ix_(rows, columns)]
        v, u = np.nonzero(metres > 0)
        if not len(v):
            continue
        pixels = np.stack([columns[u] + 0.5, rows[v] + 0.5, np.ones(len(u))], 1)
        points = pixels @ np.linalg.inv(intrinsics[i]).T * metres[v, u, None]
        points = points @ T_world_cam[i, :3, :3].T + T_world_cam[i, :3, 3]
        seen = np.zeros(len(points), bool)
        for j in np.flatnonzero(known):
            if j != i:
                seen |= _sees(depth_m[j], intrinsics[j], T_world_cam[j], points)
        shares[i] = seen.mean()
    return shares


def _sees(depth_m: np.ndarray, K: np.ndarray, T_world_cam: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N,) bool: the view shows a surface where the point is."""
    local = (points - T_world_cam[:3, 3]) @ T_world_cam[:3, :3]
    z = local[:, 2]
    ahead = z > 1e-3
    at = local @ K.T / np.where(ahead, z, 1.0)[:, None]
    inside = ahead & (at[:, 0] >= 0) & (at[:, 1] >= 0) & (at[:, 0] < depth_m.shape[1]) & (at[:, 1] < depth_m.shape[0])
    column, row = (np.where(inside, at[:, k], 0.0).astype(int) for k in range(2))
    metres = depth_m[row, column]
    return inside & (metres > 0) & (np.abs(metres - z) < _RELATIVE * z + _ABSOLUTE_M)
