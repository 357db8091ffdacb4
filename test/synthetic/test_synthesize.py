# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Whole trees: what the files say agrees with each other, bytes repeat, and failures leave nothing behind."""

import hashlib
import json
import operator

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial import cKDTree

from gsocc_core import OCC3D_NUSCENES, VoxelGrid
from gsocc_core.data.names import NO_NAME, NameTable, read_names
from gsocc_core.errors import ConfigError, OutputExistsError
from gsocc_core.geometry.rigid import rigid_from_quat
from gsocc_core.synthetic import synthesize as module
from gsocc_core.synthetic.render.camera import render_camera
from gsocc_core.synthetic.render.rays import cast_rays
from gsocc_core.synthetic.sensors.rig import CAMERA_NAMES, LIDAR_NAME, lidar_directions, make_rig
from gsocc_core.synthetic.sensors.schedule import make_schedule
from gsocc_core.synthetic.synthesize import synthesize
from gsocc_core.synthetic.world.detailed import DETAILED, name_id
from gsocc_core.synthetic.world.street import build_street
from gsocc_core.synthetic.write import write_drive as drive_module
from gsocc_core.synthetic.write.nuscenes_tree import token
from gsocc_core.synthetic.write.pseudo_labels import DEPTH_CAMERAS, DEPTH_FOLDER, SEMANTIC_CAMERAS, SEMANTIC_FOLDER
from gsocc_core.synthetic.write.write_drive import scene_name, scene_seed

SEED, DURATION_S, SCALE = 3, 0.7, 0.1
NAME = scene_name(SEED, 0)
GRID = VoxelGrid.occ3d()
SETTINGS = {"seed": SEED, "image_scale": SCALE, "duration_s": DURATION_S, "names": True}


@pytest.fixture(scope="module")
def street():
    return build_street(scene_seed(SEED, 0), DURATION_S)


@pytest.fixture(scope="module")
def out(tmp_path_factory, street):
    """Two key frames with the sweeps between them."""
    path = tmp_path_factory.mktemp("drives") / "tree"
    with pytest.MonkeyPatch.context() as patch:  # building a street takes seconds, and this one is there already
        patch.setattr(drive_module, "build_street", lambda *_: street)
        synthesize(path, scenes=1, jobs=1, **SETTINGS)
    return path


@pytest.fixture(scope="module")
def nusc(out):
    return pytest.importorskip("nuscenes").NuScenes("v1.0-synthetic", str(out), verbose=False)


def digest(root):
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def drive_time(nusc, stamp_us):
    """Seconds since the beginning of the drive, by laying the schedule beside the table."""
    seed = scene_seed(SEED, 0)
    schedule = make_schedule(np.random.default_rng([seed, 2]), DURATION_S, 0)
    first = nusc.get("sample", nusc.scene[0]["first_sample_token"])["timestamp"]
    return (stamp_us - first + schedule.key_stamps_us[0]) * 1e-6


def lidar_world(nusc, street, stamp_us):
    """What the LiDAR meets at a stamp, without noise: hit points in the world and the hits."""
    t_s = drive_time(nusc, stamp_us)
    rig = make_rig(np.random.default_rng([scene_seed(SEED, 0), 1]), SCALE)
    T = street.T_world_ego(t_s) @ rig.T_ego_lidar
    beams, _ = lidar_directions()
    directions = beams @ T[:3, :3].T
    origins = np.broadcast_to(T[:3, 3], directions.shape).copy()
    hits = cast_rays(street, t_s, origins, directions)
    valid = np.isfinite(hits.distance_m) & (hits.distance_m > 0) & (hits.distance_m < 100)
    points = origins[valid] + directions[valid] * hits.distance_m[valid, None]
    return t_s, points, hits.class_ids[valid], hits.instance_ids[valid]


def test_devkit_reads_every_file(nusc, out):
    assert len(nusc.sample) == 2
    lidar = pytest.importorskip("nuscenes.utils.data_classes").LidarPointCloud
    for reading in nusc.sample_data:
        path = out / reading["filename"]
        if reading["channel"] == LIDAR_NAME:
            points = lidar.from_file(str(path)).points
            assert 5_000 < points.shape[1] <= 32 * 1085
            assert np.isfinite(points).all()
            assert np.linalg.norm(points[:3], axis=0).max() < 101
            raw = np.fromfile(path, "<f4").reshape(-1, 5)
            assert set(np.unique(raw[:, 4])) <= set(range(32))
        else:
            with Image.open(path) as image:
                assert image.format == "JPEG"
                assert image.size == (reading["width"], reading["height"]) == (160, 90)
    assert {r["channel"] for r in nusc.sample_data} == {*CAMERA_NAMES, LIDAR_NAME}
    assert sum(not r["is_key_frame"] for r in nusc.sample_data) == 9 + 5 * 6
    listed = {r["filename"] for r in nusc.sample_data}
    assert listed == {str(p.relative_to(out)) for f in ("samples", "sweeps") for p in (out / f).rglob("*.*")}


def test_the_ego_drives_on_the_road_of_the_map(nusc):
    mask = nusc.map[0]["mask"]
    xy = np.array([pose["translation"] for pose in nusc.ego_pose])[:, :2]
    assert mask.is_on_mask(xy[:, 0], xy[:, 1]).all()
    share = (mask.mask() == 255).mean()
    assert 0.01 < share < 0.7


def test_boxes_stand_and_move_like_the_actors(nusc, street):
    actors = {token("instance", NAME, actor.instance_index): actor for actor in street.actors}
    stamps = [sample["timestamp"] for sample in nusc.sample]
    times = [drive_time(nusc, stamp) for stamp in stamps]
    compared = 0
    for row in nusc.sample_annotation:
        actor, sample = actors[row["instance_token"]], nusc.get("sample", row["sample_token"])
        t_s = drive_time(nusc, sample["timestamp"])
        ego = nusc.get("ego_pose", nusc.get("sample_data", sample["data"][LIDAR_NAME])["ego_pose_token"])
        T_global_box, T_global_ego = (rigid_from_quat(r["rotation"], r["translation"]) for r in (row, ego))
        expected = np.linalg.inv(street.T_world_ego(t_s)) @ actor.T_world_box(t_s)
        np.testing.assert_allclose(np.linalg.inv(T_global_ego) @ T_global_box, expected, atol=1e-6)
        assert row["category_name"] == actor.category
        velocity = nusc.box_velocity(row["token"])
        if not np.isnan(velocity).any():
            np.testing.assert_allclose(velocity, actor.velocity_world(sum(times) / 2), atol=0.15)
            compared += 1
    assert compared > 5


def test_lidar_files_hold_the_distances_of_the_scene(nusc, street, out):
    sample = nusc.sample[0]
    reading = nusc.get("sample_data", sample["data"][LIDAR_NAME])
    points = np.fromfile(out / reading["filename"], "<f4").reshape(-1, 5)[:, :3]
    calibration = nusc.get("calibrated_sensor", reading["calibrated_sensor_token"])
    t_s, world, _, _ = lidar_world(nusc, street, reading["timestamp"])
    T = street.T_world_ego(t_s) @ rigid_from_quat(calibration["rotation"], calibration["translation"])
    assert len(points) == len(world)
    error = np.linalg.norm(points @ T[:3, :3].T + T[:3, 3] - world, axis=1)
    assert error.max() < 0.012
    assert 0.0005 < error.mean() < 0.003


def test_lidar_and_camera_depth_agree_within_a_centimetre(nusc, street):
    t_s, world, classes, instances = lidar_world(nusc, street, nusc.sample[0]["timestamp"])
    compared = 0
    for camera in make_rig(np.random.default_rng([scene_seed(SEED, 0), 1]), 0.25).cameras:
        T_world_cam = street.T_world_ego(t_s) @ camera.T_ego_cam
        view = render_camera(street, t_s, camera.intrinsics, T_world_cam, camera.width, camera.height)
        T = np.linalg.inv(T_world_cam)
        points = world @ T[:3, :3].T + T[:3, 3]
        ahead = points[:, 2] > 0.5
        uv = points @ camera.intrinsics.T
        uv = np.where(ahead[:, None], uv[:, :2] / np.maximum(points[:, 2:], 0.5), -10) - 0.5
        corner = np.floor(uv).astype(int)
        use = (corner >= 1).all(1) & (corner < np.array([camera.width, camera.height]) - 3).all(1)
        u, v = corner[use].T
        # Away from silhouettes and edges the sixteen pixels around the point lie on one plane of one thing, on which
        # the inverse depth is linear in the picture.
        offsets = np.arange(-1, 3)
        rows, columns = v[:, None, None] + offsets[:, None], u[:, None, None] + offsets
        inverse = 1.0 / np.where(view.depth_m > 0, view.depth_m, 1e9).astype(np.float64)[rows, columns]
        bend = np.maximum(np.abs(np.diff(inverse, 2, 1)).max((1, 2)), np.abs(np.diff(inverse, 2, 2)).max((1, 2)))
        same = (view.instance_ids[rows, columns] == instances[use, None, None]).all((1, 2))
        z = points[use, 2]
        # Bent by less than 2 mm; what hides behind a nearer thing by parallax (the LiDAR sits higher) is not compared.
        plain = same & (bend * z * z < 0.002) & (view.class_ids[rows, columns] == classes[use, None, None]).all((1, 2))
        fu, fv = (uv[use] - corner[use]).T
        near = inverse[:, 1:3, 1:3]
        mixed = (1 - fv) * ((1 - fu) * near[:, 0, 0] + fu * near[:, 0, 1])
        mixed += fv * ((1 - fu) * near[:, 1, 0] + fu * near[:, 1, 1])
        error = np.abs(1.0 / mixed - z)[plain & (np.abs(1.0 / mixed - z) < 0.5)]
        hidden = (1.0 / mixed - z)[plain] < -0.5
        compared += len(error)
        assert (error < 0.01).mean() > 0.999, camera.name
        assert hidden.mean() < 0.1
    assert compared > 3000


def test_points_in_a_box_carry_its_class(nusc, street):
    t_s, world, classes, instances = lidar_world(nusc, street, nusc.sample[0]["timestamp"])
    boxes = {
        row["instance_token"]: row for row in nusc.sample_annotation if row["sample_token"] == nusc.sample[0]["token"]
    }
    checked, foreign, static = 0, 0, 0
    for actor in street.actors:
        T = np.linalg.inv(actor.T_world_box(t_s))
        local = world @ T[:3, :3].T + T[:3, 3]
        width, length, height = actor.size_wlh_m
        half = np.array([length, width, height]) / 2
        # The lowest decimetre belongs to the ground, which slopes and bends under long boxes.
        inside = (np.abs(local) < half + 1e-3).all(1) & (local[:, 2] > 0.15 - half[2])
        # Boxes may touch, as those of a crane and of the barrier under its arm.
        mine = instances[inside] == actor.instance_index
        static += int((instances[inside] < 0).sum())
        assert (classes[inside][mine] == actor.class_id).all(), actor.category
        foreign += int((~mine).sum())
        assert (np.abs(local[instances == actor.instance_index]) < half + 1e-3).all()
        checked += inside.sum()
        row = boxes.get(token("instance", NAME, actor.instance_index))
        returned = int((instances == actor.instance_index).sum())
        assert (row["num_lidar_pts"] if row else 0) == returned
    assert checked > 50
    assert foreign <= 0.02 * checked
    assert static <= 0.005 * checked  # a leaf or a post that reaches into a box


def labels_of(out, nusc, index):
    with np.load(out / "gts" / NAME / nusc.sample[index]["token"] / "labels.npz") as content:
        return content["semantics"], content["mask_lidar"], content["mask_camera"]


def test_labels_hold_the_surfaces_that_sensors_see(nusc, out, street):
    for index, sample in enumerate(nusc.sample):
        semantics, mask_lidar, mask_camera = labels_of(out, nusc, index)
        assert semantics.shape == GRID.shape
        assert semantics.dtype == mask_lidar.dtype == mask_camera.dtype == np.uint8
        assert semantics.max() == OCC3D_NUSCENES.free_id
        assert len(np.unique(semantics)) > 6
        t_s, world, classes, instances = lidar_world(nusc, street, sample["timestamp"])
        T = np.linalg.inv(street.T_world_ego(t_s))
        cells, inside = GRID.index(torch.from_numpy(world @ T[:3, :3].T + T[:3, 3]))
        cells, inside = cells.numpy(), inside.numpy()
        assert mask_lidar[tuple(cells[inside].T)].all()
        static = inside & (instances < 0)
        points = (world @ T[:3, :3].T + T[:3, 3])[static]
        occupied = GRID.centers.numpy()[semantics != 17]
        distance, nearest = cKDTree(occupied).query(points)
        assert distance.max() <= 0.4 * np.sqrt(3) / 2 + 1e-6
        assert (semantics[tuple(cells[inside].T)] != 17).mean() > 0.97
        agree = (semantics[semantics != 17][nearest] == classes[static]).mean()
        assert agree > 0.85
        print(f"key frame {index}: class agreement {agree:.3f}")


def test_rays_of_the_cameras_end_in_occupied_voxels(nusc, out, street):
    rates, observed, same_name, same_zebra = [], [], [], []
    for index, sample in enumerate(nusc.sample):
        semantics, _, mask_camera = labels_of(out, nusc, index)
        names = read_names(out / "names", NAME, sample["token"]).voxels
        T_ego_world = np.linalg.inv(street.T_world_ego(drive_time(nusc, sample["timestamp"])))
        for name in CAMERA_NAMES:
            reading = nusc.get("sample_data", sample["data"][name])
            camera = make_rig(np.random.default_rng([scene_seed(SEED, 0), 1]), SCALE).camera(name)
            t_s = drive_time(nusc, reading["timestamp"])
            T_world_cam = street.T_world_ego(t_s) @ camera.T_ego_cam
            view = render_camera(street, t_s, camera.intrinsics, T_world_cam, camera.width, camera.height)
            v, u = (view.depth_m > 0).nonzero()
            pixels = np.stack([u + 0.5, v + 0.5, np.ones(len(u))], -1) @ np.linalg.inv(camera.intrinsics).T
            T = T_ego_world @ T_world_cam
            cells, inside = GRID.index(torch.from_numpy(pixels * view.depth_m[v, u, None] @ T[:3, :3].T + T[:3, 3]))
            ends = tuple(cells[inside].numpy().T)
            rates.append((semantics[ends] != 17).mean())
            observed.append(mask_camera[ends].mean())
            seen = view.name_ids[v, u][inside.numpy()]
            agree = names[ends] == seen
            same_name.append(agree.mean())
            same_zebra += agree[seen == name_id("zebra crossing")].tolist()
    print(f"rays that end in an occupied voxel: {np.mean(rates):.4f}, in an observed one: {np.mean(observed):.4f}")
    assert np.mean(rates) > 0.97
    assert np.mean(observed) > 0.999
    print(f"names that agree: {np.mean(same_name):.3f}, of {len(same_zebra)} on a crossing: {np.mean(same_zebra):.3f}")
    assert np.mean(same_name) > 0.85
    assert len(same_zebra) > 200
    assert np.mean(same_zebra) > 0.85


def test_pseudo_labels(out, nusc):
    assert json.loads((out / DEPTH_FOLDER / "cameras.json").read_text()) == list(DEPTH_CAMERAS)
    assert json.loads((out / SEMANTIC_FOLDER / "cameras.json").read_text()) == list(SEMANTIC_CAMERAS)
    assert set(DEPTH_CAMERAS) == set(SEMANTIC_CAMERAS) == set(CAMERA_NAMES)
    for sample in nusc.sample:
        depth = np.load(out / DEPTH_FOLDER / NAME / f"{sample['token']}.npy")
        classes = np.load(out / SEMANTIC_FOLDER / NAME / f"{sample['token']}.npy")
        assert (depth.shape, depth.dtype) == ((6, 90, 160), np.float16)
        assert (classes.shape, classes.dtype) == ((6, 90, 160), np.int8)
        assert classes.min() == 0
        assert classes.max() <= 16
        assert len(np.unique(classes)) > 5
        for name in CAMERA_NAMES:  # the same camera in both files: sky and ground lie in the same places
            d, c = depth[DEPTH_CAMERAS.index(name)], classes[SEMANTIC_CAMERAS.index(name)]
            assert (c[d == 0] == 0).all()
            assert (d[c > 0] > 0).all()
            assert (c[-10:] > 0).mean() > 0.9


def test_names_of_voxels_and_pictures(out, nusc, street):
    table = NameTable.load(out / "names" / "names.json")
    assert table == DETAILED.names
    assert json.loads((out / "names" / "cameras.json").read_text()) == list(CAMERA_NAMES)
    class_of = table.class_of_name()
    fine = []
    for index, sample in enumerate(nusc.sample):
        names = read_names(out / "names", NAME, sample["token"])
        semantics, _, _ = labels_of(out, nusc, index)
        np.testing.assert_array_equal(np.where(names.voxels == NO_NAME, 17, class_of[names.voxels]), semantics)
        fine.append((names.voxels[semantics != 17] > 16).mean())
        classes = np.load(out / SEMANTIC_FOLDER / NAME / f"{sample['token']}.npy")
        order = [SEMANTIC_CAMERAS.index(name) for name in CAMERA_NAMES]
        np.testing.assert_array_equal(np.where(names.pictures == NO_NAME, 0, class_of[names.pictures]), classes[order])
    assert min(fine) > 0.85


def test_same_bytes_for_any_number_of_processes_and_drives_and_with_or_without_sweeps(out, tmp_path):
    synthesize(tmp_path / "two", scenes=2, jobs=2, val_scenes=1, sweeps=False, **SETTINGS)
    one, two = digest(out), digest(tmp_path / "two")
    table = "v1.0-synthetic/"
    shared = {name for name in one if not name.startswith((table, "sweeps/"))}
    assert {name.split("/")[0] for name in shared} == {"samples", "gts", "maps", "names", DEPTH_FOLDER, SEMANTIC_FOLDER}
    for name in shared:
        assert two[name] == one[name], name
    second = {name: value for name, value in two.items() if scene_name(SEED, 1) in name}
    assert len(second) == len([name for name in shared if NAME in name])
    assert not set(second.values()) & set(one.values())
    for name in ("scene", "sample", "sample_annotation", "instance", "calibrated_sensor", "log", "map", "ego_pose"):
        rows, more = (json.loads((root / table / f"{name}.json").read_text()) for root in (out, tmp_path / "two"))
        found = {row["token"]: row for row in more}
        assert all(found[row["token"]] == row for row in rows if name != "ego_pose" or row["token"] in found), name
    splits = json.loads((tmp_path / "two" / table / "splits.json").read_text())
    assert splits == {"train": [NAME], "val": [scene_name(SEED, 1)]}


def test_an_existing_output_is_left_alone(tmp_path):
    (tmp_path / "tree").mkdir()
    with pytest.raises(OutputExistsError, match="tree"):
        synthesize(tmp_path / "tree")
    assert list(tmp_path.rglob("*")) == [tmp_path / "tree"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failing_drive_leaves_nothing_behind(tmp_path, monkeypatch, jobs):
    def fail(root, options, index, on_key_frame):
        (root / "samples").mkdir()
        raise TypeError("no")

    # A worker process cannot see a function of this module, so there a builtin fails.
    monkeypatch.setattr(module, "write_drive", fail if jobs == 1 else operator.methodcaller("nothing"))
    with pytest.raises(TypeError):
        synthesize(tmp_path / "tree", scenes=2, jobs=jobs, **SETTINGS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("scenes", 0),
        ("seed", -1),
        ("val_scenes", 2),
        ("jobs", 0),
        ("version", "a/b"),
        ("duration_s", 0.0),
        ("image_scale", 9.0),
    ],
)
def test_arguments_out_of_range(tmp_path, key, value):
    with pytest.raises(ConfigError, match=key):
        synthesize(tmp_path / "tree", **{key: value})
    assert list(tmp_path.iterdir()) == []
