# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Rotary positions of tokens in a picture: attention depends on how far apart two tokens lie, row and column."""

from __future__ import annotations

import torch
from torch import Tensor


def rotary_angles(positions: Tensor, dim: int, base: float = 100.0) -> Tensor:
    """Angles by which the channels of one attention head turn (RoFormer, Su et al. 2021, eq. 15, on two axes).

    Args:
        positions: (P, 2) row and column.
        dim: Channels of a head, a multiple of 4: half belong to the row, half to the column.
        base: Ratio of the fastest to the slowest turn.

    Returns:
        (P, 2, dim / 4) float32: position * base^(-4 i / dim) of each axis and pair of channels i.
    """
    quarter = dim // 4
    rates = base ** -(torch.arange(quarter, device=positions.device, dtype=torch.float32) / quarter)
    return positions.float()[..., None] * rates


def rotate(heads: Tensor, angles: Tensor) -> Tensor:
    """Turn pairs of channels: within each axis's half, channel i pairs with channel i + dim / 4.

    Args:
        heads: (..., P, dim) queries or keys.
        angles: (P, 2, dim / 4) of :func:`rotary_angles`.

    Returns:
        (..., P, dim).
    """
    cos, sin = angles.cos().to(heads), angles.sin().to(heads)
    one, other = heads.unflatten(-1, (2, 2, angles.shape[-1])).unbind(-2)
    return torch.stack([one * cos - other * sin, other * cos + one * sin], dim=-2).flatten(-3)
