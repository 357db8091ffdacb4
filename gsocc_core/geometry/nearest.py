# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Nearest neighbours among points: a tree on the CPU, blocks of distances elsewhere."""

from __future__ import annotations

import torch
from torch import Tensor

from gsocc_core.errors import ShapeError

#: Distances that a device computes at a time.
_BLOCK = 1 << 26


@torch.no_grad()
def nearest(queries: Tensor, points: Tensor, count: int = 1) -> tuple[Tensor, Tensor]:
    """The nearest points of every query.

    Args:
        queries: (M, 3), finite.
        points: (N, 3), finite, at least ``count``.
        count: How many.

    Returns:
        Squared distances and int64 indices into ``points``, both (M, ``count``), nearest first; no gradient.

    Raises:
        ShapeError: wrong shapes, fewer points than asked for, or, on the CPU, numbers that are not finite.

    Example:
        >>> line = torch.tensor([[0.0, 0, 0], [1, 0, 0], [3, 0, 0]])
        >>> squared, index = nearest(line, line, 2)
        >>> squared[:, 1], index[:, 1]
        (tensor([1., 1., 4.]), tensor([1, 0, 1]))
    """
    if queries.ndim != 2 or points.ndim != 2 or queries.shape[1] != 3 or points.shape[1] != 3:
        raise ShapeError("nearest", "queries, points", "(M, 3), (N, 3)", (tuple(queries.shape), tuple(points.shape)))
    if len(points) < count:
        raise ShapeError("nearest", "points", f"at least {count}", len(points))
    index = _by_tree(queries, points, count) if queries.device.type == "cpu" else _by_blocks(queries, points, count)
    squared = (queries[:, None] - points[index]).square().sum(-1)
    return squared, index


def _by_tree(queries: Tensor, points: Tensor, count: int) -> Tensor:
    from scipy.spatial import cKDTree

    if not bool(torch.isfinite(points).all() and torch.isfinite(queries).all()):
        raise ShapeError("nearest", "queries, points", "finite numbers", "NaN or infinity")
    tree = cKDTree(points.numpy())
    _, index = tree.query(queries.numpy(), k=[*range(1, count + 1)])
    return torch.from_numpy(index).long()


def _by_blocks(queries: Tensor, points: Tensor, count: int) -> Tensor:
    rows = max(_BLOCK // len(points), 1)
    found = [
        torch.cdist(part, points, compute_mode="donot_use_mm_for_euclid_dist").topk(count, largest=False).indices
        for part in queries.split(rows)
    ]
    return torch.cat(found) if found else queries.new_zeros((0, count), dtype=torch.int64)


@torch.no_grad()
def spacing(points: Tensor, neighbours: int = 3) -> Tensor:
    """How far apart points lie: root mean square distance of each to its nearest others.

    Args:
        points: (N, 3), finite.
        neighbours: How many others, or all that there are where they are fewer.

    Returns:
        (N); 0 where there is no other.

    Example:
        >>> spacing(torch.tensor([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0]]), 2)
        tensor([1.5811, 1.0000, 1.0000, 1.5811])
    """
    count = min(neighbours, len(points) - 1)
    if count < 1:
        return points.new_zeros(len(points))
    squared, _ = nearest(points, points, count + 1)
    return squared[:, 1:].mean(-1).sqrt()
