# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""How the node offers its outputs."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions

from gsocc_ros.messages.message_host import MessageHost
from gsocc_ros.messages.outputs import Output


def offer(node: Node, host: MessageHost, topic: str, output: Output) -> Any:
    """A publisher whose QoS can be overridden by parameters.

    Args:
        node: Whose.
        host: Knows the message classes.
        topic: Absolute name; the node's namespace goes before it.
        output: Type and durability.
    """
    qos = QoSProfile(depth=1)
    if output.latched:
        qos.durability = DurabilityPolicy.TRANSIENT_LOCAL
    kind = host.message_class(output.message_type)
    overrides = QoSOverridingOptions.with_default_policies()
    return node.create_publisher(kind, topic.lstrip("/"), qos, qos_overriding_options=overrides)
