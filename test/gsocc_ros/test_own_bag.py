# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""From an own recording without odometry to a running model: the documented commands, word by word, at small size."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from gsocc_core.commands.cli import main
from gsocc_core.inference.bundle import load_bundle, load_pose_bundle
from gsocc_ros.bags.bag_replay import replay_occupancy
from gsocc_ros.messages.outputs import GRID_TOPIC
from gsocc_ros.pipeline.rig import Rig

from ..labels.conftest import make_detector, make_sam2  # noqa: TID252 - tests are no package

ROOT = Path(__file__).parents[2]
NAMES = ("front", "left", "right")
SIZES = "{embedding_size: 8, hidden_sizes: [8, 8, 12, 12], depths: [1, 1, 1, 1], layer_type: basic}"
RUN = ["--data.view_size", "[32, 64]", "--model.image_size", "[32, 64]", "--run",
       "{max_steps: 2, batch_size: 1, checkpoint_every: 2, accelerator: cpu, progress_bar: false}"]  # fmt: skip
#: What makes each documented command small.
SMALL = {
    "convert": [],
    "label": ["--mode", "combined", "--device", "cpu", "--workers", "1"],
    "own_gaussianocc_pose.yaml": [
        *RUN, "--model.backbone", f"{{model_args: {SIZES}, out_indices: [1, 2]}}", "--model.motion_backbone",
        f"{{model_args: {SIZES}, out_indices: [4]}}", "--model.network", "{dim: 8, motion_dim: 8}", "--model.cross",
        "{samples: 20, least_px: 5, erosion_px: 0}",
    ],
    "own_gaussianocc.yaml": [
        *RUN, "--model.backbone", f"{{model_args: {SIZES}, out_indices: [1, 2]}}", "--model.network",
        "{widths: [8, 8], dim: 4, volume_dim: 4, vertices: [16, 16, 8]}", "--model.gaussians", "{scale_m: 2.0}",
        "--model.render.size", "[8, 16]", "--model.grid.voxel_size", "1.6", "--model.grid.upper", "[40, 40, 5.4]",
    ],
}  # fmt: skip


def documented():
    """The five commands of the page."""
    page = (ROOT / "docs" / "gaussianocc.md").read_text(encoding="utf-8")
    part = page.split("## From your own recording to a running model")[1]
    block = re.search(r"```bash\n(.*?)```", part, re.S).group(1)
    return [shlex.split(line) for line in block.replace("\\\n", " ").splitlines()]


@pytest.fixture(scope="module")
def place(robot, bag_of, tmp_path_factory):
    """A folder with two recordings, a rig file and models of few weights under the documented names."""
    folder = tmp_path_factory.mktemp("own")
    cameras = {
        name: {"topic": f"/{name}/image", "camera_info_topic": f"/{name}/camera_info", "trigger_offset_ms": 10.0 * k}
        for k, name in enumerate(NAMES)
    }
    content = {"base_frame": "base_link", "anchor": "front", "cameras": cameras}
    (folder / "my_rig.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    for bag in ("monday", "tuesday"):
        made = robot(Rig.load(folder / "my_rig.yaml"), cycles=7, cycle_ms=100.0)
        bag_of(folder / bag, made.events())
    make_detector(folder / "IDEA-Research" / "grounding-dino-base")
    (folder / "facebook").mkdir()
    make_sam2(folder / "facebook" / "sam2.1-hiera-large")
    (folder / "config" / "labels").mkdir(parents=True)
    (folder / "config" / "train").symlink_to(ROOT / "config" / "train")
    # The tiny detector knows few words.
    words = {"none": ["sky"], "car": ["car", "vehicle"], "vegetation": ["tree"], "manmade": ["building"]}
    (folder / "config" / "labels" / "nuscenes_prompts.yaml").write_text(yaml.safe_dump(words))
    return folder


@pytest.fixture(scope="module")
def trained(place):
    """The first four commands have run."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for program, *words in documented()[:-1]:
            assert program == "gsocc_core"
            main([*words, *SMALL[Path(words[1]).name if words[0] == "train" else words[0]]])
    torch.set_num_threads(threads)
    return place


def test_the_commands_lead_from_recordings_to_a_bundle(trained, tmp_path):
    assert [words[1] for words in documented()] == ["convert", "label", "train", "train", "launch"]
    pose = load_pose_bundle(trained / "runs" / "own_gaussianocc_pose" / "bundle").method
    assert pose.cameras == NAMES
    assert pose.learned.rig_poses[:, :3, 3].tolist() == [[0.0, 0.0, 1.5], [1.0, 0.0, 1.5], [2.0, 0.0, 1.5]]
    bundle = trained / "runs" / "own_gaussianocc" / "bundle"
    assert load_bundle(bundle).method.poses is None
    assert (trained / "data" / "own" / "semantics_labels").is_dir()
    report = replay_occupancy(
        str(trained / "tuesday"), str(tmp_path / "out"), str(bundle), rig=str(trained / "my_rig.yaml")
    )
    assert report.sets == 7


@pytest.mark.parametrize(
    ("sweeps", "message"),
    [
        ("[1]", "sweeps: expected [], which scores depth alone, since the data set's poses are unknown"),
        ("[]", "depth: expected LiDAR points that the cameras see, or sweeps to score motions, received none"),
    ],
)
def test_what_such_a_tree_cannot_score_is_told_in_one_line(trained, capsys, sweeps, message):
    """It knows neither poses nor LiDAR points."""
    words = ["evaluate-poses", str(trained / "runs" / "own_gaussianocc_pose" / "bundle"), "--version", "v1.0-own"]
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main([*words, "--dataroot", str(trained / "data" / "own"), "--limit", "1", "--sweeps", sweeps])
    assert message in (error := capsys.readouterr().err)
    assert "Traceback" not in error


@pytest.mark.ros
@pytest.mark.timeout(600)
def test_the_last_command_publishes_what_the_model_sees(trained):
    rclpy = pytest.importorskip("rclpy")
    from rclpy.executors import SingleThreadedExecutor

    from gsocc_ros.messages.message_host import rclpy_host

    words = documented()[-1]
    assert words[:3] == ["ros2", "launch", "gsocc_ros"]
    context, heard = rclpy.Context(), []
    rclpy.init(context=context)
    listener = rclpy.create_node("listener", context=context)
    kind = rclpy_host().message_class("gsocc_ros/msg/SemanticOccupancy")
    listener.create_subscription(kind, GRID_TOPIC, heard.append, 10)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(listener)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    words = ["env", "--default-signal=INT", *words]  # a program that is started in the background ignores it
    process = subprocess.Popen(
        [*words, f"bag:={trained / 'monday'}", "rate:=0.1", "loop:=true", "device:=cpu"], cwd=trained, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, "PATH": path},
    )  # fmt: skip
    try:
        end = time.monotonic() + 240
        while not heard and process.poll() is None and time.monotonic() < end:
            executor.spin_once(timeout_sec=0.2)
    finally:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
        executor.shutdown()
        listener.destroy_node()
        rclpy.shutdown(context=context)
    assert heard, output
    assert heard[0].header.frame_id == "base_link"
