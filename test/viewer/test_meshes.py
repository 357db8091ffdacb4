# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Meshes of voxels: every visible face once, no other, and all looking outwards."""

import numpy as np
import pytest
import torch

from gsocc_core import OCC3D_NUSCENES, SemanticGrid, VoxelGrid
from gsocc_core.viewer.meshes import voxel_meshes

GRID = VoxelGrid((-2.0, 1.0, -1.0), (4.0, 6.0, 3.0), (1.0, 0.5, 2.0))  # 6 x 10 x 2, no cubes


def semantics(labels, grid=GRID):
    return SemanticGrid(torch.from_numpy(labels), grid, OCC3D_NUSCENES)


def random_labels(seed):
    rng = np.random.default_rng(seed)
    return rng.choice(np.array([4, 11, 17, 17, 255], np.uint8), GRID.shape)


def exposed_area(labels, label):
    """Square metres of faces between a class and anything else, by looking at every pair of neighbours."""
    inside = np.pad(labels == label, 1)
    x, y, z = GRID.size_m
    total = 0.0
    for axis, area in ((0, y * z), (1, x * z), (2, x * y)):
        total += area * np.count_nonzero(np.diff(inside.astype(np.int8), axis=axis))
    return total


def corners(mesh):
    return mesh.vertices_m[mesh.faces.astype(int)].astype(np.float64)


@pytest.mark.parametrize("seed", range(5))
def test_area_and_volume_are_those_of_the_voxels(seed):
    labels = random_labels(seed)
    meshes = voxel_meshes(semantics(labels))
    assert set(meshes) == {4, 11}
    for label, mesh in meshes.items():
        a, b, c = corners(mesh).transpose(1, 0, 2)
        normals = np.cross(b - a, c - a)
        assert np.linalg.norm(normals, axis=1).sum() / 2 == pytest.approx(exposed_area(labels, label))
        # The divergence theorem: a closed surface that looks outwards encloses exactly the voxels.
        volume = np.einsum("fi,fi->", a, normals) / 6
        assert volume == pytest.approx(np.count_nonzero(labels == label) * np.prod(GRID.size_m))
        assert mesh.voxels == np.count_nonzero(labels == label)


def test_a_flat_road_is_six_rectangles():
    labels = np.full(GRID.shape, 17, np.uint8)
    labels[:, :, 0] = 11
    mesh = voxel_meshes(semantics(labels))[11]
    assert len(mesh.faces) == 12
    assert mesh.vertices_m.min(0).tolist() == [-2, 1, -1]
    assert mesh.vertices_m.max(0).tolist() == [4, 6, 1]


def test_hiding_a_class_leaves_no_hole_in_its_neighbour():
    labels = np.full(GRID.shape, 17, np.uint8)
    labels[:, :, 0] = 11
    alone = voxel_meshes(semantics(labels))[11]
    labels[2:4, 3:6, 1] = 4
    under_a_car = voxel_meshes(semantics(labels))[11]
    np.testing.assert_array_equal(alone.vertices_m, under_a_car.vertices_m)


def test_a_turned_grid_turns_its_mesh():
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]], [10, 20, 30]
    turned = VoxelGrid(GRID.lower, GRID.upper, GRID.size_m, tuple(map(tuple, T)))
    labels = random_labels(9)
    straight, crooked = voxel_meshes(semantics(labels)), voxel_meshes(semantics(labels, turned))
    for label, mesh in straight.items():
        np.testing.assert_allclose(
            crooked[label].vertices_m, mesh.vertices_m @ T[:3, :3].T + T[:3, 3], atol=1e-5
        )  # fmt: skip
        np.testing.assert_array_equal(crooked[label].faces, mesh.faces)


def test_nothing_gives_no_mesh_and_more_faces_than_guessed_are_kept():
    assert voxel_meshes(semantics(np.full(GRID.shape, 17, np.uint8))) == {}
    box = VoxelGrid((0.0, 0.0, 0.0), (24.0, 24.0, 24.0), 1.0)
    checkers = np.where(np.indices(box.shape).sum(0) % 2 == 0, 4, 17).astype(np.uint8)
    assert len(voxel_meshes(semantics(checkers, box))[4].faces) == 24**3 // 2 * 12
