# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What stands in a room: the eight classes, their names, and one shape and a range of colours per name."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gsocc_core.data.names import NameTable
from gsocc_core.data.scannet import SCANNET8
from gsocc_core.synthetic.world.materials import LAMP, PAVING, PLAIN, SIGN, SLATS, STRIPES, Palette
from gsocc_core.synthetic.world.scene import Mesh
from gsocc_core.synthetic.world.shapes import MeshBuilder

#: Class -> names.
_NAMES: dict[str, tuple[str, ...]] = {
    "wall": ("wall", "brick wall", "wallpaper"),
    "floor": ("wooden floor", "tiled floor", "carpet"),
    "ceiling": ("ceiling",),
    "chair": ("chair", "armchair", "stool"),
    "table": ("table", "desk", "coffee table"),
    "sofa": ("sofa", "corner sofa"),
    "bed": ("bed", "bunk bed"),
    "other": ("cabinet", "bookshelf", "lamp", "plant", "box", "picture", "door", "window"),
}
NAMES = NameTable(
    tuple(name for names in _NAMES.values() for name in names),
    tuple(SCANNET8.names.index(label) for label, names in _NAMES.items() for _ in names),
)
#: Hue, saturation and value (0 ... 1) around which the colours of a name lie. Within a class they are alike, but less
#: than in the plain world: shape and place count as well.
_COLORS: dict[str, tuple[float, float, float]] = {
    "wall": (0.12, 0.15, 0.80), "brick wall": (0.03, 0.45, 0.60), "wallpaper": (0.22, 0.25, 0.75),
    "wooden floor": (0.08, 0.50, 0.50), "tiled floor": (0.55, 0.08, 0.55), "carpet": (0.95, 0.35, 0.40),
    "ceiling": (0.14, 0.05, 0.92), "chair": (0.00, 0.75, 0.65), "armchair": (0.97, 0.65, 0.55),
    "stool": (0.03, 0.80, 0.75), "table": (0.09, 0.65, 0.70), "desk": (0.11, 0.55, 0.80),
    "coffee table": (0.08, 0.60, 0.45), "sofa": (0.60, 0.60, 0.50), "corner sofa": (0.56, 0.50, 0.60),
    "bed": (0.80, 0.35, 0.80), "bunk bed": (0.76, 0.45, 0.65), "cabinet": (0.45, 0.30, 0.45),
    "bookshelf": (0.48, 0.35, 0.55), "lamp": (0.15, 0.60, 0.95), "plant": (0.33, 0.70, 0.45),
    "box": (0.40, 0.40, 0.70), "picture": (0.50, 0.55, 0.60), "door": (0.42, 0.25, 0.70),
    "window": (0.52, 0.20, 0.95),
}  # fmt: skip


@dataclass(frozen=True)
class Look:
    """A name in one room.

    Attributes:
        class_id: Its class.
        name_id: Its id.
        material: Material row of its main parts.
        dark: Material row of details.
    """

    class_id: int
    name_id: int
    material: int
    dark: int


def make_look(rng: np.random.Generator, palette: Palette, name: str) -> Look:
    """A name's colours and texture in one room.

    Args:
        rng: Their source.
        palette: Takes the materials.
        name: One of ``NAMES``.
    """
    hue, saturation, value = _COLORS[name]
    shift = rng.normal(0.0, 1.0, 3)
    color = np.array(
        colorsys.hsv_to_rgb(
            (hue + 0.03 * shift[0]) % 1.0,
            float(np.clip(saturation + 0.12 * shift[1], 0.0, 1.0)),
            float(np.clip(value + 0.10 * shift[2], 0.15, 1.0)),
        )
    )
    second = color * rng.uniform(0.45, 0.75)
    noise, length_m = float(rng.uniform(0.15, 0.35)), float(rng.uniform(0.5, 1.5))
    pattern, extra = _texture(rng, name)
    dark = palette.add(PLAIN, 0.5 * color, None, 0.15, 0.6)
    material = palette.add(pattern, color, second, noise, length_m, extra)
    return Look(NAMES.class_of_name()[NAMES.id_of(name)].item(), NAMES.id_of(name), material, dark)


def _texture(rng: np.random.Generator, name: str) -> tuple[int, tuple[float, ...]]:
    """Pattern and its parameters."""
    edge = float(rng.uniform(0.3, 0.6))
    fixed: dict[str, tuple[int, tuple[float, ...]]] = {
        "brick wall": (PAVING, (0.28, 0.1, 0.5, 0.2)), "tiled floor": (PAVING, (edge, edge, 0.6, 0.2)),
        "wooden floor": (SLATS, (0.4 * edge,)), "bookshelf": (SLATS, (0.3 * edge,)), "door": (SLATS, (0.4 * edge,)),
        "picture": (SIGN, (0.3 * edge,)), "carpet": (SIGN, (0.3 * edge,)), "window": (LAMP, (edge,)),
        "lamp": (LAMP, (edge,)), "wall": (PLAIN, ()), "ceiling": (PLAIN, ()),
    }  # fmt: skip
    if name in fixed:
        return fixed[name]
    if name == "wallpaper" or rng.uniform() < 0.4:
        upright = float(rng.uniform() < 0.7)
        return STRIPES, (float(rng.uniform(0.15, 0.5)), upright, 1.0 - upright, 0.4)
    return PLAIN, ()


#: Builds a thing around the origin of the floor, its front towards +x: (builder, look, size factor).
_Shape = Callable[[MeshBuilder, Look, float], None]


def make_furniture(rng: np.random.Generator, look: Look) -> Mesh:
    """A thing on the floor, its front towards +x, its middle over the origin.

    Args:
        rng: Source of its size.
        look: What it is.
    """
    builder = MeshBuilder()
    with builder.named(look.name_id):
        _SHAPES[NAMES.names[look.name_id]](builder, look, float(rng.uniform(0.85, 1.15)))
    return builder.mesh()


def _box(b: MeshBuilder, look: Look, center: tuple[float, float, float], size: tuple[float, float, float]) -> None:
    b.box(center, size, look.class_id, look.material)


def _legs(b: MeshBuilder, look: Look, length: float, width: float, height: float, thick: float = 0.06) -> None:
    for x in (-0.5, 0.5):
        for y in (-0.5, 0.5):
            place = (x * (length - thick), y * (width - thick), 0.5 * height)
            b.box(place, (thick, thick, height), look.class_id, look.dark)


def _chair(b: MeshBuilder, look: Look, k: float) -> None:
    side = 0.48 * k
    _legs(b, look, side, side, 0.45)
    _box(b, look, (0, 0, 0.48), (side, side, 0.07))
    _box(b, look, (-0.5 * side + 0.03, 0, 0.74), (0.06, side, 0.48))


def _armchair(b: MeshBuilder, look: Look, k: float) -> None:
    side = 0.8 * k
    _box(b, look, (0.03, 0, 0.22), (side, 0.7 * side, 0.44))
    _box(b, look, (-0.42 * side, 0, 0.5), (0.18, side, 0.95))
    for y in (-0.42, 0.42):
        b.box((0, y * side, 0.32), (side, 0.16, 0.62), look.class_id, look.dark)


def _stool(b: MeshBuilder, look: Look, k: float) -> None:
    b.prism((0, 0, 0), (0, 0, 0.5), 0.05, look.class_id, look.dark, 6)
    b.prism((0, 0, 0.5), (0, 0, 0.58), 0.22 * k, look.class_id, look.material, 10)
    b.prism((0, 0, 0), (0, 0, 0.04), 0.2 * k, look.class_id, look.dark, 10)


def _table(b: MeshBuilder, look: Look, k: float) -> None:
    _legs(b, look, 1.5 * k, 0.9 * k, 0.72, 0.08)
    _box(b, look, (0, 0, 0.75), (1.5 * k, 0.9 * k, 0.06))


def _desk(b: MeshBuilder, look: Look, k: float) -> None:
    _box(b, look, (0, 0, 0.74), (0.7, 1.4 * k, 0.05))
    for y in (-0.45, 0.45):
        b.box((0, y * 1.3 * k, 0.36), (0.62, 0.3 if y > 0 else 0.05, 0.72), look.class_id, look.dark)


def _coffee_table(b: MeshBuilder, look: Look, k: float) -> None:
    b.prism((0, 0, 0), (0, 0, 0.38), 0.16 * k, look.class_id, look.dark, 8)
    b.prism((0, 0, 0.38), (0, 0, 0.44), 0.5 * k, look.class_id, look.material, 14)


def _seat(b: MeshBuilder, look: Look, center_y: float, length: float) -> None:
    _box(b, look, (0.05, center_y, 0.22), (0.8, length, 0.42))
    _box(b, look, (-0.37, center_y, 0.45), (0.2, length, 0.85))


def _sofa(b: MeshBuilder, look: Look, k: float) -> None:
    length = 1.9 * k
    _seat(b, look, 0.0, length)
    for y in (-0.5, 0.5):
        b.box((0, y * length, 0.31), (0.9, 0.18, 0.6), look.class_id, look.dark)


def _corner_sofa(b: MeshBuilder, look: Look, k: float) -> None:
    length = 2.1 * k
    _seat(b, look, 0.0, length)
    _box(b, look, (0.85, 0.5 * length - 0.4, 0.22), (0.9, 0.8, 0.42))
    b.box((0.4, 0.5 * length, 0.4), (1.7, 0.14, 0.75), look.class_id, look.dark)


def _bed(b: MeshBuilder, look: Look, k: float) -> None:
    width = 1.45 * k
    b.box((0, 0, 0.15), (2.05, width, 0.3), look.class_id, look.dark)
    _box(b, look, (0.03, 0, 0.42), (1.95, 0.96 * width, 0.24))
    b.box((-1.02, 0, 0.5), (0.08, width, 1.0), look.class_id, look.dark)
    for y in (-0.25, 0.25):
        b.ellipsoid((-0.72, y * width, 0.58), (0.2, 0.2 * width, 0.1), look.class_id, look.material, 1)


def _bunk_bed(b: MeshBuilder, look: Look, k: float) -> None:
    _legs(b, look, 2.0, 0.95 * k, 1.75, 0.09)
    for z in (0.35, 1.35):
        _box(b, look, (0, 0, z), (1.95, 0.92 * k, 0.24))
    b.box((0, -0.46 * k, 1.6), (1.95, 0.04, 0.12), look.class_id, look.dark)


def _cabinet(b: MeshBuilder, look: Look, k: float) -> None:
    _box(b, look, (0, 0, 0.85 * k), (0.5, 1.0, 1.7 * k))
    for y in (-0.04, 0.04):
        b.box((0.26, y, 0.9 * k), (0.03, 0.02, 0.25), look.class_id, look.dark)
    b.box((0.255, 0, 0.85 * k), (0.01, 0.015, 1.6 * k), look.class_id, look.dark)


def _bookshelf(b: MeshBuilder, look: Look, k: float) -> None:
    height = 1.9 * k
    b.box((-0.14, 0, 0.5 * height), (0.02, 1.0, height), look.class_id, look.dark)
    for y in (-0.5, 0.5):
        b.box((0, y, 0.5 * height), (0.3, 0.03, height), look.class_id, look.dark)
    for i in range(5):
        b.box((0, 0, 0.04 + i * 0.235 * height), (0.3, 1.0, 0.03), look.class_id, look.dark)
        if i < 4:
            _box(b, look, (-0.02, 0.06 * (i % 3 - 1), 0.05 + i * 0.235 * height + 0.13), (0.2, 0.82, 0.24))


def _lamp(b: MeshBuilder, look: Look, k: float) -> None:
    b.prism((0, 0, 0), (0, 0, 0.04), 0.17, look.class_id, look.dark, 10)
    b.prism((0, 0, 0), (0, 0, 1.4 * k), 0.02, look.class_id, look.dark, 6)
    b.prism((0, 0, 1.3 * k), (0, 0, 1.6 * k), 0.24, look.class_id, look.material, 10, top_radius=0.14)


def _plant(b: MeshBuilder, look: Look, k: float) -> None:
    b.prism((0, 0, 0), (0, 0, 0.35), 0.14, look.class_id, look.dark, 8, top_radius=0.19)
    b.ellipsoid((0, 0, 0.75 * k), (0.3 * k, 0.3 * k, 0.42 * k), look.class_id, look.material, 1)


def _crate(b: MeshBuilder, look: Look, k: float) -> None:
    _box(b, look, (0, 0, 0.22 * k), (0.45 * k, 0.55 * k, 0.44 * k))


_SHAPES: dict[str, _Shape] = {
    "chair": _chair, "armchair": _armchair, "stool": _stool, "table": _table, "desk": _desk,
    "coffee table": _coffee_table, "sofa": _sofa, "corner sofa": _corner_sofa, "bed": _bed, "bunk bed": _bunk_bed,
    "cabinet": _cabinet, "bookshelf": _bookshelf, "lamp": _lamp, "plant": _plant, "box": _crate,
}  # fmt: skip
