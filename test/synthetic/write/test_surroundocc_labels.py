# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Synthetic SurroundOcc labels: they hold the key frame's own LiDAR points and what its pictures show."""

import numpy as np
import pytest
import torch

from gsocc_core.data.args import DataArgs
from gsocc_core.data.build import build_dataset
from gsocc_core.data.surroundocc import SURROUNDOCC_GRID, T_EGO_LIDAR
from gsocc_core.synthetic.synthesize import synthesize

SIZE = (90, 160)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """One drive of one key frame."""
    path = tmp_path_factory.mktemp("surroundocc") / "tree"
    synthesize(path, seed=3, image_scale=0.1, duration_s=0.3, sweeps=False, jobs=1, labels=False, layout="surroundocc")
    args = DataArgs(str(path), "v1.0-synthetic", dataset="surroundocc", views=1, view_size=SIZE)
    return build_dataset(args, SIZE)


def test_lidar_points_lie_in_occupied_voxels(data):
    frame, labels = data.key_frame(0), data[0].targets.labels[0]
    points = np.fromfile(frame.lidar_path, np.float32).reshape(-1, 5)[:, :3]
    index, inside = SURROUNDOCC_GRID.index(torch.from_numpy(points))
    found = labels[tuple(index[inside].T)]
    assert len(found) > 5000
    assert (found != 0).float().mean() > 0.98
    assert not np.allclose(frame.T_ego_lidar, np.eye(4))
    assert np.allclose(frame.T_ego_lidar, T_EGO_LIDAR)


def test_what_pictures_show_is_occupied_by_its_class(data):
    targets = data[0].targets
    origins, directions = targets.view_cameras.map(lambda t: t[0, 0]).rays()
    depth, classes = targets.view_depth_m[0, 0], targets.view_semantics[0, 0]
    used = (depth > 2) & (depth < 35) & (classes > 0) & (classes < 17)
    points = (origins + directions * depth[..., None])[used]
    T_grid_ego = torch.from_numpy(np.linalg.inv(data.protocol.grid.T_ego_grid_matrix)).float()
    index, inside = data.protocol.grid.index(points @ T_grid_ego[:3, :3].T + T_grid_ego[:3, 3])
    found, true = targets.labels[0][tuple(index[inside].T)], classes[used][inside]
    assert len(found) > 10_000
    assert (found != 0).float().mean() > 0.97
    assert (found == true)[(found > 0) & (found < 17)].float().mean() > 0.9
