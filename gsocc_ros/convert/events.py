# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Messages of a recording before they are made: topics, frames and QoS of a converted scene."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rosbags.interfaces import Qos

from gsocc_ros.bags.bag_files import qos_profile
from gsocc_ros.messages.outputs import GROUND_TRUTH_TOPIC

WORLD_FRAME, BASE_FRAME = "map", "base_link"
ODOMETRY_TOPIC, BOXES_TOPIC, MAP_TOPIC = "/odom", "/annotations", "/map"
WHEELS_TOPIC = "/wheel_speed"
DETECTIONS_TOPIC, POINT_LABELS_TOPIC = "/annotations/detections", "/lidar_top/labels"
SURROUNDOCC_TOPIC = f"{GROUND_TRUTH_TOPIC}/surroundocc"
#: A reliable offer suits every subscriber, also best-effort ones.
SENSOR_DATA, STREAM, LATCHED = qos_profile(5), qos_profile(100), qos_profile(1, latched=True)


@dataclass(frozen=True)
class Event:
    """One message to be written: when, where, and how to make it (late, so that one picture is in memory at a time)."""

    stamp_ns: int
    order: int
    topic: str
    message_type: str
    qos: Qos
    build: Callable[[], Any]


def topic_of(channel: str) -> str:
    """Topic prefix of a nuScenes channel: CAM_FRONT -> /cam_front."""
    return f"/{channel.lower()}"


def frame_of(channel: str, modality: str = "lidar") -> str:
    """Frame of a channel by its modality: CAM_FRONT, camera -> cam_front_optical_frame; LIDAR_TOP -> lidar_top."""
    name = channel.lower()
    return f"{name}_optical_frame" if modality == "camera" else name
