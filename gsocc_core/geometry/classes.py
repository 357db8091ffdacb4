# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Class tables: what a label id means, how it is drawn, and which ids move."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from gsocc_core.arguments import keyword_arguments
from gsocc_core.errors import ConfigError
from gsocc_core.yaml_files import read_yaml


def wheel_colors(count: int) -> tuple[tuple[int, int, int], ...]:
    """Colours (r, g, b) 0-255 for ids that have none, neighbouring ids far apart on the colour wheel.

    Example:
        >>> wheel_colors(2)
        ((217, 76, 76), (76, 117, 217))
    """
    wheel = (colorsys.hsv_to_rgb(0.618 * i % 1, 0.65, 0.85) for i in range(count))
    return tuple((round(255 * r), round(255 * g), round(255 * b)) for r, g, b in wheel)


@dataclass(frozen=True)
class ClassTable:
    """Names, colours and roles of the label ids 0 ... len(names) - 1.

    Attributes:
        names: One name per id.
        colors: One (r, g, b) 0-255 per id.
        free_id: The id of empty space.
        ignore_id: Label value of pixels and voxels without a label.
        dynamic_ids: Ids of things that can move by themselves.
        channel_to_id: Class id of each feature channel of a model; None = channel c is id c.
        prompts: Text prompts per id for open-vocabulary models.

    Raises:
        ConfigError: lengths differ or an id lies outside the table.

    Example:
        >>> OCC3D_NUSCENES.names[OCC3D_NUSCENES.free_id]
        'free'
    """

    names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    free_id: int
    ignore_id: int = 255
    dynamic_ids: tuple[int, ...] = ()
    channel_to_id: tuple[int, ...] | None = None
    prompts: tuple[tuple[str, ...], ...] | None = None

    def __post_init__(self) -> None:
        count = len(self.names)
        if len(self.colors) != count:
            raise ConfigError("ClassTable", "colors", f"{count} entries, one per name", len(self.colors))
        if any(len(color) != 3 or not all(0 <= value <= 255 for value in color) for color in self.colors):
            raise ConfigError("ClassTable", "colors", "(r, g, b) with 0-255 each", self.colors)
        if len(set(self.names)) != count:
            raise ConfigError("ClassTable", "names", "unique names", self.names)
        if self.prompts is not None and len(self.prompts) != count:
            raise ConfigError("ClassTable", "prompts", f"{count} entries, one per name", len(self.prompts))
        if 0 <= self.ignore_id < count or not 0 <= self.ignore_id <= 255:
            raise ConfigError("ClassTable", "ignore_id", f"an id in {count}...255, outside the table", self.ignore_id)
        for key, ids in (
            ("free_id", (self.free_id,)),
            ("dynamic_ids", self.dynamic_ids),
            ("channel_to_id", self.channel_to_id or ()),
        ):
            if any(not 0 <= i < count for i in ids):
                raise ConfigError("ClassTable", key, f"ids in 0...{count - 1}", ids)

    @property
    def channel_ids(self) -> tuple[int, ...]:
        """Class id of every feature channel."""
        return self.channel_to_id if self.channel_to_id is not None else tuple(range(len(self.names)))

    def palette(self) -> np.ndarray:
        """(256, 3) uint8 colours indexed by label id; ids without a class are black."""
        palette = np.zeros((256, 3), np.uint8)
        palette[: len(self.colors)] = np.asarray(self.colors, np.uint8)
        return palette

    def with_channels(self, channel_to_id: Sequence[int] | None) -> ClassTable:
        """The same table with another meaning of the feature channels."""
        return ClassTable(**{**self.__dict__, "channel_to_id": None if channel_to_id is None else tuple(channel_to_id)})

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, as written to ``classes.yaml``."""
        return {
            key: [list(v) if isinstance(v, tuple) else v for v in value] if isinstance(value, tuple) else value
            for key, value in self.__dict__.items()
            if value is not None
        }

    def to_yaml(self, path: str | Path) -> None:
        """Write the table as ``classes.yaml``."""
        Path(path).write_text(yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True), encoding="utf-8")

    @classmethod
    def from_yaml(cls, path: str | Path) -> ClassTable:
        """Read a table written by :meth:`to_yaml`.

        Raises:
            ConfigError: the file is missing, is not YAML, or has wrong, missing or unknown keys.
        """
        return cls(**keyword_arguments(cls, read_yaml(path, "a YAML class table"), path))


#: The 17 semantic classes of Occ3D-nuScenes and free space.
OCC3D_NUSCENES = ClassTable(
    names=(
        "others", "barrier", "bicycle", "bus", "car", "construction_vehicle", "motorcycle", "pedestrian",
        "traffic_cone", "trailer", "truck", "driveable_surface", "other_flat", "sidewalk", "terrain",
        "manmade", "vegetation", "free",
    ),
    colors=(
        (80, 80, 80), (255, 120, 50), (255, 192, 203), (255, 220, 0), (0, 150, 245), (0, 220, 220), (200, 140, 0),
        (255, 30, 30), (255, 240, 150), (135, 60, 0), (160, 32, 240), (170, 170, 180), (110, 110, 120),
        (120, 70, 120), (150, 220, 80), (225, 215, 190), (0, 140, 30), (255, 255, 255),
    ),
    free_id=17,
    dynamic_ids=(2, 3, 4, 5, 6, 7, 9, 10),
)  # fmt: skip
