# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The words that come with the package: the numbers of the library that made them, and clear errors without it."""

import importlib.util
import logging
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from gsocc_core.errors import ConfigError, DataError
from gsocc_core.text import static_words
from gsocc_core.text.encoder import load_text_encoder

PHRASES = [
    "car",
    "automobile",
    "traffic cone",
    "baby carriage",
    "garbage can",
    "straße",
    "日本",
    "a-b c/d",
    "stop sign",
]


@pytest.fixture(scope="module")
def encoder():
    return load_text_encoder("wordllama")


def test_the_numbers_are_the_library_s(encoder, monkeypatch):
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)  # which the library calls where it is imported
    wordllama = pytest.importorskip("wordllama")
    from tokenizers import Tokenizer
    from wordllama.inference import WordLlamaInference

    folder = Path(wordllama.__file__).parent
    tokenizer = Tokenizer.from_file(str(folder / static_words.TOKENIZER))
    table = static_words.StaticWords()._table
    config = wordllama.Config.l2_supercat
    expected = WordLlamaInference(table, config, tokenizer).embed(PHRASES, norm=True)
    assert np.abs(encoder.embed(PHRASES).numpy() - expected).max() == 0


def test_meanings(encoder):
    words = ["car", "automobile", "street lamp", "lamp post", "trash bin", "garbage can", "stroller", "baby carriage"]
    found = encoder.embed(words)
    assert encoder.dim == found.shape[1] == 256
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.norm(dim=1), torch.ones(8))
    pairs = [round(float(found[i] @ found[i + 1]), 2) for i in (0, 2, 4, 6)]
    assert pairs == [0.67, 0.67, 0.54, 0.25]
    for i in (0, 2, 4, 6):
        assert (found[i + 1] @ found.T).topk(2).indices[1] == i, "its synonym is the nearest other word"


def test_case_and_spaces_do_not_matter(encoder):
    a, b = encoder.embed(["traffic cone", "  Traffic   CONE\n"])
    assert torch.equal(a, b)
    assert encoder.embed([]).shape == (0, 256)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["car", "  "], r"words\[1\]: expected a phrase of at least one word, received '  '"),
        ([3], r"words\[0\]: expected a phrase"),
        ("car", "expected a list of phrases, received 'car'"),
        (["🦄"], "expected phrases in letters that the encoder knows, received '🦄'"),
    ],
)
def test_wrong_words_are_refused(encoder, words, message):
    with pytest.raises(ConfigError, match=message):
        encoder.embed(words)


def test_without_the_package_or_its_files_the_error_says_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(static_words, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"wordllama: package: expected wordllama>=0.3.3 .*received not installed"):
        load_text_encoder("wordllama")
    spec = ModuleSpec("wordllama", None, is_package=True)
    spec.submodule_search_locations.append(str(tmp_path))
    monkeypatch.setattr(static_words, "find_spec", lambda name: spec)
    with pytest.raises(ConfigError, match=r"weights/l2_supercat_256.safetensors: expected a file of the wheel"):
        load_text_encoder("wordllama")


def test_damaged_files_are_named(monkeypatch, tmp_path):
    real = importlib.util.find_spec("wordllama").submodule_search_locations[0]
    spec = ModuleSpec("wordllama", None, is_package=True)
    spec.submodule_search_locations.append(str(tmp_path))
    monkeypatch.setattr(static_words, "find_spec", lambda name: spec)
    weights, tokenizer = tmp_path / static_words.WEIGHTS, tmp_path / static_words.TOKENIZER
    for path in (weights, tokenizer):
        path.parent.mkdir()
        path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="l2_supercat_256.safetensors: content: expected word vectors"):
        load_text_encoder("wordllama")
    save_file({"embedding.weight": np.zeros((4, 2), np.int32)}, weights)
    with pytest.raises(DataError, match=r"expected \(tokens, dimensions\) of float16 or float32, received int32"):
        load_text_encoder("wordllama")
    save_file({"embedding.weight": np.zeros((4, 2), np.float16)}, weights)
    with pytest.raises(DataError, match="tokenizer_config.json: content: expected a tokenizer"):
        load_text_encoder("wordllama")
    tokenizer.write_bytes((Path(real) / static_words.TOKENIZER).read_bytes())
    with pytest.raises(DataError, match="expected 32000 rows, received 4"):
        load_text_encoder("wordllama")
