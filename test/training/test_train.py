# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Training runs: they learn, resume exactly, and leave a bundle that predicts."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from gsocc_core.arguments import keyword_arguments, read_yaml
from gsocc_core.bundle import load_bundle
from gsocc_core.cli import main
from gsocc_core.commands import train
from gsocc_core.errors import OutputExistsError
from gsocc_core.methods.build import parse_arguments

from ..conftest import TINY_MODEL  # noqa: TID252 - tests are no package, the fixtures' constants live beside them


@pytest.fixture
def config(tiny_tree, tmp_path):
    def write(**run):
        content = {
            "out": str(tmp_path / "run"),
            "method": "gaussianflowocc",
            "model": TINY_MODEL,
            "channels": list(range(1, 17)),
            "data": {"dataroot": str(tiny_tree), "version": "v1.0-tiny", "view_size": [8, 22], "views": 2,
                     "view_offsets": [-1, 1]},
            "optimizer": {"learning_rate": 1.0e-3, "warmup_steps": 2},
            "run": {"batch_size": 2, "accelerator": "cpu", "checkpoint_every": 5, "progress_bar": False,
                    "log_every": 1, **run},
        }  # fmt: skip
        path = tmp_path / "train.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write


def run_cli(*words, **options):
    code = "from gsocc_core.cli import main; main()"
    return subprocess.Popen([sys.executable, "-c", code, *map(str, words)], stderr=subprocess.PIPE, **options)


def weights(folder):
    return load_bundle(folder / "bundle").method.state_dict()


def test_twenty_steps_equal_ten_killed_and_ten(config, tmp_path):
    path = config(max_steps=20)
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    main(["train", str(path), "--out", str(straight)])
    process = run_cli("train", path, "--out", broken, env={**os.environ, "GSOCC_TEST_SLOW_STEPS": "1"})
    checkpoint = broken / "checkpoints" / "step=10.ckpt"
    deadline = time.monotonic() + 90
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert checkpoint.exists()
    for later in (broken / "checkpoints").glob("step=*.ckpt"):
        if int(later.stem.split("=")[1]) > 10:  # it was faster than the kill: pretend that it was not
            later.unlink()
    if (broken / "bundle").exists():
        import shutil

        shutil.rmtree(broken / "bundle")
    main(["train", str(path), "--out", str(broken), "--resume", "auto"])
    for (name, a), b in zip(weights(straight).items(), weights(broken).values()):
        assert torch.equal(a, b), name


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
    ):
        with pytest.raises(SystemExit) as caught:
            main(["train", str(path), *words])
        assert caught.value.code == 2
        assert expected in capsys.readouterr().err


def test_validation_is_logged(config, tmp_path):
    path = config(max_steps=2, validate_every=2, validate_samples=2)
    main(["train", str(path), "--val_split", "val"])
    logged = next((tmp_path / "run" / "logs").glob("csv/version_0/metrics.csv")).read_text()
    assert "val/miou" in logged


@pytest.mark.slow
def test_two_processes_train_together(config, tmp_path):
    path = config(max_steps=3, devices=2, strategy="ddp")
    process = run_cli("train", path)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors.decode()
    assert (tmp_path / "run" / "bundle" / "model.safetensors").is_file()


CONFIGS = Path(__file__).resolve().parents[2] / "config" / "train"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda p: p.name)
def test_every_shipped_configuration_fits_the_signatures(path):
    made = keyword_arguments(train, read_yaml(path, "a configuration"), path)
    parse_arguments(made["method"], made["model"], path)
    assert len(set(made["channels"])) == len(made["channels"])
