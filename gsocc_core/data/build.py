# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The fixed list of data sets, and how one is opened."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gsocc_core.data.args import DataArgs
from gsocc_core.data.ddad import DdadDrives
from gsocc_core.data.drives import DriveDataset
from gsocc_core.data.kitti360 import Kitti360Occupancy
from gsocc_core.data.nuscenes import NuScenesOccupancy
from gsocc_core.data.protocol import Protocol, plain_grid
from gsocc_core.data.surroundocc import SurroundOccNuScenes
from gsocc_core.data.view_args import ViewArgs
from gsocc_core.errors import ConfigError
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.voxels import VoxelGrid

#: Data set name -> its loader. Configurations name a data set, never a class path.
DATASETS: Mapping[str, type[DriveDataset]] = {
    "occ3d": NuScenesOccupancy,
    "surroundocc": SurroundOccNuScenes,
    "kitti360": Kitti360Occupancy,
    "ddad": DdadDrives,
}


def build_dataset(args: DataArgs, image_size: tuple[int, int]) -> DriveDataset:
    """Open the data set that ``args.dataset`` names.

    Args:
        args: What to load.
        image_size: (height, width) of the network's pictures, pixels.

    Returns:
        One frame set per key frame.

    Raises:
        ConfigError: no such data set, or a number in ``args`` makes no sense.
        DataError: files are missing or damaged.
    """
    return _loader(args.dataset)(args, image_size)


def protocol_of(args: DataArgs) -> Protocol:
    """Grid, classes and scoring rules of a data set, without opening it.

    Raises:
        ConfigError: no such data set, or its tree brings a grid and classes of its own whose files are wrong.

    Example:
        >>> protocol_of(DataArgs("data", dataset="kitti360")).grid.shape
        (256, 256, 32)
    """
    return _loader(args.dataset).protocol_for(args)


def with_voxel_labels(args: DataArgs, folder: str | None) -> DataArgs:
    """The arguments with another folder of voxel labels; None = read none.

    Raises:
        ConfigError: there are none in this data set, or its tree brings a grid and classes of its own whose files are
            wrong.

    Example:
        >>> with_voxel_labels(DataArgs("data", dataset="surroundocc"), None).surroundocc_dir is None
        True
    """
    protocol = protocol_of(args)
    if protocol.labels_field is None:
        if folder is not None:
            raise ConfigError("data", "labels_dir", f"none: {protocol.title} has no voxel labels", folder)
        return args
    changes: dict[str, Any] = {protocol.labels_field: folder}
    return replace(args, **changes)


def with_default_grid(constructor: Any, arguments: Mapping[str, Any], protocol: Protocol) -> dict[str, Any]:
    """A method's plain arguments with the data set's grid, if the method wants one and none is given.

    Args:
        constructor: Class of the method.
        arguments: Its plain arguments.
        protocol: Of the data set.

    Returns:
        The arguments, plain too.
    """
    if "grid" in arguments or "grid" not in inspect.signature(constructor).parameters:
        return dict(arguments)
    return {"grid": plain_grid(protocol.grid), **arguments}


def with_default_cameras(constructor: Any, arguments: Mapping[str, Any], cameras: Sequence[str]) -> dict[str, Any]:
    """A method's plain arguments with the data's cameras, if the method wants them and none are given.

    Args:
        constructor: Class of the method.
        arguments: Its plain arguments.
        cameras: ``DataArgs.cameras``.

    Returns:
        The arguments, plain too.
    """
    if "cameras" in arguments or "cameras" not in inspect.signature(constructor).parameters:
        return dict(arguments)
    return {"cameras": list(cameras), **arguments}


def with_data_defaults(constructor: Any, arguments: Mapping[str, Any], data: DataArgs | ViewArgs) -> dict[str, Any]:
    """A method's plain arguments with what its data say where none is given: grid and cameras; views say neither.

    Args:
        constructor: Class of the method.
        arguments: Its plain arguments.
        data: What it is trained on.

    Returns:
        The arguments, plain too.
    """
    if isinstance(data, ViewArgs):
        return dict(arguments)
    return with_default_cameras(constructor, with_default_grid(constructor, arguments, protocol_of(data)), data.cameras)


def check_fit(protocol: Protocol, classes: ClassTable, grid: VoxelGrid, where: object) -> None:
    """Check that a model speaks of the same voxels and as many classes as a data set's labels.

    Args:
        protocol: Of the data set.
        classes: Class table of the model.
        grid: Grid of the model.
        where: The model, for the error.

    Raises:
        ConfigError: it does not.
    """
    wanted = protocol.classes
    if (len(classes.names), classes.free_id) != (len(wanted.names), wanted.free_id):
        expected = f"{len(wanted.names)} classes of {protocol.title}, {wanted.free_id} = free"
        raise ConfigError(where, "classes", expected, f"{len(classes.names)}, {classes.free_id} = free")
    if not grid.same_as(protocol.grid):
        raise ConfigError(where, "grid", f"the grid of {protocol.title}: {protocol.grid}", grid)


def _loader(name: str) -> type[DriveDataset]:
    if name not in DATASETS:
        raise ConfigError("data", "dataset", f"one of {', '.join(DATASETS)}", name)
    return DATASETS[name]
