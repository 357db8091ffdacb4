# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""GaussianOcc's first stage from a configuration to a bundle, its scores, and the second stage that takes its poses."""

import json

import pytest
import torch
import yaml

from gsocc_core.commands.cli import main
from gsocc_core.inference.bundle import load_bundle, load_pose_bundle

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


def test_what_cannot_be_learned_ends_in_one_line_and_writes_nothing(tiny_tree, tmp_path, capsys):
    path = first_stage(tiny_tree, tmp_path)
    for words, message in (
        (["--data.cameras", '["CAM_FRONT", "CAM_BACK"]'], "received 0 px (CAM_FRONT and CAM_BACK 0 px)"),
        (["--model.neighbours.most_s", "0.15"], "neighbours at most 0.15 s away"),
        (["--data.views", "1"], "data.view_sweeps: expected neighbours"),
        (["--data.view_size", "[16, 32]"], "data.view_size: expected (32, 64)"),
        (["--channels", "[1, 2]"], "channels: expected null"),
    ):
        with pytest.raises(SystemExit):
            main(["train", str(path), *words])
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
        assert not (tmp_path / "first").exists()
