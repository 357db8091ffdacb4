# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""From a teacher's features to the few channels that Gaussians carry, and back."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class SemanticHead(nn.Module):
    """Linear reduction and expansion between a teacher's space and the Gaussians' (Uni3R, section 3).

    Args:
        teacher: Channels of the teacher's features and of text embeddings.
        dim: Channels that a Gaussian carries.
    """

    def __init__(self, teacher: int = 512, dim: int = 64) -> None:
        super().__init__()
        self.reduction, self.expansion = nn.Conv2d(teacher, dim, 1), nn.Conv2d(dim, teacher, 1)

    def reduce(self, features: Tensor, size: tuple[int, int]) -> Tensor:
        """The teacher's features of the views, one per Gaussian.

        Args:
            features: (M, teacher, h, w).
            size: (H, W) of the Gaussians' grid.

        Returns:
            (M, dim, H, W).
        """
        return functional.interpolate(self.reduction(features), size, mode="bilinear", align_corners=False)

    def expand(self, rendered: Tensor) -> Tensor:
        """Rendered features in the teacher's space, at half the size, as the teacher gives them.

        Args:
            rendered: (..., H, W, dim).

        Returns:
            (..., H // 2, W // 2, teacher).
        """
        leading, (height, width) = rendered.shape[:-3], rendered.shape[-3:-1]
        flat = rendered.flatten(0, -4) if leading else rendered[None]
        half = (max(height // 2, 1), max(width // 2, 1))
        smaller = functional.interpolate(flat.movedim(-1, 1), half, mode="bilinear", align_corners=False)
        return self.expansion(smaller).movedim(1, -1).reshape(*leading, *half, -1)

    def expand_each(self, features: Tensor) -> Tensor:
        """Features of Gaussians (..., dim) in the teacher's space (..., teacher), for words."""
        return functional.linear(features, self.expansion.weight.flatten(1), self.expansion.bias)
