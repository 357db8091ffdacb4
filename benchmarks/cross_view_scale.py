# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Where the loss between cameras lets depth settle: its value and slope at true depth times one factor.

    python benchmarks/cross_view_scale.py DATAROOT [--frames 4] [--size '[48,88]'] [--erosion_px 1] [--ssim 0.85]

Depth is that of the tree's own labels of pictures; what they leave open, the sky, is at 78 m. The slope is that along
the logarithm of the factor, as a training sees it: which pixels are compared does not follow the step.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from jsonargparse import auto_cli
from torch.nn import functional

from gsocc_core.data.args import DataArgs
from gsocc_core.data.build import build_dataset
from gsocc_core.losses.cross_view import CrossViewArgs, at_size, cross_view_loss
from gsocc_core.losses.rig_overlap import OverlapArgs, RigOverlaps

FACTORS = (0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.4, 2.0)
SKY_M = 78.0


def run(
    dataroot: str,
    version: str = "v1.0-synthetic",
    frames: int = 4,
    size: tuple[int, int] = (48, 88),
    depth_dir: str = "metric_3d_nusc",
    holes: Literal["filled", "counted"] = "filled",
    erosion_px: int = 1,
    ssim: float = 0.85,
) -> None:
    """Print a table, and where the slope changes its sign.

    Args:
        dataroot: A tree in nuScenes layout with depth of pictures.
        version: Name of the tables' folder.
        frames: Key frames, evenly spread.
        size: Height,width of masks, Gaussians and renderings, pixels.
        depth_dir: Folder of the depth.
        holes: See CrossViewArgs.
        erosion_px: Likewise.
        ssim: Likewise.
    """
    data = DataArgs(
        dataroot, version, occ3d_dir=None, semantics_dir=None, depth_dir=depth_dir, views=1, view_images=True,
        view_size=(2 * size[0], 2 * size[1]), max_view_depth_m=1e3,
    )  # fmt: skip
    dataset, overlaps = build_dataset(data, data.view_size), RigOverlaps(OverlapArgs(80.0, 80))
    args = CrossViewArgs(far_m=160.0, holes=holes, erosion_px=erosion_px, ssim=ssim)
    rows: dict[float, list[tuple[float, float]]] = {factor: [] for factor in FACTORS}
    for index in np.linspace(3, len(dataset) - 4, frames).round().astype(int):
        targets = dataset[int(index)].targets
        if targets is None or targets.view_images is None or targets.view_depth_m is None:
            raise SystemExit(f"{dataroot}: expected depth of pictures in {depth_dir}")
        metres = torch.where(targets.view_depth_m > 0, targets.view_depth_m, SKY_M)[:, 0]
        depth_m = 1 / functional.interpolate(1 / metres, size, mode="area")
        _, pictures, _ = at_size(depth_m, targets.view_images[:, 0].float() / 255, None, size)
        assert targets.view_cameras is not None
        assert targets.view_valid is not None
        cameras = targets.view_cameras.map(lambda t: t[:, 0]).resized(size[1], size[0])
        for factor in FACTORS:
            scale = torch.tensor(math.log(factor), requires_grad=True)
            valid = targets.view_valid[:, 0]
            loss = cross_view_loss(depth_m * scale.exp(), pictures, cameras, valid, overlaps(cameras), None, args)
            (slope,) = torch.autograd.grad(loss, scale)
            rows[factor].append((loss.item(), slope.item()))
    print("| factor | loss | slope |\n|---|---|---|")
    means = {factor: np.mean(values, 0) for factor, values in rows.items()}
    for factor, (loss_mean, slope_mean) in means.items():
        print(f"| {factor:g} | {loss_mean:.4f} | {slope_mean:+.4f} |")
    for a, b in pairwise(FACTORS):
        low, high = means[a][1], means[b][1]
        if low < 0 <= high:
            print(f"depth settles at {a * (b / a) ** (-low / (high - low)):.2f} times the truth")


if __name__ == "__main__":
    torch.set_num_threads(1)
    auto_cli(run)
