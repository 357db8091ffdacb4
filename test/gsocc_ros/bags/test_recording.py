# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Schemas of topics that nobody reads do not matter; those of topics that are read are judged one by one."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from rosbags.rosbag1 import Writer as Rosbag1Writer

from gsocc_core import OCC3D_NUSCENES, Cameras, Gaussians, Prediction, SemanticGrid, VoxelGrid
from gsocc_core.errors import DataError
from gsocc_core.rigs.rig_file import CameraRig
from gsocc_ros.bags.bag_files import open_bag, read_messages
from gsocc_ros.bags.bag_replay import ReplayOptions, replay
from gsocc_ros.bags.replay_topics import check_topics
from gsocc_ros.bags.view_bag import BagSource
from gsocc_ros.convert.rosbag2_to_nuscenes import rosbag2_to_nuscenes
from gsocc_ros.convert.rosbag2_to_rig import rosbag2_to_rig
from gsocc_ros.messages import occupancy_messages as messages
from gsocc_ros.messages.message_host import rosbags_host
from gsocc_ros.messages.outputs import OUTPUTS
from gsocc_ros.pipeline.rig import Rig

RIG = Rig.load("nuscenes")
GRID = VoxelGrid((-4.0, -4.0, -1.0), (4.0, 4.0, 3.0), 1.0)
EMPTY = SemanticGrid(torch.full(GRID.shape, OCC3D_NUSCENES.free_id, dtype=torch.uint8), GRID, OCC3D_NUSCENES)
LINE = "=" * 80 + "\n"
ADD = f"{LINE}SRV: example_interfaces/srv/AddTwoInts\nint64 a\nint64 b\n---\nint64 sum\n"
HEADER = f"{LINE}MSG: std_msgs/Header\nstring frame_id\n"
LOOK = f"{LINE}SRV: my_msgs/srv/Look\nstd_msgs/Header header\n---\nbool ok\n\n{HEADER}"
STORAGES = ("mcap", "sqlite3")


class Nothing:
    """Finds nothing anywhere."""

    depth_input = features_input = "unused"

    def predict(self, images, cameras, *, depths_m, camera_stamps_ns, reference_stamp_ns, T_world_ego):
        none = Gaussians(*(torch.zeros(0, width) for width in (3, 3, 4)), torch.zeros(0), torch.zeros(0, 18))
        batch = Cameras.stack([camera.resized(8, 8) for camera in cameras])
        return Prediction(EMPTY, none, batch, reference_stamp_ns, {"total": 1.0})

    def reset(self):
        pass

    def least_size(self, model):
        return None


@pytest.fixture
def strangers(foreign_topic):
    """What ``ros2 bag record`` of Jazzy writes of services, and what damaged or future recorders might."""
    event = "_service_event"
    return (
        foreign_topic(f"/add/{event}", "example_interfaces/srv/AddTwoInts_Event", ADD, "unknown"),
        foreign_topic(f"/look/{event}", "my_msgs/srv/Look_Event", LOOK),
        foreign_topic(f"/idl/{event}", "my_msgs/srv/Other_Event", ADD, "ros2idl"),
        foreign_topic("/broken", "my_msgs/msg/Broken", "this is {no} definition"),
        foreign_topic("/incomplete", "my_msgs/msg/Incomplete", "my_msgs/Missing[] some\n"),
        foreign_topic("/future", "my_msgs/msg/Future", "message Future {}", "flatbuf"),
    )


@pytest.mark.parametrize("storage", STORAGES)
def test_topics_that_nobody_reads_do_not_matter_to_any_tool(robot, bag_of, strangers, tmp_path, storage):
    events = robot(RIG, cycles=2).events()
    mounts = events[0].message.transforms
    mounts.append(replace(mounts[0], child_frame_id="lidar"))
    bag = bag_of(tmp_path / "bag", events, storage=storage, foreign=strangers)
    rosbag2_to_rig(str(bag), str(tmp_path / "rig.yaml"))
    assert len(CameraRig.load(tmp_path / "rig.yaml").cameras) == 6
    rosbag2_to_nuscenes([str(bag)], str(tmp_path / "tree"), "nuscenes")
    assert len(list((tmp_path / "tree" / "samples" / "CAM_BACK").iterdir())) == 1
    report = replay(bag, tmp_path / "out", RIG, Nothing(), ReplayOptions(storage=storage))
    assert report.sets == 2
    assert len(BagSource(tmp_path / "out", RIG.path)) == 2
    with open_bag(bag) as before, open_bag(tmp_path / "out") as after:
        found = {c.topic: (c.msgtype, c.msgdef.data, c.digest) for c in after.connections}
        for item in strangers:
            assert found[item.topic] == (item.message_type, item.definition, item.hash)
        raw = [{c.topic: bytes(raw) for c, _, raw in recording.messages()} for recording in (before, after)]
        assert raw[0].items() <= raw[1].items()
        assert raw[0]["/broken"] == strangers[3].raw


@pytest.mark.parametrize("storage", STORAGES)
def test_a_definition_that_is_needed_is_judged_with_its_topic(robot, bag_of, strangers, tmp_path, storage):
    bag = bag_of(tmp_path / "bag", robot(RIG, cycles=2).events(), storage=storage, foreign=strangers)
    with open_bag(bag) as recording:
        check_topics(recording, bag, RIG)
        for item in strangers:
            expected = f"^{item.topic}: definition: expected a readable definition of {item.message_type}, received '"
            with pytest.raises(DataError, match=expected):
                list(read_messages(recording, [item.topic]))


def test_a_needed_topic_with_a_broken_definition_is_told_before_anything_is_predicted(
    robot, bag_of, foreign_topic, tmp_path
):
    broken = foreign_topic("/other", "sensor_msgs/msg/CompressedImage", "this is {no} definition")
    wrong = foreign_topic("/other", "sensor_msgs/msg/CompressedImage", "std_msgs/Header header\nuint8[] data\n")
    other = replace(wrong, definition=f"uint8[] data\nstring format\n{HEADER}")
    for k, (item, expected) in enumerate((
        (broken, "definition: expected a readable definition of sensor_msgs/msg/CompressedImage, received 'this is"),
        (wrong, "definition: expected a readable definition .*KeyError"),
        (other, "definition: expected sensor_msgs/msg/CompressedImage with the hash RIHS01_"),
    )):  # fmt: skip
        bag = bag_of(tmp_path / f"bag{k}", robot(RIG, cycles=2).events(), foreign=[item])
        with pytest.raises(DataError, match=rf"^/cam_\w+/image/compressed: {expected}"):
            replay(bag, tmp_path / "out", RIG, Nothing())
    assert not (tmp_path / "out").exists()


def test_recordings_of_humble_hold_no_definitions(robot, bag_of, foreign_topic, tmp_path):
    """Types of ROS and our own are known all the same, and a vendor's message is copied."""
    host, types = rosbags_host()
    drive = robot(RIG, cycles=2)
    events, start, kind = drive.events(), drive.cycle_start_ns(0), "gsocc_ros/msg/SemanticOccupancy"
    event = type(events[0])
    table = messages.class_table(host, OCC3D_NUSCENES, start)
    truth = messages.occupancy(host, EMPTY, drive.reference_ns(0), "base_link", "ground_truth")
    events.insert(0, event("/occupancy/ground_truth/classes", "gsocc_ros/msg/SemanticClassTable", start, table))
    events.insert(1, event("/occupancy/ground_truth", kind, drive.reference_ns(0), truth))
    vendor = foreign_topic("/vendor", "vendor_msgs/msg/Thing", "uint8 x\n")
    bag = bag_of(tmp_path / "bag", events, types, storage="sqlite3", foreign=[vendor])
    with closing(sqlite3.connect(bag / "bag.db3")) as file, file:
        file.executescript(
            "DROP TABLE message_definitions; ALTER TABLE topics DROP COLUMN type_description_hash;"
            "UPDATE schema SET schema_version = 3;"
        )
    metadata = yaml.safe_load((bag / "metadata.yaml").read_text())
    about = metadata["rosbag2_bagfile_information"]
    about["version"] = 5
    for topic in about["topics_with_message_count"]:
        del topic["topic_metadata"]["type_description_hash"]
    (bag / "metadata.yaml").write_text(yaml.safe_dump(metadata))
    report = replay(bag, tmp_path / "out", RIG, Nothing(), ReplayOptions(storage="sqlite3"))
    assert (report.sets, report.truths) == (2, 1)
    with open_bag(bag) as recording, pytest.raises(DataError, match="^/vendor: definition: .* in the recording"):
        list(read_messages(recording, ["/vendor"]))
    with open_bag(tmp_path / "out") as recording:
        assert [bytes(raw) for c, _, raw in recording.messages() if c.topic == "/vendor"] == [vendor.raw]
        assert len(list(read_messages(recording, ["/tf", "/occupancy/ground_truth"]))) > 3
        assert set(OUTPUTS) & set(recording.topics)


@pytest.mark.parametrize("storage", STORAGES)
def test_single_files_and_times_are_read_alike(robot, bag_of, tmp_path, storage):
    bag = bag_of(tmp_path / "bag", robot(RIG, cycles=4).events(), storage=storage)
    file = bag / ("bag.mcap" if storage == "mcap" else "bag.db3")
    with open_bag(bag) as folder, open_bag(file) as alone:
        assert (folder.message_count, folder.start_time) == (alone.message_count, alone.start_time)
        assert folder.topics.keys() == alone.topics.keys()
        assert {t: i.msgcount for t, i in folder.topics.items()} == {t: i.msgcount for t, i in alone.topics.items()}
        everything = [(c.topic, log, bytes(raw)) for c, log, raw in folder.messages()]
        assert everything == [(c.topic, log, bytes(raw)) for c, log, raw in alone.messages()]
        assert [log for _, log, _ in everything] == sorted(log for _, log, _ in everything)
        middle, last = everything[len(everything) // 2][1], everything[-1][1]
        part = [log for _, log, _ in folder.messages(start=middle, stop=last)]
        assert part == [log for _, log, _ in everything if middle <= log < last]
        lidar = [c for c in folder.connections if c.topic == RIG.reference.topic]
        assert [c.topic for c, _, _ in folder.messages(lidar)] == [RIG.reference.topic] * 4


def test_a_file_damaged_in_the_middle_is_named(robot, bag_of, tmp_path):
    bag = bag_of(tmp_path / "bag", robot(RIG, cycles=4).events())
    content = bytearray((bag / "bag.mcap").read_bytes())
    content[2000:20000] = b"\xff" * 18000
    (bag / "bag.mcap").write_bytes(content)
    expected = "bag: messages: expected a recording that can be read to its end"
    with open_bag(bag) as recording, pytest.raises(DataError, match=expected):
        list(recording.messages())


def test_a_ros1_bag_is_read_but_not_copied(robot, tmp_path):
    _, types = rosbags_host()
    events = robot(RIG, cycles=3).events()
    path = tmp_path / "old.bag"
    with Rosbag1Writer(path) as writer:
        connections = {}
        for event in events:
            if event.topic not in connections:
                connections[event.topic] = writer.add_connection(event.topic, event.message_type, typestore=types)
            raw = types.serialize_ros1(event.message, event.message_type)
            writer.write(connections[event.topic], event.stamp_ns, raw)
    with pytest.raises(DataError, match="old.bag: bag: expected a rosbag2 recording, whose messages can be copied"):
        replay(path, tmp_path / "out", RIG, Nothing(), ReplayOptions())
    assert replay(path, tmp_path / "out", RIG, Nothing(), ReplayOptions(pass_through=False)).sets == 3
    with open_bag(path) as recording:
        k = next(message.k for _, _, message in read_messages(recording, [RIG.cameras[0].camera_info_topic]))
    np.testing.assert_array_equal(k, [32, 0, 32, 0, 32, 18, 0, 0, 1])
