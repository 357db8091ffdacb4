# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Predictions as publications of the node: of one set, and fused over time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rclpy.node import Node

from gsocc_core import ClassTable, OccupancyPredictor
from gsocc_ros.messages.message_host import MessageHost
from gsocc_ros.messages.navigation import ObstacleRule
from gsocc_ros.messages.occupancy_messages import class_table
from gsocc_ros.messages.outputs import CLASSES_TOPIC, FUSED_OUTPUTS, LATENCY_TOPIC, OUTPUTS, OutputMessages
from gsocc_ros.node.publishers import offer
from gsocc_ros.pipeline.fusion import FusedMap
from gsocc_ros.pipeline.occupancy_pipeline import Occupancy


class OccupancyOutput:
    """Publishers of everything about predictions; messages are built for topics that somebody hears.

    Args:
        node: Whose publishers.
        host: Makes the messages.
        frame_id: Name of the base frame.
        rule: What counts as an obstacle.
        fused: Map that predictions are fused into; None = none is published.
    """

    def __init__(
        self, node: Node, host: MessageHost, frame_id: str, rule: ObstacleRule, fused: FusedMap | None
    ) -> None:
        self._node, self._host, self._frame, self._rule, self._fused = node, host, frame_id, rule, fused
        self._messages: OutputMessages | None = None
        self._publishers: dict[str, Any] = {}
        try:
            for topic, output in {**OUTPUTS, **(FUSED_OUTPUTS if fused else {})}.items():
                self._publishers[topic] = offer(node, host, topic, output)
        except Exception:
            self.destroy()
            raise

    def use(self, predictor: OccupancyPredictor) -> None:
        """Begin with a model, or go on with another one: its name, an empty map."""
        self._messages = OutputMessages(self._host, self._frame, predictor.bundle.id, rule=self._rule)
        self.forget()

    def announce(self, classes: ClassTable) -> None:
        """Publish the class table, for whoever comes later too."""
        stamp = self._node.get_clock().now().nanoseconds
        self._publishers[CLASSES_TOPIC].publish(class_table(self._host, classes, stamp, self._frame))

    def forget(self) -> None:
        """Empty the fused map."""
        if self._fused is not None:
            self._fused.reset()

    def heard(self) -> list[str]:
        """Topics of predictions that somebody hears."""
        found = self._publishers.items()
        return [topic for topic, one in found if topic != CLASSES_TOPIC and one.get_subscription_count() > 0]

    def publish(self, occupancy: Occupancy) -> dict[str, float]:
        """Publish a prediction.

        Args:
            occupancy: Prediction of the model in use.

        Returns:
            Milliseconds per stage: those of the pipeline, ``messages``, and ``fusion`` where there is a map.
        """
        messages = self._messages
        assert messages is not None
        start = time.perf_counter()
        publishers = self._publishers
        heard = self.heard()
        for topic, message in messages.build(occupancy.prediction, heard):
            publishers[topic].publish(message)
        built = time.perf_counter()
        latency_ms = {**occupancy.latency_ms, "messages": (built - start) * 1e3}
        T_world_ego = occupancy.ready.T_world_ego
        if self._fused is not None and T_world_ego is not None:
            stamp = occupancy.prediction.reference_stamp_ns
            grid = self._fused.update(occupancy.prediction.grid, T_world_ego, stamp)
            for topic, message in messages.fused(grid, stamp, heard):
                publishers[topic].publish(message)
            latency_ms["fusion"] = (time.perf_counter() - built) * 1e3
        return latency_ms

    def tell_latency(self, occupancy: Occupancy, latency_ms: Mapping[str, float]) -> None:
        """Publish where the time went, when all is done.

        Args:
            occupancy: What was published.
            latency_ms: Milliseconds per stage.
        """
        publisher = self._publishers[LATENCY_TOPIC]
        if self._messages is not None and publisher.get_subscription_count() > 0:
            for _, message in self._messages.latency(occupancy.prediction, latency_ms):
                publisher.publish(message)

    def destroy(self) -> None:
        """Take the publishers down."""
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)
        self._publishers = {}
