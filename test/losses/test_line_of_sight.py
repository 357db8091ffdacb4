# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Depth labels as statements about voxels, in worlds whose voxels are known."""

import pytest
import torch

from gsocc_core import Cameras, VoxelGrid
from gsocc_core.errors import ConfigError
from gsocc_core.geometry.grid_points import box_in_ego
from gsocc_core.losses.line_of_sight import line_of_sight, surface_classes

GRID = VoxelGrid((0.0, -8.0, -1.2), (24.0, 8.0, 2.0), 0.4)
#: Looks along x, 1.5 m over the ground at z = 0, and once from the left.
T_FORWARD = torch.tensor([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]])


def views(batch=1, height=32, width=88):
    T = T_FORWARD.expand(batch, 2, 4, 4).clone()
    T[:, 1, 1, 3] = 2.0
    K = torch.tensor([[70.0, 0, width / 2], [0, 70.0, height / 2], [0, 0, 1]])
    return Cameras(K.expand(batch, 2, 3, 3), T, width=width, height=height)


def depth_of_world(cameras, wall_m):
    """Flat ground at z = -0.2 in the middle of a layer of voxels, and a wall across the road."""
    origins, directions = cameras.rays()
    ground = torch.where(directions[..., 2] < 0, (-0.2 - origins[..., 2]) / directions[..., 2], torch.inf)
    depth = torch.minimum(ground, torch.as_tensor(wall_m).view(-1, 1, 1, 1).expand(ground.shape))
    return torch.where(depth < 40, depth, 0.0)


def test_a_road_and_a_wall_are_solid_and_the_air_is_free():
    cameras = views(batch=2)
    torch.manual_seed(0)
    walls = (20.2, 14.2)
    occupied, seen = line_of_sight(GRID, cameras, depth_of_world(cameras, walls), density=4, samples=40)
    x, y, z = GRID.centers.unbind(-1)
    for b, wall in enumerate(walls):
        truth = ((z + 0.2).abs() < 0.1) & (x < wall) | ((x - wall).abs() < 0.21)
        # No voxel is called occupied that is not, but for those cut by a surface's edge; nor free that is occupied.
        assert (occupied[b] & ~truth).sum() <= 0.02 * occupied[b].sum()
        free = seen[b] & ~occupied[b]
        assert (free & truth).sum() <= 0.01 * truth.sum()
        assert not (seen[b] & (x > wall + 0.3)).any()
        # The road between the rays' stripes is found.
        road = ((z + 0.2).abs() < 0.1) & (y.abs() < 1.5) & (x > 8) & (x < wall - 2.5)
        assert occupied[b][road].float().mean() > 0.85
        above = (z > 0.5) & (z < 1.2) & (y.abs() < 1.0) & (x > 4) & (x < wall - 1)
        assert free[above].float().mean() > 0.9


def test_an_edge_in_depth_is_no_surface():
    """A post before a far wall: nothing connects them."""
    cameras = views()
    depth = torch.full((1, 2, 32, 88), 18.2)
    depth[..., 40:48] = 6.2
    occupied, _ = line_of_sight(GRID, cameras, depth)
    x = GRID.centers[..., 0]
    between = (x > 7) & (x < 17)
    assert not (occupied[0] & between).any()
    assert occupied.any()


def test_a_grid_that_stands_askew_marks_the_same_places():
    T_ego_grid = ((0.0, 1.0, 0.0, 2.0), (-1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.25), (0.0, 0.0, 0.0, 1.0))
    turned = VoxelGrid((-8.0, -2.0, -1.25), (8.0, 14.0, 1.95), 0.4, T_ego_grid)
    straight = VoxelGrid(*box_in_ego(turned), 0.4)
    depth = torch.full((1, 2, 32, 88), 9.1)
    marked = []
    for grid in (turned, straight):
        torch.manual_seed(0)
        marked.append(line_of_sight(grid, views(), depth))
    for a, b in zip(*marked):
        assert b.any()
        assert (a.transpose(1, 2).flip(2) != b).sum() <= 0.01 * b.sum(), "but for points on borders of voxels"


def test_without_labels_nothing_is_known():
    occupied, seen = line_of_sight(GRID, views(), torch.zeros(1, 2, 32, 88))
    assert not occupied.any()
    assert not seen.any()


def test_other_projections_are_a_clear_error():
    cameras = views()
    fisheye = Cameras(cameras.intrinsics, cameras.T_ego_cam, 88, 32, model="fisheye")
    with pytest.raises(ConfigError, match="pinhole"):
        line_of_sight(GRID, fisheye, torch.ones(1, 2, 32, 88))


def test_classes_of_voxels_are_those_of_most_of_their_pixels():
    cameras = views(batch=2, height=8, width=12)
    g = torch.Generator().manual_seed(0)
    depth = depth_of_world(cameras, (20.2, 14.2)) * (torch.rand(2, 2, 8, 12, generator=g) < 0.9)
    ids = torch.randint(2, 6, depth.shape, generator=g).to(torch.uint8)
    ids[torch.rand(depth.shape, generator=g) < 0.1] = 255
    found = surface_classes(GRID, cameras, depth, ids, 255)
    expected = torch.full((2, *GRID.shape), 255, dtype=torch.uint8)
    for b in range(2):
        votes = {}
        for v in range(2):
            T, K = cameras.T_ego_cam[b, v], cameras.intrinsics[b, v]
            for row in range(8):
                for column in range(12):
                    d, label = float(depth[b, v, row, column]), int(ids[b, v, row, column])
                    if d == 0 or label == 255:
                        continue
                    local = torch.linalg.solve(K, torch.tensor([column + 0.5, row + 0.5, 1.0])) * d
                    index, inside = GRID.index(T[:3, :3] @ local + T[:3, 3])
                    if inside:
                        votes.setdefault(tuple(index.tolist()), []).append(label)
        for voxel, labels in votes.items():
            expected[(b, *voxel)] = max(sorted(set(labels)), key=labels.count)
    torch.testing.assert_close(found, expected)
    assert 30 < int((found != 255).sum()) < 300
    assert (surface_classes(GRID, cameras, depth * 0, ids, 255) == 255).all()
