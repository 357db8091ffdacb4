# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Splatting against volume rendering of the same vertices: time, memory, and how right the depth is.

    python benchmarks/gaussianocc_renderers.py DATAROOT [--size '[180,320]'] [--samples '[50,100,200]']

The vertices are those of voxel labels: free where nothing is, else sure of their class. Depth is compared with the
tree's own depth of pictures, over pixels whose surface lies inside the grid. Both renderers draw all cameras of a key
frame; forward, and with the gradient of all logits.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jsonargparse import auto_cli
from torch import Tensor

from gsocc_core.bench.measure import cpu_ms, extra_memory_mb
from gsocc_core.data.args import DataArgs
from gsocc_core.data.build import build_dataset
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.contracted import ContractedGrid
from gsocc_core.geometry.frames import Targets
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.methods.gaussianocc_args import GaussianArgs, LossArgs, RenderArgs
from gsocc_core.methods.gaussianocc_losses import GaussianOccLosses
from gsocc_core.methods.gaussianocc_vertices import VertexGaussians

#: Logits of what is and of what is not.
_SURE = 6.0


def logits_of(labels: Tensor, contracted: ContractedGrid, grid: VoxelGrid, free_id: int, classes: int) -> Tensor:
    """(1, X, Y, Z, C) logits at vertices of the voxels that hold them; outside the grid everything is free."""
    index, inside = grid.index(contracted.centers)
    found = torch.where(inside, labels.long()[index.unbind(-1)], free_id)
    found = torch.where(found < classes, found, free_id)
    return ((torch.nn.functional.one_hot(found, classes).float() * 2 - 1) * _SURE)[None]


def abs_rel(depth_m: Tensor, targets: Targets, reach_m: float) -> float:
    """Mean relative error over pixels whose true depth is known and nearer than the grid's border."""
    assert targets.view_depth_m is not None
    truth = targets.view_depth_m[:, 0]
    used = (truth > 0) & (truth < reach_m)
    return float(((depth_m - truth).abs() / truth.clamp(min=0.1))[used].mean())


def run(
    dataroot: str,
    version: str = "v1.0-synthetic",
    size: tuple[int, int] = (180, 320),
    samples: tuple[int, ...] = (50, 100, 200),
    frame: int = 0,
    scale: float = 0.45,
    repeats: int = 3,
) -> None:
    """Measure.

    Args:
        dataroot: Tree with voxel labels and depth of pictures.
        version: Its tables.
        size: (height, width) of the renderings, pixels.
        samples: Samples per ray of the volume renderer.
        frame: Key frame.
        scale: Standard deviation of a Gaussian in voxel edges.
        repeats: Timed runs.
    """
    data = build_dataset(DataArgs(dataroot, version, views=1, view_size=size, semantics_dir=None), size)
    targets, protocol = data[frame].targets, data.protocol
    assert targets is not None
    assert targets.labels is not None
    assert targets.view_cameras is not None
    contracted, channels = ContractedGrid.around(protocol.grid), len(protocol.classes.names)
    shape = contracted.shape[0] // 4 * 4, contracted.shape[1] // 4 * 4, contracted.shape[2] // 4 * 4
    contracted = replace(contracted, shape=shape)
    logits = logits_of(targets.labels[0], contracted, protocol.grid, protocol.classes.free_id, channels)
    edge = protocol.grid.size_m[0]
    gaussians = GaussianArgs(scale_m=scale * edge, far_scales_m=())
    vertices = VertexGaussians(contracted, gaussians, protocol.classes.free_id)
    cameras: Cameras = targets.view_cameras.map(lambda t: t[:, 0])
    reach, cpu = protocol.grid.upper[0], torch.device("cpu")
    print(f"{logits[0, ..., 0].numel()} vertices, {cameras.intrinsics.shape[1]} x {size[0]} x {size[1]} pixels")
    print("| renderer | forward, CPU s | with gradient, CPU s | memory, MB | abs rel |\n|---|---|---|---|---|")
    ways = [("splat", RenderArgs(size=size, far_m=120.0))]
    ways += [(f"volume, {n} samples", RenderArgs(renderer="volume", size=size, samples=n)) for n in samples]
    for name, args in ways:
        objective = GaussianOccLosses(protocol.classes, vertices, args, LossArgs())

        def draw(objective: GaussianOccLosses = objective) -> Tensor:
            with torch.no_grad():
                return objective.view(logits, cameras).depth_m

        def learn(objective: GaussianOccLosses = objective) -> None:
            leaf = logits.clone().requires_grad_()
            view = objective.view(leaf, cameras)
            (view.depth_m.mean() + view.scores.mean()).backward()

        error = abs_rel(draw(), targets, reach)
        memory = extra_memory_mb(learn, cpu)
        times = cpu_ms(draw, repeats) / 1e3, cpu_ms(learn, repeats) / 1e3
        print(f"| {name} | {times[0]:.2f} | {times[1]:.2f} | {memory or 0:.0f} | {error:.3f} |", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    auto_cli(run)
