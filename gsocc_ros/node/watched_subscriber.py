# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A message_filters source that tells of publishers it cannot hear."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from message_filters import SimpleFilter
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_policy_name_from_kind
from rclpy.qos_overriding_options import QoSOverridingOptions

from gsocc_ros.messages.message_host import MessageHost
from gsocc_ros.pipeline.subscriptions import Subscription

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks


class WatchedSubscriber(SimpleFilter):
    """The source of a chain of message filters that tells of QoS mismatches; message_filters' own one is silent then.

    Args:
        node: Whose subscription.
        kind: Message class.
        topic: Topic.
        qos: QoS of the subscription; parameters ``qos_overrides.TOPIC.subscription.*`` change its history, depth and
            reliability.
        mismatch: Told the policy's name when a publisher's QoS does not fit.
        raw: Hand messages on serialised, as bytes; whatever came by now at once, because the executor's round from one
            message to the next costs more than reading it.
    """

    def __init__(
        self,
        node: Node,
        kind: type,
        topic: str,
        qos: QoSProfile,
        mismatch: Callable[[str], None],
        raw: bool = False,
    ) -> None:
        super().__init__()
        events = SubscriptionEventCallbacks(
            incompatible_qos=lambda event: mismatch(qos_policy_name_from_kind(event.last_policy_kind).lower())
        )
        self.subscription = node.create_subscription(
            kind, topic, self._take_all if raw else self.signalMessage, qos, event_callbacks=events, raw=raw,
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )  # fmt: skip

    def _take_all(self, message: bytes) -> None:
        subscription = self.subscription
        self.signalMessage(message)
        with subscription.handle:
            while (taken := subscription.handle.take_message(subscription.msg_type, True)) is not None:
                self.signalMessage(taken[0])


def subscribe(
    node: Node,
    host: MessageHost,
    wanted: Subscription,
    reliability: str,
    depth: int,
    receive: Callable[[Any], None],
    mismatch: Callable[[str], None],
) -> Any:
    """Subscribe to what a pipeline wants; transforms reliably, and serialised.

    Args:
        node: Whose subscription.
        host: Knows the message classes.
        wanted: Topic, type and whether it is latched.
        reliability: ``best_effort`` or ``reliable``, of all but transforms.
        depth: Of all but transforms, messages.
        receive: Takes the messages.
        mismatch: Told the policy's name when a publisher's QoS does not fit.

    Returns:
        The subscription.
    """
    is_transform = wanted.topic in {"/tf", "/tf_static"}
    best_effort = reliability == "best_effort" and not is_transform
    qos = QoSProfile(
        depth=100 if is_transform else depth,
        reliability=ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if wanted.latched else DurabilityPolicy.VOLATILE,
    )

    def told(policy: str) -> None:
        node.get_logger().warning(f"{wanted.topic}: a publisher offers an incompatible QoS ({policy})")
        mismatch(policy)

    kind = host.message_class(wanted.message_type)
    subscriber = WatchedSubscriber(node, kind, wanted.topic, qos, told, raw=is_transform)
    subscriber.registerCallback(receive)
    return subscriber.subscription
