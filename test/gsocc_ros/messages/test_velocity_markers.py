# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Arrows stand on what moves, point where it goes and are a second long."""

from dataclasses import replace

import numpy as np
import torch

from gsocc_core import OCC3D_NUSCENES, SemanticGrid, VoxelGrid
from gsocc_ros.messages.message_host import rosbags_host
from gsocc_ros.messages.velocity_markers import velocity_arrows

HOST, TYPES = rosbags_host()
GRID = VoxelGrid((-8.0, -8.0, -1.0), (8.0, 8.0, 1.0), 0.5)


def scene():
    labels = torch.full(GRID.shape, OCC3D_NUSCENES.free_id, dtype=torch.uint8)
    velocity = torch.zeros(*GRID.shape, 3)
    labels[20:24, 4:8, 0:4] = 4  # one cell of 2 m: a car at (3, -5)
    velocity[20:24, 4:8, 0:4] = torch.tensor([5.0, -1.0, 0.0])
    labels[0:4, 0:4, 0:4] = 7  # a pedestrian that hardly moves
    velocity[0:4, 0:4, 0:4] = torch.tensor([0.1, 0.0, 0.0])
    return SemanticGrid(labels, GRID, OCC3D_NUSCENES, velocity=velocity)


def test_arrows():
    kind = "visualization_msgs/msg/MarkerArray"
    message = TYPES.deserialize_cdr(TYPES.serialize_cdr(velocity_arrows(HOST, scene(), 5, "base_link"), kind), kind)
    delete, *arrows = message.markers
    assert delete.action == 3
    assert {(a.type, a.action, a.ns) for a in arrows} == {(0, 0, "velocities")}
    assert len({a.id for a in arrows}) == len(arrows) == 2  # the car reaches from -1 to 1 m: two cells above each other
    for arrow in arrows:
        start, end = (np.array([p.x, p.y, p.z]) for p in arrow.points)
        np.testing.assert_allclose(start[:2], [3.0, -5.0], atol=1e-6)
        np.testing.assert_allclose(end - start, [5.0, -1.0, 0.0], atol=1e-6)
        np.testing.assert_allclose([arrow.color.r, arrow.color.b], np.array(OCC3D_NUSCENES.colors[4])[[0, 2]] / 255)


def test_arrows_stand_in_the_ego_frame_wherever_the_grids_frame_is():
    """A LiDAR's grid, turned to the left and 2 m above: velocities are in the ego frame already."""
    T = np.eye(4)
    T[:2, :2], T[:3, 3] = [[0.0, -1.0], [1.0, 0.0]], [2.0, 0.0, 2.0]
    flat = scene()
    turned = replace(flat, grid=replace(GRID, T_ego_grid=tuple(map(tuple, T))))
    arrow = velocity_arrows(HOST, turned, 5, "base_link").markers[1]
    start, end = (np.array([p.x, p.y, p.z]) for p in arrow.points)
    np.testing.assert_allclose(start[:2], [2.0 + 5.0, 3.0], atol=1e-6)
    np.testing.assert_allclose(end - start, [5.0, -1.0, 0.0], atol=1e-6)


def test_without_velocities_the_old_arrows_go():
    still = SemanticGrid(scene().labels, GRID, OCC3D_NUSCENES)
    assert [m.action for m in velocity_arrows(HOST, still, 5, "base_link").markers] == [3]
