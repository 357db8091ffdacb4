# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from gsocc_core import TextFeatures, VoxelGrid, VoxelScores
from gsocc_core.errors import ShapeError

GRID = VoxelGrid((0.0, 0.0, 0.0), (2.0, 2.0, 1.0), 1.0)


def test_embeddings_come_into_the_space_of_the_values():
    basis = torch.randn(4, 3)
    embeddings = torch.randn(2, 4)
    features = TextFeatures(torch.ones(1, 5, 3, dtype=torch.float64), basis, "wordllama")
    torch.testing.assert_close(features.project(embeddings), (embeddings.double() @ basis.double()))
    own = features.map(lambda t: t[0])
    assert own.values.shape == (5, 3)
    assert own.basis is basis
    assert torch.equal(TextFeatures(torch.ones(5, 4), None, "x").project(embeddings), embeddings)


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ShapeError, match=r"TextFeatures: values: expected \(..., N, E\)"):
        TextFeatures(torch.ones(5), None, "x")
    with pytest.raises(ShapeError, match=r"TextFeatures: basis: expected \(D, 3\), received \(3, 4\)"):
        TextFeatures(torch.ones(5, 3), torch.ones(3, 4), "x")
    for features, count in ((TextFeatures(torch.ones(5, 3), torch.ones(4, 3), "x"), 4),
                            (TextFeatures(torch.ones(5, 3), None, "x"), 3)):  # fmt: skip
        with pytest.raises(ShapeError, match=rf"embeddings: expected \(Q, {count}\), received \(2, 7\)"):
            features.project(torch.ones(2, 7))


def test_scores_have_one_grid_per_word():
    scores = torch.zeros(2, 2, 2, 1)
    assert VoxelScores(scores, GRID, ("a", "b")).observed is None
    for wrong, key in (
        ((scores.double(), GRID, ("a", "b")), "scores"),
        ((scores, GRID, ("a",)), "scores"),
        ((scores, GRID, ("a", "b"), torch.ones(2, 2, 2, dtype=torch.bool)), "observed"),
    ):
        with pytest.raises(ShapeError, match=f"VoxelScores: {key}"):
            VoxelScores(*wrong)
