# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Voxel splatting on one CPU thread, side by side with a fixed-neighbourhood splat in plain PyTorch.

python benchmarks/splat_voxels.py [--gaussians 10000] [--repeats 5]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numba
import torch
from torch import Tensor

from gsocc_core import OCC3D_NUSCENES, Gaussians, VoxelField, VoxelGrid, splat_to_labels, splat_to_voxels
from gsocc_core.geometry.rigid import quat_to_rotmat

CHANNELS, NEIGHBOURHOOD, CHUNK = 18, 4, 1000


def random_scene(count: int) -> Gaussians:
    """Means uniform in the volume, standard deviations U(0.1, 1.5) m."""
    generator = torch.Generator().manual_seed(0)
    lower, upper = torch.tensor([-40.0, -40.0, -1.0]), torch.tensor([40.0, 40.0, 5.4])
    return Gaussians(
        lower + torch.rand(count, 3, generator=generator) * (upper - lower),
        0.1 + 1.4 * torch.rand(count, 3, generator=generator),
        torch.randn(count, 4, generator=generator),
        torch.rand(count, generator=generator),
        torch.randn(count, CHANNELS, generator=generator),
    )


def neighbourhood_splat(scene: Gaussians, grid: VoxelGrid) -> tuple[Tensor, Tensor]:
    """Every Gaussian visits the cube of +-4 voxels around it; sums by index_add. A published procedure, made linear."""
    shape = torch.tensor(grid.shape)
    steps = torch.arange(-NEIGHBOURHOOD, NEIGHBOURHOOD + 1)
    cube = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    lower, size = torch.tensor(grid.lower), torch.tensor(grid.size_m)
    A = quat_to_rotmat(scene.quats).transpose(-1, -2) / scene.scales[..., :, None]
    density = torch.zeros(int(shape.prod()))
    votes = torch.zeros(int(shape.prod()), CHANNELS)
    for part in torch.arange(len(scene)).split(CHUNK):
        cells = ((scene.means[part] - lower) / size).floor().long()[:, None] + cube
        inside = ((cells >= 0) & (cells < shape)).all(-1)
        offset = lower + (cells + 0.5) * size - scene.means[part, None]
        weight = torch.exp(-0.5 * torch.einsum("nij,nkj->nki", A[part], offset).square().sum(-1))
        weight = weight * scene.opacities[part, None]
        flat = ((cells[..., 0] * shape[1] + cells[..., 1]) * shape[2] + cells[..., 2])[inside]
        owner = part[:, None].expand(inside.shape)[inside]
        density.index_add_(0, flat, weight[inside])
        votes.index_add_(0, flat, weight[inside][:, None] * scene.features[owner])
    return density, votes


def cpu_ms(run: Callable[[], object], repeats: int) -> float:
    """Median milliseconds of thread CPU time, which other load on the machine does not change."""
    run()
    times = []
    for _ in range(repeats):
        start = time.thread_time()
        run()
        times.append(1e3 * (time.thread_time() - start))
    return sorted(times)[len(times) // 2]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gaussians", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    grid, scene = VoxelGrid.occ3d(), random_scene(options.gaussians)
    out = VoxelField(torch.empty(grid.shape), torch.empty(*grid.shape, CHANNELS), grid)
    leaf = scene.map(lambda t: t.clone().requires_grad_())

    def train() -> None:
        field = splat_to_voxels(leaf, grid)
        (field.density.mean() + field.features.mean()).backward()

    with torch.no_grad():
        base = cpu_ms(lambda: neighbourhood_splat(scene, grid), options.repeats)
        rows = {
            "fixed neighbourhood (+-4 voxels), index_add": base,
            "splat_to_voxels": cpu_ms(lambda: splat_to_voxels(scene, grid, out=out), options.repeats),
            "splat_to_labels": cpu_ms(
                lambda: splat_to_labels(scene, grid, OCC3D_NUSCENES, threshold=0.3), options.repeats
            ),
        }
    rows["splat_to_voxels, forward and backward"] = cpu_ms(train, options.repeats)
    print(f"{options.gaussians} Gaussians, {CHANNELS} channels, grid {grid.shape}, one thread\n")
    print("| | CPU ms | against the first row |\n|---|---|---|")
    for name, value in rows.items():
        print(f"| {name} | {value:.0f} | {base / value:.1f}x |")


if __name__ == "__main__":
    main()
