# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A recording's calibration becomes a rig file that both the library and the node read."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from gsocc_core.errors import DataError
from gsocc_core.rigs.nuscenes_rig import read_nuscenes
from gsocc_core.rigs.rig_file import CameraRig
from gsocc_ros.commands import rosbag2_to_rig_program as main
from gsocc_ros.convert.nuscenes_to_rosbag2 import nuscenes_to_rosbag2
from gsocc_ros.convert.rosbag2_to_rig import find_cameras, rosbag2_to_rig
from gsocc_ros.pipeline.rig import Rig


def test_a_converted_scene_gives_the_calibration_of_its_tables(tiny_tree, tmp_path):
    nuscenes_to_rosbag2(str(tiny_tree), str(tmp_path / "bag"), "scene-b", "v1.0-tiny")
    rosbag2_to_rig(str(tmp_path / "bag"), str(tmp_path / "rig.yaml"), rig="nuscenes")
    expected, _ = read_nuscenes(tiny_tree, "v1.0-tiny", "scene-b")
    cameras = {camera.name: camera for camera in CameraRig.load(tmp_path / "rig.yaml").cameras}
    assert set(cameras) == set(expected.names)
    for camera in expected.cameras:
        made = cameras[camera.name]
        np.testing.assert_allclose(made.T_ego_cam, camera.T_ego_cam, atol=1e-9)
        np.testing.assert_allclose(made.intrinsics, camera.intrinsics)
        assert (made.width, made.height, made.model) == (camera.width, camera.height, "pinhole")
    rosbag2_to_rig(str(tmp_path / "bag"), str(tmp_path / "found.yaml"))
    found = Rig.load(tmp_path / "found.yaml")
    assert (found.cameras[0].name, found.anchor) == ("cam_back", "cam_front")
    known = tmp_path / "known.yaml"
    known.write_text((tmp_path / "found.yaml").read_text().replace("anchor: cam_front", "anchor: cam_back_left"))
    rosbag2_to_rig(str(tmp_path / "bag"), str(tmp_path / "again.yaml"), rig=str(known))
    assert Rig.load(tmp_path / "again.yaml").anchor == "cam_back_left", "a rig that is given keeps its anchor"
    robot = Rig.load(tmp_path / "rig.yaml")
    assert (robot.fixed_frame, robot.anchor) == ("map", "CAM_FRONT")
    assert robot.camera("CAM_BACK").topic == "/cam_back/image/compressed"


def own(tmp_path, robot, bag_of, edit=lambda events: events, **changes):
    tmp_path.mkdir(exist_ok=True)
    rig = tmp_path / "truth.yaml"
    rig.write_text(
        """
base_frame: chassis
fixed_frame: odom
cameras:
  front: {topic: /sensors/front/image_raw/compressed, camera_info_topic: /sensors/front/camera_info}
  left: {topic: /sensors/left/image_raw, camera_info_topic: /sensors/left/camera_info, transport: raw,
         trigger_offset_ms: 21.0}
"""
    )
    made = robot(Rig.load(rig), sizes={"left": (40, 30)}, cycles=8, **changes)
    return bag_of(tmp_path / "bag", edit(made.events()))


def test_cameras_are_found_with_names_transports_offsets_and_frames(tmp_path, robot, bag_of):
    bag = own(tmp_path, robot, bag_of)
    assert main([str(bag), "--out", str(tmp_path / "rig.yaml"), "--base_frame", "chassis"]) == 0
    library, node = CameraRig.load(tmp_path / "rig.yaml"), Rig.load(tmp_path / "rig.yaml")
    assert library.names == ("front", "left")
    assert library.trigger_offsets_ms == (0.0, 21.0)
    assert (library.cameras[1].width, library.cameras[1].height) == (40, 30)
    assert library.cameras[1].T_ego_cam[:3, 3].tolist() == [1.0, 0.0, 1.5]
    assert (node.fixed_frame, node.camera("left").transport, node.camera("left").frame) == ("odom", "raw", "left")
    assert node.camera("front").topic == "/sensors/front/image_raw/compressed"
    assert main([str(bag), "--out", str(tmp_path / "one.yaml"), "--base_frame", "chassis", "--cameras", "[left]"]) == 0
    assert CameraRig.load(tmp_path / "one.yaml").names == ("left",)


def test_a_fisheye_keeps_its_lens(tmp_path, robot, bag_of):
    def fisheye(events):
        for event in events:
            if event.topic != "/sensors/left/camera_info":
                yield event
                continue
            d = np.array([0.1, -0.02, 0.003, 0.0])
            yield replace(event, message=replace(event.message, distortion_model="equidistant", d=d))

    bag = own(tmp_path, robot, bag_of, fisheye)
    rosbag2_to_rig(str(bag), str(tmp_path / "rig.yaml"), base_frame="chassis")
    front, left = CameraRig.load(tmp_path / "rig.yaml").cameras
    assert (front.model, front.distortion) == ("pinhole", None)
    assert (left.model, left.distortion) == ("fisheye", (0.1, -0.02, 0.003, 0.0))


def test_what_a_recording_states_twice_is_compared(tmp_path, robot, bag_of, caplog):
    """CameraInfo of the left camera is in the front camera's frame; the front camera's focal length changes."""

    def muddle(events):
        count = 0
        for event in events:
            message = event.message
            if event.topic == "/sensors/left/camera_info":
                message = replace(message, header=replace(message.header, frame_id="front"))
            elif event.topic == "/sensors/front/camera_info":
                count += 1
                longer = np.where(np.arange(9) == 0, 1.01 if count > 2 else 1.0, 1.0)
                message = replace(message, k=message.k * longer)
            yield replace(event, message=message)

    rosbag2_to_rig(str(own(tmp_path, robot, bag_of, muddle)), str(tmp_path / "rig.yaml"), base_frame="chassis")
    assert "/sensors/left/image_raw: pose in chassis: expected one pose" in caplog.text
    assert "by frame left of the pictures and (" in caplog.text
    assert "m by frame front of CameraInfo" in caplog.text
    assert caplog.text.count("/sensors/front/camera_info: the calibration changes within the recording") == 1
    assert len(caplog.records) == 2


def test_depth_streams_are_no_cameras(tmp_path, robot, bag_of, caplog, capsys):
    """As RealSense drivers publish them, with a CameraInfo of their own; named, they are an error."""

    def depth(events):
        for event in events:
            message = event.message
            if event.topic == "/sensors/left/image_raw":
                message = replace(message, encoding="16UC1")
            yield replace(event, message=message)

    bag = own(tmp_path, robot, bag_of, depth)
    rosbag2_to_rig(str(bag), str(tmp_path / "rig.yaml"), base_frame="chassis")
    assert CameraRig.load(tmp_path / "rig.yaml").names == ("front",)
    assert "/sensors/left/image_raw: holds depths (16UC1), no pictures; the camera is left out" in caplog.text
    words = [str(bag), "--out", str(tmp_path / "two.yaml"), "--base_frame", "chassis", "--cameras", "[front,left]"]
    assert main(words) == 2
    assert "/sensors/left/image_raw: encoding: expected pictures, 8 bits per channel" in capsys.readouterr().err


def test_faults_are_named(tmp_path, robot, bag_of, capsys):
    bag = own(tmp_path, robot, bag_of)
    for words, expected in (
        ([], "transforms from base_link to the camera's frame front"),
        (["--base_frame", "chassis", "--cameras", "[rear]"], "names among front, left"),
        (["--rig", "nuscenes"], "/cam_front_left/camera_info"),
    ):
        assert main([str(bag), "--out", str(tmp_path / "rig.yaml"), *words]) == 2
        assert expected in capsys.readouterr().err
        assert not (tmp_path / "rig.yaml").exists()
    empty = bag_of(
        tmp_path / "empty", [event for event in robot(Rig.load("nuscenes")).events() if event.topic == "/tf"]
    )
    with pytest.raises(DataError, match="CameraInfo topics with pictures beside them"):
        rosbag2_to_rig(str(empty), str(tmp_path / "rig.yaml"))


def test_a_camera_that_moves_on_the_robot_has_no_pose_to_write(tmp_path, robot, bag_of):
    def panned(events):
        for event in events:
            if event.topic == "/tf":
                (motion,) = event.message.transforms
                header = replace(motion.header, frame_id="chassis")
                event.message.transforms.append(replace(motion, header=header, child_frame_id="left"))
            yield event

    bag = own(tmp_path, robot, bag_of, panned)
    expected = "left: expected a place on chassis that stays within 0.02 m and 0.5 degrees, received [67].* m"
    with pytest.raises(DataError, match=expected):
        rosbag2_to_rig(str(bag), str(tmp_path / "rig.yaml"), base_frame="chassis")
    assert not (tmp_path / "rig.yaml").exists()


def test_raw_sensor_pictures_go_before_rectified_ones_and_compressed_before_raw(caplog):
    info, image, jpeg = (f"sensor_msgs/msg/{kind}" for kind in ("CameraInfo", "Image", "CompressedImage"))
    topics = {
        "/a/front/camera_info": info, "/a/front/image_raw": image, "/a/front/image_rect_color/compressed": jpeg,
        "/a/front/image_raw/compressed": jpeg, "/a/front/image_raw/compressedDepth": jpeg,
        "/b/front/camera_info": info, "/b/front/image_rect": image, "/c/camera_info": info, "/c/direct": image,
        "/d/camera_info": info,
    }  # fmt: skip
    recording = SimpleNamespace(connections=[SimpleNamespace(topic=t, msgtype=k) for t, k in topics.items()])
    cameras = find_cameras(recording, "bag")
    found = {camera.name: (camera.topic, camera.transport, camera.rectified) for camera in cameras}
    assert found == {
        "front": ("/a/front/image_raw/compressed", "compressed", False),
        "b_front": ("/b/front/image_rect", "raw", True),
        "c": ("/c/direct", "raw", False),
    }
    assert "/d/camera_info: no pictures below /d/" in caplog.text


def test_a_rectified_camera_stands_where_its_calibration_says(tmp_path, robot, bag_of, capsys):
    """The second camera of a pair: its frame is the first one's, 0.2 m to the left of it."""

    def second(events):
        for event in events:
            if event.topic == "/sensors/left/camera_info":
                event.message.p[3] = -event.message.p[0] * 0.2
            yield event

    bag, out = own(tmp_path, robot, bag_of, second), str(tmp_path / "rig.yaml")
    rig = tmp_path / "truth.yaml"
    rig.write_text(rig.read_text().replace("transport: raw,", "transport: raw, rectified: true,"))
    assert main([str(bag), "--out", out, "--rig", str(rig)]) == 2
    assert "/sensors/left/camera_info: p: expected rectified_frame of left in the rig file" in capsys.readouterr().err
    depth = "depth_topic: /sensors/left/depth, depth_transport: compressed,"
    rig.write_text(rig.read_text().replace("rectified: true,", f"rectified: true, rectified_frame: first, {depth}"))
    assert main([str(bag), "--out", out, "--rig", str(rig)]) == 0
    np.testing.assert_allclose(CameraRig.load(out).cameras[1].T_ego_cam[:3, 3], [1.0, -0.2, 1.5])
    left = Rig.load(out).camera("left")
    assert left.rectified_frame == "first"
    assert (left.depth_topic, left.depth_transport) == ("/sensors/left/depth", "compressed"), "kept"
