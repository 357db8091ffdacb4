# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""SurroundOcc labels on a hand-made nuScenes tree: voxels lie where the LiDAR's own calibration puts them."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from gsocc_core.data.args import DataArgs
from gsocc_core.data.build import build_dataset
from gsocc_core.data.nuscenes import NuScenesOccupancy
from gsocc_core.data.surroundocc import (
    SURROUNDOCC_GRID,
    SURROUNDOCC_NUSCENES,
    label_file,
    read_surroundocc,
    surroundocc_grid,
    write_surroundocc,
)
from gsocc_core.errors import DataError, ShapeError
from gsocc_core.geometry.rigid import transform_points

PLAIN = {"version": "v1.0-tiny", "depth_dir": None, "semantics_dir": None, "views": 1}
CAR = (130, 100, 8)


@pytest.fixture(scope="module")
def root(tiny_tree, tmp_path_factory):
    path = tmp_path_factory.mktemp("surroundocc") / "tree"
    shutil.copytree(tiny_tree, path)
    for cloud in (path / "samples" / "LIDAR_TOP").iterdir():
        labels = np.zeros(SURROUNDOCC_GRID.shape, np.uint8)
        labels[CAR], labels[0, 0, 0] = 4, 255
        write_surroundocc(label_file(path / "nuscenes_occ", cloud), labels)
    return path


@pytest.fixture(scope="module")
def data(root):
    return build_dataset(DataArgs(str(root), dataset="surroundocc", **PLAIN, history=1, boxes=True), (32, 64))


def test_files_are_sparse_and_come_back(root, tmp_path):
    cells = np.load(next((root / "nuscenes_occ" / "samples").iterdir()))
    assert sorted(map(tuple, cells.tolist())) == [(0, 0, 0, 0), (*CAR, 4)], "noise is written as class 0"
    labels = np.random.default_rng(0).choice([0, 0, 0, 4, 16, 255], SURROUNDOCC_GRID.shape).astype(np.uint8)
    write_surroundocc(tmp_path / "a.npy", labels)
    assert (read_surroundocc(tmp_path / "a.npy") == labels).all()
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]
    with pytest.raises(ShapeError, match="write_surroundocc"):
        write_surroundocc(tmp_path / "b.npy", labels[:2])


def test_labels_are_targets(data):
    targets = data[1].targets
    assert targets.labels.shape == (1, 200, 200, 16)
    assert targets.labels[0][CAR] == 4
    assert not targets.mask_camera[0, 0, 0, 0]
    assert int(targets.mask_camera.sum()) == targets.labels.numel() - 1
    assert data.protocol.classes is SURROUNDOCC_NUSCENES
    assert data.protocol.grid.T_ego_grid is not None


def test_a_voxel_projects_as_through_the_cars_own_calibration(root, data):
    """The same voxel by two ways: the loader's ego frame, and the tables' LiDAR calibration in the car's ego frame."""
    plain = NuScenesOccupancy(DataArgs(str(root), **PLAIN, occ3d_dir=None, history=1), (32, 64))
    center = SURROUNDOCC_GRID.centers[CAR]
    for index in (1, 4):
        own = surroundocc_grid(plain.key_frame(index).T_ego_lidar)
        pixels = []
        for frames, grid in ((data[index], data.protocol.grid), (plain[index], own)):
            T = torch.from_numpy(grid.T_ego_grid_matrix).float()
            pixels.append([
                frames.cameras.map(lambda t, moment=moment: t[0, moment]).project(transform_points(T, center[None]))
                for moment in (0, 1)
            ])  # fmt: skip
        for (uv, depth, valid), (true_uv, true_depth, true_valid) in zip(*pixels):
            assert valid.any()
            assert valid.equal(true_valid)
            assert torch.allclose(uv[valid], true_uv[valid], atol=2e-3)
            assert torch.allclose(depth[valid], true_depth[valid], atol=1e-3)
    assert plain.key_frame(1).T_ego_lidar[0, 3] != data.key_frame(1).T_ego_lidar[0, 3], "the two ego frames differ"
    assert np.allclose(plain.key_frame(1).T_world_lidar, data.key_frame(1).T_world_lidar)


def test_points_of_the_world_stay_where_they_are(data):
    """Two key frames agree about a place in the world, so streaming methods may move their memory along."""
    frames = data[2]
    T_world = frames.T_world_ego[0] @ frames.T_ref_ego[0, 1].double()
    assert torch.allclose(T_world, torch.from_numpy(data.key_frame(1).T_world_ego), atol=1e-4)


def test_missing_labels_are_named(root, tmp_path):
    args = DataArgs(str(root), dataset="surroundocc", **PLAIN)
    with pytest.raises(DataError, match="surroundocc_dir: expected a folder with labels"):
        build_dataset(replace(args, surroundocc_dir="nowhere"), (32, 64))
    (tmp_path / "samples").mkdir()
    with pytest.raises(DataError, match=r"\.pcd\.bin\.npy: file: expected SurroundOcc labels"):
        build_dataset(replace(args, surroundocc_dir=str(tmp_path)), (32, 64))[0]
    assert build_dataset(replace(args, surroundocc_dir=None), (32, 64))[0].targets is None
