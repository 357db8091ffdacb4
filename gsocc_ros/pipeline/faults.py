# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Faults that cost a message or a set: told apart by what is wrong, counted, and told once each."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Mapping
from pathlib import Path

from gsocc_core.errors import GsoccError

_log = logging.getLogger(__name__)
#: The part of an error's place that differs from message to message.
_WHEN = re.compile(r" at (log time )?-?\d+ ns")


def fault_kind(error: Exception) -> str:
    """What is wrong, in words that stay the same when it happens again.

    Args:
        error: Any exception.

    Returns:
        Place and key of an error that gsocc raises on purpose, without its stamp; type, file and line of any other one.

    Example:
        >>> from gsocc_core.errors import DataError
        >>> fault_kind(DataError("/front/image at 1700000000000000000 ns", "content", "a JPEG", "3 bytes"))
        '/front/image: content'
    """
    if isinstance(error, GsoccError):
        return f"{_WHEN.sub('', str(error.where))}: {error.key}"
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"


def fault_text(error: Exception) -> str:
    """An error in one line; of one that gsocc does not raise on purpose, the type comes first."""
    return str(error) if isinstance(error, GsoccError) else f"{type(error).__name__}: {error}"


class Faults:
    """Counts faults by kind, and tells the first one of each kind in Python's log.

    One that gsocc does not raise on purpose is told with its traceback.

    Args:
        consequence: What becomes of the message or set, for the log.

    Example:
        >>> faults = Faults("left out")
        >>> faults.first is None, dict(faults.counts)
        (True, {})
    """

    def __init__(self, consequence: str) -> None:
        self._consequence = consequence
        self._counts: dict[str, int] = {}
        self.first: Exception | None = None

    @property
    def counts(self) -> Mapping[str, int]:
        """How many, by :func:`fault_kind`, in the order in which the kinds first came."""
        return self._counts

    def add(self, error: Exception) -> None:
        """Count a fault."""
        self.first = self.first or error
        kind = fault_kind(error)
        if kind not in self._counts:
            unexpected = None if isinstance(error, GsoccError) else error
            _log.warning("%s: %s", self._consequence, fault_text(error), exc_info=unexpected)
        self._counts[kind] = self._counts.get(kind, 0) + 1
