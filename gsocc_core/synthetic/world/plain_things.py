# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What stands and moves in the plain world: one colour family per class, one shape and one tint per name."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gsocc_core.data.names import NameTable
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.synthetic.world.materials import PLAIN, STRIPES, Palette
from gsocc_core.synthetic.world.scene import Mesh, WorldKind
from gsocc_core.synthetic.world.shapes import MeshBuilder

#: Class -> hue, saturation and value (0 ... 1) of its colour family, and its names.
_FAMILIES: dict[str, tuple[tuple[float, float, float], tuple[str, ...]]] = {
    "road": ((0.70, 0.05, 0.42), ("tarmac", "cobblestone", "pavement")),
    "grass": ((0.24, 0.75, 0.60), ("lawn", "meadow", "moss")),
    "sand": ((0.13, 0.45, 0.85), ("beach", "gravel", "clay")),
    "building": ((0.01, 0.72, 0.55), ("house", "tower", "wall", "barn")),
    "tree": ((0.43, 0.80, 0.36), ("fir", "oak", "hedge")),
    "vehicle": ((0.60, 0.85, 0.75), ("car", "van", "bus", "tractor")),
    "animal": ((0.86, 0.65, 0.80), ("horse", "cow", "elephant", "camel")),
    "container": ((0.07, 0.95, 0.90), ("crate", "barrel", "pipe", "skip")),
}
GROUND = ("road", "grass", "sand")
#: Classes whose things stand still or move, and look the same then.
MOVING = ("vehicle", "animal")

_COLORS = (
    (255, 255, 255), (120, 120, 130), (150, 220, 80), (225, 200, 130), (165, 60, 50), (0, 110, 70), (0, 120, 245),
    (230, 80, 190), (255, 140, 0),
)  # fmt: skip
#: 0 = free, as in SurroundOcc: label pictures use 0 for "no label".
CLASSES = ClassTable(
    names=("free", *_FAMILIES),
    colors=_COLORS,
    free_id=0,
    dynamic_ids=tuple(1 + list(_FAMILIES).index(name) for name in MOVING),
)
NAMES = NameTable(
    tuple(name for _, names in _FAMILIES.values() for name in names),
    tuple(i for i, (_, names) in enumerate(_FAMILIES.values(), start=1) for _ in names),
)
PLAIN_WORLD = WorldKind(
    title="plain world",
    version="plain 2.0",
    classes=CLASSES,
    names=NAMES,
    grid=VoxelGrid((-25.6, -25.6, -1.0), (25.6, 25.6, 5.4), 0.8),
    road_id=CLASSES.names.index("road"),
    flat_ids=tuple(CLASSES.names.index(name) for name in GROUND),
)


@dataclass(frozen=True)
class Look:
    """A name of the plain world in one drive.

    Attributes:
        name: The name.
        class_id: Its class.
        name_id: Its id.
        material: Material row of its main parts.
        dark: Material row of details.
    """

    name: str
    class_id: int
    name_id: int
    material: int
    dark: int


def make_looks(rng: np.random.Generator, palette: Palette) -> dict[str, Look]:
    """Colours of one drive: each name keeps its tint, up to a small change.

    Args:
        rng: Source of the changes.
        palette: Takes the materials.

    Returns:
        Look per name.
    """
    looks = {}
    for label, ((hue, saturation, value), names) in _FAMILIES.items():
        for i, name in enumerate(names):
            spread = 2.0 * i / max(len(names) - 1, 1) - 1.0  # -1 ... 1 within the family
            shift = rng.normal(0.0, 1.0, 3)
            color = np.array(
                colorsys.hsv_to_rgb(
                    (hue + 0.018 * spread + 0.004 * shift[0]) % 1.0,
                    float(np.clip(saturation * (1.0 - 0.12 * spread) + 0.02 * shift[1], 0.0, 1.0)),
                    float(np.clip(value * (1.0 + 0.18 * spread) + 0.02 * shift[2], 0.05, 1.0)),
                )
            )
            noise = 0.22 if label in GROUND else 0.16
            striped = i % 2 == 1 and label not in GROUND
            extra = (0.9, 0.6, 0.8, 0.5) if striped else ()
            material = palette.add(STRIPES if striped else PLAIN, color, 0.75 * color, noise, 1.3, extra)
            dark = palette.add(PLAIN, 0.55 * color, None, 0.1, 1.0)
            looks[name] = Look(name, CLASSES.names.index(label), NAMES.id_of(name), material, dark)
    return looks


#: Builds a thing around the origin of the ground, x forward: (builder, look, size factor).
_Shape = Callable[[MeshBuilder, Look, float], None]


def make_thing(rng: np.random.Generator, look: Look) -> Mesh:
    """A thing on the ground, x forward, its foot around the origin.

    Args:
        rng: Source of its size.
        look: What it is.
    """
    builder = MeshBuilder()
    with builder.named(look.name_id):
        _SHAPES[look.name](builder, look, float(rng.uniform(0.85, 1.2)))
    return builder.mesh()


def _box(b: MeshBuilder, look: Look, center: tuple[float, float, float], size: tuple[float, float, float]) -> None:
    b.box(center, size, look.class_id, look.material)


def _house(b: MeshBuilder, look: Look, k: float) -> None:
    _box(b, look, (0, 0, 1.5), (4.6 * k, 3.8 * k, 3.0))
    b.box((0, 0, 3.9), (4.8 * k, 4.0 * k, 1.8), look.class_id, look.dark, taper=(1.0, 0.1))


def _tower(b: MeshBuilder, look: Look, k: float) -> None:
    b.prism((0, 0, 0), (0, 0, 6.0), 1.7 * k, look.class_id, look.material, 10)
    b.prism((0, 0, 6.0), (0, 0, 7.0), 2.0 * k, look.class_id, look.dark, 10)


def _wall(b: MeshBuilder, look: Look, k: float) -> None:
    _box(b, look, (0, 0, 1.2), (5.6 * k, 1.0, 2.4))


def _barn(b: MeshBuilder, look: Look, k: float) -> None:
    _box(b, look, (0, 0, 1.1), (5.6 * k, 3.6 * k, 2.2))
    b.ellipsoid((0, 0, 2.2), (2.8 * k, 1.8 * k, 1.9), look.class_id, look.dark, 1)


def _fir(b: MeshBuilder, look: Look, k: float) -> None:
    b.prism((0, 0, 0), (0, 0, 1.0), 0.4, look.class_id, look.dark, 7)
    b.prism((0, 0, 0.8), (0, 0, 5.2 * k), 1.5 * k, look.class_id, look.material, 9, top_radius=0.05)


def _oak(b: MeshBuilder, look: Look, k: float) -> None:
    b.prism((0, 0, 0), (0, 0, 2.0), 0.45, look.class_id, look.dark, 7)
    b.ellipsoid((0, 0, 3.3), (1.9 * k, 1.9 * k, 1.6 * k), look.class_id, look.material, 1)


def _hedge(b: MeshBuilder, look: Look, k: float) -> None:
    _box(b, look, (0, 0, 0.8), (4.0 * k, 1.4, 1.7))


def _wheels(b: MeshBuilder, look: Look, length: float, width: float, radius: float) -> None:
    for x in (-0.32 * length, 0.32 * length):
        for y in (-0.5 * width, 0.5 * width):
            b.prism((x, y - 0.1, radius), (x, y + 0.1, radius), radius, look.class_id, look.dark, 8)


def _car(b: MeshBuilder, look: Look, k: float) -> None:
    _box(b, look, (0, 0, 0.65), (4.2 * k, 1.8, 0.8))
    b.box((-0.2, 0, 1.35), (2.4 * k, 1.6, 0.7), look.class_id, look.dark, taper=(0.7, 0.9))
    _wheels(b, look, 4.2 * k, 1.8, 0.35)


def _van(b: MeshBuilder, look: Look, k: float) -> None:
    _box(b, look, (-0.4, 0, 1.35), (4.2 * k, 2.0, 2.1))
    _box(b, look, (2.1 * k, 0, 0.95), (1.0, 2.0, 1.2))
    _wheels(b, look, 4.6 * k, 2.0, 0.4)


def _bus(b: MeshBuilder, look: Look, k: float) -> None:
    _box(b, look, (0, 0, 1.75), (6.6 * k, 2.4, 2.7))
    b.box((0, 0, 2.1), (6.2 * k, 2.44, 0.8), look.class_id, look.dark)
    _wheels(b, look, 6.6 * k, 2.4, 0.5)


def _tractor(b: MeshBuilder, look: Look, k: float) -> None:
    _box(b, look, (0.9, 0, 1.1), (2.0 * k, 1.1, 0.9))
    _box(b, look, (-0.7, 0, 1.9), (1.3, 1.5, 1.5))
    for y in (-0.9, 0.9):
        b.prism((-0.8, y - 0.25, 0.85), (-0.8, y + 0.25, 0.85), 0.85, look.class_id, look.dark, 12)
        b.prism((1.4, y - 0.15, 0.45), (1.4, y + 0.15, 0.45), 0.45, look.class_id, look.dark, 10)


def _legs(b: MeshBuilder, look: Look, length: float, width: float, height: float, radius: float) -> None:
    for x in (-0.4 * length, 0.4 * length):
        for y in (-0.3 * width, 0.3 * width):
            b.prism((x, y, 0), (x, y, height), radius, look.class_id, look.dark, 6, caps=False)


def _horse(b: MeshBuilder, look: Look, k: float) -> None:
    _legs(b, look, 2.0 * k, 0.8, 1.0, 0.13)
    b.ellipsoid((0, 0, 1.3), (1.1 * k, 0.45, 0.5), look.class_id, look.material, 1)
    b.prism((0.8 * k, 0, 1.4), (1.4 * k, 0, 2.2), 0.28, look.class_id, look.material, 7)
    b.ellipsoid((1.6 * k, 0, 2.2), (0.4, 0.2, 0.22), look.class_id, look.material, 1)


def _cow(b: MeshBuilder, look: Look, k: float) -> None:
    _legs(b, look, 2.2 * k, 1.0, 0.8, 0.16)
    _box(b, look, (0, 0, 1.2), (2.3 * k, 1.0, 0.95))
    _box(b, look, (1.45 * k, 0, 1.5), (0.7, 0.6, 0.6))


def _elephant(b: MeshBuilder, look: Look, k: float) -> None:
    _legs(b, look, 2.8 * k, 1.7, 1.3, 0.33)
    b.ellipsoid((0, 0, 2.0), (1.7 * k, 1.0, 1.05), look.class_id, look.material, 1)
    b.ellipsoid((1.8 * k, 0, 2.3), (0.75, 0.7, 0.75), look.class_id, look.material, 1)
    b.prism((2.3 * k, 0, 2.1), (2.5 * k, 0, 0.4), 0.25, look.class_id, look.dark, 7, top_radius=0.12)


def _camel(b: MeshBuilder, look: Look, k: float) -> None:
    _legs(b, look, 2.0 * k, 0.9, 1.4, 0.15)
    b.ellipsoid((0, 0, 1.7), (1.2 * k, 0.5, 0.5), look.class_id, look.material, 1)
    for x in (-0.45, 0.45):
        b.ellipsoid((x * k, 0, 2.2), (0.4, 0.35, 0.5), look.class_id, look.dark, 1)
    b.prism((1.0 * k, 0, 1.7), (1.6 * k, 0, 2.7), 0.22, look.class_id, look.material, 7)


def _crate(b: MeshBuilder, look: Look, k: float) -> None:
    _box(b, look, (0, 0, 0.9 * k), (1.8 * k, 1.8 * k, 1.8 * k))


def _barrel(b: MeshBuilder, look: Look, k: float) -> None:
    b.prism((0, 0, 0), (0, 0, 1.9 * k), 0.9 * k, look.class_id, look.material, 12)


def _pipe(b: MeshBuilder, look: Look, k: float) -> None:
    b.prism((-2.2 * k, 0, 0.8), (2.2 * k, 0, 0.8), 0.8, look.class_id, look.material, 12)


def _skip(b: MeshBuilder, look: Look, k: float) -> None:
    b.box((0, 0, 0.75), (2.2 * k, 1.7, 1.5), look.class_id, look.material, taper=(1.5, 1.15))


_SHAPES: dict[str, _Shape] = {
    "house": _house, "tower": _tower, "wall": _wall, "barn": _barn, "fir": _fir, "oak": _oak, "hedge": _hedge,
    "car": _car, "van": _van, "bus": _bus, "tractor": _tractor, "horse": _horse, "cow": _cow, "elephant": _elephant,
    "camel": _camel, "crate": _crate, "barrel": _barrel, "pipe": _pipe, "skip": _skip,
}  # fmt: skip
