# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What a training step costs: its memory counted without a GPU, or time and peak measured."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from gsocc_core.bench.configurations import Configuration
from gsocc_core.methods.method import Trainable
from gsocc_core.networks.fixed_sizes import fixed_sizes, seen_first

#: float32 copies of a learned number: weight, gradient, two moments of AdamW, average.
COPIES = 5


@dataclass(frozen=True)
class StepMemory:
    """Parts of the memory of one training step, bytes.

    Attributes:
        parameters: Number of parameters.
        state: Weights, and of those that learn gradients, two moments of AdamW and the average.
        inputs: Pictures, cameras and labels.
        kept: What autograd keeps between forward and backward, each tensor once; of parts that are computed again in
            the backward pass only what goes into them.
        again: What the largest of these parts keeps while it is computed again.
    """

    parameters: int
    state: int
    inputs: int
    kept: int
    again: int

    @property
    def peak(self) -> int:
        """Sum of the parts. What CUDA adds (context, workspaces, fragmentation) is not in it."""
        return self.state + self.inputs + self.kept + self.again


class _Kept:
    """Storages that autograd holds; each counts once, and weights not at all."""

    def __init__(self, not_counted: Iterable[torch.UntypedStorage]) -> None:
        self._outside = {id(storage): storage for storage in not_counted}
        self._held: dict[int, torch.UntypedStorage] = {}
        self.again = 0

    def add(self, value: Tensor) -> Tensor:
        """Count a tensor's storage, which has one Python object as long as that is held."""
        storage = value.untyped_storage()
        if id(storage) not in self._outside:
            self._held[id(storage)] = storage
        return value

    @property
    def bytes(self) -> int:
        """Sum so far."""
        return sum(storage.nbytes() for storage in self._held.values())

    def part(self, function: Callable[..., Any], *arguments: Any, **_: Any) -> Any:
        """Takes the place of ``checkpoint``: what goes in is kept, what is inside is counted apart."""
        entering = list(_tensors(arguments))
        for value in entering:
            self.add(value)
        storages = [value.untyped_storage() for value in entering]
        inside = _Kept([*self._outside.values(), *self._held.values(), *storages])
        with torch.autograd.graph.saved_tensors_hooks(inside.add, lambda value: value):
            result = function(*arguments)
        self.again = max(self.again, inside.bytes)
        return result


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for one in value:
            yield from _tensors(one)


@contextmanager
def _instead(real: Callable[..., Any], name: str, other: Callable[..., Any]) -> Iterator[None]:
    """Every module of the library that calls ``real`` by its name calls another function."""
    users = [m for n, m in sys.modules.items() if n.startswith("gsocc_core.") and getattr(m, name, None) is real]
    for module in users:
        setattr(module, name, other)
    try:
        yield
    finally:
        for module in users:
            setattr(module, name, real)


def count_memory(
    configuration: Configuration,
    batch: int | None = None,
    views: int | None = None,
    history: int | None = None,
    network_only: bool = True,
    seen_share: float = 1.0,
) -> StepMemory:
    """Count the memory of one step.

    Args:
        configuration: What is trained.
        batch: Samples; None = as configured.
        views: Supervised key frames; None = as configured.
        history: Earlier key frames; None = as configured. They run without gradient and cost time, not memory.
        network_only: Leave out the losses and compute nothing: sizes alone follow from the network, in float32
            whatever the configured precision, and lists whose length depends on what is seen have a length that is
            assumed. Otherwise a step runs on the CPU.
        seen_share: Without computing: share of all points that the picture shows which sees most; 1 = a bound.
    """
    method = configuration.build()
    frames = configuration.frames(batch, views, history)
    sizes: list[int] = []

    def size(value: Tensor) -> Tensor:
        sizes.append(value.numel() * value.element_size())
        return value

    frames.map(size)
    if network_only:
        method, frames = method.to("meta"), frames.to("meta")
    kept = _Kept([p.untyped_storage() for p in method.parameters()])

    all_seen = seen_first  # this module's name is among those that are replaced

    def seen(points: Tensor) -> Tensor:
        order = all_seen(points)
        return order[:, : max(1, round(seen_share * order.shape[1]))]

    parts = _instead(checkpoint, "checkpoint", kept.part)
    lists = _instead(seen_first, "seen_first", seen if network_only else seen_first)
    with parts, lists, torch.autograd.graph.saved_tensors_hooks(kept.add, lambda value: value):
        if network_only:
            with fixed_sizes():
                result: Any = method(frames)
        else:
            result = method.training_losses(frames)
    parameters = list(method.parameters())
    learned = sum(4 * p.numel() for p in parameters if p.requires_grad)
    fixed = sum(4 * p.numel() for p in parameters if not p.requires_grad)
    del result
    return StepMemory(sum(p.numel() for p in parameters), COPIES * learned + fixed, sum(sizes), kept.bytes, kept.again)


def _autocast(configuration: Configuration, device: str) -> torch.autocast:
    half = {"16-mixed": torch.float16, "bf16-mixed": torch.bfloat16}.get(configuration.precision)
    return torch.autocast(device, half or torch.bfloat16, enabled=half is not None)


@dataclass(frozen=True)
class Steps:
    """Measured training steps.

    Attributes:
        batch: Samples per step.
        step_ms: Median time of a step, milliseconds.
        peak_mb: Most memory that PyTorch held on the GPU, MB; None = on a CPU, where nobody counts.
        first_loss: Of the first step.
        last_loss: Of the last one.
    """

    batch: int
    step_ms: float
    peak_mb: float | None
    first_loss: float
    last_loss: float


def run_steps(configuration: Configuration, device: torch.device, steps: int = 20, batch: int | None = None) -> Steps:
    """Train on one random batch: the step of ``gsocc_core train`` without its loader.

    Args:
        configuration: What is trained.
        device: Where.
        steps: Number of steps.
        batch: Samples; None = as configured.
    """
    method: Trainable = configuration.build().to(device)
    frames = configuration.frames(batch).to(device)
    optimizer = torch.optim.AdamW(method.parameter_groups(1e-4, 1e-2, 1.0))
    scaler = torch.amp.GradScaler(device.type, enabled=configuration.precision == "16-mixed")
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    times, losses = [], []
    for _ in range(steps):
        started = time.perf_counter()
        optimizer.zero_grad()
        with _autocast(configuration, device.type):
            total = torch.stack(list(method.training_losses(frames).values())).sum()
        scaler.scale(total).backward()
        scaler.step(optimizer)
        scaler.update()
        losses.append(float(total.detach()))  # which waits for the GPU
        times.append(1e3 * (time.perf_counter() - started))
    peak = torch.cuda.max_memory_allocated(device) / 1e6 if device.type == "cuda" else None
    return Steps(len(frames.images), statistics.median(times), peak, losses[0], losses[-1])
