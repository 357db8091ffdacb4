# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The node gives the answer of the library for the same JPEG bytes, over real DDS."""

import numpy as np
import pytest

pytestmark = pytest.mark.ros
pytest.importorskip("rclpy")
from ..bags.test_same_answer import rig, through_the_library  # noqa: E402, F401, TID252 - after the skip; a fixture
from .test_occupancy_node import Watcher, play, ros  # noqa: E402, F401 - its fixture starts rclpy


def test_the_node_gives_the_answer_of_the_library(rig, tiny_bundle, bag_of, tmp_path):  # noqa: F811
    rig, events, pictures, cameras = rig
    expected = through_the_library(tiny_bundle, pictures, cameras).grid.labels.numpy()
    watcher = Watcher(tiny_bundle, rig=str(rig.path))
    try:
        watcher.start()
        play(bag_of(tmp_path / "bag", events))
        watcher.wait(lambda: watcher.grids)
    finally:
        watcher.close()
    for grid in watcher.grids:
        labels = np.frombuffer(bytes(grid.labels), np.uint8).reshape(expected.shape)
        np.testing.assert_array_equal(labels, expected)
