# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Depth labels as statements about voxels, against a walk along every ray in small steps."""

import torch

from gsocc_core import Cameras, VoxelGrid
from gsocc_core.losses.line_of_sight import line_of_sight

GRID = VoxelGrid((-4.0, -4.0, 0.0), (4.0, 4.0, 8.0), 1.0)


def views():
    T = torch.eye(4).expand(2, 2, 4, 4).clone()
    T[:, 1, 0, 3] = 1.3  # the second camera stands to the right
    return Cameras(torch.tensor([[6.0, 0, 6], [0, 6.0, 4], [0, 0, 1]]).expand(2, 2, 3, 3), T, width=12, height=8)


def test_against_a_walk_along_each_ray():
    torch.manual_seed(0)
    cameras = views()
    depth = torch.rand(2, 2, 8, 12) * 6 + 1
    depth[torch.rand(depth.shape) < 0.4] = 0.0
    occupied, seen = line_of_sight(GRID, cameras, depth, samples=400, margin_m=0.5)
    origins, directions = cameras.rays()
    surface, passed = set(), set()
    for b, v, y, x in (depth > 0).nonzero().tolist():
        d = depth[b, v, y, x].item()
        for along in [*torch.linspace(0, d - 0.5, 1500).tolist(), d]:
            cell = torch.floor((origins[b, v, y, x] + directions[b, v, y, x] * along) - torch.tensor(GRID.lower))
            if ((cell >= 0) & (cell < 8)).all():
                (surface if along == d else passed).add((b, *cell.int().tolist()))
    assert {tuple(i) for i in occupied.nonzero().tolist()} == surface
    walked, found = surface | passed, {tuple(i) for i in seen.nonzero().tolist()}
    assert found <= walked
    assert len(walked - found) < 0.02 * len(walked)  # a corner that both step sizes may miss


def test_without_labels_nothing_is_known():
    occupied, seen = line_of_sight(GRID, views(), torch.zeros(2, 2, 8, 12))
    assert not occupied.any()
    assert not seen.any()
