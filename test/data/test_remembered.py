# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Voxels that are hidden now and were seen before, against a statement of one voxel at a time."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from gsocc_core import OCC3D_NUSCENES, VoxelGrid
from gsocc_core.data.build import build_dataset
from gsocc_core.data.remembered import remembered_voxels
from gsocc_core.data.voxel_labels import VoxelLabels
from gsocc_core.errors import ConfigError
from gsocc_core.evaluation.score import scoring_data

CAR, ROAD, FREE, IGNORED = 4, 11, 17, 255


def pose(x, y, yaw):
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler("zyx", [yaw, 0.02, -0.01]).as_matrix()
    T[:3, 3] = 5e5 + x, 4e6 + y, 12.0  # map coordinates
    return T


def labels(rng, shape, seen):
    ids = rng.choice(np.array([CAR, ROAD, FREE, IGNORED], np.uint8), shape, p=[0.3, 0.3, 0.3, 0.1])
    mask = rng.random(shape) < seen
    return VoxelLabels(ids, mask, mask)


def one_by_one(grid, present, T_world_ego, earlier):
    """The definition, in words of one voxel."""
    result = np.zeros(grid.shape, bool)
    for voxel in np.ndindex(grid.shape):
        if present.mask_camera[voxel] or present.semantics[voxel] in (CAR, IGNORED):
            continue
        in_grid = [lo + (i + 0.5) * s for lo, i, s in zip(grid.lower, voxel, grid.size_m)]
        world = T_world_ego @ grid.T_ego_grid_matrix @ [*in_grid, 1.0]
        for then, T_world_then in earlier:
            place = np.linalg.solve(T_world_then @ grid.T_ego_grid_matrix, world)[:3]
            index = tuple(math.floor((p - lo) / s) for p, lo, s in zip(place, grid.lower, grid.size_m))
            inside = all(0 <= i < n for i, n in zip(index, grid.shape))
            if inside and then.mask_camera[index] and then.semantics[index] != IGNORED:
                result[voxel] = then.semantics[index] != CAR
                break
    return result


TURNED = ((0.0, -1.0, 0.0, 0.3), (1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.5), (0.0, 0.0, 0.0, 1.0))


@pytest.mark.parametrize("T_ego_grid", [None, TURNED])
def test_every_voxel_that_was_seen_and_stands_still(T_ego_grid):
    rng = np.random.default_rng(0)
    grid = VoxelGrid((-4.0, -4.0, -1.0), (4.0, 4.0, 1.0), (0.8, 0.8, 0.5), T_ego_grid)
    present = labels(rng, grid.shape, 0.5)
    earlier = [(labels(rng, grid.shape, 0.3), pose(-1.1 * k, 0.2 * k, 0.1 * k)) for k in (1, 2, 3)]
    found = remembered_voxels(grid, OCC3D_NUSCENES, present, pose(0.0, 0.0, 0.0), earlier)
    expected = one_by_one(grid, present, pose(0.0, 0.0, 0.0), earlier)
    np.testing.assert_array_equal(found, expected)
    assert 20 < found.sum() < 0.5 * found.size
    assert (found & ~remembered_voxels(grid, OCC3D_NUSCENES, present, pose(0, 0, 0), earlier[:1])).any()
    assert not remembered_voxels(grid, OCC3D_NUSCENES, present, pose(0, 0, 0), []).any()


def test_a_data_set_marks_them_by_its_poses(tiny_tree):
    args = replace(scoring_data(str(tiny_tree), "v1.0-tiny"), remembered=1)
    dataset = build_dataset(args, (16, 28))
    masks = [dataset[i].targets.mask_remembered[0].numpy() for i in range(3)]
    assert not masks[0].any(), "nothing was before the drive's beginning"
    frames, found = [dataset.key_frame(i) for i in range(3)], [dataset.voxel_labels(i) for i in range(3)]
    expected = remembered_voxels(
        VoxelGrid.occ3d(), OCC3D_NUSCENES, found[1], frames[1].T_world_ego, [(found[0], frames[0].T_world_ego)]
    )
    np.testing.assert_array_equal(masks[1], expected)
    assert 0.15 < masks[1].mean() < 0.25, "0.7 of all are hidden, and 0.3 of these were seen"
    assert build_dataset(replace(args, remembered=0), (16, 28))[1].targets.mask_remembered is None
    assert dataset[2].targets.mask_remembered.sum() < build_dataset(
        replace(args, remembered=2), (16, 28)
    )[2].targets.mask_remembered.sum()  # fmt: skip
    with pytest.raises(ConfigError, match="remembered"):
        build_dataset(replace(args, remembered=-1), (16, 28))
