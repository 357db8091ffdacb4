# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Predictions meet the ground truth of their own stamp, and rays start where the LiDAR was."""

import copy
import json

import numpy as np
import pytest
import torch

from gsocc_core import OCC3D_NUSCENES, ClassTable, SemanticGrid, VoxelGrid
from gsocc_core.errors import DataError
from gsocc_ros.bags.bag_files import open_bag
from gsocc_ros.bags.replay_report import Latencies, ReplayReport
from gsocc_ros.bags.replay_score import ReplayScore, Scores, Track, read_track, truth_stamps_ns
from gsocc_ros.pipeline.rig import Rig

GRID = VoxelGrid((-4.0, -4.0, -1.0), (4.0, 4.0, 1.0), 1.0)
TOPIC = "/occupancy/ground_truth"
SECOND = 10**9
RIG = Rig.load("nuscenes")


def semantic(seed, observed=None, grid=GRID, classes=OCC3D_NUSCENES):
    labels = torch.from_numpy(np.random.default_rng(seed).integers(0, 18, grid.shape, dtype=np.uint8))
    return SemanticGrid(labels, grid, classes, observed=observed)


def track(*stamps):
    return Track({stamp: np.eye(4) for stamp in stamps}, np.zeros(3))


def test_pairs_meet_in_any_order_and_strangers_do_not():
    score = ReplayScore([1, 2, 3], track(1, 2, 3), TOPIC)
    score.add_truth(1, semantic(1))
    score.add_prediction(1, semantic(1))
    score.add_prediction(2, semantic(2))
    score.add_truth(2, semantic(2))
    score.add_prediction(99, semantic(1))
    score.add_truth(3, semantic(3))
    assert score.scored == 2
    scores = score.scores()
    assert (scores.miou, scores.iou, scores.rayiou) == (1.0, 1.0, 1.0)
    assert scores.class_iou["car"] == 1.0


def test_only_observed_voxels_count():
    truth, found = semantic(1), semantic(1)
    wrong = torch.zeros(GRID.shape, dtype=torch.bool)
    wrong[:4] = True
    found.labels[wrong] = 17
    masked = SemanticGrid(truth.labels, GRID, OCC3D_NUSCENES, observed=~wrong)
    for observed, expected in ((masked, True), (truth, False)):
        score = ReplayScore([1], track(), TOPIC)
        score.add_truth(1, observed)
        score.add_prediction(1, found)
        assert (score.scores().miou == 1.0) == expected
        assert score.scores().rayiou is None  # the pose is not known


def test_nothing_scored_is_none_not_zero():
    assert ReplayScore([], track(), TOPIC).scores() == Scores()


def test_another_grid_or_class_table_is_refused():
    other = ClassTable(("thing", "free"), ((0, 0, 0), (1, 1, 1)), 1)
    for truth, key in (
        (semantic(1, grid=VoxelGrid((-4.0, -4.0, -1.0), (4.0, 4.0, 2.0), 1.0)), "grid"),
        (SemanticGrid(torch.zeros(GRID.shape, dtype=torch.uint8), GRID, other), "classes"),
    ):
        score = ReplayScore([1], track(1), TOPIC)
        score.add_prediction(1, semantic(1))
        with pytest.raises(DataError) as error:
            score.add_truth(1, truth)
        assert error.value.key == key


def test_memory_is_bounded_when_truths_are_never_asked_for():
    score = ReplayScore(range(1000), track(), TOPIC)
    for stamp in range(1000):
        score.add_truth(stamp, semantic(0))
    assert len(score._truths) <= 33


def test_rays_start_at_the_lidar_positions_of_the_same_drive():
    poses = {}
    for k, x in enumerate((0.0, 10.0, 30.0, 60.0)):
        T = np.eye(4)
        T[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]  # heading along +y of the fixed frame
        T[:3, 3] = [100, x, 0]
        poses[k * SECOND] = T
    other_drive = np.eye(4)
    other_drive[:3, 3] = [100, 5, 0]
    poses[60 * SECOND] = other_drive
    origins = Track(poses, np.array([1.0, 0, 2.0])).origins(SECOND, GRID)
    np.testing.assert_allclose(origins, [[-9, 0, 2], [1, 0, 2], [21, 0, 2]], atol=1e-9)
    assert Track(poses, np.zeros(3)).origins(5, GRID) is None
    lidar_grid = VoxelGrid(GRID.lower, GRID.upper, 1.0, T_ego_grid=np.diag([1, 1, 1, 1.0]) + np.eye(4, k=3) * 1.0)
    shifted = Track(poses, np.array([1.0, 0, 2.0])).origins(SECOND, lidar_grid)
    np.testing.assert_allclose(shifted[:, 0], [-10, 0, 20], atol=1e-9)


def test_the_track_comes_from_the_recordings_transforms(robot, bag_of, tmp_path):
    drive = robot(RIG, cycles=8)
    stamps = [drive.reference_ns(2), drive.reference_ns(5), drive.reference_ns(7) + 10 * SECOND]
    with open_bag(bag_of(tmp_path / "bag", drive.events())) as recording:
        read = read_track(recording, RIG, stamps)
        assert truth_stamps_ns(recording, RIG.reference.topic) == [drive.reference_ns(c) for c in range(8)]
    origins = read.origins(stamps[1], GRID)
    np.testing.assert_allclose(origins, [[-3.0, 0, 1.8], [0, 0, 1.8]], atol=1e-6)  # 10 m/s, 0.3 s apart
    assert read.origins(stamps[2], GRID) is None


def test_a_frame_beside_whose_clock_runs_ahead_costs_the_track_nothing(robot, bag_of, tmp_path):
    drive = robot(RIG, cycles=8)
    events = drive.events()
    for event in events:
        if event.topic == "/tf":
            beside = copy.deepcopy(event.message.transforms[0])
            beside.child_frame_id, beside.header.stamp.sec = "person", beside.header.stamp.sec + 3600
            broken = copy.deepcopy(event.message.transforms[0])
            broken.child_frame_id, broken.transform.rotation.w = "joint", 0.0
            event.message.transforms[:] = [broken, beside, *event.message.transforms]
    stamps = [drive.reference_ns(cycle) for cycle in range(8)]
    with open_bag(bag_of(tmp_path / "bag", events)) as recording:
        read = read_track(recording, RIG, stamps)
    assert [stamp for stamp in stamps if read.origins(stamp, GRID) is None] == []
    np.testing.assert_allclose(read.origins(stamps[0], GRID)[-1], [7.0, 0, 1.8], atol=1e-6)


def test_latencies_give_medians_and_rate():
    latencies = Latencies()
    for value in (10.0, 20.0, 90.0):
        latencies.add({"decode": value, "network": 10.0})
    assert latencies.percentile_ms(50) == {"decode": 20.0, "network": 10.0, "total": 30.0}
    assert latencies.fps == pytest.approx(3 / 0.15)
    assert Latencies().fps == 0.0


def test_the_report_is_json_and_text(tmp_path):
    counts = {"CAM": dict.fromkeys(("received", "used", "late", "stale", "duplicate", "unplaced", "missing"), 2)}
    report = ReplayReport(
        "bag", 3, 2, 2, 0.125, 0.5, None, {"car": 0.01}, 4.0, {"total": 250.0}, {"total": 260.0}, 1, counts
    )
    report.to_json(tmp_path / "sub" / "report.json")
    content = json.loads((tmp_path / "sub" / "report.json").read_text())
    assert {key: content[key] for key in ("miou", "iou", "rayiou", "fps", "latency_ms")} == {
        "miou": 0.125, "iou": 0.5, "rayiou": None, "fps": 4.0, "latency_ms": {"total": 250.0},
    }  # fmt: skip
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["report.json"]
    assert "mIoU 12.50 %  IoU 50.00 %" in report.table()
    assert "CAM: missing in 2 cycles" in report.table()
