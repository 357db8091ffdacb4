# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Plays a recording over real DDS, with faults on request: python player.py BAG [--rate R] [--loops N] ...

It starts for every play, so it imports nothing of gsocc, which would bring PyTorch: seconds each time.
"""

import argparse
import random
import time

import numpy as np
import rclpy
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.rosbag2 import Reader
from rosidl_runtime_py.utilities import get_message


def schedule(messages, options, chance):
    """(time to send, topic, stamp, bytes) of what arrives, in that order."""
    sent = []
    for topic, stamp, raw in messages:
        is_picture = "image" in topic and "camera_info" not in topic
        if is_picture and chance.random() < options.loss:
            continue
        late = chance.uniform(0, options.jitter_ms * 1e6) if is_picture else 0.0
        sent.append((stamp + late, topic, stamp, raw))
    return sorted(sent, key=lambda item: item[0])


def spoilt(raw, kind, chance):
    """A message with one of the faults that robots know, chosen by chance; None = it is lost."""
    message = deserialize_message(raw, kind)
    fault = chance.choice(["lost", "broken", "stamp 0", "an hour ahead", "late", "frame"])
    if fault == "lost":
        return None
    header = message.transforms[0].header if hasattr(message, "transforms") else message.header
    if fault == "broken":
        if hasattr(message, "transforms"):
            message.transforms[0].transform.rotation.w = 0.0
        elif hasattr(message, "k"):
            message.k = np.zeros(9)
        elif len(message.data):
            message.data = message.data[: len(message.data) // 2]
    elif fault == "frame":
        header.frame_id = "nowhere"
    elif fault == "stamp 0":
        header.stamp.sec = header.stamp.nanosec = 0
    else:
        header.stamp.sec += 3600 if fault == "an hour ahead" else -1
    return serialize_message(message)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bag")
    parser.add_argument("--rate", type=float, default=1.0)
    parser.add_argument("--loops", type=int, default=1)
    parser.add_argument("--drop", default="", help="leave messages of this topic out ...")
    parser.add_argument("--drop_from", type=float, default=0.0, help="... from this share of the recording ...")
    parser.add_argument("--drop_to", type=float, default=1.0, help="... to this one")
    parser.add_argument("--best_effort", default="", help="publish this topic so")
    parser.add_argument("--late_tf_s", type=float, default=0.0, help="hold /tf_static back for so long")
    parser.add_argument("--loss", type=float, default=0.0, help="share of the pictures that get lost, each by chance")
    parser.add_argument(
        "--jitter_ms", type=float, default=0.0, help="pictures come up to so much later, each by chance"
    )
    parser.add_argument("--faults", type=float, default=0.0, help="share of all messages that something is wrong with")
    options = parser.parse_args()
    chance = random.Random(0)
    rclpy.init()
    node = rclpy.create_node("player")
    with Reader(options.bag) as bag:
        publishers, kinds = {}, {topic: get_message(info.msgtype) for topic, info in bag.topics.items()}
        for topic in bag.topics:
            latched = topic.endswith(("tf_static", "classes"))
            qos = QoSProfile(
                depth=100,
                durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
                reliability=ReliabilityPolicy.BEST_EFFORT
                if topic == options.best_effort
                else ReliabilityPolicy.RELIABLE,
            )
            publishers[topic] = node.create_publisher(kinds[topic], topic, qos)
        messages = [(c.topic, stamp, bytes(raw)) for c, stamp, raw in bag.messages()]
    deadline = time.monotonic() + 20
    pictures = [p for t, p in publishers.items() if "image" in t and t != options.drop]
    while not all(p.get_subscription_count() for p in pictures) and time.monotonic() < deadline:
        time.sleep(0.05)
    first, last = messages[0][1], messages[-1][1]
    for _ in range(options.loops):
        held, start = [], time.monotonic()
        for due, topic, stamp, raw in schedule(messages, options, chance):
            wait = (due - first) * 1e-9 / options.rate - (time.monotonic() - start)
            if wait > 0:
                time.sleep(wait)
            if topic == "/tf_static" and time.monotonic() - start < options.late_tf_s:
                held.append((topic, raw))
                continue
            if held and time.monotonic() - start >= options.late_tf_s:
                for name, content in held:
                    publishers[name].publish(content)
                held = []
            share = (stamp - first) / max(last - first, 1)
            if topic == options.drop and options.drop_from <= share <= options.drop_to:
                continue
            if topic != "/tf_static" and chance.random() < options.faults:
                if (wrong := spoilt(raw, kinds[topic], chance)) is not None:
                    publishers[topic].publish(wrong)
                continue
            publishers[topic].publish(raw)
    time.sleep(0.5)
    print("played", flush=True)
    node.destroy_node()
    rclpy.shutdown()


if __name__ == "__main__":
    main()
