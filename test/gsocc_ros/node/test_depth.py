# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The node gives the answer of the library for the same bytes of pictures and depth, over real DDS."""

import numpy as np
import pytest

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("ros")]
pytest.importorskip("rclpy")
from ...seen_depth import write_bundle  # noqa: E402, TID252 - after the skip
from ..bags.test_depth import drive, through_the_library  # noqa: E402, F401, TID252 - a fixture
from .watching import Watcher, call, play, stamps  # noqa: E402 - after the skip


def test_depth_topics_reach_the_model_while_it_wants_them(drive, bag_of, tmp_path, monkeypatch):  # noqa: F811
    from gsocc_ros.srv import LoadBundle
    from std_srvs.srv import Trigger

    rig, events, cameras = drive
    seeing = write_bundle(monkeypatch, tmp_path / "seeing")
    blind = write_bundle(monkeypatch, tmp_path / "blind", depth_input="unused")
    expected = through_the_library(seeing, cameras)
    first = min(event.stamp_ns for event in events if event.topic == "/front/image/compressed")
    bag = bag_of(tmp_path / "bag", events)
    watcher = Watcher(seeing, rig=str(rig.path), image_reliability="reliable")

    def listeners():
        return {watcher.ear.count_subscribers(camera.depth_topic) for camera in rig.cameras}

    try:
        watcher.start()
        play(bag, "--rate", 0.3)
        watcher.wait(lambda: len(watcher.grids) > 2)
        for stamp, grid in zip(stamps(watcher), watcher.grids, strict=True):
            labels = np.frombuffer(bytes(grid.labels), np.uint8).reshape(expected[0].shape)
            np.testing.assert_array_equal(labels, expected[(stamp - first) // 100_000_000])
        assert watcher.node.pipeline.counters().without_depth == 0

        assert call(watcher, LoadBundle, "/occupancy/load_bundle", bundle=str(blind)).success
        watcher.wait(lambda: listeners() == {0})
        assert call(watcher, LoadBundle, "/occupancy/load_bundle", bundle=str(seeing)).success
        watcher.wait(lambda: listeners() == {1})
        assert call(watcher, Trigger, "/occupancy/reset").success  # so short a jump back in time would be none
        play(bag, "--rate", 0.3, "--drop", "/side/depth/image_raw/compressedDepth")
        told = (1, "sets without depth of a picture: no map near its stamp")
        watcher.wait(lambda: told in [status.get("output") for status in watcher.statuses])
        assert watcher.node.pipeline.counters().without_depth > 0
    finally:
        watcher.close()
