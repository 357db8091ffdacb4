# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Spherical harmonics against the published constants and against what makes them harmonics."""

import math

import numpy as np
import pytest
import torch

from gsocc_core.errors import ShapeError
from gsocc_core.geometry.spherical_harmonics import sh_basis, sh_colors

#: Of 3D Gaussian splatting's files, degree after degree.
C2 = (1.0925484305920792, -1.0925484305920792, 0.31539156525252005, -1.0925484305920792, 0.5462742152960396)
C3 = (-0.5900435899266435, 2.890611442640554, -0.4570457994644658, 0.3731763325901154, -0.4570457994644658,
      1.445305721320277, -0.5900435899266435)  # fmt: skip


def directions(count=20):
    g = torch.Generator().manual_seed(0)
    return torch.nn.functional.normalize(torch.randn(count, 3, generator=g, dtype=torch.float64), dim=-1)


def written_out(x, y, z):
    one = 0.4886025119029199
    return [
        0.28209479177387814, -one * y, one * z, -one * x,
        C2[0] * x * y, C2[1] * y * z, C2[2] * (2 * z * z - x * x - y * y), C2[3] * x * z, C2[4] * (x * x - y * y),
        C3[0] * y * (3 * x * x - y * y), C3[1] * x * y * z, C3[2] * y * (4 * z * z - x * x - y * y),
        C3[3] * z * (2 * z * z - 3 * x * x - 3 * y * y), C3[4] * x * (4 * z * z - x * x - y * y),
        C3[5] * z * (x * x - y * y), C3[6] * x * (x * x - 3 * y * y),
    ]  # fmt: skip


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_basis_is_the_published_one(degree):
    rays = directions()
    expected = np.array([written_out(*map(float, ray)) for ray in rays])[:, : (degree + 1) ** 2]
    np.testing.assert_allclose(sh_basis(rays, degree).numpy(), expected, atol=1e-12)


def test_basis_is_orthonormal_on_the_sphere():
    heights, weights = np.polynomial.legendre.leggauss(8)
    angles = np.arange(16) * math.pi / 8
    z = np.repeat(heights, 16)
    r = np.sqrt(1 - z * z)
    rays = np.stack([r * np.cos(np.tile(angles, 8)), r * np.sin(np.tile(angles, 8)), z], -1)
    basis = sh_basis(torch.from_numpy(rays), 3).numpy()
    area = np.repeat(weights, 16) * math.pi / 8
    np.testing.assert_allclose((basis * area[:, None]).T @ basis, np.eye(16), atol=1e-12)


def test_colors_are_sums_cut_at_black():
    rays, g = directions(6) * 3, torch.Generator().manual_seed(1)
    coefficients = torch.randn(6, 9, 3, generator=g, dtype=torch.float64)
    found = sh_colors(coefficients, rays)
    for ray, rows, color in zip(rays / 3, coefficients, found):
        basis = written_out(*map(float, ray))[:9]
        for channel in range(3):
            total = 0.5 + sum(b * float(rows[k, channel]) for k, b in enumerate(basis))
            assert float(color[channel]) == pytest.approx(max(total, 0.0), abs=1e-12)
    assert (found == 0).any()
    assert (found > 0).any()


def test_numbers_that_fit_no_degree_are_named():
    with pytest.raises(ShapeError, match=r"coefficients: expected .*K of \(1, 4, 9, 16\), received \(2, 5, 3\)"):
        sh_colors(torch.zeros(2, 5, 3), torch.ones(3))
    with pytest.raises(ShapeError, match=r"degree: expected 0 \.\.\. 3, received 4"):
        sh_basis(torch.ones(3), 4)
