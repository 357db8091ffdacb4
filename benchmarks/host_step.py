# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What the rendering loss adds to a training step of a host: CPU time and saved memory, step by step in turn.

One network takes steps with and without its rendering loss, one after the other on the same key frame, so that a busy
machine disturbs both alike. Time is CPU time of the process.

    python benchmarks/host_step.py config/train/synthetic_tpvformer.yaml --steps 10
"""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import replace
from typing import Any

os.environ.setdefault("NUMBA_NUM_THREADS", "1")  # before numba is imported

import torch
from jsonargparse import auto_cli
from torch import Tensor

from gsocc_core import OCC3D_NUSCENES
from gsocc_core.arguments import keyword_arguments
from gsocc_core.data.args import DataArgs
from gsocc_core.data.build import build_dataset
from gsocc_core.geometry.frames import FrameSet
from gsocc_core.methods.build import build_method
from gsocc_core.training.initial_weights import start_from
from gsocc_core.yaml_files import read_yaml


def host_step(
    configuration: str, init: str | None = None, steps: int = 6, render_width: int | None = None, threads: int = 1
) -> None:
    """Print seconds per step with and without the rendering loss, their ratio, and what autograd keeps.

    Args:
        configuration: Configuration of ``gsocc_core train`` with ``model.render``.
        init: Bundle whose weights to take; None = random ones, whose fog costs the renderer most.
        steps: Timed steps of each kind; two more come before.
        render_width: Width of the rendered pictures, px; None = as configured.
        threads: CPU threads.
    """
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    content = read_yaml(configuration, "a training configuration")
    model: dict[str, Any] = content["model"]
    if render_width is not None:
        model["render"]["render_width"] = render_width
    classes = OCC3D_NUSCENES.with_channels(content.get("channels"))
    network: Any = build_method(content["method"], model, classes, pretrained=False).train()
    if init is not None:
        start_from(network, content["method"], init)
    data = DataArgs(**keyword_arguments(DataArgs, content["data"], configuration))
    dataset = build_dataset(replace(data, photometric=0.0), tuple(model["image_size"]))
    batches = [dataset[i * (len(dataset) - 1) // (steps + 1)] for i in range(steps + 2)]
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.0)
    render = network.render
    times: dict[bool, list[float]] = {False: [], True: []}
    kept: dict[bool, list[float]] = {False: [], True: []}
    for index, batch in enumerate(batches):
        for with_loss in (False, True) if index % 2 else (True, False):
            network.render = render if with_loss else None
            seconds, saved = one_step(network, optimizer, batch)
            if index >= 2:
                times[with_loss].append(seconds)
                kept[with_loss].append(saved)
    alone, both = statistics.median(times[False]), statistics.median(times[True])
    ratios = [b / a for a, b in zip(times[False], times[True])]
    print("| configuration | alone, s | with rendering loss, s | ratio | kept alone, MB | kept with, MB |")
    print("|---|---:|---:|---:|---:|---:|")
    print(
        f"| {configuration} | {alone:.2f} | {both:.2f} | {statistics.median(ratios):.2f} ({min(ratios):.2f} to "
        f"{max(ratios):.2f}) | {statistics.median(kept[False]):.0f} | {statistics.median(kept[True]):.0f} |"
    )


def one_step(network: Any, optimizer: torch.optim.Optimizer, batch: FrameSet) -> tuple[float, float]:
    """CPU seconds of one training step, and MB that autograd keeps between forward and backward."""
    saved: dict[int, int] = {}

    def keep(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        return value

    started = time.process_time()
    optimizer.zero_grad()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        total = torch.stack(list(network.losses(network(batch), batch).values())).sum()
    total.backward()
    optimizer.step()
    return time.process_time() - started, sum(saved.values()) / 1e6


if __name__ == "__main__":
    auto_cli(host_step)
