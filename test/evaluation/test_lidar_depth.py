# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Rendered depth at LiDAR points, camera by camera."""

import numpy as np
import pytest
import torch

from gsocc_core import Gaussians
from gsocc_core.data.nuscenes import DataArgs, NuScenesOccupancy
from gsocc_core.evaluation.label_sources import Answer
from gsocc_core.evaluation.lidar_depth import ConstantDepth, lidar_pixels
from gsocc_core.evaluation.report import markdown
from gsocc_core.evaluation.score import score, score_baseline

FREE = 17


@pytest.fixture(scope="module")
def dataset(tiny_tree):
    data = DataArgs(str(tiny_tree), "v1.0-tiny", depth_dir=None, semantics_dir=None, views=1)
    return NuScenesOccupancy(data, (18, 32))


def test_every_camera_has_its_own_errors(dataset):
    """An empty scene is as far as the metric reaches, 80 m: errors follow from the points alone."""
    nothing = Gaussians(torch.zeros(1, 3), torch.ones(1, 3), torch.tensor([[1.0, 0, 0, 0]]), torch.zeros(1),
                        torch.zeros(1, 2))  # fmt: skip

    def answer(frames):
        return Answer(np.full(frames.targets.labels.shape[1:], FREE, np.uint8), None, nothing)

    found = score("empty", dataset, answer, rays=False, depth=True)
    expected = {}
    for index in range(len(dataset)):
        frames, frame = dataset[index], dataset.key_frame(index)
        points = np.fromfile(frame.lidar_path, np.float32).reshape(-1, 5)[:, :3]
        points = points @ frame.T_ego_lidar[:3, :3].T + frame.T_ego_lidar[:3, 3]
        for v, name in enumerate(frames.camera_names):
            camera = frames.cameras.map(lambda t, v=v: t[0, 0, v].double())
            T = camera.T_ref_cam.inverse().numpy()
            seen = points @ T[:3, :3].T + T[:3, 3]
            seen = seen[seen[:, 2] > 0.1]
            pixels = seen @ camera.intrinsics.numpy().T
            u, w = pixels[:, 0] / pixels[:, 2], pixels[:, 1] / pixels[:, 2]
            inside = (u >= 0) & (u < 32) & (w >= 0) & (w < 18)
            expected.setdefault(name, []).extend((80 - seen[inside, 2]) / seen[inside, 2])
    assert set(found.depth_of_cameras) == set(expected)
    for name, errors in expected.items():
        assert found.depth_of_cameras[name].pixels == len(errors)
        assert found.depth_of_cameras[name].abs_rel == pytest.approx(np.mean(errors), rel=1e-3)
    everything = np.concatenate(list(expected.values()))
    assert found.depth.pixels == len(everything)
    assert found.depth.abs_rel == pytest.approx(everything.mean(), rel=1e-3)
    table = markdown([found])
    assert "| empty, CAM_FRONT | " in table
    mean = np.mean([np.mean(errors) for errors in expected.values()])
    row = next(line for line in table.splitlines() if line.startswith("| empty, mean of cameras"))
    assert float(row.split("|")[3]) == pytest.approx(mean, abs=6e-4)


def test_the_best_constant_of_a_pixel_has_the_least_relative_error(dataset, monkeypatch):
    """Against a search through all depths that occur in a pixel; what no point meets has its row's."""
    constant = ConstantDepth(dataset)
    found = {}
    for index in range(len(dataset)):
        for points in lidar_pixels(dataset[index], dataset.key_frame(index)):
            for row, column, depth in zip(points.rows, points.columns, points.depth_m.astype(np.float64)):
                if 0.1 <= depth <= 80:
                    found.setdefault((points.camera, row, column), []).append(depth)
                    found.setdefault((points.camera, row), []).append(depth)
    assert found
    for key, depths in found.items():
        z = np.array(depths)
        least = min((np.abs(c - z) / z).sum() for c in z)
        if len(key) == 3:
            c = constant.depth_m[key[0]][key[1:]]
        else:
            free = [u for u in range(32) if (*key, u) not in found]
            if not free:
                continue
            c = constant.depth_m[key[0]][key[1], free[0]]
            assert (constant.depth_m[key[0]][key[1], free] == c).all()
        assert (np.abs(c - z) / z).sum() == pytest.approx(least, rel=1e-9)


def test_constant_depth_is_scored_beside_labels(tiny_tree, dataset):
    data = DataArgs(str(tiny_tree), "v1.0-tiny", depth_dir=None, semantics_dir=None, views=1)
    found = score_baseline("ground", data, "train", rays=False, depth=True)
    assert found.depth.pixels > 0
    assert set(found.depth_of_cameras) == set(dataset[0].camera_names)


def test_a_camera_without_points_has_the_constant_of_all(dataset):
    constant = ConstantDepth(dataset)
    frames, frame = dataset[0], dataset.key_frame(0)
    every = np.concatenate(
        [p.depth_m for i in range(len(dataset)) for p in lidar_pixels(dataset[i], dataset.key_frame(i))]
    ).astype(np.float64)
    every = every[(every >= 0.1) & (every <= 80)]
    best = every[np.argmin([(np.abs(c - every) / every).sum() for c in every])]
    constant.depth_m.clear()
    errors = {}
    constant.add(errors, frames, frame)
    for points in lidar_pixels(frames, frame):
        z = points.depth_m.astype(np.float64)
        if len(z):
            assert errors[points.camera].scores().abs_rel == pytest.approx(np.mean(np.abs(best - z) / z), rel=1e-6)
