# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""One door for parallel numba kernels: numba's workqueue layer aborts the process when two threads enter it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numba
import numpy as np
import torch

#: Hold it, best through :func:`parallel_kernels`, while a kernel compiled with ``parallel=True`` runs.
PARALLEL_KERNELS = threading.RLock()


@contextmanager
def parallel_kernels() -> Iterator[int]:
    """Hold the process-wide lock and use as many threads as both numba and torch allow.

    Wrap every call of a kernel compiled with ``parallel=True`` in it, wherever it stands in the project.

    Yields:
        Number of threads: the smaller one of ``NUMBA_NUM_THREADS`` and ``torch.get_num_threads()``.

    Example:
        >>> with parallel_kernels() as threads:
        ...     threads >= 1
        True
    """
    with PARALLEL_KERNELS:
        before = numba.get_num_threads()
        threads = max(1, min(numba.config.NUMBA_NUM_THREADS, torch.get_num_threads()))
        numba.set_num_threads(threads)
        try:
            yield threads
        finally:
            numba.set_num_threads(before)


def balanced_order(costs: np.ndarray, threads: int) -> np.ndarray:
    """Order of work items in which equal consecutive shares cost about the same.

    numba hands each thread one consecutive share of a parallel loop, so dear items must not stand together.

    Args:
        costs: (T,) cost of each item.
        threads: Number of shares.

    Returns:
        (T,) int64 permutation.
    """
    order = np.argsort(-costs, kind="stable")
    return order if threads == 1 else np.concatenate([order[first::threads] for first in range(threads)])
