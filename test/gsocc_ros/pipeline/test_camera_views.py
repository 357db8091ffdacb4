# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Fields of view against a formula written out, and what they make of the cost map when cameras are missing."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from gsocc_core import OCC3D_NUSCENES, Cameras, Prediction, SemanticGrid, VoxelField, VoxelGrid
from gsocc_core.errors import ConfigError
from gsocc_ros.messages.message_host import rosbags_host
from gsocc_ros.messages.navigation import FREE, OCCUPIED, UNKNOWN
from gsocc_ros.messages.outputs import COST_MAP_TOPIC, OutputMessages
from gsocc_ros.pipeline.camera_views import CameraViews

GRID = VoxelGrid((-4.0, -4.0, -1.0), (4.0, 4.0, 3.0), 0.5)
LAYERS = np.arange(8) >= 2
CENTERS = GRID.centers.numpy().astype(float)[:, :, LAYERS]


def looking(*yaws_deg, model="pinhole", height_m=1.5):
    """Cameras of 90 degrees (a fisheye: 200) over the origin, one per yaw."""
    poses = []
    for yaw in yaws_deg:
        c, s = math.cos(math.radians(yaw)), math.sin(math.radians(yaw))
        poses.append([[s, 0, c, 0], [-c, 0, s, 0], [0, -1, 0, height_m], [0, 0, 0, 1]])
    focal = 50.0 if model == "pinhole" else 100 / math.radians(200)
    K = torch.tensor([[focal, 0, 50], [0, focal, 50], [0, 0, 1]]).expand(len(poses), 3, 3)
    return Cameras(K, torch.tensor(poses, dtype=torch.float32), 100, 100, model)


def test_a_pinhole_sees_its_pyramid():
    x, y, z = np.moveaxis(CENTERS, -1, 0)
    ahead = (x > 0) & (np.abs(y) < x) & (np.abs(z - 1.5) < x)
    left = (y > 0) & (np.abs(x) < y) & (np.abs(z - 1.5) < y)
    inside = np.abs(np.abs(y) - np.abs(x)) + 0 * z > 1e-3  # centres on the border may fall either way
    inside &= (np.abs(np.abs(z - 1.5) - np.abs(x)) > 1e-3) & (np.abs(np.abs(z - 1.5) - np.abs(y)) > 1e-3)
    both = looking(0, 90)
    for given, expected in [((True, False), ahead), ((True, True), ahead | left), ((False, False), ahead & False)]:
        seen = CameraViews().in_view(GRID, both, given, LAYERS)
        np.testing.assert_array_equal(seen[inside], expected[inside])
    np.testing.assert_array_equal(
        CameraViews().in_view(GRID, both, None, LAYERS), CameraViews().in_view(GRID, both, (True, True), LAYERS)
    )


def test_a_fisheye_sees_behind_itself():
    seen = CameraViews().in_view(GRID, looking(0, model="fisheye"), None, LAYERS)
    offset = CENTERS - [0, 0, 1.5]
    angle = np.degrees(np.arccos(offset[..., 0] / np.linalg.norm(offset, axis=-1)))
    level = np.abs(offset[..., 2]) < 0.3  # a circle in a square picture: along the axes it reaches 100 degrees
    assert seen[level & (angle < 95)].all()
    assert (angle[seen] > 92).any()
    assert not seen[angle > 150].any()


def test_a_turned_grid_and_no_layers():
    c, s = math.cos(0.5), math.sin(0.5)
    T = ((c, -s, 0.0, 1.0), (s, c, 0.0, -2.0), (0.0, 0.0, 1.0, 0.3), (0.0, 0.0, 0.0, 1.0))
    points = CENTERS @ np.array(T)[:3, :3].T + np.array(T)[:3, 3]
    ahead = (points[..., 0] > 0) & (np.abs(points[..., 1:] - [0, 1.5]).max(-1) < points[..., 0])
    turned = replace(GRID, T_ego_grid=T)
    np.testing.assert_array_equal(CameraViews().in_view(turned, looking(0), None, LAYERS), ahead)
    assert CameraViews().in_view(GRID, looking(0), None, np.zeros(8, bool)).shape == (16, 16, 0)


def test_views_are_worked_out_once_until_a_camera_moves(monkeypatch):
    calls, project = [], Cameras.project
    monkeypatch.setattr(Cameras, "project", lambda self, points: calls.append(1) or project(self, points))
    views, cameras = CameraViews(), looking(0, 90)
    first = views.in_view(GRID, cameras, None, LAYERS)
    nearly = replace(cameras, T_ego_cam=cameras.T_ego_cam + 1e-5)  # as a chain of live transforms may give
    moving = replace(cameras, T_ref_ego=looking(17, 17).T_ego_cam)
    for same in (cameras, nearly, moving):
        np.testing.assert_array_equal(views.in_view(GRID, same, None, LAYERS), first)
    assert len(calls) == 2
    turned = torch.stack([cameras.T_ego_cam[0], looking(180).T_ego_cam[0]])
    seen = views.in_view(GRID, replace(cameras, T_ego_cam=turned), None, LAYERS)
    assert len(calls) == 3
    np.testing.assert_array_equal(seen, CameraViews().in_view(GRID, looking(0, 180), None, LAYERS))
    assert len(calls) == 5
    views.in_view(GRID, replace(cameras, T_ego_cam=turned), None, ~LAYERS)
    assert len(calls) == 7


def test_as_many_values_as_cameras():
    with pytest.raises(ConfigError, match="one value per camera, 2 of them"):
        CameraViews().in_view(GRID, looking(0, 90), [True], LAYERS)


@pytest.mark.parametrize(("given", "rear"), [([True, False], UNKNOWN), ([True, True], FREE), (None, FREE)])
def test_behind_the_only_camera_nothing_is_free(given, rear):
    labels = torch.full(GRID.shape, OCC3D_NUSCENES.free_id, dtype=torch.uint8)
    labels[1, 8, 4] = 4  # a car behind the robot stays an obstacle, seen or not
    field = VoxelField(torch.zeros(GRID.shape), torch.zeros(*GRID.shape, 2), GRID)
    valid = None if given is None else torch.tensor(given)
    prediction = Prediction(SemanticGrid(labels, GRID, OCC3D_NUSCENES), field, looking(0, 180), 5, {}, valid)
    outputs = OutputMessages(rosbags_host()[0], "base_link", "model", [COST_MAP_TOPIC])
    (message,) = (message for _, message in outputs.build(prediction))
    cells = message.data.reshape(16, 16).T
    assert cells[15, 8] == cells[12, 10] == FREE
    assert cells[1, 8] == OCCUPIED
    assert {int(cells[i, 8]) for i in (0, 2, 4)} == {rear}
    assert cells[8, 15] == UNKNOWN  # to the left, where neither looks
