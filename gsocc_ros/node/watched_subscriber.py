# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A message_filters source that tells of publishers it cannot hear."""

from __future__ import annotations

from collections.abc import Callable

from message_filters import SimpleFilter
from rclpy.node import Node
from rclpy.qos import QoSProfile, qos_policy_name_from_kind
from rclpy.qos_overriding_options import QoSOverridingOptions

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
