# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Recordings that do not tell where the robot was: trees whose poses are unknown, with the way driven or without."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from gsocc_core.data.args import DataArgs
from gsocc_core.data.build import build_dataset
from gsocc_core.errors import ConfigError, DataError
from gsocc_ros.bags.bag_files import open_bag
from gsocc_ros.commands import rosbag2_to_nuscenes_program as main
from gsocc_ros.convert.nuscenes_to_rosbag2 import nuscenes_to_rosbag2
from gsocc_ros.convert.odometer import Odometer
from gsocc_ros.convert.rosbag2_to_nuscenes import rosbag2_to_nuscenes
from gsocc_ros.pipeline.rig import Rig

OPTICAL = [[0.0, 0.0, 1.0, 0.5], [-1.0, 0.0, 0.0, 0.25], [0.0, -1.0, 0.0, 1.25], [0.0, 0.0, 0.0, 1.0]]
KNOWN = {"width": 64, "height": 36, "intrinsics": [40.0, 40.0, 32.0, 18.0], "T_ego_cam": OPTICAL}


def write_rig(path, names=("left", "right"), **camera):
    """Cameras that fire together; the robot's motion is known nowhere."""
    cameras = {
        name: {"topic": f"/{name}/image", "camera_info_topic": f"/{name}/camera_info", "trigger_offset_ms": 10.0 * k}
        | camera
        for k, name in enumerate(names)
    }
    path.write_text(yaml.safe_dump({"base_frame": "base_link", "cameras": cameras}, sort_keys=False))
    return Rig.load(path)


def events_of(robot, rig, *left_out):
    made = robot(rig, cycles=11, cycle_ms=100.0).events()
    return [event for event in made if event.topic not in left_out]


def odometry(events, stamps_and_speeds, topic="/odom"):
    """nav_msgs/Odometry of a robot that drives sideways and ahead, 3 to 4."""
    from rosbags.typesys import Stores, get_typestore

    types = get_typestore(Stores.ROS2_JAZZY).types
    vector, zero = types["geometry_msgs/msg/Vector3"], types["geometry_msgs/msg/Vector3"](x=0.0, y=0.0, z=0.0)
    origin = types["geometry_msgs/msg/Pose"](
        position=types["geometry_msgs/msg/Point"](x=0.0, y=0.0, z=0.0),
        orientation=types["geometry_msgs/msg/Quaternion"](x=0.0, y=0.0, z=0.0, w=1.0),
    )
    none, made = np.zeros(36), []
    for stamp, speed in stamps_and_speeds:
        time = types["builtin_interfaces/msg/Time"](sec=stamp // 10**9, nanosec=stamp % 10**9)
        twist = types["geometry_msgs/msg/Twist"](linear=vector(x=0.8 * speed, y=0.6 * speed, z=0.0), angular=zero)
        message = types["nav_msgs/msg/Odometry"](
            header=types["std_msgs/msg/Header"](stamp=time, frame_id="odom"), child_frame_id="base_link",
            pose=types["geometry_msgs/msg/PoseWithCovariance"](pose=origin, covariance=none),
            twist=types["geometry_msgs/msg/TwistWithCovariance"](twist=twist, covariance=none),
        )  # fmt: skip
        made.append(type(events[0])(topic, "nav_msgs/msg/Odometry", stamp, message))
    return sorted([*events, *made], key=lambda event: event.stamp_ns)


def rows(tree, name):
    return json.loads((tree / "v1.0-own" / f"{name}.json").read_text())


def dataset(tree, cameras, **changes):
    plain = {"views": 1, "occ3d_dir": None, "depth_dir": None, "semantics_dir": None, "view_size": (18, 32)}
    return build_dataset(DataArgs(str(tree), "v1.0-own", cameras=cameras, **plain | changes), (18, 32))


def test_static_transforms_are_enough(robot, bag_of, tmp_path):
    rig = write_rig(tmp_path / "rig.yaml")
    bag = str(bag_of(tmp_path / "drive", events_of(robot, rig)))
    with pytest.raises(DataError, match=r"fixed_frame: expected the frame .*motion is known.*or --poses unknown"):
        rosbag2_to_nuscenes([bag], str(tmp_path / "tree"), str(rig.path))
    assert main([bag, "--out", str(tmp_path / "tree"), "--rig", str(rig.path), "--poses", "unknown"]) == 0
    poses = rows(tmp_path / "tree", "ego_pose")
    assert len(poses) == 2 * 11 + 3
    assert {(row["translation"], row["rotation"]) for row in poses} == {(None, None)}
    assert not any("travelled_m" in row for row in poses)
    found = dataset(tmp_path / "tree", ("left", "right"), view_images=True, view_sweeps=(-1, 1))
    assert not found.poses_known
    assert len(found) == 3
    frames = found[1]
    assert frames.targets.view_valid.all()
    assert frames.cameras.T_ego_cam[0, 0, 1, :3, 3].tolist() == [1.0, 0.0, 1.5], "camera i sits at (i, 0, 1.5)"
    # The same recording, were its motion told, has no other pictures and no other times.
    known = write_rig(tmp_path / "known.yaml")
    content = yaml.safe_load(known.path.read_text()) | {"fixed_frame": "odom"}
    known.path.write_text(yaml.safe_dump(content, sort_keys=False))
    bag = str(bag_of(tmp_path / "told" / "drive", events_of(robot, Rig.load(known.path))))
    rosbag2_to_nuscenes([bag], str(tmp_path / "with"), str(known.path))
    assert rows(tmp_path / "with", "sample_data") == rows(tmp_path / "tree", "sample_data")
    with pytest.raises(DataError, match="or --poses unknown"):
        rosbag2_to_nuscenes([str(tmp_path / "drive")], str(tmp_path / "third"), str(known.path))
    assert not (tmp_path / "third").exists()


@pytest.mark.parametrize("names", [("only",), ("left", "right")])
def test_a_calibrated_rig_file_stands_in_for_what_the_recording_lacks(robot, bag_of, tmp_path, names):
    rig = write_rig(tmp_path / "rig.yaml", names, **KNOWN)
    infos = [camera.camera_info_topic for camera in rig.cameras]
    bag = str(bag_of(tmp_path / "drive", events_of(robot, rig, "/tf_static", *infos)))
    rosbag2_to_nuscenes([bag], str(tmp_path / "tree"), str(rig.path), poses="unknown")
    cameras = dataset(tmp_path / "tree", names)[0].cameras
    np.testing.assert_allclose(cameras.T_ego_cam[0, 0, 0], OPTICAL, atol=1e-6)
    assert cameras.intrinsics[0, 0, 0].tolist() == [[20.0, 0.0, 16.0], [0.0, 20.0, 9.0], [0.0, 0.0, 1.0]]
    # What the recording tells wins: cameras of the made-up robot have other lenses and sit elsewhere.
    bag = str(bag_of(tmp_path / "told" / "drive", events_of(robot, rig)))
    rosbag2_to_nuscenes([bag], str(tmp_path / "other"), str(rig.path), poses="unknown")
    cameras = dataset(tmp_path / "other", names)[0].cameras
    assert cameras.T_ego_cam[0, 0, 0, :3, 3].tolist() == [0.0, 0.0, 1.5]
    assert cameras.intrinsics[0, 0, 0, 0, 0] == 16.0


def test_wheels_tell_the_way_at_every_picture(robot, bag_of, tmp_path):
    """Speed grows by 4 m/s every second, so after t seconds the way is 2 t t metres."""
    rig = write_rig(tmp_path / "rig.yaml")
    events = events_of(robot, rig)
    start = min(event.stamp_ns for event in events)
    told = odometry(events, [(start + k * 50_000_000, 0.2 * k) for k in range(24)])
    bag = str(bag_of(tmp_path / "drive", told))
    words = [bag, "--out", str(tmp_path / "tree"), "--rig", str(rig.path), "--poses", "unknown"]
    assert main([*words, "--odometry", "/odom"]) == 0
    stamps = {row["token"]: row["timestamp"] for row in rows(tmp_path / "tree", "ego_pose")}
    first = start // 1000
    for row in rows(tmp_path / "tree", "ego_pose"):
        seconds = (stamps[row["token"]] - first) * 1e-6
        assert row["travelled_m"] == pytest.approx(2 * seconds**2, abs=1e-6)
        assert row["translation"] is None
    found = dataset(tmp_path / "tree", ("left", "right"), view_images=True, view_sweeps=(-1, 1))
    for v, fires_s in enumerate((0.5, 0.51)):
        expected = [0.0, 2 * (fires_s - 0.1) ** 2 - 2 * fires_s**2, 2 * (fires_s + 0.1) ** 2 - 2 * fires_s**2]
        assert found[1].targets.view_travelled_m[0, :, v].tolist() == pytest.approx(expected, abs=1e-5)


def test_the_way_that_wheels_counted_goes_through_a_recording(robot, bag_of, tmp_path):
    """Tree, recording and tree again: the same metres at every picture, but for where counting began.

    The cameras have names of their own, and their pictures go through as well.
    """
    rig = write_rig(tmp_path / "rig.yaml")
    events = events_of(robot, rig)
    start = min(event.stamp_ns for event in events)
    told = odometry(events, [(start + k * 50_000_000, 0.2 * k) for k in range(24)])
    bag = str(bag_of(tmp_path / "drive", told))
    rosbag2_to_nuscenes([bag], str(tmp_path / "tree"), str(rig.path), poses="unknown", odometry="/odom")
    nuscenes_to_rosbag2(str(tmp_path / "tree"), str(tmp_path / "again"), "drive", "v1.0-own", radar=False)
    with open_bag(tmp_path / "again") as recording:
        assert not set(recording.topics) & {"/tf", "/odom", "/map"}
    back = yaml.safe_load(rig.path.read_text())
    for camera, entry in back["cameras"].items():
        entry |= {"topic": f"/{camera}/image/compressed", "camera_info_topic": f"/{camera}/camera_info"}
    (tmp_path / "back.yaml").write_text(yaml.safe_dump(back, sort_keys=False))
    rosbag2_to_nuscenes(
        [str(tmp_path / "again")], str(tmp_path / "second"), str(tmp_path / "back.yaml"), poses="unknown",
        odometry="/wheel_speed",
    )  # fmt: skip
    ways = []
    for tree in ("tree", "second"):
        found = sorted((row["timestamp"], row["travelled_m"]) for row in rows(tmp_path / tree, "ego_pose"))
        ways.append([(stamp, way - found[0][1]) for stamp, way in found])
    assert [stamp for stamp, _ in ways[0]] == [stamp for stamp, _ in ways[1]]
    assert [way for _, way in ways[1]] == pytest.approx([way for _, way in ways[0]], abs=1e-6)
    assert ways[0][-1][1] > 1.0
    pictures = [
        [(tmp_path / tree / row["filename"]).read_bytes() for row in rows(tmp_path / tree, "sample_data")
         if row["filename"].endswith("jpg")]
        for tree in ("tree", "second")
    ]  # fmt: skip
    assert len(pictures[0]) == 22
    assert sorted(pictures[0]) == sorted(pictures[1])


def test_a_speed_that_is_no_number_is_counted_and_left_out(tmp_path):
    odometers = [Odometer(tmp_path, "/odom", "nav_msgs/msg/Odometry") for _ in range(2)]
    for k, speed in enumerate((1.0, 2.0, np.nan, 4.0)):
        for odometer in odometers[: 1 + bool(np.isfinite(speed))]:
            odometer.add_speed(k * 100_000_000, speed)
    assert [odometer.broken for odometer in odometers] == [1, 0]
    assert odometers[0].travelled_m(300_000_000) == odometers[1].travelled_m(300_000_000) == pytest.approx(0.75)


def test_faults_are_named_and_leave_nothing(robot, bag_of, tmp_path, capsys):
    rig = write_rig(tmp_path / "rig.yaml")
    events = events_of(robot, rig)
    start = min(event.stamp_ns for event in events)
    steady = [(start + k * 100_000_000, 2.0) for k in range(11)]
    info = rig.cameras[0].camera_info_topic
    cases = {
        "none": (events, "/odom", "/odom: expected a topic of the recording"),
        "kind": (events, "/left/camera_info", "expected one of nav_msgs/msg/Odometry.*received sensor_msgs"),
        "short": (odometry(events, steady[:2]), "/odom", r"velocities within 0.5 s of every picture.*received 2 of"),
        "still": (odometry(events, [(s, 0.0) for s, _ in steady]), "/odom", "a robot that drives, received 11"),
        "nan": (odometry(events, [(s, np.nan) for s, _ in steady]), "/odom", "received 0 of none"),
        "mount": ([e for e in events if e.topic != "/tf_static"], None, "left, frame left: expected one of the frames"),
        "lens": ([e for e in events if e.topic != info], None, "CameraInfo, or a calibration in the rig file"),
    }
    for name, (made, topic, message) in cases.items():
        bag = str(bag_of(tmp_path / name / "drive", made))
        with pytest.raises(DataError, match=message):
            rosbag2_to_nuscenes([bag], str(tmp_path / "tree"), str(rig.path), poses="unknown", odometry=topic)
    with pytest.raises(ConfigError, match="poses: expected one of transforms, unknown"):
        rosbag2_to_nuscenes([bag], str(tmp_path / "tree"), str(rig.path), poses="guess")
    assert main([bag, "--out", str(tmp_path / "tree"), "--rig", str(rig.path), "--poses", "unknown"]) == 2
    assert capsys.readouterr().err.count("error:") == 1
    assert not list(tmp_path.glob("*tree*"))


def test_speeds_become_a_way():
    """Linear between messages, steady outside of them, at most half a second away."""
    odometer = Odometer(SimpleNamespace(), "/twist", "geometry_msgs/msg/TwistStamped")
    for milliseconds, x in ((0, 3.0), (400, 3.0), (800, 5.0)):
        velocity = SimpleNamespace(x=x, y=0.0, z=-4.0 if x == 3.0 else 0.0)
        odometer.add(milliseconds * 10**6, SimpleNamespace(twist=SimpleNamespace(linear=velocity)))
    ways = [odometer.travelled_m(ms * 10**6) for ms in (-200, 0, 100, 800, 1000)]
    assert ways == pytest.approx([-1.0, 0.0, 0.5, 4.0, 5.0])
    with pytest.raises(DataError, match=r"velocities within 0.5 s of every picture"):
        odometer.travelled_m(1_400_000_000)
    with pytest.raises(DataError, match=r"stamps that grow"):
        odometer.add_speed(0, 1.0)


def test_a_tree_without_poses_makes_a_recording_without_motion(robot, bag_of, tmp_path):
    rig = write_rig(tmp_path / "rig.yaml")
    bag = str(bag_of(tmp_path / "drive", events_of(robot, rig)))
    rosbag2_to_nuscenes([bag], str(tmp_path / "tree"), str(rig.path), poses="unknown")
    nuscenes_to_rosbag2(str(tmp_path / "tree"), str(tmp_path / "again"), "drive", "v1.0-own", radar=False)
    with open_bag(tmp_path / "again") as recording:
        topics = set(recording.topics)
    assert "/tf_static" in topics
    assert not topics & {"/tf", "/odom", "/map"}
