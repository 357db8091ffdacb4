# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a recording has what a rig and a model need, before anything is predicted."""

from __future__ import annotations

from pathlib import Path

from gsocc_core.errors import DataError
from gsocc_core.methods.method import InputUse
from gsocc_ros.bags.recording import Recording
from gsocc_ros.messages.outputs import GROUND_TRUTH_TOPIC
from gsocc_ros.pipeline.rig import Rig
from gsocc_ros.pipeline.subscriptions import rig_subscriptions


def check_topics(
    recording: Recording, bag: str | Path, rig: Rig, only_keyframes: bool = False, depth: InputUse = "unused"
) -> None:
    """Check, before anything is predicted, that a recording has what a rig needs.

    Args:
        recording: The open recording.
        bag: Its path, for errors.
        rig: The robot's cameras.
        only_keyframes: Ground truth is needed.
        depth: What the model does with depth.

    Raises:
        DataError: a topic is absent, has another type than the rig says, or one whose definition cannot be read.
    """
    topics = recording.topics
    there = {name: info.msgtype for name, info in topics.items() if info.msgcount}
    settings = rig.sync_settings()
    absent = [camera for camera in rig.cameras if camera.topic not in there]
    present = len(rig.cameras) - len(absent)
    anchorless = settings.policy == "anchor" and any(camera.name == rig.anchor for camera in absent)
    if absent and (present < settings.smallest_set or anchorless):
        names = ", ".join(camera.topic for camera in absent)
        need = f"pictures of {settings.smallest_set} of {len(rig.cameras)} cameras (policy {rig.policy}, min_cameras)"
        if anchorless:
            need += f" with the anchor {rig.anchor} among them"
        raise DataError(bag, names, need, f"{present}; picture topics in the recording: {_pictures(there)}")
    wishes = rig_subscriptions(rig, depth != "unused")
    for wanted in wishes:
        kind = there.get(wanted.topic)
        if kind is not None and kind != wanted.message_type:
            raise DataError(bag, wanted.topic, f"messages of type {wanted.message_type} as in {rig.path}", kind)
    for camera in rig.cameras:
        if camera not in absent and camera.camera_info_topic not in there:
            expected = f"sensor_msgs/msg/CameraInfo of {camera.name}"
            raise DataError(bag, camera.camera_info_topic, expected, "no message")
    if "/tf" not in there and "/tf_static" not in there:
        raise DataError(bag, "/tf_static", f"transforms from {rig.base_frame} to the cameras", "no message")
    depths = [camera.depth_topic for camera in rig.cameras if camera.depth_topic is not None]
    if depth == "required" and depths and not any(topic in there for topic in depths):
        received = f"none; picture topics in the recording: {_pictures(there)}"
        raise DataError(bag, ", ".join(depths), "depth of at least one camera, which the model requires", received)
    needed = {item.topic for item in wishes}
    for connection in recording.connections:
        if connection.topic in needed:
            recording.types_of(connection)
    if only_keyframes and GROUND_TRUTH_TOPIC not in there:
        raise DataError(bag, GROUND_TRUTH_TOPIC, "ground truth to choose key frames by", "no message")


def _pictures(there: dict[str, str | None]) -> list[str]:
    return sorted(name for name, kind in there.items() if kind and kind.endswith("Image"))
