# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What a tree of the plain world holds: things per name, and what predictions score that see no picture or a wrong one.

Run: ``python benchmarks/plain_world.py data/plain/val``
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from jsonargparse import auto_cli
from scipy import ndimage

from gsocc_core.data.args import DataArgs
from gsocc_core.data.build import build_dataset
from gsocc_core.data.drives import DriveDataset
from gsocc_core.data.names import NAMES_FOLDER, NameTable, read_names
from gsocc_core.evaluation.label_sources import donor_from_another_scene
from gsocc_core.evaluation.score import lidar_positions
from gsocc_core.metrics.confusion import VoxelConfusion
from gsocc_core.metrics.rayiou import RayIoU, ray_origins
from gsocc_core.synthetic.world.plain_things import GROUND

_SMALLEST = 2  # voxels that a thing must have to be counted


def count_things(dataset: DriveDataset, table: NameTable) -> dict[str, int]:
    """Things of each name of which some key frame's labels hold two voxels or more.

    What has a box is told apart by its size, the rest by its place.
    """
    grid, ground = dataset.protocol.grid, [dataset.protocol.classes.names.index(name) for name in GROUND]
    centers = grid.centers.numpy().astype(np.float64)
    boxed: dict[str, set[tuple[object, ...]]] = defaultdict(set)
    standing: dict[tuple[str, str], list[np.ndarray]] = defaultdict(list)
    for index in range(len(dataset)):
        frame = dataset.key_frame(index)
        found = read_names(dataset.root / NAMES_FOLDER, frame.scene_name, frame.token).voxels
        for name_id, name in enumerate(table.names):
            points = centers[found == name_id]
            if table.class_ids[name_id] in ground:
                continue
            if table.class_ids[name_id] not in dataset.protocol.classes.dynamic_ids:
                standing[name, frame.scene_name].append(points @ frame.T_world_ego[:3, :3].T + frame.T_world_ego[:3, 3])
            elif frame.boxes is not None:
                of_box = frame.boxes.index_of(points)
                for box in np.flatnonzero(np.bincount(of_box[of_box >= 0]) >= _SMALLEST):
                    boxed[name].add((frame.scene_name, *frame.boxes.sizes_lwh_m[box].round(4)))
    counts = {name: len(things) for name, things in boxed.items()}
    for (name, _), parts in standing.items():
        cells = np.unique(np.floor(np.concatenate(parts)[:, :2] / min(grid.size_m)).astype(int), axis=0)
        if len(cells):
            plan = np.zeros(np.ptp(cells, axis=0) + 1, bool)
            plan[tuple((cells - cells.min(0)).T)] = True
            blobs = ndimage.label(plan, np.ones((3, 3)))[0]
            large = np.bincount(blobs.ravel())[1:] >= _SMALLEST
            counts[name] = counts.get(name, 0) + int(large.sum())
    return counts


def plain_world(dataroot: str, version: str = "v1.0-synthetic", split: str = "val", limit: int = 60) -> None:
    """Print the counts and the scores.

    Args:
        dataroot: Tree that was written with ``--world plain --names true``.
        version: Name of the tables' folder.
        split: Which drives.
        limit: Key frames that are scored, evenly spread.
    """
    args = DataArgs(dataroot, version, split, depth_dir=None, semantics_dir=None, views=1, boxes=True)
    dataset = build_dataset(args, (16, 28))
    table = NameTable.load(dataset.root / NAMES_FOLDER / "names.json")
    things = count_things(dataset, table)
    print(f"{len(dataset)} key frames; things with at least {_SMALLEST} voxels in one of them:")
    print(", ".join(f"{name} {count}" for name, count in sorted(things.items(), key=lambda item: item[1])))
    classes, grid = dataset.protocol.classes, dataset.protocol.grid
    layer, ground = int((0.0 - grid.lower[2]) / grid.size_m[2]), [classes.names.index(name) for name in GROUND]
    donor, rng = donor_from_another_scene(dataset), np.random.default_rng(0)
    frames = np.unique(np.linspace(0, len(dataset) - 1, limit).round().astype(int))
    truths = [dataset.voxel_labels(index) for index in frames]
    seen = [truth.semantics[:, :, layer][truth.mask_camera[:, :, layer] > 0] for truth in truths]
    share = np.bincount(np.concatenate(seen), minlength=len(classes.names))[ground]
    scores = {kind: (VoxelConfusion(classes, "camera"), RayIoU(classes, grid)) for kind in ("chance", "swapped")}
    for index, truth in zip(frames, truths, strict=True):
        frame = dataset.key_frame(index)
        drawn = np.full(grid.shape, classes.free_id, np.uint8)
        drawn[:, :, layer] = rng.choice(ground, grid.shape[:2], p=share / share.sum())
        other = dataset.voxel_labels(donor(index)).semantics.copy()
        unseen = other[:, :, layer] == classes.free_id
        other[:, :, layer][unseen] = drawn[:, :, layer][unseen]
        for kind, labels in (("chance", drawn), ("swapped", other)):
            scores[kind][0].update(truth.semantics, labels, truth.mask_camera, truth.mask_lidar)
            scores[kind][1].update(truth.semantics, labels, ray_origins(lidar_positions(dataset, frame)))
    print("shares of the ground: " + ", ".join(f"{name} {s:.2f}" for name, s in zip(GROUND, share / share.sum())))
    for kind, title in (
        ("chance", "ground drawn by these shares, nothing else"),
        ("swapped", "another drive's labels"),
    ):
        voxels, rays = (metric.scores() for metric in scores[kind])
        print(f"{title}: mIoU {100 * voxels.miou:.1f}, RayIoU {100 * rays.rayiou:.1f}")  # type: ignore[attr-defined]


if __name__ == "__main__":
    auto_cli(plain_world)
