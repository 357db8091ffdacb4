# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""How worker processes start: never as a copy of a process in the middle of its work."""

from __future__ import annotations

import logging
import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing.context import BaseContext
from multiprocessing.synchronize import Semaphore
from types import FrameType

from gsocc_core.announcing import hear_compiling, is_heard


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


@contextmanager
def worker_pool(
    count: int, context: BaseContext, start: Callable[..., None] | None = None, *given: object
) -> Iterator[ProcessPoolExecutor]:
    """A pool whose workers leave Ctrl+C to this process, and end at once when the block raises.

    What they were writing is left to whoever raised: it knows the names.

    Args:
        count: Number of workers.
        context: See :func:`worker_context`.
        start: Called in every worker first.
        given: Its arguments.

    Yields:
        The pool.

    Example:
        >>> with worker_pool(2, worker_context("math")) as pool:
        ...     list(pool.map(abs, [-1, 2]))
        [1, 2]
    """
    one_speaks = context.Semaphore(1) if is_heard() else None
    with ProcessPoolExecutor(count, context, initializer=_start, initargs=(one_speaks, start, given)) as pool:
        try:
            with _signals_held():  # who begins to start when this process ends looks for what is gone, and tells of it
                for _ in range(count):
                    pool.submit(_nothing)
            yield pool
        except BaseException:
            for process in list((pool._processes or {}).values()):  # noqa: SLF001 - a pool does not end its workers
                process.terminate()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


@contextmanager
def _signals_held() -> Iterator[None]:
    """SIGINT and SIGTERM wait for the end of the block; in other threads than the main one they never come."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    handlers = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    ours = {each: handler for each, handler in handlers.items() if handler is not None}  # None: not set by Python
    for each in ours:
        signal.signal(each, lambda number, _: held.append(number))
    try:
        yield
    finally:
        for each, handler in ours.items():
            signal.signal(each, handler)
    for number in held[:1]:
        signal.raise_signal(number)


def _nothing() -> None:
    """What a worker does first, so that it is there."""


def _start(one_speaks: Semaphore | None, start: Callable[..., None] | None, given: tuple[object, ...]) -> None:
    if one_speaks is not None:
        hear_compiling(partial(one_speaks.acquire, block=False))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)  # by way of the interpreter, which gives back what the worker shares
    # The pool tells of an initialiser that raises; one that is ended here is no news.
    logging.getLogger("concurrent.futures").addFilter(
        lambda told: not told.exc_info or told.exc_info[0] is not SystemExit
    )
    if start is not None:
        start(*given)


def _end(number: int, frame: FrameType | None) -> None:
    del frame
    sys.exit(128 + number)
