# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Uni3R's published files (Sun et al., CVPR 2026), and LSeg's, as bundles of :mod:`gsocc_core.methods.uni3r`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from gsocc_core.arguments import keyword_arguments
from gsocc_core.errors import BundleError
from gsocc_core.geometry.spherical_harmonics import COUNTS
from gsocc_core.importers.bundles import changed, check_new
from gsocc_core.importers.checkpoint_files import Weights, read_weights
from gsocc_core.importers.gausstr import dinov2_keys
from gsocc_core.importers.key_map import BATCH_NORM, LAYER, Key, carry_over, not_needed, same
from gsocc_core.inference.bundle import save_bundle
from gsocc_core.inference.lseg import LSEG
from gsocc_core.inference.model_card import view_card
from gsocc_core.inference.origin import Origin
from gsocc_core.methods.uni3r import Uni3R
from gsocc_core.networks.lseg import LSegPictures

#: What the configuration of an imported bundle calls the method.
METHOD = "uni3r"
#: The published configuration, without what only a training needs.
ARGUMENTS: Mapping[str, Any] = {
    "image_size": [256, 256],
    "encoder": {
        "hub_id": None,
        "model_type": "dinov2_with_registers",
        "model_args": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "patch_size": 16,
                       "image_size": 256},
        "out_indices": [24],
    },
    "network": {"depth": 24, "heads": 16, "registers": 4, "taps": [4, 11, 17, 23], "camera_depth": 4,
                "camera_heads": 16, "iterations": 4, "head_width": 256, "head_levels": [256, 512, 1024, 1024],
                "head_hidden": 32, "intrinsics": "token"},
    "gaussians": {"stride": 1, "sh_degree": 3, "scale_factor": 0.0025, "span": [0.1, 3.0], "pixel_color": False},
    "semantics": {"teacher_dim": 512, "dim": 64, "residual": True},
}  # fmt: skip
#: What is in the file and has no part in use: the geometry teacher, LSeg (loaded from its own file, since its norms
#: drifted in training), VGGT's tracks, and a projection that nothing reads.
_NOT_NEEDED = ("distiller.", "lseg_feature_extractor.", "vggt.track_head.", "gaussian_head.")
#: Their numbers of a camera, as ours come: quaternions are x, y, z, w there, and w, x, y, z here.
_CAMERA = (0, 1, 2, 6, 3, 4, 5, 7, 8)

_LSEG_NOTE = (
    "LSeg belongs to it: its features of the pictures are an input, and Gaussians carry them, reduced, plus what the "
    "network predicts (--lseg demo_e200.ckpt keeps its picture side in the bundle). Words are CLIP ViT-B/32's"
)
_DEPTH_NOTE = (
    "its depth head was never trained: take depth from the points. Poses come from VGGT's camera head as it was loaded"
)
_UNIT_NOTE = (
    "one unit is the distance between the two context cameras (2 views); the files of 8 and 16 views are in metres. "
    "8views.pth and 16views.pth are reported damaged by some"
)
_LICENCE = (
    "CC BY-NC-SA 4.0 by its repository (non-commercial; a header and the hub say Apache-2.0); VGGT-1B, which it began "
    "from, has terms of its own; LSeg: MIT"
)


def import_uni3r(
    checkpoint: str | Path,
    out: str | Path,
    lseg: str | Path | None = None,
    model: Mapping[str, Any] | None = None,
) -> Origin:
    """Write a bundle of a file of Uni3R's authors, or of their code. It takes about 15 GB of memory.

    Args:
        checkpoint: ``2views.pth`` or the like.
        out: Folder to make.
        lseg: LSeg's ``demo_e200.ckpt``, whose picture side is kept beside the weights; see
            :mod:`gsocc_core.inference.lseg`.
        model: Arguments of our method that differ from the published configuration.

    Returns:
        What users must know of it.

    Raises:
        BundleError: a file is no checkpoint, is none of Uni3R or LSeg, or has other tensors.
        ConfigError: ``model`` cannot be built.
        OutputExistsError: ``out`` exists.
    """
    check_new(out)
    weights = read_weights(checkpoint, "Uni3R")
    teacher = None if lseg is None else _lseg_tensors(read_weights(lseg, "LSeg"))
    arguments = changed(ARGUMENTS, model or {})
    built = Uni3R(**keyword_arguments(Uni3R, arguments, weights.path, skip=("pretrained",)), pretrained=False)
    carry_over([weights], uni3r_keys(built, weights), built, "Uni3R")
    told = "LSeg is not in the bundle" if teacher is None else "LSeg's picture side is in the bundle"
    origin = Origin(
        system="Uni3R",
        source=f"{Path(checkpoint).name}, huggingface.co/HorizonRobotics/Uni3R (2views.pth, 8views.pth, 16views.pth)",
        licence=_LICENCE,
        licence_id="cc-by-nc-sa-4.0",
        trained_on="ScanNet and ScanNet++ (indoor, static): pictures, features of LSeg, points of VGGT-1B",
        pictures="256 x 256 RGB, square; intrinsics are an input, in pixels of these pictures",
        voxels="none: Gaussians in the first camera's frame, one per pixel, with 64 channels and colours of degree 3",
        published="ScanNet, 2 views, 40 scenes, 8 classes: target mIoU 0.5584, accuracy 0.827, PSNR 25.53",
        notes=(_LSEG_NOTE, _DEPTH_NOTE, _UNIT_NOTE, told),
    )
    count = sum(parameter.numel() for parameter in built.parameters())
    card = view_card(Path(out).name, METHOD, count, built.image_size, origin.markdown(), origin.licence_id)
    beside = None if teacher is None else {LSEG: teacher}
    save_bundle(out, METHOD, arguments, built.eval(), card, half=False, origin=origin, beside=beside)
    return origin


def uni3r_keys(method: Uni3R, weights: Weights) -> list[Key]:
    """Key map of a built method; tensors that are not needed are those that the file has."""
    keys = dinov2_keys(method.encoder.backbone, "vggt.aggregator.patch_embed", "encoder.backbone")
    keys += [Key("vggt.aggregator.camera_token", ("attention.camera_token",))]
    keys += [Key("vggt.aggregator.register_token", ("attention.register_token",))]
    keys += same("vggt.aggregator.intrinsic_encoder", "attention.intrinsics_encoder")
    for kind in ("frame_blocks", "global_blocks"):
        for i in range(len(getattr(method.attention, kind))):
            keys += _block(f"vggt.aggregator.{kind}.{i}", f"attention.{kind}.{i}", normalised=True)
    keys += _camera_head(len(method.camera_head.trunk))
    for theirs, ours in (("vggt.point_head", "point_head"), ("vggt.depth_head", "depth_head")):
        keys += _dense(theirs, ours) + same(f"{theirs}.scratch.output_conv2.0", f"{ours}.last.0")
        keys += same(f"{theirs}.scratch.output_conv2.2", f"{ours}.last.2")
    keys += _dense("dpt_head", "gaussian_head.dense")
    keys += same("dpt_head.input_merger.0", "gaussian_head.picture")
    keys += same("gs_attr_proj.0", "gaussian_head.attributes.0")
    order = _attributes(method)
    keys += [Key(f"gs_attr_proj.2.{part}", (f"gaussian_head.attributes.2.{part}",), order=order) for part in LAYER]
    keys += same("feature_reduction.0", "semantic_head.reduction")
    keys += same("feature_expansion.1", "semantic_head.expansion")
    return keys + not_needed(name for name in weights.tensors if name.startswith(_NOT_NEEDED))


def _block(theirs: str, ours: str, normalised: bool) -> list[Key]:
    pairs = {"norm1": "norm1", "attn.qkv": "qkv", "attn.proj": "proj", "norm2": "norm2", "mlp.fc1": "fc1",
             "mlp.fc2": "fc2"}  # fmt: skip
    if normalised:
        pairs |= {"attn.q_norm": "q_norm", "attn.k_norm": "k_norm"}
    keys = [key for name, own in pairs.items() for key in same(f"{theirs}.{name}", f"{ours}.{own}")]
    return keys + [Key(f"{theirs}.ls{i}.gamma", (f"{ours}.scale{i}",)) for i in (1, 2)]


def _camera_head(blocks: int) -> list[Key]:
    theirs, ours = "vggt.camera_head", "camera_head"
    keys = [key for i in range(blocks) for key in _block(f"{theirs}.trunk.{i}", f"{ours}.trunk.{i}", normalised=False)]
    for name, own in (("token_norm", "token_norm"), ("trunk_norm", "trunk_norm"), ("pose_branch.fc1", "branch1"),
                      ("poseLN_modulation.1", "modulation")):  # fmt: skip
        keys += same(f"{theirs}.{name}", f"{ours}.{own}")
    keys.append(Key(f"{theirs}.empty_pose_tokens", (f"{ours}.first_code",), order=_CAMERA, axis=2))
    keys.append(Key(f"{theirs}.embed_pose.weight", (f"{ours}.embed_code.weight",), order=_CAMERA, axis=1))
    keys.append(Key(f"{theirs}.embed_pose.bias", (f"{ours}.embed_code.bias",)))
    return keys + [
        Key(f"{theirs}.pose_branch.fc2.{part}", (f"{ours}.branch2.{part}",), order=_CAMERA) for part in LAYER
    ]


def _dense(theirs: str, ours: str) -> list[Key]:
    """A dense prediction head, without its last two layers."""
    keys = same(f"{theirs}.norm", f"{ours}.norm") + same(f"{theirs}.scratch.output_conv1", f"{ours}.smooth")
    for i in range(4):
        keys += same(f"{theirs}.projects.{i}", f"{ours}.project.{i}")
        keys += same(f"{theirs}.scratch.layer{i + 1}_rn", f"{ours}.narrow.{i}", ("weight",))
        fusion, own = f"{theirs}.scratch.refinenet{i + 1}", f"{ours}.fuse.{i}"
        keys += same(f"{fusion}.out_conv", f"{own}.out")
        for unit, part in (("resConfUnit1", "incoming"), ("resConfUnit2", "outgoing")):
            if i < 3 or part == "outgoing":
                keys += [key for j in (1, 2) for key in same(f"{fusion}.{unit}.conv{j}", f"{own}.{part}.conv{j}")]
    return keys + [key for i in (0, 1, 3) for key in same(f"{theirs}.resize_layers.{i}", f"{ours}.resize.{i}")]


def _attributes(method: Uni3R) -> tuple[int, ...]:
    """Their rows of the Gaussians' attributes, as ours come: harmonics are by coefficient there, by colour here."""
    count, total = COUNTS[method.gaussian_args.sh_degree], sum(method.gaussian_head.parts)
    start = sum(method.gaussian_head.parts[:3])
    harmonics = [start + 3 * k + color for color in range(3) for k in range(count)]
    return (*range(start), *harmonics, *range(start + 3 * count, total))


def _lseg_tensors(weights: Weights) -> dict[str, Tensor]:
    """LSeg's picture side out of its own file, by our names."""
    named = {name.removeprefix("net."): value for name, value in weights.tensors.items()}
    own = Weights(weights.path, {k: v for k, v in named.items() if k.startswith(("pretrained.", "scratch."))}, {})
    if not own.tensors:
        received = f"{len(named)} tensors such as {next(iter(named))}"
        raise BundleError(weights.path, "content", "tensors of LSeg, such as net.pretrained.model.cls_token", received)
    network = LSegPictures()
    carry_over([own], lseg_keys(network), network, "LSeg")
    return dict(network.state_dict())


def lseg_keys(network: LSegPictures) -> list[Key]:
    """Key map of LSeg's picture side."""
    tower = "pretrained.model"
    keys = same(f"{tower}.patch_embed.proj", "patches")
    keys += [Key(f"{tower}.cls_token", ("cls_token",)), Key(f"{tower}.pos_embed", ("positions",))]
    for i in range(len(network.blocks)):
        theirs, ours = f"{tower}.blocks.{i}", f"blocks.{i}"
        keys += [Key(f"{theirs}.attn.qkv.{part}", (f"{ours}.self_attn.in_proj_{part}",)) for part in LAYER]
        for name, own in (("attn.proj", "self_attn.out_proj"), ("norm1", "norm1"), ("norm2", "norm2"),
                          ("mlp.fc1", "linear1"), ("mlp.fc2", "linear2")):  # fmt: skip
            keys += same(f"{theirs}.{name}", f"{ours}.{own}")
    for i in range(4):
        keys += same(f"pretrained.act_postprocess{i + 1}.0.project.0", f"readout.{i}")
        keys += same(f"pretrained.act_postprocess{i + 1}.3", f"project.{i}")
        if i != 2:
            keys += same(f"pretrained.act_postprocess{i + 1}.4", f"resize.{i}")
        keys += same(f"scratch.layer{i + 1}_rn", f"narrow.{i}", ("weight",))
        keys += _lseg_fusion(f"scratch.refinenet{i + 1}", f"fuse.{i}", i == 3)
    keys += same("scratch.head1", "head")
    # The tower's last norm and its classifier of ImageNet.
    return keys + not_needed(f"{tower}.{name}.{part}" for name in ("norm", "head") for part in LAYER)


def _lseg_fusion(theirs: str, ours: str, first: bool) -> list[Key]:
    keys = same(f"{theirs}.out_conv", f"{ours}.out")
    for unit, part in (("resConfUnit1", "incoming"), ("resConfUnit2", "outgoing")):
        for j in (1, 2):
            conv, norm = f"{theirs}.{unit}.conv{j}", f"{theirs}.{unit}.bn{j}"
            if first and part == "incoming":  # there is nothing to add at the coarsest level
                keys += not_needed([f"{conv}.weight", *(f"{norm}.{name}" for name in BATCH_NORM)])
            else:
                keys += same(conv, f"{ours}.{part}.conv{j}", ("weight",))
                keys += same(norm, f"{ours}.{part}.norm{j}", BATCH_NORM)
    return keys
