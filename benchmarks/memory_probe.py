# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What a streaming model does with its memory: the same weights with the memory as it is, misplaced, and taken away.

    python benchmarks/memory_probe.py BUNDLE DATAROOT [--scenes 4]

``streaming``: key frames in order, as in evaluation. ``standing``: the memory is not moved by the ego motion; a memory
that is used for what it holds must then be worse. ``reset``: forgotten before every key frame. One camera is then taken
away in every second key frame, which alone are scored: with the memory of the key frame before, and without any. Beside
the voxels that the cameras see: those hidden now that the four key frames before saw, over classes that cannot move.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jsonargparse import auto_cli
from tqdm import tqdm

from gsocc_core import OccupancyPredictor
from gsocc_core.data.build import build_dataset
from gsocc_core.data.drives import DriveDataset
from gsocc_core.evaluation.score import scoring_data
from gsocc_core.geometry.frames import FrameSet
from gsocc_core.metrics.confusion import VoxelConfusion


def without(frames: FrameSet, camera: str) -> FrameSet:
    """The frames as if the picture of a camera had not come."""
    index = frames.camera_names.index(camera)
    valid, images = frames.valid.clone(), frames.images.clone()
    valid[:, :, index], images[:, :, index] = False, 0
    return replace(frames, valid=valid, images=images)


def run(
    predictor: OccupancyPredictor, dataset: DriveDataset, kind: str, camera: str | None
) -> tuple[VoxelConfusion, VoxelConfusion]:
    """Count one pass over the data set: voxels seen now, and voxels seen before."""
    confusion, before, seen = (
        VoxelConfusion(predictor.classes, dataset.protocol.mask),
        VoxelConfusion(predictor.classes),
        {},
    )
    predictor.reset()
    for index in tqdm(range(len(dataset)), desc=f"{kind} {camera or ''}", unit="frame"):
        frames, scene = dataset[index], dataset.key_frame(index).scene_name
        place = seen[scene] = seen.get(scene, -1) + 1
        lost = camera is not None and place % 2 == 1
        if kind == "standing":
            frames = replace(frames, T_world_ego=torch.eye(4, dtype=torch.float64)[None])
        if kind == "reset":
            predictor.reset()
        found = predictor.predict_frames(without(frames, camera) if lost else frames).grid
        targets = frames.targets
        if camera is None or lost:
            masks = targets.mask_camera[0].numpy(), targets.mask_lidar[0].numpy()
            confusion.update(targets.labels[0].numpy(), found.labels.numpy(), *masks)
            before.update(targets.labels[0].numpy(), found.labels.numpy(), targets.mask_remembered[0].numpy())
    return confusion, before


def memory_probe(
    bundles: tuple[str, ...], dataroot: str, version: str = "v1.0-synthetic", split: str | None = "val",
    scenes: int | None = None, camera: str = "CAM_FRONT", threads: int = 1,
) -> None:  # fmt: skip
    """Print scores of every kind, mean over bundles.

    Args:
        bundles: Bundles with ``model.memory``, for instance of several training seeds.
        dataroot: Tree in nuScenes layout with Occ3D labels.
        version: Name of the tables' folder.
        split: A split; null = all scenes.
        scenes: Only the first so many drives.
        camera: The one that is lost.
        threads: CPU threads.
    """
    torch.set_num_threads(threads)
    data = scoring_data(dataroot, version, split, remembered=4)
    kinds = [(kind, lost) for lost in (None, camera) for kind in ("streaming", "standing", "reset")]
    rows: dict[tuple[str, str | None], list[list[float]]] = {kind: [] for kind in kinds}
    for bundle in bundles:
        predictor = OccupancyPredictor.load(bundle, "cpu")
        dataset = build_dataset(data, predictor.image_size)
        if scenes is not None:
            names = tuple(frames[0].scene_name for frames in dataset.scenes[:scenes])
            dataset = build_dataset(replace(data, scenes=names), predictor.image_size)
        for kind in kinds:
            now, before = (confusion.scores() for confusion in run(predictor, dataset, *kind))
            moving = [predictor.classes.names[i] for i in predictor.classes.dynamic_ids]
            still = before.miou_of([name for name in before.per_class if name not in moving])
            rows[kind].append([100 * value for value in (now.miou, now.iou, still, before.iou)])
    print("| pictures | memory | mIoU | IoU | seen before: mIoU | IoU |\n|---|---|---:|---:|---:|---:|")
    for (kind, lost), found in rows.items():
        numbers = " | ".join(f"{value:.2f}" for value in np.mean(found, axis=0))
        print(f"| {'all' if lost is None else f'without {lost}'} | {kind} | {numbers} |")


if __name__ == "__main__":
    auto_cli(memory_probe)
