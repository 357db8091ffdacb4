# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Two robots on one /diagnostics are told apart."""

import pytest

from gsocc_ros.node.health import Level, Status

pytestmark = pytest.mark.ros
rclpy = pytest.importorskip("rclpy")


def test_two_robots_share_the_topic_and_neither_names_nor_hardware():
    from gsocc_ros.messages.message_host import rclpy_host
    from gsocc_ros.node.diagnostics import Diagnostics

    context, sent = rclpy.Context(), []
    rclpy.init(context=context)
    for namespace in ("", "/robot1", "/team/robot2"):
        node = rclpy.create_node("occupancy", namespace=namespace, context=context)
        diagnostics = Diagnostics(node, rclpy_host(), "my_rig")
        assert diagnostics._publisher.topic_name == "/diagnostics"
        diagnostics._publisher = type("Ear", (), {"publish": sent.append})
        diagnostics.publish([Status(Level.WARN, "output", "text", {"sets": "3"})])
        node.destroy_node()
    rclpy.shutdown(context=context)
    statuses = [message.status[0] for message in sent]
    assert [(s.name, s.hardware_id) for s in statuses] == [
        ("occupancy: output", "my_rig"),
        ("robot1/occupancy: output", "robot1/my_rig"),
        ("team/robot2/occupancy: output", "team/robot2/my_rig"),
    ]
    assert (statuses[0].level, statuses[0].values[0].key, statuses[0].values[0].value) == (b"\x01", "sets", "3")
