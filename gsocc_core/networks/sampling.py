# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Deformable sampling: interpolated values at predicted places, summed with predicted shares."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from gsocc_core.networks.sampling_kernels import spread_gradients, sum_samples
from gsocc_core.splat.threads import parallel_kernels


def weighted_samples(values: Tensor, places: Tensor, shares: Tensor) -> Tensor:
    """Interpolated values at sampling places, summed with their shares, per head.

    Args:
        values: (M, *size, H * C) maps or volumes of H heads, size of 2 or 3 axes.
        places: (M, K, H, S, 2 or 3) sampling places, 0..1 from border to border, in the reverse order of the axes
            (x y for a map of rows and columns), as ``grid_sample`` has it; outside is zero.
        shares: (M, K, H, S).

    Returns:
        (M, K, H * C).

    Example:
        >>> row = torch.tensor([1.0, 3.0]).view(1, 1, 2, 1)
        >>> middle = torch.tensor([0.5, 0.5]).view(1, 1, 1, 1, 2)
        >>> weighted_samples(row, middle, torch.ones(1, 1, 1, 1))
        tensor([[[2.]]])
    """
    tensors = (values, places, shares)
    plain = all(t.device.type == "cpu" and t.dtype == torch.float32 for t in tensors)
    if plain and places.shape[-1] == 2 and not torch.compiler.is_compiling():
        summed: Tensor = _WeightedSamples.apply(*tensors)
        return summed
    return _sampled_and_summed(*tensors)


def _sampled_and_summed(values: Tensor, places: Tensor, shares: Tensor) -> Tensor:
    """:func:`weighted_samples` for any axes, device and type, with a tensor of all samples."""
    m, k, heads, samples, axes = places.shape
    split = values.movedim(-1, 1).unflatten(1, (heads, -1)).flatten(0, 1)
    where = (places * 2 - 1).transpose(1, 2).reshape(m * heads, k, samples, *(1,) * (axes - 2), axes)
    sampled = functional.grid_sample(split, where.to(split.dtype), padding_mode="zeros", align_corners=False)
    shares = shares.transpose(1, 2).reshape(m * heads, 1, k, samples)
    summed = (sampled.view(m * heads, -1, k, samples) * shares).sum(-1)  # einsum would run a tiny bmm each
    return summed.view(m, -1, k).transpose(1, 2)


class _WeightedSamples(torch.autograd.Function):
    """Maps on the CPU in float32: one pass over the samples, which are never stored."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, places: Tensor, shares: Tensor) -> Tensor:
        values, places, shares = values.contiguous(), places.contiguous(), shares.contiguous()
        ctx.save_for_backward(values, places, shares)
        out = np.zeros((shares.shape[0] * shares.shape[1], values.shape[-1]), np.float32)
        with parallel_kernels():
            sum_samples(_rows(values), *values.shape[1:3], places.detach().numpy(), shares.detach().numpy(), out)
        return torch.from_numpy(out).view(*shares.shape[:2], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        values, places, shares = (value.detach() for value in ctx.saved_tensors)
        g_values, g_places, g_shares = torch.zeros_like(values), torch.empty_like(places), torch.empty_like(shares)
        with parallel_kernels():
            spread_gradients(
                _rows(values), *values.shape[1:3], places.numpy(), shares.numpy(), _rows(grad.contiguous()),
                _rows(g_values), g_places.numpy(), g_shares.numpy(),
            )  # fmt: skip
        return g_values, g_places, g_shares


def _rows(value: Tensor) -> np.ndarray:
    return value.detach().view(-1, value.shape[-1]).numpy()
