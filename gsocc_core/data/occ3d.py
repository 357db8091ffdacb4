# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Occ3D-nuScenes label files: ``gts/<scene>/<token>/labels.npz``."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from gsocc_core.data.voxel_labels import VoxelLabels
from gsocc_core.errors import DataError

GRID_SHAPE = (200, 200, 16)


def read_occ3d(path: str | Path) -> VoxelLabels:
    """Read one label file: (200, 200, 16) on :meth:`VoxelGrid.occ3d`, in the ego frame at LIDAR_TOP's stamp.

    Raises:
        DataError: the file is missing, damaged, or holds other arrays or shapes.
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
        if value.shape != GRID_SHAPE:
            raise DataError(path, key, GRID_SHAPE, value.shape)
    semantics = arrays["semantics"].astype(np.uint8, copy=False)
    return VoxelLabels(semantics, arrays["mask_camera"].astype(bool), arrays["mask_lidar"].astype(bool))
