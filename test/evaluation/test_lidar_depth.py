# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Rendered depth at LiDAR points, camera by camera."""

import numpy as np
import pytest
import torch

from gsocc_core import Gaussians
from gsocc_core.data.nuscenes import DataArgs, NuScenesOccupancy
from gsocc_core.evaluation.label_sources import Answer
from gsocc_core.evaluation.report import markdown
from gsocc_core.evaluation.score import score

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
