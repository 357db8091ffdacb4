# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Faults in the node's log, without flooding it."""

from __future__ import annotations

import time
import traceback
from typing import Any

from gsocc_core.errors import GsoccError
from gsocc_ros.pipeline.faults import fault_kind, fault_text

#: The same kind of fault is logged at most so often, seconds.
LOG_EVERY_S = 5.0
#: So many different faults are remembered.
_REMEMBERED = 100


class FaultLog:
    """Logs exceptions, each kind of them at most every :data:`LOG_EVERY_S` seconds.

    The first of a kind that gsocc does not raise on purpose is logged with its traceback.

    Args:
        logger: The node's logger.
    """

    def __init__(self, logger: Any) -> None:
        self._logger = logger
        self._logged: dict[str, float] = {}

    def error(self, error: Exception, consequence: str) -> None:
        """Log an exception, unless one of its kind was logged a moment ago.

        Args:
            error: What was raised.
            consequence: What it costs, the beginning of the line.
        """
        now, kind = time.monotonic(), fault_kind(error)
        before = self._logged.get(kind)
        if before is not None and now - before < LOG_EVERY_S:
            return
        if len(self._logged) > _REMEMBERED:
            self._logged.clear()
        self._logged[kind] = now
        text = f"{consequence}: {fault_text(error)}"
        if before is None and not isinstance(error, GsoccError):
            text += "\n" + "".join(traceback.format_exception(error))
        self._logger.error(text)
