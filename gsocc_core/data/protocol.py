# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What a data set's benchmark fixes, and trees that bring a grid and classes of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gsocc_core.arguments import keyword_arguments
from gsocc_core.data.boxes import NUSCENES_BOX_CLASSES
from gsocc_core.errors import ConfigError
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.metrics.confusion import MaskPolicy
from gsocc_core.yaml_files import read_yaml

#: The two files beside voxel labels that have their own grid and classes.
PROTOCOL_FILE, CLASSES_FILE = "protocol.yaml", "classes.yaml"


@dataclass(frozen=True)
class Protocol:
    """What a data set's benchmark fixes.

    Attributes:
        title: Name for people.
        classes: Meaning of the labels.
        grid: Where the labels lie.
        mask: Voxels that its scores count.
        rays: RayIoU belongs to its scores.
        ground: Class of the road and its height in the grid's frame, metres; None = there is no such class.
        labels_field: Member of :class:`~gsocc_core.data.args.DataArgs` that names the folder of its voxel labels; None
            = it has none.
        lidar_clouds: Key frames come with point clouds that :func:`gsocc_core.data.lidar_clouds.read_cloud` reads.
        box_classes: Name of the class of annotated boxes, by their nuScenes category or its first words.
        max_depth_m: Depth beyond is not scored, metres.
    """

    title: str
    classes: ClassTable
    grid: VoxelGrid
    mask: MaskPolicy
    rays: bool
    ground: tuple[str, float] | None
    labels_field: str | None
    lidar_clouds: bool = True
    box_classes: Mapping[str, str] = field(default_factory=lambda: NUSCENES_BOX_CLASSES)
    max_depth_m: float = 80.0


@dataclass(frozen=True)
class _Ground:
    label: str
    height_m: float = 0.0


def read_protocol(folder: str | Path) -> Protocol | None:
    """Grid and classes of a folder of voxel labels in Occ3D's format, if it brings its own.

    Args:
        folder: Folder of labels, for instance ``<dataroot>/gts``.

    Returns:
        What ``protocol.yaml`` and ``classes.yaml`` in it say; None where it has neither.

    Raises:
        ConfigError: one of the two files is missing or wrong.
    """
    path, table = Path(folder) / PROTOCOL_FILE, Path(folder) / CLASSES_FILE
    if not path.is_file() and not table.is_file():
        return None
    for wanted in (path, table):
        if not wanted.is_file():
            raise ConfigError(wanted, "file", f"{PROTOCOL_FILE} and {CLASSES_FILE} together", "no such file")
    classes = ClassTable.from_yaml(table)
    content = read_yaml(path, "a mapping with title and grid")

    def make(
        title: str, grid: VoxelGrid, ground: _Ground | None = None, boxes: dict[str, str] | None = None
    ) -> Protocol:
        place = None if ground is None else (ground.label, ground.height_m)
        cubes = len(set(grid.size_m)) == 1  # RayIoU is defined for nothing else
        return Protocol(title, classes, grid, "camera", cubes, place, "occ3d_dir", True, boxes or {})

    protocol = make(**keyword_arguments(make, content, path))
    named = {"ground.label": [] if protocol.ground is None else [protocol.ground[0]]}
    named["boxes"] = list(protocol.box_classes.values())
    for key, names in named.items():
        if unknown := [name for name in names if name not in classes.names]:
            raise ConfigError(path, key, f"a class of {table}: {', '.join(classes.names)}", unknown[0])
    return protocol


def write_protocol(folder: str | Path, protocol: Protocol) -> None:
    """Write the two files that :func:`read_protocol` reads.

    Args:
        folder: Folder of labels, made if it is not there.
        protocol: What they shall say; mask, rays and folder names are not kept.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {"title": protocol.title, "grid": plain_grid(protocol.grid)}
    if protocol.ground is not None:
        content["ground"] = {"label": protocol.ground[0], "height_m": protocol.ground[1]}
    if protocol.box_classes:
        content["boxes"] = dict(protocol.box_classes)
    (folder / PROTOCOL_FILE).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    protocol.classes.to_yaml(folder / CLASSES_FILE)


def plain_grid(grid: VoxelGrid) -> dict[str, Any]:
    """A grid as YAML files have it."""
    plain: dict[str, Any] = {"lower": list(grid.lower), "upper": list(grid.upper), "voxel_size": list(grid.size_m)}
    if grid.T_ego_grid is not None:
        plain["T_ego_grid"] = [list(row) for row in grid.T_ego_grid]
    return plain
