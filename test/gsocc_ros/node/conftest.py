# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""ROS in this process, a recording, and the node under test."""

import os

import pytest

from gsocc_ros.pipeline.rig import Rig


@pytest.fixture(scope="module")
def ros():
    """rclpy is up, in a domain of its own."""
    import rclpy

    os.environ.setdefault("ROS_DOMAIN_ID", str(40 + os.getpid() % 60))
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    rclpy.init()
    yield
    rclpy.try_shutdown()


@pytest.fixture(scope="module")
def bag(robot, bag_of, tmp_path_factory):
    """Three seconds of six cameras at 10 Hz."""
    events = robot(Rig.load("nuscenes"), cycles=30, cycle_ms=100.0).events()
    return bag_of(tmp_path_factory.mktemp("bags") / "drive", events)


@pytest.fixture
def watch(ros, tiny_bundle):
    """Builds nodes under test with ears on their topics, and ends them."""
    from .watching import Watcher

    made = []

    def build(start=True, bundle=tiny_bundle, **parameters):
        watcher = Watcher(bundle, **parameters)
        made.append(watcher)
        return watcher.start() if start else watcher

    yield build
    for watcher in made:
        watcher.close()
