# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What a tree of the plain world holds: key frames per name, and what drawing the ground's class by chance scores.

Run: ``python benchmarks/plain_world.py data/plain/val``
"""

from __future__ import annotations

import numpy as np
from jsonargparse import auto_cli

from gsocc_core.data.args import DataArgs
from gsocc_core.data.build import build_dataset
from gsocc_core.data.names import NAMES_FOLDER, NameTable, read_names
from gsocc_core.metrics.confusion import VoxelConfusion
from gsocc_core.synthetic.world.plain_things import GROUND


def plain_world(dataroot: str, version: str = "v1.0-synthetic", split: str = "val") -> None:
    """Print the counts and the score.

    Args:
        dataroot: Tree that was written with ``--world plain --names true``.
        version: Name of the tables' folder.
        split: Which drives.
    """
    args = DataArgs(dataroot, version, split, depth_dir=None, semantics_dir=None, views=1)
    dataset = build_dataset(args, (16, 28))
    classes, grid = dataset.protocol.classes, dataset.protocol.grid
    ground = [classes.names.index(name) for name in GROUND]
    layer = int((0.0 - grid.lower[2]) / grid.size_m[2])
    table = NameTable.load(dataset.root / NAMES_FOLDER / "names.json")
    seen, chance, rng = np.zeros(256, np.int64), VoxelConfusion(classes, "camera"), np.random.default_rng(0)
    for index in range(len(dataset)):
        frame, truth = dataset.key_frame(index), dataset.voxel_labels(index)
        found = read_names(dataset.root / NAMES_FOLDER, frame.scene_name, frame.token)
        seen[np.unique(found.voxels)] += 1
        drawn = np.full(grid.shape, classes.free_id, np.uint8)
        drawn[:, :, layer] = rng.choice(ground, grid.shape[:2])
        chance.update(truth.semantics, drawn, truth.mask_camera, truth.mask_lidar)
    print(f"{len(dataset)} key frames; those in which each name has voxels:")
    print(", ".join(f"{name} {seen[i]}" for i, name in enumerate(table.names)))
    print(f"mIoU of a ground class drawn by chance: {100 * chance.scores().miou:.1f}")


if __name__ == "__main__":
    auto_cli(plain_world)
