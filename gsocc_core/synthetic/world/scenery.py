# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Plants, buildings and street furniture: shapes with their foot at the origin, z up."""

from __future__ import annotations

import math

import numpy as np

from gsocc_core.synthetic.world import materials as m
from gsocc_core.synthetic.world.detailed import name_id
from gsocc_core.synthetic.world.materials import Palette
from gsocc_core.synthetic.world.scene import Mesh
from gsocc_core.synthetic.world.shapes import MeshBuilder, icosphere

MANMADE, VEGETATION = 15, 16
#: How far walls reach below the ground, so that slopes never show a gap, metres.
_FOOTING_M = 2.0


def _leaves(
    b: MeshBuilder, rng: np.random.Generator, center: np.ndarray, radii: np.ndarray, row: int, count: int
) -> None:
    """Loose triangles around an ellipsoid's skin, for a ragged outline."""
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    middle = center + direction * radii * rng.uniform(0.88, 1.18, (count, 1))
    corners = middle[:, None] + rng.normal(0.0, 0.13, (count, 3, 3))
    b.add(corners.reshape(-1, 3), np.arange(3 * count).reshape(-1, 3), VEGETATION, row, np.repeat(direction, 3, axis=0))


def _clump(
    b: MeshBuilder, rng: np.random.Generator, center: np.ndarray, radii: np.ndarray, row: int, leaves: int
) -> None:
    bumps = rng.uniform(0.72, 1.22, len(icosphere(1)[0]))
    b.ellipsoid(center, radii, VEGETATION, row, 1, bumps)
    if leaves:
        _leaves(b, rng, center, radii, row, leaves)


def tree(rng: np.random.Generator, palette: Palette) -> Mesh:
    """A broad-leaved tree, a conifer, a poplar or a bare tree, 4 to 13 m high."""
    b, leaf, bark = MeshBuilder(), palette.foliage(), palette.bark()
    kind = str(rng.choice(["broad-leaved tree", "conifer", "poplar", "bare tree"], p=[0.6, 0.17, 0.13, 0.1]))
    height = rng.uniform(4.5, 12.5)
    radius = 0.025 * height * rng.uniform(0.8, 1.3)
    fork = height * (rng.uniform(0.2, 0.36) if kind != "conifer" else 0.12)
    lean = rng.normal(0.0, 0.15, 2)
    b.prism((0, 0, -0.4), (lean[0], lean[1], fork), radius * 1.15, VEGETATION, bark, 7, radius * 0.85, caps=False)
    if kind == "conifer":
        for z in np.linspace(fork, height * 0.8, 5):
            r = 0.24 * height * (1.05 - float(z) / height)
            b.prism(
                (0, 0, float(z)),
                (0, 0, float(z) + 0.24 * height),
                r * rng.uniform(0.9, 1.15),
                VEGETATION,
                leaf,
                9,
                0.03,
            )
        b.prism((0, 0, fork * 0.9), (0, 0, height * 0.7), radius, VEGETATION, bark, 6, 0.04, caps=False)
        return b.mesh(name_id(kind))
    for _ in range(int(rng.integers(3, 6)) if kind != "bare tree" else 9):
        angle, spread = (
            rng.uniform(0, 2 * math.pi),
            height * rng.uniform(0.12, 0.26) * (0.4 if kind == "poplar" else 1.0),
        )
        tip = (lean[0] + spread * math.cos(angle), lean[1] + spread * math.sin(angle), height * rng.uniform(0.5, 0.9))
        b.prism((lean[0], lean[1], fork * 0.92), tip, radius * 0.55, VEGETATION, bark, 5, radius * 0.15, caps=False)
    if kind == "bare tree":
        _leaves(b, rng, np.array([0, 0, height * 0.68]), np.array([0.2, 0.2, 0.22]) * height, leaf, 160)
        return b.mesh(name_id(kind))
    for _ in range(int(rng.integers(4, 7))):
        if kind == "poplar":
            center = np.array([*rng.normal(0.0, 0.03 * height, 2), height * rng.uniform(0.35, 0.85)])
            radii = np.array([0.11, 0.11, 0.2]) * height * rng.uniform(0.8, 1.1)
        else:
            center = np.array([*rng.normal(0.0, 0.12 * height, 2), height * rng.uniform(0.52, 0.8)])
            radii = np.array([0.21, 0.21, 0.17]) * height * rng.uniform(0.75, 1.15, 3)
        _clump(b, rng, center, radii, leaf, 70)
    return b.mesh(name_id(kind))


def bush(rng: np.random.Generator, palette: Palette) -> Mesh:
    """A bush about 1 m high."""
    b, leaf = MeshBuilder(), palette.foliage()
    for _ in range(int(rng.integers(2, 4))):
        center = np.array([*rng.normal(0.0, 0.35, 2), rng.uniform(0.3, 0.55)])
        _clump(b, rng, center, np.array([0.55, 0.55, 0.5]) * rng.uniform(0.7, 1.2, 3), leaf, 25)
    return b.mesh(name_id("bush"))


def hedge(rng: np.random.Generator, row: int, length: float, height: float) -> Mesh:
    """A clipped hedge along x."""
    b, thick = MeshBuilder(), rng.uniform(0.5, 1.0)
    count = max(int(length / 0.8), 2)
    x = np.linspace(-length / 2, length / 2, count)
    ring = np.array([[-1, -0.6], [1, -0.6], [1.06, 0.6], [0.8, 1.0], [-0.8, 1.0], [-1.06, 0.6]]) * [thick / 2, height]
    jitter = rng.uniform(0.88, 1.12, (count, 6, 1))
    sections = np.concatenate([np.broadcast_to(x[:, None, None], (count, 6, 1)), ring * jitter], axis=2)
    b.loft(sections, VEGETATION, row, smooth=True)
    _leaves(
        b,
        rng,
        np.array([0, 0, height * 0.5]),
        np.array([length / 2, thick * 0.55, height * 0.55]),
        row,
        int(12 * length),
    )
    return b.mesh(name_id("hedge"))


def building(rng: np.random.Generator, palette: Palette, width: float, depth: float, height: float, roof: str) -> Mesh:
    """A house along x with its front at y = -depth / 2.

    Args:
        rng: Source of details.
        palette: Takes its materials.
        width: Along the street, metres.
        depth: Away from it, metres.
        height: To the eaves, metres.
        roof: gable, flat or hall.
    """
    b = MeshBuilder()
    wall = palette.facade() if roof != "hall" or rng.uniform() < 0.25 else palette.plaster()
    top = palette.add(
        m.CORRUGATED, palette.earth() if rng.uniform() < 0.55 else palette.grey(0.15, 0.6), None, 0.25, 3.0, (0.33,)
    )
    _walls(b, width, depth, height, wall, 0.0, 0.0)
    flat = palette.add(m.PLAIN, palette.grey(0.2, 0.6), None, 0.2, 3.0)
    if roof == "gable":
        _gable(b, rng, palette, (width, depth, height), wall, top)
    else:
        with b.named(name_id("roof")):
            _flat_roof(b, rng, (width, depth, height), roof, flat)
    _front(b, rng, palette, width, depth, height, roof)
    name = "warehouse" if roof == "hall" else "house" if height < 8.0 else "apartment block"
    return b.mesh(name_id(name))


def _gable(
    b: MeshBuilder, rng: np.random.Generator, palette: Palette, size: tuple[float, float, float], wall: int, top: int
) -> None:
    """Two roof slopes, the walls under them at both ends, and often a chimney."""
    width, depth, height = size
    rise, e = rng.uniform(0.28, 0.5) * depth, 0.4
    w, d = width / 2 + e, depth / 2 + e
    slope = rise / (depth / 2)
    z0 = height - slope * e
    for s in (-1.0, 1.0):
        side = np.array(
            [[(-s * w, s * d, z0), (s * w, s * d, z0), (s * w, 0, height + rise), (-s * w, 0, height + rise)]]
        )
        with b.named(name_id("roof")):
            b.quads(side, MANMADE, top)
        gable = np.array(
            [
                (s * width / 2, -depth / 2, height),
                (s * width / 2, depth / 2, height),
                (s * width / 2, 0, height + rise),
            ]
        )
        b.add(
            gable,
            np.array([[0, 1, 2]]),
            MANMADE,
            wall,
            np.tile([s, 0.0, 0.0], (3, 1)),
            gable[:, 1:] + [depth / 2, 0],
        )
    if rng.uniform() < 0.7:
        with b.named(name_id("chimney")):
            b.box(
                (width * rng.uniform(-0.3, 0.3), 0.15 * depth, height + rise),
                (0.7, 0.7, 1.6),
                MANMADE,
                palette.plaster(),
            )


def _flat_roof(b: MeshBuilder, rng: np.random.Generator, size: tuple[float, float, float], roof: str, row: int) -> None:
    """A flat roof with its edge, and what stands on it."""
    width, depth, height = size
    edge = 0.35 if roof == "hall" else rng.uniform(0.3, 1.0)
    b.box((0, 0, height + 0.02), (width, depth, 0.04), MANMADE, row)
    for x, y, sx, sy in (
        (0, -depth / 2, width, 0.25),
        (0, depth / 2, width, 0.25),
        (-width / 2, 0, 0.25, depth),
        (width / 2, 0, 0.25, depth),
    ):
        b.box((x, y, height + edge / 2), (sx + 0.25, sy + 0.02, edge), MANMADE, row)
    if roof == "flat":
        for _ in range(int(rng.integers(0, 3))):
            b.box(
                (width * rng.uniform(-0.3, 0.3), depth * rng.uniform(-0.2, 0.3), height + 1.2),
                (2.5, 2.2, 2.4),
                MANMADE,
                row,
            )


def _walls(b: MeshBuilder, width: float, depth: float, height: float, row: int, x: float, y: float) -> None:
    """Four walls with surface coordinates along the wall and up from the ground."""
    w, d = width / 2, depth / 2
    corners = [(x - w, y - d), (x + w, y - d), (x + w, y + d), (x - w, y + d)]
    start = 0.0
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1]):
        length = math.hypot(x1 - x0, y1 - y0)
        quad = np.array([[(x0, y0, -_FOOTING_M), (x1, y1, -_FOOTING_M), (x1, y1, height), (x0, y0, height)]])
        uv = np.array(
            [[(start, -_FOOTING_M), (start + length, -_FOOTING_M), (start + length, height), (start, height)]]
        )
        b.quads(quad, MANMADE, row, uv)
        start += length


def _front(
    b: MeshBuilder, rng: np.random.Generator, palette: Palette, width: float, depth: float, height: float, roof: str
) -> None:
    """Doors, steps, balconies, awnings, shop signs, bays, gates on the street side."""
    y = -depth / 2
    if roof == "hall":
        gate = palette.add(m.CORRUGATED, palette.any_color(), None, 0.15, 2.0, (0.4,))
        with b.named(name_id("garage door")):
            for x in np.arange(-width / 2 + 4, width / 2 - 3, rng.uniform(6, 12)):
                b.box((float(x), y - 0.03, 2.0), (3.6, 0.1, 4.0), MANMADE, gate)
        return
    door = palette.add(m.PLAIN, palette.any_color(), None, 0.15, 0.5)
    for x in rng.uniform(-width / 2 + 1, width / 2 - 1, max(int(width / 10), 1)):
        with b.named(name_id("door")):
            b.box((float(x), y - 0.02, 1.05), (1.1, 0.12, 2.1), MANMADE, door)
        with b.named(name_id("doorstep")):
            b.box((float(x), y - 0.4, 0.05), (1.5, 0.8, 0.2), MANMADE, door)
    if height > 8 and rng.uniform() < 0.5:
        row = palette.metal() if rng.uniform() < 0.5 else palette.plaster()
        columns = np.arange(-width / 2 + 2.5, width / 2 - 2, rng.uniform(4, 7))
        with b.named(name_id("balcony")):
            for z in np.arange(3.2, height - 1.5, 3.2):
                for x in columns:
                    b.box((float(x), y - 0.55, float(z)), (2.4, 1.1, 0.15), MANMADE, row)
                    b.box((float(x), y - 1.07, float(z) + 0.5), (2.4, 0.06, 0.9), MANMADE, row)
    if roof == "flat" and rng.uniform() < 0.6:
        _shops(b, rng, palette, width, y)
    if rng.uniform() < 0.3:
        row = palette.facade()
        _walls(b, width * 0.3, 2.4, height * rng.uniform(0.6, 1.0), row, width * rng.uniform(-0.3, 0.3), y - 0.9)


def _shops(b: MeshBuilder, rng: np.random.Generator, palette: Palette, width: float, y: float) -> None:
    """Awnings and shop signs along a front at y."""
    for x in np.arange(-width / 2 + 2.5, width / 2 - 2, 5.0):
        row = palette.add(
            m.STRIPES,
            palette.any_color(1.3),
            palette.grey(0.6, 0.95),
            0.1,
            0.5,
            (0.6, 1.0, 0.0, 0.5 * float(rng.integers(0, 2))),
        )
        if rng.uniform() < 0.55:
            with b.named(name_id("awning")):
                b.box((float(x), y - 0.6, 2.75), (4.2, 1.2, 0.12), MANMADE, row)
        else:
            sign = palette.add(
                m.SIGN, palette.any_color(1.2), palette.any_color(1.2), 0.1, 1.0, (rng.uniform(0.15, 0.5),)
            )
            with b.named(name_id("shop sign")):
                b.box((float(x), y - 0.12, 3.0), (4.0, 0.2, 0.7), MANMADE, sign)


def lamp_post(rng: np.random.Generator, row: int, lamp: int, reach: float) -> Mesh:
    """A street lamp whose arm reaches towards -y."""
    b, height = MeshBuilder(), rng.uniform(4.5, 8.5)
    b.prism((0, 0, -0.3), (0, 0, height), 0.09, MANMADE, row, 7, 0.06)
    b.prism((0, 0, height), (0, -reach, height + 0.25), 0.045, MANMADE, row, 5)
    b.box((0, -reach, height + 0.22), (0.22, 0.6, 0.12), MANMADE, lamp)
    return b.mesh(name_id("street lamp"))


def traffic_light(rng: np.random.Generator, palette: Palette, row: int) -> Mesh:
    """A signal post with its lights towards -x."""
    b, height = MeshBuilder(), rng.uniform(2.8, 3.4)
    b.prism((0, 0, -0.3), (0, 0, height), 0.07, MANMADE, row, 7)
    b.box((0, 0, height - 0.4), (0.26, 0.32, 0.95), MANMADE, row)
    color = rng.choice(np.array([[0.9, 0.1, 0.05], [0.1, 0.85, 0.35]]))
    b.prism(
        (-0.13, 0, height - 0.2),
        (-0.16, 0, height - 0.2),
        0.1,
        MANMADE,
        palette.add(m.LAMP, color, None, 0.0, 1.0, (2.0,)),
        8,
    )
    return b.mesh(name_id("traffic light"))


def sign_post(rng: np.random.Generator, palette: Palette, row: int) -> Mesh:
    """A traffic or street sign facing -x."""
    b, height = MeshBuilder(), rng.uniform(2.2, 3.0)
    colors = np.array([[0.8, 0.1, 0.1], [0.1, 0.25, 0.7], [0.1, 0.45, 0.2], [0.85, 0.8, 0.75], [0.9, 0.7, 0.1]])
    plate = palette.add(m.SIGN, rng.choice(colors), palette.grey(0.7, 0.95), 0.05, 1.0, (rng.uniform(0.1, 0.35),))
    b.prism((0, 0, -0.3), (0, 0, height), 0.035, MANMADE, row, 6)
    if rng.uniform() < 0.5:
        b.prism((-0.05, 0, height - 0.1), (-0.07, 0, height - 0.1), 0.32, MANMADE, plate, 10)
    else:
        b.box((-0.06, 0, height), (0.03, rng.uniform(0.5, 1.4), rng.uniform(0.4, 0.9)), MANMADE, plate)
    return b.mesh(name_id("traffic sign"))


def fence(rng: np.random.Generator, row: int, style: int, length: float) -> Mesh:
    """A boundary along x: 0 masonry wall, 1 boards, 2 railing."""
    b = MeshBuilder()
    height = rng.uniform(0.7, 1.9)
    if style == 0:
        b.box((0, 0, height / 2 - 0.4), (length, 0.28, height + 0.8), MANMADE, row)
        b.box((0, 0, height + 0.03), (length, 0.38, 0.08), MANMADE, row)
    elif style == 1:
        b.box((0, 0, height / 2), (length, 0.06, height), MANMADE, row)
    else:
        for z in (0.25, height):
            b.prism((-length / 2, 0, z), (length / 2, 0, z), 0.035, MANMADE, row, 4)
        for x in np.arange(-length / 2, length / 2, 0.3):
            b.prism((float(x), 0, -0.2), (float(x), 0, height), 0.022, MANMADE, row, 4, caps=False)
    return b.mesh(name_id(("garden wall", "wooden fence", "railing")[style]))


def bench(rng: np.random.Generator, row: int) -> Mesh:
    """A bench along x."""
    b, length = MeshBuilder(), rng.uniform(1.4, 2.0)
    b.box((0, 0, 0.45), (length, 0.45, 0.06), MANMADE, row)
    b.box((0, 0.24, 0.75), (length, 0.06, 0.45), MANMADE, row)
    for x in (-0.4 * length, 0.4 * length):
        b.box((x, 0.05, 0.22), (0.08, 0.4, 0.44), MANMADE, row)
    return b.mesh(name_id("bench"))


def shelter(rng: np.random.Generator, palette: Palette) -> Mesh:
    """A bus shelter or kiosk along x, open towards -y."""
    b, row, length = MeshBuilder(), palette.metal(), rng.uniform(2.5, 4.5)
    glass = palette.add(m.GLASS, palette.grey(0.1, 0.3), None, 0.1, 1.0, (), 1.0)
    b.box((0, 0, 2.4), (length + 0.3, 1.7, 0.14), MANMADE, row)
    b.box((0, 0.7, 1.25), (length, 0.06, 2.2), MANMADE, glass if rng.uniform() < 0.6 else palette.plaster())
    ad = palette.add(m.SIGN, palette.any_color(1.4), palette.any_color(1.4), 0.1, 1.0, (0.4,))
    b.box((length / 2, 0.1, 1.25), (0.12, 1.2, 2.1), MANMADE, ad)
    for x in (-length / 2, length / 2):
        b.prism((x, -0.6, 0), (x, -0.6, 2.4), 0.05, MANMADE, row, 5)
    b.box((0, 0.5, 0.5), (length * 0.7, 0.4, 0.06), MANMADE, row)
    return b.mesh(name_id("bus shelter"))


def footbridge(rng: np.random.Generator, palette: Palette, span: float) -> Mesh:
    """A bridge over the road along y, 5 to 6 m up, with its piers at both ends."""
    b, row, height = MeshBuilder(), palette.plaster(), rng.uniform(5.2, 6.2)
    width = rng.uniform(2.5, 8.0)
    b.box((0, 0, height + 0.4), (width, span + 6.0, 0.8), MANMADE, row)
    rail = palette.metal()
    for x in (-width / 2, width / 2):
        b.box((x, 0, height + 1.4), (0.15, span + 6.0, 1.1), MANMADE, rail)
    for y in (-span / 2, span / 2):
        b.box((0, y, height / 2 - 0.5), (width * 0.7, 0.8, height + 1.0), MANMADE, row)
    return b.mesh(name_id("footbridge"))
