# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What the labels of the detailed world mean: Occ3D's classes, and finer names within them."""

from __future__ import annotations

from gsocc_core.data.names import NameTable
from gsocc_core.geometry.classes import OCC3D_NUSCENES
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.synthetic.world.scene import WorldKind

#: Finer names per class; what has none is called as its class.
_FINER: dict[str, tuple[str, ...]] = {}
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
