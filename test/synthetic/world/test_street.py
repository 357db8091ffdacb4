# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Synthetic streets: the same bytes from the same seed, everything where it can be, motions that fit their speeds."""

import hashlib
import pickle

import numpy as np
import pytest

from gsocc_core.errors import ConfigError, ShapeError
from gsocc_core.synthetic.render.rays import cast_rays
from gsocc_core.synthetic.world.roads import bent_road
from gsocc_core.synthetic.world.scene import StreetScene, Trajectory, rotation_from_angles
from gsocc_core.synthetic.world.street import build_street
from gsocc_core.synthetic.write.map_picture import drivable_mask

DURATION_S = 8.0


@pytest.fixture(scope="module")
def scenes(street_3, street_5):
    return [street_3, street_5]


def digest(scene: StreetScene) -> str:
    """Hash of everything that the scene consists of."""
    ego = scene.ego
    arrays = [*vars(scene.static).values(), *vars(scene.materials).values(), scene.paint, ego.positions_m]
    for actor in scene.actors:
        path = actor.trajectory
        arrays += [*vars(actor.mesh).values(), path.positions_m, path.velocities_m_s, path.yaw_pitch_roll]
    names = [(actor.category, actor.attribute, actor.size_wlh_m) for actor in scene.actors]
    text = repr((names, scene.light, scene.description, [array.shape for array in arrays]))
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays) + text.encode()).hexdigest()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_street(scenes):
    assert digest(build_street(3, DURATION_S)) == digest(scenes[0])
    assert digest(scenes[0]) != digest(scenes[1])


def test_most_classes_are_there(scenes):
    present = [set(np.unique(scene.static.class_ids)) | {actor.class_id for actor in scene.actors} for scene in scenes]
    assert all(len(classes) >= 12 for classes in present)
    assert len(set.union(*present)) >= 16
    assert set.union(*present) <= set(range(17))


def test_triangles_are_finite_and_refer_to_vertices_and_materials(scenes):
    for scene in scenes:
        for mesh in (scene.static, *(actor.mesh for actor in scene.actors)):
            assert np.isfinite(mesh.vertices_m).all()
            assert mesh.triangles.min() >= 0
            assert mesh.triangles.max() < len(mesh.vertices_m)
            assert mesh.material_ids.max() < len(scene.materials.patterns)
            np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1.0, atol=1e-3)


def test_actors_fill_their_boxes_and_never_leave_them(scenes):
    for scene in scenes:
        for i, actor in enumerate(scene.actors):
            assert actor.instance_index == i
            assert (actor.mesh.class_ids == actor.class_id).all()
            width, length, height = actor.size_wlh_m
            half = np.array([length, width, height]) / 2
            reach = np.abs(actor.mesh.vertices_m).max(0)
            assert (reach <= half).all()
            assert (reach >= half - 2e-3).all()


def test_velocity_is_the_derivative_of_the_pose_and_poses_are_rigid(scenes):
    h = 1e-4
    for scene in scenes:
        movers = [actor for actor in scene.actors if actor.trajectory.moves]
        assert len(movers) >= 3
        for actor in movers:
            for t_s in (0.313, 2.771, DURATION_S - 0.5):
                change = actor.T_world_box(t_s + h)[:3, 3] - actor.T_world_box(t_s - h)[:3, 3]
                np.testing.assert_allclose(actor.velocity_world(t_s), change / (2 * h), atol=2e-4)
                R = actor.T_world_box(t_s)[:3, :3]
                np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)


def test_what_drives_looks_where_it_goes(scenes):
    for scene in scenes:
        for actor in scene.actors:
            velocity = actor.velocity_world(3.0)
            if actor.category.startswith("vehicle") and np.linalg.norm(velocity) > 1.0:
                forward = actor.T_world_box(3.0)[:3, 0]
                assert forward @ velocity / np.linalg.norm(velocity) > 0.995


def test_motion_has_no_jumps(scenes):
    for scene in scenes:
        for trajectory in [scene.ego, *(actor.trajectory for actor in scene.actors if actor.trajectory.moves)]:
            times = np.arange(0.0, DURATION_S, 0.05)
            poses = np.stack([trajectory.pose(t) for t in times])
            assert np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1).max() < 13.0 * 0.05
            turn = (poses[1:, :3, 0] * poses[:-1, :3, 0]).sum(1)
            assert turn.min() > np.cos(0.1)


def test_the_ego_drives_on_the_road(scenes):
    for scene in scenes:
        mask = drivable_mask(scene)
        for t_s in np.linspace(0.0, DURATION_S, 9):
            T = scene.T_world_ego(t_s)
            start = T[:3, 3] + [0.0, 0.0, 0.9]
            hits = cast_rays(scene, t_s, start[None], np.array([[0.0, 0.0, -1.0]]))
            assert hits.class_ids[0] == 11
            assert abs(hits.distance_m[0] - 0.9) < 0.02
            column, row_up = ((T[:2, 3] - mask.origin_m) / mask.resolution_m).astype(int)
            assert mask.raster[mask.raster.shape[0] - 1 - row_up, column] == 255


def test_nothing_stands_or_drives_where_the_ego_is(scenes):
    for scene in scenes:
        for t_s in np.linspace(0.0, DURATION_S, 17):
            T_world_ego = scene.T_world_ego(t_s)
            for actor in scene.actors:
                center = np.linalg.inv(T_world_ego) @ actor.T_world_box(t_s)[:, 3]
                # The ego covers -1 ... 4 m ahead of its rear axle, 0.95 m to each side.
                assert not (-1.0 < center[0] < 4.0 and abs(center[1]) < 0.95), (actor.category, t_s)


def test_the_world_reaches_beyond_every_grid(scenes):
    for scene in scenes:
        for t_s in (0.0, DURATION_S):
            T = scene.T_world_ego(t_s)
            corners = T[:2, 3] + np.array([[-80, -80], [-80, 80], [80, 80], [80, -80]])
            starts = np.column_stack([corners, np.full(4, T[2, 3] + 60.0)])
            hits = cast_rays(scene, t_s, starts, np.tile([0.0, 0.0, -1.0], (4, 1)))
            assert np.isfinite(hits.distance_m).all()


def test_bad_requests_are_refused():
    with pytest.raises(ConfigError, match="duration_s"):
        build_street(0, 0.0)
    with pytest.raises(ConfigError, match="seed"):
        build_street(-1, 5.0)
    with pytest.raises(ShapeError, match="times_s"):
        Trajectory(np.zeros(2), np.zeros((2, 3)), np.zeros((2, 3)), np.zeros((2, 3)))


def test_a_road_s_coordinates_slope_and_curvature_agree():
    road = bent_road(np.random.default_rng(2), -60.0, 140.0, 6.0, 1.0)
    s, h = np.linspace(-50.0, 130.0, 91), 0.5
    numeric = (road.height(s + h) - road.height(s - h)) / (2 * h)
    np.testing.assert_allclose(road.slope(s), numeric, atol=1e-4)
    assert np.abs(road.curvature_at(s)).max() < 1.0 / 50.0
    # Points at d keep their distance to the centre line.
    away = road.point(s, 3.0) - road.point(s, 0.0)
    np.testing.assert_allclose(np.linalg.norm(away, axis=1), 3.0, atol=1e-9)
    ahead = road.point(s + h, 0.0) - road.point(s - h, 0.0)
    np.testing.assert_allclose((ahead * away).sum(1), 0.0, atol=0.02)


def test_rotation_angles_turn_the_way_their_names_say():
    np.testing.assert_allclose(rotation_from_angles(np.pi / 2, 0.0, 0.0)[:, 0], [0, 1, 0], atol=1e-12)
    assert rotation_from_angles(0.0, 0.1, 0.0)[2, 0] < 0.0  # pitch > 0: nose down
    assert rotation_from_angles(0.0, 0.0, 0.1)[2, 1] > 0.0  # roll > 0: left side up


def test_a_scene_travels_between_processes_without_its_caches(scenes):
    scene = scenes[0]
    cast_rays(scene, 0.0, np.zeros((1, 3)), np.array([[0.0, 0.0, 1.0]]))
    assert scene._cache
    copy = pickle.loads(pickle.dumps(scene))
    assert copy._cache == {}
    assert digest(copy) == digest(scene)


@pytest.mark.slow
def test_a_pixel_s_colour_and_place_do_not_give_its_class_away():
    import importlib.util
    from pathlib import Path

    pytest.importorskip("sklearn")
    path = Path(__file__).parents[3] / "benchmarks" / "pixel_classifier.py"
    spec = importlib.util.spec_from_file_location("pixel_classifier", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    recalls = module.class_recalls(train_scenes=8, test_scenes=5)
    assert np.nanmean(recalls) <= 0.40
