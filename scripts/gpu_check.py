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
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gpu_parts import PARTS, Outcome, Task

ROOT = Path(__file__).resolve().parents[1]
#: Modules that the library imports somewhere, and what they are called at the package index.
NEEDED = {
    "torch": "torch", "triton": "triton", "numpy": "numpy", "numba": "numba", "scipy": "scipy", "PIL": "pillow",
    "yaml": "pyyaml", "safetensors": "safetensors", "tqdm": "tqdm", "transformers": "transformers",
    "jsonargparse": "jsonargparse", "rosbags": "rosbags", "pytest": "pytest", "hypothesis": "hypothesis",
    "pytest_timeout": "pytest-timeout", "lightning": "lightning", "gsplat": "gsplat",
    "nuscenes": "nuscenes-devkit",
}  # fmt: skip


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
