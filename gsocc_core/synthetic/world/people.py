# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Shapes of people, cycles, barriers, cones and small movable things, built on the ground like ``vehicles.py``."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from gsocc_core.synthetic.world import materials as m
from gsocc_core.synthetic.world.detailed import name_id
from gsocc_core.synthetic.world.materials import Palette
from gsocc_core.synthetic.world.scene import Mesh
from gsocc_core.synthetic.world.shapes import MeshBuilder
from gsocc_core.synthetic.world.vehicles import Parts

OTHERS, BARRIER, BICYCLE, MOTORCYCLE, PEDESTRIAN, CONE = 0, 1, 2, 6, 7, 8


def _limb(b: MeshBuilder, points: list[tuple[float, float, float]], radii: list[float], cls: int, row: int) -> None:
    for start, end, r0, r1 in zip(points, points[1:], radii, radii[1:]):
        b.prism(start, end, r0, cls, row, 7, r1)


def pedestrian(rng: np.random.Generator, palette: Palette, walking: bool, child: bool = False) -> Mesh:
    """A standing or walking person, sometimes with a bag, a skirt or a hat."""
    b, k = MeshBuilder(), (rng.uniform(0.6, 0.75) if child else rng.uniform(0.93, 1.08))
    girth = rng.uniform(0.85, 1.25)
    skin, shirt, trousers, hair = palette.skin(), palette.cloth(1.4), palette.cloth(0.6), palette.bark()
    stride = rng.uniform(0.15, 0.4) if walking else rng.uniform(0.0, 0.06)
    swing = stride * 0.8
    for side in (-1.0, 1.0):
        foot = side * stride
        _limb(
            b, [(0.0, side * 0.09, 0.92 * k), (foot * 0.55 + 0.04, side * 0.1, 0.48 * k), (foot, side * 0.1, 0.06)],
            [0.095 * girth, 0.075 * girth, 0.055], PEDESTRIAN, trousers,
        )  # fmt: skip
        b.box((foot + 0.06, side * 0.1, 0.045), (0.26, 0.1, 0.09), PEDESTRIAN, hair)
        hand = (-side * swing, side * 0.27 * girth, 0.82 * k)
        _limb(
            b, [(0.0, side * 0.2 * girth, 1.42 * k), (-side * swing * 0.3 - 0.03, side * 0.26 * girth, 1.12 * k), hand],
            [0.06 * girth, 0.05, 0.04], PEDESTRIAN, shirt,
        )  # fmt: skip
        b.ellipsoid(hand, (0.05, 0.04, 0.06), PEDESTRIAN, skin, 0)
    torso = [(0.11, 0.17, 0.88), (0.12, 0.16, 1.05), (0.13, 0.2, 1.3), (0.1, 0.2, 1.42), (0.06, 0.08, 1.5)]
    angles = np.arange(8) * math.pi / 4
    rings = [[(a * girth * math.cos(t), w * girth * math.sin(t), z * k) for t in angles] for a, w, z in torso]
    b.loft(np.array(rings), PEDESTRIAN, shirt, smooth=True)
    if rng.uniform() < 0.2:
        b.prism((0.0, 0.0, 0.95 * k), (0.0, 0.0, 0.5 * k), 0.15 * girth, PEDESTRIAN, shirt, 8, 0.26 * girth)
    b.prism((0.0, 0.0, 1.48 * k), (0.0, 0.0, 1.56 * k), 0.055, PEDESTRIAN, skin, 6)
    b.ellipsoid((0.01, 0.0, 1.66 * k), (0.1, 0.08, 0.12), PEDESTRIAN, skin, 1)
    b.ellipsoid((-0.02, 0.0, 1.7 * k), (0.11, 0.09, 0.1), PEDESTRIAN, hair, 1)
    if rng.uniform() < 0.35:
        b.box((-0.18, 0.0, 1.22 * k), (0.16, 0.28, 0.42), PEDESTRIAN, palette.cloth())
    elif rng.uniform() < 0.3:
        b.box((0.0, 0.34 * girth, 0.68 * k), (0.3, 0.1, 0.28), PEDESTRIAN, palette.cloth())
    return b.mesh(name_id("child" if child else "adult"))


def _rider(b: MeshBuilder, palette: Palette, seat: float, cls: int, lean: float) -> None:
    """A person on a saddle at height ``seat``."""
    skin, shirt, trousers = palette.skin(), palette.cloth(1.4), palette.cloth(0.6)
    shoulder = (-0.1 + lean, 0.0, seat + 0.55)
    _limb(
        b, [(-0.2, 0.0, seat - 0.02), (-0.15 + 0.5 * lean, 0.0, seat + 0.3), shoulder], [0.16, 0.17, 0.12], cls, shirt
    )
    for side in (-1.0, 1.0):
        knee = (0.2, side * 0.13, seat - 0.12 + 0.12 * side)
        _limb(
            b,
            [(-0.18, side * 0.1, seat), knee, (0.08, side * 0.14, max(seat - 0.58, 0.15) + 0.1 * side)],
            [0.1, 0.08, 0.06],
            cls,
            trousers,
        )
        _limb(
            b,
            [
                (shoulder[0], side * 0.18, shoulder[2] - 0.03),
                (0.25, side * 0.26, seat + 0.28),
                (0.42, side * 0.24, seat + 0.16),
            ],
            [0.06, 0.05, 0.04],
            cls,
            shirt,
        )
    head = (shoulder[0] + 0.08, 0.0, shoulder[2] + 0.26)
    b.ellipsoid(head, (0.11, 0.09, 0.13), cls, skin, 1)
    b.ellipsoid((head[0] - 0.02, 0.0, head[2] + 0.05), (0.14, 0.12, 0.11), cls, palette.car_paint(), 1)


def _ring(b: MeshBuilder, x: float, radius: float, thickness: float, cls: int, row: int) -> None:
    """A bicycle wheel's tyre: an octagon-like ring of tubes with a few spokes."""
    angles = np.arange(11) * (2 * math.pi / 10)
    for a0, a1 in pairwise(angles):
        p, q = ((x + radius * math.cos(a), 0.0, radius + thickness + radius * math.sin(a)) for a in (a0, a1))
        b.prism(p, q, thickness, cls, row, 4, caps=False)
    for a in angles[:10:2]:
        tip = (x + radius * math.cos(a), 0.0, radius + thickness + radius * math.sin(a))
        b.prism((x, 0.0, radius + thickness), tip, 0.008, cls, row, 3, caps=False)


def bicycle(rng: np.random.Generator, palette: Palette, parts: Parts, rider: bool) -> Mesh:
    """A bicycle, with or without its rider."""
    b, paint = MeshBuilder(), palette.car_paint()
    r = rng.uniform(0.31, 0.35)
    for x in (-0.52, 0.52):
        _ring(b, x, r, 0.028, BICYCLE, parts.tyre)
    seat, low = (-0.2, 0.0, 0.92), (-0.05, 0.0, 0.32)
    head, rear = (0.38, 0.0, 0.88), (-0.52, 0.0, r)
    for start, end in (
        (low, seat),
        (low, head),
        ((-0.16, 0.0, 0.78), head),
        (low, rear),
        ((-0.16, 0.0, 0.78), rear),
        (head, (0.52, 0.0, r)),
    ):
        b.prism(start, end, 0.026, BICYCLE, paint, 5)
    b.box((-0.22, 0.0, 0.95), (0.26, 0.14, 0.06), BICYCLE, parts.dark)
    b.prism((0.36, -0.27, 1.02), (0.36, 0.27, 1.02), 0.02, BICYCLE, parts.dark, 5)
    b.prism(head, (0.36, 0.0, 1.02), 0.02, BICYCLE, parts.dark, 5)
    if rng.uniform() < 0.3:
        b.box((0.55, 0.0, 0.92), (0.3, 0.34, 0.24), BICYCLE, palette.bark())
    if rider:
        _rider(b, palette, 0.97, BICYCLE, rng.uniform(0.1, 0.25))
    return b.mesh(name_id("cyclist" if rider else "bicycle"))


def motorcycle(rng: np.random.Generator, palette: Palette, parts: Parts, rider: bool) -> Mesh:
    """A motorcycle or scooter, with or without its rider."""
    b, paint = MeshBuilder(), palette.car_paint()
    for x in (-0.68, 0.68):
        b.prism((x, -0.07, 0.31), (x, 0.07, 0.31), 0.31, MOTORCYCLE, parts.tyre, 12)
        b.prism((x, -0.08, 0.31), (x, 0.08, 0.31), 0.17, MOTORCYCLE, parts.hub, 8)
    scooter = rng.uniform() < 0.45
    if scooter:
        b.box((0.48, 0.0, 0.72), (0.16, 0.44, 0.75), MOTORCYCLE, paint, 0.0, (0.7, 0.7), -0.1)
        b.box((0.05, 0.0, 0.34), (0.8, 0.34, 0.12), MOTORCYCLE, paint)
        b.box((-0.5, 0.0, 0.56), (0.8, 0.36, 0.42), MOTORCYCLE, paint, 0.0, (0.9, 0.8))
    else:
        b.box((0.0, 0.0, 0.45), (0.6, 0.32, 0.36), MOTORCYCLE, parts.chrome)
        b.ellipsoid((0.18, 0.0, 0.82), (0.3, 0.17, 0.16), MOTORCYCLE, paint, 1)
        b.box((-0.65, 0.0, 0.72), (0.5, 0.2, 0.14), MOTORCYCLE, paint)
        b.prism((-0.1, -0.2, 0.3), (-0.85, -0.2, 0.38), 0.06, MOTORCYCLE, parts.chrome, 6)
    b.box((-0.35, 0.0, 0.8), (0.75, 0.26, 0.1), MOTORCYCLE, parts.dark)
    for side in (-1.0, 1.0):
        b.prism((0.68, side * 0.09, 0.31), (0.42, side * 0.09, 0.95), 0.035, MOTORCYCLE, parts.chrome, 5)
    b.prism((0.38, -0.36, 1.03), (0.38, 0.36, 1.03), 0.022, MOTORCYCLE, parts.dark, 5)
    b.ellipsoid((0.52, 0.0, 0.86), (0.1, 0.11, 0.11), MOTORCYCLE, parts.front, 1)
    b.box((-0.92, 0.0, 0.7), (0.05, 0.14, 0.09), MOTORCYCLE, parts.rear)
    if rng.uniform() < 0.25:
        b.box((-0.85, 0.0, 0.98), (0.38, 0.4, 0.32), MOTORCYCLE, paint)
    if rider:
        _rider(b, palette, 0.86, MOTORCYCLE, rng.uniform(0.0, 0.15))
    return b.mesh(name_id("motorcyclist" if rider else "scooter" if scooter else "motorcycle"))


def barrier(rng: np.random.Generator, palette: Palette, kind: int) -> Mesh:
    """A movable barrier: 0 concrete block, 1 plastic block, 2 striped board on feet, 3 steel fence."""
    b = MeshBuilder()
    length = rng.uniform(1.6, 2.6)
    if kind < 2:
        if kind == 0:
            row = palette.add(m.PAVING, palette.grey(0.4, 0.75), None, 0.2, 1.5, (50.0, 50.0, 0.0, 0.0))
        else:
            color = rng.choice(np.array([[0.85, 0.25, 0.1], [0.85, 0.85, 0.82], [0.75, 0.1, 0.1]]))
            row = palette.add(m.PLAIN, color, palette.earth(), 0.15, 0.8, (), 0.15)
        low, high = rng.uniform(0.5, 0.62), rng.uniform(0.14, 0.24)
        height = rng.uniform(0.78, 1.0)
        profile = [(-low / 2, 0.0), (low / 2, 0.0), (low / 2, 0.1), (high / 2 + 0.04, 0.35), (high / 2, height)]
        ring = np.array(profile + [(-y, z) for y, z in profile[:1:-1]])
        sections = np.stack([np.column_stack([np.full(len(ring), x), ring]) for x in (-length / 2, length / 2)])
        b.loft(sections, BARRIER, row)
    elif kind == 2:
        stripes = palette.add(
            m.STRIPES,
            (0.85, 0.85, 0.82),
            rng.choice(np.array([[0.8, 0.12, 0.08], [0.85, 0.45, 0.05]])),
            0.1,
            0.6,
            (0.4, 1.0, 1.0, 0.5),
        )
        feet = palette.metal()
        for z in (0.45, 0.85):
            b.box((0.0, 0.0, z), (length, 0.05, 0.24), BARRIER, stripes)
        for x in (-0.4 * length, 0.4 * length):
            b.box((x, 0.0, 0.5), (0.06, 0.06, 1.0), BARRIER, feet)
            b.box((x, 0.0, 0.04), (0.12, 0.55, 0.08), BARRIER, feet)
    else:
        row = palette.metal()
        for z in (0.15, 1.05):
            b.prism((-length / 2, 0.0, z), (length / 2, 0.0, z), 0.03, BARRIER, row, 5)
        for x in np.linspace(-length / 2, length / 2, 12):
            b.prism((float(x), 0.0, 0.15), (float(x), 0.0, 1.05), 0.016, BARRIER, row, 4)
        for x in (-0.4 * length, 0.4 * length):
            b.box((x, 0.0, 0.03), (0.06, 0.5, 0.06), BARRIER, row)
    return b.mesh(name_id(("concrete barrier", "plastic barrier", "barrier board", "steel fence")[kind]))


def cone(rng: np.random.Generator, palette: Palette) -> Mesh:
    """A traffic cone or a bollard-like beacon."""
    b, height = MeshBuilder(), rng.uniform(0.5, 0.95)
    color = rng.choice(np.array([[0.9, 0.3, 0.06], [0.8, 0.15, 0.1], [0.85, 0.7, 0.1]])) * rng.uniform(0.6, 1.05)
    row = palette.add(m.STRIPES, color, palette.grey(0.6, 0.9), 0.15, 0.3, (0.32, 0.0, 1.0, 0.4))
    b.box(
        (0.0, 0.0, 0.03), (0.42, 0.42, 0.06), CONE, palette.add(m.PLAIN, color * rng.uniform(0.2, 0.9), None, 0.2, 0.3)
    )
    if rng.uniform() < 0.75:
        b.prism((0.0, 0.0, 0.05), (0.0, 0.0, height), 0.17, CONE, row, 10, 0.035)
        return b.mesh(name_id("traffic cone"))
    b.prism((0.0, 0.0, 0.05), (0.0, 0.0, 1.05), 0.16, CONE, row, 10, 0.13)
    return b.mesh(name_id("bollard"))


def oddment(rng: np.random.Generator, palette: Palette, parts: Parts) -> tuple[str, Mesh]:
    """Something of the class "others": a bin, a dog, a pram, boxes; with its nuScenes category."""
    b, kind = MeshBuilder(), int(rng.integers(4))
    if kind == 0:
        row = palette.add(m.PLAIN, palette.any_color(), palette.earth(), 0.15, 0.5, (), 0.15)
        scale = rng.uniform(0.8, 1.9)
        b.box((0.0, 0.0, 0.55), (0.6, 0.55 * scale, 0.95), OTHERS, row, 0.0, (1.1, 1.1))
        b.box((0.0, 0.0, 1.07), (0.72, 0.62 * scale, 0.1), OTHERS, parts.dark)
        return "movable_object.pushable_pullable", b.mesh(name_id("waste bin"))
    if kind == 1:
        fur, k = palette.bark(), rng.uniform(0.7, 1.4)
        b.ellipsoid((0.0, 0.0, 0.42 * k), (0.34 * k, 0.13 * k, 0.15 * k), OTHERS, fur, 1)
        b.ellipsoid((0.38 * k, 0.0, 0.56 * k), (0.14 * k, 0.08 * k, 0.09 * k), OTHERS, fur, 1)
        for x in (-0.22, 0.22):
            for y in (-0.07, 0.07):
                b.prism((x * k, y * k, 0.0), (x * k, y * k, 0.38 * k), 0.035 * k, OTHERS, fur, 5)
        b.prism((-0.32 * k, 0.0, 0.48 * k), (-0.5 * k, 0.0, 0.62 * k), 0.025, OTHERS, fur, 5)
        return "animal", b.mesh(name_id("dog"))
    if kind == 2:
        cloth = palette.cloth(1.4)
        b.box((0.0, 0.0, 0.62), (0.75, 0.42, 0.35), OTHERS, cloth, 0.0, (1.2, 1.1))
        b.ellipsoid((0.2, 0.0, 0.85), (0.3, 0.25, 0.25), OTHERS, cloth, 1)
        for x in (-0.28, 0.3):
            for side in (-1.0, 1.0):
                b.prism((x, side * 0.2, 0.13), (x, side * 0.25, 0.13), 0.13, OTHERS, parts.tyre, 8)
        b.prism((-0.3, -0.2, 0.7), (-0.7, -0.2, 1.02), 0.02, OTHERS, parts.chrome, 4)
        b.prism((-0.3, 0.2, 0.7), (-0.7, 0.2, 1.02), 0.02, OTHERS, parts.chrome, 4)
        return "human.pedestrian.stroller", b.mesh(name_id("pram"))
    row = palette.add(m.PLAIN, palette.earth(), None, 0.25, 0.6) if rng.uniform() < 0.6 else palette.cloth()
    z = 0.0
    for _ in range(int(rng.integers(1, 4))):
        size = (rng.uniform(0.4, 1.0), rng.uniform(0.4, 0.9), rng.uniform(0.25, 0.6))
        b.box((rng.uniform(-0.1, 0.1), rng.uniform(-0.1, 0.1), z + size[2] / 2), size, OTHERS, row, rng.uniform(0, 1.5))
        z += size[2]
    return "movable_object.debris", b.mesh(name_id("box"))
