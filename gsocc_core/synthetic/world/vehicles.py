# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Shapes of cars, vans and buses, and the parts that all vehicles share.

Every function builds in a frame on the ground (x forward, y left, z up, origin under the middle) and returns a mesh;
``centered`` moves it into its box frame.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gsocc_core.synthetic.world import materials as m
from gsocc_core.synthetic.world.detailed import name_id
from gsocc_core.synthetic.world.materials import Palette
from gsocc_core.synthetic.world.scene import Mesh
from gsocc_core.synthetic.world.shapes import MeshBuilder

BUS, CAR = 3, 4


class Parts:
    """Materials that vehicles of a scene share.

    Args:
        palette: Takes them.
    """

    def __init__(self, palette: Palette) -> None:
        self.tyre = palette.add(m.PLAIN, palette.grey(0.08, 0.2), palette.earth() * 0.6, 0.2, 0.3)
        self.hub = palette.add(m.PLAIN, palette.grey(0.35, 0.7), None, 0.15, 0.2, (), 0.4)
        self.glass = palette.add(m.GLASS, (0.06, 0.07, 0.07), None, 0.1, 1.0, (), 1.0)
        self.dark = palette.add(m.PLAIN, palette.grey(0.07, 0.25), palette.earth() * 0.5, 0.25, 0.5)
        self.front = palette.add(m.LAMP, (0.85, 0.85, 0.8), None, 0.0, 1.0, (0.25,), 0.6)
        self.rear = palette.add(m.LAMP, (0.6, 0.05, 0.04), None, 0.0, 1.0, (0.3,), 0.5)
        self.chrome = palette.add(m.PLAIN, (0.6, 0.6, 0.6), None, 0.05, 0.3, (), 1.0)
        self.plate = palette.add(m.SIGN, (0.8, 0.8, 0.75), (0.1, 0.1, 0.2), 0.05, 1.0, (0.05,))


def centered(mesh: Mesh) -> tuple[Mesh, tuple[float, float, float], float]:
    """Move a mesh into its box frame.

    Args:
        mesh: Built on the ground, z up.

    Returns:
        The mesh with its bounding box centred at the origin, the size (width, length, height) in metres, and the
        height of the box's centre above the ground.
    """
    low, high = mesh.vertices_m.min(0).astype(np.float64), mesh.vertices_m.max(0).astype(np.float64)
    half = np.maximum(np.abs(low), np.abs(high))[:2]
    middle = 0.5 * (low[2] + high[2])
    vertices = (mesh.vertices_m - np.array([0.0, 0.0, middle])).astype(np.float32)
    # A millimetre more than the mesh, so that rounding never leaves a corner outside.
    size = (float(2 * half[1]) + 1e-3, float(2 * half[0]) + 1e-3, float(high[2] - low[2]) + 1e-3)
    return replace(mesh, vertices_m=vertices), size, float(middle)


def wheels(
    b: MeshBuilder, parts: Parts, xs: list[float], half_track: float, radius: float, width: float, cls: int
) -> None:
    """Add pairs of wheels.

    Args:
        b: Takes the triangles.
        parts: Materials.
        xs: Positions of the axles.
        half_track: Distance of the outer sides from the middle.
        radius: Metres.
        width: Metres.
        cls: Occ3D id.
    """
    for x in xs:
        for side in (-1.0, 1.0):
            y = side * half_track
            b.prism((x, y - side * width, radius), (x, y, radius), radius, cls, parts.tyre, 12)
            b.prism((x, y, radius), (x, y + side * 0.012, radius), radius * 0.6, cls, parts.hub, 8)


def body(stations: list[tuple[float, float, float, float]]) -> np.ndarray:
    """Rings of a vehicle's body for ``MeshBuilder.loft``.

    Args:
        stations: (x, half width, bottom, top) of each cross-section, from the tail to the nose.

    Returns:
        (S, 6, 3) points; the body is widest at about a third of its height.
    """
    return np.array(
        [
            [
                (x, -0.92 * w, z0), (x, 0.92 * w, z0), (x, w, z0 + 0.35 * (z1 - z0)),
                (x, 0.94 * w, z1), (x, -0.94 * w, z1), (x, -w, z0 + 0.35 * (z1 - z0)),
            ]
            for x, w, z0, z1 in stations
        ]
    )  # fmt: skip


def cabin(
    b: MeshBuilder, stations: list[tuple[float, float, float]], w: float, belt: float, paint: int, glass: int, cls: int
) -> None:
    """Add the part with the windows; narrow gaps between stations become pillars.

    Args:
        b: Takes the triangles.
        stations: (x, roof height, width factor of the roof) of each cross-section, from the tail to the nose.
        w: Half width at the belt line.
        belt: Height of the belt line.
        paint: Material of roof and pillars.
        glass: Material of the windows.
        cls: Occ3D id.
    """
    rings = np.array(
        [
            [(x, -w, belt), (x, w, belt), (x, w * f, max(z, belt + 0.01)), (x, -w * f, max(z, belt + 0.01))]
            for x, z, f in stations
        ]
    )
    rows = np.full((len(stations) - 1, 4), paint)
    for i in range(len(stations) - 1):
        sloped = abs(stations[i][1] - stations[i + 1][1]) > 0.2
        if stations[i + 1][0] - stations[i][0] > 0.15:
            rows[i, 1] = rows[i, 3] = glass
        if sloped:
            rows[i, 2] = glass
    b.loft(rings, cls, rows)


def car(rng: np.random.Generator, palette: Palette, parts: Parts) -> Mesh:
    """A saloon, hatchback, off-road car or van in one random paint."""
    kind = str(rng.choice(["saloon", "hatch", "suv", "van"], p=[0.33, 0.27, 0.27, 0.13]))
    length = {"saloon": 4.6, "hatch": 4.0, "suv": 4.6, "van": 5.1}[kind] * rng.uniform(0.94, 1.06)
    width = {"saloon": 1.82, "hatch": 1.75, "suv": 1.92, "van": 1.98}[kind] * rng.uniform(0.97, 1.04)
    height = {"saloon": 1.45, "hatch": 1.5, "suv": 1.72, "van": 2.1}[kind] * rng.uniform(0.96, 1.05)
    paint, b = palette.car_paint(), MeshBuilder()
    half, w, clear = length / 2, width / 2, 0.2
    belt = height * (0.6 if kind != "van" else 0.52)
    nose = belt * rng.uniform(0.8, 0.92)
    hood = {"saloon": 0.28, "hatch": 0.24, "suv": 0.26, "van": 0.14}[kind] * length
    tail = belt if kind == "saloon" else belt + 0.02
    stations = [
        (-half, 0.9 * w, clear + 0.12, tail * 0.9), (-half + 0.15, w, clear, tail), (-half + 0.8, w, clear, belt),
        (half - hood, w, clear, belt), (half - 0.35, w, clear, nose), (half, 0.86 * w, clear + 0.1, nose * 0.82),
    ]  # fmt: skip
    b.loft(body(stations), CAR, paint, smooth=False)
    rear = {"saloon": 0.62, "hatch": 0.12, "suv": 0.08, "van": 0.04}[kind] * rng.uniform(0.9, 1.1)
    slant = {"saloon": 0.55, "hatch": 0.4, "suv": 0.28, "van": 0.1}[kind]
    front = half - hood + 0.1
    screen = {"saloon": 0.75, "hatch": 0.7, "suv": 0.6, "van": 0.6}[kind]
    roof0, roof1 = -half + rear + slant, front - screen
    middle = 0.5 * (roof0 + roof1) + 0.1
    cabin(
        b,
        [
            (-half + rear, belt, 0.95), (roof0, height, 0.8),
            (middle - 0.05, height, 0.8), (middle + 0.05, height, 0.8),
            (roof1, height * 0.985, 0.8), (front, belt, 0.95),
        ],
        0.95 * w, belt - 0.02, paint, parts.glass if kind != "van" or rng.uniform() < 0.5 else paint, CAR,
    )  # fmt: skip
    if kind == "van":
        b.quads(_windscreen(roof1, front, height, belt, 0.85 * w), CAR, parts.glass)
    radius = rng.uniform(0.3, 0.37)
    wheels(b, parts, [-half + 0.2 * length, half - 0.19 * length], w * 1.004, radius, 0.2, CAR)
    for side in (-1.0, 1.0):
        b.box((half - 0.12, side * 0.68 * w, nose * 0.78), (0.22, 0.32, 0.14), CAR, parts.front)
        b.box((-half + 0.08, side * 0.76 * w, tail * 0.82), (0.16, 0.24, 0.2), CAR, parts.rear)
        b.box((front - 0.45, side * (w + 0.06), belt + 0.06), (0.12, 0.2, 0.14), CAR, paint)
    b.box((half - 0.03, 0.0, 0.42), (0.1, 0.9 * w, 0.16), CAR, parts.dark)
    b.box((-half + 0.02, 0.0, 0.55), (0.05, 0.5, 0.12), CAR, parts.plate)
    if rng.uniform() < 0.15:
        b.box((0.5 * (roof0 + roof1), 0.0, height + 0.1), (0.4, 0.7, 0.16), CAR, palette.car_paint())
    return b.mesh(name_id("van" if kind == "van" else "car"))


def _windscreen(x0: float, x1: float, z1: float, z0: float, w: float) -> np.ndarray:
    e = 0.02
    return np.array([[(x1 + e, -w, z0), (x1 + e, w, z0), (x0 + e, 0.85 * w, z1 - 0.1), (x0 + e, -0.85 * w, z1 - 0.1)]])


def bus(rng: np.random.Generator, palette: Palette, parts: Parts) -> Mesh:
    """A city bus or coach."""
    length, width, height = rng.uniform(9.5, 12.5), rng.uniform(2.45, 2.6), rng.uniform(2.9, 3.4)
    paint, second, b = palette.car_paint(), palette.car_paint(), MeshBuilder()
    half, w = length / 2, width / 2
    b.loft(
        body(
            [
                (-half, 0.96 * w, 0.4, height - 0.1),
                (-half + 0.15, w, 0.3, height),
                (half - 0.2, w, 0.3, height),
                (half, 0.94 * w, 0.35, height - 0.2),
            ]
        ),
        BUS,
        paint,
    )
    low, high = 0.38 * height, 0.8 * height
    count = int(length / 1.6)
    edges = np.linspace(-half + 0.3, half - 0.3, count + 1)
    for side in (-1.0, 1.0):
        y = side * (w + 0.015)
        for k in range(count):
            door = side < 0 and k in (count - 1, count // 2)
            z0 = 0.35 if door else low
            b.quads(
                np.array(
                    [
                        [
                            (edges[k] + 0.06, y, z0),
                            (edges[k + 1] - 0.06, y, z0),
                            (edges[k + 1] - 0.06, y, high),
                            (edges[k] + 0.06, y, high),
                        ]
                    ]
                ),
                BUS,
                parts.glass,
            )
        b.quads(
            np.array(
                [
                    [
                        (-half + 0.2, y * 0.999, 0.55),
                        (half - 0.3, y * 0.999, 0.55),
                        (half - 0.3, y * 0.999, 0.95),
                        (-half + 0.2, y * 0.999, 0.95),
                    ]
                ]
            ),
            BUS,
            second,
        )
        b.box((half - 0.02, side * 0.75 * w, 0.75), (0.08, 0.35, 0.2), BUS, parts.front)
        b.box((-half, side * 0.8 * w, 0.9), (0.05, 0.2, 0.35), BUS, parts.rear)
    for x, z0 in ((half + 0.012, 1.0), (-half - 0.012, 1.5)):
        b.quads(
            np.array(
                [[(x, -0.88 * w, z0), (x, 0.88 * w, z0), (x, 0.86 * w, 0.83 * height), (x, -0.86 * w, 0.83 * height)]]
            ),
            BUS,
            parts.glass,
        )
    sign = palette.add(m.SIGN, (0.1, 0.08, 0.04), (0.95, 0.6, 0.1), 0.0, 1.0, (0.09,))
    b.quads(
        np.array(
            [
                [
                    (half + 0.02, -0.6 * w, 0.86 * height),
                    (half + 0.02, 0.6 * w, 0.86 * height),
                    (half + 0.02, 0.6 * w, 0.93 * height),
                    (half + 0.02, -0.6 * w, 0.93 * height),
                ]
            ]
        ),
        BUS,
        sign,
    )
    wheels(b, parts, [-half + 0.25 * length, half - 0.22 * length], w * 0.99, 0.48, 0.3, BUS)
    b.box((-0.15 * length, 0.0, height + 0.1), (0.3 * length, 1.4, 0.22), BUS, paint)
    return b.mesh()
