# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Constant tensors on a device, uploaded once: an upload makes the host wait for a GPU, and no CUDA graph holds it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Numbers = tuple[float, ...] | tuple[tuple[float, ...], ...]


def constant(values: Numbers, like: Tensor) -> Tensor:
    """Numbers as a tensor of another one's type and device.

    Args:
        values: Numbers, or rows of numbers.
        like: Says type and device.

    Returns:
        The tensor, shared by all who ask: do not write.

    Example:
        >>> constant((1.0, 2.0), torch.zeros(1, dtype=torch.float64))
        tensor([1., 2.], dtype=torch.float64)
    """
    if torch.compiler.is_compiling():
        return like.new_tensor(values)
    return _kept(values, like.dtype, like.device)


@functools.lru_cache(maxsize=64)
def kept_on(device: torch.device, make: Callable[..., Tensor], *arguments: Any) -> Tensor:
    """What a function makes on the CPU, on a device.

    Args:
        device: Where.
        make: Gives the same tensor for the same arguments.
        arguments: Hashable.

    Returns:
        The tensor, shared by all who ask: do not write.
    """
    with torch.inference_mode(False):
        return make(*arguments).to(device)


@functools.lru_cache(maxsize=256)
def _kept(values: Numbers, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # a training may be the next to ask
        return torch.tensor(values, dtype=dtype, device=device)
