# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Training runs: they learn, resume exactly, and leave a bundle that predicts."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from gsocc_core import OCC3D_NUSCENES
from gsocc_core.arguments import keyword_arguments
from gsocc_core.commands.cli import main
from gsocc_core.commands.reading import train_of
from gsocc_core.data.build import check_fit, protocol_of, with_default_cameras, with_default_grid
from gsocc_core.data.surroundocc import SurroundOccNuScenes
from gsocc_core.data.view_args import ViewArgs
from gsocc_core.errors import OutputExistsError
from gsocc_core.inference.bundle import load_bundle
from gsocc_core.methods.build import method_class, parse_arguments
from gsocc_core.methods.gaussianflowocc import GaussianFlowOcc
from gsocc_core.methods.method import Method
from gsocc_core.program import Terminated
from gsocc_core.synthetic.write.meanings import protocol_of_world
from gsocc_core.text.class_prompts import read_class_prompts
from gsocc_core.training.module import MethodTraining
from gsocc_core.yaml_files import read_yaml

from ..conftest import TINY_MODEL  # noqa: TID252 - tests are no package, the fixtures' constants live beside them


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Tiny tensors gain nothing from threads, and sums must come out the same in every process."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


#: Memory, carried Gaussians and flow on top of the tiny model.
STREAMING = {
    **TINY_MODEL,
    "memory": {"carried": 10, "move": True},
    "flow": {"hidden": 16, "layers": 2},
    "loss": {**TINY_MODEL["loss"], "flow_alignment": 0.1, "flow_speed": 0.01},
}


@pytest.fixture
def config(tiny_tree, tmp_path):
    def write(model=TINY_MODEL, history=0, **run):
        content = {
            "out": str(tmp_path / "run"),
            "method": "gaussianflowocc",
            "model": model,
            "channels": list(range(1, 17)),
            "data": {"dataroot": str(tiny_tree), "version": "v1.0-tiny", "occ3d_dir": None, "view_size": [8, 22],
                     "views": 2, "history": history,
                     "view_offsets": [-1, 1]},
            "optimizer": {"learning_rate": 1.0e-3, "warmup_steps": 2},
            "run": {"batch_size": 2, "accelerator": "cpu", "checkpoint_every": 5, "progress_bar": False,
                    "log_every": 1, **run},
        }  # fmt: skip
        path = tmp_path / "train.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write


#: Three trainings, each in a process of its own: sums depend on threads and on what else a process has loaded and tuned
#: before. They are forked where nothing was computed yet, since importing what they need takes seconds.
THREE_RUNS = """
import os, pathlib, signal, sys
import nuscenes.nuscenes, torch.utils.tensorboard, transformers.models.resnet.modeling_resnet
import gsocc_core.methods.gaussianflowocc, gsocc_core.training.train
from gsocc_core.commands.cli import main
from gsocc_core.training.module import MethodTraining
step = MethodTraining.training_step
def dying(self, batch, batch_idx):
    if self.global_step == 6:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch, batch_idx)
def run(words):
    child = os.fork()
    if not child:
        main(words)
        sys.stderr.flush()
        os._exit(0)
    return os.waitpid(child, 0)[1]
config, straight, broken = sys.argv[1:]
assert run(["train", config, "--out", straight]) == 0
MethodTraining.training_step = dying
assert run(["train", config, "--out", broken]) == signal.SIGKILL
MethodTraining.training_step = step
checkpoints = pathlib.Path(broken, "checkpoints")
assert [path.name for path in checkpoints.iterdir()] == ["step=4.ckpt"]
(checkpoints / ".step=8.ckpt.1").write_bytes(b"half")  # what a kill while writing leaves
assert run(["train", config, "--out", broken, "--resume", "auto"]) == 0
"""


def test_eight_steps_equal_six_killed_and_the_rest(config, tmp_path):
    path = config(STREAMING, history=1, max_steps=8, checkpoint_every=4)
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    one = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "MKL_CBWR": "COMPATIBLE"}
    words = [sys.executable, "-c", THREE_RUNS, path, straight, broken]
    done = subprocess.run(words, env={**os.environ, **one}, capture_output=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr.decode()
    ends = [torch.load(run / "checkpoints" / "step=8.ckpt", weights_only=True) for run in (straight, broken)]
    for part in ("state_dict", "average"):
        assert ends[0][part].keys() == ends[1][part].keys()
        for name, value in ends[0][part].items():
            assert torch.equal(value, ends[1][part][name]), f"{part} {name}"
    bundles = [load_bundle(run / "bundle").method.state_dict() for run in (straight, broken)]
    assert all(torch.equal(a, b) for a, b in zip(bundles[0].values(), bundles[1].values()))
    assert all(torch.allclose(v, ends[0]["average"][k], atol=1e-2, rtol=1e-2) for k, v in bundles[0].items())


def test_a_run_says_what_matters_and_nothing_else(config, tmp_path, capfd):
    """One bar of steps; at the end the bundle and the next command."""
    main(["train", str(config(max_steps=2, progress_bar=True)), "--val_split", "val"])
    told = capfd.readouterr()
    bundle = tmp_path / "run" / "bundle"
    first, second = told.out.splitlines()
    assert first == str(bundle)
    assert second.startswith(f"Score it with `gsocc_core evaluate {bundle} --dataroot ")
    assert second.endswith("--split val`.")
    lines = [line for line in re.split(r"[\r\n]+", told.err) if line.strip()]
    assert lines
    assert all(line.startswith("train: ") for line in lines), lines
    assert "2/2" in lines[-1]
    assert "loss" in lines[-1]


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt, 130), (Terminated, 143)])
def test_an_interrupted_run_says_how_to_go_on(config, monkeypatch, capsys, error, code):
    def interrupt(self, batch, index):
        raise error

    monkeypatch.setattr(MethodTraining, "training_step", interrupt)
    with pytest.raises(SystemExit) as end:
        main(["train", str(config(max_steps=2))])
    assert end.value.code == code
    told = "the same command with --resume auto goes on from the last checkpoint"
    assert capsys.readouterr().err.splitlines()[-1].endswith(f"ed; {told}")


def test_existing_run_and_wrong_values_are_clear_errors(config, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("GSOCC_DEBUG", "1")
    path = config(max_steps=2)
    (tmp_path / "run").mkdir()
    with pytest.raises(OutputExistsError, match="--resume auto"):
        main(["train", str(path)])
    monkeypatch.delenv("GSOCC_DEBUG")
    for words, expected in (
        (["--run.max_steps", "soon"], "max_steps"),
        (["--run.speed", "3"], "speed"),
        (["--method", "nerf", "--resume", "auto"], "gaussianflowocc"),
        (["--resume", "nowhere.ckpt"], "nowhere.ckpt"),
        (["--resume", str(path)], "a checkpoint of gsocc_core train"),
    ):
        with pytest.raises(SystemExit) as caught:
            main(["train", str(path), *words])
        assert caught.value.code == 2
        assert expected in capsys.readouterr().err


def test_validation_is_logged(config, tmp_path):
    path = config(max_steps=2, validate_every=2, validate_samples=2)
    main(["train", str(path), "--val_split", "val", "--data.occ3d_dir", "gts"])
    logged = next((tmp_path / "run" / "logs").glob("csv/version_0/metrics.csv")).read_text()
    assert "val/miou" in logged


def test_a_resumed_run_keeps_its_arguments(config, tmp_path, capsys):
    path = config(max_steps=1, checkpoint_every=1)
    main(["train", str(path)])
    for words, expected in (
        (["--run.batch_size", "1"], "run.batch_size: expected 2 as in the run to resume, received 1"),
        (["--model.network.dim", "8"], "model.network.dim: expected 16"),
        (["--data.views", "1"], "data.views: expected 2"),
    ):
        with pytest.raises(SystemExit):
            main(["train", str(path), "--resume", "auto", *words])
        assert expected in capsys.readouterr().err
    main(["train", str(path), "--resume", "auto", "--run.max_steps", "2"])  # a run may grow
    assert (tmp_path / "run" / "checkpoints" / "step=2.ckpt").is_file()


def test_a_run_from_before_an_argument_had_its_default(config, tmp_path, capsys):
    path, stored = config(max_steps=1, checkpoint_every=1), tmp_path / "run" / "config.yaml"
    main(["train", str(path)])
    content = yaml.safe_load(stored.read_text())
    del content["optimizer"]["backbone_factor"], content["data"]["fraction"]
    stored.write_text(yaml.safe_dump(content))
    for words, expected in (
        (["--optimizer.backbone_factor", "0.1"], "optimizer.backbone_factor: expected 1.0 as in the run to resume"),
        (["--data.fraction", "0.5"], "data.fraction: expected 1.0 as in the run to resume, received 0.5"),
    ):
        with pytest.raises(SystemExit):
            main(["train", str(path), "--resume", "auto", *words])
        assert expected in capsys.readouterr().err
    main(["train", str(path), "--resume", "auto", "--run.max_steps", "2"])
    assert (tmp_path / "run" / "checkpoints" / "step=2.ckpt").is_file()


def test_a_slow_backbone_resumes_too(config, tmp_path):
    path = config(max_steps=1, checkpoint_every=1)
    words = ["train", str(path), "--optimizer.backbone_factor", "0.1", "--resume", "auto"]
    main(words)
    main([*words, "--run.max_steps", "2"])
    last = torch.load(tmp_path / "run" / "checkpoints" / "step=2.ckpt", weights_only=True)
    rates = [group["initial_lr"] for group in last["optimizer_states"][0]["param_groups"]]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4])


def test_a_loss_that_is_no_number_ends_the_run(config, monkeypatch, capsys):
    path = config(max_steps=2)
    losses = GaussianFlowOcc.losses
    monkeypatch.setattr(GaussianFlowOcc, "losses", lambda *a: {k: v * float("nan") for k, v in losses(*a).items()})
    with pytest.raises(SystemExit):
        main(["train", str(path)])
    assert "step 0" in (error := capsys.readouterr().err)
    assert "finite" in error


@pytest.mark.slow
def test_two_processes_train_together_on_different_samples(config, tmp_path):
    path = config(STREAMING, history=1, max_steps=3, devices=2, strategy="ddp", batch_size=1)
    words = [sys.executable, "-m", "gsocc_core", "train", str(path), "--optimizer.ema_decay", "0"]
    done = subprocess.run(words, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert (tmp_path / "run" / "bundle" / "model.safetensors").is_file()


def test_the_host_trains_on_surroundoccs_own_labels(tiny_surroundocc, tmp_path):
    """The shipped configuration with a small network: grid, classes and weights of the data set go through."""
    content = yaml.safe_load((CONFIGS / "nuscenes_surroundocc_labels.yaml").read_text())
    content["out"] = str(tmp_path / "run")
    content["model"] |= {
        "image_size": [32, 64],
        "backbone": {**TINY_MODEL["backbone"], "out_indices": [1]},
        "network": {"dims": [8], "num_layers": [1], "num_points": [1], "num_heads": 2, "pyramid_dim": 8,
                    "stride": [10, 10, 4]},
    }  # fmt: skip
    content["model"]["render"]["render_width"] = 24
    content["data"] |= {"dataroot": str(tiny_surroundocc), "version": "v1.0-tiny"}
    content["run"] = {"max_steps": 1, "batch_size": 1, "accelerator": "cpu", "log_every": 1, "progress_bar": False}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(content))
    main(["train", str(tmp_path / "train.yaml")])
    bundle = load_bundle(tmp_path / "run" / "bundle")
    check_fit(SurroundOccNuScenes.protocol, bundle.classes, bundle.method.grid, bundle.path)
    assert bundle.classes.names == SurroundOccNuScenes.protocol.classes.names
    logged = next((tmp_path / "run" / "logs").glob("csv/version_0/metrics.csv")).read_text()
    expected = {"loss/cross_entropy", "loss/lovasz", "loss/coarse", "loss/camera_semantics", "loss/top_depth"}
    assert expected <= set(logged.splitlines()[0].split(","))


CONFIGS = Path(__file__).resolve().parents[2] / "config" / "train"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda p: p.name)
def test_every_shipped_configuration_fits_the_signatures(path):
    made = keyword_arguments(train_of([str(path)]), read_yaml(path, "a configuration"), path)
    if isinstance(made["data"], ViewArgs):  # no classes, no grid, and no size of views but the network's
        assert not {"channels", "classes", "prompts"} & set(made)
        assert parse_arguments(made["method"], made["model"], path)["image_size"]
        return
    # The trees are not here, and a plain one brings its own grid and classes.
    protocol = protocol_of_world("plain") if path.name.startswith("plain_") else protocol_of(made["data"])
    method = made["method"]
    cls = method_class(method)
    model = with_default_cameras(cls, with_default_grid(cls, made["model"], protocol), made["data"].cameras)
    arguments = parse_arguments(method, model, path)
    if not issubclass(cls, Method):  # no classes, no grid
        assert "channels" not in made
        assert arguments["image_size"] == made["data"].view_size
        return
    if "prompts" in made:  # classes in words: each is one of the data set's
        assert "channels" not in made
        words = read_class_prompts(path.parents[2] / made["prompts"], protocol.classes)
        assert {"free", "manmade" if protocol.classes is OCC3D_NUSCENES else "tree"} <= {w.class_name for w in words}
        check_fit(protocol, protocol.classes, arguments["grid"], path)
        return
    assert len(set(made["channels"])) == len(made["channels"])
    # The labels of its data set fit it, channel by channel.
    check_fit(protocol, protocol.classes.with_channels(made["channels"]), arguments["grid"], path)
    loss = arguments["loss"]
    weights = loss.class_frequencies if method == "gaussianocc" else loss.class_weights
    assert weights is None or len(weights) == len(made["channels"])
