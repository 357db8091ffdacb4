# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The loader on a hand-made tree, so that nothing relies on the synthetic generator."""

import json
import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from gsocc_core.data.nuscenes import DataArgs, NuScenesOccupancy, collate
from gsocc_core.data.nuscenes_index import SURROUND_CAMERAS, open_nuscenes
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
    assert frames.T_world_ego.dtype == torch.float64
    assert frames.T_world_ego[0, :3, 3].tolist() == pytest.approx([102.5, 50.0, 0.3]), "5 m/s for half a second"


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
    assert torch.equal(batch.T_world_ego[1:], dataset[4].T_world_ego)
    assert torch.equal(batch.cameras.T_ref_ego[1:], dataset[4].cameras.T_ref_ego)


def test_history_comes_along_with_its_poses(tiny_tree, dataset):
    args = replace(dataset.args, history=2)
    frames = NuScenesOccupancy(args, (32, 64))[1]
    assert frames.images.shape[:3] == (1, 3, 6)
    assert torch.equal(frames.images[:, :1], dataset[1].images)
    assert torch.equal(frames.images[:, 1:2], dataset[0].images)
    assert frames.pose_valid.tolist() == [[True, True, False]]
    assert frames.valid[0, :, 0].tolist() == [True, True, False]
    assert not frames.images[0, 2].any()
    assert frames.T_ref_ego[0, 1, :3, 3].numpy() == pytest.approx([-2.5 * 0.92, 2.5 * 0.39, 0], abs=0.02), "0.5 s"
    # Its cameras refer to the present ego frame: a world point projects the same from both samples.
    point = torch.tensor([[[12.0, 3.0, 0.0, 1.0]]])
    earlier = (point @ torch.linalg.inv(frames.T_ref_ego[:, 1]).transpose(-1, -2))[..., :3]
    now, _, _ = frames.cameras.map(lambda t: t[:, 1]).project(point[..., :3])
    then, _, _ = dataset[0].cameras.map(lambda t: t[:, 0]).project(earlier)
    assert now[0, 1, 0].numpy() == pytest.approx(then[0, 1, 0].numpy(), abs=1e-2)


def test_light_changes_with_the_seed_only(tiny_tree, dataset):
    lit = NuScenesOccupancy(replace(dataset.args, photometric=0.3), (32, 64))
    assert torch.equal(lit[0].images, dataset[0].images)
    assert torch.equal(lit[0, 1].images, lit[0, 1].images)
    assert not torch.equal(lit[0, 1].images, lit[0, 2].images)


def test_a_part_by_scene_shares_the_tables(dataset):
    part = dataset.of_scenes(["scene-b"])
    assert len(part) == 3
    assert len(dataset) == 6
    assert torch.equal(part[0].images, dataset[3].images)
    with pytest.raises(DataError, match="scene-c"):
        dataset.of_scenes(["scene-c"])


def test_a_loader_process_gets_light_records(dataset):
    """Spawned processes receive the data set pickled; on the real training set that is 28,130 key frames."""
    assert len(pickle.dumps(dataset)) / len(dataset) < 4000
    again = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(again[2].images, dataset[2].images)
    assert b"nuscenes.nuscenes" not in pickle.dumps(dataset)


def test_missing_and_impossible_view_labels(tiny_tree, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(tiny_tree, root)
    dataset = NuScenesOccupancy(DataArgs(str(root), **ARGS), (32, 64))
    depth = np.full((6, 45, 80), 5.0, np.float32)
    depth[:, :, :40] = np.nan
    depth[:, :, 40:50] = -1
    np.save(root / "metric_3d_nusc/scene-a/scene-a-0.npy", depth)
    got = dataset[0].targets.view_depth_m[0, 0]
    assert set(got.unique().tolist()) == {0.0, 5.0}
    np.save(root / "grounded_sam_nusc/scene-a/scene-a-0.npy", np.full((6, 45, 80), 18, np.int8))
    with pytest.raises(DataError, match=r"scene-a-0.npy.*below 17.*18"):
        dataset[0]
    (root / "metric_3d_nusc/cameras.json").write_text('["CAM_FRONT"]')
    np.save(root / "metric_3d_nusc/scene-a/scene-a-1.npy", depth[:1])
    with pytest.raises(DataError, match="CAM_FRONT_LEFT"):
        NuScenesOccupancy(replace(dataset.args, semantics_dir=None), (32, 64))[1]
    (root / "metric_3d_nusc/cameras.json").write_text("[")
    with pytest.raises(DataError, match="cameras.json"):
        NuScenesOccupancy(dataset.args, (32, 64))


def test_camera_order_on_disk_is_by_name(tiny_tree, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(tiny_tree, root)
    before = NuScenesOccupancy(DataArgs(str(root), **ARGS), (32, 64))[0].targets.view_depth_m
    order = list(SURROUND_CAMERAS)
    for path in (root / "metric_3d_nusc").rglob("*.npy"):
        np.save(path, np.load(path)[::-1])
    (root / "metric_3d_nusc/cameras.json").write_text(json.dumps(order[::-1]))
    after = NuScenesOccupancy(DataArgs(str(root), **ARGS), (32, 64))[0].targets.view_depth_m
    assert torch.equal(before, after)


def test_fewer_cameras_in_any_order(tiny_tree, dataset):
    names = ("CAM_BACK", "CAM_FRONT")
    few = NuScenesOccupancy(replace(dataset.args, cameras=names), (32, 64))[0]
    assert few.camera_names == names
    assert torch.equal(few.images[:, :, 0], dataset[0].images[:, :, SURROUND_CAMERAS.index("CAM_BACK")])
    picked = [SURROUND_CAMERAS.index(name) for name in names]
    assert torch.equal(few.targets.view_semantics, dataset[0].targets.view_semantics[:, :, picked])


def test_splits_and_scenes(tiny_tree):
    args = DataArgs(str(tiny_tree), **ARGS)
    assert len(NuScenesOccupancy(replace(args, split="val"), (32, 64))) == 3
    assert len(NuScenesOccupancy(replace(args, scenes=("scene-a",)), (32, 64))) == 3


def test_official_splits_work_without_a_file_of_our_own(tree_writer, tmp_path):
    root = tree_writer(tmp_path / "mini", ("scene-0061", "scene-0103"), frames=1, version="v1.0-mini", test=True)
    (root / "v1.0-mini/splits.json").unlink()
    args = DataArgs(str(root), "v1.0-mini", occ3d_dir=None, depth_dir=None, semantics_dir=None)
    for split, scene in (("mini_train", "scene-0061"), ("mini_val", "scene-0103"), ("val", "scene-0103")):
        dataset = NuScenesOccupancy(replace(args, split=split), (32, 64))
        assert [dataset[i].scene_names for i in range(len(dataset))] == [(scene,)]
    with pytest.raises(DataError, match="none of its scenes"):
        NuScenesOccupancy(replace(args, split="test"), (32, 64))
    with pytest.raises(DataError, match=r"split tain.*mini_train"):
        NuScenesOccupancy(replace(args, split="tain"), (32, 64))


def test_a_test_split_has_pictures_and_no_targets(tiny_test_tree):
    frames = NuScenesOccupancy(DataArgs(str(tiny_test_tree), version="v1.0-tinytest"), (32, 64))[0]
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
    for bad in ({"history": -1}, {"photometric": 2.0}, {"view_offsets": (0, 1)}):
        with pytest.raises(ConfigError, match=next(iter(bad))):
            NuScenesOccupancy(replace(args, **bad), (32, 64))
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
    Image.new("RGB", (60, 45)).save(picture)
    with pytest.raises(DataError, match=r"scene-b-0.jpg.*\(45, 80\)"):
        dataset[3]
    picture.unlink()
    with pytest.raises(DataError, match="no such file"):
        NuScenesOccupancy(args, (32, 64))
    picture.touch()
    for name, content in (("splits.json", "{"), ("splits.json", "[1]"), ("ego_pose.json", "[]"), ("scene.json", "{")):
        before = (root / "v1.0-tiny" / name).read_text()
        (root / "v1.0-tiny" / name).write_text(content)
        with pytest.raises(DataError, match=name if name != "scene.json" else "tables"):
            NuScenesOccupancy(replace(args, split="train"), (32, 64))
        (root / "v1.0-tiny" / name).write_text(before)
    (root / "v1.0-tiny/ego_pose.json").unlink()
    with pytest.raises(DataError, match="ego_pose.json"):
        NuScenesOccupancy(args, (32, 64))
    assert json.loads((root / "v1.0-tiny/splits.json").read_text())["train"] == ["scene-a"]


def test_depth_comes_beside_the_pictures_of_every_moment(tiny_tree):
    args = DataArgs(str(tiny_tree), **ARGS, history=1, input_depth_dir="metric_3d_nusc", depth_dir=None)
    dataset = NuScenesOccupancy(args, (32, 64))
    frames = dataset[1]
    assert frames.depth_m.shape == (1, 2, 6, 32, 64)
    assert frames.depth_m.dtype == torch.float32
    order = dataset.folders["metric_3d_nusc"].order
    scale = max(64 / 80, 32 / 45)
    top = 45 * scale - 32
    for moment, sample in enumerate(("scene-a-1", "scene-a-0")):
        stored = np.load(tiny_tree / "metric_3d_nusc" / "scene-a" / f"{sample}.npy")
        for v, name in enumerate(frames.camera_names):
            expected = stored[order.index(name), int((7.5 + top) / scale), int(20.5 / scale)]
            assert frames.depth_m[0, moment, v, 7, 20] == np.float32(expected)
    first = dataset[0]
    assert not first.depth_m[0, 1].any(), "before the scene's beginning nothing is known"
    assert collate([first, frames]).depth_m.shape == (2, 2, 6, 32, 64)
    assert NuScenesOccupancy(DataArgs(str(tiny_tree), **ARGS), (32, 64))[0].depth_m is None


@pytest.mark.parametrize(
    ("change", "told"),
    [(lambda a: a * 1000, "looks like millimetres"), (lambda a: -a, "0 or more"), (lambda a: a.astype(int), "depth")],
)
def test_input_depth_that_cannot_be_right_is_told_with_its_file(tiny_tree, tmp_path, change, told):
    stored = np.load(tiny_tree / "metric_3d_nusc" / "scene-a" / "scene-a-0.npy").astype(np.float32)
    (tmp_path / "metric_3d" / "scene-a").mkdir(parents=True)
    np.save(tmp_path / "metric_3d" / "scene-a" / "scene-a-0.npy", change(stored))
    args = DataArgs(str(tiny_tree), **ARGS, input_depth_dir=str(tmp_path / "metric_3d"))
    with pytest.raises(DataError, match=f"scene-a-0.npy: .*{told}"):
        NuScenesOccupancy(args, (32, 64))[0]
    with pytest.raises(DataError, match="absent: folder: expected a folder with labels per picture"):
        NuScenesOccupancy(replace(args, input_depth_dir="absent"), (32, 64))
