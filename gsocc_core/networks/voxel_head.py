# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""From features of voxels to class logits and a voxel field."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from gsocc_core.geometry.voxels import VoxelField, VoxelGrid
from gsocc_core.networks.activations import softplus


def field_of_logits(logits: Tensor, grid: VoxelGrid, free_channel: int) -> VoxelField:
    """A voxel field of class logits; its density is the probability that the voxel is occupied.

    Args:
        logits: (..., X, Y, Z, C), empty space included.
        grid: The grid.
        free_channel: Channel of empty space.

    Example:
        >>> grid = VoxelGrid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 1.0)
        >>> field_of_logits(torch.zeros(1, 1, 1, 4), grid, 3).density.item()
        0.75
    """
    return VoxelField(-torch.expm1(logits[..., free_channel] - logits.logsumexp(-1)), logits, grid)


class DenseHead(nn.Module):
    """Features of every voxel, and their class logits, from three planes.

    TPVFormer's head (Huang et al., CVPR 2023, section 3.5): a voxel's feature is the sum of its three shadows, which
    goes through linear, softplus, linear; a last layer classifies. The first linear layer is applied to the planes
    before the sum: it gives the same, for a small part of the work.
    """

    def __init__(self, dim: int, hidden: int, classes: int, checkpointing: bool = False) -> None:
        """Build for planes of ``dim`` channels; voxel features have ``dim`` channels too."""
        super().__init__()
        self.enter, self.leave = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        self.classify = nn.Linear(dim, classes)
        self.checkpointing = checkpointing

    def forward(self, planes: list[Tensor], shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
        """Logits and features of the voxels.

        Args:
            planes: xy (B, dim, X', Y'), yz (B, dim, Y', Z') and xz (B, dim, X', Z') of any size.
            shape: X, Y, Z.

        Returns:
            Logits (B, X, Y, Z, classes) and features (B, X, Y, Z, dim).
        """
        x, y, z = shape
        parts = []
        for plane, size, missing in zip(planes, ((x, y), (y, z), (x, z)), (3, 1, 2)):
            # Every shadow adds a third of the bias; interpolation leaves a constant alone.
            entered = functional.linear(plane.movedim(1, -1), self.enter.weight, self.enter.bias / len(planes))
            entered = functional.interpolate(entered.movedim(-1, 1), size=size, mode="bilinear", align_corners=False)
            parts.append(entered.movedim(1, -1).unsqueeze(missing))
        if self.checkpointing and self.training:
            logits, features = checkpoint(self._voxels, *parts, use_reentrant=False)
            return logits, features
        return self._voxels(*parts)

    def _voxels(self, xy: Tensor, yz: Tensor, xz: Tensor) -> tuple[Tensor, Tensor]:
        features = self.leave(softplus(xy + yz + xz))
        return self.classify(features), features
