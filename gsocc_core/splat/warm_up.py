# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Compile the kernels ahead of the first picture."""

from __future__ import annotations

import torch

from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.splat.to_labels import splat_to_labels
from gsocc_core.splat.to_voxels import splat_to_voxels


def warm_up() -> None:
    """Compile, or load from numba's cache, what inference on the CPU runs; takes seconds the first time."""
    grid = VoxelGrid((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0), 1.0)
    classes = ClassTable(("thing", "free"), ((0, 0, 0), (255, 255, 255)), free_id=1, channel_to_id=(0,))
    quats = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    scene = Gaussians(torch.zeros(1, 3), torch.ones(1, 3), quats, torch.ones(1), torch.ones(1, 1))
    splat_to_labels(scene, grid, classes, threshold=0.5)
    splat_to_voxels(scene, grid)
