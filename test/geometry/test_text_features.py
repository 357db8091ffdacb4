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


def test_scores_know_the_voxels_that_hold_something():
    index, values = torch.tensor([1, 3]), torch.tensor([[0.25, 0.5], [0.75, 0.0]])
    found = VoxelScores(index, values, GRID, ("a", "b"))
    assert found.observed is None
    assert found.scores.flatten(1).tolist() == [[0, 0.25, 0, 0.5], [0, 0.75, 0, 0]]
    assert found.scores.shape == (2, *GRID.shape)
    assert found.best_words(0.5).flatten().tolist() == [255, 1, 255, 0], "a score at the threshold counts"
    assert found.best_words(0.51).flatten().tolist() == [255, 1, 255, 255]
    nothing = VoxelScores(index[:0], values[:, :0], GRID, ("a", "b"))
    assert not nothing.scores.any()
    assert (nothing.best_words(0.5) == 255).all()


def test_scores_of_another_shape_are_named():
    index, values = torch.tensor([1, 3]), torch.zeros(2, 2)
    for wrong, key in (
        ((index, values.double(), GRID, ("a", "b")), "values"),
        ((index.int(), values, GRID, ("a", "b")), "index"),
        ((index[None], values, GRID, ("a", "b")), "index"),
        ((index + 1, values, GRID, ("a", "b")), "index"),
        ((index, values, GRID, ("a",)), "values"),
        ((index, torch.zeros(255, 2), GRID, ("a",) * 255), "words"),
        ((index, values, GRID, ("a", "b"), torch.ones(2, 2, 2, dtype=torch.bool)), "observed"),
    ):
        with pytest.raises(ShapeError, match=f"VoxelScores: {key}"):
            VoxelScores(*wrong)
