# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The script for machines with a GPU, on one without: what can run runs at tiny size, and nothing is passed over."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


sys.path.insert(0, str(ROOT / "scripts"))
check, gpu_parts = (importlib.import_module(name) for name in ("gpu_check", "gpu_parts"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_it_ends_well_and_says_what_it_skipped(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert check.main(["--out", str(tmp_path)]) == 0
    folder = next(tmp_path.iterdir())
    parts = {part["part"]: part for part in json.loads((folder / "report.json").read_text())["parts"]}
    assert list(parts) == ["tests", "splat", "predictor", "pipeline", "training", "rasteriser"]
    for name in ("tests", "rasteriser"):
        assert (parts[name]["state"], parts[name]["why"]) == ("skipped", "there is no GPU")
    for name in ("splat", "predictor", "pipeline", "training"):
        assert parts[name]["state"] == "done", parts[name]["why"]
    model = parts["predictor"]["numbers"][0]
    assert model["size"] == "96 x 256"
    assert 0 < model["network ms"] < model["total ms"]
    assert parts["training"]["numbers"][0]["first loss"] > 0
    assert parts["pipeline"]["numbers"]["predicted"] >= 1
    printed = capsys.readouterr().out
    assert "tests: skipped, 0 s there is no GPU" in printed
    assert "## predictor: done" in (folder / "report.md").read_text()


def test_a_part_that_fails_takes_no_other_with_it(tmp_path, monkeypatch):
    def broken(task):
        raise RuntimeError("the sky falls\nand more")

    def absent(task):
        raise ImportError("No module named 'gsplat'")

    parts = {
        "one": gpu_parts.Part(broken, 1.0),
        "two": gpu_parts.Part(absent, 1.0),
        "three": gpu_parts.Part(fine(), 1.0),
    }
    monkeypatch.setattr(check, "PARTS", parts)
    monkeypatch.setattr(check, "hardware", lambda: nothing(cuda=None))
    assert check.main(["--out", str(tmp_path)]) == 0
    report = (tmp_path / "Box_9" / "report.md").read_text()
    for line in ("one: failed", "RuntimeError: the sky falls", "two: skipped", "No module named 'gsplat'",
                 "three: done", "fast enough: NOT met", "Missing packages: gsplat"):  # fmt: skip
        assert line in report


def test_on_a_gpu_each_part_has_a_process_and_a_time_of_its_own(tmp_path, monkeypatch):
    """A stand-in for this script's processes: one writes what it found, one dies, one does not end."""
    script = tmp_path / "part.py"
    script.write_text(
        "import json, os, sys, time\n"
        "name, out = sys.argv[2], sys.argv[4]\n"
        "with open(f'{out}/{name}.json', 'w') as file:\n"
        "    json.dump({'part': name, 'table': 'so far', 'bars': {'fast': True}}, file)\n"
        "if name == 'dies': os.abort()\n"
        "if name == 'waits': time.sleep(60)\n"
    )
    parts = {name: gpu_parts.Part(fine(), 0.02 if name == "waits" else 1.0) for name in ("dies", "waits", "works")}
    monkeypatch.setattr(check, "PARTS", parts)
    monkeypatch.setattr(check, "__file__", str(script))
    monkeypatch.setattr(check, "hardware", lambda: nothing(cuda="13.0"))
    assert check.main(["--out", str(tmp_path)]) == 1
    found = json.loads((tmp_path / "Box_9" / "report.json").read_text())["parts"]
    assert [part["state"] for part in found] == ["failed", "out of time", "done"]
    assert [part["table"] for part in found] == ["so far"] * 3, "what was found before is kept"
    monkeypatch.setattr(check, "PARTS", {"works": parts["works"]})
    assert check.main(["--out", str(tmp_path)]) == 0


def test_bars_are_those_of_the_documentation():
    def rows(volume, labels, eager, scatter):
        names = ("volume, CUDA graph", "labels only, CUDA graph", "volume", "fixed neighbourhood, index_add_")
        times = (volume, labels, eager, scatter)
        return [{"scene": "10,000 mixed", "case": case, "ms": ms} for case, ms in zip(names, times)]

    assert all(gpu_parts.splat_bars(rows(0.1, 0.05, 0.1, 0.31)).values())
    assert list(gpu_parts.splat_bars(rows(0.11, 0.06, 0.2, 0.5)).values()) == [False] * 3
    assert gpu_parts.splat_bars([]) == {}


def test_the_shell_script_says_what_is_missing(tmp_path):
    """With a Python that has no PyTorch, and a wheel that is none."""
    (tmp_path / "broken-1-py3-none-any.whl").write_text("no wheel")
    environment = {**os.environ, "PYTHON": sys.executable, "PYTHONPATH": ""}
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\ncase "$1" in -m) exit 1;; esac\nexec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    environment["PYTHON"] = str(bare)
    command = [str(ROOT / "scripts" / "gpu_check.sh"), "--wheels", str(tmp_path), "--out", str(tmp_path / "out")]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "not installed: " in ran.stdout
    assert "broken-1" in ran.stdout
    assert "predictor: skipped, 0 s there is no PyTorch" in ran.stdout
    assert "missing packages: torch, triton, numpy" in ran.stdout


def fine():
    return lambda task: check.Outcome("three", table="| a |", bars={"fast enough": False})


def nothing(cuda):
    return {"device": "Box 9", "cuda": cuda, "python": "3", "torch": "2", "missing": ["gsplat"], "date": "today"}
