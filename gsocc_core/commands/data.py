# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Commands that make data: synthetic drives, and labels for pictures."""

from __future__ import annotations

from typing import Literal

from gsocc_core.data.args import SURROUND_CAMERAS, DatasetName


def synthesize(
    out: str,
    scenes: int = 1,
    seed: int = 0,
    image_scale: float = 1.0,
    sweeps: bool = True,
    duration_s: float = 20.0,
    version: str = "v1.0-synthetic",
    labels: bool = True,
    pseudo_labels: bool = True,
    val_scenes: int = 0,
    jobs: int | None = None,
    layout: Literal["nuscenes", "surroundocc", "kitti360", "ddad", "scannet"] | None = None,
    world: Literal["detailed", "plain", "rooms"] = "detailed",
    lidar_sweeps: bool = True,
    names: bool = False,
    frames: int = 24,
    picture_size: tuple[int, int] = (112, 112),
) -> None:
    """Write drives through procedural streets in the layout of a data set, with voxel labels, or videos of rooms.

    Args:
        out: Folder to make; it must not exist.
        scenes: Number of drives.
        seed: Chooses the drives; the same seed gives the same bytes.
        image_scale: Factor on the picture size of 1600x900, kitti360 1408x376, ddad 1936x1216; of the plain world
            176x96, ddad 176x110.
        sweeps: Write the readings between key frames too; of ddad every reading belongs to one.
        duration_s: Length of each drive, seconds; 20 s are 40 key frames, of ddad 200.
        version: Name of the folder with the tables.
        labels: Write voxel labels: Occ3D's, kitti360 SSCBench's; ddad has none.
        pseudo_labels: Write depth and class pictures.
        val_scenes: The last so many drives form the split val, the others train.
        jobs: Drives written at the same time; None = one per core.
        layout: nuscenes; surroundocc = nuscenes with SurroundOcc labels beside Occ3D's; kitti360 = SSCBench-KITTI360;
            ddad = DDAD in dgp layout, without voxel labels; None = scannet, ScanNet's prepared scenes, for rooms, else
            nuscenes.
        world: detailed = a street as in life; plain = coloured things at random places, with a small grid, classes of
            its own and pictures of 176x96; rooms = furnished rooms, seen by a camera in the hand. Rooms take scenes,
            seed, val_scenes, jobs, frames and picture_size alone.
        lidar_sweeps: With sweeps, write those of the LiDAR, too.
        names: Write fine-grained names of voxels and pictures.
        frames: Pictures of each room, evenly along one and the same walk.
        picture_size: Height,width of the pictures of rooms, pixels.
    """
    from gsocc_core.synthetic.synthesize import synthesize as run

    run(
        out, scenes, seed, image_scale, sweeps, duration_s, version, labels, pseudo_labels, val_scenes, jobs, layout,
        world, lidar_sweeps, names, frames, picture_size,
    )  # fmt: skip


def label_depth(
    dataroot: str,
    model: str,
    version: str = "v1.0-trainval",
    out: str | None = None,
    split: str | None = None,
    scenes: tuple[str, ...] | None = None,
    cameras: tuple[str, ...] = SURROUND_CAMERAS,
    limit: int | None = None,
    size: tuple[int, int] | None = None,
    max_error: float = 0.0025,
    focal_px: float | None = None,
    batch_size: int = 6,
    workers: int = 4,
    precision: Literal["fp32", "bf16"] = "fp32",
    device: str = "auto",
    shard: str | None = None,
    dataset: DatasetName = "occ3d",
) -> None:
    """Write metric depth of every picture from Depth Anything V2, ZoeDepth or Depth Pro.

    Args:
        dataroot: Folder with the data set, or videos in ScanNet's layout.
        model: Folder or hub id of the model.
        version: Name of the tables' folder of a nuScenes tree.
        out: Folder of the labels, made or continued; None = depth_labels in ``dataroot``.
        split: A split of ``splits.json`` or an official one; None = all scenes.
        scenes: Explicit scene names; they win over ``split``.
        cameras: Camera names; unless given, all of the data set, of kitti360 the left one, of videos color.
        limit: Only the first so many key frames.
        size: Height,width of the labels, pixels; None = half the picture.
        max_error: Largest relative error that storing may add.
        focal_px: Focal length, in pixels of the model's input, that its depth supposes; None = take depth as it comes.
        batch_size: Pictures per call of the model.
        workers: Threads that decode, and as many that write.
        precision: bf16 = the model computes in bfloat16 where that is safe.
        device: cpu, cuda or auto.
        shard: i/n = part i of n, i = 0 ... n - 1; None = as torchrun, SLURM or Lightning says, else everything.
        dataset: Layout of ``dataroot``; its classes are what the words mean. Videos need no mention.
    """
    from gsocc_core.labels.run import LabelArgs
    from gsocc_core.labels.run import label_depth as run

    args = LabelArgs(
        dataroot, version, out, split, scenes, cameras, limit, size, batch_size, workers, precision, device, shard,
        dataset,
    )  # fmt: skip
    run(args, model, max_error, focal_px)


def label_semantics(
    dataroot: str,
    prompts: str,
    detector: str,
    segmenter: str,
    version: str = "v1.0-trainval",
    out: str | None = None,
    split: str | None = None,
    scenes: tuple[str, ...] | None = None,
    cameras: tuple[str, ...] = SURROUND_CAMERAS,
    limit: int | None = None,
    size: tuple[int, int] | None = None,
    mode: Literal["separate", "by_class", "combined"] = "separate",
    box_threshold: float = 0.2,
    text_threshold: float = 0.2,
    batch_size: int = 6,
    workers: int = 4,
    precision: Literal["fp32", "bf16"] = "fp32",
    device: str = "auto",
    shard: str | None = None,
    dataset: DatasetName = "occ3d",
) -> None:
    """Write classes of every picture, recognised from words by GroundingDINO and SAM or SAM 2.

    Args:
        dataroot: Folder with the data set, or videos in ScanNet's layout.
        prompts: YAML file: class name -> phrases, such as config/labels/nuscenes_prompts.yaml.
        detector: Folder or hub id of a GroundingDINO.
        segmenter: Folder or hub id of a SAM or SAM 2.
        version: Name of the tables' folder of a nuScenes tree.
        out: Folder of the labels, made or continued; None = semantics_labels in ``dataroot``.
        split: A split of ``splits.json`` or an official one; None = all scenes.
        scenes: Explicit scene names; they win over ``split``.
        cameras: Camera names; unless given, all of the data set, of kitti360 the left one, of videos color.
        limit: Only the first so many key frames.
        size: Height,width of the labels, pixels; None = half the picture.
        mode: separate = one pass per phrase; by_class = one per class; combined = one for all, fastest, finds least.
        box_threshold: Lowest score of a box.
        text_threshold: Lowest score of the phrase that names a box.
        batch_size: Pictures per call of the model.
        workers: Threads that decode, and as many that write.
        precision: bf16 = the model computes in bfloat16 where that is safe.
        device: cpu, cuda or auto.
        shard: i/n = part i of n, i = 0 ... n - 1; None = as torchrun, SLURM or Lightning says, else everything.
        dataset: Layout of ``dataroot``; its classes are what the words mean. Videos need no mention.
    """
    from gsocc_core.labels.run import LabelArgs
    from gsocc_core.labels.run import label_semantics as run

    args = LabelArgs(
        dataroot, version, out, split, scenes, cameras, limit, size, batch_size, workers, precision, device, shard,
        dataset,
    )  # fmt: skip
    run(args, prompts, detector, segmenter, mode, box_threshold, text_threshold)


def label_features(
    dataroot: str,
    model: str,
    version: str = "v1.0-trainval",
    out: str | None = None,
    split: str | None = None,
    scenes: tuple[str, ...] | None = None,
    cameras: tuple[str, ...] = SURROUND_CAMERAS,
    limit: int | None = None,
    size: tuple[int, int] | None = None,
    basis: int | None = None,
    batch_size: int = 6,
    workers: int = 4,
    precision: Literal["fp32", "bf16"] = "fp32",
    device: str = "auto",
    shard: str | None = None,
    dataset: DatasetName = "occ3d",
) -> None:
    """Write features of every picture from a frozen DINOv2, with registers or without, or CLIP.

    Args:
        dataroot: Folder with the data set, or videos in ScanNet's layout.
        model: Folder or hub id of the model.
        version: Name of the tables' folder of a nuScenes tree.
        out: Folder of the features, made or continued; None = feature_labels in ``dataroot``.
        split: A split of ``splits.json`` or an official one; None = all scenes.
        scenes: Explicit scene names; they win over ``split``.
        cameras: Camera names; unless given, all of the data set, of kitti360 the left one, of videos color.
        limit: Only the first so many key frames.
        size: Height,width of the model's input, pixels, multiples of its patch; None = about half the picture.
        basis: Keep so many numbers per feature, by a basis that the first run computes and stores; None = all.
        batch_size: Pictures per call of the model.
        workers: Threads that decode, and as many that write.
        precision: bf16 = the model computes in bfloat16 where that is safe.
        device: cpu, cuda or auto.
        shard: i/n = part i of n, i = 0 ... n - 1; None = as torchrun, SLURM or Lightning says, else everything.
        dataset: Layout of ``dataroot``; its classes are what the words mean. Videos need no mention.
    """
    from gsocc_core.labels.run import LabelArgs
    from gsocc_core.labels.run import label_features as run

    args = LabelArgs(
        dataroot, version, out, split, scenes, cameras, limit, size, batch_size, workers, precision, device, shard,
        dataset,
    )  # fmt: skip
    run(args, model, basis)


def label_stand_in(
    dataroot: str,
    version: str = "v1.0-synthetic",
    out: str | None = None,
    split: str | None = None,
    scenes: tuple[str, ...] | None = None,
    cameras: tuple[str, ...] = SURROUND_CAMERAS,
    limit: int | None = None,
    encoder: str = "wordllama",
    feature_noise: float = 0.5,
    depth_noise: float = 0.05,
    depth_dir: str = "metric_3d_nusc",
    seed: int = 0,
    basis: int | None = None,
    shuffled: bool = False,
    shard: str | None = None,
) -> None:
    """Write features and depth of synthetic pictures out of what the generator knows: a stand-in for foundation models.

    No model looks at a picture: a feature is the text embedding of the name of what was drawn, depth is the
    generator's, both with noise. For tests of what learns from such labels.

    Args:
        dataroot: Synthetic tree with fine-grained names (synthesize --names true), or rooms.
        version: Name of the tables' folder; rooms have none.
        out: Folder for stand_in_features and stand_in_depth, each made or continued; None = ``dataroot``.
        split: A split of ``splits.json``; None = all scenes.
        scenes: Explicit scene names; they win over ``split``.
        cameras: Camera names; videos and rooms have one, color, which needs no mention.
        limit: Only the first so many key frames.
        encoder: Text encoder of the names.
        feature_noise: Root mean square length of the noise on features, whose own length is 1.
        depth_noise: Standard deviation of the logarithm of depth, drawn for every pixel; 0.05 = about 5 %.
        depth_dir: Folder of the generator's depth; rooms have it beside the pictures.
        seed: Of the noise.
        basis: Reduce features to so many numbers by a basis that is stored beside them; None = whole features.
        shuffled: A control that nothing can be learned from: every picture gets the features of one of another key
            frame.
        shard: i/n = part i of n, i = 0 ... n - 1; None = as torchrun, SLURM or Lightning says, else everything.
    """
    from gsocc_core.labels.run import LabelArgs
    from gsocc_core.synthetic.stand_in import StandInArgs
    from gsocc_core.synthetic.stand_in import label_stand_in as run

    args = LabelArgs(dataroot, version, out, split, scenes, cameras, limit, shard=shard)
    run(args, StandInArgs(encoder, feature_noise, depth_noise, depth_dir, seed, basis, shuffled))
