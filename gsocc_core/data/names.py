# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Fine-grained names: what a thing is within its class, for pictures and voxels of synthetic drives.

A tree that knows them has a folder ``names`` with ``names.json`` (the table), ``cameras.json`` (order of the pictures)
and ``<scene>/<token>.npz`` per key frame.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gsocc_core.data.stored import read_json, read_npz, reading
from gsocc_core.errors import ConfigError, DataError

NAMES_FOLDER = "names"
#: Id of sky and of voxels without a surface.
NO_NAME = 255


@dataclass(frozen=True)
class NameTable:
    """What the name ids 0 ... len(names) - 1 mean.

    Attributes:
        names: One name per id.
        class_ids: Class of each name in the tree's class table.

    Raises:
        ConfigError: lengths differ, a name repeats, or there are more than ids.

    Example:
        >>> NameTable(("fir", "oak"), (5, 5)).id_of("oak")
        1
    """

    names: tuple[str, ...]
    class_ids: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.class_ids) or len(self.names) > NO_NAME:
            expected = f"one class per name, at most {NO_NAME} of them"
            raise ConfigError("NameTable", "class_ids", expected, (len(self.names), len(self.class_ids)))
        if len(set(self.names)) != len(self.names):
            raise ConfigError("NameTable", "names", "unique names", self.names)

    def id_of(self, name: str) -> int:
        """Id of a name.

        Raises:
            ConfigError: there is no such name.
        """
        if name not in self.names:
            raise ConfigError("NameTable", "name", f"one of {', '.join(self.names)}", name)
        return self.names.index(name)

    def class_of_name(self) -> np.ndarray:
        """(256,) uint8 class id per name id; 255 where there is no name."""
        table = np.full(256, 255, np.uint8)
        table[: len(self.class_ids)] = self.class_ids
        return table

    def save(self, path: str | Path) -> None:
        """Write ``names.json``."""
        content = [{"name": name, "class_id": class_id} for name, class_id in zip(self.names, self.class_ids)]
        Path(path).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> NameTable:
        """Read ``names.json``.

        Raises:
            DataError: the file is missing or holds something else.
        """
        content = read_json(path, "a list of {name, class_id}")
        with reading(path, "a list of {name, class_id}"):
            return cls(tuple(str(row["name"]) for row in content), tuple(int(row["class_id"]) for row in content))


@dataclass(frozen=True)
class KeyFrameNames:
    """Names of one key frame.

    Attributes:
        voxels: (X, Y, Z) uint8 name ids on the grid of the voxel labels; 255 = no surface.
        pictures: (V, H, W) uint8 name ids in the order of ``cameras.json``; 255 = sky.
    """

    voxels: np.ndarray
    pictures: np.ndarray


def write_names(folder: str | Path, scene_name: str, token: str, names: KeyFrameNames) -> None:
    """Write the names of one key frame; see :func:`read_names`."""
    path = Path(folder) / scene_name / f"{token}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, voxels=names.voxels, pictures=names.pictures)


def read_names(folder: str | Path, scene_name: str, token: str) -> KeyFrameNames:
    """Read the names of one key frame.

    Args:
        folder: ``<dataroot>/names``.
        scene_name: Scene.
        token: Sample token.

    Raises:
        DataError: the file is missing, damaged or holds other arrays.
    """
    path = Path(folder) / scene_name / f"{token}.npz"
    arrays = read_npz(path, "names of a key frame", ("voxels", "pictures"))
    for key, array in arrays.items():
        if array.dtype != np.uint8 or array.ndim != 3:
            raise DataError(path, key, "uint8 with three axes", f"{array.dtype} {array.shape}")
    return KeyFrameNames(**arrays)
