# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""GaussianOcc's published folders (Gan et al., ICCV 2025), as bundles of :mod:`gsocc_core.methods.gaussianocc`.

A folder holds ``encoder.pth`` and ``depth.pth``, the second stage, and ``pose_encoder.pth`` and ``pose.pth``, the pose
network of the first. Occupancy needs the former two; the latter are checked and kept in the bundle as they are
(:func:`read_pose_network`). :mod:`gsocc_core.importers.gaussianocc_pose` makes a bundle of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file
from torch import Tensor

from gsocc_core.errors import BundleError, ConfigError
from gsocc_core.importers.bundles import OCC3D_GRID, OCC3D_TOLD, changed, check_new, write_imported
from gsocc_core.importers.checkpoint_files import Weights, read_weights
from gsocc_core.importers.key_map import BATCH_NORM, LAYER, Key, check_names, not_needed, same
from gsocc_core.inference.origin import Origin
from gsocc_core.methods.gaussianocc import GaussianOcc

ENCODER, DECODER = "encoder.pth", "depth.pth"
#: Files of the pose network, and what a bundle calls them together.
POSE_FILES, POSE = ("pose_encoder.pth", "pose.pth"), "pose_network.safetensors"
TrainedOn = Literal["nuscenes", "ddad"]

#: The published configuration, without what only a training needs. Fainter Gaussians than 1 / 255 draw nothing.
ARGUMENTS: Mapping[str, Any] = {
    "grid": OCC3D_GRID,
    "image_size": [384, 640],
    "backbone": {
        "hub_id": None,
        "model_type": "resnet",
        "model_args": {"embedding_size": 64, "hidden_sizes": [256, 512, 1024], "depths": [3, 4, 23],
                       "layer_type": "bottleneck"},
        "out_indices": [2, 3],
    },
    "network": {"widths": [512, 256], "dim": 64, "volume_dim": 32, "vertices": [300, 300, 24], "inner": 0.66667,
                "lifting": "published", "first_opacity": None, "last_skip": False},
    "gaussians": {"scale_m": 0.2, "far_scales_m": [[60.0, 0.8], [80.0, 1.6]], "least_opacity": 0.0039,
                  "classes": "logits", "decision": "argmax"},
}  # fmt: skip

_ORIGINS: Mapping[TrainedOn, Mapping[str, str]] = {
    "nuscenes": {
        "system": "GaussianOcc, nuScenes model",
        "source": "folder nusc-sem-gs, linked at github.com/GANWANSHUI/GaussianOcc",
        "trained_on": "nuScenes train without voxel labels: classes of pictures by Grounded-SAM, pictures warped with "
        "the poses of its own pose network",
        "published": "Occ3D-nuScenes val, camera and LiDAR mask: mIoU 9.94 of 17 classes (11.26 of 15), RayIoU 11.85",
    },
    "ddad": {
        "system": "GaussianOcc, DDAD model",
        "source": "folder ddad-sem-gs, linked at github.com/GANWANSHUI/GaussianOcc",
        "trained_on": "DDAD train without voxel labels: classes of pictures by Grounded-SAM, pictures warped with "
        "the poses of its own pose network",
        "published": "DDAD val, depth alone: absolute relative error 0.228",
    },
}  # fmt: skip
LICENCE = "Apache-2.0 by the file LICENSE, but headers of its source files allow non-commercial use only (Monodepth2)"
_RENDERED = (
    "published renderings draw every Gaussian too flat by the aspect of the picture; a training of ours does so with "
    "render.field_of_view: published. Occupancy needs no rendering"
)


def import_gaussianocc(
    checkpoint: str | Path,
    out: str | Path,
    trained_on: TrainedOn | None = None,
    model: Mapping[str, Any] | None = None,
) -> Origin:
    """Write a bundle of a folder of GaussianOcc's authors, or of their code.

    Args:
        checkpoint: Folder with ``encoder.pth`` and ``depth.pth``, and with both files of the pose network or none.
        out: Folder to make.
        trained_on: Data of the training, which the files do not tell; None = by the folder's name, with nusc or ddad in
            it as their authors have it.
        model: Arguments of our method that differ from the published configuration.

    Returns:
        What users must know of it.

    Raises:
        BundleError: a file is missing, is no checkpoint, is none of GaussianOcc, or has other tensors.
        ConfigError: the data are not known, or ``model`` cannot be built.
        OutputExistsError: ``out`` exists.
    """
    check_new(out)
    folder = Path(checkpoint)
    _check_folder(folder)
    chosen = data_of(folder, trained_on)
    encoder, decoder = (read_weights(folder / name, "GaussianOcc") for name in (ENCODER, DECODER))
    arguments = changed(ARGUMENTS, model or {})
    _check_box(decoder, arguments["grid"])
    if {"height", "width"} <= encoder.numbers.keys():
        arguments["image_size"] = [int(encoder.numbers[side]) for side in ("height", "width")]
    pose = read_pose_files(folder)
    height, width = arguments["image_size"]
    told = "pose network: kept beside the weights" if pose else "pose network: not in the folder"
    origin = Origin(
        **_ORIGINS[chosen],
        licence=LICENCE,
        licence_id="other",
        pictures=f"{height} x {width} RGB (1600 x 900 or 1936 x 1216 resized, nothing cut off), minus "
        "(123.675, 116.28, 103.53), divided by (58.395, 57.12, 57.375)",
        voxels=f"{OCC3D_TOLD}; others and other_flat were never labels. The largest of 18 logits, free space among "
        "them, read between vertices",
        notes=(_RENDERED, told),
    )  # fmt: skip
    kept = {name: value.clone() for file in pose or () for name, value in file.tensors.items()}
    beside = {POSE: kept} if kept else None
    write_imported(out, "gaussianocc", arguments, [encoder, decoder], gaussianocc_keys, origin, beside=beside)
    return origin


def read_pose_network(bundle: str | Path) -> dict[str, Tensor] | None:
    """Tensors of the pose network that an imported bundle keeps, by their authors' names; see :func:`pose_keys`.

    Args:
        bundle: Folder that ``import gaussianocc`` wrote.

    Returns:
        None = it has none.

    Raises:
        BundleError: the file is damaged.
    """
    path = Path(bundle) / POSE
    if not path.is_file():
        return None
    try:
        return load_file(path)
    except Exception as error:
        raise BundleError(path, "content", "a complete safetensors file", error) from error


def _check_folder(folder: Path) -> None:
    expected = f"a folder of GaussianOcc with {ENCODER} and {DECODER}"
    if not folder.is_dir():
        raise BundleError(folder, "folder", expected, "a file" if folder.exists() else "no such folder")
    there = {path.name for path in folder.iterdir()}
    for name in (ENCODER, DECODER):
        if name not in there:
            alone = "the pose network alone, of the first stage" if set(POSE_FILES) <= there else "no such file"
            raise BundleError(folder, name, expected, alone)


def data_of(folder: Path, said: TrainedOn | None) -> TrainedOn:
    """The data that a folder was trained on: what is said, or what its name tells.

    Raises:
        ConfigError: neither tells it.
    """
    if said is not None:
        return said
    name = folder.resolve().name.lower()
    found: list[TrainedOn] = [data for data in _ORIGINS if data[:4] in name]
    if len(found) != 1:
        expected = "nuscenes or ddad (--trained_on), since the files of both look alike"
        raise ConfigError("import gaussianocc", "trained_on", expected, f"nothing, and the folder's name {name}")
    return found[0]


def _check_box(decoder: Weights, grid: Mapping[str, Any]) -> None:
    """The box that a model was trained with lies in its file."""
    for name, side in (("xyz_min", "lower"), ("xyz_max", "upper")):
        value = decoder.tensors.get(name)
        if value is None:
            continue
        wanted = torch.tensor(grid[side], dtype=torch.float64)
        if value.shape != wanted.shape or not torch.allclose(value.double(), wanted, atol=0.01):
            raise BundleError(decoder.path, name, f"{grid[side]} (m), the grid's {side} corner", value.tolist())


def read_pose_files(folder: Path) -> tuple[Weights, Weights] | None:
    """Both files of the pose network, their names checked; None = there are none.

    Raises:
        BundleError: one of them is missing, or is none of the pose network.
    """
    there = [name for name in POSE_FILES if (folder / name).exists()]
    if not there:
        return None
    encoder, head = (read_weights(folder / name, "GaussianOcc's pose network") for name in POSE_FILES)
    for file, keys in ((encoder, pose_keys()[0]), (head, pose_keys()[1])):
        check_names([file], keys, "GaussianOcc's pose network")
    return encoder, head


def pose_keys() -> tuple[list[Key], list[Key]]:
    """Key maps of both files of the pose network: a ResNet-34 on two pictures, and four convolutions behind it.

    Ours are the tensors of :class:`gsocc_core.networks.ego_motion.EgoMotion`. The classifier ``encoder.fc``,
    ``refine_mlp`` and ``finial_conv`` are never used; of two motions that the last layer gives, the first one is.
    """
    ours = "backbone"
    encoder = same("encoder.conv1", f"{ours}.embedder.embedder.convolution", ("weight",))
    encoder += same("encoder.bn1", f"{ours}.embedder.embedder.normalization", BATCH_NORM)
    for stage, blocks in enumerate((3, 4, 6, 3)):
        for i in range(blocks):
            theirs, layer = f"encoder.layer{stage + 1}.{i}", f"{ours}.encoder.stages.{stage}.layers.{i}"
            for j in range(2):
                encoder += same(f"{theirs}.conv{j + 1}", f"{layer}.layer.{j}.convolution", ("weight",))
                encoder += same(f"{theirs}.bn{j + 1}", f"{layer}.layer.{j}.normalization", BATCH_NORM)
            if stage > 0 and i == 0:
                encoder += same(f"{theirs}.downsample.0", f"{layer}.shortcut.convolution", ("weight",))
                encoder += same(f"{theirs}.downsample.1", f"{layer}.shortcut.normalization", BATCH_NORM)
    head = [key for i in range(3) for key in same(f"net.{i}", f"decoder.{2 * i}")]
    head += [Key(f"net.3.{part}", (f"decoder.6.{part}",), order=tuple(range(6)), spare=6) for part in LAYER]
    layers = ["refine_mlp.0", *(f"refine_mlp.{i}.0" for i in range(2, 7)), "refine_mlp.7", "finial_conv"]
    head += not_needed(f"{layer}.{part}" for layer in layers for part in LAYER)
    return encoder + not_needed(f"encoder.fc.{part}" for part in LAYER), head


def gaussianocc_keys(method: GaussianOcc) -> list[Key]:
    """Key map of a built method: encoder and decoder."""
    backbone: Any = method.backbone.stages.backbone
    # Published: the finer stage's channels come before the coarser one's.
    turned = method.backbone.stages.channels[0]
    return [*_encoder_keys(backbone.config.depths, turned), *_decoder_keys()]


def _encoder_keys(depths: Sequence[int], turned: int) -> list[Key]:
    ours = "backbone.stages.backbone"
    keys = same("backbone.0", f"{ours}.embedder.embedder.convolution", ("weight",))
    keys += same("backbone.1", f"{ours}.embedder.embedder.normalization", BATCH_NORM)
    for stage, (theirs, blocks) in enumerate(zip(("backbone.4", "backbone.5", "layer3"), depths)):
        for i in range(blocks):
            layer = f"{ours}.encoder.stages.{stage}.layers.{i}"
            for j in range(3):
                keys += same(f"{theirs}.{i}.conv{j + 1}", f"{layer}.layer.{j}.convolution", ("weight",))
                keys += same(f"{theirs}.{i}.bn{j + 1}", f"{layer}.layer.{j}.normalization", BATCH_NORM)
        first = f"{ours}.encoder.stages.{stage}.layers.0.shortcut"
        keys += same(f"{theirs}.0.downsample.0", f"{first}.convolution", ("weight",))
        keys += same(f"{theirs}.0.downsample.1", f"{first}.normalization", BATCH_NORM)
    keys.append(Key("upsampling_layer.conv.0.weight", ("backbone.joined.0.weight",), inputs_turned=turned))
    keys += same("upsampling_layer.conv.3", "backbone.joined.3", ("weight",))
    for i in (0, 3):
        keys += same(f"Upsampling_4.conv.{i}", f"backbone.finer.{i}", ("weight",))
    return keys + same("depth_layer", "backbone.out")


def _decoder_keys() -> list[Key]:
    pairs = [(f"{a}.{i}", f"decoder.{b}.{i}") for a, b in (("dres0", "stem"), ("dres1", "pair")) for i in (0, 2)]
    for i in range(3):
        parts = {"conv1.0": "shrink", "conv2": "halved", "conv3.0": "further", "conv4.0": "quartered"}
        parts |= {"conv5": "up", "conv6": "out"}
        pairs += [(f"dres{i + 2}.{a}", f"decoder.hourglasses.{i}.{b}") for a, b in parts.items()]
    pairs += [(f"classif_semantic.{2 * i}", f"decoder.head.{i}.0") for i in range(4)]
    pairs.append(("classif_semantic.8", "decoder.last"))
    keys = []
    for theirs, ours in pairs:
        keys += same(f"_3DCNN.{theirs}.0", f"{ours}.0", ("weight",))
        keys += same(f"_3DCNN.{theirs}.1", f"{ours}.1", BATCH_NORM)
    # Heads that it always builds and does not read, and constants.
    spare = [f"classif3.{i}" for i in (0, 2, 4, 6, 8)] + [f"classif_flow.{i}" for i in (0, 2, 4, 6)]
    names = [f"_3DCNN.{head}.0.weight" for head in spare]
    names += [f"_3DCNN.{head}.1.{part}" for head in spare for part in BATCH_NORM]
    names += ["xyz_min", "xyz_max", "Zval", "scene_centroid", "vox_util.posfreq", "gs_vox_util.posfreq"]
    return keys + not_needed(names, may_miss=True)
