# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Pinhole views of a fisheye show the same directions, and together what it sees across."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gsocc_core import Camera
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.rigs.coverage import seen_around
from gsocc_core.rigs.rig_file import looking
from gsocc_core.rigs.virtual_views import Cut, OneModel, pinhole_views

K = np.array([[176.0, 0, 320], [0, 176, 240], [0, 0, 1]])
FISHEYE = Camera("left", K, looking((1, 0.9, 1.2), (90, 20, 0)), 640, 480, "fisheye", (0.02, -0.01, 0.0, 0.0))
FRONT = Camera("front", np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]]), looking((2, 0, 1), (0, 0, 0)), 640, 480)


def sphere(camera):
    """A picture in which the colour of a pixel is its direction in the ego frame."""
    _, rays = Cameras.stack([camera], dtype=torch.float64).rays()
    units = torch.nn.functional.normalize(rays[0], dim=-1).numpy()
    return (127.5 + 127.5 * units).round().astype(np.uint8)


def test_views_show_the_same_directions():
    picture = sphere(FISHEYE)
    for view in pinhole_views(FISHEYE, 200):
        cut = Cut.between(FISHEYE, view)
        shown = cut.shown
        assert shown.mean() > 0.8
        whole = cut(picture, FISHEYE)
        assert not whole[~shown].any()
        error = np.abs(whole.astype(int) - sphere(view))[shown]
        assert np.percentile(error, 99) <= 3
        half = cut(picture.reshape(240, 2, 320, 2, 3).mean((1, 3)).astype(np.uint8), FISHEYE)  # a reduced decoding
        assert np.percentile(np.abs(half.astype(int) - sphere(view))[shown], 95) <= 3


def test_a_reduced_decoding_that_rounds_up_shows_the_same_directions():
    """150 columns and 113 rows at 1/8 of 1196 x 900 pixels: half a column and half a row hang over the edge."""
    large = replace(FISHEYE, intrinsics=np.array([[330.0, 0, 598], [0, 330, 450], [0, 0, 1]]), width=1196, height=900)
    hung = np.pad(sphere(large), ((0, 4), (0, 4), (0, 0)), "edge")
    reduced = hung.reshape(113, 8, 150, 8, 3).mean((1, 3)).round().astype(np.uint8)
    view = pinhole_views(large, 60)[0]
    cut = Cut.between(large, view)
    difference = (cut(reduced, large).astype(int) - sphere(view))[cut.shown]
    assert np.abs(difference).mean() < 1.5
    assert np.abs(difference.mean(0)).max() < 0.4, "a wrong scale shifts all directions to one side"


def test_views_see_what_the_fisheye_sees_across():
    views = pinhole_views(FISHEYE, 200)
    together = np.any([seen_around(view) for view in views], axis=0)
    whole = seen_around(FISHEYE)
    assert len(views) >= 2
    assert (together & whole).sum() > 0.8 * whole.sum()  # all but what lies at the upper and lower border


def test_only_mixed_rigs_are_cut():
    picture = np.full((480, 640, 3), 9, np.uint8)
    one_model = OneModel(200, 100)
    pictures, cameras, source = one_model([picture, None], [FISHEYE, FISHEYE])
    assert [camera.model for camera in cameras] == ["fisheye", "fisheye"]
    assert source == [0, 1]
    assert pictures[0] is picture
    moved = replace(
        FISHEYE, name="rear", T_ego_cam=looking((-1, 0, 1), (180, 0, 0)), T_ref_ego=looking((3, 0, 0), (0, 0, 0))
    )
    pictures, cameras, source = one_model([picture, None, picture], [FRONT, FISHEYE, moved])
    assert [camera.model for camera in cameras] == ["pinhole"] * len(cameras)
    views = len(pinhole_views(FISHEYE, 200))
    assert source == [0, *[1] * views, *[2] * views]
    assert [c.name for c in cameras] == [
        "front",
        *(f"left/{i}" for i in range(views)),
        *(f"rear/{i}" for i in range(views)),
    ]
    assert pictures[0] is picture
    assert pictures[1] is None, "a missing fisheye stays missing in all its views"
    assert {p.shape for p in pictures[1 + views :]} == {(100, 200, 3)}
    for view, expected in zip(cameras[1 + views :], pinhole_views(moved, 200), strict=True):
        np.testing.assert_allclose(view.T_ref_cam, expected.T_ref_cam, atol=1e-12)


def test_a_distorted_pinhole_is_no_fisheye():
    with pytest.raises(ValueError, match="distortion"):
        Camera("x", K, np.eye(4), 10, 10, "fisheye", (0.1,) * 5)


def small_fisheye(yaw, k1):
    return Camera(
        "side", np.array([[50.0, 0, 80], [0, 50, 60], [0, 0, 1]]), looking((1, 0.5, 1), (yaw, 15, 5)), 160, 120,
        "fisheye", (k1, -0.01, 0.0, 0.0), looking((0.4, 0, 0), (3, 0, 0)),
    )  # fmt: skip


@settings(max_examples=10)
@example(0.0, -0.010332164363998097, 0.5, (0.0, 0.0, 1.0), 1.0, False)  # corners outside the lens' image circle
@given(
    st.floats(-180, 180), st.floats(-0.02, 0.05), st.sampled_from((0.5, 1)),
    st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(0.5, 1)), st.floats(1, 30), st.booleans(),
)  # fmt: skip
def test_depth_of_a_view_leads_to_the_points_that_the_fisheye_saw(yaw, k1, scale, normal, distance_m, is_sphere):
    """Inside a sphere, and in front of a plane; what the fisheye measures along its axis lies there for every view."""
    fisheye = small_fisheye(yaw, k1)
    centre, axis = fisheye.T_ref_cam[:3, 3], fisheye.T_ref_cam[:3, 2]
    n = fisheye.T_ref_cam[:3, :3] @ normal
    n /= np.linalg.norm(n)
    _, directions = Cameras.stack([fisheye.resized(int(160 * scale), int(120 * scale))], dtype=torch.float64).rays()
    units = directions[0].numpy()
    facing = units @ n
    length_m = np.full(facing.shape, distance_m) if is_sphere else distance_m / np.where(facing > 0.2, facing, np.inf)
    depth_m = np.maximum(length_m * (units @ axis), 0.0)

    one_model = OneModel(100, 60)
    cameras = [FRONT, fisheye]
    _, views, _ = one_model([None, None], cameras)
    cut = one_model.depths([None, depth_m], cameras)
    assert [None if depth is None else depth.shape for depth in cut] == [None, *[(60, 100)] * (len(views) - 1)]
    known = 0
    for depth, view in zip(cut[1:], views[1:]):
        origins, rays = Cameras.stack([view], dtype=torch.float64).rays()
        np.testing.assert_allclose(origins[0, 0, 0].numpy(), centre, atol=1e-9)
        points = (depth[..., None] * rays[0].numpy())[depth > 0]
        measured = np.linalg.norm(points, axis=-1) if is_sphere else points @ n
        step = 0.5 / (50 * scale * 0.5) + 1e-3  # half a pixel's diagonal at the border of the lens, radians
        slope = 1.2 if is_sphere else np.tan(np.arccos(np.clip(0.2, 0, 1))) + 1.2
        np.testing.assert_allclose(measured, distance_m, rtol=step * slope)
        known += len(points)
    assert known > (2000 if is_sphere else 0)


def test_depth_beside_the_optical_axis_is_unknown():
    """Points beyond 90 degrees have no depth in front of a fisheye; zero stays zero, and so do missing maps."""
    wide = replace(small_fisheye(0, 0.0), intrinsics=np.array([[40.0, 0, 80], [0, 40, 60], [0, 0, 1]]), distortion=None)
    one_model = OneModel(100, 60)
    cut = one_model.depths([None, np.full((120, 160), 3.0, np.float32)], [FRONT, wide])
    assert len(cut) == 4, "three views of 229 degrees"
    assert (cut[1][:, :20] == 0).all(), "more than 90 degrees to the left"
    assert (cut[2] > 0).all()
    assert not np.any(one_model.depths([None, np.zeros((120, 160), np.float32)], [FRONT, wide])[2])
    assert one_model.depths([None, None], [FRONT, wide]) == [None] * 4
    whole = np.ones((120, 160), np.float32)
    assert one_model.depths([whole, None], [wide, wide])[0] is whole, "a rig of one lens model keeps its maps"
