# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Obstacles and cost maps against a loop over voxels."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gsocc_core import OCC3D_NUSCENES, SemanticGrid, VoxelGrid
from gsocc_core.errors import ConfigError
from gsocc_ros.messages.message_host import rosbags_host
from gsocc_ros.messages.navigation import FREE, OCCUPIED, UNKNOWN, ObstacleRule, cost_cells, cost_map, obstacle_cloud

HOST, TYPES = rosbags_host()
RULE = ObstacleRule()
NAMES = OCC3D_NUSCENES.names


def grid_of(labels, observed=None, T=None):
    shape = labels.shape
    upper = tuple(lo + n * 0.4 for lo, n in zip((-2.0, -1.2, -1.0), shape))
    grid = VoxelGrid((-2.0, -1.2, -1.0), upper, 0.4, None if T is None else tuple(map(tuple, T)))
    seen = None if observed is None else torch.from_numpy(observed)
    return SemanticGrid(torch.from_numpy(labels), grid, OCC3D_NUSCENES, observed=seen)


def pose(yaw, x, y, z=0.0):
    T = np.eye(4)
    T[:2, :2] = [[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]]
    T[:3, 3] = x, y, z
    return T


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), st.booleans(), st.booleans())
def test_against_a_loop_over_voxels(seed, has_observed, turned):
    rng = np.random.default_rng(seed)
    labels = rng.choice([0, 4, 7, 11, 15, 17, 255], (5, 4, 8), p=[0.05, 0.05, 0.05, 0.1, 0.05, 0.5, 0.2]).astype(
        np.uint8
    )
    observed = rng.random(labels.shape) < 0.4 if has_observed else None
    T = pose(rng.uniform(-3, 3), 1.0, -2.0, 0.3) if turned else np.eye(4)
    grid = grid_of(labels, observed, T if turned else None)
    points, cells = [], np.full((5, 4), UNKNOWN)
    for x, y, z in np.ndindex(labels.shape):
        label = labels[x, y, z]
        center = T @ [-2.0 + (x + 0.5) * 0.4, -1.2 + (y + 0.5) * 0.4, -1.0 + (z + 0.5) * 0.4, 1.0]
        solid = label not in {17, 255} and NAMES[label] not in RULE.ground and 0.2 <= center[2] <= 2.2
        if solid:
            points.append(center[:3])
            cells[x, y] = OCCUPIED
        elif (
            cells[x, y] == UNKNOWN
            and 0.2 <= center[2] <= 2.2
            and label != 255
            and (observed is None or observed[x, y, z])
        ):
            cells[x, y] = FREE
    np.testing.assert_array_equal(cost_cells(grid, RULE), cells)
    cloud = obstacle_cloud(HOST, grid, RULE, 7, "base_link")
    found = np.frombuffer(cloud.data.tobytes(), "<f4").reshape(-1, 3)
    np.testing.assert_allclose(found, np.reshape(points, (-1, 3)), atol=1e-5)


def test_what_is_seen_only_above_the_band_is_not_free():
    labels = np.full((5, 4, 8), 255, np.uint8)
    labels[2, 2, 0] = 11  # ground, below the band
    labels[3, 3, 2:5] = 17  # the band itself
    high = SemanticGrid(
        torch.full((5, 4, 12), 255, dtype=torch.uint8),
        VoxelGrid((-2.0, -1.2, -1.0), (0.0, 0.4, 3.8), 0.4),
        OCC3D_NUSCENES,
    )
    high.labels[1, 1, 9:] = 17  # above the band
    cells = cost_cells(grid_of(labels), RULE)
    assert (cells[2, 2], cells[3, 3]) == (UNKNOWN, FREE)
    assert (cost_cells(high, RULE) == UNKNOWN).all()


def test_a_cell_of_the_message_lies_where_its_voxels_lie():
    labels = np.full((5, 4, 8), 17, np.uint8)
    labels[3, 1, 5] = 4
    T = pose(0.7, 2.0, 1.0)
    message = cost_map(HOST, grid_of(labels, T=T), RULE, 7, "base_link")
    back = TYPES.deserialize_cdr(
        TYPES.serialize_cdr(message, "nav_msgs/msg/OccupancyGrid"), "nav_msgs/msg/OccupancyGrid"
    )
    cell = int(np.flatnonzero(back.data == OCCUPIED)[0])
    column, row = cell % back.info.width, cell // back.info.width
    yaw = 2 * math.atan2(back.info.origin.orientation.z, back.info.origin.orientation.w)
    step = pose(yaw, back.info.origin.position.x, back.info.origin.position.y)
    place = step @ [(column + 0.5) * back.info.resolution, (row + 0.5) * back.info.resolution, 0.0, 1.0]
    truth = T @ [-2.0 + 3.5 * 0.4, -1.2 + 1.5 * 0.4, 0.0, 1.0]
    np.testing.assert_allclose(place[:2], truth[:2], atol=1e-6)


def test_wrong_heights_and_tilted_grids_are_clear_errors():
    with pytest.raises(ConfigError, match="low_m"):
        ObstacleRule(low_m=2.0, high_m=1.0)
    tilted = np.eye(4)
    tilted[:3, :3] = [[math.cos(0.1), 0, math.sin(0.1)], [0, 1, 0], [-math.sin(0.1), 0, math.cos(0.1)]]
    with pytest.raises(ConfigError, match="vertical"):
        cost_cells(grid_of(np.full((5, 4, 8), 17, np.uint8), T=tilted), RULE)
