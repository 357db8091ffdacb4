# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What the pipeline wants, as subscriptions of the node."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.node import Node

from gsocc_ros.messages.message_host import MessageHost
from gsocc_ros.node.health import Health
from gsocc_ros.node.parameters import NodeSettings
from gsocc_ros.node.watched_subscriber import subscribe
from gsocc_ros.pipeline.occupancy_pipeline import OccupancyPipeline
from gsocc_ros.pipeline.subscriptions import Subscription


class PipelineInput:
    """Subscriptions that feed a pipeline; they exist from the beginning to :meth:`destroy`.

    After a change of model, :meth:`renew` subscribes to what the new one wants, and to nothing else.

    Args:
        node: Whose subscriptions.
        host: Knows the message classes.
        pipeline: To feed.
        settings: Reliability and depth of the subscriptions.
        health: Told of pictures and of offers that do not fit.
        is_enabled: Whether pictures are wanted at present.
        received: Called after every message that was filed.
        lost: Told of messages that cannot be read.
    """

    def __init__(
        self,
        node: Node,
        host: MessageHost,
        pipeline: OccupancyPipeline,
        settings: NodeSettings,
        health: Health,
        is_enabled: Callable[[], bool],
        received: Callable[[], None],
        lost: Callable[[Exception], None],
    ) -> None:
        self._node, self._host, self._pipeline, self._settings, self._health = node, host, pipeline, settings, health
        self._is_enabled, self._received, self._lost = is_enabled, received, lost
        self._cameras = {camera.topic: camera.name for camera in pipeline.rig.cameras}
        self._depths = {camera.depth_topic for camera in pipeline.rig.cameras}
        self._made: dict[str, Any] = {}
        try:
            self.renew()
        except Exception:
            self.destroy()  # half of them would feed a pipeline that nobody has
            raise

    def renew(self) -> None:
        """Listen to what the pipeline wants at present."""
        wanted = {subscription.topic: subscription for subscription in self._pipeline.subscriptions}
        for topic in self._made.keys() - wanted.keys():
            self._node.destroy_subscription(self._made.pop(topic))
        for topic, subscription in wanted.items():
            if topic not in self._made:
                self._made[topic] = self._subscribe(subscription)

    def destroy(self) -> None:
        """Listen no longer."""
        for subscription in self._made.values():
            self._node.destroy_subscription(subscription)
        self._made = {}

    def _subscribe(self, wanted: Subscription) -> Any:
        topic, settings = wanted.topic, self._settings
        camera = self._cameras.get(topic)
        only_enabled = camera is not None or topic in self._depths

        def receive(message: Any) -> None:
            if camera is not None:
                self._health.picture(camera, time.monotonic())
            if only_enabled and not self._is_enabled():
                return
            try:
                self._pipeline.feed(topic, message)
            except Exception as error:  # noqa: BLE001 - one broken message must not end the node
                self._lost(error)
            else:
                self._received()

        def mismatch(policy: str) -> None:
            self._health.incompatible_qos(self._node.resolve_topic_name(topic), policy)

        return subscribe(
            self._node, self._host, wanted, settings.image_reliability, settings.image_depth, receive, mismatch
        )
