# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Count the memory of one training step at a configuration's full size, without a GPU.

Adds up what PyTorch has to keep: weights, gradients, optimiser state, averaged weights, and every tensor that autograd
saves between forward and backward (each once). With --network_only false the step runs on the CPU with random pictures
and labels, losses included. What CUDA adds on top (context, workspaces, the rasteriser's tile lists, fragmentation) is
not in it.

    python benchmarks/training_memory.py config/train/nuscenes_gaussianflowocc.yaml --batch 1
"""

from __future__ import annotations

from jsonargparse import auto_cli

from gsocc_core.bench.configurations import Configuration
from gsocc_core.bench.training_step import count_memory


def training_memory(
    configuration: str,
    batch: int | None = 1,
    views: int | None = None,
    history: int | None = None,
    network_only: bool = True,
    seen_share: float = 1.0,
) -> None:
    """Print the parts of the memory of one step, MB.

    Args:
        configuration: Configuration of ``gsocc_core train``.
        batch: Samples per process; null = as configured.
        views: Supervised key frames; null = as configured. What autograd keeps grows linearly with them.
        history: Earlier key frames; null = as configured. They run without gradient and cost time, not memory.
        network_only: Leave out the losses, and compute nothing: sizes alone follow from the network.
        seen_share: Then: share of all points that the picture shows which sees most; 1 = a bound.
    """
    found = count_memory(Configuration.read(configuration), batch, views, history, network_only, seen_share)
    rows = {
        "weights, gradients, two moments of AdamW, averaged weights": found.state,
        "pictures, cameras and labels": found.inputs,
        "kept by autograd between forward and backward": found.kept,
        "the largest part that is computed again in the backward pass": found.again,
        "sum": found.peak,
    }
    print(f"{configuration}: {found.parameters / 1e6:.1f} M parameters")
    print("| part | MB |\n|---|---|")
    for name, size in rows.items():
        print(f"| {name} | {size / 1e6:,.0f} |")


if __name__ == "__main__":
    auto_cli(training_memory)
