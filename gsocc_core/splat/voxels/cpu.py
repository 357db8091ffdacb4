# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Gaussians to voxels on the CPU: float32, all cores, the same result whatever their number."""

from __future__ import annotations

from dataclasses import dataclass
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
from gsocc_core.splat.voxels import gradient_kernels, kernels, sum_kernels, volume_kernels

#: Shares per thread of what goes Gaussian by Gaussian: enough to even out what the cost estimate misses.
SHARES_PER_THREAD = 8
#: Pairs of tile and Gaussian whose gradients are held at once, unless one tile has more.
HELD_ENTRIES = 65_536


def as_float32(value: Tensor) -> np.ndarray:
    """A tensor's numbers as a gapless float32 array, without a copy where possible."""
    return np.ascontiguousarray(value.detach().numpy(), dtype=np.float32)


@dataclass(frozen=True)
class _Wanted:
    """What is asked of the voxels of one scene, and where their features lie.

    Attributes:
        voxels: (X, Y, Z) uint8, see :mod:`gsocc_core.splat.voxels.kernels`; empty = features of every voxel.
        firsts: (X * Y + 1,) first row of every column's features.
    """

    voxels: np.ndarray
    firsts: np.ndarray

    @classmethod
    def everything(cls, shape: tuple[int, int, int]) -> _Wanted:
        """Features of every voxel."""
        columns = shape[0] * shape[1]
        return cls(np.empty((0, 0, 0), np.uint8), np.arange(columns + 1) * shape[2])

    @classmethod
    def chosen(cls, voxels: np.ndarray) -> _Wanted:
        """Features where ``voxels`` says so."""
        counts = (voxels == kernels.FEATURES).sum(-1).ravel()
        return cls(voxels, np.concatenate([[0], np.cumsum(counts)]))


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
        self.size, self.shape, self.composition = np.asarray(grid.size_m), np.asarray(grid.shape), composition
        self.whitening = as_float32(scene.whitening)
        centers, forms, boxes, self.starts, self.entries = kernels.prepare(
            as_float32(scene.means), self.whitening, as_float32(scene.half_extents), np.asarray(grid.lower), self.size,
            self.shape, get_args(Support).index(support),
        )  # fmt: skip
        self.features, self.opacities = as_float32(scene.features), as_float32(scene.opacities)
        count, self.channels = self.features.shape
        rows = np.zeros((count, -(-self.channels // LANES) * LANES), np.float32)
        rows[:, : self.channels] = self.features
        if self.counted:
            rows[:, : self.channels] *= self.opacities[:, None]
        ones = np.ones_like(self.opacities)
        amplitudes, shares = (self.opacities, ones) if composition != "sum_unweighted" else (ones, self.opacities)
        limit, cover = squared_reach(float(cutoff), support), squared_cover(float(cutoff), support)
        self.tiled = kernels.TileScene(centers, forms, boxes, amplitudes, shares, rows, limit, cover)

    @property
    def counted(self) -> bool:
        """Sums are divided by the number of Gaussians that cover a voxel."""
        return self.composition == "mean"

    @property
    def normalise(self) -> bool:
        """Features are divided by the density."""
        return self.composition in {"sum", "hazard"}

    def tiles(self, threads: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Order of the tiles, where each begins among the entries, and the entries."""
        return balanced_order(np.diff(self.starts), threads), self.starts, self.entries

    def with_density(self) -> kernels.TileScene:
        """The scene with rows as :mod:`gsocc_core.splat.voxels.volume_kernels` has them."""
        count, channels = self.features.shape
        used = channels + (2 if self.counted else 1)
        rows = np.zeros((count, -(-used // LANES) * LANES), np.float32)
        rows[:, :channels] = self.tiled.rows[:, :channels]
        rows[:, used - 1] = self.tiled.shares
        return self.tiled._replace(rows=rows)

    def splat(self, wanted: _Wanted, density: np.ndarray, features: np.ndarray, divisors: np.ndarray) -> None:
        """Fill density (X, Y, Z), features (S, C) and, for ``mean``, what both were divided by, unless empty."""
        with parallel_kernels() as threads:
            if len(wanted.voxels):
                where = wanted.voxels, wanted.firsts
                sum_kernels.splat_tiles(*self.tiles(threads), self.tiled, self.normalise, *where, density, features)
                return
            volume = features.reshape(*density.shape, self.channels)
            volume_kernels.fill_tiles(
                *self.tiles(threads), self.with_density(), self.counted, self.normalise, density, volume, divisors
            )

    def gradients(
        self,
        wanted: _Wanted,
        density: np.ndarray,
        features: np.ndarray,
        divisors: np.ndarray,
        by_density: np.ndarray,
        by_features: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Gradients of means, whitening, opacities and features, given what :meth:`splat` wrote and its gradients."""
        amplitudes, channels = self.tiled.amplitudes, self.channels
        if self.counted:  # what a voxel's distance changes is the density alone
            by_density, by_rows = by_density / divisors, by_features / divisors.reshape(-1, 1)
            nothing = _Wanted.chosen(np.full(density.shape, kernels.DENSITY, np.uint8))
            _, sums = self._gathered(nothing, density, features[:0], by_density, by_features[:0])
            g_rows = self._covered(by_rows)[:, :channels]
            g_opacities, g_features = sums[:, 0] + (g_rows * self.features).sum(1), g_rows * self.opacities[:, None]
        else:
            g_rows, sums = self._gathered(wanted, density, features, by_density, by_features)
            g_opacities = sums[:, 0 if self.normalise else -1]
            g_features = g_rows[:, :channels] * amplitudes[:, None]
        g_means, g_whitening = np.zeros((len(amplitudes), 3), np.float32), np.empty_like(self.whitening)
        gradient_kernels.shape_gradients(sums, self.whitening, self.size, amplitudes, g_means, g_whitening)
        return g_means, g_whitening, g_opacities.astype(np.float32), g_features

    def _gathered(self, wanted: _Wanted, *fields: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows (N, R) and sums (N, SUMS) of the Gaussians; tiles take turns, so that few entries are held at once."""
        count, width = self.tiled.rows.shape
        rows, sums = np.zeros((count, width), np.float32), np.zeros((count, gradient_kernels.SUMS))
        begin, last = 0, len(self.starts) - 1
        while begin < last:
            end = int(np.searchsorted(self.starts, self.starts[begin] + HELD_ENTRIES, side="right")) - 1
            end = min(max(end, begin + 1), last)
            first, held = self.starts[begin], self.starts[end] - self.starts[begin]
            g_rows, g_sums = np.zeros((held, width), np.float32), np.zeros((held, gradient_kernels.SUMS))
            with parallel_kernels() as threads:
                order = begin + balanced_order(np.diff(self.starts[begin : end + 1]), threads)
                gradient_kernels.gather_tiles(
                    order, self.starts, self.entries, self.tiled, self.normalise, wanted.voxels, wanted.firsts, *fields,
                    first, g_rows, g_sums,
                )  # fmt: skip
            gradient_kernels.add_entries(self.entries[first : first + held], g_rows, g_sums, rows, sums)
            begin = end
        return rows, sums

    def _covered(self, by_features: np.ndarray) -> np.ndarray:
        """Sums (N, R) of gradients (X * Y * Z, C) over the voxels that each Gaussian covers."""
        boxes, width = self.tiled.boxes.astype(np.int64), self.tiled.rows.shape[1]
        rows, grads = np.zeros_like(self.tiled.rows), np.zeros((len(by_features), width), np.float32)
        grads[:, : self.channels] = by_features
        order = np.lexsort((boxes[:, 2], boxes[:, 0] // kernels.TILE))
        extent = boxes[order]
        total = np.cumsum(1 + (extent[:, 1] - extent[:, 0] + 1) * (extent[:, 3] - extent[:, 2] + 1))
        with parallel_kernels() as threads:
            targets = np.linspace(0, total[-1] if len(total) else 0, threads * SHARES_PER_THREAD + 1)[1:-1]
            cuts = np.concatenate([[0], np.searchsorted(total, targets), [len(order)]])
            gradient_kernels.gather_covered(order, cuts, self.tiled, self.shape, grads, rows)
        return rows


class _SplatToVoxels(torch.autograd.Function):
    """density (B, X, Y, Z), features (S, C) = f(means, whitening, opacities, features) of B scenes."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> tuple[Tensor, Tensor]:
        """Splat; the five tensors of the scenes, grid and options of :func:`voxels_cpu`, and what is wanted of each."""
        scenes, wanted = VoxelScenes(*args[:5]), args[-1]
        count, _, channels = scenes.features.shape
        shape = (count, *args[5].shape)
        ctx.arrays = [_Arrays(scenes.scene(b), *args[5:-1]) for b in range(count)]
        ctx.wanted, ctx.ends = wanted, np.cumsum([w.firsts[-1] for w in wanted], dtype=np.int64)[:-1]
        density = np.empty(shape, np.float32)
        features = np.empty((sum(w.firsts[-1] for w in wanted), channels), np.float32)
        ctx.divisors = [np.empty(shape[1:] if a.counted else (0, 0, 0), np.float32) for a in ctx.arrays]
        rows = np.split(features, ctx.ends)
        for arrays, *fields in zip(ctx.arrays, wanted, density, rows, ctx.divisors):
            arrays.splat(*fields)
        result = torch.from_numpy(density), torch.from_numpy(features)
        ctx.save_for_backward(*result)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Turn gradients of density and features into those of the tensor arguments."""
        density, features = (value.numpy() for value in ctx.saved_tensors)
        by_density, by_features = (as_float32(grad) for grad in grads)
        rows, by_rows = np.split(features, ctx.ends), np.split(by_features, ctx.ends)
        fields = zip(ctx.wanted, density, rows, ctx.divisors, by_density, by_rows)
        scenes = [arrays.gradients(*parts) for arrays, parts in zip(ctx.arrays, fields)]
        if not scenes:
            return (None,) * 10
        means, whitening, opacities, features = (torch.from_numpy(np.stack(parts)) for parts in zip(*scenes))
        return means, whitening, None, opacities, features, None, None, None, None, None


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
    everything = _Wanted.everything(grid.shape)
    if out is None:
        wanted = [everything] * len(scenes.means)
        density, features = _SplatToVoxels.apply(*scenes, grid, composition, cutoff, support, wanted)
        return density, features.view(*density.shape, scenes.features.shape[-1])
    no_divisors = np.empty((0, 0, 0), np.float32)
    for b, (density, features) in enumerate(zip(*out)):
        arrays, rows = _Arrays(scenes.scene(b), grid, composition, cutoff, support), features.flatten(0, 2)
        arrays.splat(everything, density.numpy(), rows.numpy(), no_divisors)
    return out


def chosen_voxels_cpu(
    scenes: VoxelScenes, grid: VoxelGrid, composition: Composition, cutoff: float, support: Support, voxels: Tensor
) -> tuple[Tensor, Tensor]:
    """Splat B scenes where it is asked for; not with ``mean``.

    Args:
        scenes: As in :func:`voxels_cpu`.
        grid: The grid.
        composition: See :func:`gsocc_core.splat_to_voxels`.
        cutoff: Standard deviations.
        support: See :func:`gsocc_core.splat_to_voxels`.
        voxels: (B, X, Y, Z) uint8: 0 = nothing, 1 = the density, 2 = density and features.

    Returns:
        density (B, X, Y, Z), 0 where nothing is asked, and features (S, C) of the voxels that are asked for them.
    """
    wanted = [_Wanted.chosen(np.ascontiguousarray(chosen)) for chosen in voxels.numpy()]
    density, features = _SplatToVoxels.apply(*scenes, grid, composition, cutoff, support, wanted)
    return density, features


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
        volume_kernels.label_tiles(
            *arrays.tiles(threads), arrays.with_density(), arrays.counted, composition == "hazard", float(threshold),
            ids, classes.free_id, labels.numpy(), confidence.numpy(),
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
    tiled = (_Arrays(scenes.scene(b), grid, "sum", cutoff, "ellipsoid").tiled for b in range(len(scenes.means)))
    return sum(int(kernels.count_voxels(t.centers, t.forms, t.boxes, t.limit)) for t in tiled)
