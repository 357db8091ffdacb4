# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Trainings of methods that are told their classes in words."""

import re

import pytest
import torch
import yaml

from gsocc_core import OCC3D_NUSCENES
from gsocc_core.commands.cli import main
from gsocc_core.inference.bundle import load_bundle, save_bundle
from gsocc_core.methods.build import build_method
from gsocc_core.text.class_prompts import ClassPrompts
from gsocc_core.text.encoder import load_text_encoder
from gsocc_core.training.initial_weights import start_from

from ..worded import NAME, listed  # noqa: TID252 - tests are no package, helpers live beside them

WORDS = {"car": ["car", "Van"], "bus": ["bus"], "driveable_surface": ["road"], "free": ["sky"]}


@pytest.fixture(autouse=True)
def _listed(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    listed(monkeypatch)


@pytest.fixture
def files(tiny_tree, tmp_path):
    """A configuration, and words as YAML."""
    (tmp_path / "words.yaml").write_text(yaml.safe_dump(WORDS, sort_keys=False))
    content = {
        "out": str(tmp_path / "run"), "method": NAME, "model": {}, "prompts": str(tmp_path / "words.yaml"),
        "data": {"dataroot": str(tiny_tree), "version": "v1.0-tiny", "occ3d_dir": None, "view_size": [8, 22]},
        "run": {"max_steps": 1, "batch_size": 1, "accelerator": "cpu", "checkpoint_every": 1, "progress_bar": False},
    }  # fmt: skip
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(content))
    return str(tmp_path / "train.yaml"), tmp_path


def test_words_reach_the_bundle_its_card_and_the_runs_that_go_on(files, capsys, monkeypatch):
    config, folder = files
    main(["train", config])
    bundle = load_bundle(folder / "run" / "bundle")
    assert bundle.method.prompts.words == ("car", "van", "bus", "road", "sky")
    assert bundle.classes.channel_ids == (4, 4, 3, 11, 17)
    text = "Classes in words, embedded by `wordllama`: car: car, van; bus: bus; driveable_surface: road; free: sky."
    assert text in (folder / "run" / "bundle" / "README.md").read_text()
    ours = yaml.safe_load((folder / "run" / "config.yaml").read_text())
    assert (ours["prompts"], ours["encoder"]) == (str(folder / "words.yaml"), "wordllama")

    # The same words from another file, in the roundings of another machine, are no change; other words, or none, are.
    stored = (folder / "run" / "prompts.safetensors").read_bytes()
    same = ClassPrompts.load(folder / "run" / "prompts.safetensors")
    for name, embeddings in (("turned", -same.embeddings), ("rounded", same.embeddings + 5e-4)):
        ClassPrompts(same.words, same.class_names, embeddings, same.encoder).save(folder / f"{name}.safetensors")
    again = ["train", config, "--resume", "auto", "--run.max_steps", "2"]
    main([*again, "--prompts", str(folder / "rounded.safetensors")])
    assert (folder / "run" / "checkpoints" / "step=2.ckpt").is_file()
    (folder / "more.yaml").write_text(yaml.safe_dump(WORDS | {"truck": ["lorry"]}, sort_keys=False))
    for path, received in (
        (folder / "more.yaml", r"received car: car, van; .*truck: lorry \(wordllama\)"),
        (folder / "turned.safetensors", "received the same words with other embeddings"),
        ("null", "received none"),
    ):
        with pytest.raises(SystemExit):
            main([*again, "--prompts", str(path)])
        error = capsys.readouterr().err
        assert "prompts.safetensors: prompts: expected car: car, van; bus: bus;" in error
        assert re.search(received, error), error
    with pytest.raises(SystemExit):
        main([*again, "--encoder", "clip:nowhere"])
    assert "sky (wordllama) as in the run to resume, received car: car, van; " in (error := capsys.readouterr().err)
    assert "sky (clip:nowhere)" in error

    # Embeddings are the run's own, so that no encoder is needed.
    monkeypatch.setattr("gsocc_core.text.static_words.find_spec", lambda name: None)
    main([*again[:-1], "3"])
    assert (folder / "run" / "checkpoints" / "step=3.ckpt").is_file()
    assert (folder / "run" / "prompts.safetensors").read_bytes() == stored
    assert torch.equal(load_bundle(folder / "run" / "bundle").method.prompts.embeddings, same.embeddings)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--prompts", "null"], "config.yaml: prompts: expected class prompts, since worded is told its classes"),
        (["--prompts", "nowhere.yaml"], "nowhere.yaml: file: expected class name"),
        (["--prompts", "nowhere.safetensors"], "nowhere.safetensors: file: expected class prompts"),
        (["--prompts", "words.txt"], "words.txt: prompts: expected a .yaml file of words"),
        (["--encoder", "word2vec"], "text encoder: name: expected wordllama"),
        (["--channels", "1,2"], "train: channels: expected null, since prompts say"),
    ],
)
def test_what_does_not_fit_is_one_clear_line_and_leaves_no_run(files, capsys, words, expected):
    config, folder = files
    with pytest.raises(SystemExit) as stop:
        main(["train", config, *words])
    assert stop.value.code == 2
    assert expected in capsys.readouterr().err
    assert not (folder / "run").exists()


def test_weights_start_a_training_with_other_words(tmp_path):
    def build(*words, encoder="wordllama"):
        names = tuple(OCC3D_NUSCENES.names[4 + i] for i in range(len(words)))
        prompts = ClassPrompts(words, names, load_text_encoder("wordllama").embed(words), encoder)
        return build_method(NAME, {}, OCC3D_NUSCENES, pretrained=False, prompts=prompts)

    source = build("car", "crane")
    save_bundle(tmp_path / "source", NAME, {}, source, "# source\n", half=False)
    network = build("automobile", "excavator", "motorcycle")
    report = start_from(network, NAME, tmp_path / "source")
    assert torch.equal(network.aligned, source.aligned)
    assert report.shared == ("car", "construction_vehicle")
    assert report.new == ("motorcycle",)
    assert not report.notes
    assert "text encoder wordllama in the source, clip:a/b here" in str(
        start_from(build("car", encoder="clip:a/b"), NAME, tmp_path / "source")
    )
