# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What one training step of a configuration costs, part by part, and what it costs of another checkout's.

    python benchmarks/training_step.py config/train/synthetic_labels.yaml --dataroot data/synthetic/train
    python benchmarks/training_step.py config/train/synthetic_labels.yaml --against ../before --pairs 5

The first command explains a step: the modules of the network, every loss and every splat, forward and backward. Inner
parts do not count as part of outer ones. The second one runs both checkouts in turns, each in processes of its own, and
compares the losses of the first steps, which see the same batches, weights and random numbers. Seconds are those of the
process on the CPU, so that a busy machine changes them little; on a GPU (``--device cuda``) the clock waits for it.
"""

from __future__ import annotations

import argparse
import bisect
import functools
import importlib
import json
import os
import pkgutil
import resource
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

THREADS = "1"
SPLATS = {"splat_to_voxels", "splat_at_voxels", "splat_to_image", "splat_to_color", "splat_to_neighborhood"}
REST, ENGINE = "(rest)", "(between operations)"


class Clock:
    """Seconds of what is open, innermost first, and which part each operation of the backward pass belongs to."""

    def __init__(self, device: str) -> None:
        self.seconds: dict[tuple[str, str], float] = defaultdict(float)
        self.direction, self.device = "forward", device
        self._open, self._since = [REST], self.now()
        self._numbers: list[int] = []
        self._names: list[str] = []

    def now(self) -> float:
        """Seconds since some moment; a GPU has done what it was told by then."""
        if self.device == "cpu":
            return time.process_time()
        import torch

        torch.cuda.synchronize()
        return time.perf_counter()

    def _turn(self) -> None:
        """Book what passed since the last turn; operations from here on belong to what is open."""
        import torch

        now = self.now()
        self.seconds[self.direction, self._open[-1]] += now - self._since
        self._since = now
        self._numbers.append(torch._C._autograd._get_sequence_nr())  # noqa: SLF001
        self._names.append(self._open[-1])

    def enter(self, name: str) -> None:
        """A part begins, inside of what is open."""
        self._turn()
        self._names[-1] = name
        self._open.append(name)

    def leave(self) -> None:
        """The innermost part ends."""
        self._turn()
        self._open.pop()
        self._names[-1] = self._open[-1]

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """What happens inside belongs to a part."""
        self.enter(name)
        try:
            yield
        finally:
            self.leave()

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function as a part."""

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self.part(name):
                return function(*args, **kwargs)

        return call

    def backward(self, total: Any) -> None:
        """The backward pass; every operation counts for the part that made it."""
        names, seen, todo = {}, set(), [total.grad_fn]
        while todo:
            node = todo.pop()
            if node is None or node in seen:
                continue
            seen.add(node)
            number = node._sequence_nr()  # noqa: SLF001
            place = bisect.bisect_right(self._numbers, number) - 1
            known = 0 <= number < 1 << 60 and place >= 0
            names[node] = self._names[place] if known else "(gradients of weights)"
            node.register_prehook(partial(self._begin, names[node]))
            node.register_hook(self._end)
            todo += [following for following, _ in node.next_functions]
        self.direction = "backward"
        with self.part(ENGINE):
            total.backward()
        self.direction = "forward"
        self._numbers.clear()
        self._names.clear()

    def _begin(self, name: str, _: Any) -> None:
        self.enter(name)

    def _end(self, *_: Any) -> None:
        self.leave()


def watch(method: Any, clock: Clock) -> None:
    """Time the children of the network, the losses and the splats."""
    import gsocc_core

    for name, child in method.named_children():
        group = type(child).__name__ in {"ModuleList", "ModuleDict"}
        for module in child.children() if group else [child]:
            module.register_forward_pre_hook(lambda *_, name=name: clock.enter(name))
            module.register_forward_hook(lambda *_: clock.leave())
    method.losses = clock.timed("losses, put together", method.losses)
    wanted: dict[Any, str] = {}
    for module in pkgutil.walk_packages(gsocc_core.__path__, "gsocc_core."):
        if module.name.startswith(("gsocc_core.losses.", "gsocc_core.splat.")) and "cuda" not in module.name:
            loaded = importlib.import_module(module.name)
            for name, value in vars(loaded).items():
                own = getattr(value, "__module__", None) == module.name and callable(value) and not name.startswith("_")
                mine = name in SPLATS or module.name.startswith("gsocc_core.losses.")
                if own and mine and not isinstance(value, type) and hasattr(value, "__code__"):
                    wanted[value] = name
    users = [module for name, module in sys.modules.items() if name.startswith("gsocc_core.")]
    for function, name in wanted.items():
        label = name if name in SPLATS else f"loss: {name}"
        for module in users:
            for attribute, value in list(vars(module).items()):
                if value is function:
                    setattr(module, attribute, clock.timed(label, function))


class Trial:
    """Steps of ``gsocc_core train`` with their own data, without the trainer around them."""

    def __init__(self, options: argparse.Namespace) -> None:
        import torch

        from gsocc_core.arguments import keyword_arguments
        from gsocc_core.bench.configurations import Configuration
        from gsocc_core.training.anchors import surface_means
        from gsocc_core.training.args import OptimizerArgs
        from gsocc_core.training.module import MethodTraining
        from gsocc_core.training.sampling import StepSampler
        from gsocc_core.training.sources import training_data
        from gsocc_core.yaml_files import read_yaml

        torch.set_num_threads(int(THREADS))
        self.configuration = read = Configuration.read(options.config)
        self.device = torch.device(options.device)
        data = read.data if options.dataroot is None else replace(read.data, dataroot=str(options.dataroot))
        arguments = read_yaml(options.config, "a training configuration").get("optimizer", {})
        self.arguments = OptimizerArgs(**keyword_arguments(OptimizerArgs, arguments, options.config))
        self.source = training_data(data)
        method = read.build()
        self.dataset: Any = self.source.open(method.image_size)
        torch.manual_seed(0)
        if hasattr(method, "grid"):
            method.begin(partial(surface_means, self.dataset, read.classes, method.grid, seed=0))
        self.training = MethodTraining(method.to(self.device), self.arguments, 10_000, 0)
        self.optimizer = self.training.configure_optimizers()["optimizer"]
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.batches = iter(self.source.batches(StepSampler(len(self.dataset), read.batch, 0)))

    def step(self, number: int, clock: Clock) -> dict[str, float]:
        """One step; returns its losses."""
        import torch

        with clock.part("data"):
            batch = self.source.collate([self.dataset[item] for item in next(self.batches)]).to(self.device)
        torch.manual_seed(number)
        for group, rate in zip(self.optimizer.param_groups, self.rates):
            group["lr"] = rate * min(1.0, (number + 1) / max(self.arguments.warmup_steps, 1))
        with clock.part("optimiser"):
            self.optimizer.zero_grad()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.configuration.precision != "32-true"):
            losses = self.training.method.training_losses(batch)
            total = torch.stack(list(losses.values())).sum()
        clock.backward(total)
        with clock.part("optimiser"):
            torch.nn.utils.clip_grad_norm_(self.training.parameters(), self.arguments.clip_norm)
            self.training.optimizer_step(0, 0, self.optimizer, None)
        return {name: float(value.detach()) for name, value in losses.items()}


def work(options: argparse.Namespace) -> None:
    """Take steps in this process and print what they cost as JSON."""
    trial = Trial(options)
    clock = Clock(options.device)
    if options.explain:
        watch(trial.training.method, clock)
    losses, seconds, parts = [], [], defaultdict(list)
    for number in range(options.steps + options.warm):
        clock.seconds.clear()
        started = clock.now()
        losses.append(trial.step(number, clock) if options.explain else plain(trial, number, clock))
        seconds.append(clock.now() - started)
        if number >= options.warm:
            for key, value in clock.seconds.items():
                parts["\t".join(key)].append(value)
    result = {
        "losses": losses, "seconds": seconds[options.warm :],
        "parts": {k: sum(v) / options.steps for k, v in parts.items()},
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip
    sys.stdout.write("\n" + json.dumps(result) + "\n")


def plain(trial: Trial, number: int, clock: Clock) -> dict[str, float]:
    """A step without anything that watches it."""
    clock.backward = lambda total: total.backward()  # type: ignore[method-assign]
    return trial.step(number, clock)


def run(checkout: Path, options: argparse.Namespace, **other: Any) -> dict[str, Any]:
    """Steps of one checkout in a process of its own."""
    environment = os.environ | {
        "PYTHONPATH": str(checkout.resolve()), "OMP_NUM_THREADS": THREADS, "NUMBA_NUM_THREADS": THREADS,
    }  # fmt: skip
    values = vars(options) | other
    words = [sys.executable, str(Path(__file__).resolve()), str(Path(options.config).resolve()), "--work"]
    for key in ("dataroot", "device", "steps", "warm"):
        if values[key] is not None:
            words += [f"--{key}", str(values[key])]
    words += ["--explain"] if values["explain"] else []
    done = subprocess.run(words, check=False, capture_output=True, text=True, env=environment)  # noqa: S603
    if done.returncode:
        sys.exit(f"{checkout}: {done.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def explain(options: argparse.Namespace, here: Path) -> None:
    """Print the parts of a step."""
    result = run(here, options, explain=True)
    total = sum(result["parts"].values())
    table: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for key, value in result["parts"].items():
        direction, name = key.split("\t")
        table[name][direction] += value
    print("| part | forward, ms | backward, ms | share |\n|---|---:|---:|---:|")
    for name, times in sorted(table.items(), key=lambda item: -sum(item[1].values())):
        both = sum(times.values())
        print(f"| {name} | {1e3 * times['forward']:.1f} | {1e3 * times['backward']:.1f} | {100 * both / total:.1f} % |")
    known = total - sum(sum(table[name].values()) for name in (REST, ENGINE))
    print(f"\n{total:.3f} s per step while watched, of which {100 * known / total:.1f} % is explained; ", end="")
    print(f"peak {result['peak_mb']:.0f} MB")


def compare(options: argparse.Namespace, here: Path) -> None:
    """Print what a step costs of that of another checkout."""
    mine, theirs = [], []
    for pair in range(options.pairs):
        for checkout in (here, options.against) if pair % 2 else (options.against, here):
            (mine if checkout is here else theirs).append(run(checkout, options, explain=False))
            print(".", end="", file=sys.stderr, flush=True)
    medians = [[statistics.median(r["seconds"]) for r in side] for side in (theirs, mine)]
    ratios = [a / b for a, b in zip(*medians)]
    print(f"\n| {Path(options.config).stem} | {options.against} | here | ratio |\n|---|---:|---:|---:|")
    spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    print(f"| step, CPU s | {statistics.median(medians[0]):.3f} | {statistics.median(medians[1]):.3f} | {spread} |")
    peaks = [statistics.median(r["peak_mb"] for r in side) for side in (theirs, mine)]
    print(f"| peak, MB | {peaks[0]:.0f} | {peaks[1]:.0f} | {peaks[0] / peaks[1]:.2f} |")
    worst = 0.0
    for number in range(3):
        before, after = (sum(side[0]["losses"][number].values()) for side in (theirs, mine))
        worst = max(worst, abs(after / before - 1))
        print(f"| loss of step {number + 1} | {before:.7g} | {after:.7g} | {after / before - 1:+.1e} |")
    print(f"\nlargest relative difference of the first three losses: {worst:.1e}")


def main() -> None:
    """Read the words and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="file of config/train")
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--dataroot", type=Path, help="data, if not those of the configuration")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--steps", type=int, default=8, help="measured steps of a process")
    parser.add_argument("--warm", type=int, default=3, help="steps before")
    parser.add_argument("--pairs", type=int, default=3, help="processes of each checkout")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--explain", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.dataroot is not None:
        options.dataroot = options.dataroot.resolve()
    if options.work:
        work(options)
    elif options.against is None:
        explain(options, Path(__file__).resolve().parents[1])
    else:
        compare(options, Path(__file__).resolve().parents[1])


if __name__ == "__main__":
    main()
