# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Lists whose length depends on what is seen, and the mode in which every length is known beforehand.

A length that is read from a tensor makes the host wait for a GPU. A CUDA graph cannot hold that, and a compiled network
is cut in two there. In the mode of fixed sizes every list has its largest length: more work, the same result.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

# Of the whole process, for torch.compile reads no context variable: another thread's network does more work meanwhile.
_wanted = 0
_lock = threading.Lock()


@contextmanager
def fixed_sizes() -> Iterator[None]:
    """Networks do not read lengths from tensors.

    Example:
        >>> with fixed_sizes():
        ...     sizes_are_fixed()
        True
    """
    global _wanted  # noqa: PLW0603 - a number is what torch.compile can read
    with _lock:
        _wanted += 1
    try:
        yield
    finally:
        with _lock:
            _wanted -= 1


def sizes_are_fixed() -> bool:
    """Whether lengths may not be read from tensors."""
    return _wanted > 0


def seen_first(seen: Tensor) -> Tensor:
    """Places of what is seen, row by row, padded to the longest list with places of what is not.

    Args:
        seen: (M, N) bool.

    Returns:
        (M, K) int64, K = the most that a row has and at least 1; N where sizes are fixed.

    Example:
        >>> seen_first(torch.tensor([[False, True, True], [False, False, True]]))
        tensor([[1, 2],
                [2, 0]])
    """
    order = (~seen).to(torch.uint8).argsort(dim=-1, stable=True)
    return order if sizes_are_fixed() else order[:, : max(int(seen.sum(-1).max()), 1)]
