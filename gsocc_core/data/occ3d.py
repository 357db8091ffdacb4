# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Occ3D-nuScenes label files: ``gts/<scene>/<token>/labels.npz``."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from gsocc_core.data.protocol import Protocol
from gsocc_core.data.voxel_labels import VoxelLabels, check_ids
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
        DataError: the file is missing, damaged, or holds other arrays, shapes or ids.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            arrays = {key: content[key] for key in ("semantics", "mask_camera", "mask_lidar")}
    except FileNotFoundError as error:
        raise DataError(path, "file", "Occ3D labels", "no such file") from error
    except KeyError as error:
        raise DataError(path, "arrays", "semantics, mask_camera and mask_lidar", error) from error
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(path, "content", "an .npz file", error) from error
    for key, value in arrays.items():
        if value.shape != protocol.grid.shape:
            raise DataError(path, key, f"{protocol.grid.shape}, the grid of {protocol.title}", value.shape)
    semantics = arrays["semantics"].astype(np.uint8, copy=False)
    check_ids(path, semantics, protocol.classes)
    return VoxelLabels(semantics, arrays["mask_camera"].astype(bool), arrays["mask_lidar"].astype(bool))
