# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What GaussRenderLoss costs per training step on one CPU thread, and how true its pictures are.

``cost``: seconds (CPU time of the process, so that other work on the machine counts little) and memory (growth of the
peak resident set over the inputs, one fresh process per case) of forward and backward on a synthetic street.
``pictures``: pictures of Gaussians against rays that are marched through the voxels themselves, per standard deviation.

Run: ``python benchmarks/gaussrender_cost.py cost`` and ``python benchmarks/gaussrender_cost.py pictures``
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

os.environ["NUMBA_NUM_THREADS"] = "1"  # before numba is imported

import numpy as np
import torch
from jsonargparse import auto_cli
from torch import Tensor
from torch.nn import functional

from gsocc_core import OCC3D_NUSCENES, Cameras, VoxelGrid
from gsocc_core.geometry.virtual_cameras import top_down_camera
from gsocc_core.losses.gaussrender import GaussRenderLoss
from gsocc_core.metrics.confusion import VoxelConfusion
from gsocc_core.metrics.image_metrics import render_labels
from gsocc_core.synthetic.sensors.rig import make_rig
from gsocc_core.synthetic.world.street import build_street
from gsocc_core.synthetic.write.occupancy import SurfaceMemory

Stage = Literal["untrained", "trained"]

GRIDS = {
    "200x200x16": VoxelGrid.occ3d(),
    "100x100x8": VoxelGrid((-40.0, -40.0, -1.0), (40.0, 40.0, 5.4), 0.8),
}
FREE = OCC3D_NUSCENES.free_id
VIEWS: dict[str, int | None] = {"one camera + above": 1, "six cameras + above": None}


def street_labels(grid: VoxelGrid, seed: int = 3, t_s: float = 8.0) -> Tensor:
    """(1, X, Y, Z) labels of all surfaces around the car in a synthetic street."""
    scene = build_street(seed, 20.0)
    pose = scene.T_world_ego(t_s)
    memory = SurfaceMemory(scene, pose[None], grid)
    memory.seen[:] = 1
    return torch.from_numpy(memory.labels(pose, t_s))[None]


def rig() -> Cameras:
    """(1, 6) cameras of 1600 x 900."""
    return Cameras.stack(make_rig(np.random.default_rng(0)).cameras).map(lambda t: t[None])


def predicted_logits(labels: Tensor, stage: Stage) -> Tensor:
    """Logits of a network at the start (all voxels half occupied fog), or of one that errs by a voxel now and then."""
    g = torch.Generator().manual_seed(0)
    noise = torch.randn((*labels.shape, FREE + 1), generator=g)
    if stage == "untrained":
        return 0.1 * noise
    shifted = torch.where(torch.rand(labels.shape, generator=g) < 0.7, labels, labels.roll(1, 1))
    return 8 * functional.one_hot(shifted.long(), FREE + 1).float() + noise


def one_case(grid_name: str, views: str, stage: Stage, max_gaussians: int | None = None, repeats: int = 3) -> None:
    """Measure one case in this process and print it as JSON."""
    torch.set_num_threads(1)
    grid, cameras = GRIDS[grid_name], rig()
    labels = street_labels(grid)
    leaf = predicted_logits(labels, stage).requires_grad_()
    loss = GaussRenderLoss(cameras_per_step=VIEWS[views], max_gaussians=max_gaussians)
    tiny = VoxelGrid((-2.0, -2.0, -1.0), (2.0, 2.0, 1.0), 1.0)  # loads the kernels before memory is looked at
    small = torch.zeros(1, *tiny.shape, FREE + 1, requires_grad=True)
    ones = torch.ones((1, *tiny.shape), dtype=torch.uint8)
    torch.stack(list(loss(small, None, ones, tiny, cameras, FREE).values())).sum().backward()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the peak so far
    before_mb = _resident_mb("VmRSS")
    forward, backward = [], []
    for repeat in range(repeats):
        leaf.grad = None
        torch.manual_seed(repeat)
        start = time.process_time()
        objective = torch.stack(list(loss(leaf, None, labels, grid, cameras, FREE).values())).sum()
        middle = time.process_time()
        objective.backward()
        forward.append(middle - start)
        backward.append(time.process_time() - middle)
    memory = _resident_mb("VmHWM") - before_mb
    result = {"forward_s": np.median(forward), "backward_s": np.median(backward), "memory_mb": memory}
    sys.stdout.write(json.dumps(result) + "\n")


def _resident_mb(key: str) -> float:
    """VmRSS (now) or VmHWM (peak) of this process, MB; Linux only."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024


def cost(repeats: int = 3, max_gaussians: int | None = None) -> None:
    """Time and memory per step at 400 x 225 pixels, one fresh process per case.

    Args:
        repeats: Steps per case; the median counts.
        max_gaussians: Argument of the loss.
    """
    print("| grid | views | prediction | forward (CPU s) | backward (CPU s) | step (CPU s) | memory (MB) |")
    print("|---|---|---|---:|---:|---:|---:|")
    for grid_name in GRIDS:
        for views in VIEWS:
            for stage in ("trained", "untrained"):
                limit = "null" if max_gaussians is None else str(max_gaussians)
                words = [grid_name, views, stage, "--max_gaussians", limit, "--repeats", str(repeats)]
                command = [sys.executable, __file__, "one_case", *words]
                done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
                r = json.loads(done.stdout)
                f, b = r["forward_s"], r["backward_s"]
                print(
                    f"| {grid_name} | {views} | {stage} | {f:.2f} | {b:.2f} | {f + b:.2f} | {r['memory_mb']:.0f} |",
                    flush=True,
                )


def march(labels: Tensor, grid: VoxelGrid, cameras: Cameras, near_m: float, far_m: float) -> tuple[Tensor, Tensor]:
    """Class and depth of the first occupied voxel along the ray of every pixel, in steps of 5 cm."""
    origins, directions = (t.reshape(-1, 3) for t in cameras.rays())
    found = torch.full((len(origins),), FREE, dtype=torch.uint8)
    depth, on_the_way = torch.zeros(len(origins)), torch.arange(len(origins))
    for s in torch.arange(near_m, far_m, 0.05):
        index, inside = grid.index(origins[on_the_way] + s * directions[on_the_way])
        here = torch.where(inside, labels[0][index.unbind(-1)], FREE)
        hit = here != FREE
        found[on_the_way[hit]], depth[on_the_way[hit]] = here[hit], s
        on_the_way = on_the_way[~hit]
    return found, depth


def pictures(
    seeds: tuple[int, ...] = (3, 4, 5), scales: tuple[float, ...] = (0.3, 0.35, 0.4, 0.45, 0.5, 0.675)
) -> None:
    """Agreement of rendered with ray-marched pictures of the same voxels.

    Args:
        seeds: Streets.
        scales: Standard deviations in voxel edges.
    """
    torch.set_num_threads(1)
    grid = GRIDS["200x200x16"]
    above = top_down_camera(grid, 200, 200).map(lambda t: t[None])
    kinds = {"cameras": (rig().resized(200, 112), 0.1, 60.0), "above": (above, 79.0, 87.0)}
    counts = {(kind, s): VoxelConfusion(OCC3D_NUSCENES, "none") for kind in kinds for s in scales}
    errors: dict[tuple[str, float], list[float]] = {key: [] for key in counts}
    for seed in seeds:
        labels = street_labels(grid, seed)
        for kind, (cameras, near_m, far_m) in kinds.items():
            truth, depth = march(labels, grid, cameras, near_m, far_m)
            for s in scales:
                got = render_labels(labels, grid, OCC3D_NUSCENES, cameras, s)
                counts[kind, s].update(truth.numpy(), got.labels.flatten().numpy())
                errors[kind, s].append((got.depth_m.flatten() - depth).abs()[depth > 0].mean().item())
    print("| standard deviation (edges) | cameras: mIoU | IoU | depth L1 (m) | above: mIoU | IoU | depth L1 (m) |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    for s in scales:
        cells = []
        for kind in kinds:
            scores = counts[kind, s].scores()
            cells += [f"{100 * scores.miou:.1f}", f"{100 * scores.iou:.1f}", f"{np.mean(errors[kind, s]):.2f}"]
        print(f"| {s} | {' | '.join(cells)} |")


if __name__ == "__main__":
    auto_cli([cost, pictures, one_case], as_positional=True)
