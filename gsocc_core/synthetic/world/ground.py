# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The ground: carriageway, kerbs, medians, pavements, verges and side streets as strips, terrain around them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from scipy.spatial import cKDTree

from gsocc_core.synthetic.world.detailed import name_id
from gsocc_core.synthetic.world.roads import CrossSection, Road, straight_road
from gsocc_core.synthetic.world.shapes import MeshBuilder

#: What a cell of a strip is; also its row in the tables below.
ROAD, ISLAND, WALK, SOIL = range(4)
_CLASS = np.array([11, 12, 13, 14])
_RISE_M = np.array([0.0, 0.15, 0.13, 0.10])
_MARGIN_M = 12.0
_TERRAIN_CELL_M = 4.0


@dataclass(frozen=True, eq=False)
class SideStreet:
    """A street that leaves the main one at a right angle.

    Attributes:
        s: Where its middle meets the main street's centre line.
        side: 0 = right, 1 = left.
        half_width_m: From its middle to its kerb.
        walk_m: Width of its pavements.
        road: Its own centre line; s = 0 on the main street's centre line.
    """

    s: float
    side: int
    half_width_m: float
    walk_m: float
    road: Road


@dataclass(frozen=True, eq=False)
class Ground:
    """Heights of the world around a street.

    Attributes:
        road: The main street.
        section: Its cross-section.
        side_streets: What leaves it.
        islands: (s0, s1, d0, d1) raised islands on the carriageway.
        hills: (H, 4) terrain undulation: amplitude, wave numbers along x and y, phase.
    """

    road: Road
    section: CrossSection
    side_streets: tuple[SideStreet, ...]
    islands: tuple[tuple[float, float, float, float], ...]
    hills: np.ndarray

    @cached_property
    def _nodes(self) -> tuple[cKDTree, np.ndarray]:
        s = np.arange(self.road.start_m, self.road.end_m, 6.0)
        return cKDTree(self.road.point(s, 0.0)), self.road.height(s)

    @property
    def reach(self) -> tuple[float, float]:
        """Distance from the centre to the edge of the main strip, right and left."""
        return self.section.walk_end(0) + _MARGIN_M, self.section.walk_end(1) + _MARGIN_M

    def terrain_height(self, xy: np.ndarray) -> np.ndarray:
        """(...) height of the natural ground at (..., 2) points: the road's height nearby, hills further away."""
        flat = xy.reshape(-1, 2)
        tree, levels = self._nodes
        distance, index = tree.query(flat, k=12)
        weight = 1.0 / (distance**2 + 9.0) ** 2 * np.clip(1.02 - distance / distance[:, -1:], 0.0, 1.0)
        height = (weight * levels[index]).sum(1) / weight.sum(1) - 0.15
        ramp = np.clip((distance[:, 0] - 14.0) / 30.0, 0.0, 1.0)
        ramp = ramp * ramp * (3 - 2 * ramp)
        for amplitude, kx, ky, phase in self.hills:
            height = height + ramp * amplitude * np.sin(kx * flat[:, 0] + ky * flat[:, 1] + phase)
        return height.reshape(xy.shape[:-1])

    def height(self, s: np.ndarray | float, d: np.ndarray | float) -> np.ndarray:
        """Height of the strip's base (without kerbs) at (s, d) of the main street."""
        s, d = np.broadcast_arrays(np.asarray(s, np.float64), np.asarray(d, np.float64))
        end = np.where(d < 0, self.section.walk_end(0), self.section.walk_end(1))
        w = np.clip((np.abs(d) - end) / (0.45 * _MARGIN_M), 0.0, 1.0)
        w = w * w * (3 - 2 * w)
        height = np.array(self.road.height(s, d))
        far = w > 0
        if far.any():
            height[far] = (1 - w[far]) * height[far] + w[far] * self.terrain_height(self.road.point(s[far], d[far]))
        return height

    def kind(self, s: np.ndarray, d: np.ndarray) -> np.ndarray:
        """What lies at (s, d) of the main strip: ROAD, ISLAND, WALK or SOIL."""
        side = (d > 0).astype(int)
        a = np.abs(d)
        section = self.section
        kerb, begin, end = (np.array([f(0), f(1)])[side] for f in (section.kerb, section.walk_begin, section.walk_end))
        kinds = np.where(a < kerb, ROAD, np.where((a > begin) & (a < end), WALK, SOIL))
        if section.median_m > 0:
            kinds = np.where(a < 0.5 * section.median_m, ISLAND, kinds)
        for street in self.side_streets:
            offset = np.abs(s - street.s)
            here = side == street.side
            beside = (offset < street.half_width_m + street.walk_m) & here & (a >= end)
            kinds = np.where(beside, WALK, kinds)
            kinds = np.where((offset < street.half_width_m) & here & (a >= kerb), ROAD, kinds)
            kinds = np.where((offset < street.half_width_m + 2.0) & (a < kerb), ROAD, kinds)
        for s0, s1, d0, d1 in self.islands:
            kinds = np.where((s > s0) & (s < s1) & (d > d0) & (d < d1), ISLAND, kinds)
        return kinds

    def surface(self, s: np.ndarray | float, d: np.ndarray | float) -> np.ndarray:
        """Height of what one stands on at (s, d) of the main street, kerbs included."""
        s, d = np.broadcast_arrays(np.asarray(s, np.float64), np.asarray(d, np.float64))
        return self.height(s, d) + _RISE_M[self.kind(s, d)]


def side_street(
    road: Road, section: CrossSection, s: float, side: int, half_width_m: float, walk_m: float
) -> SideStreet:
    """A side street that leaves at s to one side, 130 m long."""
    heading = float(road.heading_at(s)) + (np.pi / 2 if side == 1 else -np.pi / 2)
    start = section.walk_end(side) + _MARGIN_M - 1.5
    return SideStreet(
        s, side, half_width_m, walk_m, straight_road(road.point(s, 0.0), heading, start, start + 130.0, half_width_m)
    )


def _cut(edges: list[float], step: float) -> np.ndarray:
    """The edges with points between them at most ``step`` apart."""
    unique = np.unique(np.round(edges, 4))
    parts = [np.linspace(a, b, max(int(np.ceil((b - a) / step)), 1), endpoint=False) for a, b in pairwise(unique)]
    return np.append(np.concatenate(parts), unique[-1])


def _strip(
    builder: MeshBuilder,
    road: Road,
    lines: tuple[np.ndarray, np.ndarray],
    base: np.ndarray,
    cells: tuple[np.ndarray, np.ndarray],
    rows: np.ndarray,
    kerb_row: int,
) -> None:
    """Add one quad per cell at its kind's height and upright faces where neighbouring cells differ in height.

    Args:
        builder: Takes the triangles.
        road: Maps (s, d) into the world.
        lines: (S,) and (D,) grid lines along s and d.
        base: (S, D) height of the corners without kerbs.
        cells: (S - 1, D - 1) what each cell is, and (S - 1, D - 1) its name.
        rows: (4,) material row of each kind.
        kerb_row: Material row of the upright faces.
    """
    grid_s, grid_d = np.meshgrid(*lines, indexing="ij")
    xy = road.point(grid_s, grid_d)
    kinds, names = cells
    rise = _RISE_M[kinds]
    low, high = slice(0, -1), slice(1, None)
    corners = [(low, low), (high, low), (high, high), (low, high)]
    quads = np.stack([np.concatenate([xy[c], (base[c] + rise)[..., None]], axis=-1) for c in corners], axis=2)
    uv = np.stack([np.stack([grid_s[c], grid_d[c]], -1) for c in corners], axis=2)
    builder.quads(
        quads.reshape(-1, 4, 3), _CLASS[kinds].ravel(), rows[kinds].ravel(), uv.reshape(-1, 4, 2), names.ravel()
    )
    for axis in (0, 1):
        (a, b), (name_a, name_b) = (
            (cell[:-1], cell[1:]) if axis == 0 else (cell[:, :-1], cell[:, 1:]) for cell in (kinds, names)
        )
        i, j = np.nonzero(np.abs(_RISE_M[a] - _RISE_M[b]) > 0.005)
        if len(i) == 0:
            continue
        first, second = ((i + 1, j) if axis == 0 else (i, j + 1)), (i + 1, j + 1)
        rises = _RISE_M[np.stack([a[i, j], b[i, j]])]
        higher = np.where(rises[0] > rises[1], a[i, j], b[i, j])
        name = np.where(rises[0] > rises[1], name_a[i, j], name_b[i, j])
        faces = [
            np.concatenate([xy[p], (base[p] + level)[:, None]], axis=1)
            for p, level in (
                (first, rises.min(0)),
                (second, rises.min(0)),
                (second, rises.max(0)),
                (first, rises.max(0)),
            )
        ]
        name = np.where(higher == WALK, name_id("kerb"), name)
        row = np.where(higher == SOIL, rows[SOIL], kerb_row)
        builder.quads(np.stack(faces, axis=1), _CLASS[higher], row, name_id=name)


@dataclass(frozen=True)
class GroundMaterials:
    """Material rows of the ground.

    Attributes:
        terrain: Natural ground.
        road: Carriageway of the main street.
        island: Medians and islands.
        walk: Pavements.
        kerb: Kerb stones.
        side_roads: Carriageway of each side street.
        terrain_name: What the natural ground is called.
    """

    terrain: int
    road: int
    island: int
    walk: int
    kerb: int
    side_roads: tuple[int, ...]
    terrain_name: str

    @property
    def name_ids(self) -> np.ndarray:
        """(4,) uint8 name of each kind of cell."""
        names = ("road", "traffic island", "pavement", self.terrain_name)
        return np.array([name_id(name) for name in names], np.uint8)


def add_ground(builder: MeshBuilder, ground: Ground, rows: GroundMaterials) -> None:
    """Add the main strip, the side streets and the terrain.

    Args:
        builder: Takes the triangles.
        ground: Shape.
        rows: Materials.
    """
    road, section = ground.road, ground.section
    edges_s = [road.start_m, road.end_m]
    edges_d = [-ground.reach[0], ground.reach[1], 0.5 * section.median_m, -0.5 * section.median_m, 0.0]
    for side, sign in ((0, -1.0), (1, 1.0)):
        edges_d += [sign * f(side) for f in (section.kerb, section.walk_begin, section.walk_end)]
    for street in ground.side_streets:
        for offset in (0.0, 2.0, street.walk_m):
            edges_s += [street.s - street.half_width_m - offset, street.s + street.half_width_m + offset]
    for s0, s1, d0, d1 in ground.islands:
        edges_s += [s0, s1]
        edges_d += [d0, d1]
    s, d = _cut(edges_s, 2.0), _cut(edges_d, 1.9)
    middle_s, middle_d = np.meshgrid(0.5 * (s[1:] + s[:-1]), 0.5 * (d[1:] + d[:-1]), indexing="ij")
    by_kind = np.array([rows.road, rows.island, rows.walk, rows.terrain])
    base = ground.height(*np.meshgrid(s, d, indexing="ij"))
    kinds = ground.kind(middle_s, middle_d)
    median = (kinds == ISLAND) & (np.abs(middle_d) < 0.5 * section.median_m)
    names = np.where(median, name_id("median strip"), rows.name_ids[kinds])
    _strip(builder, road, (s, d), base, (kinds, names), by_kind, rows.kerb)
    for street, row in zip(ground.side_streets, rows.side_roads):
        _add_side_street(builder, ground, street, rows, row)
    _add_terrain(builder, ground, rows)


def _add_side_street(
    builder: MeshBuilder, ground: Ground, street: SideStreet, rows: GroundMaterials, road_row: int
) -> None:
    w, walk = street.half_width_m, street.walk_m
    s = _cut([street.road.start_m, street.road.end_m], 3.0)
    d = _cut([-w - walk - 8.0, -w - walk, -w, w, w + walk, w + walk + 8.0], 2.5)
    middle = 0.5 * (d[1:] + d[:-1])
    line = np.where(np.abs(middle) < w, ROAD, np.where(np.abs(middle) < w + walk, WALK, SOIL))
    kinds = np.broadcast_to(line, (len(s) - 1, len(line)))
    by_kind = np.array([road_row, rows.island, rows.walk, rows.terrain])
    base = ground.terrain_height(street.road.point(*np.meshgrid(s, d, indexing="ij")))
    _strip(builder, street.road, (s, d), base, (kinds, rows.name_ids[kinds]), by_kind, rows.kerb)


def _add_terrain(builder: MeshBuilder, ground: Ground, rows: GroundMaterials) -> None:
    """A height field around the strips; cells that lie wholly under a strip are left out."""
    line = ground.road.point(np.arange(ground.road.start_m, ground.road.end_m, 1.0), 0.0)
    low, high = line.min(0) - 170.0, line.max(0) + 170.0
    x, y = (np.arange(low[k], high[k], _TERRAIN_CELL_M) for k in range(2))
    xy = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1)
    s, d = street_coordinates(ground.road, xy.reshape(-1, 2))
    reach = np.where(d < 0, ground.reach[0], ground.reach[1])
    inside = (s > ground.road.start_m) & (s < ground.road.end_m)
    hidden = ((np.abs(d) < reach - 6.0) & inside).reshape(xy.shape[:2])
    for street in ground.side_streets:
        along, across = street_coordinates(street.road, xy.reshape(-1, 2))
        under = (np.abs(across) < street.half_width_m + street.walk_m + 2.0) & (along > street.road.start_m - 2.0)
        under &= along < street.road.end_m - 2.0
        hidden |= under.reshape(hidden.shape)
    z = ground.terrain_height(xy) + _RISE_M[SOIL] - np.where(hidden, 1.5, 0.0)
    index = np.arange(z.size).reshape(z.shape)
    quads = np.stack([index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]], -1).reshape(-1, 4)
    quads = quads[~hidden.reshape(-1)[quads].all(1)]
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    vertices = np.concatenate([xy.reshape(-1, 2), z.reshape(-1, 1)], axis=1)
    used = np.unique(triangles)
    renumber = np.zeros(len(vertices), np.int64)
    renumber[used] = np.arange(len(used))
    builder.add(
        vertices[used], renumber[triangles], _CLASS[SOIL], rows.terrain, None, vertices[used, :2], rows.name_ids[SOIL]
    )


def street_coordinates(road: Road, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (s, d) of world points with respect to the nearest point of a road.

    Args:
        road: The road; beyond its ends it goes straight on.
        xy: (N, 2) points, metres.

    Returns:
        (N,) s and (N,) d, metres.
    """
    s_nodes, nodes, tree = road.nearest
    _, index = tree.query(xy)
    heading = road.heading_at(s_nodes[index])
    offset = xy - nodes[index]
    s = s_nodes[index] + offset[:, 0] * np.cos(heading) + offset[:, 1] * np.sin(heading)
    return s, -offset[:, 0] * np.sin(heading) + offset[:, 1] * np.cos(heading)
