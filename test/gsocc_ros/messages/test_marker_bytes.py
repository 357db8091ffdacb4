# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The marker that is written as bytes is the marker, byte for byte, as rosbags and (marked ros) rclpy serialise it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gsocc_core import OCC3D_NUSCENES, SemanticGrid, VoxelGrid
from gsocc_core.geometry.rigid import rigid_from_quat
from gsocc_ros.messages import occupancy_messages as messages
from gsocc_ros.messages.marker_bytes import voxel_marker_bytes
from gsocc_ros.messages.message_host import rclpy_host, rosbags_host

KIND = "visualization_msgs/msg/Marker"


def grid_of(seed, count, turned):
    T = tuple(map(tuple, rigid_from_quat([0.9, 0.1, 0.2, -0.3], [1.0, 2.0, -0.5]))) if turned else None
    grid = VoxelGrid((-2.0, -1.2, -1.0), (2.0, 1.2, 0.6), 0.4, T)
    labels = torch.full(grid.shape, 17, dtype=torch.uint8)
    rng = np.random.default_rng(seed)
    places = rng.permutation(labels.numel())[:count]
    labels.view(-1)[places] = torch.from_numpy(rng.integers(0, 17, len(places)).astype(np.uint8))
    return SemanticGrid(labels, grid, OCC3D_NUSCENES)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1000), count=st.integers(0, 240), turned=st.booleans(), stamp=st.integers(0, 2**31 * 10**9 - 1),
    frame=st.text(st.characters(min_codepoint=48, max_codepoint=122), max_size=20),
    distro=st.sampled_from(["jazzy", "humble"]),
)  # fmt: skip
def test_bytes_equal_those_of_rosbags(seed, count, turned, stamp, frame, distro):
    host, types = rosbags_host(distro)
    grid = grid_of(seed, count, turned)
    expected = bytes(types.serialize_cdr(messages.voxel_marker(host, grid, stamp, frame), KIND))
    assert voxel_marker_bytes(grid, stamp, frame) == expected


@pytest.mark.ros
@pytest.mark.parametrize("count", [0, 1, 200])
def test_bytes_equal_those_of_rclpy(count):
    from rclpy.serialization import deserialize_message, serialize_message
    from visualization_msgs.msg import Marker

    grid = grid_of(1, count, turned=True)
    message = messages.voxel_marker(rclpy_host(), grid, 1_700_000_000_123_456_789, "base_link")
    made = voxel_marker_bytes(grid, 1_700_000_000_123_456_789, "base_link")
    assert bytes(serialize_message(message)) == made
    assert len(deserialize_message(made, Marker).points) == count
