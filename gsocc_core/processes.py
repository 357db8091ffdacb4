# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""How worker processes start: never as a copy of a process in the middle of its work."""

from __future__ import annotations

import multiprocessing
import sys
from multiprocessing.context import BaseContext


def worker_context(*modules: str) -> BaseContext:
    """A way to start worker processes in which numba and PyTorch work.

    A forked child inherits locks of threads that it does not have: numba's OpenMP layer ends it, its workqueue hangs.
    On Linux workers are forked from a server process instead, in which nothing ran yet but imports, so that PyTorch
    is imported once and not by every worker. Elsewhere each worker begins from nothing (``spawn``).

    The server belongs to the process: it lives, with what it imported, until the process ends; workers see
    ``os.environ`` as it was when the server began; of several lists of modules the last one before that counts.

    Args:
        modules: What the workers need. What the server cannot import is left to the workers.

    Returns:
        For :class:`multiprocessing.Process`, pools and executors. As with ``spawn``, functions and arguments are
        pickled, and the program's main module must be importable.

    Example:
        >>> from concurrent.futures import ProcessPoolExecutor
        >>> with ProcessPoolExecutor(2, worker_context("math")) as pool:
        ...     list(pool.map(abs, [-1, 2]))
        [1, 2]
    """
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(modules))
    return context
