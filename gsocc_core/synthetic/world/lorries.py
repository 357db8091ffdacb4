# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Shapes of trucks, trailers and construction machines, built on the ground like ``vehicles.py``."""

from __future__ import annotations

import numpy as np

from gsocc_core.synthetic.world import materials as m
from gsocc_core.synthetic.world.detailed import name_id
from gsocc_core.synthetic.world.materials import Palette
from gsocc_core.synthetic.world.scene import Mesh
from gsocc_core.synthetic.world.shapes import MeshBuilder
from gsocc_core.synthetic.world.vehicles import Parts, body, cabin, wheels

CONSTRUCTION, TRAILER, TRUCK = 5, 9, 10


def _cab(b: MeshBuilder, parts: Parts, paint: int, x0: float, depth: float, w: float, height: float) -> None:
    """A lorry's cab between x0 and x0 + depth."""
    b.box(
        (x0 + depth / 2, 0.0, 0.5 + (height - 0.5) / 2),
        (depth, 2 * w, height - 0.5),
        TRUCK,
        paint,
        0.0,
        (0.88, 0.96),
        -0.05,
    )
    glass_x = x0 + depth + 0.012
    top = glass_x - 0.06 * depth
    b.quads(
        np.array(
            [
                [
                    (glass_x - 0.04, -0.9 * w, 0.55 * height),
                    (glass_x - 0.04, 0.9 * w, 0.55 * height),
                    (top - 0.02, 0.88 * w, 0.88 * height),
                    (top - 0.02, -0.88 * w, 0.88 * height),
                ]
            ]
        ),
        TRUCK,
        parts.glass,
    )
    for side in (-1.0, 1.0):
        y = side * (w + 0.012)
        b.quads(
            np.array(
                [
                    [
                        (x0 + 0.35 * depth, y, 0.55 * height),
                        (x0 + 0.85 * depth, y, 0.55 * height),
                        (x0 + 0.8 * depth, y * 0.985, 0.86 * height),
                        (x0 + 0.38 * depth, y * 0.985, 0.86 * height),
                    ]
                ]
            ),
            TRUCK,
            parts.glass,
        )
        b.box((x0 + depth - 0.02, side * 0.72 * w, 0.75), (0.1, 0.35, 0.2), TRUCK, parts.front)
        b.box((x0 + depth - 0.15, side * (w + 0.12), 0.68 * height), (0.12, 0.18, 0.5), TRUCK, parts.dark)
    b.box((x0 + depth, 0.0, 0.95), (0.06, 1.3 * w, 0.5), TRUCK, parts.dark)


def _cargo(rng: np.random.Generator, palette: Palette) -> int:
    kind = rng.uniform()
    if kind < 0.3:
        return palette.add(m.CORRUGATED, palette.any_color(), None, 0.12, 2.0, (rng.uniform(0.12, 0.4),))
    if kind < 0.5:
        return palette.add(m.SIGN, palette.grey(0.5, 0.95), palette.any_color(1.3), 0.08, 3.0, (rng.uniform(0.5, 2.0),))
    return palette.add(
        m.PLAIN, palette.grey(0.3, 0.95) if rng.uniform() < 0.6 else palette.any_color(), None, 0.12, 2.5, (), 0.1
    )


def truck(rng: np.random.Generator, palette: Palette, parts: Parts) -> Mesh:
    """A box, tipper or tank lorry, or a pickup."""
    b, paint = MeshBuilder(), palette.car_paint()
    if rng.uniform() < 0.25:
        return _pickup(rng, palette, parts)
    length = rng.uniform(6.2, 9.5)
    w, half = rng.uniform(1.1, 1.25), length / 2
    cab_height, depth = rng.uniform(2.4, 3.1), rng.uniform(1.7, 2.1)
    _cab(b, parts, paint, half - depth, depth, w, cab_height)
    b.box((-0.1, 0.0, 0.75), (length - 0.3, 1.0, 0.3), TRUCK, parts.dark)
    radius = rng.uniform(0.42, 0.5)
    axles = [-half + 0.9, half - 1.3] + ([-half + 1.95] if length > 8 else [])
    wheels(b, parts, axles, w * 0.98, radius, 0.3, TRUCK)
    bed = length - depth - 0.25
    middle = -half + bed / 2
    kind = rng.uniform()
    if kind < 0.6:
        name, height = "box truck", rng.uniform(2.0, 2.7)
        b.box((middle, 0.0, 0.95 + height / 2), (bed, 2 * w, height), TRUCK, _cargo(rng, palette))
    elif kind < 0.8:
        name = "dump truck"
        b.box((middle, 0.0, 1.6), (bed, 2 * w, 1.3), TRUCK, palette.metal(), 0.0, (1.0, 1.04))
        b.ellipsoid(
            (middle, 0.0, 2.2),
            (bed * 0.42, w * 0.8, 0.55),
            TRUCK,
            palette.add(m.GROUND, palette.earth(), None, 0.4, 1.0),
            1,
        )
    else:
        name = "tank truck"
        b.prism((-half, 0.0, 1.95), (-half + bed, 0.0, 1.95), 0.95, TRUCK, palette.car_paint(), 12)
        b.box((middle, 0.0, 1.0), (bed, 1.2, 0.3), TRUCK, parts.dark)
    for side in (-1.0, 1.0):
        b.box((-half + 0.03, side * 0.75 * w, 0.8), (0.05, 0.3, 0.15), TRUCK, parts.rear)
    return b.mesh(name_id(name))


def _pickup(rng: np.random.Generator, palette: Palette, parts: Parts) -> Mesh:
    b, paint = MeshBuilder(), palette.car_paint()
    half, w = rng.uniform(2.6, 2.9), rng.uniform(0.95, 1.02)
    b.loft(
        body(
            [
                (-half, 0.95 * w, 0.4, 1.0),
                (-half + 0.1, w, 0.35, 1.08),
                (half - 1.4, w, 0.35, 1.1),
                (half - 0.2, w, 0.35, 1.02),
                (half, 0.9 * w, 0.4, 0.9),
            ]
        ),
        TRUCK,
        paint,
    )
    cabin(
        b,
        [
            (-0.6, 1.08, 0.95),
            (-0.45, 1.82, 0.8),
            (0.35, 1.84, 0.8),
            (0.45, 1.84, 0.8),
            (0.75, 1.82, 0.8),
            (half - 1.35, 1.08, 0.95),
        ],
        0.95 * w,
        1.06,
        paint,
        parts.glass,
        TRUCK,
    )
    b.box((-half + 0.95, 0.0, 1.12), (1.7, 1.5 * w, 0.1), TRUCK, parts.dark)
    if rng.uniform() < 0.5:
        b.box((-half + 1.0, 0.0, 1.35), (1.3, 1.1 * w, 0.4), TRUCK, _cargo(rng, palette))
    wheels(b, parts, [-half + 1.1, half - 1.0], w * 0.99, 0.4, 0.25, TRUCK)
    for side in (-1.0, 1.0):
        b.box((half - 0.06, side * 0.7 * w, 0.8), (0.2, 0.3, 0.16), TRUCK, parts.front)
        b.box((-half + 0.02, side * 0.85 * w, 0.85), (0.06, 0.14, 0.3), TRUCK, parts.rear)
    return b.mesh(name_id("pickup"))


def trailer(rng: np.random.Generator, palette: Palette, parts: Parts, large: bool) -> Mesh:
    """A semi-trailer, or a small box or flat trailer."""
    b = MeshBuilder()
    half = rng.uniform(4.2, 6.2) if large else rng.uniform(1.5, 2.6)
    w = rng.uniform(1.15, 1.28) if large else rng.uniform(0.8, 1.1)
    floor = 1.1 if large else 0.6
    radius = 0.46 if large else 0.3
    back = [-half + 0.8, -half + 1.9] if large else [-0.1]
    wheels(b, parts, back, w * 0.97, radius, 0.25, TRAILER)
    b.box((0.0, 0.0, floor - 0.1), (2 * half, 2 * w * 0.9, 0.22), TRAILER, parts.dark)
    kind = rng.uniform()
    if kind < 0.65:
        name = "box trailer"
        height = rng.uniform(2.3, 2.8) if large else rng.uniform(0.9, 1.8)
        b.box((0.0, 0.0, floor + height / 2), (2 * half, 2 * w, height), TRAILER, _cargo(rng, palette))
    elif kind < 0.82:
        name, cargo = "flatbed trailer", _cargo(rng, palette)
        for x in np.arange(-half + 0.6, half - 0.8, 1.5):
            if rng.uniform() < 0.75:
                b.box((float(x), 0.0, floor + 0.45), (1.1, 1.5 * w, 0.9 * rng.uniform(0.6, 1.3)), TRAILER, cargo)
    else:
        name = "tank trailer"
        b.prism(
            (-half, 0.0, floor + 0.85), (half, 0.0, floor + 0.85), min(0.95, w * 0.85), TRAILER, palette.car_paint(), 12
        )
    if large:
        b.box((half - 1.6, 0.0, 0.5), (0.2, 1.4, 1.0), TRAILER, parts.dark)
    else:
        b.box((half + 0.55, 0.0, 0.5), (1.2, 0.1, 0.1), TRAILER, parts.dark)
    for side in (-1.0, 1.0):
        b.box((-half - 0.01, side * 0.8 * w, floor - 0.05), (0.04, 0.25, 0.14), TRAILER, parts.rear)
    return b.mesh(name_id(name))


def construction_vehicle(rng: np.random.Generator, palette: Palette, parts: Parts) -> Mesh:
    """An excavator, a wheel loader or a roller."""
    b = MeshBuilder()
    colors = np.array([[0.9, 0.62, 0.08], [0.85, 0.45, 0.1], [0.8, 0.75, 0.2], [0.55, 0.6, 0.5], [0.7, 0.7, 0.68]])
    paint = palette.add(m.PLAIN, rng.choice(colors) * rng.uniform(0.7, 1.05), palette.earth() * 0.6, 0.25, 0.8, (), 0.2)
    kind = int(rng.integers(3))
    name = ("excavator", "wheel loader", "road roller")[kind]
    if kind == 0:
        for side in (-1.0, 1.0):
            b.box((0.0, side * 1.05, 0.42), (3.4, 0.5, 0.8), CONSTRUCTION, parts.dark, 0.0, (0.85, 1.0))
        b.box((-0.3, 0.0, 1.5), (2.9, 2.4, 1.1), CONSTRUCTION, paint)
        b.box((0.45, 0.65, 2.35), (1.3, 1.0, 1.6), CONSTRUCTION, parts.glass, 0.0, (0.85, 0.9))
        b.box((0.4, 0.65, 3.12), (1.3, 1.05, 0.1), CONSTRUCTION, paint)
        reach, rise = rng.uniform(2.2, 3.2), rng.uniform(3.2, 4.4)
        b.prism((0.9, -0.3, 1.7), (reach, -0.3, rise), 0.28, CONSTRUCTION, paint, 4)
        b.prism((reach, -0.3, rise), (reach + 1.5, -0.3, 1.5), 0.2, CONSTRUCTION, paint, 4)
        b.box((reach + 1.4, -0.3, 1.1), (0.9, 1.0, 0.9), CONSTRUCTION, parts.dark, 0.0, (0.5, 1.0))
    elif kind == 1:
        wheels(b, parts, [-1.5, 1.4], 1.15, 0.72, 0.5, CONSTRUCTION)
        b.box((-1.5, 0.0, 1.5), (2.2, 1.6, 1.1), CONSTRUCTION, paint, 0.0, (0.8, 0.9))
        b.box((0.1, 0.0, 2.2), (1.4, 1.5, 1.9), CONSTRUCTION, parts.glass, 0.0, (0.85, 0.9))
        b.box((0.1, 0.0, 3.2), (1.4, 1.5, 0.12), CONSTRUCTION, paint)
        b.box((0.4, 0.0, 1.0), (2.8, 1.2, 0.6), CONSTRUCTION, paint)
        for side in (-1.0, 1.0):
            b.prism((0.9, side * 0.5, 1.7), (3.0, side * 0.5, 0.7), 0.15, CONSTRUCTION, paint, 4)
        b.box((3.3, 0.0, 0.65), (0.9, 2.6, 1.0), CONSTRUCTION, parts.dark, 0.0, (0.6, 1.0), -0.2)
    else:
        b.prism((1.6, -1.0, 0.7), (1.6, 1.0, 0.7), 0.7, CONSTRUCTION, palette.metal(), 14)
        b.prism((-1.6, -1.0, 0.7), (-1.6, 1.0, 0.7), 0.7, CONSTRUCTION, parts.dark, 14)
        b.box((0.0, 0.0, 1.25), (3.2, 1.8, 0.7), CONSTRUCTION, paint, 0.0, (0.9, 1.0))
        for x in (-0.7, 0.7):
            for y in (-0.8, 0.8):
                b.prism((x, y, 1.5), (x, y, 2.7), 0.05, CONSTRUCTION, parts.dark, 5)
        b.box((0.0, 0.0, 2.75), (1.9, 1.9, 0.12), CONSTRUCTION, paint)
    return b.mesh(name_id(name))
