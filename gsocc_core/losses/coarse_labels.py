# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Voxel labels on a coarser grid."""

from __future__ import annotations

import torch
from torch import Tensor

from gsocc_core.errors import ShapeError
from gsocc_core.losses.coarse_label_kernels import commonest
from gsocc_core.splat.threads import parallel_kernels


def coarse_labels(
    labels: Tensor, shape: tuple[int, int, int], free_id: int, ignore_id: int, occupied_share: float = 0.0
) -> Tensor:
    """Labels of blocks of voxels: the commonest thing in a block that counts as occupied, else free.

    Args:
        labels: (..., X, Y, Z) uint8.
        shape: Number of blocks along each axis; divides X, Y, Z.
        free_id: Id of empty space.
        ignore_id: Label of voxels without a label; they do not vote. A block of nothing else has no label either.
        occupied_share: A block counts as occupied if at least this share of its labelled voxels is; 0 = if one is.

    Returns:
        (..., *shape) uint8.

    Raises:
        ShapeError: the blocks do not divide the grid.

    Example:
        >>> labels = torch.tensor([[[4], [17]], [[17], [17]]], dtype=torch.uint8)
        >>> [coarse_labels(labels, (1, 1, 1), 17, 255, share).item() for share in (0.0, 0.5)]
        [4, 17]
    """
    fine = labels.shape[-3:]
    if any(n % m for n, m in zip(fine, shape)):
        raise ShapeError("coarse_labels", "labels", f"a multiple of {shape}", tuple(fine))
    if tuple(fine) == tuple(shape):
        return labels
    if labels.device.type == "cpu" and labels.dtype == torch.uint8:
        out = torch.empty(labels.shape[:-3] + shape, dtype=torch.uint8)
        with parallel_kernels():
            commonest(
                labels.contiguous().view(-1, *fine).numpy(), free_id, ignore_id, float(occupied_share),
                out.view(-1, *shape).numpy(),
            )  # fmt: skip
        return out
    return _compared(labels, shape, free_id, ignore_id, occupied_share)


def _compared(
    labels: Tensor, shape: tuple[int, int, int], free_id: int, ignore_id: int, occupied_share: float
) -> Tensor:
    """:func:`coarse_labels` on any device, class by class."""
    x, y, z = (n // m for n, m in zip(labels.shape[-3:], shape))
    blocks = labels.reshape(-1, shape[0], x, shape[1], y, shape[2], z).permute(0, 1, 3, 5, 2, 4, 6).flatten(4)
    known = (blocks != ignore_id).sum(-1)
    occupied = known - (blocks == free_id).sum(-1)
    best_count = torch.zeros_like(occupied)
    best = torch.full_like(best_count, free_id)
    for class_id in torch.unique(labels).tolist():
        if class_id in {free_id, ignore_id}:
            continue
        count = (blocks == class_id).sum(-1)
        better = count > best_count
        best, best_count = torch.where(better, class_id, best), torch.where(better, count, best_count)
    full = (occupied > 0) & (occupied >= occupied_share * known)
    result = torch.where(full, best, free_id)
    return torch.where(known > 0, result, ignore_id).to(torch.uint8).view(*labels.shape[:-3], *shape)
