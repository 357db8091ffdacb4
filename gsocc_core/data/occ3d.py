# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Occ3D-nuScenes label files: ``gts/<scene>/<token>/labels.npz``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gsocc_core.data.protocol import Protocol
from gsocc_core.data.stored import class_ids, flags, read_npz
from gsocc_core.data.voxel_labels import VoxelLabels
from gsocc_core.errors import DataError
from gsocc_core.geometry.classes import OCC3D_NUSCENES
from gsocc_core.geometry.voxels import VoxelGrid

#: Folder of a nuScenes tree with the labels.
OCC3D_FOLDER = "gts"
OCC3D_PROTOCOL = Protocol(
    title="Occ3D-nuScenes",
    classes=OCC3D_NUSCENES,
    grid=VoxelGrid.occ3d(),
    mask="camera",
    rays=True,
    ground=("driveable_surface", 0.0),
    labels_field="occ3d_dir",
)


def read_occ3d(path: str | Path, protocol: Protocol = OCC3D_PROTOCOL) -> VoxelLabels:
    """Read one label file.

    Args:
        path: The file.
        protocol: Says grid and classes, in the ego frame at LIDAR_TOP's stamp.

    Raises:
        DataError: the file is missing, damaged, or holds other arrays, shapes, types or ids.
    """
    arrays = read_npz(path, "Occ3D labels", ("semantics", "mask_camera", "mask_lidar"))
    for key, value in arrays.items():
        if value.shape != protocol.grid.shape:
            raise DataError(path, key, f"{protocol.grid.shape}, the grid of {protocol.title}", value.shape)
    masks = (flags(arrays[key], path, key) for key in ("mask_camera", "mask_lidar"))
    classes = protocol.classes
    return VoxelLabels(class_ids(arrays["semantics"], path, "semantics", len(classes.names), classes.ignore_id), *masks)


def write_occ3d(folder: Path, semantics: np.ndarray, mask_lidar: np.ndarray, mask_camera: np.ndarray) -> None:
    """Write ``labels.npz`` as Occ3D does.

    Args:
        folder: ``gts/<scene>/<token>``; made if it is not there.
        semantics: (X, Y, Z) uint8 ids of the tree's class table.
        mask_lidar: (X, Y, Z) uint8, 1 = observed by the LiDAR.
        mask_camera: (X, Y, Z) uint8, 1 = observed by a camera.
    """
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "labels.npz", semantics=semantics, mask_lidar=mask_lidar, mask_camera=mask_camera)
