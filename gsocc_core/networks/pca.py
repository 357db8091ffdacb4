# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A basis of fewer dimensions for features of foundation models (GaussTR, Jiang et al. 2025)."""

from __future__ import annotations

import torch
from torch import Tensor

from gsocc_core.errors import ShapeError


def pca_basis(features: Tensor, k: int) -> Tensor:
    """Directions in which features vary most.

    They come from the covariance about the mean. GaussTR multiplies features by them as they are, ``features @ basis``,
    without taking the mean off: a constant part stays as far as the directions hold it, so that the cosine between
    features, and between features and text, keeps its meaning.

    Computed in float64. The largest number of every direction, by magnitude, is positive, so that the same features
    give the same basis on every machine but for rounding.

    Args:
        features: (N, D), N at least 2.
        k: Directions wanted, at most D.

    Returns:
        (D, k) orthonormal columns, by falling variance, of the type of ``features`` or float32 if that is shorter;
        without gradient.

    Raises:
        ShapeError: ``features`` is not (N, D), or ``k`` lies outside 1 ... D.

    Example:
        >>> pca_basis(torch.tensor([[0.0, 5.0], [4.0, 5.0], [2.0, 5.1]]), 1).abs().round().T
        tensor([[1., 0.]])
    """
    if features.ndim != 2 or len(features) < 2:
        raise ShapeError("pca_basis", "features", "(N, D) with N at least 2", tuple(features.shape))
    if not 1 <= k <= features.shape[1]:
        raise ShapeError("pca_basis", "k", f"1 ... {features.shape[1]}", k)
    with torch.no_grad():
        centred = features.to(torch.float64)
        centred = centred - centred.mean(0)
        # eigh sorts by rising variance.
        basis = torch.linalg.eigh(centred.mT @ centred).eigenvectors[:, -k:].flip(1)
        largest = basis.gather(0, basis.abs().argmax(0, keepdim=True))
        basis = basis * torch.where(largest < 0, -1.0, 1.0)
    return basis.to(features.dtype if features.dtype == torch.float64 else torch.float32)
