# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Scores while a recording is played."""

import pytest
import torch

from gsocc_core import OCC3D_NUSCENES, SemanticGrid, VoxelGrid
from gsocc_core.errors import DataError
from gsocc_ros.messages import occupancy_messages as messages
from gsocc_ros.messages.message_host import rosbags_host
from gsocc_ros.node.live_evaluation import LiveEvaluation

HOST, _ = rosbags_host()
GRID = VoxelGrid((0.0, 0.0, 0.0), (4.0, 4.0, 2.0), 1.0)


def grid_of(occupied):
    labels = torch.full(GRID.shape, OCC3D_NUSCENES.free_id, dtype=torch.uint8)
    labels[:occupied] = 15
    return SemanticGrid(labels, GRID, OCC3D_NUSCENES, observed=torch.ones(GRID.shape, dtype=torch.bool))


def truth(occupied, stamp):
    return messages.occupancy(HOST, grid_of(occupied), stamp, "base_link", "ground_truth")


def test_pairs_are_scored_whichever_comes_first():
    evaluation = LiveEvaluation()
    evaluation.add_table(messages.class_table(HOST, OCC3D_NUSCENES, 0))
    assert evaluation.summary() is None
    evaluation.add_prediction(1, grid_of(2))
    back = evaluation.add_truth(truth(2, 1), 10.0)
    assert torch.equal(back.labels, grid_of(2).labels)
    evaluation.add_truth(truth(4, 2), 11.0)
    evaluation.add_prediction(2, grid_of(2))
    evaluation.add_prediction(3, grid_of(1))  # without ground truth
    evaluation.add_truth(truth(1, 4), 11.5)  # without prediction
    assert not evaluation.is_over(15.0, 5.0)
    assert evaluation.is_over(17.0, 5.0)
    assert evaluation.summary() == "2 sets scored, 1 of 3 ground truths missed, mIoU 66.67 %, IoU 66.67 %"
    assert not evaluation.is_over(99.0, 5.0)


def test_ground_truth_without_its_table_is_named():
    with pytest.raises(DataError, match="class_table_id"):
        LiveEvaluation().add_truth(truth(1, 1), 0.0)


def test_ground_truths_that_were_all_missed_are_told():
    evaluation = LiveEvaluation()
    evaluation.add_table(messages.class_table(HOST, OCC3D_NUSCENES, 0))
    for stamp in (1, 2):
        evaluation.add_truth(truth(1, stamp), 0.0)
    assert evaluation.summary() == "0 sets scored, 2 of 2 ground truths missed"
