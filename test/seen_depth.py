# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A method that says where the depth of its pictures lies, and nothing else."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from gsocc_core import OCC3D_NUSCENES, ClassTable, SemanticGrid, VoxelField, VoxelGrid
from gsocc_core.inference.bundle import save_bundle
from gsocc_core.methods.build import METHODS
from gsocc_core.methods.method import Method

NAME = "seen_depth"
GRID = VoxelGrid.occ3d()


@dataclass(frozen=True)
class Output:
    """An empty scene with the labels beside it."""

    scene: VoxelField
    labels: torch.Tensor
    memory: None = None


class SeenDepth(Method):
    """Labels the voxel of every pixel's point with 1 + the number of its camera; all else is free.

    Args:
        classes: Class table.
        pretrained: Nothing is.
        depth_input: As the attribute.
        depth_model: As the attribute.
        features_input: As the attribute.
        image_size: (height, width).
    """

    def __init__(
        self,
        classes: ClassTable,
        pretrained: bool,
        depth_input: Literal["unused", "optional", "required"] = "required",
        depth_model: str | None = None,
        features_input: Literal["unused", "optional", "required"] = "unused",
        image_size: tuple[int, int] = (32, 64),
    ) -> None:
        super().__init__()
        self.classes, self.grid, self.image_size = classes, GRID, tuple(image_size)
        self.depth_input, self.depth_model, self.features_input = depth_input, depth_model, features_input
        self.nothing = nn.Parameter(torch.zeros(1))  # weights that a bundle can hold
        self.seen = None

    def forward(self, frames, memory=None):
        self.seen = frames
        labels = torch.full((1, *GRID.shape), self.classes.free_id, dtype=torch.uint8)
        if frames.depth_m is not None:
            height, width = frames.depth_m.shape[-2:]
            origins, directions = frames.cameras.resized(width, height).rays()
            points = (origins + frames.depth_m[..., None] * directions)[0, 0].double()
            lower, size = torch.tensor(GRID.lower).double(), torch.tensor(GRID.size_m).double()
            index = torch.floor((points - lower) / size).long()
            inside = ((index >= 0) & (index < torch.tensor(GRID.shape))).all(-1) & (frames.depth_m[0, 0] > 0)
            for camera, (places, kept) in enumerate(zip(index, inside)):
                labels[(0, *places[kept].T)] = 1 + camera
        field = VoxelField(torch.zeros(1, *GRID.shape), torch.zeros(1, *GRID.shape, 1), GRID)
        return Output(field, labels)

    def losses(self, output, frames):
        return {"none": self.nothing.sum()}

    def occupancy(self, output, grid=None):
        return SemanticGrid(output.labels, GRID, self.classes)


def write_bundle(patch, path: Path, **arguments) -> Path:
    """A bundle of the method, which can be loaded until the patch is undone."""
    patch.setitem(METHODS, NAME, (SeenDepth.__module__, "SeenDepth"))
    save_bundle(path, NAME, arguments, SeenDepth(OCC3D_NUSCENES, False, **arguments), "# seen depth\n")
    return path
