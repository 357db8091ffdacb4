# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Numba kernels: composite the Gaussians of each picture tile front to back, and the gradients back to front.

A tile belongs to one thread. Its pixels are numbered row by row. Opacities of all pixels are computed at once, then the
pixels that are touched take the Gaussian's row of features in blocks of eight channels.
"""

from __future__ import annotations

import numba
import numpy as np

from gsocc_core.compiling import kernel
from gsocc_core.splat.images.projection_kernels import (
    DEPTH,
    L00,
    L01,
    L11,
    SUM_DEPTH,
    SUM_POWER,
    SUM_U,
    SUM_UU,
    SUM_UV,
    SUM_V,
    SUM_VV,
    TILE,
    U,
    V,
)
from gsocc_core.splat.images.rules import MAX_ALPHA, MIN_ALPHA, MIN_TRANSMITTANCE
from gsocc_core.splat.simd import LANES, add_scaled, dot, exp32

PIXELS = TILE * TILE

_FAST = {"reassoc", "contract", "nsz", "arcp"}
_MAX, _MIN, _STOP = np.float32(MAX_ALPHA), np.float32(MIN_ALPHA), np.float32(MIN_TRANSMITTANCE)
_ONE, _HALF, _ZERO = np.float32(1.0), np.float32(0.5), np.float32(0.0)
#: Opacity 1 falls below MIN_ALPHA at power 5.54, so nothing beyond this is needed, and the exponential stays in range.
_FAR = np.float32(20.0)


@kernel(fastmath=_FAST)
def _opacities(
    geometry: np.ndarray, opacity: float, x0: int, y0: int, alphas: np.ndarray, us: np.ndarray, vs: np.ndarray
) -> None:
    """Opacity and whitened offset of one Gaussian in every pixel of the rows of a tile that start at (x0, y0)."""
    l00, l01, l11 = np.float32(geometry[L00]), np.float32(geometry[L01]), np.float32(geometry[L11])
    dx, dy = geometry[U] - (x0 + 0.5), geometry[V] - (y0 + 0.5)
    u0, v0 = np.float32(geometry[L00] * dx + geometry[L01] * dy), np.float32(geometry[L11] * dy)
    strength = np.float32(opacity)
    for k in range(alphas.shape[0]):
        column, row = np.float32(k % TILE), np.float32(k // TILE)
        u, v = u0 - l00 * column - l01 * row, v0 - l11 * row
        alpha = min(strength * exp32(-min(_HALF * (u * u + v * v), _FAR)), _MAX)
        alphas[k] = alpha if alpha >= _MIN else _ZERO
        us[k], vs[k] = u, v


@kernel()
def _open_pixels(x0: int, y0: int, height: int, width: int, transmittance: np.ndarray) -> int:
    """Start a tile: transmittance 1 inside the picture, 0 (closed) outside. Returns the number of open pixels."""
    count = 0
    for k in range(PIXELS):
        inside = x0 + k % TILE < width and y0 + k // TILE < height
        transmittance[k] = _ONE if inside else _ZERO
        count += inside
    return count


@kernel(parallel=True)
def render_tiles(
    order: np.ndarray,
    tile_starts: np.ndarray,
    entry_pair: np.ndarray,
    gaussian: np.ndarray,
    geometry: np.ndarray,
    rects: np.ndarray,
    opacities: np.ndarray,
    rows: np.ndarray,
    columns: int,
    tiles: int,
    out_features: np.ndarray,
    out_depth: np.ndarray,
    out_alpha: np.ndarray,
) -> None:
    """Fill features (W, H, X, C), sum of w z (W, H, X) and sum of w (W, H, X) of W pictures, H rows, X columns."""
    _, height, width, channels = out_features.shape
    for place in numba.prange(order.shape[0]):
        tile = order[place]
        w, x0, y0 = tile // tiles, tile % tiles % columns * TILE, tile % tiles // columns * TILE
        volume, depths = np.zeros((PIXELS, rows.shape[1]), np.float32), np.zeros(PIXELS, np.float32)
        left, final = np.empty(PIXELS, np.float32), np.ones(PIXELS, np.float32)
        alphas, us, vs = np.empty(PIXELS, np.float32), np.empty(PIXELS, np.float32), np.empty(PIXELS, np.float32)
        open_count = _open_pixels(x0, y0, height, width, left)
        for e in range(tile_starts[tile], tile_starts[tile + 1]):
            if open_count == 0:
                break
            p = entry_pair[e]
            i, z = gaussian[p], np.float32(geometry[p, DEPTH])
            first, last = max(rects[p, 2] - y0, 0), min(rects[p, 3] - y0, TILE - 1)
            part = slice(first * TILE, (last + 1) * TILE)
            _opacities(geometry[p], opacities[i], x0, y0 + first, alphas[part], us[part], vs[part])
            for k in range(first * TILE, (last + 1) * TILE):
                alpha = alphas[k]
                if alpha == _ZERO or left[k] == _ZERO:
                    continue
                after = left[k] * (_ONE - alpha)
                if after <= _STOP:
                    left[k] = _ZERO
                    open_count -= 1
                    continue
                weight = alpha * left[k]
                left[k], final[k] = after, after
                depths[k] += weight * z
                for c in range(0, rows.shape[1], LANES):
                    add_scaled(volume, k, rows, i, c, weight)
        for y in range(y0, min(y0 + TILE, height)):
            for x in range(x0, min(x0 + TILE, width)):
                k = (y - y0) * TILE + x - x0
                out_depth[w, y, x], out_alpha[w, y, x] = depths[k], _ONE - final[k]
                for c in range(channels):
                    out_features[w, y, x, c] = volume[k, c]


@kernel()
def _record(
    first_entry: int,
    last_entry: int,
    x0: int,
    y0: int,
    height: int,
    width: int,
    entry_pair: np.ndarray,
    gaussian: np.ndarray,
    geometry: np.ndarray,
    rects: np.ndarray,
    opacities: np.ndarray,
    used: np.ndarray,
    pixels: np.ndarray,
    alphas: np.ndarray,
    befores: np.ndarray,
    us: np.ndarray,
    vs: np.ndarray,
    final: np.ndarray,
) -> int:
    """Walk a tile front to back as :func:`render_tiles` does and write down every touched pixel.

    Returns:
        Number of entries walked; entry number n of the tile touched pixels[used[n]:used[n + 1]].
    """
    left = np.empty(PIXELS, np.float32)
    alpha_row, u_row, v_row = (
        np.empty(PIXELS, np.float32), np.empty(PIXELS, np.float32), np.empty(PIXELS, np.float32),
    )  # fmt: skip
    open_count, count, walked = _open_pixels(x0, y0, height, width, left), 0, 0
    final[:] = _ONE
    used[0] = 0
    for e in range(first_entry, last_entry):
        if open_count == 0:
            break
        p = entry_pair[e]
        first, last = max(rects[p, 2] - y0, 0), min(rects[p, 3] - y0, TILE - 1)
        part = slice(first * TILE, (last + 1) * TILE)
        _opacities(geometry[p], opacities[gaussian[p]], x0, y0 + first, alpha_row[part], u_row[part], v_row[part])
        for k in range(first * TILE, (last + 1) * TILE):
            alpha = alpha_row[k]
            if alpha == _ZERO or left[k] == _ZERO:
                continue
            after = left[k] * (_ONE - alpha)
            if after <= _STOP:
                left[k] = _ZERO
                open_count -= 1
                continue
            pixels[count], alphas[count], befores[count] = k, alpha, left[k]
            us[count], vs[count] = u_row[k], v_row[k]
            count += 1
            left[k], final[k] = after, after
        walked += 1
        used[walked] = count
    return walked


@kernel(parallel=True)
def gradients_of_tiles(
    order: np.ndarray,
    tile_starts: np.ndarray,
    entry_pair: np.ndarray,
    entry_row: np.ndarray,
    gaussian: np.ndarray,
    geometry: np.ndarray,
    rects: np.ndarray,
    opacities: np.ndarray,
    rows: np.ndarray,
    columns: int,
    tiles: int,
    grad_features: np.ndarray,
    grad_depth: np.ndarray,
    grad_alpha: np.ndarray,
    entry_sums: np.ndarray,
    entry_rows: np.ndarray,
) -> None:
    """Fill entry_sums (E, 7) and entry_rows (E, R), the entries' shares of the gradients; both start at zero.

    Behind a Gaussian the pixel shows ``behind``; dL/dalpha = T <g, f> - behind / (1 - alpha).
    """
    _, height, width, channels = grad_features.shape
    for place in numba.prange(order.shape[0]):
        tile = order[place]
        start, stop = tile_starts[tile], tile_starts[tile + 1]
        if start == stop:
            continue
        w, x0, y0 = tile // tiles, tile % tiles % columns * TILE, tile % tiles // columns * TILE
        room = (stop - start) * PIXELS
        used, pixels = np.empty(stop - start + 1, np.int64), np.empty(room, np.int32)
        alphas, befores = np.empty(room, np.float32), np.empty(room, np.float32)
        us, vs, final = np.empty(room, np.float32), np.empty(room, np.float32), np.empty(PIXELS, np.float32)
        walked = _record(
            start, stop, x0, y0, height, width, entry_pair, gaussian, geometry, rects, opacities, used, pixels, alphas,
            befores, us, vs, final,
        )  # fmt: skip
        grads = np.zeros((PIXELS, rows.shape[1]), np.float32)
        depth_grads, behind = np.zeros(PIXELS, np.float32), np.zeros(PIXELS, np.float32)
        for y in range(y0, min(y0 + TILE, height)):
            for x in range(x0, min(x0 + TILE, width)):
                k = (y - y0) * TILE + x - x0
                depth_grads[k], behind[k] = grad_depth[w, y, x], -grad_alpha[w, y, x] * final[k]
                for c in range(channels):
                    grads[k, c] = grad_features[w, y, x, c]
        for n in range(walked - 1, -1, -1):
            e = start + n
            p, row = entry_pair[e], entry_row[e]
            i, z = gaussian[p], np.float32(geometry[p, DEPTH])
            depth, power, m_u, m_v, m_uu, m_uv, m_vv = _ZERO, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO
            for t in range(used[n], used[n + 1]):
                k, alpha, before, u, v = pixels[t], alphas[t], befores[t], us[t], vs[t]
                weight = alpha * before
                shown = depth_grads[k] * z
                for c in range(0, rows.shape[1], LANES):
                    shown += dot(grads, k, rows, i, c)
                    add_scaled(entry_rows, row, grads, k, c, weight)
                depth += weight * depth_grads[k]
                g_alpha = before * shown - behind[k] / (_ONE - alpha)
                behind[k] += weight * shown
                g = -alpha * g_alpha if alpha < _MAX else _ZERO  # the cap is flat
                power += g
                m_u += g * u
                m_v += g * v
                m_uu += g * u * u
                m_uv += g * u * v
                m_vv += g * v * v
            sums = entry_sums[row]
            sums[SUM_DEPTH], sums[SUM_POWER] = depth, power
            sums[SUM_U], sums[SUM_V], sums[SUM_UU], sums[SUM_UV], sums[SUM_VV] = m_u, m_v, m_uu, m_uv, m_vv
