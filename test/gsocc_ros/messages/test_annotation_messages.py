# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Odometry and boxes as messages."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsocc_ros.messages.annotation_messages import BoxRecord, box_markers, odometry, velocities
from gsocc_ros.messages.message_host import rosbags_host

HOST, TYPES = rosbags_host()


def sent(message, kind):
    return TYPES.deserialize_cdr(TYPES.serialize_cdr(message, kind), kind)


@given(st.floats(-20, 20), st.floats(-20, 20), st.lists(st.integers(1, 10**9), min_size=1, max_size=8))
def test_a_steady_motion_has_its_speed_at_every_stamp(vx, vy, gaps):
    stamps = np.cumsum([10**18, *gaps])
    places = np.array([5.0, 6.0, 7.0]) + np.outer((stamps - stamps[0]) * 1e-9, [vx, vy, 0.0])
    np.testing.assert_allclose(velocities(stamps.tolist(), places), np.tile([vx, vy, 0.0], (len(stamps), 1)), atol=1e-5)


def test_one_pose_stands_still():
    assert velocities([5], np.ones((1, 3))).tolist() == [[0.0, 0.0, 0.0]]


def test_the_twist_is_in_the_base_frame():
    turned = (math.cos(math.pi / 4), 0.0, 0.0, math.sin(math.pi / 4))  # heads along the world's y
    made = odometry(HOST, turned, (1.0, 2.0, 3.0), (0.0, 3.0, 0.0), 9, ("map", "base_link"))
    message = sent(made, "nav_msgs/msg/Odometry")
    linear = message.twist.twist.linear
    assert (round(linear.x, 9), round(linear.y, 9)) == (3.0, 0.0)
    assert message.pose.pose.orientation.z == pytest.approx(math.sqrt(0.5))
    assert (message.header.frame_id, message.child_frame_id, message.header.stamp.nanosec) == ("map", "base_link", 9)


def test_boxes_velocities_and_what_was_there_before():
    still = BoxRecord("movable_object.barrier", (1, 2, 0.5), (2.0, 0.5, 1.0), (1, 0, 0, 0), (0.0, 0.0, 0.0))
    moving = BoxRecord("vehicle.car", (5, 0, 1), (1.9, 4.5, 1.6), (1, 0, 0, 0), (4.0, 0.0, 0.0))
    unknown = BoxRecord("human.pedestrian.adult", (0, 5, 1), (0.6, 0.6, 1.8), (1, 0, 0, 0))
    message = sent(box_markers(HOST, [still, moving, unknown], 7, "map"), "visualization_msgs/msg/MarkerArray")
    assert [(m.ns, m.id, m.type, m.action) for m in message.markers] == [
        ("before", 0, 1, 3), ("boxes", 0, 1, 0), ("boxes", 1, 1, 0), ("velocities", 1, 0, 0), ("boxes", 2, 1, 0)
    ]  # fmt: skip
    assert len({(m.ns, m.id) for m in message.markers}) == len(message.markers), "RViz refuses a name that comes twice"
    car, arrow = message.markers[2], message.markers[3]
    assert (car.scale.x, car.scale.y, car.scale.z) == (4.5, 1.9, 1.6)  # x is the length
    assert [p.x for p in arrow.points] == [5.0, 9.0]
    assert all(m.header.frame_id == "map" for m in message.markers)
