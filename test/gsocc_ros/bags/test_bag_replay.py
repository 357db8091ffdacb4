# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A recording goes in, a recording with occupancy and a report come out; wrong ones are named and leave nothing."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml

from gsocc_core import OCC3D_NUSCENES, Cameras, Gaussians, Prediction, SemanticGrid, VoxelGrid
from gsocc_core.data.nuscenes import DataArgs, NuScenesOccupancy
from gsocc_core.errors import BundleError, ConfigError, DataError, OutputExistsError
from gsocc_core.evaluation.label_sources import model_source
from gsocc_core.evaluation.score import score
from gsocc_ros.bags import bag_replay
from gsocc_ros.bags.bag_files import new_bag, open_bag, read_messages
from gsocc_ros.bags.bag_replay import ReplayOptions, replay, replay_occupancy
from gsocc_ros.commands import replay_occupancy_program as main
from gsocc_ros.convert.nuscenes_to_rosbag2 import nuscenes_to_rosbag2
from gsocc_ros.messages import occupancy_messages as messages
from gsocc_ros.messages.message_host import rosbags_host
from gsocc_ros.messages.outputs import CLASSES_TOPIC, DEBUG_TOPICS, OUTPUTS
from gsocc_ros.pipeline.camera_input import stamp_ns
from gsocc_ros.pipeline.rig import Rig

NUSCENES = Rig.load("nuscenes")
FOUR = Rig.load("example_four_cameras")
GRID = VoxelGrid((-4.0, -4.0, -1.0), (4.0, 4.0, 3.0), 1.0)
MS = 1_000_000
QUIET = ReplayOptions(model_id="stand-in")


def occupied(level):
    """Ground, and a car whose place tells the level of the pictures."""
    labels = torch.full(GRID.shape, OCC3D_NUSCENES.free_id, dtype=torch.uint8)
    labels[:, :, 0] = 11
    labels[level % 8, :, 1] = 4
    velocity = (labels == 4)[..., None] * torch.tensor([3.0, 0.0, 0.0])
    return SemanticGrid(labels, GRID, OCC3D_NUSCENES, confidence=torch.full(GRID.shape, 0.5), velocity=velocity)


class StandIn:
    """Reads the level back from whatever pictures are there."""

    depth_input = features_input = "unused"

    def __init__(self, error=0):
        self.error, self.sets, self.resets = error, [], 0

    def predict(self, images, cameras, *, depths_m, camera_stamps_ns, reference_stamp_ns, T_world_ego):
        levels = [int(image[0, 0, 0]) for image in images if image is not None]
        self.sets.append((reference_stamp_ns, [camera.name for camera in cameras], len(levels)))
        grid = occupied(round(float(np.median(levels)) / 20) + self.error)
        scene = Gaussians(
            torch.zeros(3, 3), torch.ones(3, 3), torch.tensor([[1.0, 0, 0, 0]] * 3), torch.ones(3), torch.rand(3, 18)
        )
        batch = Cameras.stack([camera.resized(8, 8) for camera in cameras])
        latency = {"preprocess": 1.0, "network": 2.0, "splat": 1.0, "total": 4.0}
        return Prediction(grid, scene, batch, reference_stamp_ns, latency)

    def reset(self):
        self.resets += 1

    def least_size(self, model):
        return None


@pytest.fixture(scope="module")
def with_truth(robot):
    """Events of a drive with ground truth at every second cycle."""
    host, types = rosbags_host()

    def make(rig, **options):
        drive = robot(rig, **options)
        events = drive.events()
        event = type(events[0])
        table = messages.class_table(host, OCC3D_NUSCENES, drive.cycle_start_ns(0))
        kind = "gsocc_ros/msg/SemanticClassTable"
        events.insert(0, event("/occupancy/ground_truth/classes", kind, drive.cycle_start_ns(0), table))
        for cycle in range(0, drive.cycles, 2):
            stamp = drive.reference_ns(cycle)
            truth = replace(occupied(cycle), confidence=None, observed=torch.ones(GRID.shape, dtype=torch.bool))
            message = messages.occupancy(host, truth, stamp, rig.base_frame, "ground_truth")
            events.append(event("/occupancy/ground_truth", "gsocc_ros/msg/SemanticOccupancy", stamp, message))
        return drive, sorted(events, key=lambda item: item.stamp_ns), types

    return make


@pytest.fixture(scope="module")
def recorded(with_truth, bag_of, tmp_path_factory):
    drive, events, types = with_truth(NUSCENES, cycles=6)
    return drive, bag_of(tmp_path_factory.mktemp("bags") / "drive", events, types)


def topics_of(path):
    with open_bag(path) as bag:
        return {name: (info.msgtype, info.msgcount) for name, info in bag.topics.items()}


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(("storage", "distro"), [("mcap", "jazzy"), ("sqlite3", "humble")])
def test_a_replay_writes_the_nodes_topics_and_scores_them(recorded, tmp_path, storage, distro):
    drive, bag = recorded
    model = StandIn()
    out = tmp_path / "out"
    report = replay(bag, out, NUSCENES, model, replace(QUIET, storage=storage, distro=distro, markers=True))
    assert [item[0] for item in model.sets] == [drive.reference_ns(cycle) for cycle in range(6)]
    assert (report.sets, report.scored, report.truths) == (6, 3, 3)
    assert (report.miou, report.iou, report.rayiou) == (1.0, 1.0, 1.0)
    stages = ["sync", "decode", "preprocess", "network", "splat", "messages", "total"]
    assert list(report.latency_ms) == stages
    assert report.latency_ms["network"] == 2.0
    assert report.fps > 0
    assert report.cameras["CAM_BACK"]["used"] == 6
    written = topics_of(out)
    for topic, output in OUTPUTS.items() - {(topic, OUTPUTS[topic]) for topic in DEBUG_TOPICS}:
        once = topic == CLASSES_TOPIC  # the cost map is latched, too, and new with every set
        assert written.pop(topic) == (output.message_type, 1 if once else 6)
    assert written == topics_of(bag)
    assert leftovers(tmp_path) == ["out"]
    metadata = yaml.safe_load((out / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert metadata["version"] == (8 if distro == "humble" else 9)
    assert metadata["storage_identifier"] == storage


def test_the_written_messages_say_what_was_predicted(recorded, tmp_path):
    drive, bag = recorded
    replay(bag, tmp_path / "out", NUSCENES, StandIn(), QUIET)
    with open_bag(tmp_path / "out") as result:
        content = {}
        for topic, _, message in read_messages(result, OUTPUTS):
            content.setdefault(topic, []).append(message)
        latched = result.topics["/occupancy/classes"].connections[0].ext.offered_qos_profiles[0]
    assert latched.durability.name == "TRANSIENT_LOCAL"
    grid = content["/occupancy/grid"][3]
    assert (stamp_ns(grid.header), grid.header.frame_id) == (drive.reference_ns(3), "base_link")
    assert grid.model_id == "stand-in"
    back = messages.read_occupancy(grid, messages.read_class_table(content["/occupancy/classes"][0]))
    assert torch.equal(back.labels, occupied(3).labels)
    assert content["/occupancy/voxels"][3].width == 64 + 8
    assert torch.equal(back.velocity, occupied(3).velocity)
    assert len(content["/occupancy/velocities"][3].markers) > 1
    assert content["/occupancy/gaussians"][3].count == 3
    latency = content["/occupancy/latency"][3]
    assert latency.stages == ["sync", "decode", "preprocess", "network", "splat", "messages"]
    assert "/occupancy/markers" not in content


def test_a_wrong_prediction_scores_less(recorded, tmp_path):
    report = replay(recorded[1], tmp_path / "out", NUSCENES, StandIn(error=3), QUIET)
    assert report.class_iou["car"] == 0.0
    assert report.class_iou["driveable_surface"] == 1.0
    assert report.miou == 0.5


def test_only_keyframes_limit_and_no_pass_through(recorded, tmp_path):
    drive, bag = recorded
    model = StandIn()
    options = replace(QUIET, only_keyframes=True, pass_through=False)
    report = replay(bag, tmp_path / "keyframes", NUSCENES, model, options)
    assert [item[0] for item in model.sets] == [drive.reference_ns(cycle) for cycle in (0, 2, 4)]
    assert (report.sets, report.scored) == (3, 3)
    assert set(topics_of(tmp_path / "keyframes")) == set(OUTPUTS) - DEBUG_TOPICS - {"/occupancy/markers"}
    assert replay(bag, tmp_path / "two", NUSCENES, StandIn(), replace(QUIET, limit=2)).sets == 2


def test_a_replay_can_be_replayed(recorded, tmp_path):
    replay(recorded[1], tmp_path / "once", NUSCENES, StandIn(), QUIET)
    report = replay(tmp_path / "once", tmp_path / "twice", NUSCENES, StandIn(error=1), QUIET)
    assert report.sets == 6
    assert topics_of(tmp_path / "twice") == topics_of(tmp_path / "once")


def test_four_cameras_of_two_sizes(robot, bag_of, tmp_path):
    drive = robot(FOUR, sizes={"front": (128, 96), "rear": (128, 96)}, cycles=5)
    model = StandIn()
    report = replay(bag_of(tmp_path / "bag", drive.events()), tmp_path / "out", FOUR, model, QUIET)
    assert report.sets == 5
    assert model.sets[0] == (drive.reference_ns(0), ["front", "left", "rear", "right"], 4)
    assert (report.miou, report.truths) == (None, 0)


def test_five_of_six_cameras(robot, bag_of, tmp_path):
    bag = bag_of(tmp_path / "bag", robot(NUSCENES, cycles=4, silent=("CAM_BACK",)).events())
    with pytest.raises(DataError, match=r"/cam_back/image/compressed: expected pictures of 6 of 6 .* received 5"):
        replay(bag, tmp_path / "out", NUSCENES, StandIn(), QUIET)
    assert leftovers(tmp_path) == ["bag"]
    model = StandIn()
    report = replay(bag, tmp_path / "out", replace(NUSCENES, min_cameras=5), model, QUIET)
    assert report.sets == 4
    assert {item[2] for item in model.sets} == {5}
    assert report.cameras["CAM_BACK"] == {**dict.fromkeys(report.cameras["CAM_BACK"], 0), "missing": 4}
    anchored = replace(NUSCENES, policy="anchor", anchor="CAM_BACK", min_cameras=3)
    with pytest.raises(DataError, match=r"with the anchor CAM_BACK among them"):
        replay(bag, tmp_path / "anchored", anchored, StandIn(), QUIET)


def without(events, *topics):
    return [event for event in events if event.topic not in topics]


def test_wrong_recordings_are_named_and_leave_nothing(robot, bag_of, tmp_path):
    events = robot(NUSCENES, cycles=3).events()
    cases = {
        "/cam_front/camera_info: expected sensor_msgs/msg/CameraInfo of CAM_FRONT": without(
            events, "/cam_front/camera_info"
        ),
        "/tf_static: expected transforms from base_link": without(events, "/tf", "/tf_static"),
        "frame_id: expected a frame connected to base_link": without(events, "/tf_static"),
        "'nowhere'": robot(NUSCENES, cycles=3, frames={"CAM_FRONT_LEFT": "nowhere"}).events(),
    }
    for index, (text, content) in enumerate(cases.items()):
        bag = bag_of(tmp_path / f"bag{index}", content)
        with pytest.raises(DataError, match=text):
            replay(bag, tmp_path / "out", NUSCENES, StandIn(), QUIET)
        assert leftovers(tmp_path) == [f"bag{i}" for i in range(index + 1)]


def test_a_wrong_type_is_told_before_anything_is_predicted(robot, bag_of, tmp_path):
    bag = bag_of(tmp_path / "bag", robot(NUSCENES, cycles=2).events())
    cameras = tuple(replace(c, transport="raw") if c.name == "CAM_BACK" else c for c in NUSCENES.cameras)
    model = StandIn()
    with pytest.raises(DataError, match=r"/cam_back/image/compressed: expected messages of type sensor_msgs/msg/Image"):
        replay(bag, tmp_path / "out", replace(NUSCENES, cameras=cameras), model, QUIET)
    with pytest.raises(DataError, match=r"/occupancy/ground_truth: expected ground truth to choose key frames"):
        replay(bag, tmp_path / "out", NUSCENES, model, replace(QUIET, only_keyframes=True))
    assert model.sets == []


def test_a_picture_that_does_not_decode_costs_its_set_and_is_counted(robot, bag_of, tmp_path, caplog):
    drive = robot(NUSCENES, cycles=6)
    events = drive.events()
    for bad in [event for event in events if event.topic == "/cam_back_left/image/compressed"][2:4]:
        bad.message.data = np.arange(50, dtype=np.uint8)
    model = StandIn()
    report = replay(bag_of(tmp_path / "bag", events), tmp_path / "out", NUSCENES, model, QUIET)
    assert [stamp for stamp, _, _ in model.sets] == [drive.reference_ns(cycle) for cycle in (0, 1, 4, 5)]
    assert report.faults == {"/cam_back_left/image/compressed: content": 2}
    assert "left out 2 times: /cam_back_left/image/compressed: content" in report.table()
    (told,) = caplog.messages
    assert told.startswith("a set or message is left out: /cam_back_left/image/compressed at ")


class Stumbling(StandIn):
    """A model with a programming error that some sets meet."""

    def __init__(self, calls):
        super().__init__()
        self._calls, self.asked = calls, 0

    def predict(self, *args, **details):
        self.asked += 1
        if self.asked in self._calls:
            raise RuntimeError("shapes differ")
        return super().predict(*args, **details)


def test_a_pose_of_nan_costs_nothing_and_is_counted(robot, bag_of, tmp_path):
    events = robot(NUSCENES, cycles=4).events()
    poses = [i for i, event in enumerate(events) if event.topic == "/tf"]
    events[poses[3]].message.transforms[0].transform.translation.x = np.nan
    model = StandIn()
    report = replay(bag_of(tmp_path / "bag", events), tmp_path / "out", NUSCENES, model, QUIET)
    assert (report.sets, report.without_ego_motion) == (4, 0)
    assert list(report.faults.values()) == [1]
    assert "left out 1 times: /tf: transform " in report.table()


def test_a_programming_error_is_counted_by_its_line_and_shown_once(recorded, tmp_path, caplog):
    report = replay(recorded[1], tmp_path / "out", NUSCENES, Stumbling({1, 4}), QUIET)
    assert (report.sets, list(report.faults.values())) == (4, [2])
    assert next(iter(report.faults)).startswith("RuntimeError in test_bag_replay.py, line ")
    (told,) = caplog.records
    assert told.getMessage() == "a set or message is left out: RuntimeError: shapes differ"
    assert told.exc_info is not None


def test_a_replay_without_a_single_set_raises_the_first_fault_early(recorded, tmp_path, monkeypatch):
    model = Stumbling(range(100))
    with pytest.raises(RuntimeError, match="shapes differ"):
        replay(recorded[1], tmp_path / "out", NUSCENES, model, QUIET)
    assert model.asked == 6
    monkeypatch.setattr(bag_replay, "HOPELESS", 2)
    model = Stumbling(range(100))
    with pytest.raises(RuntimeError, match="shapes differ"):
        replay(recorded[1], tmp_path / "out", NUSCENES, model, QUIET)
    assert model.asked == 2
    assert leftovers(tmp_path) == []


def test_a_calibration_without_sense_is_named(robot, bag_of, tmp_path):
    events = robot(NUSCENES, cycles=3).events()
    for event in events:
        if event.topic == "/cam_back/camera_info":
            event.message.d[1] = np.nan
    bag = bag_of(tmp_path / "bag", events)
    with pytest.raises(DataError, match=r"/cam_back/camera_info: d: expected finite coefficients"):
        replay(bag, tmp_path / "out", NUSCENES, StandIn(), QUIET)
    assert leftovers(tmp_path) == ["bag"]


def test_cameras_that_never_meet_are_told_with_their_counts(robot, bag_of, tmp_path):
    cameras = tuple(
        replace(c, trigger_offset_ms=c.trigger_offset_ms + 20) if c.name == "CAM_BACK" else c for c in NUSCENES.cameras
    )
    bag = bag_of(tmp_path / "bag", robot(NUSCENES, cycles=4).events())
    with pytest.raises(DataError, match=r"trigger_offset_ms .* received none; CAM_FRONT_LEFT: 4 received"):
        replay(bag, tmp_path / "out", replace(NUSCENES, cameras=cameras), StandIn(), QUIET)
    assert leftovers(tmp_path) == ["bag"]


def test_ground_truth_without_its_class_table_is_named(with_truth, bag_of, tmp_path):
    _, events, types = with_truth(NUSCENES, cycles=3)
    bag = bag_of(tmp_path / "bag", without(events, "/occupancy/ground_truth/classes"), types)
    with pytest.raises(DataError, match=r"class_table_id: expected the id of a class table on .*ground_truth/classes"):
        replay(bag, tmp_path / "out", NUSCENES, StandIn(), QUIET)


def test_paths_that_are_missing_or_taken(recorded, tmp_path):
    bag = recorded[1]
    with pytest.raises(DataError, match="expected a rosbag2 folder, received nothing"):
        replay(tmp_path / "none", tmp_path / "out", NUSCENES, StandIn(), QUIET)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"metadata\.yaml"):
        replay(tmp_path / "empty", tmp_path / "out", NUSCENES, StandIn(), QUIET)
    (tmp_path / "taken").mkdir()
    with pytest.raises(OutputExistsError, match="taken"):
        replay(bag, tmp_path / "taken", NUSCENES, StandIn(), QUIET)
    with pytest.raises(OutputExistsError, match="taken"):
        replay_occupancy(str(bag), str(tmp_path / "taken"), bundle="none")
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(OutputExistsError, match=r"report\.json"):
        replay_occupancy(str(bag), str(tmp_path / "out"), bundle="none", report=str(tmp_path / "report.json"))
    with pytest.raises(ConfigError, match="limit"):
        replay(bag, tmp_path / "out", NUSCENES, StandIn(), replace(QUIET, limit=0))
    with pytest.raises(BundleError):
        replay_occupancy(str(bag), str(tmp_path / "out"), bundle=str(tmp_path / "empty"))
    assert leftovers(tmp_path) == ["empty", "report.json", "taken"]


@pytest.mark.parametrize("damage", ["cut", "metadata", "not mcap"])
def test_a_damaged_recording_is_named(robot, bag_of, tmp_path, damage):
    bag = bag_of(tmp_path / "bag", robot(NUSCENES, cycles=2).events())
    data = bag / "bag.mcap"
    if damage == "cut":
        data.write_bytes(data.read_bytes()[:-1000])
    elif damage == "not mcap":
        data.write_bytes(b"hello" * 100)
    else:
        (bag / "metadata.yaml").write_text("rosbag2_bagfile_information: 5\n")
    with pytest.raises(DataError, match="bag: expected a readable recording"):
        replay(bag, tmp_path / "out", NUSCENES, StandIn(), QUIET)
    assert leftovers(tmp_path) == ["bag"]


def test_a_damaged_sqlite_file_is_named(robot, bag_of, tmp_path):
    bag = bag_of(tmp_path / "bag", robot(NUSCENES, cycles=2).events(), storage="sqlite3")
    (bag / "bag.db3").write_bytes(b"no database" * 1000)
    with pytest.raises(DataError, match="bag: expected a readable recording"):
        replay(bag, tmp_path / "out", NUSCENES, StandIn(), QUIET)


def test_an_interrupted_writer_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), new_bag(tmp_path / "out"):
        raise KeyboardInterrupt
    assert leftovers(tmp_path) == []


def test_the_command_prints_a_table_and_writes_the_report(recorded, tmp_path, monkeypatch, capsys):
    class Loader:
        @staticmethod
        def load(bundle, device, text_encoder=None):
            model = StandIn()
            model.bundle = type("Bundle", (), {"id": bundle})
            return model

    monkeypatch.setattr(bag_replay, "OccupancyPredictor", Loader)
    report = tmp_path / "report.json"
    words = [str(recorded[1]), str(tmp_path / "out"), "--bundle", "stand-in", "--limit", "2", "--report", str(report)]
    assert main([*words, "--only-keyframes"]) == 0
    content = json.loads(report.read_text())
    assert (content["sets"], content["scored"]) == (2, 2)
    assert "mIoU 100.00 %" in capsys.readouterr().out
    assert main(words) == 2
    assert "expected a path that does not exist yet" in capsys.readouterr().err
    assert main([str(recorded[1]), str(tmp_path / "other"), "--bundle", "x", "--limit", "many"]) == 2
    assert "limit" in capsys.readouterr().err


def test_from_a_data_set_to_a_scored_recording(tiny_tree, tiny_bundle, tmp_path):
    bag, out = tmp_path / "drive", tmp_path / "out"
    nuscenes_to_rosbag2(str(tiny_tree), str(bag), "scene-a", version="v1.0-tiny")
    report = replay_occupancy(str(bag), str(out), bundle=str(tiny_bundle), report=str(tmp_path / "report.json"))
    assert (report.sets, report.scored, report.truths) == (3, 3, 3)
    assert report.without_ego_motion == 0
    assert None not in (report.miou, report.iou, report.rayiou)
    assert {"sync", "decode", "network", "splat", "messages", "total"} <= set(report.latency_ms)
    with open_bag(out) as result:
        tables = {m.id: messages.read_class_table(m) for _, _, m in read_messages(result, ["/occupancy/classes"])}
        grids = [message for _, _, message in read_messages(result, ["/occupancy/grid"])]
        truths = [message for _, _, message in read_messages(result, ["/occupancy/ground_truth"])]
    assert [stamp_ns(grid.header) for grid in grids] == [stamp_ns(truth.header) for truth in truths]
    back = messages.read_occupancy(grids[0], tables[grids[0].class_table_id])
    assert back.grid.shape == (200, 200, 16)
    assert grids[0].model_id == tiny_bundle.name
    # The same key frames through the data-set loader and the evaluation give the same scores.
    source, size, _, _ = model_source(tiny_bundle, "cpu")
    dataset = NuScenesOccupancy(DataArgs(str(tiny_tree), "v1.0-tiny", scenes=("scene-a",)), size)
    expected = score("loader", dataset, source)
    assert (report.miou, report.iou, report.rayiou) == pytest.approx(
        (expected.miou, expected.iou, expected.rayiou), abs=2e-5
    )
    assert json.loads((tmp_path / "report.json").read_text())["miou"] == report.miou
