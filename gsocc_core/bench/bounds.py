# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What the machine could do: the least time for the arithmetic and for writing the result."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from gsocc_core.bench.measure import cpu_ms, cuda_ms
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.splat.images.reference import count_pairs as count_pixel_pairs
from gsocc_core.splat.voxels.cpu import count_pairs as count_voxel_pairs


@dataclass(frozen=True)
class Machine:
    """Rates that were measured here, with the threads in use.

    Attributes:
        gflops: float32 arithmetic of a large matrix product, 1e9 operations per second.
        gbytes: Filling memory that no cache holds, 1e9 bytes per second.
    """

    gflops: float
    gbytes: float

    @classmethod
    def measure(cls, device: torch.device) -> Machine:
        """Measure with PyTorch; about half a second."""
        side = 1024 if device.type == "cpu" else 8192
        a, b = (torch.rand(side, side, device=device) for _ in range(2))
        out, block = torch.empty_like(a), torch.empty(64_000_000, device=device)
        clock = cpu_ms if device.type == "cpu" else cuda_ms
        product = clock(lambda: torch.mm(a, b, out=out), 5)
        fill = clock(lambda: block.fill_(time.thread_time()), 5)
        return cls(2e-6 * side**3 / product, 4e-6 * block.numel() / fill)

    def least_ms(self, flops: float, written_bytes: float) -> float:
        """The larger one of the two times, milliseconds: a bound, since both can at best overlap."""
        return max(flops / self.gflops, written_bytes / self.gbytes) * 1e-6


def voxel_pairs(gaussians: Gaussians, grid: VoxelGrid, cutoff: float = 3.0) -> int:
    """Number of (voxel, Gaussian) pairs whose voxel centre lies inside the Gaussian's ellipsoid: the work there is."""
    return count_voxel_pairs(gaussians.map(torch.Tensor.cpu), grid, cutoff)


def pixel_pairs(gaussians: Gaussians, cameras: Cameras) -> int:
    """Number of (pixel, Gaussian) pairs that the pictures are made of, with the operator's default limits."""
    return count_pixel_pairs(gaussians.map(torch.Tensor.cpu), cameras.to("cpu"), near=0.1, far=100.0)


def splat_flops(pairs: int, channels: int) -> float:
    """Operations that no exact splat can avoid: per pair one multiplication and addition per channel and the density.

    The weights themselves are not counted, so the bound is below what any program can reach.
    """
    return 2.0 * pairs * (channels + 1)


def written_bytes(grid: VoxelGrid, channels: int | None) -> float:
    """Bytes of the result: density and features as float32, or (None) a label and a float32 confidence."""
    x, y, z = grid.shape
    return float(x * y * z * (5 if channels is None else 4 * (channels + 1)))
