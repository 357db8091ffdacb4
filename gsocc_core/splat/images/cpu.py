# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Gaussians to pictures on the CPU: float32, all views in one call, the same result whatever the number of threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gsocc_core.splat.images import projection_kernels as projection
from gsocc_core.splat.images import raster_kernels as raster
from gsocc_core.splat.simd import LANES
from gsocc_core.splat.threads import balanced_order, parallel_kernels


def _as_float32(value: Tensor) -> np.ndarray:
    return np.ascontiguousarray(value.detach().numpy(), dtype=np.float32)


def make_views(
    viewmats: Tensor, intrinsics: Tensor, size: tuple[int, int], near: float, far: float, orthographic: bool
) -> projection.Views:
    """Cameras as the kernels want them.

    Args:
        viewmats: (B, V, 4, 4) ``T_cam_ref``.
        intrinsics: (B, V, 3, 3) pixels.
        size: (height, width), pixels.
        near: Metres.
        far: Metres.
        orthographic: Parallel projection instead of a pinhole.

    Returns:
        The B * V views.
    """
    poses = viewmats.detach().reshape(-1, 4, 4).double().numpy()
    K = intrinsics.detach().reshape(-1, 3, 3).double().numpy()
    return projection.Views(
        np.ascontiguousarray(poses[:, :3, :3]),
        np.ascontiguousarray(poses[:, :3, 3]),
        np.stack([K[:, 0, 0], K[:, 1, 1], K[:, 0, 2], K[:, 1, 2]], axis=1),
        (float(near), float(far)),
        size,
        orthographic,
    )


class _Arrays:
    """B scenes in W views: what is visible, in which tile, and the arrays that both passes read."""

    def __init__(
        self, means: Tensor, covariances: Tensor, opacities: Tensor, features: Tensor, views: projection.Views
    ) -> None:
        self.views, self.channels = views, features.shape[-1]
        self.means, self.covariances = _as_float32(means), _as_float32(covariances)
        self.opacities = _as_float32(opacities)
        width = -(-self.channels // LANES) * LANES
        self.rows = np.zeros((self.opacities.size, width), np.float32)
        self.rows[:, : self.channels] = features.detach().flatten(0, 1).numpy()
        height, columns = views.size
        self.columns = -(-columns // projection.TILE)
        self.tiles = self.columns * -(-height // projection.TILE)
        with parallel_kernels() as threads:
            self._list_pairs()
            counts = np.diff(self.tile_starts)
            self.order = balanced_order(counts, threads)

    def _list_pairs(self) -> None:
        count, number = len(self.views.rotations), self.opacities.shape[1]
        scene = self.means, self.covariances, self.opacities, self.views
        of_gaussian = np.empty((count, number), np.int32)
        starts = _offsets(projection.count_visible(*scene, of_gaussian))
        total = starts[-1]
        self.pairs = projection.Pairs(
            starts, np.empty(total, np.int32), np.empty((total, 6)), np.empty((total, 4), np.int32), of_gaussian
        )
        per_tile, per_pair = projection.fill_pairs(*scene, self.pairs)
        self.tile_starts, self.pair_starts = _offsets(per_tile.reshape(-1)), _offsets(per_pair)
        self.entry_pair, self.entry_row = projection.fill_tiles(
            self.pairs, self.tile_starts, self.pair_starts, self.columns, self.tiles
        )

    def render(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Features (W, H, X, C), sum of w z (W, H, X) and sum of w (W, H, X)."""
        shape = (len(self.views.rotations), *self.views.size)
        out = np.empty((*shape, self.channels), np.float32), np.empty(shape, np.float32), np.empty(shape, np.float32)
        with parallel_kernels():
            raster.render_tiles(
                self.order, self.tile_starts, self.entry_pair, self.pairs.gaussian, self.pairs.geometry,
                self.pairs.rects, self.opacities.reshape(-1), self.rows, self.columns, self.tiles, *out,
            )  # fmt: skip
        return out

    def gradients(self, moves: bool, *grads: np.ndarray) -> tuple[np.ndarray, ...]:
        """Gradients of means, covariances, opacities and features, given those of the three pictures.

        The first two are zero unless ``moves``: Gaussians that stand in voxels need none.
        """
        entries, width = len(self.entry_pair), self.rows.shape[1]
        sums, rows = np.zeros((entries, projection.SUMS), np.float32), np.zeros((entries, width), np.float32)
        results = (
            np.zeros(self.means.shape, np.float32),
            np.zeros(self.covariances.shape, np.float32),
            np.zeros(self.opacities.shape, np.float32),
            np.zeros((*self.opacities.shape, self.channels), np.float32),
        )
        with parallel_kernels():
            raster.gradients_of_tiles(
                self.order, self.tile_starts, self.entry_pair, self.entry_row, self.pairs.gaussian,
                self.pairs.geometry, self.pairs.rects, self.opacities.reshape(-1), self.rows, self.columns, self.tiles,
                *grads, sums, rows,
            )  # fmt: skip
            projection.collect_gradients(
                self.means, self.covariances, self.opacities, self.views, self.pairs, self.pair_starts, sums, rows,
                moves, *results,
            )  # fmt: skip
        return results


class _SplatToImages(torch.autograd.Function):
    """Pictures = f(means, covariances, opacities, features) of B scenes."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> tuple[Tensor, ...]:
        """Render; arguments as in :func:`images_cpu`."""
        ctx.arrays = _Arrays(*args)
        return tuple(map(torch.from_numpy, ctx.arrays.render()))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Turn gradients of the pictures into those of the tensor arguments."""
        moves = any(ctx.needs_input_grad[:2])
        found = map(torch.from_numpy, ctx.arrays.gradients(moves, *map(_as_float32, grads)))
        return (*(g if asked else None for g, asked in zip(found, ctx.needs_input_grad)), None)


def images_cpu(
    means: Tensor, covariances: Tensor, opacities: Tensor, features: Tensor, views: projection.Views
) -> tuple[Tensor, Tensor, Tensor]:
    """Render B scenes.

    Args:
        means: (B, N, 3) metres, reference ego frame, float32.
        covariances: (B, N, 3, 3) square metres.
        opacities: (B, N).
        features: (B, N, C).
        views: W views; view w shows scene w // (W // B).

    Returns:
        sum of w f (W, H, X, C), sum of w z (W, H, X) metres and sum of w (W, H, X).
    """
    features_out, depth, alpha = _SplatToImages.apply(means, covariances, opacities, features, views)
    return features_out, depth, alpha


def _offsets(counts: np.ndarray) -> np.ndarray:
    """First index of every share, and the total: (n + 1,)."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
