# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Ground truth that comes along with the pictures: to the evaluation, and as a cloud to whoever looks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

from gsocc_ros.messages.message_host import MessageHost
from gsocc_ros.messages.occupancy_messages import voxel_cloud
from gsocc_ros.messages.outputs import GROUND_TRUTH_TOPIC, TRUTH_CLASSES_TOPIC, TRUTH_VOXELS_TOPIC
from gsocc_ros.node.live_evaluation import LiveEvaluation
from gsocc_ros.pipeline.camera_input import stamp_ns


class TruthInput:
    """Subscriptions to ground truth and its class table, and a publisher of its voxels.

    Args:
        node: Whose subscriptions.
        host: Makes the messages.
        lost: Told of messages that cannot be read.
    """

    def __init__(self, node: Node, host: MessageHost, lost: Callable[[Exception], None]) -> None:
        self._node, self._host, self._lost = node, host, lost
        self.evaluation = LiveEvaluation()
        cloud = host.message_class("sensor_msgs/msg/PointCloud2")
        self._voxels: Any = node.create_publisher(cloud, TRUTH_VOXELS_TOPIC, QoSProfile(depth=1))

    def subscribe(self) -> list[Any]:
        """Begin to listen; the caller destroys the subscriptions."""
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        table, truth = (
            self._host.message_class(f"gsocc_ros/msg/{kind}") for kind in ("SemanticClassTable", "SemanticOccupancy")
        )
        return [
            self._node.create_subscription(table, TRUTH_CLASSES_TOPIC, self._receive_table, latched),
            self._node.create_subscription(truth, GROUND_TRUTH_TOPIC, self._receive, QoSProfile(depth=5)),
        ]

    def _receive_table(self, message: Any) -> None:
        try:
            self.evaluation.add_table(message)
        except Exception as error:  # noqa: BLE001 - one broken message must not end the node
            self._lost(error)

    def _receive(self, message: Any) -> None:
        try:
            grid = self.evaluation.add_truth(message, time.monotonic())
            if self._voxels.get_subscription_count() > 0:
                header = message.header
                self._voxels.publish(voxel_cloud(self._host, grid, stamp_ns(header), header.frame_id))
        except Exception as error:  # noqa: BLE001 - one broken message must not end the node
            self._lost(error)

    def destroy(self) -> None:
        """Take the publisher down."""
        self._node.destroy_publisher(self._voxels)
