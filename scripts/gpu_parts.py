# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The parts of ``scripts/gpu_check.sh``: what each of them runs, and what it is held against."""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Outcome:
    """What came of a part.

    Attributes:
        part: Its name.
        state: ``done``, ``failed``, ``skipped`` or ``out of time``.
        seconds: How long it took.
        why: Reason of anything but ``done``.
        table: Markdown.
        numbers: The same for machines.
        bars: What was asked for, and whether it was met.
    """

    part: str
    state: str = "done"
    seconds: float = 0.0
    why: str = ""
    table: str = ""
    numbers: Any = None
    bars: dict[str, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """What a part is given.

    Attributes:
        device: ``cuda`` or ``cpu``.
        tiny: As little as shows that it runs.
        folder: Where its files go.
        options: Those of the command line.
    """

    device: str
    tiny: bool
    folder: Path
    options: argparse.Namespace

    def keep(self, outcome: Outcome) -> None:
        """Write what a part has found so far, which counts if its time ends before it does."""
        (self.folder / f"{outcome.part}.json").write_text(json.dumps(asdict(outcome)))


@dataclass(frozen=True)
class Part:
    """One thing to learn.

    Attributes:
        run: Does it.
        minutes: Most that it may take.
        needs_gpu: It makes no sense without one.
        asked: It runs only when asked for.
    """

    run: Callable[[Task], Outcome]
    minutes: float
    needs_gpu: bool = False
    asked: bool = False


def rows_table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as Markdown, with a column for every key of any."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    lines = ["| " + " | ".join(keys) + " |", "|" + "---|" * len(keys)]
    return "\n".join(lines + ["| " + " | ".join(_cell(row.get(key)) for key in keys) + " |" for row in rows])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


# ---- the parts -------------------------------------------------------------------------------------------------------


def tests(task: Task) -> Outcome:
    """The tests that need a GPU."""
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "-p", "no:cacheprovider", *_without_plugins()]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own tests
    (task.folder / "pytest.txt").write_text(ran.stdout + ran.stderr)
    lines = [line for line in ran.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    last = next((line for line in reversed(ran.stdout.splitlines()) if line.strip()), "no output")
    state, why = ("done", "") if ran.returncode == 0 else ("failed", last)
    return Outcome("tests", state, why=why, table="\n".join([last, *lines]), bars={"all pass": ran.returncode == 0})


def _without_plugins() -> list[str]:
    """Options of pyproject.toml that name plugins which need not be there."""
    if importlib.util.find_spec("pytest_timeout") is not None:
        return []
    return ["-o", "timeout=", "-W", "ignore::pytest.PytestConfigWarning"]


def splat(task: Task) -> Outcome:
    """Gaussians to voxels: eager, and as a CUDA graph."""
    from gsocc_core.bench.splat import run

    out, baselines = task.folder / "splat.json", str(ROOT / "benchmarks" / "published_splats.py")
    if task.tiny:
        rows = run((20,), ("small",), False, 1, 1, task.device, None, False, str(out))
    else:
        rows = run((1800, 10_000, 144_000), ("mixed",), True, 1, 20, task.device, baselines, False, str(out))
    found = [{"scene": r.scene, "case": r.case, "ms": r.ms, "bound ms": r.bound_ms, "note": r.note} for r in rows]
    return Outcome("splat", table=rows_table(found), numbers=found, bars=splat_bars(found))


def splat_bars(rows: Sequence[dict[str, Any]]) -> dict[str, bool]:
    """What docs/benchmarks.md asks of 10,000 mixed Gaussians with 18 channels on a data centre's GPU."""
    ms = {row["case"]: row["ms"] for row in rows if row["scene"] == "10,000 mixed"}
    bars = {}
    if (graph := ms.get("volume, CUDA graph")) is not None:
        bars["volume in a CUDA graph: at most 0.10 ms"] = graph <= 0.10
    if (labels := ms.get("labels only, CUDA graph")) is not None:
        bars["labels in a CUDA graph: at most 0.05 ms"] = labels <= 0.05
    scatter = [value for case, value in ms.items() if "index_add" in case and "class step" not in case]
    if scatter and "volume" in ms:
        bars["PyTorch scatter takes at least 3 times as long"] = min(scatter) >= 3 * ms["volume"]
    return bars


#: The shipped model, and sizes of pictures (height, width) that others are measured at.
DEMO, SMALL, LARGE = "synthetic-gaussianflowocc", (64, 176), (256, 704)
#: Configurations at the sizes of the papers.
PAPERS = ("nuscenes_gausstr_talk2dino", "nuscenes_gausstr_featup", "nuscenes_gaussianflowocc", "nuscenes_gaussianocc",
          "nuscenes_tpvformer", "nuscenes_surroundocc", "kitti360_symphonies")  # fmt: skip


def predictor(task: Task) -> Outcome:
    """Latency per stage of every shipped and paper-size method, by size and by option."""
    import torch

    from gsocc_core.bench.latency import measure_latency
    from gsocc_core.inference.options import InferenceOptions

    device, outcome, rows = torch.device(task.device), Outcome("predictor"), []
    plain, fastest = InferenceOptions(), InferenceOptions("float16", cuda_graph=True)
    ways = [
        plain,
        InferenceOptions("bfloat16"),
        InferenceOptions("float16"),
        InferenceOptions(cuda_graph=True),
        fastest,
    ]
    compiled = InferenceOptions("float16", compile=True, cuda_graph=True)
    for name, size, make in _models(task.tiny):
        tried = [plain] if task.device == "cpu" else ways if size != SMALL else [plain, fastest]
        if task.device == "cuda" and (name, size) in {(DEMO, None), ("nuscenes_gaussianflowocc", LARGE)}:
            tried = [*tried, compiled]
        bundle = None
        for way in tried:
            row: dict[str, Any] = {"model": name, "size": "", "precision": way.precision or "float32"}
            row |= {"compiled": bool(way.compile), "graph": bool(way.cuda_graph)}
            rows.append(row)
            try:
                bundle = make() if bundle is None else bundle
                found = measure_latency(bundle, device, way, repeats=1 if task.tiny else 20)
                row["size"] = f"{found.image_size[0]} x {found.image_size[1]}"
                row |= {f"{stage} ms": found.ms.get(stage) for stage in ("preprocess", "network", "splat", "total")}
                row |= {"p95 ms": found.p95_ms, "peak MB": found.peak_mb}
            except Exception as error:  # noqa: BLE001 - the next one may do
                traceback.print_exc()
                row["fault"] = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
            outcome.state = "failed" if any("fault" in one for one in rows) else "done"
            outcome.numbers, outcome.table = rows, rows_table(rows)
            task.keep(outcome)
    return outcome


def _models(tiny: bool) -> Iterator[tuple[str, tuple[int, int] | None, Callable[[], Any]]]:
    """Names, sizes (None = its own) and makers of bundles."""
    from gsocc_core.bench.configurations import Configuration
    from gsocc_core.bench.latency import random_bundle
    from gsocc_core.inference.bundle import load_bundle

    for name in (DEMO,) if tiny else (DEMO, "plain-gausstr"):
        yield name, None, lambda name=name: load_bundle(ROOT / "bundles" / name)
    for size in () if tiny else (LARGE, SMALL):
        for name in PAPERS:
            path = ROOT / "config" / "train" / f"{name}.yaml"
            yield name, size, lambda path=path, size=size: random_bundle(Configuration.read(path), size)


def pipeline(task: Task) -> Outcome:
    """Messages with JPEGs in, occupancy out, at the rate of a robot."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    from pipeline_rate import pipeline_rate

    bundle = str(ROOT / "bundles" / DEMO)
    graph = task.device == "cuda"
    found = pipeline_rate(bundle, 10.0, 3 if task.tiny else 100, task.device, cuda_graph=graph, small=task.tiny)
    rows = [{"stage": stage, "median ms": ms} for stage, ms in found.stages_ms.items()]
    numbers = asdict(found)
    table = f"{found.predicted} of {found.sent} sets predicted at {found.rate_hz:g} Hz\n\n{rows_table(rows)}"
    bars = {} if task.tiny else {"every set at 10 Hz": found.predicted == found.sent}
    return Outcome("pipeline", table=table, numbers=numbers, bars=bars)


def training(task: Task) -> Outcome:
    """Training steps at the papers' sizes, with the peak of memory beside what was counted."""
    import torch

    from gsocc_core.bench.configurations import Configuration
    from gsocc_core.bench.training_step import count_memory, run_steps

    outcome, rows = Outcome("training"), []
    for name in ("synthetic_labels",) if task.tiny else PAPERS:
        row: dict[str, Any] = {"configuration": name, "batch": 1}
        rows.append(row)
        try:
            read = Configuration.read(ROOT / "config" / "train" / f"{name}.yaml")
            configuration = _tiny(read) if task.tiny else read
            if not task.tiny:
                row["counted MB"] = count_memory(configuration, batch=1, seen_share=0.2).peak / 1e6
            found = run_steps(configuration, torch.device(task.device), 1 if task.tiny else 20, batch=1)
            row |= {"peak MB": found.peak_mb, "step ms": found.step_ms}
            row |= {"first loss": found.first_loss, "last loss": found.last_loss}
        except Exception as error:  # noqa: BLE001 - the next configuration may do
            traceback.print_exc()
            row["fault"] = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
            outcome.state = "failed"
        outcome.numbers, outcome.table = rows, rows_table(rows)
        task.keep(outcome)
        if task.device == "cuda":
            torch.cuda.empty_cache()
    return outcome


def _tiny(configuration: Any) -> Any:
    """The configuration with few Gaussians in a coarse grid."""
    model = json.loads(json.dumps(configuration.model))
    model["network"] |= {"num_gaussians": 40, "lifted_level": None, "num_blocks": 1}
    model["grid"]["voxel_size"] = 3.2
    model["image_size"] = [32, 64]
    return type(configuration)(**{**vars(configuration), "model": model, "batch": 1})


def rasteriser(task: Task) -> Outcome:
    """Pictures of gsplat against those of our CPU engine: equal, and how long both take."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    from rasterisers import rasterisers

    rows = [asdict(row) for row in rasterisers((50,) if task.tiny else (1800, 10_000), task.device, tiny=task.tiny)]
    bars = {"largest difference below 0.01": all(row["largest_difference"] < 0.01 for row in rows)}
    return Outcome("rasteriser", table=rows_table(rows), numbers=rows, bars=bars)


def demo_bundle(task: Task) -> Outcome:
    """Train the shipped model again on this device, from drives that are made here or lie in the folder."""
    where = Path(task.options.demo_bundle)
    command = [sys.executable, str(ROOT / "scripts" / "train_demo_bundle.py"), "--data", str(where / "data"),
               "--runs", str(where / "runs"), "--bundle", str(where / "bundle"), "--results", str(where / "results"),
               "--device", task.device]  # fmt: skip
    ran = subprocess.run(command, cwd=ROOT, check=False)  # noqa: S603 - our own script
    state = "done" if ran.returncode == 0 else "failed"
    table = (where / "results.md").read_text() if (where / "results.md").is_file() else ""
    return Outcome("demo_bundle", state, why="" if state == "done" else f"exit code {ran.returncode}", table=table)


PARTS = {
    "tests": Part(tests, 4.0, needs_gpu=True),
    "splat": Part(splat, 2.0),
    "predictor": Part(predictor, 5.0),
    "pipeline": Part(pipeline, 1.5),
    "training": Part(training, 4.0),
    "rasteriser": Part(rasteriser, 3.0, needs_gpu=True),
    "demo_bundle": Part(demo_bundle, 600.0, asked=True),
}
