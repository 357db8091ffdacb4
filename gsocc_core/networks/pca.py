# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Principal components of feature vectors."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from gsocc_core.errors import DataError, ShapeError


@torch.no_grad()
def pca_basis(features: Tensor, channels: int) -> Tensor:
    """Directions along which feature vectors vary most.

    The covariance is centred; GaussTR (Jiang et al., CVPR 2025) then projects vectors as they are, without taking their
    mean away: ``features @ basis``. Computed in float64. Each direction's largest component is positive, so that equal
    data give equal signs.

    Args:
        features: (N, D) vectors.
        channels: K, at most D.

    Returns:
        (D, K) orthonormal columns, the widest first, in the dtype of the features.

    Raises:
        ShapeError: no vectors, or more directions than channels.

    Example:
        >>> pca_basis(torch.tensor([[1.0, 5.0], [1.0, 7.0], [1.0, 9.0]]), 1).squeeze(-1).abs()
        tensor([0., 1.])
    """
    if features.ndim != 2 or not len(features):
        raise ShapeError("pca_basis", "features", "(N, D) with N > 0", tuple(features.shape))
    if not 1 <= channels <= features.shape[1]:
        raise ShapeError("pca_basis", "channels", f"1 ... {features.shape[1]}", channels)
    values = features.double()
    centred = values - values.mean(0)
    widest = torch.linalg.eigh(centred.T @ centred).eigenvectors.flip(-1)[:, :channels]
    largest = widest.gather(0, widest.abs().argmax(0, keepdim=True))
    return (widest * torch.where(largest < 0, -1.0, 1.0)).to(features.dtype)


def read_basis(path: str | Path) -> Tensor:
    """Read the basis of a feature folder.

    Args:
        path: ``basis.safetensors`` with one tensor, ``basis``.

    Returns:
        (D, K) float32.

    Raises:
        DataError: there is no such file, or it holds something else.
    """
    expected = "a safetensors file with a matrix named basis"
    try:
        tensors = load_file(path)
    except Exception as error:
        raise DataError(path, "content", expected, error) from error
    basis = tensors.get("basis")
    if basis is None or basis.ndim != 2 or not bool(basis.isfinite().all()):
        raise DataError(path, "content", expected, {name: tuple(value.shape) for name, value in tensors.items()})
    return basis.float()
