# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Scoring: models, baselines and controls through one loop over a data set."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from gsocc_core.bundle import load_bundle
from gsocc_core.data.nuscenes import DataArgs, NuScenesOccupancy
from gsocc_core.data.nuscenes_index import KeyFrame
from gsocc_core.errors import DataError
from gsocc_core.geometry.classes import OCC3D_NUSCENES, ClassTable
from gsocc_core.geometry.frames import FrameSet
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.metrics.confusion import MaskPolicy, VoxelConfusion, bootstrap_interval, scores_of
from gsocc_core.metrics.rayiou import RayIoU, ray_origins, ray_scores_of

#: Gives (X, Y, Z) uint8 labels for one frame set (B = 1).
LabelSource = Callable[[FrameSet], np.ndarray]


@dataclass(frozen=True)
class Scores:
    """Scores over a data set, 0..1.

    Attributes:
        name: What was scored.
        frames: Key frames.
        scenes: Scenes.
        mask: Which voxels count for ``miou``, ``miou_15`` and ``iou``.
        miou: Mean IoU over the classes present, of 17.
        miou_15: The same without ``others`` and ``other_flat``.
        iou: Occupied against free.
        rayiou: Mean RayIoU at 1, 2 and 4 m; nan when not asked for.
        rayiou_15: The same without ``others`` and ``other_flat``.
        intervals: 95 % bootstrap intervals over scenes of miou, iou and rayiou.
        per_class: IoU per class; nan where absent.
        absent: Classes left out of the mean.
        seconds_per_frame: Time of one prediction, loading excluded.
    """

    name: str
    frames: int
    scenes: int
    mask: str
    miou: float
    miou_15: float
    iou: float
    rayiou: float
    rayiou_15: float
    intervals: dict[str, tuple[float, float]]
    per_class: dict[str, float]
    absent: tuple[str, ...]
    seconds_per_frame: float


def score(
    name: str,
    dataset: NuScenesOccupancy,
    source: LabelSource,
    *,
    limit: int | None = None,
    rays: bool = True,
    mask: MaskPolicy = "camera",
    classes: ClassTable = OCC3D_NUSCENES,
    grid: VoxelGrid | None = None,
    donor: Callable[[int], int] | None = None,
) -> Scores:
    """Score a source of labels against Occ3D ground truth.

    Args:
        name: Shown in reports.
        dataset: With voxel labels.
        source: Gives the labels.
        limit: Score only so many key frames, evenly spread.
        rays: Compute RayIoU.
        mask: Which voxels count.
        classes: Class table of the labels.
        grid: Grid of the labels; None = Occ3D's.
        donor: Index of the key frame whose pictures replace an item's own (a control: a model that looks must fail).

    Returns:
        The scores.

    Raises:
        DataError: the data set has no voxel labels.
    """
    grid = grid or VoxelGrid.occ3d()
    picks = range(len(dataset))
    if limit is not None and limit < len(dataset):
        picks = sorted({round(i * (len(dataset) - 1) / max(limit - 1, 1)) for i in range(limit)})  # type: ignore[assignment]
    confusion, ray = VoxelConfusion(classes, mask), RayIoU(classes, grid)
    voxel_parts: dict[str, np.ndarray] = {}
    ray_parts: dict[str, np.ndarray] = {}
    seconds = 0.0
    for index in tqdm(picks, desc=name, unit="frame"):
        frames, frame = dataset[index], dataset.key_frame(index)
        targets = frames.targets
        if targets is None or targets.labels is None or targets.mask_camera is None or targets.mask_lidar is None:
            raise DataError(dataset.root, "occ3d_dir", "voxel labels (a test split has none)", "none")
        seen = frames if donor is None else _with_pictures(frames, dataset[donor(index)])
        started = time.perf_counter()
        predicted = source(seen)
        seconds += time.perf_counter() - started
        truth = targets.labels[0].numpy()
        part = confusion.count(truth, predicted, targets.mask_camera[0].numpy(), targets.mask_lidar[0].numpy())
        _add(voxel_parts, frame.scene_name, part)
        if rays:
            origins = ray_origins(lidar_positions(dataset, frame))
            _add(ray_parts, frame.scene_name, ray.count(truth, predicted, origins))
    return _summary(name, len(picks), list(voxel_parts.values()), list(ray_parts.values()), seconds, mask, classes)


def lidar_positions(dataset: NuScenesOccupancy, frame: KeyFrame) -> np.ndarray:
    """(K, 3) LiDAR positions of all key frames of a frame's scene in its ego frame, metres."""
    scene = next(frames for frames in dataset.scenes if frames[0].scene_name == frame.scene_name)
    T_ego_world = np.linalg.inv(frame.T_world_ego)
    return np.stack([(T_ego_world @ f.T_world_ego @ f.T_ego_lidar)[:3, 3] for f in scene])


def model_source(
    bundle: str | Path, device: str = "auto"
) -> tuple[LabelSource, tuple[int, int], ClassTable, VoxelGrid]:
    """A bundle as a source of labels.

    Args:
        bundle: Folder or hub id.
        device: cpu, cuda or auto.

    Returns:
        The source, the network's (height, width), its class table and grid.
    """
    loaded = load_bundle(bundle)
    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    method: Any = loaded.method.to(chosen)
    memory: dict[str, Any] = {}

    @torch.inference_mode()
    def labels(frames: FrameSet) -> np.ndarray:
        on_device = frames.map(lambda t: t.to(chosen))
        scene = frames.scene_names[0]
        output = method(on_device, memory.get(scene))
        memory.clear()  # only the present scene's stream is alive
        memory[scene] = output.memory
        result: Tensor = method.occupancy(output, method.grid).labels[0]
        return result.cpu().numpy()

    return labels, method.image_size, loaded.classes, method.grid


def majority_labels(dataset: NuScenesOccupancy, classes: ClassTable = OCC3D_NUSCENES) -> np.ndarray:
    """(X, Y, Z) most frequent label of every voxel over the key frames whose cameras see it; free where none does."""
    shape = VoxelGrid.occ3d().shape
    counts = np.zeros((len(classes.names), math.prod(shape)), np.int32)
    for index in tqdm(range(len(dataset)), desc="majority", unit="frame"):
        targets = dataset[index].targets
        if targets is None or targets.labels is None or targets.mask_camera is None:
            raise DataError(dataset.root, "occ3d_dir", "voxel labels", "none")
        seen = np.flatnonzero(targets.mask_camera[0].numpy())
        counts[targets.labels[0].numpy().reshape(-1)[seen], seen] += 1
    majority = counts.argmax(0)
    majority[counts.sum(0) == 0] = classes.free_id
    return majority.reshape(shape).astype(np.uint8)


def ground_labels(classes: ClassTable = OCC3D_NUSCENES) -> np.ndarray:
    """(X, Y, Z) driveable surface in the layer that holds z = 0, free elsewhere."""
    grid = VoxelGrid.occ3d()
    labels = np.full(grid.shape, classes.free_id, np.uint8)
    labels[:, :, int((0.0 - grid.lower[2]) / grid.size_m[2])] = classes.names.index("driveable_surface")
    return labels


def constant_source(labels: np.ndarray) -> LabelSource:
    """The same labels whatever the pictures show."""
    return lambda _: labels


def donor_from_another_scene(dataset: NuScenesOccupancy, seed: int = 0) -> Callable[[int], int]:
    """For every item one of another scene, drawn once.

    Raises:
        DataError: there is only one scene.
    """
    if len(dataset.scenes) < 2:
        raise DataError(dataset.root, "scenes", "at least two, to swap pictures between them", 1)
    rng = np.random.default_rng(seed)
    scene_of = np.array([scene for scene, _ in dataset.items])
    donors = [int(rng.choice(np.flatnonzero(scene_of != scene))) for scene in scene_of]
    return donors.__getitem__


def write_report(scores: Sequence[Scores], path: str | Path) -> None:
    """Write ``<path>.json`` and ``<path>.md``; each appears only when complete."""
    base = Path(path)
    base.parent.mkdir(parents=True, exist_ok=True)
    for suffix, text in ((".json", json.dumps([asdict(s) for s in scores], indent=1)), (".md", markdown(scores))):
        target = base.with_name(base.name + suffix)
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        temporary.write_text(text + "\n", encoding="utf-8")
        temporary.replace(target)


def markdown(scores: Sequence[Scores]) -> str:
    """Two tables: overall with intervals, and IoU per class; percent."""

    def cell(value: float, interval: tuple[float, float] | None = None) -> str:
        if math.isnan(value):
            return "-"
        return f"{100 * value:.1f}" + (f" ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})" if interval else "")

    lines = ["| | frames | mIoU | mIoU-15 | IoU | RayIoU | RayIoU-15 |", "|---|---|---|---|---|---|---|"]
    for s in scores:
        get = s.intervals.get
        row = (cell(s.miou, get("miou")), cell(s.miou_15), cell(s.iou, get("iou")), cell(s.rayiou, get("rayiou")))
        lines.append(f"| {s.name} | {s.frames} | {' | '.join(row)} | {cell(s.rayiou_15)} |")
    lines += ["", f"| class | {' | '.join(s.name for s in scores)} |", "|---" * (len(scores) + 1) + "|"]
    for name in scores[0].per_class:
        lines.append(f"| {name} | {' | '.join(cell(s.per_class.get(name, math.nan)) for s in scores)} |")
    return "\n".join(lines)


def _with_pictures(frames: FrameSet, other: FrameSet) -> FrameSet:
    return replace(frames, images=other.images, cameras=other.cameras)


def _add(parts: dict[str, np.ndarray], key: str, value: np.ndarray) -> None:
    parts[key] = parts[key] + value if key in parts else value


def _summary(
    name: str,
    frames: int,
    voxel_parts: list[np.ndarray],
    ray_parts: list[np.ndarray],
    seconds: float,
    mask: str,
    classes: ClassTable,
) -> Scores:
    total = scores_of(np.sum(voxel_parts, axis=0), classes)
    rays = ray_scores_of(np.sum(ray_parts, axis=0), classes) if ray_parts else None
    intervals = {
        "miou": bootstrap_interval(voxel_parts, lambda m: scores_of(m, classes).miou),
        "iou": bootstrap_interval(voxel_parts, lambda m: scores_of(m, classes).iou),
    }
    if ray_parts:
        intervals["rayiou"] = bootstrap_interval(ray_parts, lambda c: ray_scores_of(c, classes).rayiou)
    return Scores(
        name=name,
        frames=frames,
        scenes=len(voxel_parts),
        mask=mask,
        miou=total.miou,
        miou_15=total.miou_15,
        iou=total.iou,
        rayiou=rays.rayiou if rays else math.nan,
        rayiou_15=rays.rayiou_15 if rays else math.nan,
        intervals=intervals,
        per_class=total.per_class,
        absent=total.absent,
        seconds_per_frame=seconds / max(frames, 1),
    )


def labels_only(data: DataArgs) -> DataArgs:
    """The same data without labels per picture, as scoring needs no more."""
    return replace(data, depth_dir=None, semantics_dir=None, views=1)
