# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The CAN bus expansion and the map in a recording: values, units, times; what a scene lacks is noted."""

import json
import math
import shutil

import numpy as np
import pytest
import yaml
from PIL import Image
from rosbags.interfaces import QosDurability

from gsocc_core.errors import DataError
from gsocc_ros.bags.bag_files import open_bag
from gsocc_ros.commands import nuscenes_to_rosbag2_program as main
from gsocc_ros.convert.convert_scenes import convert_scenes
from gsocc_ros.messages.can_messages import read_can_bus

VERSION, SCENE, WITHOUT_CAN = "v1.0-can", "scene-0061", "scene-0161"
TOPICS = {
    "/imu": "sensor_msgs/msg/Imu", "/vehicle/twist": "geometry_msgs/msg/TwistStamped",
    "/vehicle/speed": "geometry_msgs/msg/TwistStamped", "/vehicle/steering_wheel": "sensor_msgs/msg/JointState",
    "/vehicle/wheels": "sensor_msgs/msg/JointState",
}  # fmt: skip
BEGIN = 1_500_000_000_000_000 - 50_000  # the tree's first camera, about


def can_files(times):
    """Content of the expansion's files of a scene, as nuScenes writes them."""
    rng = np.random.default_rng(3)

    def vector(count):
        return rng.normal(0, 2, count).tolist()

    return {
        "ms_imu": [{"linear_accel": vector(3), "q": vector(4), "rotation_rate": vector(3), "utime": t} for t in times],
        "pose": [
            {"accel": vector(3), "orientation": vector(4), "pos": vector(3), "rotation_rate": vector(3),
             "vel": vector(3), "utime": t} for t in times
        ],
        "steeranglefeedback": [{"utime": t, "value": vector(1)[0]} for t in times],
        "vehicle_monitor": [
            {"vehicle_speed": 36.0 + i, "yaw_rate": 1.5, "steering": -10.0, "utime": t} for i, t in enumerate(times)
        ],
        "zoe_veh_info": [
            {**{f"{w}_wheel_speed": 60.0 * (k + 1) + i for k, w in enumerate(("FL", "FR", "RL", "RR"))},
             "odom_speed": 30, "utime": t} for i, t in enumerate(times)
        ],
    }  # fmt: skip


@pytest.fixture(scope="module")
def tree(tree_writer, tmp_path_factory):
    """Two scenes, one of them on nuScenes' list of those without CAN; a map picture that covers the drives."""
    root = tree_writer(tmp_path_factory.mktemp("can") / "tree", (SCENE, WITHOUT_CAN), 2, VERSION)
    rng = np.random.default_rng(1)
    Image.fromarray((rng.random((1000, 2000)) < 0.5).astype(np.uint8) * 255).save(root / "maps" / "map.png")
    (root / "can_bus").mkdir()
    # One reading before the scene and one after it are not of the recording.
    times = [BEGIN - 10_000_000, *(BEGIN + 100_000 + 50_000 * k for k in range(6)), BEGIN + 60_000_000]
    for name, content in can_files(times).items():
        (root / "can_bus" / f"{SCENE}_{name}.json").write_text(json.dumps(content))
    return root


def read(path):
    """Messages by topic, types, durability of the offers, and the custom data."""
    found = {}
    with open_bag(path) as bag:
        types = {c.topic: c.msgtype for c in bag.connections}
        latched = {
            c.topic for c in bag.connections
            if c.ext.offered_qos_profiles[0].durability == QosDurability.TRANSIENT_LOCAL
        }  # fmt: skip
        for connection, log, raw in bag.messages():
            found.setdefault(connection.topic, []).append((log, bag.decode(connection, log, raw)))
    custom = yaml.safe_load((path / "metadata.yaml").read_text())["rosbag2_bagfile_information"]["custom_data"]
    return found, types, latched, custom


@pytest.fixture(scope="module")
def recording(tree, tmp_path_factory):
    out = tmp_path_factory.mktemp("bags") / "drive"
    assert main([str(tree), str(out), "--scene", SCENE, "--version", VERSION]) == 0
    return read(out)


def content(tree, name):
    return json.loads((tree / "can_bus" / f"{SCENE}_{name}.json").read_text())[1:-1]


def xyz(vector):
    return [vector.x, vector.y, vector.z]


def test_topics_times_and_frames(recording, tree):
    found, types, _, custom = recording
    assert {topic: types[topic] for topic in TOPICS} == TOPICS
    times = [record["utime"] * 1000 for record in content(tree, "pose")]
    for topic in TOPICS:
        assert [log for log, _ in found[topic]] == times
        assert [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for _, m in found[topic]] == times
    frames = {topic: found[topic][0][1].header.frame_id for topic in TOPICS}
    assert frames == {
        "/imu": "imu", "/vehicle/twist": "base_link", "/vehicle/speed": "base_link", "/vehicle/steering_wheel": "",
        "/vehicle/wheels": "",
    }  # fmt: skip
    assert "notes" not in custom


def test_values_are_those_of_the_files_in_ros_units(recording, tree):
    found, *_ = recording
    for record, (_, imu) in zip(content(tree, "ms_imu"), found["/imu"], strict=True):
        q = imu.orientation
        assert [q.w, q.x, q.y, q.z] == record["q"]
        assert xyz(imu.angular_velocity) == record["rotation_rate"]
        assert xyz(imu.linear_acceleration) == record["linear_accel"]
        assert not imu.orientation_covariance.any()
    for record, (_, message) in zip(content(tree, "pose"), found["/vehicle/twist"], strict=True):
        assert xyz(message.twist.linear) == record["vel"]
        assert xyz(message.twist.angular) == record["rotation_rate"]
    speeds = [message.twist for _, message in found["/vehicle/speed"]]
    np.testing.assert_allclose([t.linear.x for t in speeds], 10 + np.arange(1, 7) / 3.6)
    assert all(math.isnan(v) for t in speeds for v in (t.linear.y, t.linear.z, *xyz(t.angular)))
    for record, (_, joints) in zip(content(tree, "steeranglefeedback"), found["/vehicle/steering_wheel"], strict=True):
        assert (joints.name, joints.position.tolist()) == (["steering_wheel"], [record["value"]])
        assert not len(joints.velocity)
    for i, (_, joints) in enumerate(found["/vehicle/wheels"], start=1):
        assert [name.split("_")[:2] for name in joints.name] == [
            ["front", "left"], ["front", "right"], ["rear", "left"], ["rear", "right"],
        ]  # fmt: skip
        np.testing.assert_allclose(joints.velocity, 2 * np.pi * np.array([1, 2, 3, 4]) + i * 2 * np.pi / 60)


def test_the_map_lies_around_the_drive(recording, tree):
    from nuscenes.utils.map_mask import MapMask

    found, types, latched, _ = recording
    assert types["/map"] == "nav_msgs/msg/OccupancyGrid"
    assert "/map" in latched
    ((log, grid),) = found["/map"]
    assert log == min(items[0][0] for items in found.values())
    assert grid.header.frame_id == "map"
    places = np.array([xyz(m.transforms[0].transform.translation) for _, m in found["/tf"]])
    corner, size = grid.info.origin.position, np.array([grid.info.width, grid.info.height]) * grid.info.resolution
    np.testing.assert_allclose([corner.x, corner.y], np.maximum(places.min(0)[:2] - 50, 0), atol=0.2)
    upper = (corner.x + size[0], corner.y + size[1])
    np.testing.assert_allclose(upper, np.minimum(places.max(0)[:2] + 50, [200, 100]), atol=0.2)
    rng = np.random.default_rng(0)
    cells = rng.integers(0, [grid.info.width, grid.info.height], (500, 2))
    centers = [corner.x, corner.y] + (cells + 0.5) * grid.info.resolution
    road = MapMask(str(tree / "maps" / "map.png")).is_on_mask(*centers.T)
    values = grid.data.reshape(grid.info.height, grid.info.width)[cells[:, 1], cells[:, 0]]
    np.testing.assert_array_equal(values, np.where(road, 0, 100))


def test_what_a_scene_lacks_is_noted(tree, tmp_path, capsys):
    assert main([str(tree), str(tmp_path / "bag"), "--scene", WITHOUT_CAN, "--version", VERSION]) == 0
    _, types, _, custom = read(tmp_path / "bag")
    assert not set(types) & set(TOPICS)
    (note,) = json.loads(custom["notes"])
    assert note == f"CAN bus: nuScenes has no recordings of {WITHOUT_CAN}"
    assert note in capsys.readouterr().err
    manifest = convert_scenes(str(tree), str(tmp_path / "all"), version=VERSION, jobs=1)
    assert manifest["scenes"][WITHOUT_CAN]["notes"] == [note]
    assert "notes" not in manifest["scenes"][SCENE]


def test_single_files_and_other_names_and_no_expansion(tree, tmp_path):
    shutil.copytree(tree / "can_bus", tmp_path / "can_bus")
    (tmp_path / "can_bus" / f"{SCENE}_vehicle_monitor.json").unlink()
    found = read_can_bus(tmp_path, SCENE)
    assert found.notes == (f"CAN bus: {SCENE}_vehicle_monitor.json is not there",)
    assert set(found.records) == {"ms_imu", "pose", "steeranglefeedback", "zoe_veh_info"}
    (note,) = read_can_bus(tmp_path, "my drive").notes
    assert "not my drive" in note
    assert read_can_bus(tmp_path / "can_bus", SCENE).notes == ()


def test_switches_leave_parts_out(tree, tmp_path):
    words = ["--scene", SCENE, "--version", VERSION, "--no-can_bus", "--no-road_map", "--no-radar"]
    assert main([str(tree), str(tmp_path / "bag"), *words]) == 0
    _, types, *_ = read(tmp_path / "bag")
    assert not set(types) & {*TOPICS, "/map"}
    assert "/cam_front/image/compressed" in types


FAULTS = {
    "no JSON": ("ms_imu", "{", r"ms_imu\.json: content: expected JSON"),
    "no list": ("pose", "{}", r"pose\.json: content: expected a list of CAN messages, received dict"),
    "no time": ("pose", '[{"vel": [1, 2, 3]}]', r"pose\.json: utime: expected microseconds"),
    "no value": ("pose", json.dumps([{"utime": BEGIN + 100_000, "vel": [1, 2, 3]}]), r"pose\.json: utime 15.*rotation"),
    "short": ("ms_imu", json.dumps([{"utime": BEGIN + 100_000, "q": [1, 0, 0]}]), r"ms_imu\.json: utime 15.*unpack"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_files_are_named_and_leave_nothing(tree, tmp_path, fault):
    from gsocc_ros.convert.nuscenes_to_rosbag2 import nuscenes_to_rosbag2

    name, text, expected = FAULTS[fault]
    root = tmp_path / "tree"
    shutil.copytree(tree, root)
    (root / "can_bus" / f"{SCENE}_{name}.json").write_text(text)
    with pytest.raises(DataError, match=expected):
        nuscenes_to_rosbag2(str(root), str(tmp_path / "bag"), SCENE, VERSION)
    assert [p.name for p in tmp_path.iterdir()] == ["tree"]
