# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""GaussianOcc's first stage from a configuration to a bundle, its scores, and the second stage that takes its poses."""

import json
import pickle
import shutil
import subprocess
import sys

import pytest
import torch
import yaml

from gsocc_core.commands.cli import main
from gsocc_core.inference.bundle import load_bundle, load_pose_bundle

from ..changed_poses import change_poses, unknown  # noqa: TID252 - tests are no package

SIZES = {"embedding_size": 8, "hidden_sizes": [8, 8, 12, 12], "depths": [1, 1, 1, 1], "layer_type": "basic"}
#: Neighbours are key frames: the tiny tree has no sweeps.
DATA = {"version": "v1.0-tiny", "split": "train", "occ3d_dir": None, "depth_dir": None, "view_size": [32, 64],
        "views": 2, "view_offsets": [-1, 1], "view_images": True}  # fmt: skip
RUN = {"max_steps": 2, "batch_size": 1, "checkpoint_every": 2, "accelerator": "cpu", "log_every": 1,
       "progress_bar": False}  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny tensors gain nothing from threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def first_stage(tree, folder, **model):
    content = {
        "out": str(folder / "first"),
        "method": "gaussianocc_pose",
        "model": {
            "image_size": [32, 64], "backbone": {"model_args": SIZES, "out_indices": [1, 2]},
            "motion_backbone": {"model_args": SIZES, "out_indices": [4]},
            "network": {"dim": 8, "motion_dim": 8}, "neighbours": {"most_s": 1.0},
            "cross": {"samples": 20, "least_px": 5, "erosion_px": 0},
            **model,
        },
        "data": DATA | {"dataroot": str(tree), "semantics_dir": None},
        "optimizer": {"warmup_steps": 1}, "run": RUN,
    }  # fmt: skip
    path = folder / "first.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def second_stage(tree, folder, bundle):
    content = {
        "out": str(folder / "second"),
        "method": "gaussianocc",
        "channels": list(range(18)),
        "model": {
            "image_size": [32, 64], "backbone": {"model_args": SIZES, "out_indices": [1, 2]},
            "network": {"widths": [8, 8], "dim": 4, "volume_dim": 4, "vertices": [16, 16, 8]},
            "gaussians": {"scale_m": 2.0}, "render": {"size": [8, 22]},
            "poses": {"mode": "learned", "bundle": str(bundle)},
        },
        "data": DATA | {"dataroot": str(tree)},
        "optimizer": {"warmup_steps": 1}, "run": RUN,
    }  # fmt: skip
    path = folder / "second.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_both_stages_train_and_the_second_needs_no_first_to_be_used(tiny_tree, tmp_path, capsys):
    main(["train", str(first_stage(tiny_tree, tmp_path))])
    logged = next((tmp_path / "first" / "logs").glob("csv/version_0/metrics.csv")).read_text().splitlines()[0]
    assert {"loss/photometric", "loss/smoothness", "loss/cross"} <= set(logged.split(","))
    bundle = tmp_path / "first" / "bundle"
    made = load_pose_bundle(bundle)
    assert made.method.cameras == tuple(made.arguments["cameras"])
    assert made.method.learned.rig_poses.abs().sum() > 0
    words = ["evaluate-poses", str(bundle), "--dataroot", str(tiny_tree), "--version", "v1.0-tiny"]
    main([*words, "--split", "train", "--sweeps", "[]", "--limit", "1", "--out", str(tmp_path / "scores"),
          "--update_card", "true"])  # fmt: skip
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["depth"]["pixels"] > 0
    assert scores["poses"] is None
    assert "abs rel" in (bundle / "README.md").read_text()
    path = second_stage(tiny_tree, tmp_path, bundle)
    main(["train", str(path)])
    bundle.rename(tmp_path / "elsewhere")
    assert load_bundle(tmp_path / "second" / "bundle").method.poses is None
    capsys.readouterr()
    # A rig with a camera less is another rig; nothing is written.
    cameras = list(made.method.cameras)[1:]
    path = second_stage(tiny_tree, tmp_path, tmp_path / "elsewhere")
    with pytest.raises(SystemExit):
        main(["train", str(path), "--out", str(tmp_path / "third"), "--data.cameras", json.dumps(cameras)])
    assert f"rig: expected the {len(cameras) + 1} cameras" in capsys.readouterr().err
    assert not (tmp_path / "third").exists()


def refused(words, capsys, folder):
    """The one line in which a command ends that writes nothing."""
    with pytest.raises(SystemExit):
        main(list(map(str, words)))
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    assert not folder.exists()
    return error


def test_what_cannot_be_learned_ends_in_one_line_and_writes_nothing(tiny_tree, tmp_path, capsys):
    path = first_stage(tiny_tree, tmp_path)
    for words, message in (
        (["--data.cameras", '["CAM_FRONT", "CAM_BACK"]'], "received 0 px (CAM_FRONT and CAM_BACK 0 px)"),
        (["--model.neighbours.most_s", "0.15"], "neighbours at most 0.15 s away"),
        (["--data.views", "1"], "data.view_sweeps: expected neighbours"),
        (["--data.view_size", "[16, 32]"], "data.view_size: expected (32, 64)"),
        (["--model.neighbours.most_spread_s", "0.02"], "at most 0.02 s apart, received 0.043 s: they are not synchro"),
        (["--channels", "[1, 2]"], "channels: expected null"),
        (["--data.cameras", '["CAM_FRONT"]'], "received 0 px (CAM_FRONT alone)"),
        (["--model.scale", "odometry"], "scale: expected another source of metres, since the data have no odometer"),
    ):
        assert message in refused(["train", path, *words], capsys, tmp_path / "first")


def test_a_second_stage_names_what_is_wrong_with_its_pose_bundle(tiny_tree, tiny_bundle, tmp_path, capsys):
    """Not there, of another kind, a pickle in the weights' place."""
    pickled, run = tmp_path / "pickled", tmp_path / "ran"
    shutil.copytree(tiny_bundle, pickled)
    (pickled / "config.yaml").write_text("method: gaussianocc_pose\narguments: {cameras: [CAM_FRONT]}\n")
    (pickled / "classes.yaml").unlink()
    (pickled / "model.safetensors").write_bytes(pickle.dumps(Runs(str(run))))
    for bundle, message in (
        (tmp_path / "nowhere", "nowhere"),
        (tiny_bundle, "method: expected one that predicts poses, such as gaussianocc_pose, received gaussianflowocc"),
        (pickled, "model.safetensors"),
    ):
        path = second_stage(tiny_tree, tmp_path, bundle)
        assert message in refused(["train", path], capsys, tmp_path / "second")
    assert not run.exists(), "a pickle was loaded"


class Runs:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_sample_whose_neighbours_are_too_far_is_found_before_the_first_step(tiny_tree, tmp_path, capsys):
    """The last key frame comes a second later than the others follow each other."""
    root = shutil.copytree(tiny_tree, tmp_path / "late")
    for name in ("sample", "sample_data", "ego_pose"):
        table = root / "v1.0-tiny" / f"{name}.json"
        rows = json.loads(table.read_text())
        for row in rows:
            if "scene-a-2" in row["token"]:
                row["timestamp"] += 1_000_000
        table.write_text(json.dumps(rows))
    path = first_stage(root, tmp_path)
    error = refused(["train", path, "--data.views", "2"], capsys, tmp_path / "first")
    assert "sample scene-a-1: views: expected neighbours at most 1 s away" in error
    assert "received 1.500 s" in error


def test_a_stopped_run_goes_on_to_the_same_weights(tiny_tree, tmp_path):
    path = first_stage(tiny_tree, tmp_path)
    words = ["train", str(path), "--run.checkpoint_every", "1"]
    main(words)
    last = "checkpoints/step=2.ckpt"
    straight = torch.load(tmp_path / "first" / last, weights_only=True)
    shutil.copytree(tmp_path / "first", tmp_path / "stopped")
    (tmp_path / "stopped" / last).unlink()
    shutil.rmtree(tmp_path / "stopped" / "bundle")
    main([*words, "--out", str(tmp_path / "stopped"), "--resume", "auto"])
    resumed = torch.load(tmp_path / "stopped" / last, weights_only=True)
    for part in ("state_dict", "average"):
        assert straight[part].keys() == resumed[part].keys()
        for name, value in straight[part].items():
            torch.testing.assert_close(resumed[part][name], value, atol=1e-6, rtol=1e-5)
    one, other = (load_pose_bundle(tmp_path / run / "bundle").method for run in ("first", "stopped"))
    torch.testing.assert_close(one.learned.rig_poses, other.learned.rig_poses)


def test_both_stages_train_on_a_tree_whose_poses_are_unknown(tiny_tree, tmp_path, capsys):
    root = change_poses(tiny_tree, tmp_path / "unknown", unknown)
    first = first_stage(root, tmp_path)
    assert "poses of the data are unknown" in refused(
        ["train", first, "--model.scale", "poses"], capsys, tmp_path / "first"
    )
    main(["train", str(first)])
    bundle = tmp_path / "first" / "bundle"
    second = second_stage(root, tmp_path, bundle)
    main(["train", str(second), "--run.max_steps", "1", "--run.checkpoint_every", "1"])
    assert load_bundle(tmp_path / "second" / "bundle").method.poses is None
    capsys.readouterr()
    given = ["train", second, "--model.poses", "{mode: given}", "--out", tmp_path / "third"]
    assert "data.views, data.view_sweeps: expected the present alone" in refused(given, capsys, tmp_path / "third")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_two_processes_train_together_and_go_on(tiny_tree, tmp_path):
    """The first stage in two processes, a stop, two processes again, scores; then the second, which trains poses on."""
    ddp = ["--run.devices", "2", "--run.strategy", "ddp"]
    start = [sys.executable, "-m", "gsocc_core", "train"]
    first = first_stage(tiny_tree, tmp_path)
    second = second_stage(tiny_tree, tmp_path, tmp_path / "first" / "bundle")
    for path, run, steps, more in (
        (first, "first", 2, []),
        (first, "first", 4, []),
        (second, "second", 2, ["--model.poses.mode", "refined"]),
    ):
        words = [*start, str(path), *ddp, *more, "--run.max_steps", str(steps), "--resume", "auto"]
        done = subprocess.run(words, capture_output=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr.decode()
        assert (tmp_path / run / "checkpoints" / f"step={steps}.ckpt").is_file()
    words = ["evaluate-poses", str(tmp_path / "first" / "bundle"), "--dataroot", str(tiny_tree), "--version"]
    main([*words, "v1.0-tiny", "--sweeps", "[]", "--limit", "1", "--out", str(tmp_path / "scores")])
    assert json.loads((tmp_path / "scores.json").read_text())["depth"]["pixels"] > 0
