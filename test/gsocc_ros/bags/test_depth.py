# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Depth topics: the same bytes give the same answer by every door, and recordings without them are told."""

import io
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from gsocc_core import OCC3D_NUSCENES, Camera, OccupancyPredictor
from gsocc_core.commands.cli import main
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.rigs.rig_file import CameraRig
from gsocc_ros.bags.bag_files import open_bag, read_messages
from gsocc_ros.bags.bag_replay import replay_occupancy
from gsocc_ros.messages.occupancy_messages import read_occupancy
from gsocc_ros.messages.outputs import GRID_TOPIC
from gsocc_ros.pipeline.occupancy_pipeline import OccupancyPipeline
from gsocc_ros.pipeline.rig import Rig

from ...seen_depth import write_bundle  # noqa: TID252 - tests are no package
from ..conftest import MS, Event, header, ros  # noqa: TID252

RIG = """
base_frame: base_link
fixed_frame: null
anchor: front
cameras:
  front: {topic: /front/image/compressed, camera_info_topic: /front/camera_info, depth_topic: /front/depth/image_raw}
  side:
    topic: /side/image/compressed
    camera_info_topic: /side/camera_info
    depth_topic: /side/depth/image_raw/compressedDepth
    depth_transport: compressed
"""
SIZES = {"front": (160, 90), "side": (200, 112)}
#: (h, w) of the depth maps: one that is larger than its picture, and a smaller one.
DEPTH_SIZES = {"front": (180, 320), "side": (56, 100)}
T_EGO_CAM = np.array([[0, 0, 1.0, 0], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]])


def millimetres(name, cycle):
    """A map of another scene in every cycle, of which something is unknown."""
    height, width = DEPTH_SIZES[name]
    few = np.random.default_rng([cycle, height]).integers(2000, 20_000, (5, 8)).astype(np.uint16)
    few[1, 2] = 0
    return np.asarray(
        Image.fromarray(few.astype(np.int32)).resize((width, height), Image.Resampling.NEAREST), np.uint16
    )


def depth_event(name, stamp, array, frame=None):
    """The front camera sends raw messages in millimetres and metres by turns, the side's are compressed."""
    top = header(stamp, frame or name)
    if name == "side":
        stream, kind = io.BytesIO(), "sensor_msgs/msg/CompressedImage"
        Image.fromarray(array).save(stream, "PNG")
        data = np.frombuffer(struct.pack("<iff", 0, 0.0, 0.0) + stream.getvalue(), np.uint8)
        message = ros(kind, header=top, format="16UC1; compressedDepth png", data=data)
        return Event("/side/depth/image_raw/compressedDepth", kind, stamp, message)
    kind = "sensor_msgs/msg/Image"
    height, width = array.shape
    fields = {"height": height, "width": width, "is_bigendian": 0}
    if stamp // MS // 100 % 2:
        fields |= {"encoding": "16UC1", "step": 2 * width, "data": array.ravel().view(np.uint8)}
    else:
        metres = array.astype(np.float32) / np.float32(1000)
        fields |= {"encoding": "32FC1", "step": 4 * width, "data": metres.ravel().view(np.uint8)}
    return Event("/front/depth/image_raw", kind, stamp, ros(kind, header=top, **fields))


@pytest.fixture
def drive(robot, tmp_path):
    """Rig, events with depth 3 ms after its picture, and the cameras, of which the second is a fisheye."""
    (tmp_path / "rig.yaml").write_text(RIG)
    rig = Rig.load(tmp_path / "rig.yaml")
    made = robot(rig, sizes=SIZES, cycles=4)
    events = made.events()
    for i, event in enumerate(events):
        if event.topic == "/side/camera_info":
            message = replace(event.message, distortion_model="equidistant", d=np.array([0.02, -0.01, 0.0, 0.0]))
            events[i] = replace(event, message=message)
    for cycle in range(4):
        for name in SIZES:
            event = depth_event(name, made.cycle_start_ns(cycle), millimetres(name, cycle))
            events.append(replace(event, stamp_ns=event.stamp_ns + 3 * MS))
    cameras = []
    for i, (name, (width, height)) in enumerate(SIZES.items()):
        K = np.array([[width / 2, 0, width / 2], [0, width / 2, height / 2], [0, 0, 1]])
        T_ego_cam = T_EGO_CAM + np.array([[0, 0, 0, i], [0] * 4, [0] * 4, [0] * 4])
        lens = {"model": "fisheye", "distortion": (0.02, -0.01, 0.0, 0.0)} if name == "side" else {}
        cameras.append(Camera(name, K, T_ego_cam, width, height, **lens))
    return rig, sorted(events, key=lambda event: event.stamp_ns), cameras


def through_the_library(bundle, cameras, cycles=4):
    """Labels of every cycle."""
    predictor, found = OccupancyPredictor.load(bundle, "cpu"), []
    images = [np.zeros((camera.height, camera.width, 3), np.uint8) for camera in cameras]
    for cycle in range(cycles):
        depths_m = [millimetres(camera.name, cycle).astype(np.float32) / np.float32(1000) for camera in cameras]
        found.append(predictor.predict(images, cameras, depths_m=depths_m).grid.labels.numpy())
    return found


def through_predict(bundle, cameras, folder):
    CameraRig.of(cameras).save(folder / "cameras.yaml")
    for camera in cameras:
        for kind, array in (("pictures", np.zeros((camera.height, camera.width, 3), np.uint8)),
                            ("depth", millimetres(camera.name, 0))):  # fmt: skip
            (folder / kind / camera.name).mkdir(parents=True)
            Image.fromarray(array).save(folder / kind / camera.name / "0.png")
    words = ["--images", f"{folder}/pictures", "--depth_dir", f"{folder}/depth", "--rig", f"{folder}/cameras.yaml"]
    main(["predict", "--bundle", str(bundle), *words, "--out", f"{folder}/predicted", "--device", "cpu"])
    with np.load(folder / "predicted" / "0" / "labels.npz") as stored:
        return stored["semantics"]


def replayed(bundle, rig, bag, out):
    report = replay_occupancy(str(bag), str(out), str(bundle), rig=str(rig.path), device="cpu")
    with open_bag(out) as made:
        grids = [message for _, _, message in read_messages(made, [GRID_TOPIC])]
    return report, [read_occupancy(message, OCC3D_NUSCENES, GRID_TOPIC).labels.numpy() for message in grids]


def test_every_door_gives_the_same_answer(drive, bag_of, tmp_path, monkeypatch):
    rig, events, cameras = drive
    bundle = write_bundle(monkeypatch, tmp_path / "bundle")
    expected = through_the_library(bundle, cameras)
    assert all(len(np.unique(labels)) > 3 for labels in expected)
    assert (expected[0] != expected[1]).any()
    np.testing.assert_array_equal(through_predict(bundle, cameras, tmp_path), expected[0])
    report, labels = replayed(bundle, rig, bag_of(tmp_path / "bag", events), tmp_path / "replayed")
    assert (report.sets, report.without_depth) == (4, 0)
    np.testing.assert_array_equal(labels, expected)
    with open_bag(tmp_path / "replayed") as bag:
        assert bag.topics["/front/depth/image_raw"].msgcount == 4, "what was recorded stays"


def test_a_picture_without_its_map_is_predicted_without_it_and_counted(drive, bag_of, tmp_path, monkeypatch):
    rig, events, cameras = drive
    bundle = write_bundle(monkeypatch, tmp_path / "bundle", depth_input="optional")
    side = [event for event in events if event.topic == "/side/depth/image_raw/compressedDepth"]
    lost = replace(side[0], stamp_ns=events[-1].stamp_ns + 1)  # comes when all is over
    bag = bag_of(tmp_path / "bag", [event for event in events if event not in (side[0], side[1])] + [lost])
    report, labels = replayed(bundle, rig, bag, tmp_path / "replayed")
    assert (report.sets, report.without_depth, report.faults) == (4, 2, {})
    assert "2 sets without depth of a picture" in report.table()
    for cycle, (found, whole) in enumerate(zip(labels, through_the_library(bundle, cameras), strict=True)):
        if cycle < 2:
            assert set(np.unique(found)) == {1, OCC3D_NUSCENES.free_id}, "the front's points alone"
        else:
            np.testing.assert_array_equal(found, whole)


def test_depth_is_listened_to_only_if_the_model_looks_at_it(drive, tmp_path, monkeypatch, bag_of):
    rig, events, _ = drive
    topics = {camera.depth_topic for camera in rig.cameras}
    seeing = OccupancyPredictor.load(write_bundle(monkeypatch, tmp_path / "seeing"), "cpu")
    blind = write_bundle(monkeypatch, tmp_path / "blind", depth_input="unused")
    pipeline = OccupancyPipeline(rig, OccupancyPredictor.load(blind, "cpu"))
    assert not topics & {item.topic for item in pipeline.subscriptions}
    pipeline.use(seeing)
    kinds = {item.topic: item.message_type for item in pipeline.subscriptions}
    assert kinds["/front/depth/image_raw"] == "sensor_msgs/msg/Image"
    assert kinds["/side/depth/image_raw/compressedDepth"] == "sensor_msgs/msg/CompressedImage"
    pipeline.close()
    odd = [
        replace(e, topic="/front/depth/image_raw", stamp_ns=e.stamp_ns + 1)
        for e in events
        if e.topic == "/front/camera_info"
    ]
    bag = bag_of(tmp_path / "bag", [event for event in events if event.topic not in topics] + odd)
    report, _ = replayed(blind, rig, bag, tmp_path / "replayed")
    assert (report.sets, report.without_depth, report.faults) == (4, 0, {})


def test_a_model_that_requires_depth_is_told_before_anything_is_predicted(drive, tmp_path, monkeypatch, bag_of):
    rig, events, _ = drive
    bundle = write_bundle(monkeypatch, tmp_path / "bundle")
    topics = {camera.depth_topic for camera in rig.cameras}
    bag = bag_of(tmp_path / "bag", [event for event in events if event.topic not in topics])
    with pytest.raises(
        DataError, match="/front/depth/image_raw, /side/depth/image_raw/compressedDepth: expected depth of at least one"
    ):
        replayed(bundle, rig, bag, tmp_path / "replayed")
    cameras = tuple(replace(camera, depth_topic=None) for camera in rig.cameras)
    told = r"rig.yaml: cameras: expected depth_topic of at least one camera: the model requires depth"
    with pytest.raises(ConfigError, match=told):
        OccupancyPipeline(replace(rig, cameras=cameras), OccupancyPredictor.load(bundle, "cpu"))
    odd = [replace(e, topic="/front/depth/image_raw") for e in events if e.topic == "/front/camera_info"]
    bag = bag_of(tmp_path / "odd", [event for event in events if event.topic != "/front/depth/image_raw"] + odd)
    with pytest.raises(
        DataError, match="/front/depth/image_raw: expected messages of type sensor_msgs/msg/Image as in"
    ):
        replayed(bundle, rig, bag, tmp_path / "replayed")
    assert not (tmp_path / "replayed").exists()


def test_depth_that_is_not_registered_costs_its_set_and_is_told(drive, tmp_path, monkeypatch, bag_of):
    rig, events, _ = drive
    bundle = write_bundle(monkeypatch, tmp_path / "bundle")
    one = next(event for event in events if event.topic == "/front/depth/image_raw")
    stamp = one.message.header.stamp
    wrong = depth_event("front", stamp.sec * 10**9 + stamp.nanosec, millimetres("front", 0), "front_infrared")
    changed = [replace(wrong, stamp_ns=one.stamp_ns) if event is one else event for event in events]
    report, labels = replayed(bundle, rig, bag_of(tmp_path / "bag", changed), tmp_path / "replayed")
    assert len(labels) == 3
    assert report.faults == {"/front/depth/image_raw: frame_id": 1}


def test_a_model_that_requires_features_is_told_at_once(drive, tmp_path, monkeypatch, bag_of):
    rig, events, _ = drive
    bundle = write_bundle(monkeypatch, tmp_path / "bundle", features_input="required")
    with pytest.raises(ConfigError, match="rig.yaml: bundle: expected a model that takes pictures.*no feature maps"):
        replayed(bundle, rig, bag_of(tmp_path / "bag", events), tmp_path / "replayed")
    assert not (tmp_path / "replayed").exists()


def test_gausstr_stands_where_the_depth_topics_say(drive, bag_of, tmp_path):
    """Gaussians of a front camera lie at the depth that its topic tells, and without depth there are none."""
    from gsocc_core.inference.bundle import save_bundle
    from gsocc_core.methods.build import build_method
    from gsocc_core.text.class_prompts import ClassPrompts

    rig, events, _ = drive
    words = ClassPrompts(("car", "sky"), ("car", "free"), torch.eye(2, 8), "made")
    arguments = {
        "grid": {"lower": [-40.0, -40.0, -1.0], "upper": [40.0, 40.0, 5.4], "voxel_size": 0.4}, "image_size": [32, 64],
        "backbone": {"model_type": "resnet", "out_indices": [1],
                     "model_args": {"embedding_size": 8, "hidden_sizes": [8, 8, 8, 8], "depths": [1, 1, 1, 1]}},
        "network": {"dim": 8, "queries": 20, "layers": 1, "heads": 2, "points": 1, "feed_hidden": 8, "head_hidden": 8,
                    "levels": [1.0]},
        "features": {"dim": 8, "compression": "none"}, "splat": {"least_opacity": None, "least_score": 0.0},
    }  # fmt: skip
    torch.manual_seed(0)
    method = build_method("gausstr", arguments, OCC3D_NUSCENES, pretrained=False, prompts=words)
    for head in method.heads:  # every Gaussian is a car at the depth of its pixel
        torch.nn.init.zeros_(head.regress[2].weight)
        torch.nn.init.zeros_(head.regress[2].bias)
        torch.nn.init.zeros_(head.feature[2].weight)
        head.feature[2].bias.data = torch.eye(8)[0] * 5
    save_bundle(tmp_path / "bundle", "gausstr", arguments, method, "made")
    report, labels = replayed(tmp_path / "bundle", rig, bag_of(tmp_path / "bag", events), tmp_path / "replayed")
    assert (report.sets, report.without_depth) == (4, 0)
    for cycle, grid in enumerate(labels):
        assert set(np.unique(grid)) == {4, 17}
        # No map of the drive knows anything nearer than 2 m: nothing stands around the cameras.
        nearest = np.linalg.norm(np.argwhere(grid == 4)[:, :2] * 0.4 - 39.8, axis=1).min()
        assert 0.5 < nearest < 12, cycle
    alone = [event for event in events if "depth" not in event.topic]
    with pytest.raises((ConfigError, DataError), match="depth"):
        replayed(tmp_path / "bundle", rig, bag_of(tmp_path / "other", alone), tmp_path / "none")
