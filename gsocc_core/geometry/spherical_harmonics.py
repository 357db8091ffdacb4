# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Colours that depend on the direction of sight, as real spherical harmonics in the order of 3D Gaussian splatting."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gsocc_core.errors import ShapeError

#: Number of coefficients of each degree, from 0.
COUNTS = (1, 4, 9, 16)

#: The zeroth basis function: a colour c is the coefficient (c - 0.5) / SH_C0.
SH_C0 = math.sqrt(1 / (4 * math.pi))


def sh_basis(directions: Tensor, degree: int) -> Tensor:
    """Real spherical harmonics with the signs of Kerbl et al. 2023, which PLY files of Gaussians use.

    Args:
        directions: (..., 3) unit vectors.
        degree: Highest degree, 0 to 3.

    Returns:
        (..., (degree + 1)^2), degree after degree, each from order -l to l.

    Raises:
        ShapeError: another degree.

    Example:
        >>> sh_basis(torch.tensor([0.6, 0.48, 0.64]), 1)
        tensor([ 0.2821, -0.2345,  0.3127, -0.2932])
    """
    if not 0 <= degree < len(COUNTS):
        raise ShapeError("sh_basis", "degree", f"0 ... {len(COUNTS) - 1}", degree)
    x, y, z = directions.unbind(-1)
    basis = [torch.full_like(x, SH_C0)]
    if degree >= 1:
        c = math.sqrt(3 / (4 * math.pi))
        basis += [-c * y, c * z, -c * x]
    if degree >= 2:
        c = math.sqrt(15 / (4 * math.pi))
        axial = math.sqrt(5 / (16 * math.pi)) * (2 * z * z - x * x - y * y)
        basis += [c * x * y, -c * y * z, axial, -c * x * z, c / 2 * (x * x - y * y)]
    if degree >= 3:
        a, b, c, d = (math.sqrt(n / math.pi) for n in (35 / 32, 105 / 4, 21 / 32, 7 / 16))
        equatorial = 4 * z * z - x * x - y * y
        basis += [
            -a * y * (3 * x * x - y * y),
            b * x * y * z,
            -c * y * equatorial,
            d * z * (2 * z * z - 3 * x * x - 3 * y * y),
            -c * x * equatorial,
            b / 2 * z * (x * x - y * y),
            -a * x * (x * x - 3 * y * y),
        ]
    return torch.stack(basis, dim=-1)


def sh_colors(coefficients: Tensor, directions: Tensor) -> Tensor:
    """Colours seen along directions: 0.5 + the sum of coefficients times basis, at least 0 (Kerbl et al. 2023).

    Args:
        coefficients: (..., K, 3) with K of 1, 4, 9 or 16.
        directions: (..., 3) from the camera to the Gaussian, any non-zero length; broadcasts with the coefficients.

    Returns:
        (..., 3) red, green, blue; 1 = full.

    Raises:
        ShapeError: another number of coefficients.

    Example:
        >>> grey = torch.zeros(1, 3)
        >>> sh_colors(grey, torch.tensor([0.0, 0.0, 2.0]))
        tensor([0.5000, 0.5000, 0.5000])
    """
    count = coefficients.shape[-2]
    if count not in COUNTS:
        raise ShapeError("sh_colors", "coefficients", f"(..., K, 3) with K of {COUNTS}", tuple(coefficients.shape))
    basis = sh_basis(torch.nn.functional.normalize(directions, dim=-1), COUNTS.index(count))
    return (0.5 + (basis[..., None] * coefficients).sum(-2)).clamp(min=0)


def rotate_sh(coefficients: Tensor, R_new_old: Tensor) -> Tensor:
    """Coefficients of the same colours in turned axes; each degree turns into itself.

    Args:
        coefficients: (..., K, 3) with K of 1, 4, 9 or 16, in the old axes.
        R_new_old: (3, 3) rotation from the old axes into the new ones.

    Returns:
        (..., K, 3) in the new axes.

    Raises:
        ShapeError: another number of coefficients.

    Example:
        >>> turned = rotate_sh(torch.tensor([[[1.0] * 3, [0] * 3, [2] * 3, [0] * 3]]), torch.eye(3)[[2, 0, 1]])
        >>> turned[0, :, 0].round(decimals=4).abs()  # what shone along z shines along x
        tensor([1., 0., 0., 2.])
    """
    count = coefficients.shape[-2]
    if count not in COUNTS:
        raise ShapeError("rotate_sh", "coefficients", f"(..., K, 3) with K of {COUNTS}", tuple(coefficients.shape))
    if count == 1:
        return coefficients
    directions = torch.nn.functional.normalize(
        torch.randn(64, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64), dim=-1
    )
    degree, R = COUNTS.index(count), R_new_old.detach().cpu().double()
    # More directions than coefficients, which therefore have one exact solution.
    matrix = torch.linalg.lstsq(sh_basis(directions, degree), sh_basis(directions @ R, degree)).solution
    return matrix.to(coefficients) @ coefficients
