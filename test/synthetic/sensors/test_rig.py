# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The rig is a plausible, calibrated nuScenes rig at any picture size."""

import numpy as np
import pytest

from gsocc_core.errors import ConfigError
from gsocc_core.synthetic.sensors.rig import CAMERA_NAMES, lidar_directions, make_rig

HEADING_DEG = {
    "CAM_FRONT": 0, "CAM_FRONT_LEFT": 55, "CAM_FRONT_RIGHT": -55,
    "CAM_BACK": 180, "CAM_BACK_LEFT": 110, "CAM_BACK_RIGHT": -110,
}  # fmt: skip


def test_cameras_look_where_their_names_say():
    rig = make_rig(np.random.default_rng(3))
    assert {camera.name for camera in rig.cameras} == set(CAMERA_NAMES) == set(HEADING_DEG)
    for camera in rig.cameras:
        R = camera.T_ego_cam[:3, :3]
        np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(R) == pytest.approx(1)
        forward, down = R[:, 2], R[:, 1]
        yaw = np.deg2rad(HEADING_DEG[camera.name])
        assert forward @ [np.cos(yaw), np.sin(yaw), 0] > np.cos(np.deg2rad(2))
        assert down[2] < -0.99
        assert 1.4 < camera.T_ego_cam[2, 3] < 1.7


def test_the_pictures_of_the_six_cameras_leave_no_gap():
    rig = make_rig(np.random.default_rng(0), 0.25)
    azimuth = np.deg2rad(np.arange(0, 360, 0.5))
    points = np.stack([60 * np.cos(azimuth), 60 * np.sin(azimuth), np.full_like(azimuth, 1.5)], -1)
    seen = np.zeros(len(points), bool)
    for camera in rig.cameras:
        T = np.linalg.inv(camera.T_ego_cam)
        p = points @ T[:3, :3].T + T[:3, 3]
        u = camera.intrinsics[0, 0] * p[:, 0] / p[:, 2] + camera.intrinsics[0, 2]
        seen |= (p[:, 2] > 0) & (u >= 0) & (u < camera.width)
    assert seen.all()


def test_scaling_the_pictures_keeps_the_mounting_and_the_viewing_angles():
    full, small = (make_rig(np.random.default_rng(5), scale) for scale in (1.0, 0.1))
    assert (full.cameras[0].width, full.cameras[0].height) == (1600, 900)
    assert (small.cameras[0].width, small.cameras[0].height) == (160, 90)
    for a, b in zip(full.cameras, small.cameras):
        np.testing.assert_array_equal(a.T_ego_cam, b.T_ego_cam)
        np.testing.assert_allclose(a.intrinsics[:2] * 0.1, b.intrinsics[:2])


def test_calibration_differs_between_drives_but_little():
    a, b = (make_rig(np.random.default_rng(seed)) for seed in (1, 2))
    for first, second in zip(a.cameras, b.cameras):
        shift = np.abs(first.T_ego_cam - second.T_ego_cam).max()
        assert 1e-4 < shift < 0.1


def test_lidar_beams():
    directions, rings = lidar_directions()
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1)
    elevation = np.rad2deg(np.arcsin(directions[:, 2]))
    assert elevation[rings == 0] == pytest.approx(-30)
    assert elevation[rings == 31] == pytest.approx(10)
    assert len(np.unique(np.round(np.rad2deg(np.arctan2(directions[:, 1], directions[:, 0])), 6))) == 1085


@pytest.mark.parametrize("scale", [0.0, -1.0, 5.0, float("nan")])
def test_absurd_scales_are_refused(scale):
    with pytest.raises(ConfigError, match="image_scale"):
        make_rig(np.random.default_rng(0), scale)


def test_unknown_camera():
    with pytest.raises(ConfigError, match="CAM_TOP"):
        make_rig(np.random.default_rng(0)).camera("CAM_TOP")
