# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Scoring: models, baselines and controls through one loop over a data set."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from gsocc_core.data.args import DataArgs, DatasetName, check_limit
from gsocc_core.data.build import build_dataset, check_fit, protocol_of, with_voxel_labels
from gsocc_core.data.drives import DriveDataset
from gsocc_core.data.key_frames import KeyFrame
from gsocc_core.data.protocol import Protocol
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.evaluation.counts import Counts
from gsocc_core.evaluation.label_sources import (
    LabelSource,
    constant_source,
    donor_from_another_scene,
    ground_labels,
    majority_labels,
    model_source,
)
from gsocc_core.evaluation.lidar_depth import ConstantDepth, add_lidar_depth
from gsocc_core.evaluation.report import Scores
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.frames import FrameSet
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.metrics.confusion import (
    AbsentRule,
    MaskPolicy,
)

# Pictures that nobody looks at are decoded as small as they get.
_ANY_SIZE = (16, 28)
#: Pictures' size for constant depth, one number per pixel.
_DEPTH_SIZE = (48, 88)


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
    remembered: int = 0,
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
        remembered: Earlier key frames that say which hidden voxels were seen before; see :class:`DataArgs`.

    Returns:
        The arguments.

    Raises:
        ConfigError: ``labels_dir`` names a folder, and the data set has no voxel labels.
    """
    args = DataArgs(
        dataroot, version, split, scenes, occ3d_dir=occ3d_dir, depth_dir=None, semantics_dir=None, views=1, boxes=boxes,
        dataset=dataset, fraction=fraction, fraction_seed=fraction_seed, input_depth_dir=input_depth_dir,
        input_features_dir=input_features_dir, masks_dir=masks_dir, remembered=remembered,
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
        The scores; with velocity errors if ``data.boxes`` and the model gives velocities, and those of voxels seen
        before if ``data.remembered``.

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
        limit: Score only so many key frames, evenly spread; a source with a memory is shown those between, too.
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
    metrics = Counts(classes, grid, mask or protocol.mask, absent)
    shown, remembers = -1, False
    for index in tqdm(picks, desc=name, unit="frame"):
        frames, frame = dataset[index], dataset.key_frame(index)
        # A memory holds what was seen on the way: key frames that are not scored are part of a drive, too.
        for earlier in range(shown + 1, index) if remembers else ():
            if dataset.key_frame(earlier).scene_name == frame.scene_name:
                source(_seen(dataset, earlier, dataset[earlier], donor))
        seen, shown = _seen(dataset, index, frames, donor), index
        started = time.perf_counter()
        answer = source(seen)
        metrics.seconds += time.perf_counter() - started
        remembers = answer.remembers
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


def _seen(dataset: DriveDataset, index: int, frames: FrameSet, donor: Callable[[int], int] | None) -> FrameSet:
    """What a method gets of an item: depth and features show as much as the pictures that they belong to."""
    if donor is None:
        return frames
    other = dataset[donor(index)]
    return replace(frames, images=other.images, cameras=other.cameras, depth_m=other.depth_m, features=other.features)
