# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""GaussTR's two published files (Jiang et al., CVPR 2025), as bundles of :mod:`gsocc_core.methods.gausstr`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import nn

from gsocc_core.errors import BundleError
from gsocc_core.importers.bundles import OCC3D_GRID, OCC3D_TOLD, changed, check_new, write_imported
from gsocc_core.importers.checkpoint_files import Weights, read_weights
from gsocc_core.importers.key_map import Key, not_needed, same
from gsocc_core.inference.origin import Origin
from gsocc_core.methods.gausstr import GaussTR
from gsocc_core.text.class_prompts import ClassPrompts

#: The published rules from Gaussians to voxels: that of the first release, and that since March 2025.
Rule = Literal["first", "filtered"]
RULES: Mapping[Rule, Mapping[str, Any]] = {
    "first": {"composition": "mean", "support": "ellipsoid", "cutoff": 2.7386128, "threshold": 0.04,
              "least_opacity": None},
    "filtered": {"composition": "sum", "support": "box_voxels", "cutoff": 3.0, "threshold": 0.04,
                 "least_opacity": 0.6, "least_std_m": 0.05},
}  # fmt: skip
_RULES_TOLD: Mapping[Rule, str] = {
    "first": "first release: mean of opacity x decay within a Mahalanobis distance of the root of 7.5, all Gaussians",
    "filtered": "since March 2025: sum of opacity x decay over the voxels that the box of 3 sigma touches, only "
    "Gaussians with opacity > 0.6, inside the grid, thicker than 5 cm",
}

#: Words of the text matrix's columns, and their classes.
WORDS = (
    ("barrier", "barrier"), ("bicycle", "bicycle"), ("bus", "bus"), ("car", "car"),
    ("construction vehicle", "construction_vehicle"), ("motorcycle", "motorcycle"), ("person", "pedestrian"),
    ("cone", "traffic_cone"), ("trailer", "trailer"), ("truck", "truck"), ("road", "driveable_surface"),
    ("sidewalk", "sidewalk"), ("terrain", "terrain"), ("grass", "terrain"), ("building", "manmade"),
    ("wall", "manmade"), ("fence", "manmade"), ("pole", "manmade"), ("sign", "manmade"),
    ("vegetation", "vegetation"), ("sky", "free"),
)  # fmt: skip

_DEPTH_NOTE = (
    "fitted to Metric3D's depth, which transformers does not have. Depth comes beside the pictures, or from another "
    "metric depth model (--depth_model, or depth.source and depth.model of config.yaml); what that costs is unknown"
)
_PLACES_NOTE = (
    "queries start from a fixed, even set of places, so that the same pictures give the same labels; its authors draw "
    "them at random for every picture (--places random)"
)


@dataclass(frozen=True)
class Variant:
    """One of the published models.

    Attributes:
        arguments: Of our method, without what only a training needs.
        encoder: Text encoder that fits to its matrix.
        rule: With which its authors' scores were made.
        origin: What users must know, but for the rule.
    """

    arguments: Mapping[str, Any]
    encoder: str
    rule: Rule
    origin: Mapping[str, Any]


_PICTURES = (
    "{height} x {width} RGB (1600 x 900 scaled by {scale}, nothing cut off), minus (123.675, 116.28, 103.53), divided "
    "by (58.395, 57.12, 57.375)"
)
_FEATURES_NOTE = (
    "no backbone: FeatUp's maps (512 x 27 x 48 for each picture) come with the pictures (--input_features_dir), which "
    "no live route makes"
)
FEATUP = Variant(
    {"grid": OCC3D_GRID, "image_size": [432, 768], "features": {"dim": 512, "compression": "step", "channels": 128},
     "depth": {"source": "given"}},
    "clip:openai/clip-vit-base-patch16",
    "first",
    {
        "system": "GaussTR, FeatUp model",
        "source": "gausstr_featup_e24_miou11.70.pth, release v1.0 of github.com/hustvl/GaussTR",
        "trained_on": "nuScenes train without labels: depth of Metric3Dv2, features of FeatUp (MaskCLIP ViT-B/16), "
        "classes of pictures by Grounded SAM 2",
        "pictures": _PICTURES.format(height=432, width=768, scale=0.48),
        "published": "Occ3D-nuScenes val, camera mask: IoU 45.19, mIoU 11.70 of 17 classes",
        "notes": (_FEATURES_NOTE,),
    },
)  # fmt: skip
TALK2DINO = Variant(
    {
        "grid": OCC3D_GRID,
        "image_size": [504, 896],
        "backbone": {
            "hub_id": "facebook/dinov2-with-registers-base",
            "model_type": "dinov2_with_registers",
            "model_args": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "image_size": 518,
                           "patch_size": 14},
            "out_indices": [12],
        },
        "features": {"dim": 768, "compression": "step", "channels": 128},
        "depth": {"source": "given"},
    },
    "talk2dino:openai/clip-vit-base-patch16:weights/talk2dino.safetensors",
    "filtered",
    {
        "system": "GaussTR, Talk2DINO model",
        "source": "gausstr_talk2dino_e20_miou12.27.pth, release v1.0 of github.com/hustvl/GaussTR",
        "trained_on": "nuScenes train without labels: depth of Metric3Dv2, features of its own frozen DINOv2 ViT-B/14 "
        "with registers",
        "pictures": _PICTURES.format(height=504, width=896, scale=0.56),
        "published": "Occ3D-nuScenes val, camera mask: IoU 44.54, mIoU 12.27 of 17 classes",
        "notes": (),
    },
)  # fmt: skip


def import_gausstr(
    checkpoint: str | Path,
    out: str | Path,
    rule: Rule | None = None,
    depth_model: str | None = None,
    places: Literal["even", "random"] = "even",
    model: Mapping[str, Any] | None = None,
) -> Origin:
    """Write a bundle of a file of GaussTR's authors, or of their code.

    The file tells which of the two models it is. Class prompts come from its text matrix, the rule from Gaussians to
    voxels from what its published score was made with.

    Args:
        checkpoint: ``gausstr_featup_*.pth`` or ``gausstr_talk2dino_*.pth``.
        out: Folder to make.
        rule: Another rule than its own; see :data:`RULES`.
        depth_model: Hub id or folder of a metric depth model of transformers, which is run where no depth is given.
        places: Where queries look first; ``random`` as published.
        model: Arguments of our method that differ from the published configuration.

    Returns:
        What users must know of it.

    Raises:
        BundleError: the file is no checkpoint, is none of GaussTR, or has other tensors.
        ConfigError: ``model`` cannot be built.
        OutputExistsError: ``out`` exists.
    """
    check_new(out)
    weights = read_weights(checkpoint, "GaussTR")
    variant = TALK2DINO if any(name.startswith("backbone.") for name in weights.tensors) else FEATUP
    chosen: Rule = rule or variant.rule
    given: dict[str, Any] = {"network": {"places": places}, "splat": dict(RULES[chosen])}
    if depth_model is not None:
        given["depth"] = {"source": "model", "model": depth_model}
    arguments = changed(changed(variant.arguments, given), model or {})
    notes = (*variant.origin["notes"], _DEPTH_NOTE, *((_PLACES_NOTE,) if places == "even" else ()))
    origin = Origin(
        **{**variant.origin, "notes": notes},
        licence="MIT" + (" (DINOv2 inside: Apache-2.0)" if variant is TALK2DINO else ""),
        licence_id="mit",
        voxels=f"{OCC3D_TOLD}; others and other_flat are never predicted, and sky is free. {_RULES_TOLD[chosen]}; "
        "occupied above density 0.04",
    )
    write_imported(out, "gausstr", arguments, [weights], gausstr_keys, origin, _prompts(weights, variant))
    return origin


def _prompts(weights: Weights, variant: Variant) -> ClassPrompts:
    """Class prompts of the text matrix (D, 21). Every head of theirs has it; the last one's is used, as ours is."""
    found = [name for name in weights.tensors if name.endswith(".text_proto_embeds")]
    if not found:
        expected = "a text matrix gauss_heads.*.text_proto_embeds, as the released files have it"
        some = next(iter(weights.tensors))
        raise BundleError(weights.path, "content", expected, f"{len(weights.tensors)} tensors such as {some}")
    matrix = weights.tensors[found[-1]]
    if matrix.ndim != 2 or matrix.shape[1] != len(WORDS):
        raise BundleError(weights.path, found[-1], f"(D, {len(WORDS)}), a column for each word", tuple(matrix.shape))
    words, names = zip(*WORDS)
    return ClassPrompts(words, names, matrix.float().T.contiguous(), variant.encoder)


def gausstr_keys(method: GaussTR) -> list[Key]:
    """Key map of a built method."""
    heads, levels = range(len(method.heads)), range(len(method.pyramid.lateral))
    keys = [key for level in levels for key in _level(level)]
    for name, part in (("0.0", "0.0"), ("0.1", "0.1"), ("0.3", "0.3"), ("1", "1")):
        keys += same(f"neck.scale_convs.{name}", f"pyramid.resize.{part}")
    keys += [Key("query_embeds.weight", ("decoder.queries.weight",))]
    keys += same("decoder.norm", "decoder.norm")
    keys += same("decoder.ref_point_head.layers.0", "decoder.code.0")
    keys += same("decoder.ref_point_head.layers.1", "decoder.code.2")
    keys += [key for i in heads for key in (*_layer(i), *_head(i))]
    if method.backbone is None:
        parts = [f"segment_head.layers.{j}.{part}" for j in (0, 1) for part in ("weight", "bias")]
        return keys + not_needed([f"gauss_heads.{i}.{part}" for i in heads for part in parts], may_miss=True)
    return keys + dinov2_keys(method.backbone.backbone, "backbone", "backbone.backbone")


def _level(i: int) -> list[Key]:
    """A level of the pyramid: its convolutions have no bias."""
    keys = []
    for theirs, conv, norm in (("lateral_convs", "lateral", "first_norms"), ("fpn_convs", "smooth", "last_norms")):
        keys += same(f"neck.{theirs}.{i}.conv", f"pyramid.{conv}.{i}", ("weight",))
        keys += same(f"neck.{theirs}.{i}.norm_layer", f"pyramid.{norm}.{i}")
    return keys


def _layer(i: int) -> list[Key]:
    """A layer of the decoder. Its norms stand behind the picture attention, the self-attention, the feed-forward."""
    theirs, ours = f"decoder.layers.{i}", f"decoder.layers.{i}"
    attention = ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")
    keys = same(f"{theirs}.self_attn.attn", f"{ours}.talk", attention)
    looks = {"sampling_offsets": "offsets", "attention_weights": "weights", "value_proj": "value", "output_proj": "out"}
    for name, own in looks.items():
        keys += same(f"{theirs}.cross_attn.{name}", f"{ours}.look.{own}")
    keys += same(f"{theirs}.ffn.layers.0.0", f"{ours}.feed.0") + same(f"{theirs}.ffn.layers.1", f"{ours}.feed.2")
    return keys + [key for j in range(3) for key in same(f"{theirs}.norms.{j}", f"{ours}.norms.{j}")]


def _head(i: int) -> list[Key]:
    """A Gaussian head. Its voxelizer's constants are ours already; the released FeatUp file lacks one of them."""
    keys = []
    for name in ("opacity", "feature", "scale", "regress"):
        keys += same(f"gauss_heads.{i}.{name}_head.layers.0", f"heads.{i}.{name}.0")
        keys += same(f"gauss_heads.{i}.{name}_head.layers.1", f"heads.{i}.{name}.2")
    keys += not_needed([f"gauss_heads.{i}.text_proto_embeds"])  # the bundle's class prompts
    constants = [f"gauss_heads.{i}.voxelizer.{name}" for name in ("vol_range", "grid_coords")]
    return keys + not_needed(constants, may_miss=True)


def dinov2_keys(backbone: nn.Module, theirs: str, ours: str) -> list[Key]:
    """Key map of a DINOv2 with registers: the original's names against transformers', of which there are two spellings.

    Args:
        backbone: Ours.
        theirs: What stands in front of every published name.
        ours: What stands in front of every name of ours.
    """
    state = backbone.state_dict()
    attention = {"q_proj": "attention.attention.query", "k_proj": "attention.attention.key"}
    attention |= {"v_proj": "attention.attention.value", "o_proj": "attention.output.dense"}
    if "encoder.layer.0.attention.q_proj.weight" in state:
        attention = {name: f"attention.{name}" for name in attention}
    tokens = {name: name for name in ("cls_token", "mask_token", "register_tokens")}
    tokens["pos_embed"] = "position_embeddings"
    keys = [Key(f"{theirs}.{name}", (f"{ours}.embeddings.{own}",)) for name, own in tokens.items()]
    keys += same(f"{theirs}.patch_embed.proj", f"{ours}.embeddings.patch_embeddings.projection")
    keys += same(f"{theirs}.norm", f"{ours}.layernorm")
    for i in range(len({name.split(".")[2] for name in state if name.startswith("encoder.layer.")})):
        block, layer = f"{theirs}.blocks.{i}", f"{ours}.encoder.layer.{i}"
        for part in ("weight", "bias"):
            own = tuple(f"{layer}.{attention[name]}.{part}" for name in ("q_proj", "k_proj", "v_proj"))
            keys.append(Key(f"{block}.attn.qkv.{part}", own))
        keys += same(f"{block}.attn.proj", f"{layer}.{attention['o_proj']}")
        for name in ("norm1", "norm2", "mlp.fc1", "mlp.fc2"):
            keys += same(f"{block}.{name}", f"{layer}.{name}")
        keys += [Key(f"{block}.ls{j}.gamma", (f"{layer}.layer_scale{j}.lambda1",)) for j in (1, 2)]
    return keys
