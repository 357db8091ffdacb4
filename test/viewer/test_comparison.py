# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The error view counts what the metrics count."""

import numpy as np
import pytest
import torch

from gsocc_core import OCC3D_NUSCENES, SemanticGrid, VoxelGrid
from gsocc_core.errors import ShapeError
from gsocc_core.metrics.confusion import VoxelConfusion
from gsocc_core.viewer.comparison import ERROR_CLASSES, FALSE_NEGATIVE, NOTHING, TRUE_POSITIVE, compare, occupied_iou

GRID = VoxelGrid((0.0, 0.0, 0.0), (6.0, 6.0, 4.0), 1.0)


def random_grid(seed, observed=False):
    rng = np.random.default_rng(seed)
    labels = torch.from_numpy(rng.choice(np.array([3, 4, 17], np.uint8), GRID.shape))
    mask = torch.from_numpy(rng.random(GRID.shape) < 0.6) if observed else None
    return SemanticGrid(labels, GRID, OCC3D_NUSCENES, observed=mask)


def test_agrees_with_the_confusion_matrix():
    prediction, truth = random_grid(1), random_grid(2, observed=True)
    errors = compare(prediction, truth)
    metric = VoxelConfusion(OCC3D_NUSCENES, "camera")
    matrix = metric.count(truth.labels.numpy(), prediction.labels.numpy(), truth.observed.numpy(), None)
    free = OCC3D_NUSCENES.free_id
    occupied = np.arange(len(OCC3D_NUSCENES.names)) != free
    same = np.trace(matrix[np.ix_(occupied, occupied)])
    counts = np.bincount(errors.labels.numpy().reshape(-1), minlength=5)
    expected = [same, matrix[free, occupied].sum(), matrix[occupied, free].sum(),
                matrix[np.ix_(occupied, occupied)].sum() - same]  # fmt: skip
    assert counts[:NOTHING].tolist() == expected
    metric.matrix += matrix
    assert occupied_iou(errors) == pytest.approx(metric.scores().iou)


def test_hidden_classes_and_voxels_without_a_label_do_not_count():
    prediction, truth = random_grid(1), random_grid(1)
    assert (compare(prediction, truth, {4}).labels == TRUE_POSITIVE).sum() == (truth.labels == 4).sum()
    truth.labels[0] = 255
    assert (compare(prediction, truth).labels[0] == NOTHING).all()
    nothing = SemanticGrid(torch.full_like(truth.labels, 17), GRID, OCC3D_NUSCENES)
    assert (compare(nothing, prediction, {4}).labels == FALSE_NEGATIVE).sum() == (prediction.labels == 4).sum()
    assert np.isnan(occupied_iou(compare(nothing, nothing)))
    assert ERROR_CLASSES.free_id == NOTHING


def test_other_grids_cannot_be_compared():
    other = VoxelGrid((0.0, 0.0, 0.0), (6.0, 6.0, 4.0), 2.0)
    grid = SemanticGrid(torch.zeros(other.shape, dtype=torch.uint8), other, OCC3D_NUSCENES)
    with pytest.raises(ShapeError, match="grid"):
        compare(grid, random_grid(0))
