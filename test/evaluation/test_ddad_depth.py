# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Scores on DDAD: there are no voxel labels, so depth at LiDAR points alone."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from gsocc_core import Gaussians
from gsocc_core.commands.cli import main
from gsocc_core.data.build import build_dataset
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.evaluation.label_sources import Answer
from gsocc_core.evaluation.lidar_depth import lidar_pixels
from gsocc_core.evaluation.report import markdown, write_report
from gsocc_core.evaluation.score import score, score_baseline, scoring_data

from ..seen_depth import write_bundle  # noqa: TID252 - tests are no package
from ..tiny_ddad import CAMERAS, SIZE, write_ddad  # noqa: TID252

# Depths along the optical axes of the points that cameras see, by tiny_ddad: the cameras stand 1.6 m from the axle and
# fired 0.1 m before the LiDAR.
FRONT, FAR, BACK = 21.6 - 1.5, 150 - 1.5, 20 - 1.7


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_ddad(tmp_path_factory.mktemp("data") / "ddad", samples=2)


def data(root, **options):
    return scoring_data(str(root), "ddad", "val", dataset="ddad", **options)


def nothing(frames):
    """An empty scene, which is as far as the metric reaches."""
    one = torch.zeros(1, 3), torch.ones(1, 3), torch.tensor([[1.0, 0, 0, 0]]), torch.zeros(1), torch.zeros(1, 2)
    return Answer(np.zeros((200, 200, 16), np.uint8), None, Gaussians(*one))


def test_depth_alone_is_scored_up_to_200_metres(root, tmp_path):
    found = score("empty", build_dataset(data(root), (40, 64)), nothing, depth=True)
    errors = [(200 - z) / z for z in (FRONT, FAR, BACK)]
    assert (found.frames, found.scenes, found.depth.pixels) == (2, 1, 6)
    assert found.depth.abs_rel == pytest.approx(np.mean(errors), rel=1e-5)
    assert found.depth_of_cameras["CAMERA_09"].abs_rel == pytest.approx(errors[2], rel=1e-5)
    assert math.isnan(found.miou)
    assert math.isnan(found.iou)
    assert (found.per_class, found.intervals) == ({}, {})
    text = markdown([found])
    assert "There are no voxel labels: depth alone is scored." in text
    assert "| empty | 2 | - | - | - | - | - | - |" in text
    write_report([found], tmp_path / "scores")
    assert (tmp_path / "scores.json").is_file()


def test_what_is_rendered_beyond_100_metres_counts(root):
    """A large opaque wall 120 m ahead of the axle."""

    def wall(frames):
        y, z = torch.meshgrid(torch.arange(-60.0, 60, 2), torch.arange(-20.0, 40, 2), indexing="ij")
        means = torch.stack([torch.full_like(y, 120.0), y, z], -1).view(-1, 3)
        n = len(means)
        scales, turns = torch.tensor([0.1, 2.0, 2.0]).expand(n, 3), torch.tensor([1.0, 0, 0, 0]).expand(n, 4)
        return Answer(nothing(frames).labels, None, Gaussians(means, scales, turns, torch.ones(n), torch.ones(n, 2)))

    found = score("wall", build_dataset(data(root), (40, 64)), wall, limit=1, depth=True)
    front = found.depth_of_cameras["CAMERA_01"]
    z = 120 - 1.5
    assert front.pixels == 2
    assert front.abs_rel == pytest.approx(np.mean([abs(z - FRONT) / FRONT, abs(z - FAR) / FAR]), rel=0.01)


def test_points_on_the_own_vehicle_do_not_count_where_masks_tell(root, tmp_path):
    """The point behind falls into row 20 of its picture, the near one ahead into that of the front camera."""
    for camera in CAMERAS:
        mask = np.zeros(SIZE[::-1], np.uint8)
        mask[20:] = 255 if camera == "CAMERA_09" else 0
        (tmp_path / camera / "000001").mkdir(parents=True)
        Image.fromarray(mask).save(tmp_path / camera / "000001" / "mask.png")
    for masks, expected in ((None, {"CAMERA_01": 2, "CAMERA_09": 1}), (str(tmp_path), {"CAMERA_01": 2})):
        dataset = build_dataset(data(root, masks_dir=masks), (40, 64))
        found = {p.camera: len(p.rows) for p in lidar_pixels(dataset[0], dataset.key_frame(0)) if len(p.rows)}
        assert found == expected


def test_the_best_constant_depth_is_a_baseline(root):
    found = score_baseline("ground", data(root), "train", depth=True)
    assert found.depth.pixels == 6
    assert found.depth.abs_rel == pytest.approx(0.0, abs=1e-6), "every drive of the tree has the same points"


def test_what_cannot_be_scored_is_said(root, tmp_path, capsys, monkeypatch):
    bundle = write_bundle(monkeypatch, tmp_path / "bundle", depth_input="unused")
    words = ["evaluate", str(bundle), "--dataset", "ddad", "--dataroot", str(root), "--split", "val"]
    with pytest.raises(SystemExit):
        main(words)
    expected = "evaluate: depth: expected true: DDAD has no voxel labels, its depth alone can be scored, received False"
    assert expected in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*words, "--depth", "true"])
    assert "depth: expected Gaussians of the model" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="baseline: depth: expected true: DDAD has no voxel labels"):
        score_baseline("ground", data(root))
    with pytest.raises(DataError, match="voxel labels: expected a folder with voxel labels"):
        score_baseline("majority", data(root), depth=True)
    dataset = build_dataset(data(root), (40, 64))
    with pytest.raises(ConfigError, match="rays: expected none: DDAD has no voxel labels"):
        score("x", dataset, nothing, depth=True, rays=True)
    with pytest.raises(ConfigError, match="image_width: expected none"):
        score("x", dataset, nothing, depth=True, image_width=32)
