# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Scoring: models, baselines and controls through one loop over a data set."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from tqdm import tqdm

from gsocc_core.data.args import DataArgs, DatasetName, check_limit
from gsocc_core.data.build import build_dataset, check_fit, protocol_of, with_voxel_labels
from gsocc_core.data.drives import DriveDataset
from gsocc_core.data.key_frames import KeyFrame
from gsocc_core.data.protocol import Protocol
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.evaluation.label_sources import (
    Answer,
    LabelSource,
    constant_source,
    donor_from_another_scene,
    ground_labels,
    majority_labels,
    model_source,
)
from gsocc_core.evaluation.lidar_depth import ConstantDepth, add_lidar_depth
from gsocc_core.evaluation.report import Scores
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.frames import FrameSet
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.metrics.confusion import (
    LEFT_OUT_OF_15,
    AbsentRule,
    IoUScores,
    MaskPolicy,
    VoxelConfusion,
    bootstrap_interval,
    scores_of,
)
from gsocc_core.metrics.depth import DepthErrors
from gsocc_core.metrics.image_metrics import TOP_DOWN, ImageMetrics
from gsocc_core.metrics.rayiou import RayIoU, ray_origins, ray_scores_of
from gsocc_core.metrics.velocity import VelocityErrors

# Pictures that nobody looks at are decoded as small as they get.
_ANY_SIZE = (16, 28)
#: Pictures' size for constant depth, one number per pixel.
_DEPTH_SIZE = (48, 88)
#: Scores where there are no voxel labels.
_NO_VOXELS = IoUScores(math.nan, math.nan, math.nan, {}, ())


def scoring_data(
    dataroot: str,
    version: str,
    split: str | None = None,
    scenes: tuple[str, ...] | None = None,
    occ3d_dir: str | None = "gts",
    boxes: bool = False,
    dataset: DatasetName = "occ3d",
    labels_dir: str | None = None,
    fraction: float = 1.0,
    fraction_seed: int = 0,
    input_depth_dir: str | None = None,
    input_features_dir: str | None = None,
    masks_dir: str | None = None,
) -> DataArgs:
    """Arguments for reading pictures, what comes beside them, and voxel labels, but no labels per picture.

    Args:
        dataroot: Folder with the data set.
        version: Name of the tables' folder of a nuScenes tree.
        split: A split; None = all scenes.
        scenes: Explicit scene names; they win over ``split``.
        occ3d_dir: Folder of Occ3D labels; None = read no voxel labels of any data set.
        boxes: Read annotated boxes, for velocities.
        dataset: Which data set.
        labels_dir: Folder of its voxel labels; None = the usual one, or ``occ3d_dir``.
        fraction: Part of the key frames; see :class:`DataArgs`.
        fraction_seed: Chooses them.
        input_depth_dir: Folder of depth that comes beside the pictures; None = none.
        input_features_dir: Folder of features likewise; None = none.
        masks_dir: Folder of self-occlusion masks; None = none.

    Returns:
        The arguments.

    Raises:
        ConfigError: ``labels_dir`` names a folder, and the data set has no voxel labels.
    """
    args = DataArgs(
        dataroot, version, split, scenes, occ3d_dir=occ3d_dir, depth_dir=None, semantics_dir=None, views=1, boxes=boxes,
        dataset=dataset, fraction=fraction, fraction_seed=fraction_seed, input_depth_dir=input_depth_dir,
        input_features_dir=input_features_dir, masks_dir=masks_dir,
    )  # fmt: skip
    return with_voxel_labels(args, labels_dir) if occ3d_dir is None or labels_dir is not None else args


def score_bundle(
    name: str,
    bundle: str | Path,
    data: DataArgs,
    limit: int | None = None,
    rays: bool | None = None,
    mask: MaskPolicy | None = None,
    swap_pictures: bool = False,
    device: str = "auto",
    depth: bool = False,
    absent: AbsentRule = "left_out",
    image_width: int | None = None,
) -> Scores:
    """Score a bundle on a data set.

    Args:
        name: Shown in reports.
        bundle: Folder or hub id.
        data: What to score on.
        limit: Score only so many key frames, evenly spread.
        rays: Compute RayIoU; None = if the data set's protocol does.
        mask: Which voxels count; None = those of the data set's protocol.
        swap_pictures: Control: show the model pictures of other drives.
        device: cpu, cuda or auto.
        depth: Score the rendered depth at LiDAR points.
        absent: What an absent class counts; see :func:`gsocc_core.metrics.confusion.scores_of`.
        image_width: Score also what cameras would see of the voxels, in pictures of this width, pixels.

    Returns:
        The scores; with velocity errors if ``data.boxes`` and the model gives velocities.

    Raises:
        BundleError: the bundle is damaged.
        ConfigError: the bundle's grid or number of classes is not the data set's, or that has no LiDAR points to score
            depth at, or nothing else to score.
        DataError: the data set is incomplete, or has a single scene to swap pictures with.
    """
    source, image_size, classes, grid = model_source(bundle, device)
    protocol = protocol_of(data)
    check_fit(protocol, classes, grid, bundle)
    _check_scored("evaluate", depth, protocol)
    dataset = build_dataset(data, image_size)
    donor = donor_from_another_scene(dataset) if swap_pictures else None
    return score(
        name, dataset, source, limit=limit, rays=rays, mask=mask, classes=classes, grid=grid, donor=donor, depth=depth,
        absent=absent, image_width=image_width,
    )  # fmt: skip


def score_baseline(
    kind: Literal["majority", "ground"],
    data: DataArgs,
    train_split: str = "train",
    train_dataroot: str | None = None,
    limit: int | None = None,
    rays: bool | None = None,
    mask: MaskPolicy | None = None,
    absent: AbsentRule = "left_out",
    depth: bool = False,
) -> Scores:
    """Score labels that depend on no picture.

    Args:
        kind: See :func:`majority_labels` and :func:`ground_labels`.
        data: What to score on.
        train_split: Where the majority is counted.
        train_dataroot: Tree of that split; None = the tree of ``data``.
        limit: Score only so many key frames, evenly spread.
        rays: Compute RayIoU; None = if the data set's protocol does.
        mask: Which voxels count; None = those of the data set's protocol.
        absent: What an absent class counts; see :func:`gsocc_core.metrics.confusion.scores_of`.
        depth: Score the depth, constant for every pixel, that is best for the LiDAR points of the training scenes; see
            :class:`gsocc_core.evaluation.lidar_depth.ConstantDepth`.

    Returns:
        The scores.

    Raises:
        ConfigError: the data set comes without point clouds to score depth at, or with nothing else to score.
        DataError: the data set is incomplete.
    """
    _check_scored("baseline", depth, protocol_of(data))
    counted = replace(data, dataroot=train_dataroot or data.dataroot, split=train_split, scenes=None)
    if kind == "majority":
        labels = majority_labels(build_dataset(counted, _ANY_SIZE))
    else:
        labels = ground_labels(protocol_of(data))
    size = _DEPTH_SIZE if depth else _ANY_SIZE
    constant = ConstantDepth(build_dataset(counted, size)) if depth else None
    dataset = build_dataset(data, size)
    return score(
        kind, dataset, constant_source(labels), limit=limit, rays=rays, mask=mask, absent=absent,
        constant_depth=constant,
    )  # fmt: skip


def score(
    name: str,
    dataset: DriveDataset,
    source: LabelSource,
    *,
    limit: int | None = None,
    rays: bool | None = None,
    mask: MaskPolicy | None = None,
    classes: ClassTable | None = None,
    grid: VoxelGrid | None = None,
    donor: Callable[[int], int] | None = None,
    depth: bool = False,
    absent: AbsentRule = "left_out",
    image_width: int | None = None,
    constant_depth: ConstantDepth | None = None,
) -> Scores:
    """Score a source of labels against a data set's voxel labels; where it never has any, depth alone.

    Args:
        name: Shown in reports.
        dataset: With voxel labels, or of a data set that has none.
        source: Gives the labels.
        limit: Score only so many key frames, evenly spread.
        rays: Compute RayIoU, voxels without a label being free; None = if the data set's protocol does and its poses
            are known.
        mask: Which voxels count; None = those of the data set's protocol. Voxels without a label never do.
        classes: Class table of the labels; None = the data set's.
        grid: Grid of the labels; None = the data set's.
        donor: Index of the key frame whose pictures replace an item's own (a control: a model that looks must fail).
        depth: Score the depth that the answers' Gaussians render, at the LiDAR points that the cameras see.
        absent: What an absent class counts; see :func:`gsocc_core.metrics.confusion.scores_of`.
        image_width: Score also what the cameras, and one above, would see of the voxels that count, in pictures of this
            width, pixels; see :class:`gsocc_core.metrics.image_metrics.ImageMetrics`.
        constant_depth: Score this depth likewise, whatever the answers are.

    Returns:
        The scores.

    Raises:
        ConfigError: nothing but depth can be scored, and it shall not be; or RayIoU, for which poses must be known.
        DataError: voxel labels are missing, or no depth could be scored where there is nothing else.
    """
    check_limit("evaluate", limit)
    protocol = dataset.protocol
    _check_scored("evaluate", depth or constant_depth is not None, protocol)
    if protocol.labels_field is None and (rays or image_width is not None):
        key, value = ("rays", rays) if rays else ("image_width", image_width)
        raise ConfigError("evaluate", key, f"none: {protocol.title} has no voxel labels", value)
    grid, classes = grid or protocol.grid, classes or protocol.classes
    if rays and not dataset.poses_known:
        raise ConfigError("evaluate", "rays", "none: where the drive led, from which they start, is unknown", rays)
    rays = protocol.rays and dataset.poses_known if rays is None else rays
    picks = range(len(dataset))
    if limit is not None and limit < len(dataset):
        picks = sorted({round(i * (len(dataset) - 1) / max(limit - 1, 1)) for i in range(limit)})  # type: ignore[assignment]
    metrics = _Metrics(classes, grid, mask or protocol.mask, absent)
    for index in tqdm(picks, desc=name, unit="frame"):
        frames, frame = dataset[index], dataset.key_frame(index)
        seen = frames if donor is None else _with_pictures(frames, dataset[donor(index)])
        started = time.perf_counter()
        answer = source(seen)
        metrics.seconds += time.perf_counter() - started
        metrics.seen.add(frame.scene_name)
        if protocol.labels_field is not None:
            origins = lidar_positions(dataset, frame) if rays else None
            metrics.add_labels(dataset, frames, frame, answer, grid, origins, image_width)
        if depth and answer.scene is not None:
            add_lidar_depth(metrics.depths, answer.scene, frames, frame, protocol.max_depth_m)
        if constant_depth is not None:
            constant_depth.add(metrics.depths, frames, frame)
    found = metrics.scores(name, len(picks))
    if protocol.labels_field is None and found.depth is None:
        raise DataError(dataset.root, "depth", "Gaussians of the model, and LiDAR points that its cameras see", "none")
    return found


def _check_scored(command: str, depth: bool, protocol: Protocol) -> None:
    if depth and not protocol.lidar_clouds:
        raise ConfigError(command, "depth", "false: the data set comes without point clouds", depth)
    if not depth and protocol.labels_field is None:
        expected = f"true: {protocol.title} has no voxel labels, its depth alone can be scored"
        raise ConfigError(command, "depth", expected, depth)


def lidar_positions(dataset: DriveDataset, frame: KeyFrame) -> np.ndarray:
    """(K, 3) LiDAR positions of all key frames of a frame's scene in its ego frame, metres; DataError: unknown."""
    scene = next(frames for frames in dataset.scenes if frames[0].scene_name == frame.scene_name)
    T_ego_world = np.linalg.inv(frame.known_pose("RayIoU"))
    return np.stack([(T_ego_world @ f.known_pose("RayIoU") @ f.T_ego_lidar)[:3, 3] for f in scene])


def _with_pictures(frames: FrameSet, other: FrameSet) -> FrameSet:
    """What a method gets of another key frame: depth and features show as much as the pictures that they belong to."""
    return replace(frames, images=other.images, cameras=other.cameras, depth_m=other.depth_m, features=other.features)


class _Metrics:
    """All counts of one run over a data set; those with an interval are kept apart by scene."""

    def __init__(self, classes: ClassTable, grid: VoxelGrid, mask: MaskPolicy, absent: AbsentRule) -> None:
        self.classes, self.mask, self.absent = classes, mask, absent
        self.confusion, self.ray = VoxelConfusion(classes, mask), RayIoU(classes, grid)
        self.velocities = VelocityErrors(classes)
        self.depths: dict[str, DepthErrors] = {}
        self.pictures = ImageMetrics(classes)
        self.voxel_parts: dict[str, np.ndarray] = {}
        self.ray_parts: dict[str, np.ndarray] = {}
        self.seen: set[str] = set()  # scenes
        self.seconds = 0.0

    def add_labels(
        self,
        dataset: DriveDataset,
        frames: FrameSet,
        frame: KeyFrame,
        answer: Answer,
        grid: VoxelGrid,
        ray_origins_ego: np.ndarray | None,
        image_width: int | None,
    ) -> None:
        """Compare an answer with the voxel labels of its key frame, and with its boxes."""
        targets = frames.targets
        if targets is None or targets.labels is None or targets.mask_camera is None or targets.mask_lidar is None:
            key = dataset.protocol.labels_field or "voxel labels"
            raise DataError(dataset.root, key, "voxel labels (a test split has none)", "none")
        truth = targets.labels[0].numpy()
        masks = targets.mask_camera[0].numpy(), targets.mask_lidar[0].numpy()
        self.add_voxels(frame.scene_name, truth, answer.labels, *masks)
        if ray_origins_ego is not None:
            T_grid_ego = np.linalg.inv(grid.T_ego_grid_matrix)
            origins = ray_origins(ray_origins_ego) @ T_grid_ego[:3, :3].T + T_grid_ego[:3, 3]
            solid = np.where(truth == self.classes.ignore_id, np.uint8(self.classes.free_id), truth)
            self.add_rays(frame.scene_name, solid, answer.labels, origins)
        if frame.boxes is not None and answer.velocity is not None:
            self.velocities.update(answer.labels, answer.velocity, grid, frame.boxes)
        if image_width is not None:
            cameras = frames.cameras.map(lambda t: t[:, 0].cpu())
            self.add_pictures(truth, answer.labels, masks, grid, cameras, image_width)

    def add_voxels(self, scene: str, truth: np.ndarray, labels: np.ndarray, *masks: np.ndarray) -> None:
        part = self.confusion.count(truth, labels, *masks)
        self.voxel_parts[scene] = self.voxel_parts[scene] + part if scene in self.voxel_parts else part

    def add_rays(self, scene: str, truth: np.ndarray, labels: np.ndarray, origins: np.ndarray) -> None:
        part = self.ray.count(truth, labels, origins)
        self.ray_parts[scene] = self.ray_parts[scene] + part if scene in self.ray_parts else part

    def add_pictures(
        self,
        truth: np.ndarray,
        labels: np.ndarray,
        masks: tuple[np.ndarray, np.ndarray],
        grid: VoxelGrid,
        cameras: Cameras,
        width: int,
    ) -> None:
        both = masks[0].astype(bool) & masks[1].astype(bool)
        counts = {"camera": masks[0], "lidar": masks[1], "camera_and_lidar": both}.get(self.mask)
        known = truth if counts is None else np.where(counts, truth, np.uint8(self.classes.ignore_id))
        names = [str(view) for view in range(cameras.intrinsics.shape[1])]
        true, found = (torch.from_numpy(np.ascontiguousarray(volume))[None] for volume in (known, labels))
        self.pictures.update_voxels(true, found, grid, cameras, names, render_width=width, top_down_px=width)

    def scores(self, name: str, frames: int) -> Scores:
        classes, voxel_parts, ray_parts = self.classes, list(self.voxel_parts.values()), list(self.ray_parts.values())
        absent, has_15 = self.absent, set(LEFT_OUT_OF_15) <= set(classes.names)
        total = scores_of(np.sum(voxel_parts, axis=0), classes, absent) if voxel_parts else _NO_VOXELS
        rays = ray_scores_of(np.sum(ray_parts, axis=0), classes) if ray_parts else None
        intervals = {}
        if voxel_parts:
            intervals["miou"] = bootstrap_interval(voxel_parts, lambda m: scores_of(m, classes, absent).miou)
            intervals["iou"] = bootstrap_interval(voxel_parts, lambda m: scores_of(m, classes).iou)
        if ray_parts:
            intervals["rayiou"] = bootstrap_interval(ray_parts, lambda c: ray_scores_of(c, classes).rayiou)
        velocity, every = self.velocities.scores(), DepthErrors()
        for errors in self.depths.values():
            every.merge(errors)
        depth, of_cameras = every.scores(), {name: errors.scores() for name, errors in self.depths.items()}
        return Scores(
            name=name,
            frames=frames,
            scenes=len(self.seen),
            mask=self.mask,
            miou=total.miou,
            miou_15=total.miou_15 if has_15 else math.nan,
            iou=total.iou,
            rayiou=rays.rayiou if rays else math.nan,
            rayiou_15=rays.rayiou_15 if rays and has_15 else math.nan,
            intervals=intervals,
            per_class=total.per_class,
            absent=total.absent,
            absent_rule=absent,
            seconds_per_frame=self.seconds / max(frames, 1),
            miou_dynamic=(total.miou_of([classes.names[i] for i in classes.dynamic_ids]) if voxel_parts else math.nan),
            velocity=velocity if velocity.matches else None,
            depth=depth if depth.pixels else None,
            depth_of_cameras=of_cameras if depth.pixels else {},
            images=self.pictures.scores(absent=absent) if self.pictures.views else None,
            top_down=self.pictures.scores((TOP_DOWN,), absent) if self.pictures.views else None,
        )
