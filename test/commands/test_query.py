# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The command ``query``: words in; a table, a picture, scores and clouds out, from both kinds of pictures."""

import shutil

import numpy as np
import pytest
from PIL import Image

from gsocc_core import OccupancyPredictor
from gsocc_core.commands.cli import main
from gsocc_core.data.build import build_dataset
from gsocc_core.data.ply_vertices import read_ply
from gsocc_core.evaluation.score import scoring_data
from gsocc_core.rigs.nuscenes_rig import read_nuscenes

from ..worded import GRID, MEANS, write_bundle  # noqa: TID252 - tests are no package, helpers live beside them


@pytest.fixture
def bundle(monkeypatch, tmp_path):
    """A bus behind to the right, an oak behind to the left, a crate and a horse ahead."""
    return write_bundle(monkeypatch, tmp_path / "worded")


def asked(bundle, out, *words):
    main(["query", str(bundle), *words, "--out", str(out), "--device", "cpu"])
    with np.load(out / "scores.npz", allow_pickle=False) as stored:
        return dict(stored)


def test_a_key_frame_is_asked(bundle, tiny_tree, tmp_path, capsys):
    out = tmp_path / "answer"
    tree = ["--dataroot", str(tiny_tree), "--version", "v1.0-tiny", "--frame", "-1"]
    stored = asked(bundle, out, "Horse", "garden chair", *tree)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["word", "best", "score", "voxels", "from", "0.5", "nearest"]
    assert lines[1].split()[0] == "horse"
    assert lines[1].split()[2:] == ["1", "3.5", "m"]
    assert lines[2].startswith("garden chair")
    assert lines[2].split()[-2:] == ["0", "-"]
    assert lines[3] == str(out)
    assert sorted(path.name for path in out.iterdir()) == [
        "00_horse.ply", "01_garden_chair.ply", "picture.png", "scores.npz"
    ]  # fmt: skip

    predictor = OccupancyPredictor.load(bundle, "cpu")
    data = scoring_data(str(tiny_tree), "v1.0-tiny", occ3d_dir=None)
    dataset = build_dataset(data, predictor.image_size)
    prediction = predictor.predict_frames(dataset[len(dataset) - 1])
    expected = predictor.query(["horse", "garden chair"])
    assert stored["words"].tolist() == ["horse", "garden chair"]
    np.testing.assert_array_equal(stored["scores"], expected.scores.numpy())
    np.testing.assert_array_equal(stored["labels"], prediction.grid.labels.numpy())
    assert stored["reference_stamp_ns"] == prediction.reference_stamp_ns
    assert (stored["encoder"], stored["bundle"]) == ("wordllama", "worded")
    np.testing.assert_array_equal(stored["lower_m"], GRID.lower)

    cloud = read_ply(out / "00_horse.ply")
    np.testing.assert_allclose([cloud[key][0] for key in "xyz"], MEANS[3])
    assert cloud["score"][0] == stored["scores"][0].max()
    assert len(read_ply(out / "01_garden_chair.ply")["x"]) == 0
    with Image.open(out / "picture.png") as picture:
        assert picture.width == 1200


def test_own_pictures_are_asked(bundle, tiny_tree, tmp_path, capsys):
    rig, _ = read_nuscenes(tiny_tree, "v1.0-tiny", "scene-a")
    rig.save(tmp_path / "rig.yaml")
    for name in rig.names:
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i, file in enumerate(sorted((tiny_tree / "samples" / name).glob("scene-a-*.jpg"))):
            shutil.copy(file, tmp_path / "pictures" / name / f"{i}.jpg")
    own = ["--images", str(tmp_path / "pictures"), "--rig", str(tmp_path / "rig.yaml")]
    (tmp_path / "pictures" / "CAM_BACK" / "1.jpg").unlink()
    stored = asked(bundle, tmp_path / "deep" / "a", "bus", *own, "--frame", "1", "--negatives", "horse,oak")
    assert stored["negatives"].tolist() == ["horse", "oak"]
    table = capsys.readouterr().out
    assert table.splitlines()[1].split()[-3:] == ["1", "3.5", "m"]
    for words, message in (
        (["bus", *own, "--frame", "3"], "query: frame: expected -3 ... 2, received 3"),
        (["bus", *own, "--input_depth_dir", "x"], "query: input_depth_dir: expected a data set; --depth_dir is for"),
        (["bus", *own, "--threshold", "0"], "query: threshold: expected above 0, up to 1, received 0"),
        (["bus", "--images", "x"], "query: input: expected either --dataroot, or --images with --rig"),
        (["bus", "--dataroot", "x", "--depth_dir", "x"], "query: depth_dir: expected --input_depth_dir"),
        ([" ", *own], "query: words: expected at least one word, received none"),
        (["bus", " ", *own], "query: words[1]: expected a phrase of at least one word"),
        (["\U0001f984", *own], "letters that the encoder knows"),
        (["a"] * 65 + own, "query: words: expected at most 64, received 65"),
        (own, "command line: words: expected --words VALUE or the words behind BUNDLE"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(["query", str(bundle), *words, "--out", str(tmp_path / "b"), "--device", "cpu"])
        assert stop.value.code == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    with pytest.raises(SystemExit):
        asked(bundle, tmp_path / "deep" / "a", "bus", *own)
    assert "expected a path that does not exist" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["a"]


def test_an_encoder_whose_files_lie_elsewhere_is_named_by_an_option(bundle, monkeypatch, tiny_tree, tmp_path, capsys):
    moved = write_bundle(monkeypatch, tmp_path / "moved", called="clip:./weights/clip")
    tree = ["--dataroot", str(tiny_tree), "--version", "v1.0-tiny"]
    with pytest.raises(SystemExit):
        asked(moved, tmp_path / "none", "horse", *tree)
    assert "name yours as --text_encoder" in capsys.readouterr().err
    stored = asked(moved, tmp_path / "a", "horse", *tree, "--text_encoder", "wordllama")
    np.testing.assert_array_equal(stored["scores"], asked(bundle, tmp_path / "b", "horse", *tree)["scores"])
    assert stored["scores"].max() > 0.5


def test_a_bundle_without_text_features_is_told_before_anything_is_read(tiny_bundle, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["query", str(tiny_bundle), "bus", "--dataroot", str(tmp_path / "none"), "--out", str(tmp_path / "a")])
    error = capsys.readouterr().err
    assert "query: bundle: expected a method with text features, and so with class prompts, received Gaussian" in error
