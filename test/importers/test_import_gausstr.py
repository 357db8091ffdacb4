# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""GaussTR's files: every published tensor is accounted for, and what is imported computes what its code does."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from published_files import table
from published_gausstr import (
    FEATUP,
    GRID,
    MODEL,
    SIZES,
    TALK2DINO,
    checkpoint,
    decoder,
    dinov2,
    gaussians,
    labels,
    layout,
    neck,
    voxels,
)
from tiny_frames import frames, surround_cameras

from gsocc_core import OCC3D_NUSCENES
from gsocc_core.commands.cli import main
from gsocc_core.importers import gausstr
from gsocc_core.importers.checkpoint_files import Weights
from gsocc_core.importers.gausstr import RULES, gausstr_keys, import_gausstr
from gsocc_core.importers.key_map import carry_over
from gsocc_core.inference.bundle import load_bundle
from gsocc_core.methods.build import build_method
from gsocc_core.methods.gausstr_classes import prompt_scores, voxel_classes
from gsocc_core.methods.gausstr_network import PictureDepth
from gsocc_core.text.class_prompts import ClassPrompts, read_class_prompts
from gsocc_core.yaml_files import read_yaml

ROOT = Path(__file__).parents[2]


def batch(kind, v=3):
    g = torch.Generator().manual_seed(3)
    height, width = MODEL[kind]["image_size"]
    depth = torch.rand(1, 1, v, height, width, generator=g) * 5 + 2
    images = torch.randint(0, 256, (1, 1, v, 3, height, width), generator=g, dtype=torch.uint8)
    features = torch.randn(1, 1, v, 8, 4, 8, generator=g) if kind == "featup" else None
    cameras = surround_cameras(1, 1, v, width, height)
    return replace(frames(1, v), images=images, cameras=cameras, depth_m=depth, features=features, targets=None)


@pytest.fixture(scope="module", params=["featup", "talk2dino"])
def imported(request, tmp_path_factory):
    """Kind, their tensors, our method."""
    kind, folder = request.param, tmp_path_factory.mktemp("gausstr")
    theirs = checkpoint(kind)
    torch.save({"state_dict": theirs, "meta": {"epoch": 24}}, folder / "theirs.pth")
    import_gausstr(folder / "theirs.pth", folder / "bundle", model=MODEL[kind])
    return kind, theirs, load_bundle(folder / "bundle")


@pytest.mark.parametrize(
    ("kind", "file", "entries", "learned"),
    [("featup", "gausstr_featup", 174, 13_743_203), ("talk2dino", "gausstr_talk2dino", 338, 15_947_605)],
)
def test_every_published_tensor_is_accounted_for(kind, file, entries, learned):
    variant = getattr(gausstr, kind.upper())
    published = table(file)
    assert len(published) == entries
    assert published == layout({"featup": FEATUP, "talk2dino": TALK2DINO}[kind])
    words, names = zip(*gausstr.WORDS)
    prompts = ClassPrompts(words, names, torch.zeros(21, variant.arguments["features"]["dim"]), variant.encoder)
    with torch.device("meta"):
        method = build_method("gausstr", variant.arguments, OCC3D_NUSCENES, pretrained=False, prompts=prompts)
        tensors = {name: torch.empty(shape) for name, shape in published.items()}
    carry_over([Weights(Path("theirs.pth"), tensors, {})], gausstr_keys(method), method, "GaussTR")
    segments = sum(value.numel() for name, value in tensors.items() if "segment_head" in name)
    assert sum(p.numel() for p in method.parameters() if p.requires_grad) + segments == learned


@pytest.mark.parametrize(("kind", "rule"), [("featup", "first"), ("talk2dino", "filtered")])
def test_configurations_are_those_of_the_shipped_trainings(kind, rule):
    variant, shipped = (
        getattr(gausstr, kind.upper()),
        read_yaml(ROOT / f"config/train/nuscenes_gausstr_{kind}.yaml", ""),
    )
    model = {key: value for key, value in shipped["model"].items() if key != "loss"}
    assert {**variant.arguments, "splat": dict(RULES[rule])} == model
    assert variant.rule == rule
    assert variant.encoder == shipped["encoder"]
    phrases = read_class_prompts(ROOT / "config/prompts/occ3d.yaml", OCC3D_NUSCENES)
    assert tuple((p.text, p.class_name) for p in phrases) == gausstr.WORDS


def test_the_pyramid_and_the_decoder_are_the_published_ones(imported):
    kind, theirs, bundle = imported
    method, sizes, data = bundle.method, SIZES[kind], batch(kind)
    with torch.no_grad():
        seen = method._feature_map(data)
        expected = data.features[0, 0] if kind == "featup" else torch.stack([
            dinov2(theirs, sizes, picture) for picture in data.images[0, 0]
        ])  # fmt: skip
        torch.testing.assert_close(seen, expected, atol=1e-4, rtol=1e-4)
        levels = method.pyramid(seen)
        places = torch.rand(3, 30, 2, generator=torch.Generator().manual_seed(1))
        found = method.decoder(levels, places, list(method.heads))
        for v in range(3):
            theirs_levels = neck(theirs, seen[v])
            for ours, level in zip(levels, theirs_levels):
                torch.testing.assert_close(ours[v], level, atol=1e-4, rtol=1e-4)
            for (query, place), (their_query, their_place) in zip(
                found, decoder(theirs, sizes, theirs_levels, places[v])
            ):
                torch.testing.assert_close(query[v], their_query, atol=1e-4, rtol=1e-4)
                torch.testing.assert_close(place[v], their_place, atol=1e-4, rtol=1e-4)


def test_gaussians_and_labels_are_the_published_ones(imported):
    kind, theirs, bundle = imported
    method, sizes, data = bundle.method, SIZES[kind], batch(kind)
    with torch.no_grad():
        output = method(data)
        parts = []
        for v in range(3):
            seen = data.features[0, 0, v] if kind == "featup" else dinov2(theirs, sizes, data.images[0, 0, v])
            query, place = decoder(theirs, sizes, neck(theirs, seen), method.first_places)[-1]
            K, T = data.cameras.intrinsics[0, 0, v], data.cameras.T_ego_cam[0, 0, v]
            parts.append(gaussians(theirs, sizes, query, place, data.depth_m[0, 0, v], K, T, data.cameras.width))
        means, scales, covariances, opacities, features = (torch.cat(part) for part in zip(*parts))
        layer = output.layers[-1]
        for ours, value in ((layer.means, means), (layer.scales, scales), (layer.opacities, opacities),
                            (layer.features, features), (layer.covariances(), covariances)):  # fmt: skip
            torch.testing.assert_close(ours[0], value, atol=1e-3, rtol=1e-3)
        scores = (features @ theirs["gauss_heads.1.text_proto_embeds"]).softmax(-1)
        torch.testing.assert_close(output.scene.features[0], scores, atol=1e-3, rtol=1e-3)
        lower, upper = torch.tensor(GRID.lower), torch.tensor(GRID.upper)
        rule = "first" if kind == "featup" else "filtered"
        expected = labels(*voxels(means, covariances, opacities, scores, lower, upper, GRID.shape, 0.4, rule))
        found = method.occupancy(output).labels[0].long()
    assert len(expected.unique()) >= 4, "the comparison says something"
    same = found == expected
    assert same.float().mean() >= 0.999
    assert same[(found != 17) | (expected != 17)].float().mean() >= 0.99


#: Voxels of every label that instances of the published head and voxelizer gave, of version 1.0 and of March 2025.
COUNTS = {
    "featup": (0, 143, 0, 154, 0, 206, 281, 20, 219, 0, 315, 680, 0, 0, 95, 0, 0, 13887),
    "talk2dino": (0, 140, 69, 5, 73, 313, 0, 0, 0, 0, 8, 0, 0, 0, 254, 79, 0, 15059),
}


def test_the_head_and_the_voxels_give_the_numbers_of_the_published_modules(imported):
    """Stored once, from the same random weights and inputs."""
    kind, _, bundle = imported
    method, (height, width) = bundle.method, MODEL[kind]["image_size"]
    g = torch.Generator().manual_seed(21)
    query, places = torch.randn(3, 30, 16, generator=g), torch.rand(3, 30, 2, generator=g)
    depth = torch.rand(3, height, width, generator=g) * 5 + 2
    cameras = surround_cameras(1, 1, 3, width, height).map(lambda t: t[:, 0])
    with torch.no_grad():
        seen = PictureDepth(depth[:, None].clamp(max=51.2), cameras, torch.ones(1, 3, dtype=torch.bool))
        layer = method.heads[-1](query, places, seen)
        scores = prompt_scores(layer.features, method.embeddings, method.splat_args.scale)
        found = voxel_classes(layer.replace(features=scores), method.grid, method.classes, method.splat_args).labels
    off = (found.flatten().long().bincount(minlength=18) - torch.tensor(COUNTS[kind])).abs().sum()
    assert off <= 16, "a thousandth of the voxels"


def test_a_bundle_says_whose_it_is(imported):
    kind, theirs, bundle = imported
    origin, card = bundle.origin, (bundle.path / "README.md").read_text()
    assert origin.licence.startswith("MIT")
    assert "license: mit" in card
    for said in (origin.system, origin.trained_on, origin.pictures, origin.voxels, origin.published, *origin.notes):
        assert said in card
    assert ("no live route" in card) == (kind == "featup")
    assert "Metric3D" in card
    assert bundle.classes.names == OCC3D_NUSCENES.names
    prompts = bundle.method.prompts
    assert torch.equal(prompts.embeddings, theirs["gauss_heads.1.text_proto_embeds"].T)
    assert bundle.method.features_input == ("required" if kind == "featup" else "unused")


def test_a_rule_places_and_a_depth_model_can_be_chosen(tmp_path):
    torch.save(checkpoint("featup"), tmp_path / "theirs.pth")
    origin = import_gausstr(
        tmp_path / "theirs.pth", tmp_path / "bundle", "filtered", "owner/depth", "random", MODEL["featup"]
    )
    arguments = load_bundle(tmp_path / "bundle").arguments
    assert arguments["splat"] == RULES["filtered"]
    assert arguments["depth"] == {"source": "model", "model": "owner/depth"}
    assert arguments["network"]["places"] == "random"
    assert "since March 2025" in origin.voxels
    assert not any("at random" in note for note in origin.notes)


def test_the_command_says_licence_and_rule(tmp_path, capsys):
    torch.save(checkpoint("talk2dino"), tmp_path / "theirs.pth")
    words = [f"--model.{key}={json.dumps(value)}" for key, value in MODEL["talk2dino"].items()]
    main(["import", "gausstr", str(tmp_path / "theirs.pth"), "--out", str(tmp_path / "bundle"), *words])
    told = capsys.readouterr().out
    for line in (
        f"{tmp_path / 'bundle'}\n",
        "licence:    MIT",
        "voxels:     200 x 200",
        "since March 2025",
        "Metric3D",
    ):
        assert line in told
    with pytest.raises(SystemExit):
        main(["import", "gaustr", str(tmp_path / "theirs.pth")])
    assert "is import gausstr meant?" in capsys.readouterr().err
