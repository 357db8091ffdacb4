# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Odometry and boxes as messages."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsocc_ros.messages.annotation_messages import BoxRecord, MotionRecord, box_markers, odometry, rates, velocities
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
    assert rates([5], np.ones((1, 4))).tolist() == [[0.0, 0.0, 0.0]]


def turned(axis, angles_rad):
    """Quaternions about one axis."""
    half = np.asarray(angles_rad)[:, None] / 2
    return np.hstack([np.cos(half), np.sin(half) * axis])


def test_ten_metres_a_second_round_a_circle_of_twenty_metres():
    stamps = (10**18 + np.cumsum([0, 12, 83, 5, 70, 30]) * 1_000_000).tolist()  # as irregular as sensors of a car
    angles = 0.5 * (np.array(stamps) - stamps[0]) * 1e-9
    places = 20 * np.stack([np.sin(angles), 1 - np.cos(angles), 0 * angles], axis=-1)
    quats = turned([0, 0, 1], angles)
    speeds, turns = velocities(stamps, places), rates(stamps, quats)
    np.testing.assert_allclose(turns, np.tile([0, 0, 0.5], (6, 1)), atol=1e-9)
    motion = MotionRecord(quats[3], places[3], speeds[3], turns[3])
    message = sent(odometry(HOST, motion, stamps[3], ("map", "base_link")), "nav_msgs/msg/Odometry")
    linear, angular = message.twist.twist.linear, message.twist.twist.angular
    np.testing.assert_allclose([linear.x, linear.y, linear.z], [10, 0, 0], atol=0.02)
    np.testing.assert_allclose([angular.x, angular.y, angular.z], [0, 0, 0.5], atol=1e-9)


@given(st.lists(st.floats(-3, 3), min_size=3, max_size=3), st.lists(st.integers(10**6, 10**8), min_size=2, max_size=6))
def test_a_steady_turn_has_its_rate_about_the_own_axes(rate, gaps):
    speed = float(np.linalg.norm(rate))
    stamps = np.cumsum([0, *gaps])
    spun = turned(np.array(rate) / max(speed, 1e-9), speed * stamps * 1e-9)
    w, x, y, z = 0.3, -0.5, 0.7, 0.4  # how the world lies does not matter, nor signs and lengths
    left = np.array([[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]])
    quats = spun @ left.T * np.where(np.arange(len(stamps)) % 2, -1.7, 0.6)[:, None]
    np.testing.assert_allclose(rates(stamps.tolist(), quats), np.tile(rate, (len(stamps), 1)), atol=1e-6)


def test_no_message_claims_to_be_certain():
    still = MotionRecord((1, 0, 0, 0), (1.0, 2.0, 3.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    message = sent(odometry(HOST, still, 9, ("map", "base_link")), "nav_msgs/msg/Odometry")
    for covariance in (message.pose.covariance, message.twist.covariance):
        np.testing.assert_allclose(covariance.reshape(6, 6), np.diag([0.01] * 3 + [0.0001] * 3), atol=1e-15)


def test_the_twist_is_in_the_base_frame():
    quat = (math.cos(math.pi / 4), 0.0, 0.0, math.sin(math.pi / 4))  # heads along the world's y
    motion = MotionRecord(quat, (1.0, 2.0, 3.0), (0.0, 3.0, 0.0), (0.1, 0.2, 0.3))
    message = sent(odometry(HOST, motion, 9, ("map", "base_link")), "nav_msgs/msg/Odometry")
    linear = message.twist.twist.linear
    assert (round(linear.x, 9), round(linear.y, 9)) == (3.0, 0.0)
    angular = message.twist.twist.angular
    assert (angular.x, angular.y, angular.z) == (0.1, 0.2, 0.3)  # they are about the base's axes already
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
