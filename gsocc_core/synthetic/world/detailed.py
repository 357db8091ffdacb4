# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What the labels of the detailed world mean: Occ3D's classes, and finer names within them."""

from __future__ import annotations

from gsocc_core.data.names import NameTable
from gsocc_core.geometry.classes import OCC3D_NUSCENES
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.synthetic.world.scene import WorldKind

#: Finer names per class. Where the class's own name says it all (a car that is no van, a parked bicycle), it stays.
_FINER: dict[str, tuple[str, ...]] = {
    "others": ("waste bin", "dog", "pram", "box"),
    "barrier": ("concrete barrier", "plastic barrier", "barrier board", "steel fence"),
    "bicycle": ("cyclist",),
    "car": ("van",),
    "construction_vehicle": ("excavator", "wheel loader", "road roller"),
    "motorcycle": ("scooter", "motorcyclist"),
    "pedestrian": ("adult", "child"),
    "traffic_cone": ("traffic cone", "bollard"),
    "trailer": ("box trailer", "flatbed trailer", "tank trailer"),
    "truck": ("box truck", "dump truck", "tank truck", "pickup"),
    "driveable_surface": ("road", "zebra crossing", "cycle lane", "parking bay", "lane marking"),
    "other_flat": ("median strip", "traffic island"),
    "sidewalk": ("pavement", "kerb"),
    "terrain": ("grass", "dry grass", "bare soil"),
    "manmade": (
        "house", "apartment block", "warehouse", "roof", "chimney", "door", "doorstep", "garage door", "balcony",
        "awning", "shop sign", "street lamp", "traffic light", "traffic sign", "bench", "bus shelter", "footbridge",
        "garden wall", "wooden fence", "railing",
    ),
    "vegetation": ("broad-leaved tree", "conifer", "poplar", "bare tree", "bush", "hedge"),
}  # fmt: skip
_CLASSES = OCC3D_NUSCENES.names[: OCC3D_NUSCENES.free_id]
_NAMES = NameTable(
    (*_CLASSES, *(name for finer in _FINER.values() for name in finer)),
    (*range(len(_CLASSES)), *(_CLASSES.index(label) for label, finer in _FINER.items() for _ in finer)),
)
DETAILED = WorldKind(
    title="synthetic streets",
    version="1.1",
    classes=OCC3D_NUSCENES,
    names=_NAMES,
    grid=VoxelGrid.occ3d(),
    road_id=_CLASSES.index("driveable_surface"),
    flat_ids=tuple(_CLASSES.index(name) for name in ("driveable_surface", "other_flat", "sidewalk", "terrain")),
)


def name_id(name: str) -> int:
    """Id of a name of the detailed world.

    Raises:
        ConfigError: there is no such name.

    Example:
        >>> DETAILED.names.names[name_id("bench")]
        'bench'
    """
    return DETAILED.names.id_of(name)
