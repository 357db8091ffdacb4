# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""TPVFormer's published weights, as GaussRender (Chambon et al., ICCV 2025) and its own authors trained them.

They become bundles of :mod:`gsocc_core.methods.tpvformer` with ``network.original``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gsocc_core.data.surroundocc import SURROUNDOCC_GRID, SURROUNDOCC_NUSCENES, T_EGO_LIDAR
from gsocc_core.errors import BundleError
from gsocc_core.geometry.classes import OCC3D_NUSCENES, ClassTable
from gsocc_core.importers.bundles import OCC3D_GRID, OCC3D_TOLD, changed, check_new, write_imported
from gsocc_core.importers.checkpoint_files import Weights, read_weights
from gsocc_core.importers.key_map import BATCH_NORM, LAYER, Key, not_needed, same
from gsocc_core.inference.origin import Origin
from gsocc_core.methods.tpvformer import TPVFormer, inset, len_of, pillars
from gsocc_core.methods.voxel_host import OPACITY_HEAD
from gsocc_core.networks.deformable_conv import ModulatedDeformableConv

#: What all published models have in common, without what only a training needs.
_NETWORK: Mapping[str, Any] = {
    "backbone": {
        "hub_id": None,
        "model_type": "caffe_resnet",
        "model_args": {"embedding_size": 64, "hidden_sizes": [256, 512, 1024, 2048], "depths": [3, 4, 23, 3],
                       "deformable": [False, False, True, True], "frozen_stages": 1},
        "out_indices": [2, 3, 4],
    },
    "network": {
        "dim": 256, "num_layers": 3, "num_heads": 8, "plane_stride": [2, 2, 2], "pillar_points": [4, 32, 32],
        "num_points": 2, "feed_hidden": 512, "head_hidden": 512, "dropout": 0.1,
        "original": {"coarser_levels": 1, "camera_headings_deg": [0.0, -55.0, 55.0, 180.0, 110.0, -110.0],
                     "pillar_inset_m": 0.5, "picture_multiple": 32, "top_points": 4, "ego_motion": "respected"},
    },
}  # fmt: skip
_IN_LIDAR_FRAME = {"T_ego_grid": [list(map(float, row)) for row in T_EGO_LIDAR]}
_COLOURS = (
    "BGR minus (103.53, 116.28, 123.675), divided by nothing; the bundle takes RGB, and its first layer is turned"
)
_CROPPED = f"896 x 1600 (1600 x 900 with 4 rows cut off at the top), {_COLOURS}"
_CAMERAS_NOTE = (
    "six embeddings belong to six headings of a car (ahead, 55, 110 and 180 degrees); a camera of another rig takes "
    "that of the nearest heading"
)
_SPARSE_NOTE = (
    "trained on points of LiDAR sweeps within 51.2 m, not on Occ3D: what no beam reached was taught as free, so that "
    "surfaces are thin and seldom closed; scores on Occ3D would say little"
)
_INTERVALS_NOTE = (
    "its training counted 99 intervals from end to end for 100 cells: what it predicts lies up to one cell too near to "
    "the lower corner"
)
_MOTION_NOTE = (
    "cameras are placed as if the car had stood still between their shots and the LiDAR's, as its authors do "
    "(network.original.ego_motion: ignored)"
)
_RENDER_LICENCE = "mixed, non-commercial only (parts of its code by Inria and NVIDIA); TPVFormer's part Apache-2.0"
_RULE = "the largest of the logits, free space among them"


@dataclass(frozen=True)
class Configuration:
    """One published training.

    Attributes:
        arguments: Of our method.
        classes: What the logits stand for.
        head: What their names of the planes' network begin with.
        aggregator: Likewise of the voxels' network.
        origin: What users must know.
    """

    arguments: Mapping[str, Any]
    classes: ClassTable
    head: str
    aggregator: str
    origin: Mapping[str, Any]


OCC3D = Configuration(
    changed(
        {"grid": OCC3D_GRID, "image_size": [896, 1600], **_NETWORK},
        {"network": {"original": {"ego_motion": "ignored"}}},
    ),
    OCC3D_NUSCENES,
    "head",
    "aggregator",
    {
        "system": "TPVFormer with GaussRender, Occ3D-nuScenes",
        "source": "ckpts/occ3d_tpv_render.pth, Git LFS of github.com/valeoai/GaussRender",
        "licence": _RENDER_LICENCE,
        "licence_id": "other",
        "trained_on": "Occ3D-nuScenes train, voxel labels; began from FCOS3D's backbone",
        "pictures": _CROPPED,
        "voxels": f"{OCC3D_TOLD}; {_RULE}",
        "published": "Occ3D-nuScenes val, camera mask, absent classes count as 1: mIoU 30.48 of 17 classes (30.07 "
        "without rendering), IoU 42.39, RayIoU 38.3",
        "notes": (_CAMERAS_NOTE, _MOTION_NOTE),
    },
)
SURROUNDOCC = Configuration(
    {
        "grid": {"lower": list(SURROUNDOCC_GRID.lower), "upper": list(SURROUNDOCC_GRID.upper), "voxel_size": 0.5,
                 **_IN_LIDAR_FRAME},
        "image_size": [896, 1600],
        **_NETWORK,
    },
    SURROUNDOCC_NUSCENES,
    "head",
    "aggregator",
    {
        "system": "TPVFormer with GaussRender, SurroundOcc-nuScenes",
        "source": "ckpts/surroundocc_tpv_render.pth, Git LFS of github.com/valeoai/GaussRender",
        "licence": _RENDER_LICENCE,
        "licence_id": "other",
        "trained_on": "SurroundOcc-nuScenes train, voxel labels; began from FCOS3D's backbone",
        "pictures": _CROPPED,
        "voxels": "200 x 200 x 16 of 0.5 m, from (-50, -50, -5) m to (50, 50, 3) m in the frame of nuScenes' LiDAR; "
        f"classes by id: {', '.join(SURROUNDOCC_NUSCENES.names)}; {_RULE}",
        "published": "SurroundOcc-nuScenes val: IoU 32.05, mIoU 20.58 of 16 classes",
        "notes": (_CAMERAS_NOTE,),
    },
)  # fmt: skip
TPV04 = Configuration(
    changed(
        {
            "grid": {"lower": [-51.2, -51.2, -5.0], "upper": [51.2, 51.2, 3.0], "voxel_size": [1.024, 1.024, 1.0],
                     **_IN_LIDAR_FRAME},
            "image_size": [900, 1600],
            **_NETWORK,
        },
        {"network": {"plane_stride": [1, 1, 1]}},
    ),
    OCC3D_NUSCENES,
    "tpv_head",
    "tpv_aggregator",
    {
        "system": "TPVFormer, tpv04_occupancy",
        "source": "tpv04_occupancy_v2.pth, Tsinghua cloud, linked at github.com/wzzheng/TPVFormer",
        "licence": "Apache-2.0",
        "licence_id": "apache-2.0",
        "trained_on": "nuScenes train, classes of single LiDAR sweeps (lidarseg): sparse, not Occ3D's dense voxels; "
        "began from FCOS3D's backbone",
        "pictures": f"900 x 1600, filled up below to 928 rows with the mean; {_COLOURS}",
        "voxels": "100 x 100 x 8 of 1.024 x 1.024 x 1 m, from (-51.2, -51.2, -5) m to (51.2, 51.2, 3) m in the frame "
        f"of nuScenes' LiDAR; classes by id: {', '.join(OCC3D_NUSCENES.names)}; {_RULE}",
        "published": "none on Occ3D; its authors show pictures of it",
        "notes": (_CAMERAS_NOTE, _SPARSE_NOTE, _INTERVALS_NOTE),
    },
)  # fmt: skip


def import_tpvformer(checkpoint: str | Path, out: str | Path, model: Mapping[str, Any] | None = None) -> Origin:
    """Write a bundle of a file of GaussRender's or TPVFormer's authors, or of their code.

    The file tells which of the published trainings it is: by its names, its classes and the points of its pillars.
    The opacity head of a training with pictures is kept beside the weights, for a training of one's own to begin with.

    Args:
        checkpoint: ``occ3d_tpv_render.pth``, ``surroundocc_tpv_render.pth`` or ``tpv04_occupancy_v2.pth``.
        out: Folder to make.
        model: Arguments of our method that differ from the published configuration.

    Returns:
        What users must know of it.

    Raises:
        BundleError: the file is no checkpoint, is none of TPVFormer, or has other tensors.
        ConfigError: ``model`` cannot be built.
        OutputExistsError: ``out`` exists.
    """
    check_new(out)
    weights = read_weights(checkpoint, "TPVFormer")
    known = _configuration(weights)
    arguments = changed(known.arguments, model or {})
    head = opacity_head(weights, known)
    told = "without its opacity head: trained without pictures" if head is None else "with the opacity head of its loss"
    origin = Origin(**{**known.origin, "notes": (*known.origin["notes"], told)})

    def keys(method: TPVFormer) -> list[Key]:
        _check_points(weights, method, known)
        return tpvformer_keys(method, known)

    beside = None if head is None else {OPACITY_HEAD: head}
    write_imported(out, "tpvformer", arguments, [weights], keys, origin, beside=beside, classes=known.classes)
    return origin


def _configuration(weights: Weights) -> Configuration:
    """Which training a file is of."""
    found = weights.tensors.get("aggregator.classifier.bias")
    if found is None:
        return TPV04 if "tpv_aggregator.classifier.bias" in weights.tensors else OCC3D
    counts = {len(known.classes.names): known for known in (OCC3D, SURROUNDOCC)}
    if found.numel() not in counts:
        expected = "18 classes (Occ3D) or 17 (SurroundOcc)"
        raise BundleError(weights.path, "aggregator.classifier.bias", expected, found.numel())
    return counts[found.numel()]


def _check_points(weights: Weights, method: TPVFormer, known: Configuration) -> None:
    """The points of the pillars lie in a file, and with them the size of the box that it was trained in."""
    original = method.network_args.original
    assert original is not None
    for plane, name in enumerate(("hw", "zh", "wz")):
        key = f"{known.head}.encoder.ref_3d_{name}"
        stored = weights.tensors.get(key)
        if stored is None or stored.ndim != 4:
            continue
        ours = pillars(method.plane_shape, plane, method.network_args.pillar_points[plane])
        ours = inset(ours, plane, original.pillar_inset_m, method.grid).flatten(0, 1)
        # Whatever their order, both are the same points.
        first, last = stored.float().flatten(0, -2).aminmax(dim=0)
        wanted = ours.aminmax(dim=0)
        if not (torch.allclose(first, wanted[0], atol=6e-4) and torch.allclose(last, wanted[1], atol=6e-4)):
            expected = f"points from {_numbers(wanted[0])} to {_numbers(wanted[1])} of the box, as the grid has them"
            raise BundleError(weights.path, key, expected, f"from {_numbers(first)} to {_numbers(last)}")


def _numbers(point: Tensor) -> list[float]:
    return [round(value, 4) for value in point.tolist()]


def opacity_head(weights: Weights, known: Configuration) -> dict[str, Tensor] | None:
    """Tensors of :class:`gsocc_core.losses.gaussrender.OpacityHead` in a file; None = it has none.

    Of what the last layer gives for a voxel, 3 offsets, the classes, opacity, 3 scales and 4 of a rotation, only the
    opacity had a part in the published pictures.
    """
    theirs = f"{known.aggregator}.renderer_prep.decoder.mlp_coarse"
    if f"{theirs}.4.weight" not in weights.tensors:
        return None
    row = 3 + len(known.classes.names)
    made = {}
    for layer in (0, 2, 4):
        for part in LAYER:
            value = weights.tensors[f"{theirs}.{layer}.{part}"].float()
            made[f"{layer}.{part}"] = (value[row : row + 1] if layer == 4 else value).clone()
    return made


def tpvformer_keys(method: TPVFormer, known: Configuration) -> list[Key]:
    """Key map of a built method."""
    keys = _backbone_keys(method.pictures.encoder.backbone)
    pyramid = method.pictures.encoder.pyramid
    for i in range(len(pyramid.lateral)):
        keys += same(f"img_neck.lateral_convs.{i}.conv", f"pictures.encoder.pyramid.lateral.{i}")
        keys += same(f"img_neck.fpn_convs.{i}.conv", f"pictures.encoder.pyramid.smooth.{i}")
    for i in range(len(pyramid.coarser)):
        ours = f"pictures.encoder.pyramid.coarser.{i}"
        keys += same(f"img_neck.fpn_convs.{len(pyramid.lateral) + i}.conv", ours)
    keys += _plane_keys(method, known.head)
    for theirs, own in (("decoder.0", "enter"), ("decoder.2", "leave"), ("classifier", "classify")):
        keys += same(f"{known.aggregator}.{theirs}", f"head.{own}")
    render = [
        f"{known.aggregator}.renderer_prep.decoder.mlp_coarse.{i}.{p}" for i in (0, 2, 4) for p in ("weight", "bias")
    ]
    render += ["renderer.bg_color", f"{known.aggregator}.renderer.bg_color"]
    return keys + not_needed(render, may_miss=True)


def _backbone_keys(backbone: Any) -> list[Key]:
    ours = "pictures.encoder.backbone"
    keys = [Key("img_backbone.conv1.weight", (f"{ours}.conv.weight",), order=(2, 1, 0), axis=1)]  # theirs are BGR
    keys += same("img_backbone.bn1", f"{ours}.norm", BATCH_NORM)
    for stage, blocks in enumerate(backbone.stages):
        for i, own in enumerate(blocks):
            theirs, block = f"img_backbone.layer{stage + 1}.{i}", f"{ours}.stages.{stage}.{i}"
            for j in (1, 2, 3):
                keys += same(f"{theirs}.conv{j}", f"{block}.conv{j}", ("weight",))
                keys += same(f"{theirs}.bn{j}", f"{block}.norm{j}", BATCH_NORM)
            if isinstance(own.conv2, ModulatedDeformableConv):
                keys += same(f"{theirs}.conv2.conv_offset", f"{block}.conv2.offsets")
        first = f"{ours}.stages.{stage}.0.shortcut"
        keys += same(f"img_backbone.layer{stage + 1}.0.downsample.0", f"{first}.0", ("weight",))
        keys += same(f"img_backbone.layer{stage + 1}.0.downsample.1", f"{first}.1", BATCH_NORM)
    return keys


def _plane_keys(method: TPVFormer, head: str) -> list[Key]:
    """Embeddings, codes and layers of the planes."""
    layers, shape = range(len(method.layers)), method.plane_shape
    x, y, z = shape
    looks = [f"layers.{i}.pictures.{plane}" for i in layers for plane in range(3)]
    keys = [Key(f"{head}.cams_embeds", ("pictures.embeddings",))]
    # One embedding of each level for all layers and planes; here each has its own.
    keys.append(Key(f"{head}.level_embeds", tuple(f"{look}.level_code" for look in looks), copied=True))
    start = 0
    # Theirs run through a plane with x, y and x fastest in turn; ours with y, z and z.
    for plane, (name, turned) in enumerate((("hw", (y, x)), ("zh", (z, y)), ("wz", None))):
        rows = (start, start + len_of(shape, plane))
        keys.append(Key(f"{head}.tpv_embedding_{name}.weight", ("queries",), rows=rows, plane=turned))
        start = rows[1]
    for theirs, own in (("row", "rows"), ("col", "columns")):
        keys += same(f"{head}.positional_encoding.{theirs}_embed", f"code.{own}", ("weight",))
    for i in layers:
        keys += _layer_keys(f"{head}.encoder.layers.{i}", f"layers.{i}")
    constants = [f"encoder.ref_{kind}_{name}" for kind in ("3d", "2d") for name in ("hw", "zh", "wz")]
    return keys + not_needed([f"{head}.{name}" for name in ("tpv_mask_hw", *constants)], may_miss=True)


def _layer_keys(theirs: str, ours: str) -> list[Key]:
    looks = [f"{ours}.pictures.{plane}" for plane in range(3)]
    keys = []
    for name, own in (("sampling_offsets", "offsets"), ("attention_weights", "weights")):
        keys += same(f"{theirs}.attentions.0.{name}", f"{ours}.across.{own}")
        for plane, look in enumerate(looks):
            keys += same(f"{theirs}.attentions.1.deformable_attention.{name}.{plane}", f"{look}.{own}")
    for name, own in (("value_proj", "value"), ("output_proj", "out")):
        keys += same(f"{theirs}.attentions.0.{name}", f"{ours}.across.{own}")
    keys += same(f"{theirs}.attentions.1.deformable_attention.value_proj", [f"{look}.value" for look in looks])
    keys += same(f"{theirs}.attentions.1.output_proj", [f"{look}.out" for look in looks])
    keys += same(f"{theirs}.norms.0", f"{ours}.across.norm")
    keys += same(f"{theirs}.norms.1", [f"{look}.norm" for look in looks])
    keys += same(f"{theirs}.ffns.0.layers.0.0", f"{ours}.feed.net.0") + same(
        f"{theirs}.ffns.0.layers.1", f"{ours}.feed.net.3"
    )
    return keys + same(f"{theirs}.norms.2", f"{ours}.feed.norm")
