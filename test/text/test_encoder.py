# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Names of encoders, and the towers of transformers on tiny random weights."""

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from gsocc_core.errors import ConfigError, DataError
from gsocc_core.text.encoder import load_text_encoder


@pytest.mark.parametrize("name", ["", "word2vec", "wordllama:x", "clip:", "clip", "talk2dino:x", "talk2dino:x:"])
def test_other_names_are_refused(name):
    with pytest.raises(ConfigError, match="text encoder: name: expected wordllama, clip:MODEL or talk2dino"):
        load_text_encoder(name)


@pytest.fixture(scope="module")
def clip(tiny_clip):
    return load_text_encoder(f"clip:{tiny_clip}")


def test_clip_gives_what_transformers_gives(clip, tiny_clip):
    from transformers import AutoTokenizer, CLIPModel

    words = ["car", "Traffic  cone", "a"]
    found = clip.embed(words)
    assert clip.dim == 12
    assert clip.name == f"clip:{tiny_clip}"
    model, tokenizer = CLIPModel.from_pretrained(tiny_clip).eval(), AutoTokenizer.from_pretrained(tiny_clip)
    for word, embedding in zip(("car", "traffic cone", "a"), found):  # one by one: without padding
        with torch.no_grad():
            hidden = model.text_model(**tokenizer([word], return_tensors="pt")).pooler_output
            expected = functional.normalize(model.text_projection(hidden), dim=-1)[0]
        torch.testing.assert_close(embedding, expected)
    assert found.dtype == torch.float32
    assert not found.requires_grad
    assert clip.embed([]).shape == (0, 12)


def test_wrong_phrases_and_models_are_refused(clip, tiny_clip, tmp_path):
    with pytest.raises(ConfigError, match="phrase of at least one word"):
        clip.embed(["car", ""])
    with pytest.raises(ConfigError, match="at most 20 tokens, received 42"):
        clip.embed(["car", "a " * 40])
    with pytest.raises(ConfigError, match="encoder: expected a folder or hub id of a model of type clip"):
        load_text_encoder(f"clip:{tmp_path / 'nowhere'}")
    (tmp_path / "config.json").write_text('{"model_type": "resnet"}')
    with pytest.raises(ConfigError, match="of type resnet"):
        load_text_encoder(f"clip:{tmp_path}")


def projection(path, clip_dim=12, dim=20):
    torch.manual_seed(1)
    tensors = {"linear_layer.weight": torch.randn(dim, clip_dim), "linear_layer.bias": torch.randn(dim),
               "linear_layer2.weight": torch.randn(dim, dim), "linear_layer2.bias": torch.randn(dim)}  # fmt: skip
    save_file(tensors, path)
    return tensors


def test_talk2dino_projects_what_clip_gives_before_it_has_unit_length(clip, tiny_clip, tmp_path):
    tensors = projection(tmp_path / "p.safetensors")
    encoder = load_text_encoder(f"talk2dino:{tiny_clip}:{tmp_path / 'p.safetensors'}")
    assert encoder.dim == 20
    (raw,) = clip.project(["car"])
    assert abs(float(raw.norm()) - 1) > 0.1
    hidden = torch.tanh(tensors["linear_layer.weight"] @ raw + tensors["linear_layer.bias"])
    expected = tensors["linear_layer2.weight"] @ hidden + tensors["linear_layer2.bias"]
    torch.testing.assert_close(encoder.embed(["car"])[0], expected / expected.norm())


def test_wrong_projections_are_refused(tiny_clip, tmp_path):
    path = tmp_path / "p.safetensors"
    name = f"talk2dino:{tiny_clip}:{path}"
    with pytest.raises(DataError, match="p.safetensors: file: expected weight and bias of linear_layer.*no such file"):
        load_text_encoder(name)
    projection(path, clip_dim=13)
    with pytest.raises(ConfigError, match="clip: expected a CLIP of 13 numbers, received .*: 12"):
        load_text_encoder(name)
    tensors = projection(path)
    save_file({**tensors, "linear_layer2.weight": torch.zeros(20, 21)}, path)
    with pytest.raises(DataError, match=r"linear_layer2.weight: expected finite layers that follow each other"):
        load_text_encoder(name)
    save_file({**tensors, "linear_layer2.bias": torch.full((20,), torch.nan)}, path)
    with pytest.raises(DataError, match=r"linear_layer2.weight: expected finite layers"):
        load_text_encoder(name)
    del tensors["linear_layer2.bias"]
    save_file(tensors, path)
    with pytest.raises(DataError, match="content: expected weight and bias of linear_layer and linear_layer2"):
        load_text_encoder(name)
