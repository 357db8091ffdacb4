# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What a program says before its work has anything to show: that it lives, and that kernels are compiled."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Told at level INFO when this process begins to compile kernels.
COMPILING = logging.getLogger("gsocc_core.compiling.begins")
#: Silence after which a program says that it lives, seconds.
SILENCE_S = 0.5


@contextmanager
def announced(program: str) -> Iterator[None]:
    """Say that a program lives unless it ends at once, and, if so, that kernels are compiled; on stderr.

    Importing PyTorch and compiling kernels take long before the first bar of progress appears.

    Args:
        program: Its name, and that of the command.

    Example:
        >>> with announced("demo"):
        ...     print("done")
        done
    """
    line = f"{program}: starting; kernels that this machine has not compiled yet take up to half a minute"
    timer = threading.Timer(SILENCE_S, _say, (line,))
    timer.daemon = True
    hear_compiling()
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        COMPILING.handlers.clear()


def hear_compiling(may_speak: Callable[[], bool] = lambda: True) -> None:
    """Let this process say on stderr when it begins to compile kernels.

    Args:
        may_speak: Asked then: of several processes that compile the same only one needs to say so.
    """
    COMPILING.setLevel(logging.INFO)
    COMPILING.propagate = False
    COMPILING.handlers[:] = [_Line(may_speak)]


def is_heard() -> bool:
    """Whether this process says when it begins to compile kernels."""
    return bool(COMPILING.handlers)


class _Line(logging.Handler):
    def __init__(self, may_speak: Callable[[], bool]) -> None:
        super().__init__()
        self._may_speak = may_speak

    def emit(self, record: logging.LogRecord) -> None:
        if self._may_speak():
            _say(record.getMessage())


def _say(line: str) -> None:
    """Write a line, above bars of progress where there are some."""
    bars = sys.modules.get("tqdm")
    if hasattr(bars, "tqdm"):
        bars.tqdm.write(line, file=sys.stderr)  # type: ignore[union-attr]
    else:
        sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
