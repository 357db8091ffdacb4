# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Recordings and snapshots in the viewer: what was written is what is shown."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from gsocc_core import OCC3D_NUSCENES, Gaussians, OccupancyPredictor, SemanticGrid, VoxelGrid
from gsocc_core.errors import DataError
from gsocc_core.viewer.snapshot import SnapshotSource
from gsocc_ros.bags.view_bag import BagSource
from gsocc_ros.commands import view_occupancy_bag_program as main
from gsocc_ros.messages import occupancy_messages as messages
from gsocc_ros.messages.message_host import rosbags_host
from gsocc_ros.node.snapshot import save_snapshot
from gsocc_ros.pipeline.camera_poses import CameraPoses
from gsocc_ros.pipeline.occupancy_pipeline import OccupancyPipeline
from gsocc_ros.pipeline.rig import Rig

FOUR = Rig.load("example_four_cameras")
GRID = VoxelGrid((-4.0, -4.0, -1.0), (4.0, 4.0, 3.0), 1.0)
CLASSES = OCC3D_NUSCENES.with_channels(range(1, 17))


def grid_at(x, velocity=False):
    labels = torch.full(GRID.shape, OCC3D_NUSCENES.free_id, dtype=torch.uint8)
    labels[:, :, 0] = 11
    labels[x, :, 1] = 4
    moving = torch.zeros(*GRID.shape, 3)
    moving[x, :, 1, 1] = 4.0
    return SemanticGrid(labels, GRID, CLASSES, velocity=moving if velocity else None)


def scene():
    features = torch.zeros(2, 16)
    features[0, 3] = features[1, 10] = 1.0
    quats = torch.tensor([[1.0, 0, 0, 0]]).repeat(2, 1)
    return Gaussians(torch.tensor([[1.0, 2, 3], [4, 5, 6]]), torch.full((2, 3), 0.5), quats, torch.ones(2), features)


@pytest.fixture(scope="module")
def recorded(robot, bag_of, tmp_path_factory):
    """A drive with predictions at every cycle, ground truth at every second, and pictures."""
    host, types = rosbags_host()
    drive = robot(FOUR, cycles=4)
    events = drive.events()
    event, frame = type(events[0]), FOUR.base_frame
    start = drive.cycle_start_ns(0)
    table = messages.class_table(host, CLASSES, start)
    events.insert(0, event("/occupancy/classes", "gsocc_ros/msg/SemanticClassTable", start, table))
    kind = "gsocc_ros/msg/SemanticOccupancy"
    for cycle in range(drive.cycles):
        stamp = drive.reference_ns(cycle)
        label = messages.occupancy(host, grid_at(cycle, velocity=cycle == 1), stamp, frame, "m")
        events.append(event("/occupancy/grid", kind, stamp + 40_000_000, label))
        splats = messages.gaussian_array(host, scene(), CLASSES, stamp, frame, "m")
        events.append(event("/occupancy/gaussians", "gsocc_ros/msg/GaussianArray", stamp + 40_000_000, splats))
        if cycle % 2 == 0:
            truth = messages.occupancy(host, grid_at(0), stamp, frame, "truth")
            events.append(event("/occupancy/ground_truth", kind, stamp, truth))
    events.sort(key=lambda item: item.stamp_ns)
    return drive, bag_of(tmp_path_factory.mktemp("bags") / "drive", events, types)


def test_what_was_recorded_is_shown(recorded):
    drive, bag = recorded
    source = BagSource(bag, FOUR.path)
    assert (len(source), source.name, source.classes.names) == (4, "drive", OCC3D_NUSCENES.names)
    for cycle in (3, 0, 1):
        frame = source.frame(cycle)
        assert frame.stamp_ns == drive.reference_ns(cycle)
        torch.testing.assert_close(frame.prediction.labels, grid_at(cycle).labels)
        assert (frame.truth is not None) == (cycle % 2 == 0)
        assert frame.gaussians.labels.tolist() == [4, 11]
        np.testing.assert_allclose(frame.gaussians.covariances_m2, np.tile(0.25 * np.eye(3), (2, 1, 1)), atol=1e-6)
        assert (frame.motion is not None) == (cycle == 1)
        # The robot's pictures tell the cycle by their brightness; camera i sits i metres ahead of the base.
        assert set(frame.images) == {camera.name for camera in FOUR.cameras}
        assert frame.images["front"][0, 0, 0] == pytest.approx(20 * cycle, abs=4)
        assert [round(view.camera.T_ego_cam[0, 3]) for view in frame.views] == [0, 1, 2, 3]
    assert source.frame(1).motion.velocities_m_s[0].tolist() == [0, 4, 0]
    source.close()
    without = BagSource(bag)
    assert without.frame(0).views == ()
    without.close()


def test_a_set_that_cannot_be_placed_is_shown_without_cameras(recorded, bag_of, robot, tmp_path, monkeypatch, caplog):
    drive, bag = recorded
    place = CameraPoses.cameras

    def stumbling(self, synced, *rest):
        if synced.reference_stamp_ns == drive.reference_ns(1):
            raise ZeroDivisionError("a fault of ours")
        return place(self, synced, *rest)

    monkeypatch.setattr(CameraPoses, "cameras", stumbling)
    source = BagSource(bag, FOUR.path)
    assert [len(source.frame(cycle).views) for cycle in range(4)] == [4, 0, 4, 4]
    source.close()
    (told,) = caplog.records
    assert told.getMessage() == "voxels are shown without some cameras: ZeroDivisionError: a fault of ours"
    assert told.exc_info is not None


def test_a_broken_calibration_leaves_the_voxels(robot, bag_of, tmp_path, caplog):
    host, types = rosbags_host()
    drive = robot(FOUR, cycles=3)
    events = drive.events()
    for item in events:
        if item.topic == "/left/camera_info":
            item.message.d[0] = np.nan
    event, stamp = type(events[0]), drive.reference_ns(1)
    table = messages.class_table(host, CLASSES, stamp)
    grid = messages.occupancy(host, grid_at(2), stamp, FOUR.base_frame, "m")
    events.append(event("/occupancy/classes", "gsocc_ros/msg/SemanticClassTable", stamp, table))
    events.append(event("/occupancy/grid", "gsocc_ros/msg/SemanticOccupancy", stamp, grid))
    source = BagSource(bag_of(tmp_path / "bag", events, types), FOUR.path)
    frame = source.frame(0)
    assert sorted(view.camera.name for view in frame.views) == ["front", "rear", "right"]
    torch.testing.assert_close(frame.prediction.labels, grid_at(2).labels)
    source.close()
    assert [text.split(": expected")[0] for text in caplog.messages] == [
        "voxels are shown without some cameras: /left/camera_info: d",
    ]


def test_pictures_and_faults_of_the_command(recorded, bag_of, robot, tmp_path, capsys):
    _, bag = recorded
    assert (
        main([str(bag), "--rig", str(FOUR.path), "--frame", "-1", "--width", "300", "--out", f"{tmp_path}/a.png"]) == 0
    )
    assert Image.open(tmp_path / "a.png").width == 300
    assert main([str(tmp_path / "none"), "--out", f"{tmp_path}/b.png"]) == 2
    assert "rosbag2 folder" in capsys.readouterr().err
    empty = bag_of(tmp_path / "empty", robot(FOUR, cycles=2).events())
    assert main([str(empty), "--out", f"{tmp_path}/b.png"]) == 2
    assert "/occupancy/ground_truth" in capsys.readouterr().err
    assert main([str(bag), "--out", f"{tmp_path}/a.png"]) == 2
    assert "does not exist" in capsys.readouterr().err


@pytest.fixture(scope="module")
def snapshots(robot, tiny_bundle, tmp_path_factory):
    """Two snapshots of the node's own code, the later one with the earlier name."""
    predictor = OccupancyPredictor.load(tiny_bundle, device="cpu")
    pipeline = OccupancyPipeline(FOUR, predictor)
    folder, made = tmp_path_factory.mktemp("snapshots"), []
    for event in robot(FOUR, cycles=2).events():
        pipeline.feed(event.topic, event.message)
    pipeline.finish()
    for name in ("b", "a"):
        made.append(pipeline.predict(pipeline.take()))
        save_snapshot(folder / name, made[-1], FOUR, "tiny")
    pipeline.close()
    return folder, made


def test_snapshots_are_shown_in_the_order_of_their_time(snapshots):
    folder, made = snapshots
    source = SnapshotSource(folder)
    assert len(source) == 2
    for index, occupancy in enumerate(made):
        frame, prediction = source.frame(index), occupancy.prediction
        assert frame.stamp_ns == prediction.reference_stamp_ns
        torch.testing.assert_close(frame.prediction.labels, prediction.grid.labels)
        assert frame.prediction.grid == prediction.grid.grid
        expected = np.asarray(prediction.grid.classes.channel_ids)[prediction.scene.features.argmax(-1).numpy()]
        np.testing.assert_array_equal(frame.gaussians.labels, expected)
        np.testing.assert_allclose(frame.gaussians.covariances_m2, prediction.scene.covariances(), rtol=1e-4)
        cameras = {camera.name: camera for camera in occupancy.ready.cameras}
        for view in frame.views:
            np.testing.assert_allclose(view.camera.T_ref_cam, cameras[view.camera.name].T_ref_cam)
            assert view.image.shape[2] == 3
    assert len(SnapshotSource(folder / "a")) == 1


def test_a_damaged_snapshot_is_named(snapshots, tmp_path):
    folder = tmp_path / "shot"
    shutil.copytree(snapshots[0] / "a", folder)
    about = json.loads((folder / "snapshot.json").read_text())
    about["cameras"][0]["picture"] = "../../secret.png"
    (folder / "snapshot.json").write_text(json.dumps(about))
    with pytest.raises(DataError, match="inside the snapshot"):
        SnapshotSource(folder).frame(0)
    (folder / "snapshot.json").write_text(json.dumps({**about, "layout": 7}))
    with pytest.raises(DataError, match="layout"):
        SnapshotSource(folder)
    (folder / "snapshot.json").write_text(json.dumps(about))
    (folder / "occupancy.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"occupancy\.npz"):
        SnapshotSource(folder)
