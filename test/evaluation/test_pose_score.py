# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Motions chained from key frame to key frame, and reports."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from gsocc_core.evaluation.pose_score import PoseReport, _Chains, pose_markdown, write_pose_report
from gsocc_core.metrics.depth import DepthErrors
from gsocc_core.metrics.trajectory import pose_scores


def moments(scene, start_s, count=3, step_s=0.1):
    """What a chain reads of a frame set: scene, stamp of the first camera, and the views' times."""
    times = torch.arange(count) * step_s
    return SimpleNamespace(
        scene_names=(scene,), camera_stamps_ns=torch.tensor([[[round(start_s * 1e9)]]]),
        targets=SimpleNamespace(view_time_s=times[None]),
    )  # fmt: skip


def ahead(metres, count=3):
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, 0, 3] = metres * np.arange(count)
    return poses


def test_motions_go_on_where_the_last_sweep_is_the_next_key_frame():
    chains = _Chains()
    chains.add(moments("a", 0.0), ahead(1.0), ahead(1.1))
    chains.add(moments("a", 0.2), ahead(1.0), ahead(1.1))  # goes on
    chains.add(moments("a", 0.9), ahead(1.0), ahead(1.1))  # a gap
    chains.add(moments("b", 1.1), ahead(1.0), ahead(1.1))  # another drive
    chains.add(moments("b", 1.3, 1), ahead(1.0, 1), ahead(1.1, 1))  # no sweeps behind it
    found = chains.trajectories()
    assert [len(true) for true, _ in found] == [5, 3, 3]
    assert found[0][0][:, 0, 3].tolist() == [0, 1, 2, 3, 4]
    assert found[0][1][:, 0, 3] == pytest.approx([0, 1.1, 2.2, 3.3, 4.4])
    assert pose_scores(found).scale == pytest.approx(1.1)


def test_a_report_holds_what_was_scored(tmp_path):
    errors = DepthErrors()
    errors.update(np.array([10.0, 20.0]), np.array([11.0, 22.0]))
    poses = pose_scores([(ahead(1.0), ahead(1.25))])
    report = PoseReport("mine", 2, 1, errors.scores(), {"front": errors.scores()}, 1.1, poses)
    text = pose_markdown(report)
    assert "| mine | 0.100 |" in text
    assert "| front | 0.100 |" in text
    assert "predicted / true depth 1.100" in text
    assert "| 1.250 | 25.0 | 2 | 1 |" in text
    write_pose_report(report, tmp_path / "scores")
    assert (tmp_path / "scores.md").read_text() == text + "\n"
    assert '"scale_error": 0.25' in (tmp_path / "scores.json").read_text()
