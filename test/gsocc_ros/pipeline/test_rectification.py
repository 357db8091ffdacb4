# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Rectified pictures: where the camera stands and looks, by R and the fourth column of P."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from gsocc_core import Cameras
from gsocc_core.errors import DataError
from gsocc_ros.pipeline.camera_input import read_camera_info
from gsocc_ros.pipeline.rig import RigCamera

CAMERA = RigCamera("right", "/right/image_rect", "/right/camera_info", rectified=True)
BASELINE_M = 0.54
R = Rotation.from_euler("yxz", [3.0, -0.5, 0.2], degrees=True).as_matrix()
P = np.array([[720.0, 0, 610, -720.0 * BASELINE_M], [0, 600, 170, 600.0 * 0.03], [0, 0, 1, 0]])  # 3 cm higher
POINTS = np.array([[0.5, -0.2, 6.0], [-3.0, 1.0, 12.0], [2.0, 0.4, 40.0], [0.0, 0.0, 3.0]])
#: Pose of the frame in the ego frame: forward, left, up.
T_EGO_FRAME = np.array([[0, 0, 1, 1.7], [-1, 0, 0, 0.2], [0, -1, 0, 1.5], [0, 0, 0, 1.0]])


NOTHING = np.eye(3)


def info(r=NOTHING, p=P, **changes):
    fields = {
        "header": SimpleNamespace(frame_id="right_optical"), "width": 1241, "height": 376,
        "d": np.array([0.1, 0, 0, 0, 0]),
        "distortion_model": "plumb_bob", "k": np.array([700.0, 0, 600, 0, 700, 180, 0, 0, 1]), "r": np.ravel(r),
        "p": np.ravel(p), "binning_x": 0, "binning_y": 0,
        "roi": SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0),
    }  # fmt: skip
    return SimpleNamespace(**{**fields, **changes})


def pixels(message, camera, points_frame):
    """Where the library sees points that are given in the camera's frame of the transform tree."""
    made = read_camera_info(message, camera).camera(camera.name, T_EGO_FRAME, None)
    points_ego = points_frame @ T_EGO_FRAME[:3, :3].T + T_EGO_FRAME[:3, 3]
    batch = Cameras(torch.from_numpy(made.intrinsics)[None], torch.from_numpy(made.T_ego_cam)[None], 1241, 376)
    return batch.project(torch.from_numpy(points_ego))[0][0].numpy()


def projected(points, matrix):
    u = points @ matrix[:, :3].T + (matrix[:, 3] if matrix.shape[1] == 4 else 0)
    return u[:, :2] / u[:, 2:]


EXPECTED = {
    "first": projected(POINTS, P),  # the text of CameraInfo: [u v w]' = P [X Y Z 1]'
    "camera": projected(POINTS @ R.T, P[:, :3]),
    "rectified": projected(POINTS, P[:, :3]),
}


@pytest.mark.parametrize("frame", EXPECTED)
def test_points_fall_on_the_pixels_of_the_rectified_picture(frame):
    camera = replace(CAMERA, rectified_frame=frame)
    np.testing.assert_allclose(pixels(info(R), camera, POINTS), EXPECTED[frame], atol=1e-9)


def test_the_meanings_lie_far_apart():
    """So taking one for the other is no small error: 10 to 130 pixels at 3 to 40 m."""
    for frame in ("first", "camera"):
        distance = np.linalg.norm(EXPECTED[frame] - EXPECTED["rectified"], axis=1)
        assert distance.min() > 9
        assert distance.max() > 30


def test_region_and_binning_leave_the_pose_alone():
    camera = replace(CAMERA, rectified_frame="first")
    region = SimpleNamespace(x_offset=100, y_offset=40, width=800, height=200)
    found = pixels(info(R, roi=region, binning_x=2, binning_y=4), camera, POINTS)
    np.testing.assert_allclose(found, (EXPECTED["first"] - [100, 40]) / [2, 4], atol=1e-9)


@pytest.mark.parametrize(
    ("r", "p", "key", "text"),
    [
        (np.eye(3), P, "p", r"P shifts by \[0.54, -0.03\] m"),
        (R, P * [1, 1, 1, 0], "r", r"R turns by 3.0\d\d degrees"),
        (R, P, "r, p", "R turns by .* and P shifts by"),
    ],
)
def test_what_may_mean_two_things_is_refused_by_name(r, p, key, text):
    with pytest.raises(DataError, match=text) as error:
        read_camera_info(info(r, p), CAMERA)
    assert (error.value.where, error.value.key) == ("/right/camera_info", key)
    assert "rectified_frame of right in the rig file, one of ['camera', 'rectified', 'first']" in error.value.expected


def test_a_single_camera_needs_no_key():
    for r in (np.eye(3), np.zeros((3, 3))):  # drivers of single cameras leave R empty
        calibration = read_camera_info(info(r, P * [1, 1, 1, 0]), CAMERA)
        np.testing.assert_array_equal(calibration.T_frame_cam, np.eye(4))
    raw = replace(CAMERA, rectified=False)  # R and P say nothing about raw pictures
    np.testing.assert_array_equal(read_camera_info(info(R), raw).T_frame_cam, np.eye(4))


@pytest.mark.parametrize(
    ("message", "key"),
    [
        (info(np.diag([1, 1, -1.0])), "r"),
        (info(np.eye(3) * 1.1), "r"),
        (info(np.full((3, 3), np.nan)), "r"),
        (info(p=P + np.outer([0, 0, 1], [0, 0, 0, 0.1])), "p"),
        (info(p=np.where(P[0, 3] == P, np.inf, P)), "p"),
    ],
)
@pytest.mark.parametrize("frame", [None, *EXPECTED])
def test_numbers_that_make_no_sense_are_named(message, key, frame):
    with pytest.raises(DataError) as error:
        read_camera_info(message, replace(CAMERA, rectified_frame=frame))
    assert (error.value.where, error.value.key) == ("/right/camera_info", key)


def test_a_change_of_the_pose_is_a_change_of_the_calibration():
    camera = replace(CAMERA, rectified_frame="first")
    one, same, other = (read_camera_info(info(p=p), camera) for p in (P, P, P * [1, 1, 1, 1.01]))
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
