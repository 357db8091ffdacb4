# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Features of a scene that live where a text encoder's embeddings live, so that any word can be compared with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from gsocc_core.errors import ShapeError


@dataclass(frozen=True)
class TextFeatures:
    """Text-aligned features beside a scene, whose own features are what voxels vote on.

    Attributes:
        values: (..., N, E) of Gaussians or (..., X, Y, Z, E) of a voxel field, of any length, in the space that
            ``basis`` leads to.
        basis: (D, E): an embedding e of the encoder is e @ basis in that space; None = it is the encoder's own.
        encoder: Name of the encoder, see :func:`gsocc_core.text.encoder.load_text_encoder`.

    Raises:
        ShapeError: the shapes do not fit each other.

    Example:
        >>> import torch
        >>> features = TextFeatures(torch.ones(5, 3), torch.eye(4, 3), "wordllama")
        >>> features.project(torch.ones(2, 4)).shape
        torch.Size([2, 3])
    """

    values: Tensor
    basis: Tensor | None
    encoder: str

    def __post_init__(self) -> None:
        if self.values.ndim < 2:
            raise ShapeError("TextFeatures", "values", "(..., N, E) or (..., X, Y, Z, E)", tuple(self.values.shape))
        width = self.values.shape[-1]
        if self.basis is not None and (self.basis.ndim != 2 or self.basis.shape[1] != width):
            raise ShapeError("TextFeatures", "basis", f"(D, {width})", tuple(self.basis.shape))

    def map(self, function: Callable[[Tensor], Tensor]) -> TextFeatures:
        """Apply a tensor function (``lambda t: t[0]``) to the values; the basis belongs to all of them."""
        return replace(self, values=function(self.values))

    def project(self, embeddings: Tensor) -> Tensor:
        """Embeddings in the space of the values.

        Args:
            embeddings: (Q, D) of the encoder.

        Returns:
            (Q, E), on the device and in the type of the values.

        Raises:
            ShapeError: the embeddings have another length than those of the encoder.
        """
        moved = embeddings.to(self.values.device, self.values.dtype)
        expected = self.values.shape[-1] if self.basis is None else self.basis.shape[0]
        if moved.ndim != 2 or moved.shape[1] != expected:
            raise ShapeError("TextFeatures", "embeddings", f"(Q, {expected})", tuple(moved.shape))
        return moved if self.basis is None else moved @ self.basis.to(moved)
