# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The stand-in for foundation models: what it says of pictures whose content is known."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from gsocc_core.commands import label_stand_in
from gsocc_core.commands.cli import main
from gsocc_core.data.feature_files import decode_features, read_basis
from gsocc_core.data.names import NO_NAME, KeyFrameNames, NameTable, write_names
from gsocc_core.data.nuscenes import DataArgs, NuScenesOccupancy
from gsocc_core.data.view_label_files import decode
from gsocc_core.errors import ConfigError, DataError, OutputExistsError
from gsocc_core.labels.folder import LabelFolder
from gsocc_core.synthetic.stand_in import seen_features

from ..conftest import CHANNELS  # noqa: TID252 - tests are no package, the constants live beside them

WORDS = ("road", "oak", "car")
ORDER = CHANNELS[::-1]
DEPTH_ORDER = CHANNELS  # of the published folder


@pytest.fixture(autouse=True)
def encoder(monkeypatch):
    """Words as axes: road, oak, car, sky, and one that no word has."""
    import gsocc_core.text.encoder as text

    def embed(words):
        assert list(words) == [*WORDS, "sky"]
        return torch.eye(4, 5)

    monkeypatch.setattr(text, "load_text_encoder", lambda name: SimpleNamespace(name=name, dim=5, embed=embed))


@pytest.fixture(scope="module")
def tree(tree_writer, tmp_path_factory):
    """Sky above road in every picture, and in the front one an oak that fills a quarter of one square."""
    root = tree_writer(tmp_path_factory.mktemp("data") / "tree", frames=2)
    shutil.rmtree(root / "gts")
    folder = root / "names"
    for s in "ab":
        for i in range(2):
            pictures = np.zeros((6, 45, 80), np.uint8)
            pictures[:, :15] = NO_NAME
            pictures[ORDER.index("CAM_FRONT"), 30:34, 40:44] = 1
            pictures[ORDER.index("CAM_BACK"), :] = 2
            names = KeyFrameNames(np.zeros((2, 2, 2), np.uint8), pictures)
            write_names(folder, f"scene-{s}", f"scene-{s}-{i}", names)
    NameTable(WORDS, (11, 16, 4)).save(folder / "names.json")
    (folder / "cameras.json").write_text(json.dumps(ORDER))
    return root


def run(tree, out, **options):
    label_stand_in(str(tree), "v1.0-tiny", str(out), **options)


def read(out, token="scene-a-0"):
    place = f"{token[:7]}/{token}.zip"
    return decode_features(out / "stand_in_features" / place), decode(out / "stand_in_depth" / place, "depth")


def test_features_are_the_words_of_what_is_shown(tree, tmp_path):
    run(tree, tmp_path, feature_noise=0.0, depth_noise=0.0)
    features, depth = read(tmp_path)
    assert list(features) == list(depth) == list(CHANNELS)
    front = features["CAM_FRONT"].astype(np.float32)
    assert front.shape == (5, 6, 10), "45 x 80 pixels in squares of about 8"
    assert front[:, 0, 0].tolist() == [0, 0, 0, 1, 0], "sky"
    assert front[:, 5, 0].tolist() == [1, 0, 0, 0, 0], "road"
    # Rows 30 ... 37 (the fifth row of squares), columns 40 ... 47: 16 pixels of 64 show the oak, 48 the road.
    assert front[:, 4, 5] == pytest.approx(np.array([48, 16, 0, 0, 0]) / np.hypot(48, 16), abs=1e-3)
    assert (features["CAM_BACK"][2] == 1).all(), "the car fills it, whatever the order of the cameras"
    true = np.load(tree / "metric_3d_nusc" / "scene-a" / "scene-a-0.npy")[DEPTH_ORDER.index("CAM_FRONT")]
    true[:15] = 200.0  # the sky
    np.testing.assert_allclose(depth["CAM_FRONT"], true, rtol=0.003)
    settings = json.loads((tmp_path / "stand_in_features" / "labels.json").read_text())
    assert "stand-in" in settings["model"]
    assert settings["channels"] == 5
    for name in ("stand_in_features", "stand_in_depth"):
        assert (tmp_path / name / "preview.jpg").is_file()


def test_noise_is_as_large_as_stated(tree, tmp_path):
    ids, words = np.zeros((400, 400), np.uint8), np.eye(4, 64, dtype=np.float32)
    noisy = seen_features(ids, words, 0.3, np.random.default_rng(0)).reshape(64, -1)
    off = noisy - words[0][:, None]
    assert np.sqrt((off**2).sum(0).mean()) == pytest.approx(0.3, rel=0.02)
    run(tree, tmp_path, depth_noise=0.05)
    true = np.load(tree / "metric_3d_nusc" / "scene-a" / "scene-a-0.npy")[DEPTH_ORDER.index("CAM_BACK")]
    ratio = np.log(read(tmp_path)[1]["CAM_BACK"] / true.astype(np.float32))
    assert ratio.std() == pytest.approx(0.05, rel=0.05)
    assert abs(ratio.mean()) < 0.003


def test_each_key_frame_has_its_own_noise_whoever_draws_it(tree, tmp_path):
    run(tree, tmp_path / "all")
    run(tree, tmp_path / "parts", shard="1/2")
    run(tree, tmp_path / "parts", shard="0/2")
    for token in ("scene-a-0", "scene-b-1"):
        for kind in ("features", "depth"):
            path = f"stand_in_{kind}/{token[:7]}/{token}.zip"
            assert (tmp_path / "all" / path).read_bytes() == (tmp_path / "parts" / path).read_bytes()
    assert (read(tmp_path / "all")[0]["CAM_BACK"] != read(tmp_path / "all", "scene-a-1")[0]["CAM_BACK"]).any()


def test_a_run_goes_on_and_another_is_refused(tree, tmp_path):
    run(tree, tmp_path)
    files = sorted(tmp_path.glob("*/*/*.zip"))
    assert len(files) == 8
    stored, kept = files[5].read_bytes(), files[0].stat().st_mtime_ns
    files[5].unlink()
    run(tree, tmp_path)
    assert files[5].read_bytes() == stored
    assert files[0].stat().st_mtime_ns == kept
    with pytest.raises(OutputExistsError, match=r"stand_in_features: feature_noise: expected 0\.5 as before"):
        run(tree, tmp_path, feature_noise=0.1)


def test_a_model_may_take_them_as_input_and_as_target(tree, tmp_path):
    main(["label", "stand_in", "--dataroot", str(tree), "--version", "v1.0-tiny", "--out", str(tmp_path)])
    data = DataArgs(str(tree), "v1.0-tiny", occ3d_dir=None, semantics_dir=None, views=1, view_size=(45, 80),
                    depth_dir=str(tmp_path / "stand_in_depth"), features_dir=str(tmp_path / "stand_in_features"),
                    input_features_dir=str(tmp_path / "stand_in_features"))  # fmt: skip
    frames = NuScenesOccupancy(data, (45, 80))[0]
    assert frames.features.shape == (1, 1, 6, 5, 6, 10)
    assert torch.equal(frames.features[:, 0], frames.targets.view_features[:, 0])
    assert frames.features[0, 0, CHANNELS.index("CAM_BACK"), 2].mean() == pytest.approx(1, abs=0.1)
    assert frames.targets.view_depth_m.any()


def test_a_tree_without_names_is_told_how_to_get_them(tree, tiny_tree, tmp_path):
    with pytest.raises(DataError, match=r"names: folder: expected fine-grained names.*--names true"):
        run(tiny_tree, tmp_path)
    with pytest.raises(ConfigError, match="--feature_noise: expected 0 or more"):
        run(tree, tmp_path, feature_noise=-1.0)
    with pytest.raises(DataError, match="nowhere"):
        run(tree, tmp_path, depth_dir="nowhere")
    broken = shutil.copytree(tree, tmp_path / "tree")
    names = KeyFrameNames(np.zeros((2, 2, 2), np.uint8), np.full((6, 45, 80), 7, np.uint8))
    write_names(broken / "names", "scene-a", "scene-a-0", names)
    with pytest.raises(DataError, match=r"scene-a-0\.npz: pictures: expected ids below 3 and 255, received 7"):
        run(broken, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.zip"))


def test_what_cannot_be_made_leaves_nothing(tree, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match=r"command line: --basis: expected 1 \.\.\. 5, .* received 6"):
        run(tree, out, basis=6)
    with pytest.raises(ConfigError, match="command line: --shuffled: expected two key frames or more, .* received 1"):
        label_frames(tree, out, frames=1, shuffled=True)
    assert not out.exists()
    (out / "stand_in_depth").mkdir(parents=True)
    (out / "stand_in_depth" / "mine.txt").touch()
    with pytest.raises(OutputExistsError, match=r"stand_in_depth: labels\.json: expected a new folder"):
        run(tree, out, basis=2)
    (out / "stand_in_depth" / "mine.txt").unlink()
    (out / "stand_in_depth").rmdir()
    (out / "stand_in_depth").touch()
    with pytest.raises(OutputExistsError, match="stand_in_depth: folder: expected a folder, or none, received a file"):
        run(tree, out)
    assert [path.name for path in out.iterdir()] == ["stand_in_depth"]


def label_frames(tree, out, frames, **options):
    """Label a tree of which only so many key frames are known."""
    from gsocc_core.synthetic import stand_in

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stand_in, "chosen_key_frames", lambda args, real=stand_in.chosen_key_frames: real(args)[:frames])
        run(tree, out, **options)


def test_folders_are_looked_through_once_whatever_the_number_of_key_frames(tree, tmp_path, monkeypatch):
    asked = []
    real = LabelFolder.remaining
    monkeypatch.setattr(LabelFolder, "remaining", lambda self, frames: asked.append(self.kind) or real(self, frames))
    run(tree, tmp_path)
    assert asked == ["features", "depth"]


def test_a_basis_reduces_features_and_keeps_what_tells_names_apart(tree, tmp_path):
    run(tree, tmp_path / "whole", feature_noise=0.0)
    run(tree, tmp_path / "reduced", feature_noise=0.0, basis=2)
    basis = read_basis(tmp_path / "reduced" / "stand_in_features").numpy()
    assert basis.shape == (5, 2)
    whole, reduced = read(tmp_path / "whole")[0], read(tmp_path / "reduced")[0]
    expected = np.einsum("dhw,dk->khw", whole["CAM_FRONT"].astype(np.float32), basis)
    np.testing.assert_allclose(reduced["CAM_FRONT"], expected, atol=2e-3)
    before = (tmp_path / "reduced" / "stand_in_features" / "scene-a" / "scene-a-1.zip").read_bytes()
    (tmp_path / "reduced" / "stand_in_features" / "scene-a" / "scene-a-1.zip").unlink()
    run(tree, tmp_path / "reduced", feature_noise=0.0, basis=2)
    after = (tmp_path / "reduced" / "stand_in_features" / "scene-a" / "scene-a-1.zip").read_bytes()
    assert before == after, "the stored basis serves whoever goes on"


def test_shuffled_features_belong_to_other_pictures_and_depth_to_its_own(tree, tmp_path):
    run(tree, tmp_path / "own", feature_noise=0.0)
    run(tree, tmp_path / "other", feature_noise=0.0, shuffled=True)
    tokens = [f"scene-{s}-{i}" for s in "ab" for i in range(2)]
    cars = [read(tmp_path / "other", t)[0][name][2].all() for t in tokens for name in CHANNELS]
    assert sum(cars) == 4, "every key frame still has one picture that a car fills"
    assert not all(read(tmp_path / "other", t)[0]["CAM_BACK"][2].all() for t in tokens), "but not always the same one"
    true = np.load(tree / "metric_3d_nusc" / "scene-a" / "scene-a-0.npy")[DEPTH_ORDER.index("CAM_FRONT")]
    ratio = read(tmp_path / "other")[1]["CAM_FRONT"][15:] / true[15:]
    assert np.abs(np.log(ratio)).mean() < 0.06


def test_shuffled_features_are_never_those_of_the_same_key_frame(tree, tmp_path):
    """Of two key frames each gets the other's, whatever is drawn."""
    marked = shutil.copytree(tree, tmp_path / "tree")
    for i, name in enumerate((0, 1)):
        names = KeyFrameNames(np.zeros((2, 2, 2), np.uint8), np.full((6, 45, 80), name, np.uint8))
        write_names(marked / "names", "scene-a", f"scene-a-{i}", names)
    for seed in range(4):
        label_frames(marked, tmp_path / str(seed), frames=2, feature_noise=0.0, shuffled=True, seed=seed)
        for i, word in enumerate((1, 0)):
            assert all((m[word] == 1).all() for m in read(tmp_path / str(seed), f"scene-a-{i}")[0].values()), seed
