# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""GaussTR's way from Gaussians to labels, published procedure and ours side by side; one CPU thread.

OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/gausstr_voxels.py
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable

import torch
from published_splats import FREE, slice_loop
from torch import Tensor
from tqdm import tqdm

from gsocc_core import OCC3D_NUSCENES, Gaussians, VoxelField, VoxelGrid, classify_voxels, splat_to_voxels
from gsocc_core.bench.measure import cpu_ms

GAUSSIANS, THRESHOLD, FOCAL_PX = 1800, 0.04, 1266.0
#: Class of each of the 21 text prompts: terrain and man-made things have several, the sky stands for free space.
PROMPT_IDS = (*range(1, 12), 13, 14, 14, 15, 15, 15, 15, 15, 16, FREE)
GROUPS = sorted(set(PROMPT_IDS))
SIZES = ("0.05-0.3 m", "0.1-1.5 m", "GaussTR's own rule")


def scene_of(size: str, grid: VoxelGrid, seed: int) -> Gaussians:
    """Means uniform in the grid, any rotation, opacities U(0, 1), features = shares of 21 prompts."""
    g = torch.Generator().manual_seed(seed)
    lower, upper = torch.tensor(grid.lower), torch.tensor(grid.upper)
    means = lower + torch.rand(GAUSSIANS, 3, generator=g) * (upper - lower)
    if size == SIZES[2]:  # 7.5 to 120 pixels of a picture at a depth of 2 to 51.2 m
        depth = 2 * 25.6 ** torch.rand(GAUSSIANS, 1, generator=g)
        scales = (1 + 15 * torch.rand(GAUSSIANS, 3, generator=g)) * depth * 7.5 / FOCAL_PX
    else:
        low, high = (float(end) for end in size.removesuffix(" m").split("-"))
        scales = low + (high - low) * torch.rand(GAUSSIANS, 3, generator=g)
    features = (3 * torch.randn(GAUSSIANS, len(PROMPT_IDS), generator=g)).softmax(-1)
    return Gaussians(
        means, scales, torch.randn(GAUSSIANS, 4, generator=g), torch.rand(GAUSSIANS, generator=g), features
    )


def published_classes(density: Tensor, features: Tensor) -> Tensor:
    """Softmax, prompts that reach a share of 0.1 nowhere taken out, the largest prompt of each group, the largest."""
    probability = features.softmax(-1)
    absent = (100 * features).softmax(-1).flatten(0, -2).amax(0) < 0.1
    probability[..., absent] = 0.0
    prompts = torch.tensor(PROMPT_IDS)
    scores = torch.stack([probability[..., prompts == group].amax(-1) for group in GROUPS], dim=-1)
    labels = torch.tensor(GROUPS)[scores.argmax(-1)]
    labels[density <= THRESHOLD] = FREE
    return labels


def near_a_tie(scene: Gaussians, grid: VoxelGrid, density: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
    """Voxels whose membership in a box, and those whose label, float32 may decide either way."""
    lower, size = (torch.tensor(v, dtype=torch.float64) for v in (grid.lower, grid.size_m))
    exact = scene.map(torch.Tensor.double)
    half = 3 * exact.covariances().diagonal(dim1=-2, dim2=-1).sqrt()
    ends = (torch.stack([exact.means - half, exact.means + half], dim=1) - lower) / size  # (N, 2, 3)
    last = torch.tensor(grid.shape) - 1
    member = torch.zeros(grid.shape, dtype=torch.bool)
    for i, end, axis in ((ends - ends.round()).abs() < 1e-4).nonzero().tolist():
        reach = ends[i].floor().long().clamp(torch.zeros_like(last), last)
        block = [slice(a, b + 1) for a, b in reach.T.tolist()]
        face = round(ends[i, end, axis].item())
        block[axis] = slice(max(face - 1, 0), max(face + 1, 0))
        member[tuple(block)] = True
    prompts = torch.tensor(PROMPT_IDS)
    scores = torch.stack([features[..., prompts == group].amax(-1) for group in GROUPS], dim=-1)
    two = scores.topk(2, dim=-1).values
    close = (two[..., 0] - two[..., 1] < 1e-5) & (density > THRESHOLD - 2e-5)
    return member, member | close | ((density - THRESHOLD).abs() < 2e-5)


def row(size: str, repeats: int, seed: int) -> str:
    """One line of the table."""
    grid = VoxelGrid.occ3d()
    scene, classes = scene_of(size, grid, seed), OCC3D_NUSCENES.with_channels(PROMPT_IDS)
    # Zeros, not empty: the first touch of a page would count as time of the first call.
    theirs, ours = (
        VoxelField(torch.zeros(grid.shape), torch.zeros(*grid.shape, len(PROMPT_IDS)), grid) for _ in range(2)
    )
    calls: dict[str, Callable[[], object]] = {
        "published splat": lambda: slice_loop(scene, grid, theirs.density, theirs.features),
        "splat": lambda: splat_to_voxels(scene, grid, support="box_voxels", out=ours),
        "published classes": lambda: published_classes(theirs.density, theirs.features),
        "classes": lambda: classify_voxels(ours, classes, threshold=THRESHOLD),
    }
    with torch.no_grad():
        ms = {name: cpu_ms(call, repeats) for name, call in calls.items()}
        member, tie = near_a_tie(scene, grid, theirs.density, theirs.features)
        expected = published_classes(theirs.density, theirs.features)
        labels = classify_voxels(ours, classes, threshold=THRESHOLD).labels
    equal = (labels == expected)[~tie].double().mean().item()
    off = (ours.density - theirs.density)[~member].abs().max().item()
    splat = ms["published splat"] / ms["splat"]
    all_of_it = (ms["published splat"] + ms["published classes"]) / (ms["splat"] + ms["classes"])
    occupied = (expected != FREE).double().mean().item()
    return (
        f"| {size} | {ms['published splat']:.0f} | {ms['splat']:.1f} | {splat:.1f} | {ms['published classes']:.0f} "
        f"| {ms['classes']:.1f} | {all_of_it:.1f} | {math.floor(1e4 * equal) / 100:.2f} % ({int(tie.sum())}) "
        f"| {off:.1e} | {100 * occupied:.0f} % |"
    )


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row(size, options.repeats, options.seed) for size in tqdm(SIZES, file=sys.stderr)]
    head = (
        "sizes", "published splat, ms", "`splat_to_voxels`, ms", "ratio", "published class step, ms",
        "`classify_voxels`, ms", "ratio to labels", "labels equal (near a tie)", "density, largest difference",
        "occupied",
    )  # fmt: skip
    print("", f"| {' | '.join(head)} |", "|---" * len(head) + "|", *rows, sep="\n")


if __name__ == "__main__":
    main()
