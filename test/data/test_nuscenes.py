# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The loader on a hand-made tree, so that nothing relies on the synthetic generator."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from gsocc_core.data.nuscenes import DataArgs, NuScenesOccupancy, collate
from gsocc_core.data.nuscenes_index import open_nuscenes
from gsocc_core.errors import ConfigError, DataError

ARGS = {"version": "v1.0-tiny", "view_size": (8, 22), "views": 2, "view_offsets": (-1, 1)}


@pytest.fixture
def dataset(tiny_tree):
    return NuScenesOccupancy(DataArgs(str(tiny_tree), **ARGS), (32, 64))


def test_shapes_names_and_stamps(dataset):
    frames = dataset[1]
    assert len(dataset) == 6
    assert frames.images.shape == (1, 1, 6, 3, 32, 64)
    assert frames.images.dtype == torch.uint8
    assert frames.targets.labels.shape == (1, 200, 200, 16)
    assert frames.targets.view_semantics.shape == (1, 2, 6, 8, 22)
    assert frames.scene_names == ("scene-a",)
    assert frames.reference_stamp_ns.item() == 1_500_000_000_500_000_000
    offset = frames.reference_stamp_ns.item() - frames.camera_stamps_ns[0, 0, 0].item()
    assert offset == 50_000_000, "CAM_FRONT_LEFT fires 50 ms before the LiDAR stamp"


def test_a_point_projects_as_through_the_tables(dataset, tiny_tree):
    """Compose the poses independently, with the devkit's own quaternions."""
    from pyquaternion import Quaternion

    nusc = open_nuscenes(tiny_tree, "v1.0-tiny")
    frames = dataset[1]
    sample = nusc.get("sample", frames.sample_tokens[0])

    def pose(record):
        T = np.eye(4)
        T[:3, :3] = Quaternion(record["rotation"]).rotation_matrix
        T[:3, 3] = record["translation"]
        return T

    lidar = nusc.get("sample_data", sample["data"]["LIDAR_TOP"])
    T_world_ref = pose(nusc.get("ego_pose", lidar["ego_pose_token"]))
    points = np.random.default_rng(0).uniform(-20, 20, (200, 3))
    uv, depth, _ = frames.cameras.map(lambda t: t[:, 0]).project(torch.tensor(points, dtype=torch.float32)[None])
    for v, channel in enumerate(frames.camera_names):
        data = nusc.get("sample_data", sample["data"][channel])
        sensor = nusc.get("calibrated_sensor", data["calibrated_sensor_token"])
        T = np.linalg.inv(pose(nusc.get("ego_pose", data["ego_pose_token"])) @ pose(sensor)) @ T_world_ref
        in_camera = points @ T[:3, :3].T + T[:3, 3]
        ahead = in_camera[:, 2] > 1
        pixels = in_camera @ np.array(sensor["camera_intrinsic"]).T
        pixels = pixels[:, :2] / pixels[:, 2:]
        scale = max(64 / 80, 32 / 45)  # cover
        fitted = pixels * scale - [(80 * scale - 64) / 2, 45 * scale - 32]
        assert depth[0, v].numpy() == pytest.approx(in_camera[:, 2], abs=1e-3)
        assert uv[0, v].numpy()[ahead] == pytest.approx(fitted[ahead], abs=2e-2)


def test_view_labels_are_those_of_the_file(dataset, tiny_tree):
    frames = dataset[0]
    stored = np.load(tiny_tree / "metric_3d_nusc" / "scene-a" / "scene-a-0.npy")
    semantic = np.load(tiny_tree / "grounded_sam_nusc" / "scene-a" / "scene-a-0.npy")
    scale, height = 22 / 80, 45 * 22 / 80
    row, column = int((3.5 + height - 8) / scale), int(10.5 / scale)
    got = frames.targets.view_depth_m[0, 0, :, 3, 10].numpy()
    expected = stored[:, row, column].astype(np.float32)  # both orders begin FRONT_LEFT, FRONT, FRONT_RIGHT, ...
    assert got == pytest.approx(np.where(expected > 40, 0, expected))
    order = ["CAM_FRONT", "CAM_FRONT_LEFT", "CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT", "CAM_FRONT_RIGHT"]
    ids = semantic[[order.index(name) for name in frames.camera_names], row, column]
    expected_ids = np.where((ids > 0) & (expected <= 40), ids, 255)
    assert frames.targets.view_semantics[0, 0, :, 3, 10].tolist() == expected_ids.tolist()


def test_neighbouring_views_are_drawn_by_the_seed_and_missing_ones_are_invalid(dataset):
    first = dataset[1, 5].targets
    assert torch.equal(first.view_time_s, dataset[1, 5].targets.view_time_s)
    assert {round(dataset[1, s].targets.view_time_s[0, 1].item(), 1) for s in range(10)} == {-0.5, 0.5}
    args = replace(dataset.args, views=3)
    at_start = NuScenesOccupancy(args, (32, 64))[0].targets
    assert at_start.view_valid[0, :, 0].tolist() == [True, True, False]


def test_collate_joins_along_the_batch(dataset):
    batch = collate([dataset[0], dataset[4]])
    assert batch.images.shape[0] == 2
    assert batch.scene_names == ("scene-a", "scene-b")
    assert torch.equal(batch.targets.view_cameras.intrinsics[1], dataset[4].targets.view_cameras.intrinsics[0])
    assert torch.equal(batch.cameras.T_ref_ego[1:], dataset[4].cameras.T_ref_ego)


def test_splits_and_scenes(tiny_tree):
    args = DataArgs(str(tiny_tree), **ARGS)
    assert len(NuScenesOccupancy(replace(args, split="val"), (32, 64))) == 3
    assert len(NuScenesOccupancy(replace(args, scenes=("scene-a",)), (32, 64))) == 3


def test_a_test_split_has_pictures_and_no_targets(tiny_test_tree):
    args = DataArgs(str(tiny_test_tree), version="v1.0-tinytest", occ3d_dir=None, depth_dir=None, semantics_dir=None)
    frames = NuScenesOccupancy(args, (32, 64))[0]
    assert frames.targets is None
    assert frames.valid.all()


def test_bad_data_is_named(tiny_tree, tmp_path):
    args = DataArgs(str(tiny_tree), **ARGS)
    with pytest.raises(DataError, match=r"scene scene-x.*scene-a"):
        NuScenesOccupancy(replace(args, scenes=("scene-x",)), (32, 64))
    with pytest.raises(DataError, match="split nothing"):
        NuScenesOccupancy(replace(args, split="nothing"), (32, 64))
    with pytest.raises(DataError, match="v1.0-none"):
        NuScenesOccupancy(replace(args, version="v1.0-none"), (32, 64))
    with pytest.raises(DataError, match="no such folder"):
        NuScenesOccupancy(replace(args, dataroot=str(tmp_path / "nowhere")), (32, 64))
    with pytest.raises(DataError, match="no such folder"):
        NuScenesOccupancy(replace(args, depth_dir="no_depth"), (32, 64))
    with pytest.raises(ConfigError, match="views"):
        NuScenesOccupancy(replace(args, views=9), (32, 64))


def test_damaged_trees_are_named(tiny_tree, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(tiny_tree, root)
    args = DataArgs(str(root), **ARGS)
    dataset = NuScenesOccupancy(args, (32, 64))
    (root / "gts/scene-a/scene-a-0/labels.npz").write_bytes(b"PK not a zip")
    with pytest.raises(DataError, match="labels.npz"):
        dataset[0]
    np.save(root / "metric_3d_nusc/scene-a/scene-a-1.npy", np.zeros((2, 3)))
    with pytest.raises(DataError, match=r"scene-a-1.npy.*\(6, H, W\)"):
        dataset[1]
    picture = root / "samples/CAM_BACK/scene-b-0.jpg"
    picture.write_bytes(picture.read_bytes()[:100])
    with pytest.raises(DataError, match="scene-b-0.jpg"):
        dataset[3]
    picture.unlink()
    with pytest.raises(DataError, match="no such file"):
        NuScenesOccupancy(args, (32, 64))
    (root / "v1.0-tiny/ego_pose.json").unlink()
    with pytest.raises(DataError, match="ego_pose.json"):
        NuScenesOccupancy(args, (32, 64))
    assert json.loads((root / "v1.0-tiny/splits.json").read_text())["train"] == ["scene-a"]
