# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Lifecycle transitions that neither hide an exception nor let one end the process."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

from lifecycle_msgs.srv import ChangeState
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


def refuse_out_of_order(node: LifecycleNode) -> None:
    """Answer requests for a transition that the present state does not have with ``success=False``.

    Up to Jazzy, rclpy raises them out of the executor, which ends the process: one ``configure`` to an active node.

    Args:
        node: Its ``change_state`` service is there.
    """
    for service in node.services:
        if service.srv_type is ChangeState:
            service.callback = _answering(node, service.callback)


def _answering(node: LifecycleNode, change: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def answer(request: Any, response: Any) -> Any:
        try:
            return change(request, response)
        except RuntimeError as error:  # rclpy's RCLError is one
            asked = request.transition.label or f"number {request.transition.id}"
            why = str(error).split(", at ")[0]  # behind it stands a file of rcl
            node.get_logger().error(f"change_state: transition {asked} is refused: {why}")
            response.success = False
            return response

    return answer
