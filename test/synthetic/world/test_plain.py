# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The plain world: places and motions are random, things have room, colours tell the class, files say the rest."""

import numpy as np
import pytest
import torch

from gsocc_core.data.args import DataArgs
from gsocc_core.data.build import build_dataset
from gsocc_core.data.names import NameTable, read_names
from gsocc_core.errors import ConfigError
from gsocc_core.synthetic.render.camera import render_camera
from gsocc_core.synthetic.sensors.rig import small_rig
from gsocc_core.synthetic.synthesize import synthesize
from gsocc_core.synthetic.world.plain import build_plain
from gsocc_core.synthetic.world.plain_things import CLASSES, MOVING, NAMES, PLAIN_WORLD
from gsocc_core.synthetic.world.scene import SKY


@pytest.fixture(scope="module")
def scenes():
    return [build_plain(seed, 6.0) for seed in (1, 2, 3)]


def footprint(actor):
    return np.linalg.norm(actor.mesh.vertices_m[:, :2], axis=1).max()


def test_the_same_seed_gives_the_same_world(scenes):
    again = build_plain(1, 6.0)
    np.testing.assert_array_equal(again.static.vertices_m, scenes[0].static.vertices_m)
    np.testing.assert_array_equal(again.static.name_ids, scenes[0].static.name_ids)
    assert len(again.actors) == len(scenes[0].actors) != len(scenes[1].actors)
    for one, other in zip(again.actors, scenes[0].actors, strict=True):
        np.testing.assert_array_equal(one.T_world_box(3.0), other.T_world_box(3.0))


def test_every_name_occurs_and_names_its_class(scenes):
    assert len(NAMES.names) >= 24
    meshes = [mesh for scene in scenes for mesh in (scene.static, *(actor.mesh for actor in scene.actors))]
    names = np.concatenate([mesh.name_ids for mesh in meshes])
    classes = np.concatenate([mesh.class_ids for mesh in meshes])
    assert set(np.unique(names)) == set(range(len(NAMES.names)))
    np.testing.assert_array_equal(NAMES.class_of_name()[names], classes)


def test_names_of_a_class_are_equally_frequent(scenes):
    """Large things find their place, too."""
    of_movable = [i for i, class_id in enumerate(NAMES.class_ids) if class_id in CLASSES.dynamic_ids]
    for scene in scenes:
        counts = np.bincount([actor.mesh.name_ids[0] for actor in scene.actors], minlength=len(NAMES.names))
        assert counts.sum() == counts[of_movable].sum() > 30
        assert np.ptp(counts[of_movable]) <= 2


def test_along_every_drive_the_ground_has_its_shares_and_naming_the_first_is_as_good_as_chance(scenes):
    """A class of share p, drawn by chance, scores p / (2 - p); named everywhere, it scores its share."""
    rng = np.random.default_rng(0)
    for scene in scenes:
        flat = np.isin(scene.static.class_ids, PLAIN_WORLD.flat_ids)
        corners = scene.static.vertices_m[scene.static.triangles[flat][::2]]  # two triangles are a patch of ground
        way = np.stack([scene.T_world_ego(t_s)[:2, 3] for t_s in np.arange(-1.0, 7.1, 0.25)])
        points = rng.uniform(way.min(0) - 25.0, way.max(0) + 25.0, (2000, 2))
        points = points[(np.abs(points[:, None] - way) < 25.0).all(2).any(1)]
        inside = (points[:, None] >= corners.min(1)[:, :2]) & (points[:, None] < corners.max(1)[:, :2])
        shares = np.bincount(scene.static.class_ids[flat][::2][inside.all(2).argmax(1)], minlength=4)[1:] / len(points)
        np.testing.assert_allclose(shares, [0.72, 0.14, 0.14], atol=0.05)
        assert (shares / (2 - shares)).sum() < shares[0] + 0.02


def test_nothing_touches_anything_at_any_time(scenes):
    for scene in scenes:
        for t_s in np.linspace(0.0, 6.0, 13):
            places = np.array([actor.T_world_box(t_s)[:2, 3] for actor in scene.actors])
            radii = np.array([footprint(actor) for actor in scene.actors])
            gaps = np.linalg.norm(places[:, None] - places[None], axis=2) - radii[:, None] - radii[None]
            assert gaps[~np.eye(len(gaps), dtype=bool)].min() > 0.2
            ego = np.linalg.norm(places - scene.T_world_ego(t_s)[:2, 3], axis=1) - radii
            assert ego.min() > 2.0


def test_moving_and_parked_things_look_alike_and_velocities_are_those_of_the_poses(scenes):
    moving, parked = [], []
    for scene in scenes:
        for actor in scene.actors:
            (moving if actor.trajectory.moves else parked).append(CLASSES.names[actor.class_id])
            step = (actor.T_world_box(3.001)[:3, 3] - actor.T_world_box(2.999)[:3, 3]) / 0.002
            np.testing.assert_allclose(actor.velocity_world(3.0), step, atol=1e-2)
            if actor.trajectory.moves:
                assert 0.9 < np.linalg.norm(step) < 7.1
    assert set(moving) == set(parked) == set(MOVING)
    assert 0.2 < len(moving) / (len(moving) + len(parked)) < 0.6


def test_poses_of_all_actors_are_those_of_each(scenes):
    for t_s in (-3.0, 0.0, 2.345, 2.345, 30.0):
        poses = scenes[0].T_world_actors(t_s)
        np.testing.assert_array_equal(poses, [actor.T_world_box(t_s) for actor in scenes[0].actors])
    for actor, pose in zip(scenes[0].actors, poses, strict=True):
        way = actor.trajectory
        expected = way.positions_m[-1] + (t_s - way.times_s[-1]) * way.velocities_m_s[-1]
        np.testing.assert_allclose(pose[:3, 3], expected, err_msg="straight on after the last sample")


def test_where_a_thing_is_does_not_tell_its_motion(scenes):
    """Directions of motion in the ego's frame have no mean."""
    directions = []
    for scene in scenes:
        R = np.linalg.inv(scene.T_world_ego(3.0))[:3, :3]
        velocities = [R @ actor.velocity_world(3.0) for actor in scene.actors if actor.trajectory.moves]
        directions += [v[:2] / np.linalg.norm(v[:2]) for v in velocities]
    assert np.linalg.norm(np.mean(directions, axis=0)) < 2.5 / np.sqrt(len(directions))


def test_pictures_name_and_colour_what_they_show(scenes):
    scene = scenes[0]
    camera = small_rig(np.random.default_rng(0)).camera("CAM_FRONT")
    pose = scene.T_world_ego(1.0) @ camera.T_ego_cam
    view = render_camera(scene, 1.0, camera.intrinsics, pose, camera.width, camera.height)
    assert view.rgb.shape == (96, 176, 3)
    shown = view.class_ids != SKY
    np.testing.assert_array_equal(NAMES.class_of_name()[view.name_ids[shown]], view.class_ids[shown])
    grass, road = (view.rgb[view.class_ids == CLASSES.names.index(name)].mean(0) for name in ("grass", "road"))
    assert grass[1] > 1.2 * grass[2]
    assert np.ptp(road) < 40


def test_a_tree_brings_grid_classes_and_names(tmp_path):
    synthesize(tmp_path / "tree", world="plain", duration_s=0.6, sweeps=True, lidar_sweeps=False, names=True, jobs=1)
    args = DataArgs(str(tmp_path / "tree"), "v1.0-synthetic", views=1, view_size=(24, 44), boxes=True)
    dataset = build_dataset(args, (96, 176))
    assert (dataset.protocol.grid, dataset.protocol.classes) == (PLAIN_WORLD.grid, CLASSES)
    frames, labels = dataset[0], dataset.voxel_labels(0)
    assert frames.images.shape == (1, 1, 6, 3, 96, 176)
    assert set(np.unique(dataset.key_frame(0).boxes.class_ids)) <= set(CLASSES.dynamic_ids)
    assert labels.semantics.shape == (64, 64, 8)
    assert (labels.semantics[:, :, 1] > 0).mean() > 0.1, "the ground"
    assert set(torch.unique(frames.targets.view_semantics).tolist()) <= {*range(1, 9), 255}
    table = NameTable.load(tmp_path / "tree" / "names" / "names.json")
    key = dataset.key_frame(0)
    names = read_names(tmp_path / "tree" / "names", key.scene_name, key.token)
    assert table == NAMES
    occupied = labels.semantics != CLASSES.free_id
    np.testing.assert_array_equal(names.voxels != 255, occupied)
    np.testing.assert_array_equal(table.class_of_name()[names.voxels[occupied]], labels.semantics[occupied])
    clouds, pictures = (list((tmp_path / "tree" / "sweeps").rglob(kind)) for kind in ("*.bin", "*.jpg"))
    assert pictures
    assert not clouds


def test_bad_arguments_are_told(tmp_path):
    for change, expected in (
        ({"world": "flat"}, "world: expected one of detailed, plain"),
        ({"world": "plain", "layout": "kitti360"}, "layout: expected nuscenes"),
        ({"world": "plain", "image_scale": 0.1}, "image_scale: expected a number from 0.2 to 10"),
        ({"layout": "kitti360", "names": True}, "names: expected false"),
    ):
        with pytest.raises(ConfigError, match=expected):
            synthesize(tmp_path / "out", **change)
    with pytest.raises(ConfigError, match="duration_s"):
        build_plain(1, 0.0)
    with pytest.raises(ConfigError, match="seed"):
        build_plain(-1, 1.0)
