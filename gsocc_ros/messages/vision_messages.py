# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Annotated boxes as vision_msgs/Detection3DArray, without that package being installed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rosbags.typesys import get_types_from_msg
from rosbags.typesys.store import Typestore

from gsocc_ros.messages.annotation_messages import BoxRecord, pose_with_covariance
from gsocc_ros.messages.message_host import MessageHost
from gsocc_ros.messages.occupancy_messages import pose_from_quat

#: The fields of vision_msgs 4 (Humble to Jazzy; Apache-2.0, https://github.com/ros-perception/vision_msgs), which
#: players and Foxglove know the topic by.
_DEFINITIONS = {
    "ObjectHypothesis": "string class_id\nfloat64 score\n",
    "ObjectHypothesisWithPose": "vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose\n",
    "BoundingBox3D": "geometry_msgs/Pose center\ngeometry_msgs/Vector3 size\n",
    "Detection3D": "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n"
    "vision_msgs/BoundingBox3D bbox\nstring id\n",
    "Detection3DArray": "std_msgs/Header header\nvision_msgs/Detection3D[] detections\n",
}


def register_vision_messages(types: Typestore) -> None:
    """Add the types to a rosbags type store."""
    definitions: dict[str, Any] = {}
    for name, text in _DEFINITIONS.items():
        definitions |= get_types_from_msg(text, f"vision_msgs/msg/{name}")
    types.register({name: value for name, value in definitions.items() if name not in types.types})


def detections(host: MessageHost, boxes: Iterable[tuple[str, BoxRecord]], stamp_ns: int, frame_id: str) -> Any:
    """A vision_msgs/Detection3DArray.

    Args:
        host: Whose message; its types hold vision_msgs.
        boxes: Identity of a thing, the same in all key frames, and its box.
        stamp_ns: Stamp.
        frame_id: Frame of the boxes.

    Returns:
        The message: class = nuScenes category, score 1, size along the box's x (length), y (width) and z.
    """
    header = host.header(stamp_ns, frame_id)
    items = []
    for identity, box in boxes:
        width, length, height = (float(v) for v in box.size_wlh_m)
        pose = pose_from_quat(host, box.quat_wxyz, box.center_m)
        result = host.make(
            "vision_msgs/msg/ObjectHypothesisWithPose",
            hypothesis=host.make("vision_msgs/msg/ObjectHypothesis", class_id=box.category, score=1.0),
            pose=pose_with_covariance(host, box.quat_wxyz, box.center_m),
        )
        size = host.make("geometry_msgs/msg/Vector3", x=length, y=width, z=height)
        bbox = host.make("vision_msgs/msg/BoundingBox3D", center=pose, size=size)
        items.append(host.make("vision_msgs/msg/Detection3D", header=header, results=[result], bbox=bbox, id=identity))
    return host.make("vision_msgs/msg/Detection3DArray", header=header, detections=items)
