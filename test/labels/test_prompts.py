# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from gsocc_core import OCC3D_NUSCENES
from gsocc_core.errors import ConfigError
from gsocc_core.labels.prompts import make_captions, read_prompts

SHIPPED = Path(__file__).parents[2] / "config" / "labels"


@pytest.fixture(scope="module")
def tokenizer(models):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(models["detector"])


def test_every_shipped_file_loads_and_names_every_class():
    files = sorted(SHIPPED.glob("*.yaml"))
    assert files
    for path in files:
        prompts = read_prompts(path, OCC3D_NUSCENES)
        assert {prompt.class_id for prompt in prompts} == set(range(17)), path
        assert ("sky", 0) in [(prompt.text, prompt.class_id) for prompt in prompts]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cars: [car]", "cars: expected one of none, barrier, .*received an unknown class name"),
        ("free: [air]", "free: expected one of none"),
        ("others: [thing]", "others: expected one of none"),
        ("car: car", "car: expected a list of phrases"),
        ("car: ['']", "car: expected phrases of words"),
        ("car: [a. b]", "car: expected phrases without full stops"),
        ("car: [van]\nbus: [Van]", "bus: expected every phrase once"),
        ("none: [sky]", "at least one class"),
        ("car: [", "class name: "),
    ],
)
def test_wrong_files_are_refused(tmp_path, text, message):
    path = tmp_path / "prompts.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_prompts(path, OCC3D_NUSCENES)


def test_a_combined_caption_is_tokenised_as_its_text_would_be(prompts_file, tokenizer):
    prompts = read_prompts(prompts_file, OCC3D_NUSCENES)
    (caption,) = make_captions(prompts, "combined", tokenizer, 48)
    text = ". ".join(prompt.text for prompt in prompts) + "."
    assert list(caption.token_ids) == tokenizer(text)["input_ids"]
    words = [tokenizer.decode(caption.token_ids[a:b]) for a, b in caption.spans]
    assert words == ["sky", "car", "vehicle", "bus", "traffic cone", "street", "building"]
    assert [prompt.class_id for prompt in caption.prompts] == [0, 4, 4, 3, 8, 11, 15]


def test_separate_captions_hold_one_phrase_each(prompts_file, tokenizer):
    captions = make_captions(read_prompts(prompts_file, OCC3D_NUSCENES), "separate", tokenizer, 48)
    assert len(captions) == 7
    for caption in captions:
        (prompt,) = caption.prompts
        assert list(caption.token_ids) == tokenizer(f"{prompt.text}.")["input_ids"]


def test_captions_by_class_hold_the_phrases_of_one_class(prompts_file, tokenizer):
    captions = make_captions(read_prompts(prompts_file, OCC3D_NUSCENES), "by_class", tokenizer, 48)
    assert [[p.text for p in c.prompts] for c in captions] == [
        ["sky"], ["car", "vehicle"], ["bus"], ["traffic cone"], ["street"], ["building"],
    ]  # fmt: skip
    assert list(captions[1].token_ids) == tokenizer("car. vehicle.")["input_ids"]


def test_a_long_caption_is_split_between_phrases(prompts_file, tokenizer):
    prompts = read_prompts(prompts_file, OCC3D_NUSCENES)
    captions = make_captions(prompts, "combined", tokenizer, 9)
    assert len(captions) == 3
    assert all(len(caption.token_ids) <= 9 for caption in captions)
    assert [prompt for caption in captions for prompt in caption.prompts] == list(prompts)


def test_unknown_and_too_long_phrases_are_refused(tmp_path, tokenizer):
    path = tmp_path / "prompts.yaml"
    path.write_text("bus: [zeppelin]")
    with pytest.raises(ConfigError, match="zeppelin: expected a phrase that the detector's tokenizer knows"):
        make_captions(read_prompts(path, OCC3D_NUSCENES), "combined", tokenizer, 48)
    path.write_text(f"bus: [{'bus ' * 46}]")
    with pytest.raises(ConfigError, match="at most 45 tokens"):
        make_captions(read_prompts(path, OCC3D_NUSCENES), "separate", tokenizer, 48)
