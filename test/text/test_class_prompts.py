# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Class prompts: shipped files, what they tell apart, and what comes back from disk."""

import json
from collections import Counter
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from gsocc_core import OCC3D_NUSCENES
from gsocc_core.commands.cli import main
from gsocc_core.errors import ConfigError, DataError, OutputExistsError, ShapeError
from gsocc_core.inference.query import MAX_WORDS, TEMPERATURE
from gsocc_core.synthetic.world.plain_things import CLASSES, NAMES
from gsocc_core.text.class_prompts import (
    ClassPrompts,
    embed_class_prompts,
    load_class_prompts,
    read_class_prompts,
)
from gsocc_core.text.encoder import load_text_encoder

SHIPPED = Path(__file__).parents[2] / "config" / "prompts"


@pytest.fixture(scope="module")
def plain():
    return load_class_prompts(SHIPPED / "plain.yaml", CLASSES, "wordllama")


def test_the_words_of_gausstr_stand_for_the_classes_of_occ3d():
    phrases = read_class_prompts(SHIPPED / "occ3d.yaml", OCC3D_NUSCENES)
    assert [p.text for p in phrases] == [
        "barrier", "bicycle", "bus", "car", "construction vehicle", "motorcycle", "person", "cone", "trailer", "truck",
        "road", "sidewalk", "terrain", "grass", "building", "wall", "fence", "pole", "sign", "vegetation", "sky",
    ]  # fmt: skip
    counts = Counter(p.class_name for p in phrases)
    assert counts == dict.fromkeys(set(OCC3D_NUSCENES.names) - {"others", "other_flat"}, 1) | {
        "terrain": 2, "manmade": 5,
    }  # fmt: skip
    embedded = embed_class_prompts(phrases, load_text_encoder("wordllama"))
    assert embedded.class_ids(OCC3D_NUSCENES) == (*range(1, 12), 13, 14, 14, *[15] * 5, 16, 17)
    assert embedded.described().endswith(
        "manmade: building, wall, fence, pole, sign; vegetation: vegetation; free: sky"
    )


def test_the_words_of_the_plain_world_tell_26_of_its_28_names_apart(plain):
    names = load_text_encoder("wordllama").embed(NAMES.names)
    nearest = (names @ plain.embeddings.T).argmax(1)
    ids = plain.class_ids(CLASSES)
    wrong = {n: plain.words[k] for n, c, k in zip(NAMES.names, NAMES.class_ids, nearest) if ids[k] != c}
    assert wrong == {"gravel": "hedgerow", "crate": "cedar"}
    assert not set(plain.words) & set(NAMES.names), "names that are asked for later stand in no prompt"
    assert set(plain.class_names) == set(CLASSES.names)


def test_what_is_written_comes_back(plain, tmp_path):
    path = tmp_path / "new" / "prompts.safetensors"
    plain.save(path)
    again = ClassPrompts.load(path)
    assert again.same_as(plain)
    assert again.encoder == "wordllama"
    assert again.embeddings.dtype == torch.float32
    assert path.stat().st_mode & 0o777 == 0o644
    with pytest.raises(OutputExistsError):
        plain.save(path)
    plain.save(path, replace=True)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    # Embeddings in a file keep their encoder.
    assert load_class_prompts(path, CLASSES, "clip:nowhere").same_as(plain)


@pytest.mark.parametrize("change", ["words", "class_names", "embeddings", "encoder"])
def test_any_difference_counts(plain, change):
    other = {"words": plain.words[::-1], "class_names": plain.class_names[::-1], "embeddings": plain.embeddings * 2,
             "encoder": "clip:a/b"}  # fmt: skip
    assert not plain.same_as(ClassPrompts(**{**vars(plain), change: other[change]}))


def test_a_class_that_the_table_lacks_is_named(plain, tmp_path):
    with pytest.raises(ConfigError, match="class prompts: road: expected a class among others, .*received road"):
        plain.class_ids(OCC3D_NUSCENES)
    plain.save(tmp_path / "p.safetensors")
    with pytest.raises(ConfigError, match="received road"):
        load_class_prompts(tmp_path / "p.safetensors", OCC3D_NUSCENES, "wordllama")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cars: [car]", "cars: expected one of free, road"),
        ("road: street", "road: expected a list of phrases"),
        ("road: [' ']", "road: expected phrases of words"),
        ("road: [street]\ngrass: [Street]", "grass: expected every phrase once"),
        ("free: [sky]", "at least one class besides free space"),
        ("{}", "at least one class besides free space"),
        ("road: [", "class name: "),
        ("road: [🦄]", "letters that the encoder knows"),
    ],
)
def test_wrong_files_of_words_are_refused(tmp_path, text, message):
    path = tmp_path / "prompts.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_class_prompts(path, CLASSES, "wordllama")


def test_other_files_are_refused(tmp_path):
    with pytest.raises(
        ConfigError, match="prompts.txt: prompts: expected a .yaml file of words, or a .safetensors file"
    ):
        load_class_prompts(tmp_path / "prompts.txt", CLASSES, "wordllama")
    with pytest.raises(ConfigError, match="prompts.yaml: file: .*No such file"):
        load_class_prompts(tmp_path / "prompts.yaml", CLASSES, "wordllama")
    with pytest.raises(DataError, match="prompts.safetensors: file: expected class prompts .*no such file"):
        load_class_prompts(tmp_path / "prompts.safetensors", CLASSES, "wordllama")


def written(path, content, **tensors):
    save_file(tensors, path, metadata=None if content is None else {"prompts": content})
    return path


@pytest.mark.parametrize(
    ("content", "tensors", "message"),
    [
        (None, {"embeddings": torch.ones(1, 3)}, "content: expected class prompts"),
        ("{}", {"weights": torch.ones(1, 3)}, "content: expected class prompts .*received tensors weights"),
        ("{", {"embeddings": torch.ones(1, 3)}, "content: expected class prompts"),
        ({"words": "car"}, {"embeddings": torch.ones(1, 3)}, "words, classes: expected lists of texts"),
        ({"words": []}, {"embeddings": torch.ones(1, 3)}, "words: expected at least one word"),
        ({"words": ["a", "b"]}, {"embeddings": torch.ones(2, 3)}, "class_names: expected 2 names, one per word"),
        ({}, {"embeddings": torch.ones(2, 3)}, r"embeddings: expected \(1, D\) float32, received \(2, 3\)"),
        ({}, {"embeddings": torch.ones(1, 3).half()}, "received .* torch.float16"),
        ({}, {"embeddings": torch.full((1, 3), torch.nan)}, "embeddings: expected finite numbers"),
        ({"encoder": None}, {"embeddings": torch.ones(1, 3)}, "encoder: expected its name"),
    ],
)
def test_damaged_files_are_named(tmp_path, content, tensors, message):
    if isinstance(content, dict):
        content = json.dumps({"words": ["car"], "classes": ["vehicle"], "encoder": "wordllama"} | content)
    path = written(tmp_path / "p.safetensors", content, **tensors)
    with pytest.raises(DataError, match=f"p.safetensors: {message}" if "received" not in message[:8] else message):
        ClassPrompts.load(path)


def test_a_truncated_file_is_named(plain, tmp_path):
    plain.save(tmp_path / "p.safetensors")
    data = (tmp_path / "p.safetensors").read_bytes()
    (tmp_path / "p.safetensors").write_bytes(data[:-9])
    with pytest.raises(DataError, match="p.safetensors: content: expected class prompts"):
        ClassPrompts.load(tmp_path / "p.safetensors")


def test_prompts_without_words_or_with_other_embeddings_are_refused():
    with pytest.raises(ConfigError, match="at least one word"):
        ClassPrompts((), (), torch.zeros(0, 3), "wordllama")
    with pytest.raises(ShapeError, match="embeddings"):
        ClassPrompts(("car",), ("vehicle",), torch.zeros(3), "wordllama")


def test_the_page_about_words_runs(tmp_path, monkeypatch, capsys):
    page = (SHIPPED.parents[1] / "docs" / "words.md").read_text(encoding="utf-8")
    (tmp_path / "config").symlink_to(SHIPPED.parent)
    monkeypatch.chdir(tmp_path)
    exec(page.split("```python\n")[-1].split("```")[0], {})
    assert capsys.readouterr().out.splitlines()[0] == "0.67 -0.07"
    main(["text", "automobile", "car", "traffic cone", "cone"])
    assert capsys.readouterr().out in page
    queries = (SHIPPED.parents[1] / "docs" / "queries.md").read_text(encoding="utf-8")
    assert f"exp(c_word / {TEMPERATURE:g})" in queries
    assert f"At most {MAX_WORDS} words" in queries
