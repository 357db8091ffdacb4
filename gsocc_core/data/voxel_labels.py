# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What every reader of voxel labels returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class VoxelLabels:
    """Voxel labels of one key frame on its data set's grid.

    Attributes:
        semantics: (X, Y, Z) uint8 class ids.
        mask_camera: (X, Y, Z) bool: seen by the key frame's cameras; where a data set does not tell, labelled.
        mask_lidar: (X, Y, Z) bool: seen by the key frame's LiDAR; where a data set does not tell, labelled.
    """

    semantics: np.ndarray
    mask_camera: np.ndarray
    mask_lidar: np.ndarray

    @classmethod
    def without_masks(cls, semantics: np.ndarray, ignore_id: int = 255) -> VoxelLabels:
        """Labels of a data set that does not tell who saw what: every voxel with a label counts as seen.

        Args:
            semantics: (X, Y, Z) uint8 class ids.
            ignore_id: Id of voxels without a label.

        Example:
            >>> VoxelLabels.without_masks(np.array([[[0, 255]]], np.uint8)).mask_camera.tolist()
            [[[True, False]]]
        """
        labelled = semantics != ignore_id
        return cls(semantics, labelled, labelled)
