# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Topics that a rig's pipeline wants, and their types."""

from __future__ import annotations

from dataclasses import dataclass

from gsocc_ros.pipeline.rig import Rig

TF_TYPE = "tf2_msgs/msg/TFMessage"
CAMERA_INFO_TYPE = "sensor_msgs/msg/CameraInfo"
PICTURE_TYPES = {"compressed": "sensor_msgs/msg/CompressedImage", "raw": "sensor_msgs/msg/Image"}


@dataclass(frozen=True)
class Subscription:
    """A topic that the pipeline wants.

    Attributes:
        topic: Its name.
        message_type: Its type, like ``sensor_msgs/msg/Image``.
        latched: Wants the last message sent before it subscribed (transient local).
    """

    topic: str
    message_type: str
    latched: bool = False


def rig_subscriptions(rig: Rig, depth: bool = False, reference: bool = True) -> tuple[Subscription, ...]:
    """Topics that a rig's pipeline wants: transforms, pictures, calibration, and the reference if there is one.

    Args:
        rig: The robot's cameras.
        depth: Depth beside the pictures too, of cameras that have some.
        reference: What gives the sets their stamps too, if the rig has such a topic.
    """
    topics = [Subscription("/tf_static", TF_TYPE, latched=True), Subscription("/tf", TF_TYPE)]
    for camera in rig.cameras:
        topics.append(Subscription(camera.topic, PICTURE_TYPES[camera.transport]))
        topics.append(Subscription(camera.camera_info_topic, CAMERA_INFO_TYPE))
        if depth and camera.depth_topic is not None:
            topics.append(Subscription(camera.depth_topic, PICTURE_TYPES[camera.depth_transport]))
    if reference and rig.reference is not None:
        topics.append(Subscription(rig.reference.topic, rig.reference.message_type))
    return tuple(topics)
