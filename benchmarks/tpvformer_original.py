# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Time and memory of one forward pass of the published TPVFormer at its own picture size, with random weights.

OMP_NUM_THREADS=2 python benchmarks/tpvformer_original.py
"""

from __future__ import annotations

import math
import resource
import time

import torch

from gsocc_core import OCC3D_NUSCENES, Cameras, FrameSet
from gsocc_core.importers.tpvformer import OCC3D
from gsocc_core.methods.build import build_method


def surround(headings_deg: tuple[float, ...], width: int, height: int) -> Cameras:
    """(1, 1, V) cameras 1.5 m above the ground that look in the given directions."""
    poses = []
    for degrees in headings_deg:
        angle, T = math.radians(degrees), torch.eye(4)
        T[:3, 2] = torch.tensor([math.cos(angle), math.sin(angle), 0.0])
        T[:3, 1] = torch.tensor([0.0, 0.0, -1.0])
        T[:3, 0] = torch.linalg.cross(T[:3, 1], T[:3, 2])
        T[2, 3] = 1.5
        poses.append(T)
    K = torch.tensor([[0.79 * width, 0, width / 2], [0, 0.79 * width, height / 2], [0, 0, 1.0]])
    return Cameras(K.expand(1, 1, len(poses), 3, 3), torch.stack(poses)[None, None], width, height)


def main() -> None:
    """Build, run once and print."""
    method = build_method("tpvformer", OCC3D.arguments, OCC3D_NUSCENES, pretrained=False).eval()
    height, width = method.image_size
    cameras = surround(OCC3D.arguments["network"]["original"]["camera_headings_deg"], width, height)
    views = cameras.intrinsics.shape[2]
    frames = FrameSet(
        torch.randint(0, 256, (1, 1, views, 3, height, width), dtype=torch.uint8), cameras,
        tuple(f"camera_{i}" for i in range(views)), torch.zeros(1, 1, views, dtype=torch.int64),
        torch.zeros(1, 1, dtype=torch.int64), torch.eye(4).expand(1, 1, 4, 4),
        torch.ones(1, 1, views, dtype=torch.bool), torch.ones(1, 1, dtype=torch.bool),
    )  # fmt: skip
    wall, cpu = time.perf_counter(), time.process_time()
    with torch.no_grad():
        output = method(frames)
        labels = method.occupancy(output).labels
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{tuple(labels.shape)}: {wall:.0f} s, {cpu:.0f} CPU seconds on {torch.get_num_threads()} threads")
    print(f"peak memory {peak:.1f} GiB")


if __name__ == "__main__":
    main()
