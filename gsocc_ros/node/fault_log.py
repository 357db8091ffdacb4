# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Faults in the node's log, without flooding it, and exceptions that rclpy would swallow."""

from __future__ import annotations

import functools
import time
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

#: The same fault is logged at most so often, seconds.
LOG_EVERY_S = 5.0
#: So many different faults are remembered.
_REMEMBERED = 100

NodeT = TypeVar("NodeT", bound=LifecycleNode)
Transition = Callable[[NodeT, LifecycleState], TransitionCallbackReturn]


class FaultLog:
    """Logs errors, each at most every :data:`LOG_EVERY_S` seconds.

    Args:
        logger: The node's logger.
    """

    def __init__(self, logger: Any) -> None:
        self._logger = logger
        self._logged: dict[str, float] = {}

    def error(self, key: str, text: str) -> None:
        """Log an error, unless one with the same key was logged a moment ago."""
        now = time.monotonic()
        if now - self._logged.get(key, -LOG_EVERY_S) >= LOG_EVERY_S:
            if len(self._logged) > _REMEMBERED:
                self._logged.clear()
            self._logged[key] = now
            self._logger.error(text)


def told(transition: Transition[NodeT]) -> Transition[NodeT]:
    """Log what goes wrong in a lifecycle transition: rclpy swallows the exceptions of these callbacks."""

    @functools.wraps(transition)
    def wrapped(node: NodeT, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(node, state)
        except Exception:  # noqa: BLE001 - whatever it is, the state machine has an answer to it
            node.get_logger().error(f"{transition.__name__}:\n{traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR

    return wrapped
