# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""GaussianOcc from a configuration to a bundle: neighbouring pictures reach its losses, and runs can be resumed."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml

from gsocc_core import OCC3D_NUSCENES
from gsocc_core.commands.cli import main
from gsocc_core.inference.bundle import load_bundle
from gsocc_ros.bags.bag_files import open_bag, read_messages
from gsocc_ros.bags.bag_replay import replay_occupancy
from gsocc_ros.convert.nuscenes_to_rosbag2 import nuscenes_to_rosbag2
from gsocc_ros.messages.occupancy_messages import read_occupancy
from gsocc_ros.messages.outputs import GRID_TOPIC

BACKBONE = {"model_type": "resnet", "out_indices": [1, 2],
            "model_args": {"embedding_size": 8, "hidden_sizes": [8, 8, 12, 12], "depths": [1, 1, 1, 1],
                           "layer_type": "basic"}}  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny tensors gain nothing from threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def config(tiny_tree, tmp_path):
    content = {
        "out": str(tmp_path / "run"),
        "method": "gaussianocc",
        "channels": list(range(18)),
        "model": {
            "grid": {"lower": [-40.0, -40.0, -1.0], "upper": [40.0, 40.0, 5.4], "voxel_size": 0.4},
            "image_size": [32, 64], "backbone": BACKBONE,
            "network": {"widths": [8, 8], "dim": 4, "volume_dim": 4, "vertices": [16, 16, 8]},
            "gaussians": {"scale_m": 2.0}, "render": {"size": [8, 22]},
        },
        "data": {"dataroot": str(tiny_tree), "version": "v1.0-tiny", "split": "train", "occ3d_dir": None,
                 "depth_dir": None, "view_size": [16, 44], "views": 2, "view_offsets": [-1, 1], "view_images": True,
                 "photometric": 0.2},
        "optimizer": {"learning_rate": 1e-3, "warmup_steps": 1},
        "run": {"max_steps": 4, "batch_size": 2, "checkpoint_every": 2, "accelerator": "cpu", "log_every": 1,
                "progress_bar": False},
    }  # fmt: skip
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_it_trains_and_resumes_to_the_same_weights(config, tmp_path):
    main(["train", str(config)])
    logged = next((tmp_path / "run" / "logs").glob("csv/version_0/metrics.csv")).read_text().splitlines()[0].split(",")
    assert {"loss/photometric", "loss/smoothness", "loss/semantics", "loss/entropy", "loss/variation"} <= set(logged)
    straight = torch.load(tmp_path / "run" / "checkpoints" / "step=4.ckpt", weights_only=True)["state_dict"]
    shutil.copytree(tmp_path / "run", tmp_path / "broken")
    (tmp_path / "broken" / "checkpoints" / "step=4.ckpt").unlink()
    main(["train", str(config), "--out", str(tmp_path / "broken"), "--resume", "auto"])
    resumed = torch.load(tmp_path / "broken" / "checkpoints" / "step=4.ckpt", weights_only=True)["state_dict"]
    for name, value in straight.items():
        torch.testing.assert_close(resumed[name], value, atol=1e-5, rtol=1e-4)
    method = load_bundle(tmp_path / "broken" / "bundle").method
    assert method.contracted.shape == (16, 16, 8)


def test_a_configuration_without_neighbours_ends_in_one_line(config, capsys):
    with pytest.raises(SystemExit):
        main(["train", str(config), "--data.views", "1"])
    assert "data.view_sweeps: expected neighbours" in capsys.readouterr().err


def test_scored_predicted_and_replayed(config, tiny_tree, tmp_path):
    main(["train", str(config), "--run.max_steps", "2", "--model.network.first_opacity", "null"])
    bundle, tree = str(tmp_path / "run" / "bundle"), ["--dataroot", str(tiny_tree), "--version", "v1.0-tiny"]
    words = ["--split", "val", "--mask", "camera_and_lidar", "--depth", "true", "--out", str(tmp_path / "score")]
    main(["evaluate", bundle, *tree, *words])
    (scores,) = json.loads((tmp_path / "score.json").read_text())
    assert scores["mask"] == "camera_and_lidar"
    assert scores["depth"]["pixels"] == sum(part["pixels"] for part in scores["depth_of_cameras"].values()) > 0
    main(["predict", bundle, *tree, "--scenes", '["scene-b"]', "--out", str(tmp_path / "predicted")])
    nuscenes_to_rosbag2(str(tiny_tree), str(tmp_path / "bag"), scene="scene-b", version="v1.0-tiny")
    report = replay_occupancy(str(tmp_path / "bag"), str(tmp_path / "replayed"), bundle)
    files = sorted((tmp_path / "predicted").rglob("*.npz"))
    assert report.sets == len(files) == 3
    with open_bag(tmp_path / "replayed") as bag:
        replayed = [read_occupancy(message, OCC3D_NUSCENES) for *_, message in read_messages(bag, [GRID_TOPIC])]
    shares = []
    for grid in replayed:
        same = [float((np.load(file)["semantics"] == grid.labels.numpy()).mean()) for file in files]
        shares.append(max(same))
        assert 0.01 < float(grid.occupied.float().mean()) < 0.99
    assert min(shares) == 1.0


@pytest.mark.slow
def test_two_processes_train_together(config, tmp_path):
    words = [sys.executable, "-m", "gsocc_core", "train", str(config), "--run.devices", "2", "--run.strategy", "ddp"]
    done = subprocess.run(words, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert (tmp_path / "run" / "bundle" / "model.safetensors").is_file()
