# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Voxel IoU against a plain loop."""

import math

import numpy as np
import pytest

from gsocc_core import OCC3D_NUSCENES
from gsocc_core.errors import ConfigError, ShapeError
from gsocc_core.metrics.confusion import VoxelConfusion, bootstrap_interval, scores_of


def random_frames(count=3, seed=0):
    rng = np.random.default_rng(seed)
    shape = (7, 6, 5)
    for _ in range(count):
        truth = rng.integers(0, 18, shape).astype(np.uint8)
        predicted = np.where(rng.random(shape) < 0.5, truth, rng.integers(0, 18, shape)).astype(np.uint8)
        truth[rng.random(shape) < 0.05] = 255
        yield truth, predicted, rng.random(shape) < 0.7, rng.random(shape) < 0.5


def oracle(frames, mask, drop=()):
    """IoU per class by walking over every voxel."""
    hit, truth_count, predicted_count = ([0] * 18 for _ in range(3))
    both = either = 0
    for truth, predicted, camera, lidar in frames:
        for index in np.ndindex(truth.shape):
            t, p = int(truth[index]), int(predicted[index])
            if t == 255 or t in drop:
                continue
            counts = {"camera": camera[index], "lidar": lidar[index], "none": True,
                      "camera_and_lidar": camera[index] and lidar[index]}  # fmt: skip
            if not counts[mask]:
                continue
            truth_count[t] += 1
            predicted_count[p] += 1
            hit[t] += t == p
            both += t != 17 and p != 17
            either += t != 17 or p != 17
    ious = []
    for c in range(17):
        union = truth_count[c] + predicted_count[c] - hit[c]
        ious.append(hit[c] / union if union else math.nan)
    return ious, both / either


@pytest.mark.parametrize("mask", ["camera", "lidar", "camera_and_lidar", "none"])
@pytest.mark.parametrize("drop", [(), ("others", "other_flat")])
def test_scores_equal_a_loop_over_voxels(mask, drop):
    metric = VoxelConfusion(OCC3D_NUSCENES, mask, drop)
    for frame in random_frames():
        metric.update(*frame)
    ious, iou = oracle(list(random_frames()), mask, [OCC3D_NUSCENES.names.index(n) for n in drop])
    scores = metric.scores()
    assert list(scores.per_class.values()) == pytest.approx(ious)
    assert scores.miou == pytest.approx(np.nanmean(ious))
    assert scores.miou_15 == pytest.approx(np.nanmean([ious[c] for c in range(17) if c not in {0, 12}]))
    assert scores.iou == pytest.approx(iou)


def test_three_voxels_by_hand():
    metric = VoxelConfusion(OCC3D_NUSCENES, "none")
    metric.update(np.array([4, 11, 17], np.uint8), np.array([4, 4, 4], np.uint8))
    scores = metric.scores()
    assert scores.per_class["car"] == pytest.approx(1 / 3)
    assert scores.per_class["driveable_surface"] == 0
    assert scores.miou == pytest.approx(1 / 6), "absent classes do not count"
    assert len(scores.absent) == 15
    assert scores.iou == pytest.approx(2 / 3)


def test_gaussianflowoccs_protocol_forgives_predictions_in_dropped_voxels():
    truth, predicted = np.array([12, 4, 4], np.uint8), np.array([4, 4, 11], np.uint8)
    seen = np.ones(3, bool)
    ours, theirs = VoxelConfusion(OCC3D_NUSCENES), VoxelConfusion.gaussianflowocc(OCC3D_NUSCENES)
    for metric in (ours, theirs):
        metric.update(truth, predicted, seen)
    assert ours.scores().per_class["car"] == pytest.approx(1 / 3)
    assert theirs.scores().per_class["car"] == pytest.approx(1 / 2)
    assert theirs.scores().miou_15 == pytest.approx(1 / 4), "car 1/2, driveable_surface 0"


def test_parts_add_up_to_the_whole():
    whole, parts = VoxelConfusion(OCC3D_NUSCENES), [VoxelConfusion(OCC3D_NUSCENES) for _ in range(3)]
    for frame, part in zip(random_frames(), parts):
        whole.update(*frame)
        part.update(*frame)
    parts[0].merge(parts[1])
    parts[0].merge(parts[2])
    assert np.array_equal(parts[0].matrix, whole.matrix)


def test_absent_classes_count_as_one_by_the_rule_of_that_name():
    """15 classes are not in the ground truth; one of them, bus, is predicted."""
    metric = VoxelConfusion(OCC3D_NUSCENES, "none")
    metric.update(np.array([4, 11, 17, 4, 17], np.uint8), np.array([4, 4, 4, 3, 17], np.uint8))
    ours, theirs = metric.scores(), metric.scores("counts_as_one")
    assert ours.per_class["bus"] == 0
    assert ours.miou == pytest.approx((1 / 4 + 0 + 0) / 3)
    assert "bus" not in ours.absent
    assert len(ours.absent) == 14
    assert theirs.per_class["bus"] == 1
    assert theirs.miou == pytest.approx((1 / 4 + 0 + 15) / 17)
    assert len(theirs.absent) == 15
    assert theirs.iou == ours.iou
    with pytest.raises(ConfigError, match="counts_as_one"):
        metric.scores("as_zero")


def test_nothing_seen_is_nan_not_one():
    assert math.isnan(VoxelConfusion(OCC3D_NUSCENES).scores().miou)


def test_bootstrap_brackets_the_estimate_and_narrows_with_equal_scenes():
    parts = []
    for frame in random_frames(12):
        metric = VoxelConfusion(OCC3D_NUSCENES)
        metric.update(*frame)
        parts.append(metric.matrix)

    def miou(matrix):
        return scores_of(matrix, OCC3D_NUSCENES).miou

    low, high = bootstrap_interval(parts, miou, draws=200)
    assert low < miou(sum(parts)) < high
    assert (low, high) == bootstrap_interval(parts, miou, draws=200)
    low, high = bootstrap_interval([parts[0]] * 5, miou, draws=50)
    assert low == pytest.approx(high)


def test_bad_input_is_named():
    metric = VoxelConfusion(OCC3D_NUSCENES)
    labels = np.zeros((2, 2), np.uint8)
    with pytest.raises(ShapeError, match="mask_camera"):
        metric.update(labels, labels)
    with pytest.raises(ShapeError, match="predicted"):
        metric.update(labels, labels[:1], labels.astype(bool))
    with pytest.raises(ShapeError, match="ids below 18"):
        metric.update(labels, labels + 40, np.ones((2, 2), bool))
    with pytest.raises(ConfigError, match="mask"):
        VoxelConfusion(OCC3D_NUSCENES, "all")
    with pytest.raises(ShapeError, match="at least one scene"):
        bootstrap_interval([], lambda counts: 0.0)
    with pytest.raises(ConfigError, match="drop_truth"):
        VoxelConfusion(OCC3D_NUSCENES, drop_truth=("cars",))
