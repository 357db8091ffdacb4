# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Rays against brute force, against the rasteriser, and against the actors' boxes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gsocc_core.errors import ShapeError
from gsocc_core.synthetic.render.bvh_kernels import build_bvh, trace_static
from gsocc_core.synthetic.render.camera import render_camera
from gsocc_core.synthetic.render.rays import cast_rays
from gsocc_core.synthetic.sensors.rig import lidar_directions, make_rig
from gsocc_core.synthetic.world.scene import SKY

T_S = 2.0


@pytest.fixture
def scene(street_3):
    return street_3


def brute_force(corners: np.ndarray, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """(N,) distances by solving o + t d = a + s (b - a) + r (c - a) for every pair."""
    nearest = np.full(len(origins), np.inf)
    for a, b, c in corners:
        M = np.stack([np.broadcast_to(a - b, origins.shape), np.broadcast_to(a - c, origins.shape), directions], -1)
        s, r, t = np.linalg.solve(M, (a - origins)[..., None])[..., 0].T
        hit = (s >= 0) & (r >= 0) & (s + r <= 1) & (t > 1e-6)
        nearest = np.where(hit & (t < nearest), t, nearest)
    return nearest


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 60))
def test_hierarchy_finds_what_brute_force_finds(seed, count):
    rng = np.random.default_rng(seed)
    corners = rng.normal(0.0, 4.0, (count, 1, 3)) + rng.normal(0.0, 1.5, (count, 3, 3))
    origins, directions = rng.normal(0.0, 4.0, (80, 3)), rng.normal(size=(80, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    order, *nodes = build_bvh(corners)
    assert sorted(order) == list(range(count))
    distance, triangle = np.full(80, np.inf), np.full(80, -1, np.int64)
    trace_static(np.ascontiguousarray(corners[order]), *nodes, origins, directions, distance, triangle)
    expected = brute_force(corners, origins, directions)
    np.testing.assert_array_equal(np.isfinite(distance), np.isfinite(expected))
    np.testing.assert_allclose(distance[triangle >= 0], expected[triangle >= 0], rtol=1e-8)


def test_axis_parallel_rays_meet_axis_parallel_triangles():
    corners = np.array([[[1.0, -1, -1], [1, 3, -1], [1, -1, 3]], [[2.0, -1, -1], [2, 3, -1], [2, -1, 3]]])
    order, *nodes = build_bvh(corners)
    distance, triangle = np.full(1, np.inf), np.full(1, -1, np.int64)
    trace_static(corners[order], *nodes, np.zeros((1, 3)), np.array([[1.0, 0, 0]]), distance, triangle)
    assert distance[0] == 1.0
    assert order[triangle[0]] == 0


def test_rays_and_pictures_agree_within_a_centimetre(scene):
    camera = make_rig(np.random.default_rng(4), 0.25).camera("CAM_FRONT_RIGHT")
    pose = scene.T_world_ego(T_S) @ camera.T_ego_cam
    view = render_camera(scene, T_S, camera.intrinsics, pose, camera.width, camera.height)
    u, v = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    rays = np.stack([u, v, np.ones_like(u)], -1).reshape(-1, 3) @ np.linalg.inv(camera.intrinsics).T
    length = np.linalg.norm(rays, axis=1)
    directions = rays / length[:, None] @ pose[:3, :3].T
    hits = cast_rays(scene, T_S, np.broadcast_to(pose[:3, 3], directions.shape), directions)
    near = (view.depth_m.ravel() > 0) & (view.depth_m.ravel() < 200.0)
    depth = hits.distance_m / length
    assert (np.abs(depth - view.depth_m.ravel())[near] < 0.01).mean() > 0.9999
    assert (hits.class_ids == view.class_ids.ravel())[near].mean() > 0.9999
    assert (hits.instance_ids == view.instance_ids.ravel())[near].mean() > 0.9999
    assert near.mean() > 0.3


def test_hits_on_actors_lie_in_their_boxes(scene):
    directions, _ = lidar_directions()
    T_world_lidar = scene.T_world_ego(T_S) @ make_rig(np.random.default_rng(0)).T_ego_lidar
    world = directions @ T_world_lidar[:3, :3].T
    origins = np.broadcast_to(T_world_lidar[:3, 3], world.shape)
    hits = cast_rays(scene, T_S, origins, world)
    found = np.unique(hits.instance_ids[hits.instance_ids >= 0])
    assert len(found) >= 5
    for instance in found:
        actor, chosen = scene.actors[instance], hits.instance_ids == instance
        points = origins[chosen] + world[chosen] * hits.distance_m[chosen, None]
        T_box_world = np.linalg.inv(actor.T_world_box(T_S))
        local = points @ T_box_world[:3, :3].T + T_box_world[:3, 3]
        width, length, height = actor.size_wlh_m
        assert (np.abs(local) <= np.array([length, width, height]) / 2 + 1e-3).all()
        assert (hits.class_ids[chosen] == actor.class_id).all()


def test_static_hits_and_misses_say_so(scene):
    start = scene.T_world_ego(T_S)[:3, 3] + [0.0, 0.0, 1.0]
    hits = cast_rays(
        scene, T_S, np.stack([start, start + np.array([0, 0, 400.0])]), np.array([[0.0, 0, -1], [0, 0, 1]])
    )
    assert hits.class_ids.tolist() == [11, SKY]
    assert hits.instance_ids.tolist() == [-1, -1]
    assert np.isinf(hits.distance_m[1])


def test_wrong_shapes_are_refused(scene):
    with pytest.raises(ShapeError, match="cast_rays"):
        cast_rays(scene, 0.0, np.zeros((2, 3)), np.zeros((3, 3)))
