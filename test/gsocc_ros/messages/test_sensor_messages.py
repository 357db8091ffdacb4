# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Transforms, calibrations, pictures and clouds as messages."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gsocc_core import Camera
from gsocc_core.errors import ShapeError
from gsocc_core.geometry.rigid import rigid_from_quat
from gsocc_ros.messages import sensor_messages
from gsocc_ros.messages.message_host import rosbags_host
from gsocc_ros.pipeline.camera_input import read_camera_info
from gsocc_ros.pipeline.rig import RigCamera

HOST, TYPES = rosbags_host()
K = np.array([[1266.4, 0.0, 816.3], [0.0, 1266.5, 491.5], [0.0, 0.0, 1.0]])
RIG_CAMERA = RigCamera("front", "/front/image", "/front/camera_info")


def through_bytes(message):
    return TYPES.deserialize_cdr(TYPES.serialize_cdr(message, message.__msgtype__), message.__msgtype__)


def matrix(transform):
    q, p = transform.rotation, transform.translation
    return rigid_from_quat([q.w, q.x, q.y, q.z], [p.x, p.y, p.z])


numbers = st.floats(-1, 1, allow_subnormal=False)


@settings(max_examples=100, deadline=None)
@given(st.tuples(*[numbers] * 4).filter(lambda q: np.linalg.norm(q) > 0.1), st.tuples(*[st.floats(-1e4, 1e4)] * 3))
def test_poses_survive_as_matrix_and_as_quaternion(quat, translation):
    T = rigid_from_quat(quat, translation)
    for item in (
        sensor_messages.transform(HOST, T, "map", "base_link", 7),
        sensor_messages.transform_from_quat(HOST, list(quat), list(translation), "map", "base_link", 7),
    ):
        back = through_bytes(sensor_messages.transforms(HOST, [item])).transforms[0]
        np.testing.assert_allclose(matrix(back.transform), T, atol=1e-12)
        assert (back.header.frame_id, back.child_frame_id, back.header.stamp.nanosec) == ("map", "base_link", 7)
        q = back.transform.rotation
        assert abs(np.linalg.norm([q.w, q.x, q.y, q.z]) - 1) < 1e-12


@pytest.mark.parametrize(
    ("quat", "translation", "key"),
    [
        ([0, 0, 0, 0], [0, 0, 0], "rotation"),
        ([1, 0, 0], [0, 0, 0], "rotation"),
        ([1, 0, 0, float("nan")], [0, 0, 0], "rotation"),
        ([1, 0, 0, float("inf")], [0, 0, 0], "rotation"),
        ([1, 0, 0, 0], [0, 0], "translation"),
        ([1, 0, 0, 0], [0, 0, float("nan")], "translation"),
    ],
)
def test_wrong_poses_name_their_frames(quat, translation, key):
    with pytest.raises(ShapeError, match=f"map -> base_link: {key}"):
        sensor_messages.transform_from_quat(HOST, quat, translation, "map", "base_link", 0)


@pytest.mark.parametrize(
    ("model", "distortion", "name", "d"),
    [
        ("pinhole", None, "plumb_bob", (0,) * 5),
        ("pinhole", (0.1, 0.2, 0.3, 0.4), "plumb_bob", (0.1, 0.2, 0.3, 0.4, 0)),
        ("pinhole", (0.1, 0.2, 0.3, 0.4, 0.5), "plumb_bob", (0.1, 0.2, 0.3, 0.4, 0.5)),
        ("pinhole", (0.1,) * 8, "rational_polynomial", (0.1,) * 8),
        ("fisheye", None, "equidistant", (0,) * 4),
        ("fisheye", (0.1, 0.2, 0.3, 0.4), "equidistant", (0.1, 0.2, 0.3, 0.4)),
    ],
)
def test_calibrations_follow_rep_104(model, distortion, name, d):
    camera = Camera("front", K, np.eye(4), 1600, 900, model, distortion)
    info = through_bytes(sensor_messages.camera_info(HOST, camera, 5, "front_optical_frame"))
    assert (info.width, info.height, info.distortion_model) == (1600, 900, name)
    np.testing.assert_array_equal(info.d, d)
    np.testing.assert_array_equal(info.k.reshape(3, 3), K)
    np.testing.assert_array_equal(info.r, [1, 0, 0, 0, 1, 0, 0, 0, 1])
    np.testing.assert_array_equal(info.p.reshape(3, 4), np.hstack([K, np.zeros((3, 1))]))
    assert (info.binning_x, info.binning_y, info.roi.width, info.roi.do_rectify) == (0, 0, 0, False)
    back = read_camera_info(info, RIG_CAMERA)
    assert (back.model, back.frame, back.width, back.height) == (model, "front_optical_frame", 1600, 900)
    np.testing.assert_array_equal(back.intrinsics, K)
    assert (back.distortion or (0.0,) * len(d)) == tuple(d)


@pytest.mark.parametrize(
    ("model", "distortion"), [("orthographic", None), ("fisheye", (0.1,) * 5), ("pinhole", (0.1,) * 9)]
)
def test_calibrations_without_a_name_are_refused(model, distortion):
    # Some are refused by Camera already, the others when the message is built.
    def build():
        camera = Camera("front", K, np.eye(4), 1600, 900, model, distortion)
        sensor_messages.camera_info(HOST, camera, 5, "front_optical_frame")

    with pytest.raises(ShapeError, match=r"Camera front: (model|distortion)"):
        build()


def test_pictures_stay_the_bytes_they_are():
    data = bytes(range(256)) * 3
    message = through_bytes(sensor_messages.compressed_image(HOST, data, 5, "front", "png"))
    assert (message.format, bytes(message.data)) == ("png", data)


def test_clouds_carry_any_field_and_say_whether_they_are_dense():
    points = np.zeros(3, [("x", "<f4"), ("t", "<f8"), ("ring", "<u2"), ("a", "i1"), ("b", "<i4"), ("c", "<u4")])
    points["x"], points["ring"], points["t"] = [1, 2, 3], [7, 8, 9], 0.5
    cloud = through_bytes(sensor_messages.point_cloud(HOST, points, 5, "lidar"))
    assert [(f.name, f.offset, f.datatype, f.count) for f in cloud.fields] == [
        ("x", 0, 7, 1), ("t", 4, 8, 1), ("ring", 12, 4, 1), ("a", 14, 1, 1), ("b", 15, 5, 1), ("c", 19, 6, 1),
    ]  # fmt: skip
    assert (cloud.height, cloud.width, cloud.point_step, cloud.is_bigendian) == (1, 3, 23, False)
    np.testing.assert_array_equal(np.frombuffer(bytes(cloud.data), points.dtype), points)
    assert cloud.is_dense
    points["x"][1] = np.nan
    assert not sensor_messages.point_cloud(HOST, points, 5, "lidar").is_dense
    # Every other point: what is handed over need not be contiguous.
    np.testing.assert_array_equal(
        np.frombuffer(bytes(sensor_messages.point_cloud(HOST, points[::2], 5, "lidar").data), points.dtype), points[::2]
    )
