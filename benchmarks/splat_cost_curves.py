# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Draw how the cost of splatting to voxels grows with Gaussians, their size, classes and the grid; one CPU thread.

python benchmarks/splat_cost_curves.py docs/images/splat_cost.png
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import matplotlib as mpl
import torch
from tqdm import tqdm

from gsocc_core import ClassTable, Gaussians, SemanticGrid, VoxelField, VoxelGrid, splat_to_labels, splat_to_voxels
from gsocc_core.bench.measure import cpu_ms
from gsocc_core.bench.scenes import random_scene

mpl.use("Agg")
from matplotlib import pyplot as plt


def grid_of(voxel_size_m: float) -> VoxelGrid:
    """Occ3D's volume in other voxels."""
    return VoxelGrid((-40.0, -40.0, -1.0), (40.0, 40.0, 5.4), voxel_size_m)


def costs(scene: Gaussians, grid: VoxelGrid) -> tuple[float, float]:
    """Milliseconds of the volume and of labels only."""
    channels = scene.features.shape[-1]
    field = VoxelField(torch.zeros(grid.shape), torch.zeros(*grid.shape, channels), grid)
    names = (*(f"class {k}" for k in range(channels)), "free")
    classes = ClassTable(names, tuple((0, 0, 0) for _ in names), channels, channel_to_id=tuple(range(channels)))
    labels = SemanticGrid(torch.zeros(grid.shape, dtype=torch.uint8), grid, classes, torch.zeros(grid.shape))
    with torch.no_grad():
        volume = cpu_ms(lambda: splat_to_voxels(scene, grid, out=field), 3)
    return volume, cpu_ms(lambda: splat_to_labels(scene, grid, classes, threshold=0.3, out=labels), 3)


def main() -> None:
    """Measure and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", help="picture to write")
    options = parser.parse_args()
    torch.set_num_threads(1)
    usual = grid_of(0.4)

    def sized(sigma_m: float) -> Gaussians:
        scene = random_scene(10_000, "mixed", usual)
        return scene.replace(scales=torch.full_like(scene.scales, sigma_m))

    counts, sizes, channels = (
        (300, 1000, 3000, 10_000, 30_000, 100_000),
        (0.1, 0.2, 0.4, 0.8, 1.5, 3.0),
        (1, 7, 18, 64, 128),
    )
    voxels = (0.8, 0.4, 0.2)
    panels: list[tuple[str, Sequence[float], list[tuple[Gaussians, VoxelGrid]]]] = [
        ("Gaussians", counts, [(random_scene(n, "mixed", usual), usual) for n in counts]),
        ("standard deviation of 10,000 Gaussians, m", sizes, [(sized(s), usual) for s in sizes]),
        ("feature channels", channels, [(random_scene(10_000, "mixed", usual, c), usual) for c in channels]),
        ("voxels, millions", [torch.tensor(grid_of(v).shape).prod().item() / 1e6 for v in voxels],
         [(random_scene(10_000, "mixed", usual), grid_of(v)) for v in voxels]),
    ]  # fmt: skip
    costs(panels[0][2][0][0], usual)
    figure, axes = plt.subplots(1, 4, figsize=(15, 3.4), constrained_layout=True)
    with tqdm(total=sum(len(p[2]) for p in panels), file=sys.stderr) as progress:
        for axis, (label, x, cases) in zip(axes, panels):
            measured = []
            for case in cases:
                measured.append(costs(*case))
                progress.update()
            for k, name in enumerate(("density and features", "labels only")):
                axis.loglog(x, [m[k] for m in measured], marker="o", label=name)
            axis.set_xlabel(label)
            axis.grid(visible=True, which="both", alpha=0.3)
    axes[0].set_ylabel("CPU time of one thread, ms")
    axes[0].legend()
    figure.suptitle("splat_to_voxels on 200 x 200 x 16 voxels, 18 channels, 10,000 Gaussians of 0.1-1.5 m, one varied")
    figure.savefig(options.out, dpi=90)


if __name__ == "__main__":
    main()
