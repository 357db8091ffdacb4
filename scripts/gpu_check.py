# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""``scripts/gpu_check.sh``: everything that a GPU can tell about this checkout in a few minutes, in order of worth.

Each part runs in a process of its own, so that none takes another with it, and leaves ``PART.json`` and its output; all
of them end in ``report.json`` and ``report.md``. Without a GPU the parts that can do without one run on the CPU at tiny
sizes, in this process, and the others are skipped.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib.util
import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
#: Modules that the library imports somewhere, and what they are called at the package index.
NEEDED = {
    "torch": "torch", "triton": "triton", "numpy": "numpy", "numba": "numba", "scipy": "scipy", "PIL": "pillow",
    "yaml": "pyyaml", "safetensors": "safetensors", "tqdm": "tqdm", "transformers": "transformers",
    "jsonargparse": "jsonargparse", "rosbags": "rosbags", "pytest": "pytest", "hypothesis": "hypothesis",
    "pytest_timeout": "pytest-timeout", "lightning": "lightning", "gsplat": "gsplat",
    "nuscenes": "nuscenes-devkit",
}  # fmt: skip


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


# ---- running them ----------------------------------------------------------------------------------------------------


def hardware() -> dict[str, Any]:
    """What the numbers belong to."""
    found: dict[str, Any] = {
        "device": f"{platform.machine()} CPU", "cuda": None, "python": platform.python_version(), "torch": None,
        "missing": [name for module, name in NEEDED.items() if importlib.util.find_spec(module) is None],
        "date": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
    }  # fmt: skip
    if "torch" in found["missing"]:
        return found
    import torch

    found["torch"] = torch.__version__
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        found |= {"device": properties.name, "cuda": torch.version.cuda, "memory_mb": properties.total_memory / 1e6}
        found["capability"] = f"{properties.major}.{properties.minor}"
    return found


def run_here(name: str, task: Task) -> Outcome:
    """Run a part in this process; whatever goes wrong is its outcome."""
    started = time.perf_counter()
    try:
        outcome = PARTS[name].run(task)
    except Exception as error:  # noqa: BLE001 - the next part may do
        traceback.print_exc()
        lines = str(error).splitlines() or [""]
        state = "skipped" if isinstance(error, ImportError) else "failed"
        outcome = Outcome(name, state, why=f"{type(error).__name__}: {lines[0]}")
    outcome.seconds = time.perf_counter() - started
    return outcome


def run_apart(name: str, task: Task, seconds: float) -> Outcome:
    """Run a part in a process of its own, for so long at most."""
    file = task.folder / f"{name}.json"
    file.unlink(missing_ok=True)
    command = [sys.executable, __file__, "--only", name, "--out", str(task.folder)]
    if task.options.demo_bundle:
        command += ["--demo-bundle", task.options.demo_bundle]
    with (task.folder / f"{name}.txt").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)  # noqa: S603
        try:
            code = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # with what it started
            process.wait()
            return _unfinished(name, file, "out of time", f"more than {seconds:.0f} s")
    if code or not file.is_file():
        return _unfinished(name, file, "failed", f"its process ended with {code}; see {name}.txt")
    return Outcome(**json.loads(file.read_text()))


def _unfinished(name: str, file: Path, state: str, why: str) -> Outcome:
    """What a part had found before it was ended."""
    outcome = Outcome(**json.loads(file.read_text())) if file.is_file() else Outcome(name)
    outcome.state, outcome.why = state, why
    return outcome


def report(found: dict[str, Any], outcomes: Sequence[Outcome]) -> str:
    """Everything as Markdown."""
    versions = f"{found['date']}, Python {found['python']}, PyTorch {found['torch']}, CUDA {found['cuda'] or 'none'}."
    lines = [f"# {found['device']}", "", versions, f"Missing packages: {', '.join(found['missing']) or 'none'}."]
    for outcome in outcomes:
        lines += ["", f"## {outcome.part}: {outcome.state}, {outcome.seconds:.0f} s", ""]
        lines += [f"{outcome.why}", ""] if outcome.why else []
        lines += [f"* {bar}: {'met' if met else 'NOT met'}" for bar, met in outcome.bars.items()]
        lines += ["", outcome.table] if outcome.table else []
    return "\n".join(lines) + "\n"


def write_report(folder: Path, found: dict[str, Any], outcomes: Sequence[Outcome]) -> None:
    """Both files; called after every part, so that an end from outside loses none."""
    content = {"hardware": found, "parts": [asdict(outcome) for outcome in outcomes]}
    (folder / "report.json").write_text(json.dumps(content, indent=1) + "\n")
    (folder / "report.md").write_text(report(found, outcomes))


def chosen(options: argparse.Namespace) -> list[str]:
    """Parts to run, in order of worth."""
    names = [name for name, part in PARTS.items() if not part.asked]
    if options.parts:
        names = options.parts.split(",")
        if unknown := [name for name in names if name not in PARTS]:
            sys.exit(f"--parts: expected some of {', '.join(PARTS)}, received {unknown[0]}")
    elif options.demo_bundle:
        names = ["demo_bundle"]
    if "demo_bundle" in names and not options.demo_bundle:
        sys.exit("--demo-bundle: expected a folder for data, runs and the bundle, received nothing")
    return names


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts; returns 0 unless one fails on a GPU, or a bar is not met there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="gpu_check", help="folder; the hardware's name becomes one inside it")
    parser.add_argument("--minutes", type=float, default=10.0, help="for all parts together")
    parser.add_argument("--parts", help="some of them, separated by commas")
    parser.add_argument("--demo-bundle", help="train the shipped model again; data, runs and bundle go to this folder")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    found = hardware()
    gpu = found["cuda"] is not None
    if options.only:
        task = Task("cuda", False, Path(options.out), options)
        outcome = run_here(options.only, task)
        task.keep(outcome)
        return 0
    names = chosen(options)
    folder = Path(options.out) / re.sub(r"[^A-Za-z0-9]+", "_", found["device"]).strip("_")
    folder.mkdir(parents=True, exist_ok=True)
    outcomes, ends = [], time.perf_counter() + 60 * options.minutes
    task = Task("cuda" if gpu else "cpu", not gpu, folder, options)
    for name in names:
        part, left = PARTS[name], ends - time.perf_counter()
        if found["torch"] is None:
            outcome = Outcome(name, "skipped", why="there is no PyTorch")
        elif part.needs_gpu and not gpu:
            outcome = Outcome(name, "skipped", why="there is no GPU")
        elif not gpu:
            outcome = run_here(name, task)
        elif left < 15 and not part.asked:
            outcome = Outcome(name, "out of time", why=f"{options.minutes:g} minutes are over")
        else:
            outcome = run_apart(name, task, 60 * part.minutes if part.asked else min(60 * part.minutes, left))
        outcomes.append(outcome)
        write_report(folder, found, outcomes)
        sys.stdout.write(f"{name}: {outcome.state}, {outcome.seconds:.0f} s {outcome.why}\n")
    sys.stdout.write(f"{folder / 'report.md'}\n")
    if found["missing"]:
        sys.stdout.write(f"missing packages: {', '.join(found['missing'])}\n")
    wrong = [o.part for o in outcomes if o.state in {"failed", "out of time"} or not all(o.bars.values())]
    return 1 if wrong and gpu else 0


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
