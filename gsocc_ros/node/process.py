# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The node's process: start, spin, end cleanly on signals."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import Any

import gsocc_core._cores  # noqa: F401 - before anything imports NumPy or PyTorch

#: Signals that end the node; SIGHUP is that of a terminal which is closed.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _end_at_once(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - signature of a signal handler
    os._exit(0)


def main(arguments: Sequence[str] | None = None, uncalibrated: bool = False) -> int:
    """``ros2 run gsocc_ros occupancy_node``, and ``uncalibrated_node``.

    Args:
        arguments: Command line; None = that of the process.
        uncalibrated: Begin with the uncalibrated node; the occupancy node takes over when that is told to.

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
    executor = SingleThreadedExecutor()
    try:
        if uncalibrated and not _run_uncalibrated(executor, lambda: rclpy.ok() and not ended):
            rclpy.try_shutdown()
            return 0
        node = OccupancyNode()
    except GsoccError as error:
        rclpy.logging.get_logger("occupancy").error(str(error))
        rclpy.shutdown()
        return 2
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


def _run_uncalibrated(executor: Any, goes_on: Callable[[], bool]) -> bool:
    """Spin an uncalibrated node until it is told to hand over, which True says, or the process to end."""
    from rclpy.executors import ExternalShutdownException

    from gsocc_ros.node.uncalibrated_node import UncalibratedNode

    node = UncalibratedNode()
    executor.add_node(node)
    try:
        while goes_on() and not node.finished.is_set():
            executor.spin_once(timeout_sec=0.1)
        if node.finished.is_set():
            executor.spin_once(timeout_sec=0.5)  # the answer to whoever asked for it goes out
    except ExternalShutdownException:
        pass
    finally:
        executor.remove_node(node)
        node.destroy_node()
    return node.finished.is_set()
