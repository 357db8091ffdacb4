# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A drive through a lopsided world, and a method that answers with its true labels, rightly or in known wrong ways."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn

from gsocc_core import OCC3D_NUSCENES, ClassTable, SemanticGrid, VoxelField, VoxelGrid
from gsocc_core.geometry.rigid import rigid_from_quat
from gsocc_core.inference.bundle import save_bundle
from gsocc_core.methods.build import METHODS
from gsocc_core.methods.method import Method
from gsocc_ros.convert.nuscenes_to_rosbag2 import nuscenes_to_rosbag2

Answer = Literal["true", "mirrored in x", "mirrored in y", "turned", "late"]
WRONG: tuple[Answer, ...] = ("mirrored in x", "mirrored in y", "turned", "late")
NAME = "true_labels"
GRID = VoxelGrid.occ3d()
_BLOCK_M = 2.0
_SIZE = 128
_WORLD = np.random.default_rng(5).choice(
    np.array([*[OCC3D_NUSCENES.free_id] * 16, 4, 11, 15, 16], np.uint8), (_SIZE,) * 3
)


def world(points_m: np.ndarray) -> np.ndarray:
    """What stands at (..., 3) points of the world: blocks of 2 m without any symmetry."""
    return _WORLD[tuple(np.moveaxis(np.floor(points_m / _BLOCK_M).astype(int) % _SIZE, -1, 0))]


def write_truth(tree: Path, version: str, scene: str, folder: Path) -> Path:
    """Put the world's labels into a tree's key frames of a scene, and into ``<stamp>.npy`` files of a new folder."""
    tables = {name: json.loads((tree / version / f"{name}.json").read_text()) for name in ("sample_data", "ego_pose")}
    poses = {row["token"]: row for row in tables["ego_pose"]}
    folder.mkdir()
    for row in tables["sample_data"]:
        if row["is_key_frame"] and row["sample_token"].startswith(scene) and "LIDAR_TOP" in row["filename"]:
            pose = poses[row["ego_pose_token"]]
            T = rigid_from_quat(pose["rotation"], pose["translation"])
            labels = world(GRID.centers.numpy().astype(np.float64) @ T[:3, :3].T + T[:3, 3])
            seen = np.ones(labels.shape, np.uint8)
            path = tree / "gts" / scene / row["sample_token"] / "labels.npz"
            np.savez(path, semantics=labels, mask_camera=seen, mask_lidar=seen)
            np.save(folder / f"{row['timestamp'] * 1000}.npy", labels)
    return folder


def record(tree_writer, root: Path, frames: int) -> tuple[Path, Path]:
    """A recording of a car that drives through the world, and the folder of its labels."""
    tree = tree_writer(root / "tree", scenes=("scene-a",), frames=frames)
    labels = write_truth(tree, "v1.0-tiny", "scene-a", root / "labels")
    nuscenes_to_rosbag2(str(tree), str(root / "bag"), "scene-a", "v1.0-tiny")
    return root / "bag", labels


@dataclass(frozen=True)
class Output:
    """An empty scene with the labels beside it."""

    scene: VoxelField
    labels: torch.Tensor
    memory: None = None


class TrueLabels(Method):
    """Looks up the labels of the reference stamp, and of nothing else; at any other time everything is free.

    Args:
        classes: Class table.
        pretrained: Nothing is.
        folder: Labels, (200, 200, 16) uint8, as ``<stamp in nanoseconds>.npy``.
        answer: In which way they are given.
    """

    def __init__(self, classes: ClassTable, pretrained: bool, folder: str, answer: Answer = "true") -> None:
        super().__init__()
        self.classes, self.grid, self.image_size, self.answer = classes, GRID, (45, 80), answer
        self.files = {int(path.stem): path for path in Path(folder).iterdir()}
        self.nothing = nn.Parameter(torch.zeros(1))  # weights that a bundle can hold

    def forward(self, frames, memory=None):
        stamp = int(frames.reference_stamp_ns[0, 0])
        if self.answer == "late":
            stamp = max((known for known in self.files if known < stamp), default=0)
        labels = np.full(GRID.shape, self.classes.free_id, np.uint8)
        if stamp in self.files:
            labels = np.load(self.files[stamp])
        change = {
            "mirrored in x": lambda a: a[::-1], "mirrored in y": lambda a: a[:, ::-1], "turned": np.rot90,
        }.get(self.answer, np.asarray)  # fmt: skip
        field = VoxelField(torch.zeros(1, *GRID.shape), torch.zeros(1, *GRID.shape, 1), GRID)
        return Output(field, torch.from_numpy(np.ascontiguousarray(change(labels)))[None])

    def losses(self, output, frames):
        return {"none": self.nothing.sum()}

    def occupancy(self, output, grid=None):
        return SemanticGrid(output.labels, GRID, self.classes)


def write_bundle(patch, path: Path, folder: Path, answer: Answer = "true") -> Path:
    """A bundle of the method, which can be loaded until the patch is undone."""
    patch.setitem(METHODS, NAME, (TrueLabels.__module__, "TrueLabels"))
    arguments = {"folder": str(folder), "answer": answer}
    save_bundle(path, NAME, arguments, TrueLabels(OCC3D_NUSCENES, False, **arguments), "# true labels\n")
    return path
