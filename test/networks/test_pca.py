# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Principal components against the singular values, and the file that stores them."""

import pytest
import torch
from safetensors.torch import save_file

from gsocc_core.errors import DataError, ShapeError
from gsocc_core.networks.pca import pca_basis, read_basis


def test_the_basis_holds_the_widest_directions_of_centred_data():
    torch.manual_seed(0)
    data = torch.randn(300, 8, dtype=torch.float64) * torch.tensor([5.0, 1, 3, 1, 1, 0.5, 0.1, 2]) + 100.0
    basis = pca_basis(data, 3)
    _, _, rows = torch.linalg.svd(data - data.mean(0), full_matrices=False)
    torch.testing.assert_close((basis * rows[:3].T).sum(0).abs(), torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(basis.T @ basis, torch.eye(3, dtype=torch.float64))
    assert (basis.gather(0, basis.abs().argmax(0, keepdim=True)) > 0).all()
    # Noise smaller than the gaps changes no sign.
    torch.testing.assert_close(pca_basis(data + 1e-6 * torch.randn_like(data), 3), basis, atol=1e-4, rtol=0)


def test_what_cannot_be_is_named():
    with pytest.raises(ShapeError, match=r"features: expected \(N, D\)"):
        pca_basis(torch.zeros(0, 4), 2)
    with pytest.raises(ShapeError, match=r"channels: expected 1 ... 4, received 5"):
        pca_basis(torch.zeros(3, 4), 5)


def test_a_file_without_a_basis_is_refused(tmp_path):
    good, bad = tmp_path / "basis.safetensors", tmp_path / "other.safetensors"
    save_file({"basis": torch.eye(4)[:, :2].contiguous().half()}, good)
    torch.testing.assert_close(read_basis(good), torch.eye(4)[:, :2])
    save_file({"weights": torch.zeros(3)}, bad)
    for path, received in ((bad, r"\{'weights': \(3,\)\}"), (tmp_path / "none.safetensors", "No such file")):
        with pytest.raises(DataError, match=rf"{path.name}: content: expected .* matrix named basis.*{received}"):
            read_basis(path)
