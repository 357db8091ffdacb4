# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What lines a street: where houses, gardens, trees, hedges, lamps and signs stand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from gsocc_core.synthetic.world import materials as m
from gsocc_core.synthetic.world import scenery
from gsocc_core.synthetic.world.ground import Ground, street_coordinates
from gsocc_core.synthetic.world.materials import Palette
from gsocc_core.synthetic.world.roads import Road
from gsocc_core.synthetic.world.scene import Mesh
from gsocc_core.synthetic.world.shapes import MeshBuilder

STYLES = ("urban", "suburban", "industrial", "park")
_CELL_M = 0.5


class Plot:
    """Remembers which land is taken.

    Args:
        low: (2,) lower corner, metres.
        high: (2,) upper corner.
    """

    def __init__(self, low: np.ndarray, high: np.ndarray) -> None:
        self.low = low
        self.taken = np.zeros(np.ceil((high - low) / _CELL_M).astype(int), bool)

    @property
    def centers(self) -> np.ndarray:
        """(X, Y, 2) centres of the cells."""
        x, y = (self.low[k] + (np.arange(self.taken.shape[k]) + 0.5) * _CELL_M for k in range(2))
        return np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1)

    def claim(self, xy: np.ndarray, yaw: float, length: float, width: float) -> bool:
        """Take a rectangle if it is free.

        Args:
            xy: (2,) its middle, metres.
            yaw: Direction of its length, rad.
            length: Metres.
            width: Metres.

        Returns:
            Whether it was free and inside the world; it is taken now.
        """
        u = np.linspace(-length / 2, length / 2, max(int(length / 0.4), 1) + 1)
        v = np.linspace(-width / 2, width / 2, max(int(width / 0.4), 1) + 1)
        u, v = np.meshgrid(u, v)
        points = xy + np.stack([u * np.cos(yaw) - v * np.sin(yaw), u * np.sin(yaw) + v * np.cos(yaw)], axis=-1)
        cells = np.floor((points - self.low) / _CELL_M).astype(int)
        if (cells < 0).any() or (cells >= self.taken.shape).any():
            return False
        index = cells[..., 0], cells[..., 1]
        if self.taken[index].any():
            return False
        self.taken[index] = True
        return True


@dataclass(frozen=True, eq=False)
class Site:
    """Everything that placing needs.

    Attributes:
        rng: Source of all choices.
        palette: Takes materials.
        ground: Heights and streets.
        land: Free land outside the pavements.
        kerbside: Free room on pavements and verges.
        builder: Takes the triangles.
        crosswalks: s of crosswalks.
    """

    rng: np.random.Generator
    palette: Palette
    ground: Ground
    land: Plot
    kerbside: Plot
    builder: MeshBuilder
    crosswalks: tuple[float, ...]

    def put(self, mesh: Mesh, s: float, d: float, turn: float = 0.0, scale: float = 1.0) -> None:
        """Place a shape at (s, d), turned against the street's direction."""
        position = [*self.ground.road.point(s, d), self.ground.surface(s, d)]
        self.builder.place(mesh, np.array(position), float(self.ground.road.heading_at(s)) + turn, scale)

    def claim(self, plot: Plot, s: float, d: float, length: float, width: float) -> bool:
        """Take a rectangle along the street around (s, d)."""
        return plot.claim(self.ground.road.point(s, d), float(self.ground.road.heading_at(s)), length, width)

    def near_junction(self, s: float, side: int, margin: float) -> bool:
        """Whether a side street or a crosswalk is close to s on that side (0 = right, 1 = left)."""
        streets = self.ground.side_streets
        if any(t.side == side and abs(s - t.s) < t.half_width_m + t.walk_m + margin for t in streets):
            return True
        return any(-1.5 - margin < s - crosswalk < 5.0 + margin for crosswalk in self.crosswalks)


def open_plots(ground: Ground) -> tuple[Plot, Plot]:
    """Land outside the streets, and room on the pavements' and verges' inner edge."""
    line = ground.road.point(np.arange(ground.road.start_m, ground.road.end_m, 2.0), 0.0)
    land, kerbside = (Plot(line.min(0) - 165.0, line.max(0) + 165.0) for _ in range(2))
    xy = land.centers.reshape(-1, 2)
    streets, roads = np.zeros(len(xy), bool), np.zeros(len(xy), bool)
    section = ground.section
    near = _close_to(ground.road, land, max(section.walk_end(0), section.walk_end(1)) + 2.0)
    _, d = street_coordinates(ground.road, xy[near])
    end = np.where(d < 0, section.walk_end(0), section.walk_end(1))
    kerb = np.where(d < 0, section.kerb(0), section.kerb(1))
    streets[near], roads[near] = np.abs(d) < end + 0.2, np.abs(d) < kerb + 0.05
    for street in ground.side_streets:
        near = _close_to(street.road, land, street.half_width_m + street.walk_m + 2.0)
        along, across = street_coordinates(street.road, xy[near])
        inside = (along > 0) & (along < street.road.end_m)
        streets[near] |= inside & (np.abs(across) < street.half_width_m + street.walk_m + 0.2)
        roads[near] |= inside & (np.abs(across) < street.half_width_m + 0.5)
    land.taken |= streets.reshape(land.taken.shape)
    kerbside.taken |= roads.reshape(land.taken.shape)
    return land, kerbside


def _close_to(road: Road, plot: Plot, distance_m: float) -> np.ndarray:
    """Flat indices of the cells of a plot within a distance of a road's line, and of some beyond it."""
    _, points, _ = road.nearest
    cells = np.round((points - plot.low) / _CELL_M).astype(int)
    inside = ((cells >= 0) & (cells < plot.taken.shape)).all(1)
    away = np.ones(plot.taken.shape, bool)
    away[cells[inside, 0], cells[inside, 1]] = False
    return np.flatnonzero(ndimage.distance_transform_edt(away) * _CELL_M < distance_m + 1.5)


def furnish(site: Site, style: str) -> None:
    """Line both sides of the main street and fill the land behind.

    Args:
        site: Where, and what is taken already.
        style: The neighbourhood's main kind; stretches of other kinds are mixed in.
    """
    rng, road = site.rng, site.ground.road
    trees = [scenery.tree(rng, site.palette) for _ in range(5)]
    bushes = [scenery.bush(rng, site.palette) for _ in range(3)]
    _kerbside(site, trees, style)
    for side in (0, 1):
        s = road.start_m + 5.0
        while s < road.end_m - 5.0:
            length = rng.uniform(45, 110)
            kind = style if rng.uniform() < 0.62 else str(rng.choice(STYLES))
            _stretch(site, side, (s, min(s + length, road.end_m - 5.0)), kind, trees, bushes)
            s += length
    _background(site, style, trees, bushes)
    if rng.uniform() < 0.3:
        high = road.end_m - 120  # may lie before the first 40 m of a short drive
        s = rng.uniform(min(40.0, high), high)
        section = site.ground.section
        if not site.near_junction(s, 0, 8.0) and not site.near_junction(s, 1, 8.0):
            span = section.walk_end(0) + section.walk_end(1) + 3.0
            middle = 0.5 * (section.walk_end(1) - section.walk_end(0))
            position = np.array([*road.point(s, middle), float(road.height(s, 0.0))])
            bridge = scenery.footbridge(rng, site.palette, span)
            site.builder.place(bridge, position, float(road.heading_at(s)))


def _stretch(
    site: Site, side: int, span: tuple[float, float], kind: str, trees: list[Mesh], bushes: list[Mesh]
) -> None:
    """One side over s0 ... s1 in one style: first row of buildings, boundary, gardens."""
    rng, section = site.rng, site.ground.section
    sign, edge = (-1.0, 1.0)[side], section.walk_end(side)
    setback = {"urban": rng.uniform(0.3, 3.0), "suburban": rng.uniform(4, 11), "industrial": rng.uniform(5, 16)}.get(
        kind, 30.0
    )
    s = span[0]
    storeys = rng.integers(2, 9)
    while s < span[1] and kind != "park":
        roof = {"urban": "flat", "suburban": "gable", "industrial": "hall"}[kind]
        if kind == "urban" and rng.uniform() < 0.3:
            roof = "gable"
        width = {"urban": rng.uniform(9, 24), "suburban": rng.uniform(7, 14), "industrial": rng.uniform(18, 42)}[kind]
        depth = {"urban": rng.uniform(9, 14), "suburban": rng.uniform(7, 10), "industrial": rng.uniform(14, 26)}[kind]
        height = {
            "urban": max(2, storeys + rng.integers(-1, 2)) * rng.uniform(2.9, 3.4),
            "suburban": rng.uniform(2.8, 6.4), "industrial": rng.uniform(5, 11),
        }[kind]  # fmt: skip
        gap = {"urban": 0.0 if rng.uniform() < 0.75 else rng.uniform(2, 9), "suburban": rng.uniform(3, 9)}.get(
            kind, 8.0
        )
        d = sign * (edge + setback + rng.uniform(0, 1.5 if kind == "urban" else 4.0) + depth / 2)
        if site.claim(site.land, s + width / 2, d, width, depth):
            mesh = scenery.building(rng, site.palette, width, depth, float(height), roof)
            site.put(mesh, s + width / 2, d, 0.0 if side == 1 else np.pi)
            s += width + gap
        else:
            s += 4.0
    _boundary(site, side, span, kind, setback)
    count = {"urban": 0.03, "suburban": 0.16, "industrial": 0.06, "park": 0.3}[kind] * (span[1] - span[0])
    for _ in range(int(count * rng.uniform(0.6, 1.4))):
        s, d = rng.uniform(*span), sign * (edge + rng.uniform(1.5, 26.0))
        if site.claim(site.land, s, d, 2.6, 2.6):
            site.put(trees[rng.integers(len(trees))], s, d, rng.uniform(0, 6.3), rng.uniform(0.6, 1.15))
    for _ in range(int(count * rng.uniform(0.5, 2.0))):
        s, d = rng.uniform(*span), sign * (edge + rng.uniform(0.9, 20.0))
        if site.claim(site.land, s, d, 1.2, 1.2):
            site.put(bushes[rng.integers(len(bushes))], s, d, rng.uniform(0, 6.3), rng.uniform(0.6, 1.7))


def _boundary(site: Site, side: int, span: tuple[float, float], kind: str, setback: float) -> None:
    """Hedge, wall, boards or railing behind the pavement, with gaps."""
    rng, section = site.rng, site.ground.section
    if setback < 2.0 or rng.uniform() < 0.25:
        return
    style = int(rng.integers(0, 4)) if kind != "industrial" else int(rng.integers(0, 3))
    if style == 0:
        row = site.palette.plaster()
    elif style == 1:
        row = site.palette.add(m.SLATS, site.palette.earth() * 0.8, None, 0.2, 0.8, (float(rng.uniform(0.1, 0.18)),))
    elif style == 2:
        row = site.palette.metal()
    else:
        row = site.palette.foliage()
    d = (-1.0, 1.0)[side] * (section.walk_end(side) + 0.75)
    height = rng.uniform(0.6, 2.0)
    for s in np.arange(span[0], span[1], 4.0):
        if rng.uniform() < 0.2 or not site.claim(site.land, float(s) + 2.0, d, 3.9, 0.6):
            continue
        if style == 3:
            site.put(scenery.hedge(rng, row, 4.1, height), float(s) + 2.0, d)
        else:
            site.put(scenery.fence(rng, row, style, 4.05), float(s) + 2.0, d)


def _kerbside(site: Site, trees: list[Mesh], style: str) -> None:
    """Lamps, signs, street trees, benches, shelters and hedges on pavement, verge and median."""
    rng, section, road = site.rng, site.ground.section, site.ground.road
    pole = site.palette.metal()
    lamp = site.palette.add(m.LAMP, (0.9, 0.85, 0.7), None, 0.0, 1.0, (0.3,))
    post = scenery.lamp_post(rng, pole, lamp, rng.uniform(0.6, 1.8))
    seat = scenery.bench(rng, site.palette.bark())
    step = rng.uniform(18, 34)
    tree_step = rng.uniform(7, 16) if rng.uniform() < (0.5 if style == "urban" else 0.65) else None
    for side in (0, 1):
        sign = (-1.0, 1.0)[side]
        inner = sign * (section.kerb(side) + (0.5 * section.verge_m if section.verge_m else 0.45))
        if rng.uniform() < 0.85:
            for s in np.arange(road.start_m + rng.uniform(0, 20), road.end_m, step):
                if not site.near_junction(s, side, 1.0) and site.claim(site.kerbside, float(s), inner, 0.5, 0.5):
                    site.put(post, float(s), inner, 0.0 if side == 1 else np.pi)
        for s in rng.uniform(road.start_m, road.end_m, int(0.03 * (road.end_m - road.start_m))):
            _furniture(site, s, side, inner, pole, seat)
        if tree_step is not None and side == rng.integers(0, 3) % 2:
            for s in np.arange(road.start_m, road.end_m, tree_step):
                if not site.near_junction(s, side, 2.0) and site.claim(site.kerbside, float(s), inner, 1.0, 0.6):
                    site.put(trees[0], float(s), inner, rng.uniform(0, 6.3), rng.uniform(0.55, 0.85))
        for crosswalk in site.crosswalks:
            if rng.uniform() < 0.6:
                signal = scenery.traffic_light(rng, site.palette, pole)
                site.put(signal, crosswalk - 1.0, inner, 0.0 if side == 0 else np.pi)
    _median_hedges(site)


def _furniture(site: Site, s: float, side: int, inner: float, pole: int, seat: Mesh) -> None:
    """A sign, a bench or a shelter near s, if there is room."""
    rng, section, sign = site.rng, site.ground.section, (-1.0, 1.0)[side]
    kind, turn = rng.uniform(), np.pi if side == 1 else 2 * np.pi
    if site.near_junction(s, side, 1.0) or not site.claim(site.kerbside, s, inner, 1.4, 0.6):
        return
    if kind < 0.5:
        site.put(scenery.sign_post(rng, site.palette, pole), s, inner, 0.0 if side == 0 else np.pi)
    elif kind < 0.75 and section.walk_m[side] > 2.2:
        site.put(seat, s, sign * (section.walk_end(side) - 0.6), turn)
    elif section.walk_m[side] > 2.8:
        begin = section.walk_begin(side)
        if site.claim(site.kerbside, s, sign * (begin + 1.3), 4.5, 1.2):
            site.put(scenery.shelter(rng, site.palette), s, sign * (begin + 1.5), turn)


def _median_hedges(site: Site) -> None:
    rng, road = site.rng, site.ground.road
    if site.ground.section.median_m > 1.0 and rng.uniform() < 0.6:
        leaf = site.palette.foliage()
        for s in np.arange(road.start_m, road.end_m, 4.0):
            clear = not site.near_junction(float(s), 0, 5.0) and not site.near_junction(float(s), 1, 5.0)
            if clear and rng.uniform() < 0.4:
                site.put(scenery.hedge(rng, leaf, 2.8, rng.uniform(0.4, 0.9)), float(s) + 2.0, 0.0)


def _background(site: Site, style: str, trees: list[Mesh], bushes: list[Mesh]) -> None:
    """Buildings and trees behind the first row, out to the skyline."""
    rng = site.rng
    low, high = site.land.centers[0, 0], site.land.centers[-1, -1]
    share = {"urban": 0.7, "suburban": 0.4, "industrial": 0.5, "park": 0.15}[style]
    for _ in range(520):
        xy = rng.uniform(low, high)
        s, d = street_coordinates(site.ground.road, xy[None])
        away, section = abs(float(d[0])), site.ground.section
        outside = not site.ground.road.start_m - 100 < s[0] < site.ground.road.end_m + 100
        if away < section.walk_end(0) + 14.0 and (outside or away < section.walk_end(int(d[0] > 0)) + 14.0):
            continue
        yaw = float(rng.choice([0.0, 0.5 * np.pi, np.pi, 1.5 * np.pi])) + float(site.ground.road.heading_at(s[0]))
        z = float(site.ground.terrain_height(xy[None])[0]) + 0.1
        if rng.uniform() < share * 0.35:
            width, depth = rng.uniform(9, 30), rng.uniform(9, 20)
            if site.land.claim(xy, yaw, width, depth):
                roof = str(rng.choice(["flat", "gable", "hall"]))
                height = rng.uniform(4, 10) if style != "urban" else rng.uniform(6, 34)
                mesh = scenery.building(rng, site.palette, width, depth, height, "flat" if height > 13 else roof)
                site.builder.place(mesh, np.array([*xy, z]), yaw)
        elif rng.uniform() < 0.7:
            if site.land.claim(xy, yaw, 2.5, 2.5):
                scale = rng.uniform(0.7, 1.4)
                site.builder.place(trees[rng.integers(len(trees))], np.array([*xy, z]), yaw, scale)
        elif site.land.claim(xy, yaw, 1.5, 1.5):
            site.builder.place(bushes[rng.integers(len(bushes))], np.array([*xy, z]), yaw, rng.uniform(0.7, 2.4))
