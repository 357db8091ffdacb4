# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A data set goes to recordings and back without loss; own recordings become one; faults are named."""

import copy
import json
from dataclasses import replace
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.transform import Rotation

from gsocc_core import OCC3D_NUSCENES, SemanticGrid, VoxelGrid
from gsocc_core.data.args import DataArgs
from gsocc_core.data.build import build_dataset
from gsocc_core.data.nuscenes_index import choose_scenes, open_nuscenes, read_key_frames
from gsocc_core.data.occ3d import read_occ3d
from gsocc_core.errors import ConfigError, DataError, OutputExistsError
from gsocc_core.geometry.rigid import rigid_from_quat
from gsocc_ros.bags.bag_files import open_bag
from gsocc_ros.commands import rosbag2_to_nuscenes_program as main
from gsocc_ros.convert.drive_survey import Survey, choose_key_frames, mounting
from gsocc_ros.convert.nuscenes_to_rosbag2 import nuscenes_to_rosbag2
from gsocc_ros.convert.rosbag2_to_nuscenes import rosbag2_to_nuscenes
from gsocc_ros.messages import occupancy_messages as messages
from gsocc_ros.messages.message_host import rosbags_host
from gsocc_ros.pipeline.camera_input import read_camera_info
from gsocc_ros.pipeline.rig import Rig
from gsocc_ros.pipeline.transform_buffer import TransformBuffer

CAMERAS = ("CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT")
SCENES = ("scene-a", "scene-b")
RIG = Rig.load("nuscenes")


@pytest.fixture(scope="module")
def back(tiny_tree, tmp_path_factory):
    """The tiny tree as recordings and as a tree again."""
    root = tmp_path_factory.mktemp("round")
    for scene in SCENES:
        nuscenes_to_rosbag2(str(tiny_tree), str(root / scene), scene, "v1.0-tiny")
    out = root / "own"
    rosbag2_to_nuscenes([str(root / scene) for scene in SCENES], str(out), "nuscenes", val_bags=1)
    return out


def frames(root, version):
    pytest.importorskip("nuscenes", reason="nuscenes-devkit is not installed")
    nusc = open_nuscenes(root, version)
    return read_key_frames(nusc, choose_scenes(nusc, None, None), CAMERAS)


def test_the_round_trip_keeps_everything(back, tiny_tree):
    before, after = frames(tiny_tree, "v1.0-tiny"), frames(back, "v1.0-own")
    assert [len(scene) for scene in after] == [len(scene) for scene in before] == [3, 3]
    for old, new in zip(chain(*before), chain(*after), strict=True):
        assert (new.scene_name, new.stamp_ns) == (old.scene_name, old.stamp_ns)
        np.testing.assert_allclose(new.T_world_ego, old.T_world_ego, atol=1e-6)
        np.testing.assert_allclose(new.T_ego_lidar, old.T_ego_lidar, atol=1e-6)
        points = [np.fromfile(frame.lidar_path, np.float32).reshape(-1, 5) for frame in (old, new)]
        np.testing.assert_array_equal(points[0][:, :4], points[1][:, :4])
        real = points[0][:, 4] >= 0  # rings are whole numbers from 0 on; this tree's are not
        np.testing.assert_array_equal(np.floor(points[0][real, 4]), points[1][real, 4])
        for a, b in zip(old.shots, new.shots, strict=True):
            assert b.stamp_ns == a.stamp_ns
            assert b.path.read_bytes() == a.path.read_bytes()
            assert (b.camera.width, b.camera.height) == (a.camera.width, a.camera.height)
            np.testing.assert_allclose(b.camera.intrinsics, a.camera.intrinsics, rtol=1e-9)
            np.testing.assert_allclose(b.camera.T_ego_cam, a.camera.T_ego_cam, atol=1e-6)
            np.testing.assert_allclose(b.T_world_ego, a.T_world_ego, atol=1e-6)
        labels = [
            read_occ3d(root / "gts" / frame.scene_name / frame.token / "labels.npz")
            for root, frame in ((tiny_tree, old), (back, new))
        ]
        np.testing.assert_array_equal(labels[0].semantics, labels[1].semantics)
        np.testing.assert_array_equal(labels[0].mask_camera, labels[1].mask_camera)


def test_the_devkit_draws_from_it(back):
    nusc = open_nuscenes(back, "v1.0-own")
    path, boxes, K = nusc.get_sample_data(nusc.sample[0]["data"]["CAM_FRONT"])
    assert (Image.open(path).size, boxes, K.shape) == ((80, 45), [], (3, 3))
    assert choose_scenes(nusc, "val", None) == ["scene-b"]


def test_the_loader_gives_the_same_frames(back, tiny_tree):
    from gsocc_core.data.nuscenes import DataArgs, NuScenesOccupancy

    options = {"depth_dir": None, "semantics_dir": None, "views": 1}
    made = [
        NuScenesOccupancy(DataArgs(str(root), version, **options), (32, 64))[1]
        for root, version in ((tiny_tree, "v1.0-tiny"), (back, "v1.0-own"))
    ]
    assert torch.equal(made[0].images, made[1].images)
    torch.testing.assert_close(made[0].cameras.T_ego_cam, made[1].cameras.T_ego_cam)
    torch.testing.assert_close(made[0].cameras.intrinsics, made[1].cameras.intrinsics)
    assert torch.equal(made[0].camera_stamps_ns, made[1].camera_stamps_ns)
    assert torch.equal(made[0].targets.labels, made[1].targets.labels)


def drive(robot, cycles):
    """An own recording at 10 Hz, whose LiDAR has its place on the robot."""
    events = robot(RIG, cycles=cycles, cycle_ms=100.0).events()
    mounts = events[0].message.transforms
    mounts.append(copy.deepcopy(mounts[0]))
    mounts[-1].child_frame_id = "lidar"
    return events


@pytest.fixture(scope="module")
def own(robot, bag_of, tmp_path_factory):
    """An own recording, and its tree."""
    root = tmp_path_factory.mktemp("own")
    bag = bag_of(root / "drive", drive(robot, 21))
    rosbag2_to_nuscenes([str(bag)], str(root / "tree"), "nuscenes", keyframe_rate=2.0)
    return bag, root / "tree"


def table(root, name):
    return json.loads((root / "v1.0-own" / f"{name}.json").read_text())


def test_key_frames_come_at_the_rate_and_sweeps_between(own, robot):
    _, tree = own
    stamps = [row["timestamp"] * 1000 for row in table(tree, "sample")]
    assert stamps == [robot(RIG, cycle_ms=100.0).reference_ns(cycle) for cycle in (0, 5, 10, 15, 20)]
    front = [row for row in table(tree, "sample_data") if "CAM_FRONT__" in row["filename"]]
    assert [row["is_key_frame"] for row in front] == [k % 5 == 0 for k in range(21)]
    assert {row["filename"].split("/")[0] for row in front if not row["is_key_frame"]} == {"sweeps"}
    for row in table(tree, "sample_data"):
        assert (tree / row["filename"]).is_file()
    samples = {row["token"]: row["timestamp"] for row in table(tree, "sample")}
    assert all(samples[row["sample_token"]] >= row["timestamp"] - 100_000 for row in front)


def test_the_robots_motion_is_at_each_sensors_own_stamp(own):
    _, tree = own
    poses = {row["token"]: row for row in table(tree, "ego_pose")}
    rows = table(tree, "sample_data")
    start = min(row["timestamp"] for row in rows)
    for row in rows:
        pose = poses[row["ego_pose_token"]]
        assert pose["timestamp"] == row["timestamp"]
        assert pose["translation"][0] == pytest.approx((row["timestamp"] - start) * 1e-6 * 10.0, abs=1e-4)  # 10 m/s
        np.testing.assert_allclose(rigid_from_quat(pose["rotation"], [0, 0, 0])[:3, :3], np.eye(3), atol=1e-9)


def test_written_twice_it_is_the_same(own, tmp_path):
    bag, tree = own
    rosbag2_to_nuscenes([str(bag)], str(tmp_path / "again"), "nuscenes")
    names = sorted(p.relative_to(tree) for p in tree.rglob("*") if p.is_file())
    assert names == sorted(p.relative_to(tmp_path / "again") for p in (tmp_path / "again").rglob("*") if p.is_file())
    assert all((tree / name).read_bytes() == (tmp_path / "again" / name).read_bytes() for name in names)


def test_what_was_interrupted_goes_on_with_what_is_missing(back, tmp_path, monkeypatch):
    """The recordings that are converted are not read again, and their labels say what those of the others must be."""
    bags, read = [str(back.parent / scene) for scene in SCENES], []

    def open_once(bag):
        read.append(Path(bag).name)
        if read == list(SCENES):
            raise KeyboardInterrupt
        return open_bag(bag)

    monkeypatch.setattr("gsocc_ros.convert.rosbag2_to_nuscenes.open_bag", open_once)
    with pytest.raises(KeyboardInterrupt):
        rosbag2_to_nuscenes(bags, str(tmp_path / "own"), "nuscenes", val_bags=1)
    with pytest.raises(OutputExistsError, match=r"own\.incomplete: val_bags: expected 1 as before"):
        rosbag2_to_nuscenes(bags, str(tmp_path / "own"), "nuscenes")
    read.clear()
    rosbag2_to_nuscenes(bags, str(tmp_path / "own"), "nuscenes", val_bags=1)
    assert read == [SCENES[1]]
    ours, theirs = (
        {str(path.relative_to(root)): path for path in root.rglob("*") if path.is_file()}
        for root in (tmp_path / "own", back)
    )
    assert set(ours) == set(theirs)
    assert {"maps/blank.png", "v1.0-own/sample.json", "v1.0-own/splits.json"} <= set(ours)
    for name, path in ours.items():
        if path.suffix == ".npz":
            with np.load(path) as one, np.load(theirs[name]) as other:
                assert all(np.array_equal(one[key], other[key]) for key in other.files)
        else:
            assert path.read_bytes() == theirs[name].read_bytes(), name


@given(st.lists(st.integers(1, 400), min_size=1, max_size=60), st.integers(50, 1000))
def test_key_frames_are_apart_and_none_is_left_out(gaps, period):
    stamps = np.cumsum(gaps).tolist()
    chosen = choose_key_frames(stamps, period)
    assert chosen[0] == stamps[0]
    assert set(chosen) <= set(stamps)
    assert all(b - a >= 0.9 * period for a, b in pairwise(chosen))
    for a, b in pairwise([*chosen, float("inf")]):
        assert not [s for s in stamps if a < s < b and s - a >= 0.9 * period]


def faulty(robot, bag_of, path, change):
    return str(bag_of(path, [made for event in drive(robot, 8) for made in change(event)]))


def test_faults_are_named_and_leave_nothing(robot, bag_of, tmp_path, capsys):
    front = RIG.camera("CAM_FRONT")

    def without(topic):
        return lambda event: [] if event.topic == topic else [event]

    def distorted(event):
        if event.topic == front.camera_info_topic:
            event.message.d = np.array([0.1, 0.0, 0.0, 0.0, 0.0])
        return [event]

    def renamed(event):
        if event.topic == front.topic and event.stamp_ns > 1_700_000_000_500_000_000:
            event.message.header.frame_id = "other_front"
        return [event]

    def panned(event):
        """The camera's mount is told as moving, and moves."""
        if event.topic == "/tf":
            turn = copy.deepcopy(event.message.transforms[0])
            turn.header.frame_id, turn.child_frame_id = "base_link", "cam_front"
            turn.transform.translation.x *= 0.1  # at 1 m/s
            event.message.transforms.append(turn)
        return [event]

    cases = {
        "frame": (renamed, "one frame_id for the whole recording: .*front.*, received other_front"),
        "mount": (
            panned,
            "CAM_FRONT, frame cam_front: expected a place on base_link that stays.*received 0.[67]. m",
        ),
        "picture": (without(front.topic), front.topic),
        "info": (without(front.camera_info_topic), "CameraInfo"),
        "tf": (without("/tf"), "map"),
        "static": (without("/tf_static"), "cam_front"),
        "lens": (distorted, "rectified"),
    }
    for name, (change, expected) in cases.items():
        bag = faulty(robot, bag_of, tmp_path / f"bag_{name}", change)
        with pytest.raises(DataError, match=expected):
            rosbag2_to_nuscenes([bag], str(tmp_path / "out"), "nuscenes")
    back_in_time = drive(robot, 8)
    again = [replace(e, stamp_ns=e.stamp_ns + 10**10) for e in back_in_time if not e.topic.startswith("/tf")]
    bag = str(bag_of(tmp_path / "bag_loop", back_in_time + again))
    with pytest.raises(DataError, match="grow"):
        rosbag2_to_nuscenes([bag], str(tmp_path / "out"), "nuscenes")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob("*.incomplete"))
    assert main([bag, "--out", str(tmp_path / "out"), "--rig", "nuscenes"]) == 2
    assert "grow" in capsys.readouterr().err
    with pytest.raises(OutputExistsError):
        rosbag2_to_nuscenes([bag], str(tmp_path), "nuscenes")
    with pytest.raises(ConfigError, match="val_bags"):
        rosbag2_to_nuscenes([bag], str(tmp_path / "out"), "nuscenes", val_bags=2)
    with pytest.raises(ConfigError, match="keyframe_rate"):
        rosbag2_to_nuscenes([bag], str(tmp_path / "out"), "nuscenes", keyframe_rate=0)


def test_what_becomes_no_key_frame_is_told(robot, bag_of, tmp_path, caplog):
    """A camera that falls silent costs the rest of the drive."""
    front = RIG.camera("CAM_FRONT").topic
    silent_from = robot(RIG, cycle_ms=100.0).cycle_start_ns(4)
    events = [e for e in drive(robot, 8) if e.topic != front or e.stamp_ns < silent_from]
    rosbag2_to_nuscenes([str(bag_of(tmp_path / "drive", events))], str(tmp_path / "tree"), "nuscenes")
    assert "no key frames: CAM_FRONT 4" in caplog.text


def with_truth(robot, bag_of, path, classes, grid, label):
    """A recording with one key frame of ground truth."""
    host, types = rosbags_host()
    events, stamp = drive(robot, 2), robot(RIG, cycle_ms=100.0).reference_ns(0)
    truth = SemanticGrid(torch.full(grid.shape, label, dtype=torch.uint8), grid, classes)
    made = (messages.class_table(host, classes, stamp), messages.occupancy(host, truth, stamp, "base_link", "t"))
    for k, (message, kind) in enumerate(zip(made, ("ClassTable", "Occupancy"))):
        topic = "/occupancy/ground_truth" + ("" if k else "/classes")
        events.insert(k, type(events[0])(topic, f"gsocc_ros/msg/Semantic{kind}", events[0].stamp_ns, message))
    return str(bag_of(path, events, types))


TRAMS = replace(OCC3D_NUSCENES, names=(*OCC3D_NUSCENES.names[:4], "tram", *OCC3D_NUSCENES.names[5:]))
AHEAD = VoxelGrid((-20.0, -40.0, -1.0), (60.0, 40.0, 5.4), 0.4)


@pytest.mark.parametrize(("classes", "grid"), [(TRAMS, VoxelGrid.occ3d()), (OCC3D_NUSCENES, AHEAD)])
def test_ground_truth_that_is_not_occ3ds_brings_its_grid_and_classes(robot, bag_of, tmp_path, classes, grid):
    """The same free and unknown labels, and the same shape, do not make it Occ3D's."""
    bag = with_truth(robot, bag_of, tmp_path / "bag", classes, grid, 4)
    rosbag2_to_nuscenes([bag], str(tmp_path / "tree"), "nuscenes")
    data = DataArgs(str(tmp_path / "tree"), "v1.0-own", views=1, depth_dir=None, semantics_dir=None)
    dataset = build_dataset(data, (16, 28))
    assert dataset.protocol.classes.names == classes.names
    assert dataset.protocol.grid.same_as(grid)
    assert (dataset.voxel_labels(0).semantics == 4).all()
    other = with_truth(robot, bag_of, tmp_path / "other", OCC3D_NUSCENES, VoxelGrid.occ3d(), 4)
    fault = "classes" if classes is TRAMS else "grid"
    with pytest.raises(DataError, match=f"/occupancy/ground_truth: {fault}: expected .* in all recordings"):
        rosbag2_to_nuscenes([bag, other], str(tmp_path / "both"), "nuscenes")
    assert not (tmp_path / "both").exists()


def test_a_rectified_camera_is_mounted_where_its_calibration_says(robot):
    """Turned by R of CameraInfo, 2 degrees about the vertical; the LiDAR beside it is not."""
    events = drive(robot, 1)
    turned = Rotation.from_euler("y", 2.0, degrees=True).as_matrix()
    info = next(e.message for e in events if e.topic == RIG.camera("CAM_BACK").camera_info_topic)
    info.r[:] = turned.ravel()
    camera = replace(RIG.camera("CAM_BACK"), rectified=True, rectified_frame="camera")
    found = Survey(Path("bag"), TransformBuffer(), {"CAM_BACK": read_camera_info(info, camera)})
    found.transforms.feed(events[0].message, static=True)
    found.frames = {"CAM_BACK": "cam_back", "LIDAR_TOP": "lidar"}
    found.stamps_ns = {name: [events[0].stamp_ns] for name in found.frames}
    optical = np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0.0]])
    np.testing.assert_allclose(mounting(found, RIG, "CAM_BACK")[:3, :3], optical @ turned.T, atol=1e-12)
    np.testing.assert_allclose(mounting(found, RIG, "LIDAR_TOP")[:3, :3], optical, atol=1e-12)


def test_without_a_lidar_an_empty_cloud_stands_in(robot, bag_of, tmp_path):
    content = yaml.safe_load(RIG.path.read_text())
    del content["reference"]
    rig = tmp_path / "cameras.yaml"
    rig.write_text(yaml.safe_dump(content, sort_keys=False))
    made = Rig.load(rig)
    assert made.reference is None
    bag = bag_of(tmp_path / "drive", robot(made, cycles=6, cycle_ms=100.0).events())
    rosbag2_to_nuscenes([str(bag)], str(tmp_path / "tree"), str(rig))
    frame = frames(tmp_path / "tree", "v1.0-own")[0][0]
    assert frame.lidar_path.stat().st_size == 0
    assert frame.stamp_ns == robot(made, cycle_ms=100.0).reference_ns(0)
