# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What a modulated deformable convolution costs beside one ``grid_sample`` of its nine taps, on one thread.

Maps are those of TPVFormer's last two stages for one picture of 896 x 1600. Runs take turns; the smallest counts.

    python benchmarks/deformable_conv.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from gsocc_core.networks.deformable_conv import ModulatedDeformableConv

#: Channels, rows and columns of a stage's 3 x 3 convolutions, and how many blocks it has.
STAGES = {"third": (256, 56, 100, 23), "fourth": (512, 28, 50, 3)}
RUNS = 7


def seconds(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Smallest CPU time of each call."""
    best = dict.fromkeys(calls, float("inf"))
    for run in range(RUNS + 1):
        for name, call in calls.items():
            start = time.process_time()
            call()
            if run:  # the first one warms up
                best[name] = min(best[name], time.process_time() - start)
    return best


@torch.no_grad()
def measure(channels: int, rows: int, columns: int) -> dict[str, float]:
    """Seconds of a stage's convolution, of its nine taps' samples, and of a plain convolution."""
    torch.manual_seed(0)
    layer, plain = ModulatedDeformableConv(channels, channels), nn.Conv2d(channels, channels, 3, padding=1, bias=False)
    nn.init.normal_(layer.offsets.weight, std=0.02)
    x = torch.randn(1, channels, rows, columns)
    y, z = torch.meshgrid(torch.arange(9 * rows) % rows, torch.arange(columns), indexing="ij")
    places = torch.stack([(z + 0.5) * 2 / columns - 1, (y + 0.5) * 2 / rows - 1], dim=-1)[None]
    places = places + torch.randn_like(places) / torch.tensor([columns, rows])
    calls: dict[str, Callable[[], object]] = {
        "deformable": lambda: layer(x),
        "samples": lambda: functional.grid_sample(x, places, align_corners=False),
        "plain": lambda: plain(x),
    }
    return seconds(calls)


def main() -> None:
    """Print a table."""
    torch.set_num_threads(1)
    print("| stage | deformable (ms) | grid_sample of nine taps (ms) | ratio | plain convolution (ms) |")
    print("|---|---:|---:|---:|---:|")
    total = {"deformable": 0.0, "samples": 0.0}
    for name, (channels, rows, columns, blocks) in STAGES.items():
        took = measure(channels, rows, columns)
        for key in total:
            total[key] += blocks * took[key]
        ratio = took["deformable"] / took["samples"]
        cells = " | ".join(f"{1e3 * took[key]:.0f}" for key in ("deformable", "samples"))
        print(f"| {name} | {cells} | {ratio:.2f} | {1e3 * took['plain']:.0f} |")
    print(f"| all 26 | | | {total['deformable'] / total['samples']:.2f} | |")


if __name__ == "__main__":
    main()
