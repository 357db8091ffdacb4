# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""How a program ends: well, or with one line that says what is wrong. The door of every command line."""

from __future__ import annotations

import os
import select
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from gsocc_core.errors import GsoccError, how_to_go_on
from gsocc_core.whole import system_fault

#: Exit codes: something outside the program is wrong; the program is; Ctrl+C; SIGTERM.
WRONG_INPUT, WRONG_PROGRAM, INTERRUPTED, TERMINATED = 2, 1, 130, 143
#: Said after Ctrl+C where nothing else is: what is left, and how to go on.
GO_ON = "nothing is left of an output that was not complete; the same command begins anew"


class Terminated(KeyboardInterrupt):
    """SIGTERM came: whatever Ctrl+C cleans up is cleaned up."""


def run(program: str, work: Callable[[], object], *, debug: bool = False, go_on: str = GO_ON) -> int:
    """Do a program's work, and tell in one line on stderr what went wrong.

    Args:
        program: Its name.
        work: Everything, imports of heavy packages among it.
        debug: Raise instead of telling; GSOCC_DEBUG=1 in the environment does the same.
        go_on: Said after Ctrl+C and SIGTERM: what is left, and how to go on.

    Returns:
        Exit code: 0; 2 = input, files or machine are to blame; 130 and 143 = Ctrl+C and SIGTERM; 1 = the program is to
        blame.

    Example:
        >>> run("demo", lambda: None)
        0
    """
    debug = debug or bool(os.environ.get("GSOCC_DEBUG"))
    try:
        with _sigterm_raises():
            work()
            sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:
        if debug:
            raise
        if isinstance(error, BrokenPipeError) and _nobody_reads():  # whoever read the output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        code, line = _told(error, go_on)
        sys.stderr.write(f"{program}: {' '.join(line.split())}\n")
        return code
    return 0


def _nobody_reads() -> bool:
    """Whether stdout is a pipe whose reader has gone; another pipe may have broken."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(events & select.POLLERR for _, events in poll.poll(0))
    except (AttributeError, OSError, ValueError):  # no such call, or no real file
        return False


def _told(error: BaseException, go_on: str) -> tuple[int, str]:
    """Exit code and line of an error."""
    how = how_to_go_on(error)
    if isinstance(error, KeyboardInterrupt):
        ended = isinstance(error, Terminated)
        go_on = how or go_on
        return (TERMINATED, f"terminated; {go_on}") if ended else (INTERRUPTED, f"interrupted; {go_on}")
    left = f"; {how}" if how else ""
    if isinstance(error, GsoccError):
        outside = str(error)
    elif isinstance(error, OSError):
        outside = str(system_fault(error))
    elif isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        outside = f"memory: expected more of it, or less work at a time, received {str(error) or 'no more'}"
    elif isinstance(error, BrokenProcessPool):
        outside = "worker process: expected one that lives, received its end: memory is the usual reason"
    else:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}"
        advice = "Please report it; GSOCC_DEBUG=1 shows where it comes from"
        return WRONG_PROGRAM, f"error: {type(error).__name__} at {where}: {error}. {advice}{left}"
    return WRONG_INPUT, f"error: {outside}{left}"


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """SIGTERM ends the work as Ctrl+C does, where signals can be heard."""

    def terminate(number: int, frame: FrameType | None) -> None:
        del number, frame
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one would interrupt the cleaning up
        raise Terminated

    try:
        before = signal.signal(signal.SIGTERM, terminate)
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
