# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""GaussTR through the same commands as every method: trained, resumed, scored, used on pictures and on recordings."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml

from gsocc_core import OCC3D_NUSCENES, OccupancyPredictor
from gsocc_core.commands.cli import main
from gsocc_core.data.args import SURROUND_CAMERAS, DataArgs
from gsocc_core.data.build import build_dataset
from gsocc_core.data.feature_files import write_basis
from gsocc_core.errors import DataError
from gsocc_core.geometry.cameras import Camera
from gsocc_core.inference.bundle import load_bundle, save_bundle
from gsocc_core.labels.folder import LabelFolder
from gsocc_core.methods.build import build_method
from gsocc_core.text.class_prompts import ClassPrompts
from gsocc_ros.bags.bag_replay import replay_occupancy
from gsocc_ros.convert.nuscenes_to_rosbag2 import nuscenes_to_rosbag2

WORDS = {"car": ["car"], "driveable_surface": ["road"], "manmade": ["building"], "free": ["sky"]}
BACKBONE = {
    "model_type": "resnet", "out_indices": [2],
    "model_args": {"embedding_size": 8, "hidden_sizes": [8, 12, 16, 20], "depths": [1, 1, 1, 1], "layer_type": "basic"},
}  # fmt: skip
NETWORK = {"dim": 16, "queries": 12, "layers": 2, "heads": 2, "points": 1, "feed_hidden": 16, "head_hidden": 16,
           "levels": [1.0]}  # fmt: skip


@pytest.fixture
def config(tiny_tree, tmp_path, monkeypatch):
    """A configuration, and the features that it trains on."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    rng = np.random.default_rng(0)
    folder = LabelFolder(tmp_path / "features", "features", SURROUND_CAMERAS, {"model": "made"})
    data = DataArgs(str(tiny_tree), "v1.0-tiny", None, depth_dir=None, semantics_dir=None)
    for frame in (frame for frames in build_dataset(data, (32, 64)).scenes for frame in frames):
        folder.write(frame, {name: rng.standard_normal((256, 4, 7)).astype(np.float32) for name in SURROUND_CAMERAS})
    (tmp_path / "words.yaml").write_text(yaml.safe_dump(WORDS, sort_keys=False))

    def write(**model):
        content = {
            "out": str(tmp_path / "run"), "method": "gausstr", "prompts": str(tmp_path / "words.yaml"),
            "model": {"image_size": [32, 64], "backbone": BACKBONE, "frozen": False, "network": NETWORK,
                      "features": {"dim": 256, "channels": 4}, "loss": {"segmentation": 1.0},
                      "splat": {"least_opacity": None}, **model},
            "data": {"dataroot": str(tiny_tree), "version": "v1.0-tiny", "occ3d_dir": None, "view_size": [16, 32],
                     "views": 1, "max_view_depth_m": 100.0, "features_dir": str(folder.path),
                     "input_depth_dir": "metric_3d_nusc"},
            "optimizer": {"warmup_steps": 1, "ema_decay": 0.0},
            "run": {"batch_size": 1, "accelerator": "cpu", "checkpoint_every": 1, "max_steps": 2,
                    "progress_bar": False},
        }  # fmt: skip
        path = tmp_path / "train.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return str(path)

    return write


def test_trained_resumed_scored_and_asked(config, tiny_tree, tmp_path, capsys):
    path = config()
    run = tmp_path / "run"
    main(["train", path, "--run.keep_checkpoints", "3"])
    assert f"{run / 'bundle'}\nScore it with `gsocc_core evaluate" in capsys.readouterr().out
    straight = load_bundle(run / "bundle").method.state_dict()
    assert not any(name.startswith("segmenters") for name in straight), (
        "a bundle has no network of the segmentation loss"
    )
    (run / "checkpoints" / "step=2.ckpt").unlink()
    main(["train", path, "--resume", "auto"])
    resumed = load_bundle(run / "bundle").method.state_dict()
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)

    tree = ["--dataroot", str(tiny_tree), "--version", "v1.0-tiny", "--split", "val"]
    main(["evaluate", str(run / "bundle"), *tree, "--input_depth_dir", "metric_3d_nusc", "--out", str(run / "score")])
    (scores,) = json.loads((run / "score.json").read_text())
    assert 0 <= scores["miou"] <= 1
    main(
        ["predict", str(run / "bundle"), *tree, "--input_depth_dir", "metric_3d_nusc", "--out", str(run / "predicted")]
    )
    assert len(list((run / "predicted").rglob("*.npz"))) == 3
    with pytest.raises(SystemExit):
        main(["evaluate", str(run / "bundle"), *tree, "--out", str(run / "blind")])
    told = "expected a depth map (metres), which the method requires: --input_depth_dir of a data set, --depth_dir "
    assert told + "beside own pictures, or depths_m of predict" in capsys.readouterr().err.strip().splitlines()[-1]

    predictor = OccupancyPredictor.load(run / "bundle", "cpu")
    data = DataArgs(str(tiny_tree), "v1.0-tiny", "val", depth_dir=None, semantics_dir=None, views=1,
                    input_depth_dir="metric_3d_nusc")  # fmt: skip
    prediction = predictor.predict_frames(build_dataset(data, predictor.image_size)[0])
    found = predictor.query(["van", "street"], prediction)
    assert found.scores.shape == (2, 200, 200, 16)
    assert found.scores.max() > 0
    assert set(prediction.grid.labels.unique().tolist()) <= {4, 11, 15, 17}


def test_a_head_of_its_own_needs_pictures_alone(config, tiny_tree, tmp_path):
    path = config(depth={"source": "head"}, loss={})
    main(["train", path, "--data.input_depth_dir", "null"])
    bundle = tmp_path / "run" / "bundle"
    nuscenes_to_rosbag2(str(tiny_tree), str(tmp_path / "bag"), scene="scene-b", version="v1.0-tiny")
    report = replay_occupancy(str(tmp_path / "bag"), str(tmp_path / "replayed"), str(bundle))
    assert report.sets == 3
    images = [np.full((45, 80, 3), 80, np.uint8)]
    data = DataArgs(str(tiny_tree), "v1.0-tiny", "val", depth_dir=None, semantics_dir=None, views=1)
    camera = build_dataset(data, (32, 64)).key_frame(0).shots[0].camera
    assert OccupancyPredictor.load(bundle, "cpu").predict(images, [camera]).scene.means.shape == (12, 3)
    main(["train", config(), "--out", str(tmp_path / "given")])
    with pytest.raises(DataError, match="--depth_dir beside own pictures, or depths_m of predict; .*, received none"):
        OccupancyPredictor.load(tmp_path / "given" / "bundle", "cpu").predict(images, [camera])


def test_a_model_that_looks_at_features_says_how_to_give_them(tmp_path):
    arguments = {"image_size": [32, 64], "network": NETWORK, "features": {"dim": 256, "channels": 4},
                 "depth": {"source": "head"},
                 "grid": {"lower": [-4, -4, -1], "upper": [4, 4, 1], "voxel_size": 1.0}}  # fmt: skip
    prompts = ClassPrompts(("car",), ("car",), torch.ones(1, 256), "wordllama")
    method = build_method("gausstr", arguments, OCC3D_NUSCENES, pretrained=False, prompts=prompts)
    save_bundle(tmp_path / "bundle", "gausstr", arguments, method, "# given\n")
    predictor = OccupancyPredictor.load(tmp_path / "bundle", "cpu")
    camera = Camera("front", np.array([[60.0, 0, 32], [0, 60, 16], [0, 0, 1]]), np.eye(4), 64, 32)
    told = "requires: --input_features_dir of a data set, or features of predict, received none for front"
    with pytest.raises(DataError, match=told):
        predictor.predict([np.zeros((32, 64, 3), np.uint8)], [camera])


def test_features_in_another_basis_are_refused_at_once(config, tmp_path, capsys, monkeypatch):
    own, other = tmp_path / "features", tmp_path / "other"
    other.mkdir()
    basis = torch.linalg.qr(torch.randn(256, 256, generator=torch.Generator().manual_seed(0)))[0]
    write_basis(own, basis)
    write_basis(other, basis.roll(1, dims=1))
    stored = {"dim": 256, "channels": 256, "compression": "stored"}
    with pytest.raises(SystemExit):
        main(["train", config(features=stored, basis=str(other), loss={})])
    error = capsys.readouterr().err.strip().splitlines()[-1]
    told = f"config.yaml: data.features_dir: expected features in the basis of model.basis, received those of {own}"
    assert f"{told} (made), in another basis" in error
    assert not (tmp_path / "run").exists()

    class Reached(Exception):  # noqa: N818 - no error: what a run that goes on comes to next
        pass

    def fit(*args, **kwargs):
        raise Reached

    monkeypatch.setattr("lightning.Trainer.fit", fit)
    monkeypatch.setenv("GSOCC_DEBUG", "1")
    for change in ({"features": stored, "basis": str(own)}, {"features": {"dim": 256, "channels": 4}}):
        with pytest.raises(Reached):
            main(["train", config(loss={}, **change), "--out", str(tmp_path / f"run{len(change)}")])


@pytest.mark.slow
def test_two_processes_train_together(config, tmp_path):
    path = config(depth={"source": "head"})
    words = [sys.executable, "-m", "gsocc_core", "train", path, "--run.devices", "2", "--run.strategy", "ddp"]
    done = subprocess.run(words, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert (tmp_path / "run" / "bundle" / "model.safetensors").is_file()
