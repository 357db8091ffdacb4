# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Recordings hold what the tables and files of a nuScenes scene hold; faulty trees are named and leave nothing."""

import json
import shutil
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml
from rosbags.interfaces import QosDurability, QosReliability

from gsocc_core import OCC3D_NUSCENES
from gsocc_core.errors import ConfigError, DataError, OutputExistsError
from gsocc_core.geometry.rigid import rigid_from_quat
from gsocc_ros.bags.bag_files import open_bag
from gsocc_ros.commands import nuscenes_to_rosbag2_program as main
from gsocc_ros.convert.nuscenes_to_rosbag2 import nuscenes_to_rosbag2
from gsocc_ros.messages import occupancy_messages as messages
from gsocc_ros.messages.annotation_messages import velocities
from gsocc_ros.messages.radar_messages import RADAR_POINT
from gsocc_ros.pipeline.camera_input import stamp_ns

VERSION = "v1.0-tiny"
SCENE = "scene-b"
CAMERAS = ("CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT")
TURN_RAD_S = 0.5
FORMATS = [("mcap", "jazzy"), ("sqlite3", "jazzy"), ("mcap", "humble"), ("sqlite3", "humble")]


def read_table(root, name):
    return json.loads((root / VERSION / f"{name}.json").read_text())


def write_table(root, name, rows):
    (root / VERSION / f"{name}.json").write_text(json.dumps(rows))


def between(root, readings, poses, first, second):
    """A sweep halfway between two key-frame readings; it belongs to the later key frame, as in nuScenes."""
    time = (first["timestamp"] + second["timestamp"]) // 2
    name = second["filename"].replace("samples", "sweeps")
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(root / first["filename"], root / name)
    token = f"sweep-{second['token']}"
    pose = next(p for p in poses if p["token"] == first["ego_pose_token"])
    moved = [pose["translation"][0] + 1.25, *pose["translation"][1:]]
    poses.append({**pose, "token": f"pose-{token}", "timestamp": time, "translation": moved})
    readings.append({
        **second, "token": token, "timestamp": time, "filename": name, "is_key_frame": False,
        "ego_pose_token": f"pose-{token}", "prev": first["token"], "next": second["token"],
    })  # fmt: skip
    first["next"], second["prev"] = token, token


def random_radar(rng, count):
    """Returns with values in every field, invalid ones among them."""
    points = np.zeros(count, RADAR_POINT)
    for name in RADAR_POINT.names:
        floats = RADAR_POINT[name].kind == "f"
        points[name] = rng.normal(0, 30, count) if floats else rng.integers(0, 5, count)
    return points


def add_radar(root, readings, poses, write_radar):
    """A radar with files, beginning when the LiDAR does."""
    rng = np.random.default_rng(7)
    sensors, calibrations = read_table(root, "sensor"), read_table(root, "calibrated_sensor")
    sensors.append({"token": "sensor-radar", "channel": "RADAR_FRONT", "modality": "radar"})
    for lidar in [r for r in readings if "LIDAR_TOP" in r["filename"] and r["is_key_frame"]]:
        calibration = next(c for c in calibrations if c["token"] == lidar["calibrated_sensor_token"])
        calibrations.append({**calibration, "token": f"radar-{lidar['token']}", "sensor_token": "sensor-radar"})
        token = f"radar-{lidar['token']}"
        time = lidar["timestamp"] + (17_000 if lidar["prev"] else 0)  # the first shares its stamp with the LiDAR
        pose = next(p for p in poses if p["token"] == lidar["ego_pose_token"])
        poses.append({**pose, "token": f"pose-{token}", "timestamp": time})
        neighbours = {key: lidar[key] and f"radar-{lidar[key].removeprefix('sweep-')}" for key in ("prev", "next")}
        readings.append({
            **lidar, "token": token, "timestamp": time, "calibrated_sensor_token": token, **neighbours,
            "ego_pose_token": f"pose-{token}", "filename": f"samples/RADAR_FRONT/{token}.pcd",
        })  # fmt: skip
        write_radar(root / f"samples/RADAR_FRONT/{token}.pcd", random_radar(rng, 4))
    write_table(root, "sensor", sensors)
    write_table(root, "calibrated_sensor", calibrations)


@pytest.fixture(scope="module")
def tree(tiny_tree, tmp_path_factory, radar_writer):
    """The tiny tree with radars, sweeps between the key frames, and another calibration for each drive."""
    root = tmp_path_factory.mktemp("sweeps") / "tree"
    shutil.copytree(tiny_tree, root)
    readings, poses = read_table(root, "sample_data"), read_table(root, "ego_pose")
    add_radar(root, readings, poses, radar_writer)
    by_token = {r["token"]: r for r in readings}
    for first in [r for r in readings if r["next"] and "RADAR" not in r["filename"]]:
        between(root, readings, poses, first, by_token[first["next"]])
    for pose in poses:
        half = 0.5 * TURN_RAD_S * (pose["timestamp"] - 1_500_000_000_000_000) * 1e-6
        pose["rotation"] = [np.cos(half), 0.0, 0.0, np.sin(half)]
    write_table(root, "sample_data", readings)
    write_table(root, "ego_pose", poses)
    calibrations = read_table(root, "calibrated_sensor")
    for c in calibrations:
        if SCENE in c["token"]:
            c["translation"][2] += 0.25
    write_table(root, "calibrated_sensor", calibrations)
    return root


def of_scene(root, channel=None):
    """Rows of sample_data of the scene, in time order."""
    rows = [r for r in read_table(root, "sample_data") if r["sample_token"].startswith(SCENE)]
    return sorted((r for r in rows if channel in (None, Path(r["filename"]).parts[1])), key=lambda r: r["timestamp"])


class Recording:
    """Everything in a recording: messages by topic, in its order."""

    def __init__(self, path):
        self.path, self.messages, self.log_ns, self.qos = path, {}, [], {}
        with open_bag(path) as bag:
            self.types = {c.topic: c.msgtype for c in bag.connections}
            for connection in bag.connections:
                (self.qos[connection.topic],) = connection.ext.offered_qos_profiles
            for connection, log, raw in bag.messages():
                message = bag.decode(connection, log, raw)
                self.messages.setdefault(connection.topic, []).append((log, message))
                self.log_ns.append(log)
        self.metadata = yaml.safe_load((path / "metadata.yaml").read_text())["rosbag2_bagfile_information"]


@pytest.fixture(scope="module", params=FORMATS, ids=["-".join(f) for f in FORMATS])
def formatted(request, tree, tmp_path_factory):
    """The scene in every storage format and for every distribution."""
    storage, distro = request.param
    out = tmp_path_factory.mktemp("bags") / "drive"
    nuscenes_to_rosbag2(str(tree), str(out), SCENE, VERSION, storage=storage, distro=distro)
    return storage, distro, Recording(out)


@pytest.fixture(scope="module")
def recording(tree, tmp_path_factory):
    """The scene with the defaults."""
    out = tmp_path_factory.mktemp("bags") / "drive"
    nuscenes_to_rosbag2(str(tree), str(out), SCENE, VERSION)
    return Recording(out)


def pose_of(transform):
    q, p = transform.rotation, transform.translation
    return rigid_from_quat([q.w, q.x, q.y, q.z], [p.x, p.y, p.z])


# --- what the recording holds --------------------------------------------------------------------------------------


def test_topics_types_and_format(formatted):
    storage, distro, recording = formatted
    expected = {
        "/tf": "tf2_msgs/msg/TFMessage", "/tf_static": "tf2_msgs/msg/TFMessage",
        "/lidar_top": "sensor_msgs/msg/PointCloud2", "/radar_front": "sensor_msgs/msg/PointCloud2",
        "/odom": "nav_msgs/msg/Odometry",
        "/occupancy/ground_truth": "gsocc_ros/msg/SemanticOccupancy",
        "/occupancy/ground_truth/classes": "gsocc_ros/msg/SemanticClassTable",
    }  # fmt: skip
    for camera in CAMERAS:
        expected[f"/{camera.lower()}/image/compressed"] = "sensor_msgs/msg/CompressedImage"
        expected[f"/{camera.lower()}/camera_info"] = "sensor_msgs/msg/CameraInfo"
    assert recording.types == expected
    assert recording.metadata["version"] == {"jazzy": 9, "humble": 8}[distro]
    assert recording.metadata["storage_identifier"] == storage
    assert recording.metadata["message_count"] == len(recording.log_ns) == 5 * 13 + 3 + 2 * 37 + 1 + 3 + 1


def test_late_subscribers_get_what_is_said_once(formatted):
    _, _, recording = formatted
    for topic, qos in recording.qos.items():
        latched = topic in {"/tf_static", "/occupancy/ground_truth/classes"}
        assert qos.durability == (QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE)
        assert qos.reliability == QosReliability.RELIABLE
        if latched:
            ((log, _),) = recording.messages[topic]
            assert log == min(recording.log_ns)


def test_log_times_are_stamps_and_sorted(formatted):
    _, _, recording = formatted
    assert all(a <= b for a, b in pairwise(recording.log_ns))
    for items in recording.messages.values():
        for log, message in items:
            header = message.transforms[0].header if hasattr(message, "transforms") else message.header
            assert stamp_ns(header) == log


@pytest.mark.parametrize("camera", CAMERAS)
def test_pictures_are_the_files(recording, tree, camera):
    rows = of_scene(tree, camera)
    sent = recording.messages[f"/{camera.lower()}/image/compressed"]
    assert [log for log, _ in sent] == [row["timestamp"] * 1000 for row in rows]
    assert len(rows) == 5
    for row, (_, message) in zip(rows, sent, strict=True):
        assert bytes(message.data) == (tree / row["filename"]).read_bytes()
        assert (message.format, message.header.frame_id) == ("jpeg", f"{camera.lower()}_optical_frame")


@pytest.mark.parametrize("camera", CAMERAS)
def test_each_picture_has_its_calibration(recording, tree, camera):
    (sensor,) = [c for c in read_table(tree, "calibrated_sensor") if c["token"] == f"cal-{SCENE}-{camera}"]
    infos = recording.messages[f"/{camera.lower()}/camera_info"]
    pictures = recording.messages[f"/{camera.lower()}/image/compressed"]
    assert [log for log, _ in infos] == [log for log, _ in pictures]
    for _, info in infos:
        np.testing.assert_array_equal(info.k.reshape(3, 3), sensor["camera_intrinsic"])
        np.testing.assert_array_equal(info.r.reshape(3, 3), np.eye(3))
        np.testing.assert_array_equal(info.p.reshape(3, 4)[:, :3], sensor["camera_intrinsic"])
        assert not info.p.reshape(3, 4)[:, 3].any()
        assert (info.width, info.height) == (80, 45)
        assert (info.distortion_model, info.d.tolist()) == ("plumb_bob", [0.0] * 5)
        assert info.header.frame_id == f"{camera.lower()}_optical_frame"


def test_ego_poses_at_every_stamp_of_the_tables(recording, tree):
    poses = {p["token"]: p for p in read_table(tree, "ego_pose")}
    expected = {p["timestamp"] * 1000: p for p in (poses[r["ego_pose_token"]] for r in of_scene(tree))}
    sent = recording.messages["/tf"]
    assert [log for log, _ in sent] == sorted(expected)
    assert len(sent) == 5 * 7 + 3 - 1  # five readings of seven sensors, three of the radar, one stamp shared
    for log, message in sent:
        (item,) = message.transforms
        assert (item.header.frame_id, item.child_frame_id) == ("map", "base_link")
        T = rigid_from_quat(expected[log]["rotation"], expected[log]["translation"])
        np.testing.assert_allclose(pose_of(item.transform), T, rtol=0, atol=1e-9)


def test_odometry_is_the_pose_and_its_change(recording):
    sent, poses = recording.messages["/odom"], dict(recording.messages["/tf"])
    assert len(sent) == len(poses)
    places = np.array([pose_of(poses[log].transforms[0].transform)[:3, 3] for log, _ in sent])
    speeds = velocities([log for log, _ in sent], places)
    for (log, message), speed in zip(sent, speeds, strict=True):
        T = pose_of(poses[log].transforms[0].transform)
        p, q, v = message.pose.pose.position, message.pose.pose.orientation, message.twist.twist.linear
        np.testing.assert_allclose(rigid_from_quat([q.w, q.x, q.y, q.z], [p.x, p.y, p.z]), T, atol=1e-9)
        np.testing.assert_allclose(T[:3, :3] @ [v.x, v.y, v.z], speed, atol=1e-6)
        w = message.twist.twist.angular
        np.testing.assert_allclose([w.x, w.y, w.z], [0, 0, TURN_RAD_S], atol=1e-6)
        assert message.pose.covariance.reshape(6, 6).diagonal().min() > 0
        assert message.twist.covariance.reshape(6, 6).diagonal().min() > 0
        assert (message.header.frame_id, message.child_frame_id) == ("map", "base_link")


def test_static_transforms_are_that_drives_calibration(recording, tree):
    ((_, message),) = recording.messages["/tf_static"]
    calibrations = {c["token"]: c for c in read_table(tree, "calibrated_sensor")}
    assert {item.header.frame_id for item in message.transforms} == {"base_link"}
    frames = {item.child_frame_id: pose_of(item.transform) for item in message.transforms}
    channels = {f"{c.lower()}_optical_frame": c for c in CAMERAS} | {
        "lidar_top": "LIDAR_TOP",
        "radar_front": "RADAR_FRONT",
    }
    assert frames.keys() == channels.keys()
    for frame, channel in channels.items():
        radar = channel.startswith("RADAR")
        row = calibrations[f"radar-{SCENE}-0-LIDAR_TOP" if radar else f"cal-{SCENE}-{channel}"]
        np.testing.assert_allclose(frames[frame], rigid_from_quat(row["rotation"], row["translation"]), atol=1e-9)
        other = calibrations["radar-scene-a-0-LIDAR_TOP" if radar else f"cal-scene-a-{channel}"]
        assert row["translation"][2] != other["translation"][2]
    ahead = frames["cam_front_optical_frame"][:3, 2]
    np.testing.assert_allclose(ahead, [1, 0, 0], atol=1e-9)  # an optical frame looks along z, the car along x


def test_points_are_the_files(recording, tree):
    rows = of_scene(tree, "LIDAR_TOP")
    kinds = {"names": ["x", "y", "z", "intensity", "ring"], "formats": ["<f4", "<f4", "<f4", "<f4", "<u2"]}
    for row, (log, cloud) in zip(rows, recording.messages["/lidar_top"], strict=True):
        assert (log, cloud.header.frame_id, cloud.width) == (row["timestamp"] * 1000, "lidar_top", 30)
        assert [(f.name, f.offset, f.datatype) for f in cloud.fields] == [
            ("x", 0, 7), ("y", 4, 7), ("z", 8, 7), ("intensity", 12, 7), ("ring", 16, 4),
        ]  # fmt: skip
        points = np.frombuffer(bytes(cloud.data), np.dtype({**kinds, "itemsize": cloud.point_step}))
        file = np.fromfile(tree / row["filename"], np.float32).reshape(-1, 5)
        for column, name in enumerate(("x", "y", "z", "intensity")):
            np.testing.assert_array_equal(points[name], file[:, column])
        np.testing.assert_array_equal(points["ring"], file[:, 4].astype(np.uint16))
        assert not np.frombuffer(bytes(cloud.data), np.uint8).reshape(-1, 20)[:, 18:].any()


def test_ground_truth_is_the_label_files(formatted, tree):
    _, _, recording = formatted
    ((_, table),) = recording.messages["/occupancy/ground_truth/classes"]
    classes = messages.read_class_table(table)
    assert classes == OCC3D_NUSCENES
    keys = [row for row in of_scene(tree, "LIDAR_TOP") if row["is_key_frame"]]
    for row, (log, message) in zip(keys, recording.messages["/occupancy/ground_truth"], strict=True):
        file = np.load(tree / "gts" / SCENE / row["sample_token"] / "labels.npz")
        truth = messages.read_occupancy(message, classes)
        assert (log, message.header.frame_id, message.model_id) == (
            row["timestamp"] * 1000,
            "base_link",
            "ground_truth",
        )
        assert message.class_table_id == table.id
        np.testing.assert_array_equal(truth.labels, file["semantics"])
        np.testing.assert_array_equal(truth.observed, file["mask_camera"])
        assert truth.grid.lower == (-40.0, -40.0, -1.0)
        assert truth.confidence is truth.velocity is None


def test_the_recording_says_where_it_is_from(formatted, tree):
    _, _, recording = formatted
    custom = recording.metadata["custom_data"]
    calibration = json.loads(custom.pop("calibration"))
    assert custom == {
        "dataset": "nuScenes", "dataset_version": VERSION, "scene": SCENE, "scene_token": SCENE, "logfile": SCENE,
        "location": "nowhere",
    }  # fmt: skip
    assert set(calibration) == {*CAMERAS, "LIDAR_TOP", "RADAR_FRONT"}
    (sensor,) = [c for c in read_table(tree, "calibrated_sensor") if c["token"] == f"cal-{SCENE}-CAM_BACK"]
    assert calibration["CAM_BACK"] == {k: sensor[k] for k in ("translation", "rotation", "camera_intrinsic")}


# --- options -------------------------------------------------------------------------------------------------------


def test_without_sweeps_only_poses_are_dense(tree, recording, tmp_path):
    assert main([str(tree), str(tmp_path / "bag"), "--scene", SCENE, "--version", VERSION, "--no-sweeps"]) == 0
    short = Recording(tmp_path / "bag")
    assert short.types == recording.types
    assert len(short.messages["/tf"]) == len(recording.messages["/tf"])
    keys = [row["timestamp"] * 1000 for row in of_scene(tree, "CAM_BACK") if row["is_key_frame"]]
    assert [log for log, _ in short.messages["/cam_back/image/compressed"]] == keys
    assert len(short.messages["/lidar_top"]) == len(short.messages["/occupancy/ground_truth"]) == 3


def test_ground_truth_is_left_out_where_there_is_none(tiny_test_tree, tree, tmp_path):
    nuscenes_to_rosbag2(str(tiny_test_tree), str(tmp_path / "test"), SCENE, "v1.0-tinytest")
    nuscenes_to_rosbag2(str(tree), str(tmp_path / "unwanted"), SCENE, VERSION, occupancy=None)
    for name in ("test", "unwanted"):
        assert not [topic for topic in Recording(tmp_path / name).types if "occupancy" in topic]
    with pytest.raises(DataError, match="others: occupancy: expected a folder of Occ3D labels, received no such"):
        nuscenes_to_rosbag2(str(tree), str(tmp_path / "wrong"), SCENE, VERSION, occupancy="others")
    assert not (tmp_path / "wrong").exists()


def test_ground_truth_may_lie_elsewhere_and_be_incomplete(tree, tmp_path):
    root = tmp_path / "tree"
    shutil.copytree(tree, root)
    (root / "gts").rename(root / "labels")
    shutil.rmtree(root / "labels" / SCENE / f"{SCENE}-1")
    nuscenes_to_rosbag2(str(root), str(tmp_path / "bag"), SCENE, VERSION, occupancy="labels")
    assert len(Recording(tmp_path / "bag").messages["/occupancy/ground_truth"]) == 2


# --- incomplete drives ---------------------------------------------------------------------------------------------


def test_a_camera_need_not_be_there_from_the_first_key_frame_on(tree, tmp_path):
    root = tmp_path / "tree"
    shutil.copytree(tree, root)
    late, never = of_scene(root, "CAM_BACK"), of_scene(root, "CAM_FRONT")
    gone = {late[0]["token"]} | {row["token"] for row in never if row["is_key_frame"]}
    rows = [row for row in read_table(root, "sample_data") if row["token"] not in gone]
    for row in rows:
        row["prev"], row["next"] = ("" if row[key] in gone else row[key] for key in ("prev", "next"))
    write_table(root, "sample_data", rows)
    assert main([str(root), str(tmp_path / "bag"), "--scene", SCENE, "--version", VERSION]) == 0
    found = Recording(tmp_path / "bag")
    for topic, left in (("cam_back", late[1:]), ("cam_front", [row for row in never if not row["is_key_frame"]])):
        expected = [row["timestamp"] * 1000 for row in left]
        assert [log for log, _ in found.messages[f"/{topic}/image/compressed"]] == expected
        assert [log for log, _ in found.messages[f"/{topic}/camera_info"]] == expected
    ((_, static),) = found.messages["/tf_static"]
    assert len(static.transforms) == len(CAMERAS) + 2


# --- bad input -----------------------------------------------------------------------------------------------------


def some_picture(root):
    return root / of_scene(root, "CAM_BACK")[-1]["filename"]


def lose_lidar(root):
    rows = read_table(root, "sample_data")
    write_table(root, "sample_data", [r for r in rows if "LIDAR_TOP" not in r["filename"]])


def lose_pose(root):
    gone = of_scene(root, "CAM_FRONT")[1]["ego_pose_token"]
    write_table(root, "ego_pose", [p for p in read_table(root, "ego_pose") if p["token"] != gone])


def move_a_camera(root):
    calibrations, rows = read_table(root, "calibrated_sensor"), read_table(root, "sample_data")
    token = f"cal-{SCENE}-CAM_BACK"
    moved = next(c for c in calibrations if c["token"] == token)
    write_table(root, "calibrated_sensor", [*calibrations, {**moved, "token": "moved", "translation": [0, 0, 1.25]}])
    last = [row for row in rows if row["calibrated_sensor_token"] == token][-1]
    last["calibrated_sensor_token"] = "moved"
    write_table(root, "sample_data", rows)


FAULTS = {
    "moved camera": (
        move_a_camera,
        r"calibrated_sensor\.json: CAM_BACK of scene-b: expected one translation for the whole drive: \[-1\.5.*moved",
    ),
    "missing picture": (lambda root: some_picture(root).unlink(), r"CAM_BACK.*scene-b-2.*no such file"),
    "picture of text": (lambda root: some_picture(root).write_text("hello"), r"scene-b-2.*content: .*JPEG.*5 bytes"),
    "empty picture": (lambda root: some_picture(root).write_bytes(b""), r"scene-b-2.*content: .*JPEG.*0 bytes"),
    "odd cloud": (
        lambda root: (root / of_scene(root, "LIDAR_TOP")[0]["filename"]).write_bytes(b"123"),
        r"size: expected points of .*, a multiple of 20 bytes, received 3",
    ),
    "damaged labels": (
        lambda root: (root / "gts" / SCENE / f"{SCENE}-1" / "labels.npz").write_bytes(b"PK"),
        r"labels\.npz: content",
    ),
    "no tables": (lambda root: shutil.rmtree(root / VERSION), r"expected a folder with the nuScenes tables"),
    "missing table": (lambda root: (root / VERSION / "log.json").unlink(), r"log\.json: expected all 13"),
    "no lidar": (lose_lidar, r"expected a key frame of LIDAR_TOP"),
    "dangling token": (lose_pose, r"ego_pose\.json: token: expected a record 'pose-"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named_and_leave_nothing(tree, tmp_path, fault):
    root, place = tmp_path / "tree", tmp_path / "bags"
    shutil.copytree(tree, root)
    place.mkdir()
    damage, expected = FAULTS[fault]
    damage(root)
    with pytest.raises(DataError, match=expected):
        nuscenes_to_rosbag2(str(root), str(place / "bag"), SCENE, VERSION)
    assert list(place.iterdir()) == []


def test_an_interruption_leaves_nothing(tree, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("gsocc_ros.convert.ground_truth.GroundTruth._occ3d", interrupt)
    with pytest.raises(KeyboardInterrupt):
        nuscenes_to_rosbag2(str(tree), str(tmp_path / "bag"), SCENE, VERSION)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_output_is_told_before_the_tables_are_read(tmp_path):
    (tmp_path / "bag").mkdir()
    (tmp_path / "bag" / "mine").write_text("keep")
    with pytest.raises(OutputExistsError, match="bag: output: expected a path that does not exist yet"):
        nuscenes_to_rosbag2(str(tmp_path / "no-tree"), str(tmp_path / "bag"), SCENE, VERSION)
    assert (tmp_path / "bag" / "mine").read_text() == "keep"


def test_a_missing_devkit_is_named(tree, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "nuscenes.nuscenes", None)
    with pytest.raises(ConfigError, match=r"pip install nuscenes-devkit"):
        nuscenes_to_rosbag2(str(tree), str(tmp_path / "bag"), SCENE, VERSION)


def test_the_command_line_tells_faults_in_one_line(tree, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("GSOCC_DEBUG", raising=False)
    words = [str(tree), str(tmp_path / "bag"), "--version", VERSION]
    assert main([*words, "--scene", "scene-z"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("nuscenes_to_rosbag2: error: ")
    assert "scene-z" in told
    assert "scene-a" in told
    assert "no such scene" in told
    for wrong in (["--storage", "rosbag1"], ["--distro", "foxy"], []):
        assert main([*words, *(["--scene", SCENE, *wrong] if wrong else [])]) == 2
    assert list(tmp_path.iterdir()) == []
