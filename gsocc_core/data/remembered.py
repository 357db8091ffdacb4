# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Voxels that are hidden now and were seen before: a memory can know them, without one they can only be guessed."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from gsocc_core.data.voxel_labels import VoxelLabels
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.voxels import VoxelGrid


def remembered_voxels(
    grid: VoxelGrid,
    classes: ClassTable,
    present: VoxelLabels,
    T_world_ego: np.ndarray,
    earlier: Iterable[tuple[VoxelLabels, np.ndarray]],
) -> np.ndarray:
    """Voxels that the present cameras do not see and those of an earlier key frame saw.

    A voxel was seen when the voxel of that key frame's own grid in which its centre lay was in its ``mask_camera`` and
    had a label. What moves is left out, since where it has gone is no matter of memory alone: the voxel's label now,
    and that of the latest key frame which saw it, must be of no class that can move. Free space counts.

    Args:
        grid: The grid of all labels.
        classes: Class table.
        present: Labels of the present key frame.
        T_world_ego: (4, 4) float64 its ego pose.
        earlier: Labels and ego poses of earlier key frames, the latest first.

    Returns:
        (X, Y, Z) bool.

    Example:
        >>> from gsocc_core import OCC3D_NUSCENES
        >>> grid = VoxelGrid((0.0, 0.0, 0.0), (3.0, 1.0, 1.0), 1.0)
        >>> road, hidden = np.full((3, 1, 1), 11, np.uint8), np.zeros((3, 1, 1), bool)
        >>> ahead = np.eye(4)
        >>> ahead[0, 3] = 1.0  # the vehicle has driven 1 m
        >>> before = VoxelLabels(road, np.array([True, True, False])[:, None, None], hidden)
        >>> now = VoxelLabels(road, hidden, hidden)
        >>> remembered_voxels(grid, OCC3D_NUSCENES, now, ahead, [(before, np.eye(4))]).ravel().tolist()
        [True, False, False]
    """
    still = np.ones(256, bool)
    still[[*classes.dynamic_ids, classes.ignore_id]] = False
    result = np.zeros(grid.shape, bool)
    open_voxels = np.flatnonzero(~present.mask_camera.astype(bool) & still[present.semantics])
    T_ego_grid = grid.T_ego_grid_matrix
    points = grid.centers.reshape(-1, 3)[open_voxels].numpy().astype(np.float64)
    for labels, T_world_then in earlier:
        T = np.linalg.inv(T_world_then @ T_ego_grid) @ T_world_ego @ T_ego_grid
        index, inside = grid.index(torch.from_numpy(points @ T[:3, :3].T + T[:3, 3]))
        place = tuple(index.unbind(-1))
        label = labels.semantics[place]
        seen = inside.numpy() & labels.mask_camera.astype(bool)[place] & (label != classes.ignore_id)
        result.reshape(-1)[open_voxels[seen & still[label]]] = True
        open_voxels, points = open_voxels[~seen], points[~seen]
    return result
