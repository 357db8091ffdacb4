# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The node's health on /diagnostics."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rclpy.node import Node

from gsocc_ros.messages.message_host import MessageHost
from gsocc_ros.node.health import Status


class Diagnostics:
    """Publishes statuses as a diagnostic_msgs/DiagnosticArray.

    Args:
        node: Whose publisher; its name with its namespace stands before that of every status.
        host: Makes the messages.
        rig: Name of the rig; with the node's namespace it is the hardware_id.
    """

    def __init__(self, node: Node, host: MessageHost, rig: str) -> None:
        self._node, self._host = node, host
        # All robots share one topic.
        self._name = node.get_fully_qualified_name().lstrip("/")
        self._hardware = f"{node.get_namespace()}/{rig}".lstrip("/")
        kind = host.message_class("diagnostic_msgs/msg/DiagnosticArray")
        self._publisher: Any = node.create_publisher(kind, "/diagnostics", 10)

    def publish(self, statuses: Iterable[Status]) -> None:
        """Publish, stamped with the node's present time."""
        make, node = self._host.make, self._node
        items = [
            make(
                "diagnostic_msgs/msg/DiagnosticStatus",
                level=bytes([status.level]),
                name=f"{self._name}: {status.name}",
                message=status.message,
                hardware_id=self._hardware,
                values=[make("diagnostic_msgs/msg/KeyValue", key=k, value=v) for k, v in status.values.items()],
            )
            for status in statuses
        ]
        header = self._host.header(node.get_clock().now().nanoseconds, "")
        self._publisher.publish(make("diagnostic_msgs/msg/DiagnosticArray", header=header, status=items))

    def destroy(self) -> None:
        """Take the publisher down."""
        self._node.destroy_publisher(self._publisher)
