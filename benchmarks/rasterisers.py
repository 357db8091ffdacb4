# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""gsplat's pictures on a GPU beside those of our CPU engine: how far apart, and how long each takes.

gsplat compiles itself with nvcc when it is first used.

    python benchmarks/rasterisers.py "[1800,10000]"
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from jsonargparse import auto_cli

from gsocc_core import VoxelGrid, splat_to_image
from gsocc_core.bench.measure import cpu_ms, cuda_ms
from gsocc_core.bench.scenes import random_scene, surround_cameras

CHANNELS = 22


@dataclass(frozen=True)
class Compared:
    """Six views of one scene.

    Attributes:
        gaussians: Number of Gaussians.
        views: Size of the pictures.
        gsplat_ms: On the GPU, milliseconds.
        ours_ms: Of one CPU thread, milliseconds.
        largest_difference: Between the features in both pictures, as a share of their largest value.
        first_s: The first call of gsplat, its compilation included, seconds.
    """

    gaussians: int
    views: str
    gsplat_ms: float
    ours_ms: float
    largest_difference: float
    first_s: float


def rasterisers(
    gaussians: tuple[int, ...] = (1800, 10_000), device: str = "cuda", tiny: bool = False
) -> list[Compared]:
    """Render and compare.

    Args:
        gaussians: Numbers of Gaussians of mixed sizes.
        device: Where the first of both runs; on a CPU it is our PyTorch reference instead.
        tiny: Pictures of 28 x 16 in place of 200 x 112.
    """
    size, rows = (28, 16) if tiny else (200, 112), []
    backend = "cuda" if device == "cuda" else "reference"
    cameras = surround_cameras(*size)
    there = cameras.to(device)
    for count in gaussians:
        scene = random_scene(count, "mixed", VoxelGrid.occ3d(), CHANNELS)
        moved = scene.to(device)
        with torch.no_grad():
            started = time.perf_counter()
            first = splat_to_image(moved, there, backend=backend).features.cpu()  # type: ignore[arg-type]
            first_s = time.perf_counter() - started
            ours = splat_to_image(scene, cameras, backend="cpu").features
            clock = cuda_ms if device == "cuda" else cpu_ms
            fast = clock(lambda m=moved: splat_to_image(m, there, backend=backend), 1 if tiny else 20)  # type: ignore[arg-type,misc]
            slow = cpu_ms(lambda s=scene: splat_to_image(s, cameras, backend="cpu"), 1 if tiny else 3)  # type: ignore[misc]
        difference = float((first - ours).abs().max() / ours.abs().max())
        rows.append(Compared(count, f"6 x {size[1]} x {size[0]}", fast, slow, difference, first_s))
    return rows


if __name__ == "__main__":
    for row in auto_cli(rasterisers):
        print(row)
