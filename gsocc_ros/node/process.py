# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The node's process: start, spin, end cleanly on signals."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType

#: Signals that end the node; SIGHUP is that of a terminal which is closed.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _end_at_once(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - signature of a signal handler
    os._exit(0)


def main(arguments: Sequence[str] | None = None) -> int:
    """``ros2 run gsocc_ros occupancy_node``.

    Args:
        arguments: Command line; None = that of the process.

    Returns:
        0 after a clean end, by a signal or otherwise; 2 when the node could not start.
    """
    # Importing PyTorch takes seconds, in which nothing is there yet that a signal would have to end.
    kept = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN  # nohup: the node outlives its terminal
    ending = ENDING[:2] if kept else ENDING
    for number in ending:
        signal.signal(number, _end_at_once)
    import rclpy
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions

    from gsocc_core.errors import GsoccError
    from gsocc_ros.node.occupancy_node import OccupancyNode

    ended = False

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - signature of a signal handler
        nonlocal ended
        ended = True

    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    for number in ending:
        signal.signal(number, end)
    try:
        node = OccupancyNode()
    except GsoccError as error:
        rclpy.logging.get_logger("occupancy").error(str(error))
        rclpy.shutdown()
        return 2
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        while rclpy.ok() and not ended:
            # A wait without end would not notice a signal.
            executor.spin_once(timeout_sec=0.1)
    except ExternalShutdownException:
        pass
    finally:
        with suppress(RuntimeError):  # raised when the state allows no shutdown, as after one by a lifecycle manager
            node.trigger_shutdown()
        executor.remove_node(node)
        node.destroy_node()
        rclpy.try_shutdown()
        # While the interpreter ends it gives handlers of signals back to the system, whose answer is to kill.
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)
    return 0
