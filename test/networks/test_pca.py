# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The basis against a singular value decomposition, and its rules about mean and signs."""

import pytest
import torch

from gsocc_core.errors import ShapeError
from gsocc_core.networks.pca import pca_basis


def test_it_is_the_basis_of_the_centred_data():
    torch.manual_seed(0)
    features = torch.randn(200, 12, dtype=torch.float64) * torch.arange(1, 13) + 100.0
    basis = pca_basis(features, 5)
    right = torch.linalg.svd(features - features.mean(0), full_matrices=False)[2][:5].T
    assert (basis * right).sum(0).abs().tolist() == pytest.approx([1.0] * 5, abs=1e-9)
    assert torch.allclose(basis.T @ basis, torch.eye(5, dtype=torch.float64), atol=1e-12)
    assert (basis.gather(0, basis.abs().argmax(0, keepdim=True)) > 0).all()
    variance = ((features - features.mean(0)) @ basis).var(0)
    assert (variance.diff() < 0).all()


def test_signs_types_and_gradients():
    torch.manual_seed(1)
    features = torch.randn(50, 6, requires_grad=True)
    basis = pca_basis(features, 6)
    assert torch.allclose(basis, pca_basis(-features, 6), atol=1e-6)
    assert basis.dtype == torch.float32
    assert not basis.requires_grad
    assert pca_basis(features.half(), 2).dtype == torch.float32
    assert torch.allclose(basis @ basis.T, torch.eye(6), atol=1e-6), "all directions keep everything"


@pytest.mark.parametrize(("shape", "k", "key"), [((5,), 1, "features"), ((1, 5), 1, "features"), ((5, 3), 4, "k"),
                                                 ((5, 3), 0, "k")])  # fmt: skip
def test_impossible_requests_are_refused(shape, k, key):
    with pytest.raises(ShapeError, match=f"pca_basis: {key}"):
        pca_basis(torch.ones(shape), k)
