# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Label the pictures of a data set or of videos: its share of the key frames, those that are missing, one file each."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from gsocc_core.data.args import SURROUND_CAMERAS, DataArgs, DatasetName
from gsocc_core.data.build import build_dataset, protocol_of, with_voxel_labels
from gsocc_core.data.feature_files import BASIS_FILE, read_basis, write_basis
from gsocc_core.data.key_frames import KeyFrame
from gsocc_core.data.scannet import SCANNET8, is_scannet_tree, read_scannet_key_frames
from gsocc_core.data.video import CAMERA
from gsocc_core.data.view_label_files import MAX_ERROR
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.labels.folder import LabelFolder
from gsocc_core.labels.pretrained import choose_device
from gsocc_core.labels.preview import write_preview
from gsocc_core.labels.prompts import Mode, make_captions, read_prompts
from gsocc_core.labels.shards import Shard, choose_shard
from gsocc_core.labels.stream import Labeller, Precision, StreamOptions, label_key_frames

DEPTH_FOLDER, SEMANTICS_FOLDER, FEATURES_FOLDER = "depth_labels", "semantics_labels", "feature_labels"
_ANY_SIZE = (16, 28)  # nobody looks at these pictures


@dataclass(frozen=True)
class LabelArgs:
    """What to label, and how fast.

    Attributes:
        dataroot: Folder with the data set, or videos as :mod:`gsocc_core.data.scannet` reads them.
        version: Name of the tables' folder of a nuScenes tree.
        out: Folder of the labels, made or continued; None = one of its own name in ``dataroot``.
        split: A split of ``splits.json`` or an official one; None = all scenes.
        scenes: Explicit scene names; they win over ``split``.
        cameras: Camera names; nuScenes' stand for all of another data set, and for ``color``, the only one of videos.
        limit: Only the first so many key frames.
        size: (height, width) of the labels, pixels, of features that of the model's input; None = half the picture.
        batch_size: Pictures per call of the model.
        workers: Threads that decode, and as many that write.
        precision: fp32, or bf16 = the model computes in bfloat16 where that is safe.
        device: cpu, cuda or auto.
        shard: ``i/n`` = the i-th of n parts; None = as the launcher says, else everything.
        dataset: Which data set; videos are found by their folders and need no mention.
    """

    dataroot: str
    version: str = "v1.0-trainval"
    out: str | None = None
    split: str | None = None
    scenes: tuple[str, ...] | None = None
    cameras: tuple[str, ...] = SURROUND_CAMERAS
    limit: int | None = None
    size: tuple[int, int] | None = None
    batch_size: int = 6
    workers: int = 4
    precision: Precision = "fp32"
    device: str = "auto"
    shard: str | None = None
    dataset: DatasetName = "occ3d"

    def __post_init__(self) -> None:
        for key in ("batch_size", "workers", "limit"):
            value = getattr(self, key)
            if value is not None and value < 1:
                raise ConfigError("command line", f"--{key}", "1 or more", value)
        if self.size is not None and min(self.size) < 1:
            raise ConfigError("command line", "--size", "height,width in pixels", self.size)
        if not self.cameras or len(set(self.cameras)) != len(self.cameras):
            raise ConfigError("command line", "--cameras", "different camera names", self.cameras)
        if self.cameras == SURROUND_CAMERAS:
            of_data = DataArgs(self.dataroot, dataset=self.dataset).cameras
            object.__setattr__(self, "cameras", (CAMERA,) if self.of_videos else of_data)
        if self.of_videos and self.cameras != (CAMERA,):
            raise ConfigError("command line", "--cameras", f"{CAMERA}, the only one of these videos", self.cameras)

    @property
    def of_videos(self) -> bool:
        """The tree holds videos in one of ScanNet's layouts."""
        return self.dataset == "occ3d" and is_scannet_tree(self.dataroot)

    @property
    def data(self) -> DataArgs:
        """The pictures alone, for a loader of drives: no labels of any kind, no masks."""
        args = DataArgs(
            self.dataroot, self.version, self.split, self.scenes, self.cameras, depth_dir=None, semantics_dir=None,
            views=1, dataset=self.dataset, masks_dir=None,
        )  # fmt: skip
        return with_voxel_labels(args, None)

    @property
    def classes(self) -> ClassTable:
        """Class table of the tree."""
        return SCANNET8 if self.of_videos else protocol_of(self.data).classes


def label_depth(args: LabelArgs, model: str, max_error: float = MAX_ERROR, focal_px: float | None = None) -> Path:
    """Write metric depth of pictures.

    Args:
        args: What to label.
        model: Folder or hub id of a Depth Anything V2 (metric), ZoeDepth or Depth Pro.
        max_error: Largest relative error that storing may add.
        focal_px: See :class:`gsocc_core.labels.depth.DepthLabeller`.

    Returns:
        The folder of the labels.

    Raises:
        ConfigError: an argument or the model is wrong.
        DataError: the tree or a picture is wrong, or the disk is full; finished key frames stay.
        OutputExistsError: the folder holds something else.
    """
    from gsocc_core.labels.depth import load_depth

    if not 1e-4 <= max_error <= 0.1:
        raise ConfigError("command line", "--max_error", "0.0001 ... 0.1", max_error)
    shard = choose_shard(args.shard, os.environ)
    labeller = load_depth(model, choose_device(args.device, shard.local_index), focal_px)
    return _label(args, shard, labeller, DEPTH_FOLDER, {"model": model, "focal_px": focal_px}, max_error)


def label_semantics(
    args: LabelArgs,
    prompts: str,
    detector: str,
    segmenter: str,
    mode: Mode = "separate",
    box_threshold: float = 0.2,
    text_threshold: float = 0.2,
) -> Path:
    """Write classes of pictures, recognised from words.

    Args:
        args: What to label.
        prompts: YAML file: class name -> phrases.
        detector: Folder or hub id of a GroundingDINO.
        segmenter: Folder or hub id of a SAM or SAM 2.
        mode: One pass per phrase, per class, or for all.
        box_threshold: Lowest score of a box.
        text_threshold: Lowest score of the phrase that names a box.

    Returns:
        The folder of the labels.

    Raises:
        ConfigError: an argument, the prompts or a model is wrong.
        DataError: the tree or a picture is wrong, or the disk is full; finished key frames stay.
        OutputExistsError: the folder holds something else.
    """
    from gsocc_core.labels.boxes import load_detector
    from gsocc_core.labels.masks import load_segmenter
    from gsocc_core.labels.semantics import SemanticsLabeller

    for key, value in (("box_threshold", box_threshold), ("text_threshold", text_threshold)):
        if not 0 <= value <= 1:
            raise ConfigError("command line", f"--{key}", "0 ... 1", value)
    classes = args.classes
    phrases = read_prompts(prompts, classes)
    shard = choose_shard(args.shard, os.environ)
    device = choose_device(args.device, shard.local_index)
    found = load_detector(detector, device, box_threshold, text_threshold)
    captions = make_captions(phrases, mode, found.tokenizer, found.max_tokens)
    labeller = SemanticsLabeller(found, load_segmenter(segmenter, device), captions)
    settings: dict[str, Any] = {
        "detector": detector, "segmenter": segmenter, "mode": mode, "box_threshold": box_threshold,
        "text_threshold": text_threshold, "prompts": {p.text: classes.names[p.class_id] for p in phrases},
    }  # fmt: skip
    return _label(args, shard, labeller, SEMANTICS_FOLDER, settings)


def label_features(args: LabelArgs, model: str, basis: int | None = None) -> Path:
    """Write features of pictures from a frozen backbone.

    Args:
        args: What to label; the sides of ``size`` are multiples of the model's patch, without one they are the nearest
            multiples to half the picture.
        model: Folder or hub id of a DINOv2, with registers or without, or a CLIP.
        basis: Reduce features to so many numbers, by a basis that the first run computes on pictures spread over all
            key frames, whatever ``limit`` says, and that every later run takes from the folder; None = as they come.

    Returns:
        The folder of the features.

    Raises:
        ConfigError: an argument or the model is wrong.
        DataError: the tree or a picture is wrong, or the disk is full; finished key frames stay.
        OutputExistsError: the folder holds something else.
    """
    from gsocc_core.labels.features import basis_of, load_features

    shard = choose_shard(args.shard, os.environ)
    labeller = load_features(model, choose_device(args.device, shard.local_index))
    if args.size is not None and any(side % labeller.patch for side in args.size):
        raise ConfigError("command line", "--size", f"multiples of the model's patch, {labeller.patch}", args.size)
    if basis is not None and not 1 <= basis <= labeller.channels:
        raise ConfigError("command line", "--basis", f"1 ... {labeller.channels}, the model's own length", basis)

    def prepare(folder: Path, everything: Sequence[KeyFrame], options: StreamOptions) -> None:
        if basis is None:
            return
        stored = read_basis(folder)
        if stored is None:
            stored = write_basis(folder, basis_of(labeller, everything, basis, options))
        if tuple(stored.shape) != (labeller.channels, basis):
            raise DataError(folder / BASIS_FILE, "basis", (labeller.channels, basis), tuple(stored.shape))
        labeller.basis = stored

    settings = {"model": model, "channels": labeller.channels, "patch_px": labeller.patch, "basis": basis}
    return _label(args, shard, labeller, FEATURES_FOLDER, settings, prepare=prepare)


def chosen_key_frames(args: LabelArgs) -> list[KeyFrame]:
    """All key frames of the chosen scenes, beyond the limit too.

    Raises:
        ConfigError: nuscenes-devkit is missing, or an argument makes no sense.
        DataError: the tree is wrong, or has no such scenes.
    """
    if args.of_videos:
        return read_scannet_key_frames(args.dataroot, args.split, args.scenes)
    scenes = build_dataset(args.data, _ANY_SIZE).scenes
    return [frame for frames in scenes for frame in frames]


def own_part(shard: Shard, everything: Sequence[KeyFrame]) -> list[KeyFrame]:
    """The key frames of this process; where there are several, it says how many."""
    mine = shard.part(everything)
    if shard.count > 1:
        sys.stderr.write(f"shard {shard.index}/{shard.count}: {len(mine)} of {len(everything)} key frames\n")
    return mine


def _label(
    args: LabelArgs,
    shard: Shard,
    labeller: Labeller,
    name: str,
    settings: Mapping[str, Any],
    max_error: float = MAX_ERROR,
    prepare: Callable[[Path, Sequence[KeyFrame], StreamOptions], None] | None = None,
) -> Path:
    """Label what is missing of this process's part, after preparing the labeller with the folder and all key frames."""
    everything = chosen_key_frames(args)
    settings = {**settings, "size": args.size, "precision": args.precision}
    path = Path(args.out) if args.out is not None else Path(args.dataroot) / name
    classes = args.classes
    folder = LabelFolder(path, labeller.kind, args.cameras, settings, max_error, classes)
    mine = own_part(shard, everything[: args.limit])
    todo = folder.remaining(mine)
    options = StreamOptions(
        args.size, args.batch_size, args.workers, args.precision, choose_device(args.device, shard.local_index)
    )
    if prepare is not None and todo:
        prepare(path, everything, options)
    shown = everything[0].token  # by whoever labels the first key frame of all

    def write(frame: KeyFrame, labels: dict[str, np.ndarray]) -> None:
        folder.write(frame, labels)
        if frame.token == shown:
            write_preview(path / "preview.jpg", frame, labels, labeller.kind, classes)

    with tqdm(
        total=len(mine), initial=len(mine) - len(todo), desc=f"label {labeller.kind}", unit="key frame",
        position=shard.local_index,
    ) as bar:  # fmt: skip
        label_key_frames(labeller, todo, write, options, bar.update)
    return path
