# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The command ``text``: what an encoder holds for alike, and files of class prompts."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

from gsocc_core.commands.cli import main
from gsocc_core.errors import ConfigError
from gsocc_core.synthetic.world.plain_things import CLASSES
from gsocc_core.text.class_prompts import ClassPrompts, load_class_prompts
from gsocc_core.text.compare import nearest_words
from gsocc_core.text.encoder import load_text_encoder

PLAIN = str(Path(__file__).parents[2] / "config" / "prompts" / "plain.yaml")


def test_words_are_compared_with_each_other(capsys):
    main(["text", "automobile", "car", "Traffic  cone", "car", "cone"])
    assert capsys.readouterr().out.splitlines() == [
        "automobile    car 0.67, traffic cone 0.13, cone -0.04",
        "car           automobile 0.67, traffic cone 0.14, cone -0.03",
        "traffic cone  cone 0.73, car 0.14, automobile 0.13",
        "cone          traffic cone 0.73, car -0.03, automobile -0.04",
    ]


def test_words_are_compared_with_class_prompts(capsys):
    main(["text", "gravel", "horse", "--prompts", PLAIN])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("gravel  hedgerow (tree) 0.15, sky (free) 0.14, ")
    assert lines[1].startswith("horse   animal (animal) 0.53, ")


def test_class_prompts_are_written(tmp_path, capsys):
    CLASSES.to_yaml(tmp_path / "classes.yaml")
    out = tmp_path / "prompts.safetensors"
    words = ["text", "--prompts", PLAIN, "--out", str(out)]
    main([*words, "--classes", str(tmp_path / "classes.yaml")])
    assert f"{out}: road: road, tar, paving stone; " in capsys.readouterr().out
    assert ClassPrompts.load(out).same_as(load_class_prompts(PLAIN, CLASSES, "wordllama"))
    with pytest.raises(SystemExit):
        main(words)
    assert "expected a file that does not exist" in capsys.readouterr().err


def test_words_become_classes_of_their_own(tmp_path):
    out = tmp_path / "prompts.safetensors"
    main(["text", "traffic cone", "dog", "--out", str(out)])
    found = ClassPrompts.load(out)
    assert found.words == ("traffic cone", "dog")
    assert found.class_names == ("traffic_cone", "dog")
    assert load_file(out)["embeddings"].shape == (2, 256)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "text: words: expected words to compare, or --prompts with --out, received neither"),
        (["--prompts", PLAIN], "received neither"),
        (["car"], "text: words: expected two or more words"),
        (["car", ""], r"text: words[1]: expected a phrase of at least one word"),
        (["car", "--prompts", PLAIN, "--out", "x"], "text: out: expected null"),
        (["--prompts", "nowhere.yaml", "--out", "x"], "nowhere.yaml: file"),
        (["car", "van", "--encoder", "x"], "text encoder: name"),
        (["car", "van", "--out", "x", "--classes", "CLASSES"], "class prompts: car: expected a class among free"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(tmp_path, capsys, monkeypatch, words, expected):
    CLASSES.to_yaml(tmp_path / "classes.yaml")
    with pytest.raises(SystemExit) as stop:
        main(["text", *(str(tmp_path / "classes.yaml") if word == "CLASSES" else word for word in words)])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1


def test_prompts_of_another_encoder_are_refused_whatever_it_is_called():
    encoder = load_text_encoder("wordllama")
    other = ClassPrompts(("car",), ("car",), encoder.embed(["oak"]), "wordllama")
    with pytest.raises(ConfigError, match="encoder: expected the encoder of the class prompts, wordllama, received wo"):
        nearest_words(["van"], encoder, other)
    moved = ClassPrompts(("car",), ("car",), encoder.embed(["car"]), "clip:elsewhere")
    assert nearest_words(["van"], encoder, moved).startswith("van  car (car) ")
