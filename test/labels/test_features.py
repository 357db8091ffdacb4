# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Features against the models called by themselves, and the stored basis."""

import json

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file

from gsocc_core.commands import label_features
from gsocc_core.commands.cli import main
from gsocc_core.data.feature_files import decode_features, read_basis, write_basis
from gsocc_core.data.nuscenes import DataArgs, NuScenesOccupancy
from gsocc_core.errors import ConfigError, DataError, OutputExistsError
from gsocc_core.labels.features import load_features
from gsocc_core.networks.backbones import BackboneArgs, PictureMap
from gsocc_core.networks.clip_patches import clip_patch_features
from gsocc_core.networks.pca import pca_basis

from ..conftest import CHANNELS  # noqa: TID252 - tests are no package, the constants live beside them

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@pytest.fixture(scope="module")
def tree(tree_writer, tmp_path_factory):
    """Two scenes of three key frames, with pictures and no labels."""
    return tree_writer(tmp_path_factory.mktemp("data") / "tree", test=True)


def run(tree, model, out, **options):
    label_features(str(tree), str(model), "v1.0-tiny", str(out), device="cpu", **options)


def read(out, token="scene-a-0"):
    return decode_features(out / token[:7] / f"{token}.zip")


def vectors(folder, tokens):
    return torch.cat([torch.from_numpy(m).float().flatten(1).T for t in tokens for m in read(folder, t).values()])


def by_hand(folder, kind, picture, height, width):
    """(D, h, w) from Pillow's resizing, NumPy's arithmetic and each layer called by itself."""
    small = np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC), np.float32) / 255
    mean, std = (CLIP_MEAN, CLIP_STD) if kind == "clip" else ((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
    inputs = torch.from_numpy((small - np.float32(mean)) / np.float32(std)).permute(2, 0, 1)[None]
    with torch.inference_mode():
        if kind == "clip":
            model, patch = transformers.CLIPModel.from_pretrained(folder).eval(), 16
            tower = model.vision_model
            hidden = tower.pre_layrnorm(tower.embeddings(inputs, interpolate_pos_encoding=True))
            tokens = model.visual_projection(tower.post_layernorm(tower.encoder(hidden).last_hidden_state))[0, 1:]
        else:
            name = "Dinov2WithRegistersModel" if kind == "registers" else "Dinov2Model"
            model, patch = getattr(transformers, name).from_pretrained(folder).eval(), 14
            hidden = model.encoder(model.embeddings(inputs)).last_hidden_state
            tokens = model.layernorm(hidden)[0, (5 if kind == "registers" else 1) :]
    return tokens.T.reshape(-1, height // patch, width // patch).numpy()


@pytest.mark.parametrize(("kind", "size", "shape"), [("dinov2", (28, 56), (12, 2, 4)),
                                                     ("registers", (28, 42), (12, 2, 3)),
                                                     ("clip", (48, 80), (8, 3, 5))])  # fmt: skip
def test_features_are_those_of_the_patches(models, kind, size, shape):
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    labeller = load_features(str(models[kind]), torch.device("cpu"))
    with torch.inference_mode():
        got = labeller(torch.from_numpy(picture).permute(2, 0, 1)[None].repeat(2, 1, 1, 1), [], size)
    assert got.shape == (2, *shape)
    assert labeller.channels == shape[0]
    expected = by_hand(models[kind], kind, picture, *size)
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(got[1].numpy(), expected, atol=2e-5)


def test_labels_and_backbones_take_a_clip_alike(models):
    """A frozen backbone as teacher, and a folder of its labels, must be the same features."""
    labeller = load_features(str(models["clip"]), torch.device("cpu"))
    backbone = PictureMap(BackboneArgs(str(models["clip"]), "clip_vision_model", {}, (0,)), frozen=True)
    picture = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 3, 48, 80)).astype(np.uint8))
    with torch.inference_mode():
        torch.testing.assert_close(labeller(picture, [], (48, 80)), backbone(picture), atol=2e-5, rtol=0)
        inputs = torch.randn(1, 3, 32, 32)
        assert clip_patch_features(labeller.model, inputs).shape == (1, 4, 8), "without the class token"
        assert torch.equal(labeller.tokens(inputs), clip_patch_features(backbone.backbone.model, inputs))


def test_what_is_stored_is_what_the_model_says(tree, models, tmp_path):
    main(["label", "features", "--dataroot", str(tree), "--version", "v1.0-tiny", "--device", "cpu", "--out",
          str(tmp_path), "--model", str(models["dinov2"]), "--size", "42,70"])  # fmt: skip
    stored = read(tmp_path, "scene-b-1")
    assert set(stored) == set(CHANNELS)
    for channel in CHANNELS:
        picture = np.asarray(Image.open(tree / "samples" / channel / "scene-b-1.jpg").convert("RGB"))
        expected = by_hand(models["dinov2"], "dinov2", picture, 42, 70)
        # Torch's bicubic resizing is off Pillow's by one grey level here and there.
        np.testing.assert_allclose(stored[channel], expected, atol=0.02)
    content = json.loads((tmp_path / "labels.json").read_text())
    wanted = {"kind": "features", "channels": 12, "patch_px": 14, "basis": None}
    assert content == content | wanted
    assert Image.open(tmp_path / "preview.jpg").size == (1440, 1080)
    assert read_basis(tmp_path) is None
    data = DataArgs(str(tree), "v1.0-tiny", depth_dir=None, semantics_dir=None, occ3d_dir=None, views=1,
                    view_size=(45, 80), features_dir=str(tmp_path))  # fmt: skip
    features = NuScenesOccupancy(data, (45, 80))[4].targets.view_features
    assert features.shape == (1, 1, 6, 12, 3, 5)
    assert features[0, 0, 2].numpy() == pytest.approx(stored[CHANNELS[2]].astype(np.float32))


def test_without_a_size_the_input_is_about_half_the_picture(tree, models, tmp_path):
    run(tree, models["dinov2"], tmp_path, limit=1)
    assert {m.shape for m in read(tmp_path).values()} == {(12, 2, 3)}, "28 x 42 of 45 x 80"


def test_the_first_run_makes_the_basis_and_later_ones_use_it(tree, models, tmp_path):
    everything = [f"scene-{s}-{i}" for s in "ab" for i in range(3)]
    run(tree, models["dinov2"], tmp_path / "whole", size=(42, 70))
    run(tree, models["dinov2"], tmp_path / "k", size=(42, 70), basis=3, limit=1)
    basis = load_file(tmp_path / "k" / "basis.safetensors")["basis"]
    assert basis.shape == (12, 3)
    expected = pca_basis(vectors(tmp_path / "whole", everything), 3)
    assert torch.allclose(basis, expected, atol=5e-3), "of all key frames, not of the first"
    alone = pca_basis(vectors(tmp_path / "whole", everything[:1]), 3)
    assert not torch.allclose(basis, alone, atol=5e-2)
    save_file({"basis": torch.eye(12)[:, :3].contiguous()}, tmp_path / "k" / "basis.safetensors")
    for shard in ("1/2", "0/2"):
        run(tree, models["dinov2"], tmp_path / "k", size=(42, 70), basis=3, shard=shard)
    reduced = vectors(tmp_path / "k", everything)
    whole = vectors(tmp_path / "whole", everything)
    per = len(whole) // 6
    assert torch.allclose(reduced[per:], whole[per:, :3], atol=2e-3), "multiplied as they are, the mean stays in"
    assert torch.allclose(reduced[:per], (whole @ basis)[:per], atol=1e-2)


def test_the_first_of_several_processes_decides(tmp_path):
    first, second = torch.eye(4)[:, :2], torch.eye(4)[:, 1:3]
    assert torch.equal(write_basis(tmp_path, first), first)
    assert torch.equal(write_basis(tmp_path, second), first)
    assert [p.name for p in tmp_path.iterdir()] == ["basis.safetensors"]
    (tmp_path / "basis.safetensors").write_bytes(b"no")
    with pytest.raises(DataError, match=r"basis\.safetensors: content"):
        read_basis(tmp_path)


def test_wrong_requests_leave_nothing(tree, models, tmp_path):
    with pytest.raises(ConfigError, match=r"--size: expected multiples of the model's patch, 14"):
        run(tree, models["dinov2"], tmp_path / "out", size=(45, 70))
    with pytest.raises(ConfigError, match=r"--basis: expected 1 \.\.\. 12, the model's own length, received 13"):
        run(tree, models["dinov2"], tmp_path / "out", basis=13)
    with pytest.raises(ConfigError, match="of type dinov2, dinov2_with_registers, clip"):
        run(tree, models["zoedepth"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    run(tree, models["dinov2"], tmp_path / "out", limit=1, basis=2)
    with pytest.raises(OutputExistsError, match="basis: expected 2 as before, or another --out, received None"):
        run(tree, models["dinov2"], tmp_path / "out")
    with pytest.raises(OutputExistsError, match="channels: expected 12 as before"):
        run(tree, models["clip"], tmp_path / "out", basis=2)
    save_file({"basis": torch.eye(5)}, tmp_path / "out" / "basis.safetensors")
    with pytest.raises(DataError, match=r"basis\.safetensors: basis: expected \(12, 2\), received \(5, 5\)"):
        run(tree, models["dinov2"], tmp_path / "out", basis=2)
