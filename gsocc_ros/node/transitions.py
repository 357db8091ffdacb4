# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Lifecycle transitions that do not hide an exception."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from typing import TypeVar

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

NodeT = TypeVar("NodeT", bound=LifecycleNode)
Transition = Callable[[NodeT, LifecycleState], TransitionCallbackReturn]


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
