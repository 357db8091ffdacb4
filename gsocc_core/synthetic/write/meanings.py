# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What a synthetic tree says once: grid and classes of its labels, and the table of names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from gsocc_core.data.names import NAMES_FOLDER
from gsocc_core.data.occ3d import OCC3D_FOLDER, OCC3D_PROTOCOL
from gsocc_core.data.protocol import Protocol, write_protocol
from gsocc_core.synthetic.sensors.rig import CAMERA_NAMES
from gsocc_core.synthetic.world.detailed import DETAILED
from gsocc_core.synthetic.world.plain import CATEGORIES
from gsocc_core.synthetic.world.plain_things import GROUND, MOVING, PLAIN_WORLD
from gsocc_core.synthetic.world.rooms import ROOMS_WORLD
from gsocc_core.synthetic.world.scene import WorldKind

World = Literal["detailed", "plain", "rooms"]
WORLDS: Mapping[World, WorldKind] = {"detailed": DETAILED, "plain": PLAIN_WORLD, "rooms": ROOMS_WORLD}


def protocol_of_world(world: World) -> Protocol:
    """Grid, classes and scoring rules of the labels of a world.

    Example:
        >>> protocol_of_world("plain").grid.shape
        (64, 64, 8)
    """
    if world == "detailed":
        return OCC3D_PROTOCOL
    kind = WORLDS[world]
    boxes = {CATEGORIES[label][0]: label for label in MOVING}
    return replace(
        OCC3D_PROTOCOL, title=f"{kind.title} ({kind.version})", classes=kind.classes, grid=kind.grid,
        ground=(GROUND[0], 0.0), box_classes=boxes,
    )  # fmt: skip


def write_meanings(root: Path, world: World, names: bool) -> None:
    """Write the files that belong to no drive.

    Args:
        root: Root of the tree.
        world: Which world it shows.
        names: The tree has fine-grained names.
    """
    protocol = protocol_of_world(world)
    if protocol is not OCC3D_PROTOCOL:
        write_protocol(root / OCC3D_FOLDER, protocol)
    if names:
        (root / NAMES_FOLDER).mkdir(parents=True, exist_ok=True)
        WORLDS[world].names.save(root / NAMES_FOLDER / "names.json")
        cameras = json.dumps(list(CAMERA_NAMES)) + "\n"
        (root / NAMES_FOLDER / "cameras.json").write_text(cameras, encoding="utf-8")
