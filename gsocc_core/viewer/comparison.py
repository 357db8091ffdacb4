# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Right and wrong voxels, as labels that are drawn like any others."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch

from gsocc_core.errors import ShapeError
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.voxels import SemanticGrid

TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE, WRONG_CLASS, NOTHING = range(5)
#: What the labels of :func:`compare` mean.
ERROR_CLASSES = ClassTable(
    names=("true positive", "false positive", "false negative", "wrong class", "free"),
    colors=((70, 160, 90), (225, 60, 50), (50, 100, 220), (240, 175, 30), (255, 255, 255)),
    free_id=NOTHING,
)


def compare(prediction: SemanticGrid, truth: SemanticGrid, shown: Collection[int] | None = None) -> SemanticGrid:
    """Where a prediction is right and how it is wrong.

    Voxels count where ``truth.observed`` says so, or everywhere without it; those without a true label never do.

    Args:
        prediction: Labels (X, Y, Z).
        truth: Labels on the same grid with the same classes.
        shown: Classes to keep; a voxel is of its true class, or of the predicted one where nothing is. None = all.

    Returns:
        Labels of :data:`ERROR_CLASSES`: occupied in both with one class, only in the prediction, only in the truth,
        occupied in both with two classes, and free.

    Raises:
        ShapeError: the grids or the classes differ.

    Example:
        >>> from gsocc_core import OCC3D_NUSCENES, VoxelGrid
        >>> box = VoxelGrid((0.0, 0.0, 0.0), (4.0, 1.0, 1.0), 1.0)
        >>> grids = [SemanticGrid(torch.tensor(v, dtype=torch.uint8).view(4, 1, 1), box, OCC3D_NUSCENES)
        ...          for v in ([4, 4, 17, 4], [4, 17, 4, 5])]
        >>> [ERROR_CLASSES.names[i] for i in compare(*grids).labels.flatten()]
        ['true positive', 'false positive', 'false negative', 'wrong class']
    """
    check_comparable(prediction, truth)
    classes = truth.classes
    p, t = prediction.labels.cpu(), truth.labels.cpu()
    there, predicted = t != classes.free_id, (p != classes.free_id) & (p != classes.ignore_id)
    result = torch.full_like(t, NOTHING)
    result[there & predicted & (t == p)] = TRUE_POSITIVE
    result[there & predicted & (t != p)] = WRONG_CLASS
    result[there & ~predicted] = FALSE_NEGATIVE
    result[~there & predicted] = FALSE_POSITIVE
    counts = t != classes.ignore_id
    if truth.observed is not None:
        counts &= truth.observed.cpu()
    if shown is not None:
        wanted = torch.zeros(256, dtype=torch.bool)
        wanted[list(shown)] = True
        counts &= wanted[torch.where(there, t, p).long()]
    result[~counts] = NOTHING
    return SemanticGrid(result, truth.grid, ERROR_CLASSES)


def check_comparable(prediction: SemanticGrid, truth: SemanticGrid) -> None:
    """Check that two grids say the same by the same ids, voxel by voxel.

    Raises:
        ShapeError: the grids or the classes differ.
    """
    if prediction.grid != truth.grid:
        raise ShapeError("compare", "prediction.grid", truth.grid, prediction.grid)
    if prediction.classes.names != truth.classes.names:
        raise ShapeError("compare", "prediction.classes", truth.classes.names, prediction.classes.names)


def occupied_iou(errors: SemanticGrid) -> float:
    """Occupied against free, 0..1, from the labels of :func:`compare`; nan where all is free in both."""
    counts = np.bincount(errors.labels.cpu().numpy().reshape(-1), minlength=5)
    both, union = counts[TRUE_POSITIVE] + counts[WRONG_CLASS], counts[:NOTHING].sum()
    return float(both / union) if union else float("nan")
