# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Similarities against numpy's singular values, one set at a time."""

import numpy as np
import pytest
import torch

from gsocc_core.errors import ShapeError
from gsocc_core.geometry.rigid import quat_to_rotmat
from gsocc_core.geometry.similarity import fit_similarity


def umeyama(x, y, w):
    """Umeyama 1991 for one set, weights by hand."""
    w = w / w.sum()
    mx, my = w @ x, w @ y
    covariance = sum(wi * np.outer(yi - my, xi - mx) for wi, xi, yi in zip(w, x, y))
    U, D, Vt = np.linalg.svd(covariance)
    S = np.eye(3)
    if np.linalg.det(U) * np.linalg.det(Vt) < 0:
        S[2, 2] = -1
    R = U @ S @ Vt
    variance = sum(wi * np.sum((xi - mx) ** 2) for wi, xi in zip(w, x))
    c = np.trace(np.diag(D) @ S) / variance
    return c, R, my - c * R @ mx


@pytest.mark.parametrize("mirrored", [False, True])
def test_batches_agree_with_one_set_at_a_time(mirrored):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 30, 3))
    y = 2.5 * x @ np.diag([-1.0 if mirrored else 1.0, 1, 1]) + rng.normal(size=(4, 30, 3)) * 0.3 + 5
    w = rng.uniform(size=(4, 30)) * (rng.uniform(size=(4, 30)) < 0.7)
    found = fit_similarity(*(torch.from_numpy(a) for a in (x, y, w)))
    for b in range(4):
        scale, rotation, translation = umeyama(x[b], y[b], w[b])
        np.testing.assert_allclose(found.scale[b], scale, rtol=1e-9)
        np.testing.assert_allclose(found.rotation[b], rotation, atol=1e-9)
        np.testing.assert_allclose(found.translation[b], translation, atol=1e-9)
        assert np.linalg.det(found.rotation[b]) == pytest.approx(1)


def test_a_known_transform_is_found_from_a_plane():
    g = torch.Generator().manual_seed(0)
    points = torch.randn(2, 50, 3, generator=g) * torch.tensor([3.0, 2.0, 0.0])
    rotation = quat_to_rotmat(torch.randn(2, 4, generator=g))
    target = 0.3 * points @ rotation.transpose(-1, -2) + torch.tensor([1.0, -20.0, 4.0])
    found = fit_similarity(points, target)
    torch.testing.assert_close(found.apply(points), target, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.rotation, rotation, atol=1e-5, rtol=1e-5)
    assert not found.scale.requires_grad


def test_sets_without_extent_are_only_moved():
    same = torch.full((2, 5, 3), 7.0)
    weights = torch.tensor([[1.0] * 5, [0.0] * 5])
    found = fit_similarity(same, same * 2, weights)
    assert found.scale.tolist() == [1.0, 1.0]
    torch.testing.assert_close(found.apply(same)[0], same[0] * 2)
    assert torch.isfinite(found.apply(same)).all()


def test_shapes_are_named():
    with pytest.raises(ShapeError, match="target: expected"):
        fit_similarity(torch.zeros(4, 3), torch.zeros(5, 3))
    with pytest.raises(ShapeError, match=r"weights: expected \(4,\), received \(5,\)"):
        fit_similarity(torch.zeros(4, 3), torch.zeros(4, 3), torch.zeros(5))
