# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Road markings, patches and wheel tracks, drawn into one atlas over the streets' surface coordinates (s, d)."""

from __future__ import annotations

import math

import numpy as np

from gsocc_core.compiling import kernel
from gsocc_core.data.names import NO_NAME
from gsocc_core.synthetic.world.detailed import name_id
from gsocc_core.synthetic.world.ground import Ground
from gsocc_core.synthetic.world.materials import ROAD
from gsocc_core.synthetic.world.scene import Materials, Mesh

#: Texels of the atlas per metre along the road and across it.
PAINT_PER_M_S, PAINT_PER_M_D = 10.0, 20.0
#: Channels of the atlas: paint, darker and lighter asphalt, names of what is painted (NO_NAME: that of the triangle).
_PAINT, _PATCH, _NAME = range(3)
#: Value of the second channel where the asphalt is neither darker nor lighter.
_NEUTRAL = 128


def _blank(rows: int, columns: int) -> np.ndarray:
    texels = np.zeros((rows, columns, 3), np.uint8)
    texels[..., _PATCH], texels[..., _NAME] = _NEUTRAL, NO_NAME
    return texels


class PaintBlock:
    """A rectangle of the atlas with the surface coordinates it covers.

    Args:
        s0: First s, metres.
        s1: Last s.
        half_width_m: It covers d from minus to plus this.
    """

    def __init__(self, s0: float, s1: float, half_width_m: float) -> None:
        self.s0, self.d0 = s0, -half_width_m
        rows, columns = int((s1 - s0) * PAINT_PER_M_S) + 2, int(2 * half_width_m * PAINT_PER_M_D) + 2
        self.texels = _blank(rows, columns)

    def rectangle(self, s0: float, s1: float, d0: float, d1: float, value: int, channel: int = _PAINT) -> None:
        """Fill s0 ... s1, d0 ... d1."""
        i = np.clip(np.round((np.array([s0, s1]) - self.s0) * PAINT_PER_M_S).astype(int), 0, self.texels.shape[0])
        j = np.clip(np.round((np.array([d0, d1]) - self.d0) * PAINT_PER_M_D).astype(int), 0, self.texels.shape[1])
        self.texels[i[0] : max(i[1], i[0] + 1), j[0] : max(j[1], j[0] + 1), channel] = value

    def clear(self, s0: float, s1: float, d0: float, d1: float) -> None:
        """Take the paint and its names away from s0 ... s1, d0 ... d1."""
        self.rectangle(s0, s1, d0, d1, 0)
        self.rectangle(s0, s1, d0, d1, NO_NAME, _NAME)

    def lane(self, d0: float, d1: float, name: str) -> None:
        """Name everything between d0 and d1, whichever is greater."""
        self.rectangle(-1e4, 1e4, min(d0, d1), max(d0, d1), name_id(name), _NAME)

    def name_lines(self) -> None:
        """Name the paint that is no part of a zebra crossing."""
        paint, names = self.texels[..., _PAINT], self.texels[..., _NAME]
        names[(paint > 0) & (names != name_id("zebra crossing"))] = name_id("lane marking")

    def line(self, d: float, width: float, value: int, dash: tuple[float, float] | None = None) -> None:
        """A line along the whole block at d; ``dash`` = (painted, free) lengths."""
        end = self.s0 + self.texels.shape[0] / PAINT_PER_M_S
        if dash is None:
            self.rectangle(self.s0, end, d - width / 2, d + width / 2, value)
            return
        for s in np.arange(self.s0, end, sum(dash)):
            self.rectangle(float(s), float(s) + dash[0], d - width / 2, d + width / 2, value)

    def zebra(self, s: float, length: float, d0: float, d1: float, value: int) -> None:
        """A crosswalk of stripes along the road, from s over a length."""
        for d in np.arange(d0 + 0.3, d1 - 0.4, 1.0):
            self.rectangle(s, s + length, float(d), float(d) + 0.5, value)
        self.rectangle(s, s + length, d0, d1, name_id("zebra crossing"), _NAME)

    def arrow(self, s: float, d: float, direction: float, value: int) -> None:
        """A straight arrow at (s, d) that points along s (+1) or against it (-1)."""
        for step in np.arange(0.0, 4.0, 0.1):
            half = 0.08 if step < 2.6 else 0.42 * (4.0 - step) / 1.4
            at = s + direction * float(step)
            self.rectangle(at, at + 0.1, d - half, d + half, value)


class PaintedNames:
    """Finds the names of points on roads by what is painted there, which is finer than the triangles.

    Args:
        mesh: Roads and other things.
        materials: What the mesh's material ids index.
        paint: (P, Q, 3) atlas.

    Attributes:
        road_of: (T,) int64 number of each triangle among those of roads, -1 = of something else.
    """

    def __init__(self, mesh: Mesh, materials: Materials, paint: np.ndarray) -> None:
        on_road = materials.patterns[mesh.material_ids] == ROAD
        self.road_of = np.where(on_road, np.cumsum(on_road) - 1, -1)
        corners = mesh.triangles[on_road]
        ground, uv = mesh.vertices_m[corners][..., :2].astype(np.float64), mesh.uv_m[corners].astype(np.float64)
        origin = materials.params[mesh.material_ids[on_road], 2:6].astype(np.float64)[:, None]
        texels = (uv - origin[..., :2]) * (PAINT_PER_M_S, PAINT_PER_M_D) + origin[..., 2:]
        # Over a triangle the texel is an affine function of the ground position: (R, 3, 2).
        change = np.linalg.solve(ground[:, 1:] - ground[:, :1], texels[:, 1:] - texels[:, :1])
        offset = texels[:, :1] - ground[:, :1] @ change
        self._texel_of, self._paint = np.concatenate([change, offset], axis=1), paint

    def rename(self, roads: np.ndarray, x_m: np.ndarray, y_m: np.ndarray, names: np.ndarray) -> None:
        """Overwrite the names of points where something is painted.

        Args:
            roads: (...) int64 ``road_of`` of each point's triangle.
            x_m: (...) float64 place of each point in the mesh's frame.
            y_m: (...) float64.
            names: (...) uint8 name ids of the triangles, contiguous; updated.
        """
        _read_names(roads.ravel(), x_m.ravel(), y_m.ravel(), self._texel_of, self._paint, names.reshape(-1))


@kernel()
def _read_names(
    roads: np.ndarray, x: np.ndarray, y: np.ndarray, texel_of: np.ndarray, paint: np.ndarray, names: np.ndarray
) -> None:
    """``PaintedNames.rename`` of flat arrays."""
    for n in range(len(roads)):
        if roads[n] < 0:
            continue
        T = texel_of[roads[n]]
        row = math.floor(x[n] * T[0, 0] + y[n] * T[1, 0] + T[2, 0])
        column = math.floor(x[n] * T[0, 1] + y[n] * T[1, 1] + T[2, 1])
        name = paint[min(max(row, 0), paint.shape[0] - 1), min(max(column, 0), paint.shape[1] - 1), _NAME]
        if name != NO_NAME:
            names[n] = name


def paint_streets(
    rng: np.random.Generator, ground: Ground, crosswalks: tuple[float, ...]
) -> tuple[np.ndarray, list[tuple[float, float, float, float]]]:
    """Paint the main street and its side streets.

    Args:
        rng: Source of wear, patches and line styles.
        ground: The streets.
        crosswalks: s of the crosswalks' beginnings.

    Returns:
        (P, Q, 3) uint8 atlas (paint, patches, names of what is painted), and per street (s0, d0, row, column) of its
        block: main street first.
    """
    road, section = ground.road, ground.section
    main = PaintBlock(road.start_m, road.end_m, max(section.kerb(0), section.kerb(1)) + 0.2)
    _wear(rng, main, [section.lane_center(k) * sign for k in range(section.lanes) for sign in (-1, 1)])
    _mark_main(rng, main, ground)
    value = int(rng.integers(150, 256))
    for s in crosswalks:
        main.clear(s - 1.6, s + 6.0, -section.kerb(0), section.kerb(1))
        main.zebra(s, 3.6, -section.kerb(0), section.kerb(1), value)
        main.rectangle(s - 1.5, s - 1.1, -section.lanes_end, -0.5 * section.median_m, value)
        main.rectangle(s + 4.7, s + 5.1, 0.5 * section.median_m, section.lanes_end, value)
    blocks = [main]
    for street in ground.side_streets:
        block = PaintBlock(street.road.start_m, street.road.end_m, street.half_width_m)
        _wear(rng, block, [0.5 * street.half_width_m, -0.5 * street.half_width_m])
        block.line(0.0, 0.12, int(rng.choice([0, 200])), (3.0, 3.0))
        blocks.append(block)
        to_side = (-99.0, 0.0) if street.side == 0 else (0.0, 99.0)
        main.clear(street.s - street.half_width_m, street.s + street.half_width_m, *to_side)
    for block in blocks:
        block.name_lines()
    rows = np.cumsum([0, *(block.texels.shape[0] for block in blocks)])
    atlas = _blank(int(rows[-1]), max(block.texels.shape[1] for block in blocks))
    origins = []
    for row, block in zip(rows, blocks):
        atlas[row : row + block.texels.shape[0], : block.texels.shape[1]] = block.texels
        origins.append((block.s0, block.d0, float(row), 0.0))
    return atlas, origins


def _mark_main(rng: np.random.Generator, block: PaintBlock, ground: Ground) -> None:
    section = ground.section
    value = int(rng.integers(130, 256))
    width = float(rng.uniform(0.1, 0.18))
    dash = (float(rng.uniform(1.5, 4.0)), float(rng.uniform(2.5, 7.0)))
    if section.median_m > 0:
        for sign in (-1.0, 1.0):
            block.line(sign * (0.5 * section.median_m + 0.25), width, value)
    elif rng.uniform() < 0.3:
        block.line(-0.12, 0.11, value)
        block.line(0.12, 0.11, value)
    elif rng.uniform() < 0.85:
        block.line(0.0, width, value, None if rng.uniform() < 0.3 else dash)
    for sign in (-1.0, 1.0):
        for lane in range(1, section.lanes):
            block.line(sign * (0.5 * section.median_m + lane * section.lane_m), width, value, dash)
        _mark_edge(rng, block, ground, sign, value, width)
    if rng.uniform() < 0.6:
        for s in rng.uniform(block.s0, ground.road.end_m, 8):
            d = section.lane_center(int(rng.integers(section.lanes)))
            sign = float(rng.choice([-1.0, 1.0]))
            block.arrow(float(s), sign * d, -sign, value)


def _mark_edge(
    rng: np.random.Generator, block: PaintBlock, ground: Ground, sign: float, value: int, width: float
) -> None:
    """Cycle lane, edge line and parking bays of one side (sign -1 = right)."""
    section = ground.section
    side = 0 if sign < 0 else 1
    inner = section.lanes_end + section.bike_m
    if section.bike_m > 0:
        block.lane(sign * section.lanes_end, sign * inner, "cycle lane")
        block.line(sign * section.lanes_end, 0.2, value)
        for s in np.arange(block.s0, ground.road.end_m, 30.0):
            d = sign * section.bike_center
            block.rectangle(float(s), float(s) + 1.2, d - 0.3, d + 0.3, value // 2)
    elif rng.uniform() < 0.5:
        block.line(sign * section.lanes_end, width, value)
    if section.parking_m[side] > 0 and rng.uniform() < 0.6:
        block.lane(sign * inner, sign * (inner + section.parking_m[side]), "parking bay")
        for s in np.arange(block.s0, ground.road.end_m, 6.2):
            d0, d1 = sorted((sign * inner, sign * (inner + section.parking_m[side])))
            block.rectangle(float(s), float(s) + 0.12, d0, d1, value)


def _wear(rng: np.random.Generator, block: PaintBlock, lanes: list[float]) -> None:
    """Wheel tracks, repaired patches, joints, manholes."""
    length, half = block.texels.shape[0] / PAINT_PER_M_S, -block.d0
    track = int(rng.integers(-14, 8))
    for d in lanes:
        for offset in (-0.8, 0.8):
            for spread, share in ((0.45, 0.5), (0.22, 1.0)):
                tone = _NEUTRAL + int(track * share)
                block.rectangle(-1e3, 1e4, d + offset - spread, d + offset + spread, tone, _PATCH)
    for _ in range(int(length * rng.uniform(0.02, 0.18))):
        s, d = block.s0 + rng.uniform(0, length), rng.uniform(-half, half)
        size_s, size_d = rng.uniform(0.6, 9.0), rng.uniform(0.4, 2.5)
        block.rectangle(s, s + size_s, d, d + size_d, int(np.clip(rng.normal(_NEUTRAL - 10, 28), 20, 210)), _PATCH)
    if rng.uniform() < 0.5:
        for s in np.arange(block.s0, block.s0 + length, rng.uniform(4, 15)):
            block.rectangle(float(s), float(s) + 0.1, -half, half, 85, _PATCH)
    for _ in range(int(length / 18)):
        s, d = block.s0 + rng.uniform(0, length), rng.uniform(-half, half)
        block.rectangle(s, s + 0.65, d, d + 0.65, int(rng.integers(25, 90)), _PATCH)
