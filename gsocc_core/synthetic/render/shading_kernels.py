# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Compiled surface patterns: albedo, gloss and own light of one point on a surface."""

from __future__ import annotations

import math

import numpy as np

from gsocc_core.compiling import kernel
from gsocc_core.synthetic.world import materials as m
from gsocc_core.synthetic.world.paint import PAINT_PER_M_D, PAINT_PER_M_S

_PLAIN, _ROAD, _PAVING, _GROUND, _FOLIAGE, _FACADE = m.PLAIN, m.ROAD, m.PAVING, m.GROUND, m.FOLIAGE, m.FACADE
_GLASS, _LAMP, _STRIPES, _CORRUGATED, _SIGN, _SLATS = m.GLASS, m.LAMP, m.STRIPES, m.CORRUGATED, m.SIGN, m.SLATS
_MASK = m.TILE - 1


@kernel(inline="always")
def noise(tile: np.ndarray, x: float, y: float) -> float:
    """Periodic noise at (x, y) texels, bilinear."""
    fx, fy = math.floor(x), math.floor(y)
    i, j = int(fx), int(fy)
    wx, wy = x - fx, y - fy
    i0, j0 = i & _MASK, j & _MASK
    i1, j1 = (i + 1) & _MASK, (j + 1) & _MASK
    low = tile[j0, i0] + wx * (tile[j0, i1] - tile[j0, i0])
    high = tile[j1, i0] + wx * (tile[j1, i1] - tile[j1, i0])
    return low + wy * (high - low)


@kernel(inline="always")
def hash01(i: int, j: int, k: int) -> float:
    """A number in [0, 1) that looks random, from three integers."""
    h = (i * 374761393 + j * 668265263 + k * 2147483647 + 12345) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    h = ((h ^ (h >> 15)) * 2246822519) & 0xFFFFFFFF
    return (h ^ (h >> 16)) / 4294967296.0


@kernel(inline="always")
def _clamp(x: float) -> float:
    return min(max(x, 0.0), 1.0)


@kernel(inline="always")
def _line(x: float, half_width: float, blur: float) -> float:
    """Coverage of a line |x| < half_width seen through a footprint of size blur."""
    return _clamp((half_width + 0.5 * blur - abs(x)) / max(blur, 1e-4)) * min(1.0, 2.0 * half_width / max(blur, 1e-4))


@kernel(inline="always")
def _wrap(x: float, period: float) -> float:
    """Distance to the nearest multiple of the period, signed."""
    return x - period * math.floor(x / period + 0.5)


@kernel()
def _paint_at(paint: np.ndarray, row: float, column: float, channel: int) -> float:
    """Paint atlas at texel (row, column), bilinear, clamped."""
    row, column = min(max(row - 0.5, 0.0), paint.shape[0] - 1.001), min(max(column - 0.5, 0.0), paint.shape[1] - 1.001)
    i, j = int(row), int(column)
    wi, wj = row - i, column - j
    low = paint[i, j, channel] * (1.0 - wj) + paint[i, j + 1, channel] * wj
    high = paint[i + 1, j, channel] * (1.0 - wj) + paint[i + 1, j + 1, channel] * wj
    return (low * (1.0 - wi) + high * wi) / 255.0


@kernel()
def _road(
    p: np.ndarray, paint: np.ndarray, tile: np.ndarray, u: float, v: float, wide: float, spot: float, out: np.ndarray
) -> None:
    """Patches, wheel wear and paint on top of the asphalt in ``out``."""
    row, column = (u - p[2]) * PAINT_PER_M_S + p[4], (v - p[3]) * PAINT_PER_M_D + p[5]
    patch = _paint_at(paint, row, column, 1)
    marking = _paint_at(paint, row, column, 0)
    if wide > 0.25:
        step = min(wide, 4.0) * PAINT_PER_M_S * 0.33
        marking = 0.33 * (marking + _paint_at(paint, row - step, column, 0) + _paint_at(paint, row + step, column, 0))
    tone = 0.55 + 0.9 * patch
    worn = noise(tile, u * 9.0 + p[7], v * 23.0)
    cover = marking * _clamp(0.85 - 0.28 * worn - 0.2 * spot)
    for k in range(3):
        white = 0.62 if k < 2 else 0.58
        out[k] = out[k] * tone * (1.0 - cover) + white * cover


@kernel()
def _facade(p: np.ndarray, c: np.ndarray, u: float, v: float, blur: float, out: np.ndarray) -> float:
    """Windows of a house front over the wall in ``out``; returns how much of the point is glass."""
    spacing, storey = p[2], p[3]
    style = int(p[4])
    half_w, half_h = 0.5 * (p[4] - style) * spacing, 0.5 * p[5] * storey
    if style == 1:
        half_w = 0.47 * spacing
    i, j = int(math.floor(u / spacing)), int(math.floor(v / storey))
    x, y = u - (i + 0.5) * spacing, v - (j + 0.52) * storey
    if j == 0 and style == 2:
        half_w, half_h = 0.44 * spacing, 0.38 * storey
    seed = int(p[7] * 64.0)
    inside = _line(x, half_w, blur) * _line(y, half_h, blur)
    frame = _line(x, half_w + 0.09, blur) * _line(y, half_h + 0.09, blur) - inside
    ledge = _line(v - j * storey, 0.1, blur) if hash01(seed, 3, 1) < 0.5 else 0.0
    cross = _line(x, 0.03, blur) if style != 1 else _line(_wrap(x, half_w), 0.03, blur)
    frame = _clamp(frame + inside * cross + ledge)
    kind = hash01(i, j, seed)
    for k in range(3):
        out[k] = out[k] * (1.0 - frame) + c[1, k] * frame
    glass = inside * (1.0 - cross)
    if kind < 0.22:  # a curtain or blind
        low = _clamp((y / half_h + 2.0 * hash01(j, i, seed)) * 8.0)
        tone = 0.25 + 0.4 * hash01(i, j, seed + 7)
        for k in range(3):
            out[k] = out[k] * (1.0 - glass * low) + tone * (1.0 - 0.1 * k) * glass * low
        glass *= 1.0 - low
    dark = 0.015 + 0.05 * kind
    for k in range(3):
        out[k] = out[k] * (1.0 - glass) + dark * glass
    out[4] = glass * (0.6 if kind > 0.93 else 0.0) * (hash01(seed, 9, 9) if hash01(seed, 1, 2) > 0.4 else 0.0)
    return glass


@kernel()
def surface(
    pattern: int,
    c: np.ndarray,
    p: np.ndarray,
    paint: np.ndarray,
    tile: np.ndarray,
    position: np.ndarray,
    u: float,
    v: float,
    near: float,
    wide: float,
    normal: np.ndarray,
    out: np.ndarray,
) -> None:
    """Albedo (out[0:3]), gloss (out[3]) and own light (out[4]) of a point; bends the normal of rough surfaces.

    Args:
        pattern: Pattern id.
        c: (2, 3) colours.
        p: (8,) parameters.
        paint: (P, Q, 3) uint8 road paint.
        tile: Noise.
        position: (3,) point, metres, for patterns without surface coordinates.
        u: First surface coordinate, metres.
        v: Second one.
        near: Size of the pixel at the point across the view, metres.
        wide: Size of the pixel on the surface along its longer side, metres.
        normal: (3,) unit normal; updated.
        out: (5,) result.
    """
    amplitude, offset = p[0], p[7]
    scale = 16.0 / p[1]
    out[3], out[4] = p[6], 0.0
    blur = min(wide, 4.0 * near)
    fine = _clamp(1.5 - 40.0 * blur)  # strength of millimetre to centimetre detail at this distance
    if pattern == _FOLIAGE:
        x, y = position[0], position[1]
        if abs(normal[2]) < 0.7:
            x, y = (position[1] if abs(normal[0]) > abs(normal[1]) else position[0]), position[2]
        coarse = noise(tile, x * scale + offset, y * scale)
        wave = 0.35 * noise(tile, x * 60.0, y * 60.0 + offset)
        i, j = int(math.floor(position[0] * 11.0 + wave)), int(math.floor(position[1] * 11.0 + wave))
        leaf = hash01(i, j, int(math.floor(position[2] * 13.0 - wave))) * 2.4 - 1.2
        leaf = (0.75 * leaf + wave) * _clamp(1.7 - 11.0 * near)
        tone = max(1.0 + amplitude * (0.35 * coarse + 0.55 * leaf), 0.12)
        w = _clamp(0.5 + 0.3 * coarse - 0.35 * leaf)
        for k in range(3):
            out[k] = (c[0, k] * (1.0 - w) + c[1, k] * w) * tone
        normal[0] += 0.45 * leaf
        normal[1] += 0.45 * coarse
        normal[2] += 0.35
        return
    coarse = noise(tile, u * scale + offset, v * scale + 0.37 * offset)
    grain = noise(tile, u * 97.0 + offset, v * 97.0) * fine if fine > 0.0 else 0.0
    tone = max(1.0 + amplitude * (0.7 * coarse + 0.6 * grain), 0.05)
    w = _clamp(0.5 + 0.4 * coarse + 0.2 * grain) if pattern in (_GROUND, _ROAD) else _clamp(coarse - 0.8) * 0.7
    for k in range(3):
        out[k] = (c[0, k] * (1.0 - w) + c[1, k] * w) * tone
    if pattern == _ROAD:
        _road(p, paint, tile, u, v, wide, coarse, out)
    elif pattern == _GROUND:
        tuft = noise(tile, u * 21.0, v * 21.0 + offset) * _clamp(1.3 - 5.0 * blur)
        for k in range(3):
            out[k] *= max(1.0 + 0.7 * amplitude * tuft, 0.2)
        normal[0] += 0.15 * tuft
        normal[1] += 0.15 * coarse
    elif pattern == _PAVING:
        i, j = int(math.floor(u / p[2])), int(math.floor(v / p[3]))
        shift = 0.5 * p[2] * (j & 1) if p[2] > 2.5 * p[3] else 0.0
        joint = max(_line(_wrap(u + shift, p[2]), 0.008, blur), _line(_wrap(v, p[3]), 0.008, blur)) * p[4]
        tone = (1.0 - joint) * (1.0 + p[5] * (hash01(i, j, 5) - 0.5) * 2.0 * _clamp(2.0 - 2.0 * blur / p[2]))
        for k in range(3):
            out[k] *= tone
    elif pattern == _FACADE:
        out[3] = 0.9 * _facade(p, c, u, v, blur, out)
    elif pattern == _GLASS:
        out[3] = 1.0
    elif pattern == _LAMP:
        out[4] = p[2]
    elif pattern == _STRIPES:
        phase = (u * p[3] + v * p[4]) / p[2]
        w = _clamp((p[5] * 0.5 - abs(_wrap(phase, 1.0))) / max(blur / p[2], 0.02) + 0.5)
        for k in range(3):
            out[k] += (c[1, k] * tone - out[k]) * w
    elif pattern == _CORRUGATED:
        wave = math.sin(6.2832 * u / p[2]) * _clamp(1.5 - 2.0 * blur / p[2])
        for k in range(3):
            out[k] *= 1.0 + 0.22 * wave
    elif pattern == _SIGN:
        i, j = int(math.floor(u / p[2])), int(math.floor(v / p[2] * 1.7))
        if hash01(i, j, int(offset * 32.0)) < 0.45:
            for k in range(3):
                out[k] = c[1, k] * tone
    elif pattern == _SLATS:
        gap = _line(_wrap(u, p[2]), 0.014, blur)
        tone = (1.0 - 0.75 * gap) * (0.85 + 0.3 * hash01(int(math.floor(u / p[2] + 0.5)), 2, int(offset)))
        for k in range(3):
            out[k] *= tone
