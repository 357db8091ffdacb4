# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Paired intervals and reports of a sweep, the sweep files that are shipped, and a tiny sweep that runs."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import stats

from gsocc_core.errors import ConfigError

from ..conftest import TINY_MODEL  # noqa: TID252 - tests are no package, the fixtures' constants live beside them

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def sweep():
    spec = importlib.util.spec_from_file_location("sweep", ROOT / "scripts" / "sweep.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["sweep"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["sweep"]


def write(path: Path, runs: Path, **changes) -> Path:
    """A sweep file of two variants and three seeds."""
    content = {
        "base": "base.yaml", "train": {"out": "train"}, "held_out": {"out": "val"}, "variants": {"a": None, "b": {}},
        "seeds": [0, 1, 2], "metrics": ["miou", "images.depth_l1_m"], "runs": str(runs),
        "compare": [{"better": "a", "worse": "b"}, {"better": "a", "worse": "b", "metric": "images.depth_l1_m"}],
    }  # fmt: skip
    path.write_text(yaml.safe_dump(content | changes))
    return path


@pytest.mark.parametrize("path", sorted((ROOT / "config" / "sweeps").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_sweeps_compare_what_they_run(path, sweep):
    found = sweep.keyword_arguments_of(path)
    assert (ROOT / found.base).exists()
    assert len(found.seeds) >= (3 if found.compare else 2)  # five where something is claimed
    for one in found.compare:
        assert one.better in found.variants
        assert one.worse in found.variants
    assert f"runs/sweep_{path.stem}" == found.runs


def test_the_interval_is_that_of_a_paired_t_test(sweep):
    rng = np.random.default_rng(0)
    for count in (2, 5, 9):
        a, b = rng.normal(0.3, 1, count), rng.normal(size=count)
        mean, low, high = sweep.paired_interval(a - b)
        expected = stats.ttest_rel(a, b).confidence_interval(0.95)
        np.testing.assert_allclose((low, high), (expected.low, expected.high))
        assert mean == pytest.approx(np.mean(a) - np.mean(b))


@pytest.mark.parametrize("listed", [True, False], ids=["of evaluate", "of evaluate-poses"])
def test_a_report_says_what_is_resolved(tmp_path, sweep, listed):
    found = sweep.keyword_arguments_of(write(tmp_path / "s.yaml", tmp_path))
    noise = [0.0, 0.01, -0.01]
    for name, miou, depth in (("a", 0.50, [2.0, 2.5, 1.5]), ("b", 0.40, [2.5, 1.5, 2.0])):
        for seed in found.seeds:
            scores = {"miou": miou + noise[seed] * 0.1, "images": {"depth_l1_m": depth[seed]}}
            sweep.score_file(found, name, seed).write_text(json.dumps([scores] if listed else scores))
    text, numbers = sweep.report(found)
    assert "| a | 50.00 | 2.00 |" in text
    assert "| a - b | miou | 10.00 (10.00 to 10.00) | higher |" in text
    assert "| a - b | images.depth_l1_m | 0.00 (" in text
    assert text.endswith("unresolved |")
    assert numbers["runs"]["b"]["images.depth_l1_m"] == [2.5, 1.5, 2.0]


def test_unknown_keys_are_named(tmp_path, sweep):
    with pytest.raises(ConfigError, match="varants"):
        sweep.keyword_arguments_of(write(tmp_path / "s.yaml", tmp_path, varants={}))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_sweep_runs_and_goes_on(tiny_tree, tmp_path, sweep, monkeypatch, capsys):
    model = TINY_MODEL | {"loss": {"semantics": 0.0, "depth": 0.0, "occupied": 1.0, "voxel_classes": 1.0}}
    base = tmp_path / "base.yaml"
    data = {"dataroot": str(tiny_tree), "version": "v1.0-tiny", "split": "train", "views": 1, "depth_dir": None,
            "semantics_dir": None}  # fmt: skip
    run = {"max_steps": 1, "batch_size": 1, "accelerator": "cpu", "checkpoint_every": 1}
    base.write_text(yaml.safe_dump({"out": "x", "method": "gaussianflowocc", "model": model, "data": data, "run": run}))
    trees = {"train": {"out": str(tiny_tree)}, "held_out": {"out": str(tiny_tree), "version": "v1.0-tiny"}}
    variants = {"a": {"optimizer.learning_rate": 0.0001}, "b": {"optimizer.learning_rate": 0.001}}
    warm = write(tmp_path / "warm.yaml", tmp_path / "warm", base=str(base), variants=variants, seeds=[0, 1],
                 evaluate={"image_width": 32, "limit": 1}, start={"run.max_steps": 2}, **trees)  # fmt: skip
    done = write(tmp_path / "done.yaml", tmp_path / "done", base=str(base), **trees)
    (tmp_path / "done").mkdir()
    for name in ("a_0", "a_1", "a_2", "b_0", "b_1", "b_2"):
        (tmp_path / "done" / f"{name}.json").write_text('[{"miou": 0.1, "images": {"depth_l1_m": 1.0}}]')
    words = ["sweep.py", str(warm), str(done), "--jobs", "2", "--report", str(tmp_path / "report")]
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.chdir(ROOT)
    assert sweep.main() == 0
    numbers = json.loads((tmp_path / "report.json").read_text())
    assert set(numbers) == {"done", "warm"}
    assert all(v is not None for v in numbers["warm"]["runs"]["a"]["images.depth_l1_m"])
    assert "### warm" in (tmp_path / "report.md").read_text()

    (tmp_path / "warm" / "b_1.json").unlink()
    before = (tmp_path / "warm" / "a_0.json").stat().st_mtime_ns
    assert sweep.main() == 0
    assert (tmp_path / "warm" / "b_1.json").exists()
    assert (tmp_path / "warm" / "a_0.json").stat().st_mtime_ns == before
    capsys.readouterr()
