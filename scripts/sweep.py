#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Train variants of a configuration over several seeds, score them on held-out drives, and compare them pairwise.

Stop it at any time and start it again: finished runs are kept and a run that was interrupted goes on where it was.

    python scripts/sweep.py config/sweeps/gaussianflowocc.yaml --jobs 2
    python scripts/sweep.py config/sweeps/gaussianflowocc.yaml --report docs/ablation_gaussianflowocc
    python scripts/sweep.py config/sweeps/gaussrender_*.yaml --report docs/ablation_gaussrender
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy import stats
from tqdm import tqdm

from gsocc_core.arguments import keyword_arguments
from gsocc_core.yaml_files import read_yaml


@dataclass(frozen=True)
class Comparison:
    """A difference to report: of ``better`` over ``worse`` in ``metric``.

    Attributes:
        better: Variant that is expected to have the higher score.
        worse: The other one.
        metric: Name of a number in the scores, dotted for parts, for instance ``velocity.mave_mps``.
    """

    better: str
    worse: str
    metric: str = "miou"


@dataclass(frozen=True)
class Sweep:
    """What a sweep file holds.

    Attributes:
        base: Configuration of ``gsocc_core train``.
        train: Arguments of ``gsocc_core synthesize`` for the training drives, ``out`` among them.
        held_out: The same for the drives that are scored; they must have a split ``val``.
        variants: Name -> arguments of ``gsocc_core train`` that differ from the base, by dotted name.
        seeds: Training seeds.
        compare: Differences to report.
        metrics: Numbers to show per variant.
        runs: Folder of all runs.
        scorer: The command that scores a bundle: ``evaluate``, ``evaluate-views`` for methods of unposed views, or
            ``evaluate-poses`` for those of depth and motion.
        evaluate: Further arguments of that command.
        prepare: ``gsocc_core`` commands that are called first, each of which may be called again and again.
        start: Arguments that differ from the base in one more run, whose bundle all variants start from; None = they
            start from random weights. Seeds then differ in what the variants add, and in the order of the data.
    """

    base: str
    train: dict[str, Any]
    held_out: dict[str, Any]
    variants: dict[str, Any]
    seeds: tuple[int, ...]
    compare: tuple[Comparison, ...] = ()
    metrics: tuple[str, ...] = ("miou", "miou_15", "miou_dynamic", "iou", "rayiou")
    runs: str = "runs/sweep"
    scorer: Literal["evaluate", "evaluate-views", "evaluate-poses"] = "evaluate"
    evaluate: dict[str, Any] = field(default_factory=lambda: {"depth": True})
    start: dict[str, Any] | None = None
    prepare: tuple[str, ...] = ()


def main() -> int:
    """Run what is missing, then report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweeps", type=Path, nargs="+", help="YAML files of sweeps")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at a time, one thread each")
    parser.add_argument("--report", type=Path, help="write <report>.md and <report>.json")
    options = parser.parse_args()
    sweeps: dict[str, Sweep] = {path.stem: keyword_arguments_of(path) for path in options.sweeps}
    for sweep in sweeps.values():
        for tree in (sweep.train, sweep.held_out):
            if not Path(tree["out"]).exists():
                words = [f"--{key}={value}" for key, value in tree.items() if key != "out"]
                run(["synthesize", str(tree["out"]), *words], None)
        for command in sweep.prepare:
            run(shlex.split(command), None)
    starts = [sweep for sweep in sweeps.values() if sweep.start is not None and not start_mark(sweep).exists()]
    # Seed by seed, so that a sweep that is stopped early has compared all variants.
    places = [(place, sweep) for sweep in sweeps.values() for place in range(len(sweep.seeds))]
    todo = [
        (sweep, name, sweep.seeds[place])
        for place, sweep in sorted(places, key=lambda one: one[0])
        for name in sweep.variants
        if not score_file(sweep, name, sweep.seeds[place]).exists()
    ]
    in_parallel("starts", train_start, [(sweep,) for sweep in starts], options.jobs)
    in_parallel("runs", train_and_score, todo, options.jobs)
    parts = {name: report(sweep) for name, sweep in sweeps.items()}
    text = "\n\n".join(f"### {name}\n\n{part[0]}" if len(parts) > 1 else part[0] for name, part in parts.items())
    numbers: Any = {name: part[1] for name, part in parts.items()}
    sys.stdout.write(text + "\n")
    if options.report is not None:
        options.report.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
        if len(parts) == 1:
            (numbers,) = numbers.values()
        options.report.with_suffix(".json").write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    return 0


def in_parallel(title: str, do: Callable[..., None], todo: Sequence[tuple[Any, ...]], jobs: int) -> None:
    """Call ``do`` with every item's arguments, some at a time, under a progress bar; the first fault ends it."""
    with ThreadPoolExecutor(jobs) as pool, tqdm(total=len(todo), desc=title, unit="run", disable=not todo) as bar:
        for _ in pool.map(lambda one: do(*one), todo):
            bar.update()


def keyword_arguments_of(path: Path) -> Sweep:
    """Read a sweep file, every key checked."""
    return Sweep(**keyword_arguments(Sweep, read_yaml(path, "a sweep"), path))


def score_file(sweep: Sweep, name: str, seed: int) -> Path:
    """Where the scores of one run lie."""
    return Path(sweep.runs) / f"{name}_{seed}.json"


def train(sweep: Sweep, name: str, changes: Mapping[str, Any], seed: int, threads: int = 1) -> Path:
    """One training in a process of its own; returns its folder."""
    folder = Path(sweep.runs) / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    fixed = {"out": str(folder), "data.dataroot": sweep.train["out"], "run.seed": seed, "run.progress_bar": False}
    words = [f"--{key}={yaml_word(value)}" for key, value in (fixed | dict(changes)).items()]
    run(["train", sweep.base, "--resume=auto", *words], Path(f"{folder}.log"), threads)
    return folder


def scores_in(path: Path) -> dict[str, Any]:
    """What a scorer wrote: one report, or a list of one."""
    content = json.loads(path.read_text(encoding="utf-8"))
    found: dict[str, Any] = content[0] if isinstance(content, list) else content
    return found


def start_mark(sweep: Sweep) -> Path:
    """Empty file that says that the start of all variants is trained."""
    return Path(sweep.runs) / "start.done"


def train_start(sweep: Sweep) -> None:
    """The run whose bundle all variants start from."""
    train(sweep, "start", sweep.start or {}, sweep.seeds[0])
    start_mark(sweep).touch()


def train_and_score(sweep: Sweep, name: str, seed: int) -> None:
    """One run of a variant, with one thread."""
    changes = dict(sweep.variants[name] or {})
    if sweep.start is not None:
        changes["init"] = f"{sweep.runs}/start/bundle"
    folder = train(sweep, f"{name}_{seed}", changes, seed)
    version = sweep.held_out.get("version", "v1.0-synthetic")
    place = ["--dataroot", str(sweep.held_out["out"]), "--version", version, "--split", "val"]
    words = [f"--{key}={yaml_word(value)}" for key, value in sweep.evaluate.items()]
    run([sweep.scorer, str(folder / "bundle"), *place, *words, "--out", str(folder)], Path(f"{folder}.log"))


def yaml_word(value: Any) -> str:
    """A plain value as one word of the command line."""
    return value if isinstance(value, str) else json.dumps(value)


def run(words: Sequence[str], log: Path | None, threads: int = 1) -> None:
    """A gsocc_core command; its output goes to ``log``, and to the screen when it fails."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "NUMBA_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "gsocc_core", *words]
    if log is None:
        subprocess.run(command, check=True)  # noqa: S603 - our own program
        return
    with log.open("a", encoding="utf-8") as file:
        done = subprocess.run(command, check=False, stdout=file, stderr=file, env=environment)  # noqa: S603
    if done.returncode:
        tail = log.read_text(encoding="utf-8")[-2000:]
        raise SystemExit(f"{' '.join(words)} failed; the end of {log}:\n{tail}")


def number(scores: Mapping[str, Any], metric: str) -> float:
    """A score by its dotted name; nan where there is none."""
    value: Any = scores
    for part in metric.split("."):
        value = None if value is None else value.get(part)
    return math.nan if value is None else float(value)


def paired_interval(differences: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """Mean of paired differences and its Student interval (degrees of freedom: pairs - 1)."""
    mean = float(differences.mean())
    half = float(stats.t.ppf(0.5 + level / 2, len(differences) - 1) * differences.std(ddof=1) / len(differences) ** 0.5)
    return mean, mean - half, mean + half


def report(sweep: Sweep) -> tuple[str, dict[str, Any]]:
    """Tables of means over seeds and of paired differences, and the numbers behind them."""
    runs = {name: [scores_in(score_file(sweep, name, seed)) for seed in sweep.seeds] for name in sweep.variants}

    def row(metric: str, values: Sequence[float]) -> str:
        factor = 100 if "iou" in metric.rpartition(".")[2] else 1
        shown = ["-" if math.isnan(value) else f"{factor * value:.2f}" for value in values]
        return shown[0] + (f" ({shown[1]} to {shown[2]})" if len(shown) > 1 else "")

    lines = [
        f"| mean of {len(sweep.seeds)} seeds | {' | '.join(sweep.metrics)} |",
        "|---" * (len(sweep.metrics) + 1) + "|",
    ]
    for name, found in runs.items():
        cells = [row(m, [float(np.mean([number(s, m) for s in found]))]) for m in sweep.metrics]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", "| difference, paired over seeds | metric | mean (95 % interval) | |", "|---|---|---|---|"]
    differences = []
    for c in sweep.compare:
        pairs = [number(a, c.metric) - number(b, c.metric) for a, b in zip(runs[c.better], runs[c.worse])]
        mean, low, high = paired_interval(np.array(pairs))
        verdict = "unresolved" if low <= 0 <= high else ("higher" if low > 0 else "lower")
        lines.append(f"| {c.better} - {c.worse} | {c.metric} | {row(c.metric, (mean, low, high))} | {verdict} |")
        differences.append({**vars(c), "pairs": pairs, "mean": mean, "low": low, "high": high})
    shown = {
        name: {m: [None if math.isnan(v := number(s, m)) else v for s in found] for m in sweep.metrics}
        for name, found in runs.items()
    }
    return "\n".join(lines), {"seeds": list(sweep.seeds), "runs": shown, "differences": differences}


if __name__ == "__main__":
    sys.exit(main())
