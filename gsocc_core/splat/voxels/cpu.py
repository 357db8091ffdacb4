# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Gaussians to voxels on the CPU: float32, all cores, the same result whatever their number."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.splat.options import Composition, Support
from gsocc_core.splat.shapes import VoxelScenes, scenes_in_grid, squared_cover, squared_reach
from gsocc_core.splat.simd import LANES
from gsocc_core.splat.threads import balanced_order, parallel_kernels
from gsocc_core.splat.voxels import gradient_kernels, kernels

#: Shares per thread of the backward pass: enough to even out what the cost estimate misses.
SHARES_PER_THREAD = 8


def as_float32(value: Tensor) -> np.ndarray:
    """A tensor's numbers as a gapless float32 array, without a copy where possible."""
    return np.ascontiguousarray(value.detach().numpy(), dtype=np.float32)


class _Arrays:
    """One scene as the kernels want it; see :mod:`gsocc_core.splat.voxels.kernels` for the meaning of the arrays."""

    def __init__(
        self,
        scene: VoxelScenes,
        grid: VoxelGrid,
        composition: Composition,
        cutoff: float,
        support: Support,
    ) -> None:
        self.size, self.shape = np.asarray(grid.size_m), np.asarray(grid.shape)
        self.whitening = as_float32(scene.whitening)
        self.centers, self.forms, self.boxes, self.starts, self.entries = kernels.prepare(
            as_float32(scene.means), self.whitening, as_float32(scene.half_extents), np.asarray(grid.lower), self.size,
            self.shape, get_args(Support).index(support),
        )  # fmt: skip
        self.limit, self.cover = squared_reach(float(cutoff), support), squared_cover(float(cutoff), support)
        self.composition = composition
        self.features = as_float32(scene.features)
        count, self.channels = self.features.shape
        opacity = as_float32(scene.opacities)
        used = self.channels + (2 if self.counted else 1)
        self.rows = np.zeros((count, -(-used // LANES) * LANES), np.float32)
        self.rows[:, : self.channels] = self.features
        self.amplitudes = opacity
        if self.counted:
            self.rows[:, : self.channels] *= opacity[:, None]
            self.rows[:, self.channels + 1] = 1.0
        elif self.normalise:  # density is one more channel: weight o phi times 1, or (sum_unweighted) phi times o
            self.rows[:, self.channels] = 1.0
        else:
            self.rows[:, self.channels] = opacity
            self.amplitudes = np.ones_like(opacity)

    @property
    def counted(self) -> bool:
        """Sums are divided by the number of Gaussians that cover a voxel."""
        return self.composition == "mean"

    @property
    def normalise(self) -> bool:
        """Features are divided by the density."""
        return self.composition in {"sum", "hazard"}

    def tiles(self, threads: int) -> tuple[np.ndarray | float, ...]:
        """Leading arguments of the kernels that work tile by tile."""
        order = balanced_order(np.diff(self.starts), threads)
        return (
            order, self.centers, self.forms, self.boxes, self.starts, self.entries, self.amplitudes, self.rows,
            self.limit, self.cover, self.counted,
        )  # fmt: skip

    def splat(self, density: np.ndarray, features: np.ndarray, divisors: np.ndarray) -> None:
        """Fill density (X, Y, Z), features (X, Y, Z, C) and, for ``mean``, what both were divided by, unless empty."""
        with parallel_kernels() as threads:
            kernels.splat_tiles(*self.tiles(threads), self.normalise, density, features, divisors)

    def shares(self, threads: int) -> tuple[np.ndarray, np.ndarray]:
        """Gaussians in the order of their first column, and cuts into consecutive shares of about equal cost."""
        order = np.lexsort((self.boxes[:, 2], self.boxes[:, 0] // kernels.TILE))
        extent = self.boxes[order].astype(np.int64)
        cost = 1 + (extent[:, 1] - extent[:, 0] + 1) * (extent[:, 3] - extent[:, 2] + 1)
        total = np.cumsum(cost)
        targets = np.linspace(0, total[-1] if len(total) else 0, threads * SHARES_PER_THREAD + 1)[1:-1]
        return order, np.concatenate([[0], np.searchsorted(total, targets), [len(order)]])

    def gradients(
        self,
        density: np.ndarray,
        features: np.ndarray,
        divisors: np.ndarray,
        by_density: np.ndarray,
        by_features: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Gradients of means, whitening, opacities and features, given what :meth:`splat` wrote and its gradients."""
        count, width = self.rows.shape
        grads, rows = np.empty((density.size, width), np.float32), self.rows
        if self.counted:
            by_density, by_features = by_density / divisors, by_features / divisors[..., None]
            rows = np.zeros_like(rows)
            rows[:, self.channels] = 1.0  # what a voxel's distance changes is the density alone
        g_means, g_whitening = np.zeros((count, 3), np.float32), np.zeros((count, 3, 3), np.float32)
        g_amplitudes, g_rows = np.zeros(count, np.float32), np.zeros((count, width), np.float32)
        with parallel_kernels() as threads:
            shares = self.shares(threads)
            of_voxels = density.size, self.channels
            gradient_kernels.gradient_rows(
                density.ravel(), features.reshape(of_voxels), by_density.ravel(), by_features.reshape(of_voxels),
                self.normalise, grads,
            )  # fmt: skip
            gradient_kernels.gather_gradients(
                *shares, self.centers, self.forms, self.boxes, self.whitening, self.size, self.shape, self.amplitudes,
                rows, self.limit, grads, g_means, g_whitening, g_amplitudes, g_rows,
            )  # fmt: skip
            if self.counted:
                g_rows[:] = 0.0
                gradient_kernels.gather_covered(
                    *shares, self.centers, self.forms, self.boxes, self.shape, self.cover, grads, g_rows
                )
        g_features = g_rows[:, : self.channels]
        if self.counted:  # the rows are features times opacity
            g_opacities = g_amplitudes + (g_features * self.features).sum(1)
            return g_means, g_whitening, g_opacities, g_features * self.amplitudes[:, None]
        return g_means, g_whitening, g_amplitudes if self.normalise else g_rows[:, self.channels], g_features


class _SplatToVoxels(torch.autograd.Function):
    """density, features = f(means, whitening, opacities, features) of B scenes."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> tuple[Tensor, Tensor]:
        """Splat; the five tensors of the scenes, then the other arguments of :func:`voxels_cpu` without ``out``."""
        scenes = VoxelScenes(*args[:5])
        count, _, channels = scenes.features.shape
        shape = (count, *args[5].shape)
        density, features = np.empty(shape, np.float32), np.empty((*shape, channels), np.float32)
        ctx.arrays = [_Arrays(scenes.scene(b), *args[5:]) for b in range(count)]
        ctx.divisors = []
        for b, arrays in enumerate(ctx.arrays):
            ctx.divisors.append(np.empty(shape[1:] if arrays.counted else (0, 0, 0), np.float32))
            arrays.splat(density[b], features[b], ctx.divisors[b])
        result = torch.from_numpy(density), torch.from_numpy(features)
        ctx.save_for_backward(*result)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Turn gradients of density and features into those of the tensor arguments."""
        fields = [*(value.numpy() for value in ctx.saved_tensors), ctx.divisors, *(as_float32(grad) for grad in grads)]
        scenes = [arrays.gradients(*(f[b] for f in fields)) for b, arrays in enumerate(ctx.arrays)]
        if not scenes:
            return (None,) * 9
        means, whitening, opacities, features = (torch.from_numpy(np.stack(parts)) for parts in zip(*scenes))
        return means, whitening, None, opacities, features, None, None, None, None


def voxels_cpu(
    scenes: VoxelScenes,
    grid: VoxelGrid,
    composition: Composition,
    cutoff: float,
    support: Support,
    out: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Splat B scenes.

    Args:
        scenes: float32 tensors on the CPU.
        grid: The grid.
        composition: See :func:`gsocc_core.splat_to_voxels`.
        cutoff: Standard deviations.
        support: See :func:`gsocc_core.splat_to_voxels`.
        out: Buffers like the result, which receive it without gradients.

    Returns:
        density (B, X, Y, Z) and features (B, X, Y, Z, C).
    """
    if out is None:
        density, features = _SplatToVoxels.apply(*scenes, grid, composition, cutoff, support)
        return density, features
    unwanted = np.empty((0, 0, 0), np.float32)
    for b, (density, features) in enumerate(zip(*out)):
        _Arrays(scenes.scene(b), grid, composition, cutoff, support).splat(density.numpy(), features.numpy(), unwanted)
    return out


def labels_cpu(
    scene: VoxelScenes,
    grid: VoxelGrid,
    composition: Composition,
    cutoff: float,
    support: Support,
    threshold: float,
    classes: ClassTable,
    labels: Tensor,
    confidence: Tensor,
) -> None:
    """Fill labels (X, Y, Z) uint8 and confidence (X, Y, Z) of one scene; see :func:`gsocc_core.splat_to_labels`."""
    arrays = _Arrays(scene, grid, composition, cutoff, support)
    ids = np.asarray(classes.channel_ids, np.uint8)
    with parallel_kernels() as threads:
        kernels.label_tiles(
            *arrays.tiles(threads), composition == "hazard", float(threshold), ids, classes.free_id, labels.numpy(),
            confidence.numpy(),
        )  # fmt: skip


def count_pairs(gaussians: Gaussians, grid: VoxelGrid, cutoff: float) -> int:
    """Number of (voxel, Gaussian) pairs whose voxel centre lies inside the Gaussian's ellipsoid.

    Args:
        gaussians: (..., N) Gaussians on the CPU.
        grid: The grid.
        cutoff: Standard deviations.

    Returns:
        The sum over all scenes.
    """
    scenes = scenes_in_grid(gaussians.map(torch.detach).to(torch.float32), grid, cutoff)
    arrays = (_Arrays(scenes.scene(b), grid, "sum", cutoff, "ellipsoid") for b in range(len(scenes.means)))
    return sum(int(kernels.count_voxels(a.centers, a.forms, a.boxes, a.limit)) for a in arrays)
