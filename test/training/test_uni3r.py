# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Uni3R from a configuration to a bundle: unposed views, schedules, resumed runs, several processes, bad input."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from gsocc_core import OccupancyPredictor
from gsocc_core.commands.cli import main
from gsocc_core.errors import BundleError
from gsocc_core.inference.bundle import load_pose_bundle, load_view_bundle

from ..tiny_videos import write_videos  # noqa: TID252 - tests are no package, what they share lies beside them

#: Seven frames of two rooms are enough for two or three context views and a target.
SCHEDULE = {"context": [2, 3], "stages": [{"begin": 0, "span": [4, 4]}, {"begin": 1, "span": [6, 6]}]}
MODEL = {
    "image_size": [16, 16],
    "encoder": {
        "model_type": "dinov2_with_registers", "out_indices": [1],
        "model_args": {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "patch_size": 4,
                       "image_size": 16, "num_register_tokens": 1},
    },
    "network": {"depth": 1, "heads": 2, "registers": 1, "taps": [0, 0, 0, 0], "camera_depth": 1, "camera_heads": 2,
                "iterations": 2, "head_width": 8, "head_levels": [4, 8, 8, 8], "head_hidden": 8, "unit": "metre",
                "intrinsics_dropout": 0.5},
    "gaussians": {"stride": 2, "scale_factor": 0.7, "sh_degree": 1},
    "semantics": {"teacher_dim": 6, "dim": 4, "residual": False},
    "loss": {"ssim": 0.1, "points": 0.1, "depth": 0.1, "camera": 0.1},
}  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Tiny tensors gain nothing from threads, and sums must come out the same in every process."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def write_features(root, channels=6):
    """A teacher's features as files, one per picture."""
    rng = np.random.default_rng(1)
    for picture in sorted(root.glob("*/color/*.png")):
        path = root / "teacher" / picture.parents[1].name / f"{picture.stem}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, rng.normal(size=(channels, 3, 4)).astype(np.float16))
    (root / "teacher" / "cameras.json").write_text(json.dumps(["color"]))
    return root


@pytest.fixture
def tree(tmp_path):
    root = write_features(write_videos(tmp_path / "videos", frames=9))
    (root / "splits.json").write_text(json.dumps({"train": ["scene0000_00"], "val": ["scene0001_00"]}))
    return root


@pytest.fixture
def config(tree, tmp_path):
    content = {
        "out": str(tmp_path / "run"), "method": "uni3r", "model": MODEL,
        "data": {"dataroot": str(tree), "split": "train", "features_dir": "teacher", "schedule": SCHEDULE},
        "optimizer": {"learning_rate": 1e-3, "weight_decay": 0.05, "backbone_factor": 0.1, "warmup_steps": 1},
        "run": {"max_steps": 3, "batch_size": 2, "checkpoint_every": 1, "keep_checkpoints": 3, "accelerator": "cpu",
                "log_every": 1, "progress_bar": False},
    }  # fmt: skip
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_from_a_configuration_to_a_bundle_in_two_parts_as_in_one(config, tmp_path, capsys):
    words = ["--val_split", "val", "--run.validate_every", "2", "--run.validate_samples", "1"]
    main(["train", str(config), *words])
    lines = next((tmp_path / "run" / "logs").glob("csv/version_0/metrics.csv")).read_text().splitlines()
    losses = {"color", "ssim", "semantic", "geometry", "points", "depth", "camera"}
    assert {f"loss/{name}" for name in losses} | {f"val/{name}" for name in losses} <= set(lines[0].split(","))
    # Stopped after two steps, the third is the same: schedule and number of views follow the step.
    broken = tmp_path / "broken"
    (broken / "checkpoints").mkdir(parents=True)
    for name in ("config.yaml", "checkpoints/step=2.ckpt"):
        shutil.copy(tmp_path / "run" / name, broken / name)
    main(["train", str(config), "--out", str(broken), "--resume", "auto", *words])
    one, two = (
        torch.load(run / "checkpoints" / "step=3.ckpt", weights_only=True) for run in (tmp_path / "run", broken)
    )
    assert all(torch.equal(value, two["state_dict"][name]) for name, value in one["state_dict"].items())
    groups = one["optimizer_states"][0]["param_groups"]
    assert sorted((g["initial_lr"], g["weight_decay"]) for g in groups) == [(1e-4, 0), (1e-3, 0), (1e-3, 0.05)]
    # The bundle keeps what use needs, and nothing of the training.
    made = load_view_bundle(tmp_path / "run" / "bundle")
    assert made.method.network_args.unit == "metre"
    assert set(made.arguments) == set(MODEL) - {"loss"}
    assert all(torch.allclose(v, one["average"][k], atol=1e-2) for k, v in made.method.state_dict().items())
    card = (made.path / "README.md").read_text()
    assert "3 steps of 2 samples of 2, 3 unposed views, layout scannet, split `train`" in card
    # What predicts no occupancy says so.
    with pytest.raises(BundleError, match="method: expected one that predicts occupancy, received uni3r"):
        OccupancyPredictor.load(made.path)
    with pytest.raises(BundleError, match="expected one that predicts poses, .*received uni3r"):
        load_pose_bundle(made.path)
    # Its weights begin another training.
    capsys.readouterr()
    main(["train", str(config), "--out", str(tmp_path / "more"), "--init", str(made.path), "--run.max_steps", "1"])
    assert f"{made.path}" in capsys.readouterr().err


def test_what_cannot_be_learned_ends_in_one_line_and_writes_nothing(config, tree, tmp_path, capsys):
    other = write_features(write_videos(tmp_path / "bare", without=("depth", "camera_pose", "labels"), table=False), 5)
    bare = str(other)
    for words, message in (
        (["--data.version", "3", "--data.views", "2"], "data.views: expected"),
        (["--data.schedule.context", "[9]"], "expected frames for 9 context views"),
        (["--data.min_overlap", "1.1"], "data.min_overlap: expected 0 ... 1"),
        (["--channels", "[1, 2]"], "channels: expected null, since uni3r predicts no classes"),
        (["--prompts", "x.yaml"], "prompts: expected null, since uni3r predicts no classes"),
        (["--data.features_dir", "null"], "loss.semantic: expected 0, or data.features_dir"),
        (["--model.semantics.teacher_dim", "7"], "semantics.teacher_dim: expected 6, as features of the data"),
        (["--data.features_dir", "null", "--model.loss.semantic", "0", "--model.semantics.residual", "true"],
         "semantics.residual: expected false, or data.features_dir"),
        (["--data.dataroot", bare, "--data.split", "null"], "loss.photometric: expected 0, or intrinsics and poses"),
        (["--data.hide_intrinsics", "true"], "loss.geometry: expected 0, or depth and intrinsics"),
        (["--data.min_overlap", "1"], "overlap of frames 000000, 000006: expected at least 1"),
    ):  # fmt: skip
        with pytest.raises(SystemExit):
            main(["train", str(config), *words])
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("lack", ["other views", "intrinsics", "one aspect"])
def test_what_a_sample_may_lack(lack, config, tree, tmp_path, capsys):
    """One view; nothing known of the camera that looked; pictures of two shapes: each trains a bundle."""
    words = ["--data.schedule.context", "[1]"] if lack == "other views" else []
    if lack == "intrinsics":
        silent = [word for name in ("geometry", "points", "depth", "camera") for word in (f"--model.loss.{name}", "0")]
        words = ["--data.hide_intrinsics", "true", *silent]
    if lack == "one aspect":
        for folder in ("color", "depth", "labels"):
            for path in sorted((tree / "scene0000_00" / folder).glob("*.png"))[::2]:
                Image.open(path).crop((8, 0, 24, 24)).save(path)
        with pytest.raises(SystemExit):  # the teacher's maps, one shape each, no longer fit each other
            main(["train", str(config), "--run.max_steps", "1", "--out", str(tmp_path / "broken")])
        assert "features: expected one size after fitting" in capsys.readouterr().err.splitlines()[-1]
        words = ["--data.features_dir", "null", "--model.loss.semantic", "0"]
    main(["train", str(config), "--run.max_steps", "1", *words])
    assert load_view_bundle(tmp_path / "run" / "bundle").method_name == "uni3r"


@pytest.mark.slow
def test_two_processes_train_together(config, tmp_path):
    words = ["--run.devices", "2", "--run.strategy", "ddp", "--run.batch_size", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "gsocc_core", "train", str(config), *words],
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert (tmp_path / "run" / "bundle" / "model.safetensors").is_file()
