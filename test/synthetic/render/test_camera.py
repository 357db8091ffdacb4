# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The rasteriser against an oracle that follows every pixel's ray, and the pictures' repeatability."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gsocc_core.errors import ShapeError
from gsocc_core.synthetic.render.camera import render_camera
from gsocc_core.synthetic.render.raster_kernels import NEAR_M, fill_from_above, rasterize
from gsocc_core.synthetic.sensors.rig import make_rig
from gsocc_core.synthetic.world.detailed import DETAILED
from gsocc_core.synthetic.world.scene import SKY
from gsocc_core.synthetic.world.street import build_street


def oracle(corners: np.ndarray, K: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Depth and triangle per pixel by Moeller-Trumbore on every pair; camera at the origin looking along z."""
    u, v = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    d = np.stack([u.ravel(), v.ravel(), np.ones(u.size)], 1) @ np.linalg.inv(K).T
    depth, best = np.full(u.size, np.inf), np.full(u.size, -1)
    for t, (a, b, c) in enumerate(corners):
        e1, e2 = b - a, c - a
        p = np.cross(d, e2)
        det = p @ e1
        with np.errstate(divide="ignore", invalid="ignore"):
            s = (p @ -a) / det
            q = np.cross(-a, e1)
            r = (d @ q) / det
            z = (q @ e2) / det
        hit = (s >= 0) & (r >= 0) & (s + r <= 1) & (z >= NEAR_M) & (z < depth)
        depth[hit], best[hit] = z[hit], t
    return depth.reshape(height, width), best.reshape(height, width)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_zbuffer_sees_what_rays_see_also_where_triangles_cross_the_near_plane(seed):
    rng = np.random.default_rng(seed)
    width, height = 41, 29
    K = np.array([[rng.uniform(15, 60), 0.0, 20.3], [0.0, rng.uniform(15, 60), 14.1], [0.0, 0.0, 1.0]])
    # Centres all around the camera: many triangles lie partly or wholly behind it.
    corners = rng.normal(0.0, 3.0, (30, 1, 3)) + np.array([0.0, 0.0, 2.0]) + rng.normal(0.0, 2.5, (30, 3, 3))
    inverse_depth, triangle_of = np.zeros((height, width), np.float32), np.full((height, width), -1, np.int32)
    chunks, starts = np.array([1, 0]), np.array([0, 13, 30])
    rasterize(corners, chunks, starts, 0, np.eye(3), np.zeros(3), K, np.linalg.inv(K), inverse_depth, triangle_of)
    depth, best = oracle(corners, K, width, height)
    # Only rays that pass an edge within rounding may differ.
    assert (triangle_of != best).mean() < 0.003
    same = (triangle_of == best) & (best >= 0)
    np.testing.assert_allclose(1.0 / inverse_depth[same], depth[same], rtol=2e-6)


def test_pose_of_the_camera_moves_the_picture_like_the_world():
    rng = np.random.default_rng(1)
    K = np.array([[40.0, 0, 20], [0, 40.0, 15], [0, 0, 1]])
    corners = rng.normal(0.0, 1.0, (10, 3, 3)) + np.array([0, 0, 5])
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    R = q * np.sign(np.linalg.det(q))
    origin = rng.normal(size=3)
    pictures = []
    for world, R_cam_world, at in ((corners, np.eye(3), np.zeros(3)), (corners @ R.T + origin, R.T, origin)):
        inverse_depth, triangle_of = np.zeros((30, 40), np.float32), np.full((30, 40), -1, np.int32)
        view = (np.ascontiguousarray(R_cam_world), at, K, np.linalg.inv(K), inverse_depth, triangle_of)
        rasterize(world, np.array([0]), np.array([0, 10]), 100, *view)
        pictures.append((inverse_depth, triangle_of))
    np.testing.assert_allclose(pictures[0][0], pictures[1][0], atol=1e-6)
    np.testing.assert_array_equal(pictures[0][1], pictures[1][1])
    assert set(np.unique(pictures[0][1])) <= {-1, *range(100, 110)}


def test_filling_from_above_covers_pixel_centres():
    raster = np.zeros((6, 8), np.uint8)
    fill_from_above(np.array([[[1.0, 1.0], [5.0, 1.0], [5.0, 4.0]], [[1.0, 1.0], [5.0, 4.0], [1.0, 4.0]]]), raster)
    expected = np.zeros((6, 8), np.uint8)
    expected[1:4, 1:5] = 255
    np.testing.assert_array_equal(raster, expected)


@pytest.fixture(scope="module")
def scene(street_3):
    return street_3


@pytest.fixture(scope="module")
def views(scene):
    pictures = {}
    for scale in (0.25, 1.0):
        camera = make_rig(np.random.default_rng(0), scale).camera("CAM_FRONT")
        pose = scene.T_world_ego(2.0) @ camera.T_ego_cam
        pictures[scale] = render_camera(scene, 2.0, camera.intrinsics, pose, camera.width, camera.height)
    return pictures


def test_pictures_hold_sky_ground_and_things(views):
    view = views[0.25]
    assert view.rgb.shape == (225, 400, 3)
    assert view.rgb.dtype == np.uint8
    assert view.depth_m.dtype == np.float32
    sky = view.class_ids == SKY
    assert 0.02 < sky.mean() < 0.8
    np.testing.assert_array_equal(view.depth_m == 0, sky)
    assert (view.instance_ids[sky] == -1).all()
    assert len(np.unique(view.class_ids)) >= 7
    assert (view.instance_ids >= 0).any()
    assert view.rgb.reshape(-1, 3).std(0).min() > 15


def test_instances_carry_their_actor_s_class(scene, views):
    view = views[1.0]
    for instance in np.unique(view.instance_ids[view.instance_ids >= 0]):
        assert (view.class_ids[view.instance_ids == instance] == scene.actors[instance].class_id).all()


def test_names_agree_with_classes_and_lane_markings_are_brighter_than_the_road(views):
    table = DETAILED.names
    for view in views.values():
        np.testing.assert_array_equal(table.class_of_name()[view.name_ids], view.class_ids)
        assert len(np.unique(view.name_ids)) > 20
    view = views[1.0]
    light = view.rgb.mean(2)
    marking, road = (view.name_ids == table.id_of(name) for name in ("lane marking", "road"))
    near = view.depth_m < 25.0  # farther away lines are as wide as pixels
    bright = light > np.median(light[road & near]) + 25
    assert (marking & near).sum() > 5000
    assert bright[marking & near].mean() > 0.8  # the rest is worn or at a line's edge
    assert bright[road & near].mean() < 0.002


def test_a_small_picture_resembles_the_large_one_made_small(views):
    large = views[1.0].rgb.reshape(225, 4, 400, 4, 3).mean((1, 3))
    difference = np.abs(large - views[0.25].rgb)
    assert np.median(difference) < 6.0
    assert difference.mean() < 12.0
    # The small picture's pixel centres fall on the corner between the large one's pixels 4i + 1 and 4i + 2.
    same = views[1.0].class_ids[1::4, 1::4] == views[0.25].class_ids
    assert same.mean() > 0.97


def test_the_same_moment_gives_the_same_picture(scene):
    camera = make_rig(np.random.default_rng(0), 0.1).camera("CAM_BACK")
    fresh = build_street(3, 8.0)
    pictures = [
        render_camera(s, 1.0, camera.intrinsics, s.T_world_ego(1.0) @ camera.T_ego_cam, camera.width, camera.height)
        for s in (scene, fresh)
    ]
    np.testing.assert_array_equal(pictures[0].rgb, pictures[1].rgb)
    np.testing.assert_array_equal(pictures[0].depth_m, pictures[1].depth_m)


def test_wrong_matrices_are_refused(scene):
    with pytest.raises(ShapeError, match="render_camera"):
        render_camera(scene, 0.0, np.eye(4), np.eye(4), 10, 10)
