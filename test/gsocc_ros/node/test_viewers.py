# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""RViz and Foxglove files show topics that exist, with displays that take their types."""

import json
from pathlib import Path

import pytest
import yaml

from gsocc_ros.messages.outputs import OUTPUTS, TRUTH_VOXELS_TOPIC
from gsocc_ros.messages.query_messages import QUERIES_TOPIC, QUERY_MARKERS_TOPIC, QUERY_OUTPUTS
from gsocc_ros.pipeline.rig import Rig
from gsocc_ros.pipeline.subscriptions import rig_subscriptions

ROOT = Path(__file__).parents[3]
DISPLAYED = {
    "rviz_default_plugins/PointCloud2": "sensor_msgs/msg/PointCloud2",
    "rviz_default_plugins/Marker": "visualization_msgs/msg/Marker",
    "rviz_default_plugins/MarkerArray": "visualization_msgs/msg/MarkerArray",
    "rviz_default_plugins/Image": "sensor_msgs/msg/Image",
    "rviz_default_plugins/Map": "nav_msgs/msg/OccupancyGrid",
}


@pytest.fixture(scope="module")
def published():
    """Types of what node, cameras and a converted drive publish."""
    topics = {topic: output.message_type for topic, output in {**OUTPUTS, **QUERY_OUTPUTS}.items()}
    topics |= {s.topic: s.message_type for s in rig_subscriptions(Rig.load("nuscenes"))}
    topics[TRUTH_VOXELS_TOPIC] = "sensor_msgs/msg/PointCloud2"
    topics["/annotations"] = "visualization_msgs/msg/MarkerArray"
    return topics | {"/diagnostics": "diagnostic_msgs/msg/DiagnosticArray"}


@pytest.mark.parametrize("name", ["live", "evaluation", "debugging"])
def test_rviz_displays_take_what_is_published(name, published):
    content = yaml.safe_load((ROOT / "rviz" / f"{name}.rviz").read_text())
    manager = content["Visualization Manager"]
    assert manager["Global Options"]["Fixed Frame"] == Rig.load("nuscenes").base_frame
    shown = {d["Name"]: d for d in manager["Displays"]}
    assert "Occupancy" in shown
    for display in shown.values():
        if "Topic" in display:
            assert DISPLAYED[display["Class"]] == published[display["Topic"]["Value"]], display["Name"]
            # A best-effort cloud is lost whole when the socket buffer, 208 kB as a rule, loses a part of it.
            assert display["Topic"]["Reliability Policy"] == "Reliable", display["Name"]


def test_live_views_show_what_standing_queries_find():
    displays = yaml.safe_load((ROOT / "rviz" / "live.rviz").read_text())["Visualization Manager"]["Displays"]
    shown = {d["Topic"]["Value"]: d for d in displays if "Topic" in d}
    assert shown[QUERIES_TOPIC]["Enabled"]
    assert shown[QUERIES_TOPIC]["Size (m)"] > shown["/occupancy/voxels"]["Size (m)"]
    assert set(shown[QUERY_MARKERS_TOPIC]["Namespaces"]) == {"queries", "query_words"}
    layout = json.loads((ROOT / "config" / "foxglove" / "occupancy.json").read_text())
    assert {QUERIES_TOPIC, QUERY_MARKERS_TOPIC} <= set(layout["configById"]["3D!occupancy"]["topics"])


def test_foxglove_panels_show_what_is_published(published):
    layout = json.loads((ROOT / "config" / "foxglove" / "occupancy.json").read_text())
    panels = layout["configById"]
    image = panels["Image!front"]["imageMode"]
    assert published[image["imageTopic"]] == "sensor_msgs/msg/CompressedImage"
    assert published[image["calibrationTopic"]] == "sensor_msgs/msg/CameraInfo"
    assert published[panels["DiagnosticSummary!health"]["topicToRender"]] == "diagnostic_msgs/msg/DiagnosticArray"
    assert published[panels["RawMessages!latency"]["topicPath"]] == "gsocc_ros/msg/StageLatency"
    shown = {"sensor_msgs/msg/PointCloud2", "visualization_msgs/msg/MarkerArray"}
    assert {published[topic] for topic in panels["3D!occupancy"]["topics"]} == shown
    placed = json.dumps(layout["layout"])
    assert all(panel in placed for panel in panels)
