# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Scoring: models, baselines and controls through one loop over a data set."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from gsocc_core.data.nuscenes import DataArgs, NuScenesOccupancy
from gsocc_core.data.nuscenes_index import KeyFrame
from gsocc_core.data.occ3d import read_occ3d
from gsocc_core.errors import DataError
from gsocc_core.geometry.classes import OCC3D_NUSCENES, ClassTable
from gsocc_core.geometry.frames import FrameSet
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.metrics.confusion import MaskPolicy, VoxelConfusion, bootstrap_interval, scores_of
from gsocc_core.metrics.rayiou import RayIoU, ray_origins, ray_scores_of
from gsocc_core.predictor import OccupancyPredictor

#: Gives (X, Y, Z) uint8 labels for one frame set (B = 1).
LabelSource = Callable[[FrameSet], np.ndarray]

# Pictures that nobody looks at are decoded as small as they get.
_ANY_SIZE = (16, 28)


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


def scoring_data(
    dataroot: str,
    version: str,
    split: str | None = None,
    scenes: tuple[str, ...] | None = None,
    occ3d_dir: str | None = "gts",
) -> DataArgs:
    """Arguments for reading pictures and voxel labels, but no labels per picture.

    Args:
        dataroot: Tree in nuScenes layout.
        version: Name of the tables' folder.
        split: A split; None = all scenes.
        scenes: Explicit scene names; they win over ``split``.
        occ3d_dir: Folder of Occ3D labels; None = read none.

    Returns:
        The arguments.
    """
    return DataArgs(
        dataroot, version, split, scenes, occ3d_dir=occ3d_dir, depth_dir=None, semantics_dir=None, views=1
    )  # fmt: skip


def score_bundle(
    name: str,
    bundle: str | Path,
    data: DataArgs,
    limit: int | None = None,
    rays: bool = True,
    mask: MaskPolicy = "camera",
    swap_pictures: bool = False,
    device: str = "auto",
) -> Scores:
    """Score a bundle on a data set.

    Args:
        name: Shown in reports.
        bundle: Folder or hub id.
        data: What to score on.
        limit: Score only so many key frames, evenly spread.
        rays: Compute RayIoU.
        mask: Which voxels count.
        swap_pictures: Control: show the model pictures of other drives.
        device: cpu, cuda or auto.

    Returns:
        The scores.

    Raises:
        BundleError: the bundle is damaged.
        DataError: the data set is incomplete, or has a single scene to swap pictures with.
    """
    source, image_size, classes, grid = model_source(bundle, device)
    dataset = NuScenesOccupancy(data, image_size)
    donor = donor_from_another_scene(dataset) if swap_pictures else None
    return score(
        name, dataset, source, limit=limit, rays=rays, mask=mask, classes=classes, grid=grid, donor=donor
    )  # fmt: skip


def score_baseline(
    kind: Literal["majority", "ground"],
    data: DataArgs,
    train_split: str = "train",
    train_dataroot: str | None = None,
    limit: int | None = None,
    rays: bool = True,
    mask: MaskPolicy = "camera",
) -> Scores:
    """Score labels that depend on no picture.

    Args:
        kind: See :func:`majority_labels` and :func:`ground_labels`.
        data: What to score on.
        train_split: Where the majority is counted.
        train_dataroot: Tree of that split; None = the tree of ``data``.
        limit: Score only so many key frames, evenly spread.
        rays: Compute RayIoU.
        mask: Which voxels count.

    Returns:
        The scores.

    Raises:
        DataError: the data set is incomplete.
    """
    if kind == "majority":
        counted = replace(data, dataroot=train_dataroot or data.dataroot, split=train_split, scenes=None)
        labels = majority_labels(NuScenesOccupancy(counted, _ANY_SIZE))
    else:
        labels = ground_labels()
    dataset = NuScenesOccupancy(data, _ANY_SIZE)
    return score(kind, dataset, constant_source(labels), limit=limit, rays=rays, mask=mask)


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
    predictor = OccupancyPredictor.load(bundle, device)

    def labels(frames: FrameSet) -> np.ndarray:
        return predictor.predict_frames(frames).grid.labels.numpy()

    return labels, predictor.image_size, predictor.classes, predictor.grid


def majority_labels(dataset: NuScenesOccupancy, classes: ClassTable = OCC3D_NUSCENES) -> np.ndarray:
    """Most frequent label of every voxel over the key frames whose cameras see it.

    Args:
        dataset: With voxel labels; pictures are not read.
        classes: Class table.

    Returns:
        (X, Y, Z) uint8; free where no camera ever sees.

    Raises:
        DataError: the data set has no voxel labels.
    """
    shape = VoxelGrid.occ3d().shape
    counts = np.zeros((len(classes.names), math.prod(shape)), np.int32)
    if dataset.args.occ3d_dir is None:
        raise DataError(dataset.root, "occ3d_dir", "voxel labels (a test split has none)", "none")
    for index in tqdm(range(len(dataset)), desc="majority", unit="frame"):
        frame = dataset.key_frame(index)
        found = read_occ3d(dataset.root / dataset.args.occ3d_dir / frame.scene_name / frame.token / "labels.npz")
        seen = np.flatnonzero(found.mask_camera)
        counts[found.semantics.reshape(-1)[seen], seen] += 1
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


def report(scores: Sequence[Scores], out: str | Path | None) -> None:
    """Print the scores and, unless ``out`` is None, write them too."""
    if out is not None:
        write_report(scores, out)
    sys.stdout.write(markdown(scores) + "\n")


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
