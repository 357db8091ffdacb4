# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Cameras: against OpenCV, and projection against rays."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gsocc_core import Camera, Cameras
from gsocc_core.errors import ShapeError
from gsocc_core.geometry.rigid import rigid_from_quat

quick = settings(deadline=None, max_examples=40)
K = np.array([[310.0, 0.0, 322.5], [0.0, 305.0, 177.0], [0.0, 0.0, 1.0]])
POSES = [rigid_from_quat(q, t) for q, t in (
    ([0.5, -0.5, 0.5, -0.5], [1.5, 0.1, 1.6]), ([0.2, 0.3, -0.7, 0.4], [-1.0, 0.4, 1.2]), ([1, 0, 0, 0], [0, 0, 0]),
)]  # fmt: skip
LENSES = {
    "ideal": ("pinhole", None),
    "plumb_bob": ("pinhole", (-0.11, 0.03, 0.001, -0.002, -0.004)),
    "four": ("pinhole", (-0.1, 0.02, 0.001, -0.0005)),
    "rational": ("pinhole", (0.3, -0.05, 0.0004, 0.0003, 0.01, 0.5, 0.02, 0.001)),
    "fisheye": ("fisheye", (0.05, -0.012, 0.004, -0.0007)),
    "equidistant": ("fisheye", None),
    "orthographic": ("orthographic", None),
}


def camera(lens, pose=POSES[0], motion=None):
    model, distortion = LENSES[lens]
    # An orthographic camera's focal length is pixels per metre.
    intrinsics = K if model != "orthographic" else np.array([[20.0, 0, 322.5], [0, 20.0, 177.0], [0, 0, 1]])
    return Camera("c", intrinsics, pose, 640, 360, model, distortion, motion)


def stacked(*cameras):
    return Cameras.stack(cameras, dtype=torch.float64)


@pytest.mark.parametrize("lens", ["ideal", "plumb_bob", "four", "rational"])
def test_pinhole_projection_equals_opencv(lens):
    cv2 = pytest.importorskip("cv2")
    rng = np.random.default_rng(0)
    in_camera = rng.uniform([-3, -1.5, 4], [3, 1.5, 9], (200, 3))
    T = POSES[1]
    expected, _ = cv2.projectPoints(
        in_camera, np.zeros(3), np.zeros(3), K, np.array(LENSES[lens][1] or (0.0,) * 4, np.float64)
    )
    points = in_camera @ T[:3, :3].T + T[:3, 3]
    uv, depth, _ = stacked(camera(lens, T)).project(torch.from_numpy(points))
    assert uv[0].numpy() == pytest.approx(expected[:, 0], abs=1e-8)
    assert depth[0].numpy() == pytest.approx(in_camera[:, 2])


@pytest.mark.parametrize("lens", ["fisheye", "equidistant"])
def test_fisheye_projection_equals_opencv(lens):
    cv2 = pytest.importorskip("cv2")
    in_camera = np.random.default_rng(0).uniform([-9, -9, 0.2], [9, 9, 3], (200, 3))  # up to 88 degrees off axis
    expected, _ = cv2.fisheye.projectPoints(
        in_camera[None], np.zeros(3), np.zeros(3), K, np.array(LENSES[lens][1] or (0.0,) * 4)
    )
    uv, _, _ = stacked(camera(lens, np.eye(4))).project(torch.from_numpy(in_camera))
    assert uv[0].numpy() == pytest.approx(expected[0], abs=1e-7)


@pytest.mark.parametrize("lens", LENSES)
def test_rays_project_back_to_their_pixel_centres(lens):
    motion = rigid_from_quat([0.99, 0.01, -0.02, 0.1], [0.4, 0.1, 0.0])
    rig = stacked(*[camera(lens, pose, motion) for pose in POSES]).resized(32, 18)
    origins, directions = rig.rays()
    assert origins.shape == directions.shape == (3, 18, 32, 3)
    v, u = torch.meshgrid(torch.arange(18) + 0.5, torch.arange(32) + 0.5, indexing="ij")
    for distance in (0.7, 6.0, 55.0):
        for i in range(3):
            points = (origins + distance * directions)[i].reshape(-1, 3)
            uv, depth, valid = rig.project(points)
            assert valid[i].all()
            torch.testing.assert_close(uv[i], torch.stack([u, v], -1).reshape(-1, 2).double(), atol=1e-5, rtol=0)
            if lens not in {"fisheye", "equidistant"}:
                assert depth[i].numpy() == pytest.approx(np.full(depth[i].shape, distance))
    if lens in {"fisheye", "equidistant"}:
        torch.testing.assert_close(directions.norm(dim=-1), torch.ones(3, 18, 32, dtype=torch.float64))


@quick
@given(st.integers(1, 900), st.integers(1, 900), st.floats(-4, 4), st.floats(-2, 2), st.floats(2, 30))
def test_resizing_commutes_with_projection(width, height, x, y, z):
    full = stacked(camera("plumb_bob", np.eye(4)))
    point = torch.tensor([[x, y, z]], dtype=torch.float64)
    small, whole = full.resized(width, height), full.project(point)
    uv, _, valid = small.project(point)
    scale = torch.tensor([width / 640, height / 360], dtype=torch.float64)
    torch.testing.assert_close(uv, whole[0] * scale)
    one = stacked(camera("plumb_bob", np.eye(4)).resized(width, height))
    torch.testing.assert_close(one.intrinsics, small.intrinsics)
    margin = (whole[0] - torch.tensor([320.0, 180.0])).abs() - torch.tensor([320.0, 180.0])
    if margin.abs().min() > 1e-6:  # not on the border, where rounding decides
        assert torch.equal(valid, whole[2])


@quick
@given(st.floats(0.05, 2), st.floats(0, 100), st.floats(0, 200), st.floats(-1, 1), st.floats(-0.5, 0.5))
def test_crops_shift_what_is_seen(scale, top, left, x, y):
    full = camera("ideal", np.eye(4))
    cut = full.resized(200, 100, crop_top_px=top, crop_left_px=left, scale=scale)
    point = torch.tensor([[x, y, 1.0]], dtype=torch.float64)
    before, after = stacked(full).project(point)[0], stacked(cut).project(point)[0]
    torch.testing.assert_close(after, before * scale - torch.tensor([left, top], dtype=torch.float64))
    assert (cut.width, cut.height) == (200, 100)


@pytest.mark.parametrize("lens", ["ideal", "plumb_bob"])
def test_what_lies_behind_or_beside_is_not_seen(lens):
    points = torch.tensor([[0, 0, -5.0], [0, 0, 0.0], [0, 0, 0.005], [50, 0, 5], [0, 50, 5], [0, 0, 5]]).double()
    uv, depth, valid = stacked(camera(lens, np.eye(4))).project(points)
    assert valid[0].tolist() == [False, False, False, False, False, True]
    assert torch.isfinite(uv).all(), "gradients through points behind the camera must stay finite"
    assert depth[0, 0] == -5


def test_strong_barrel_distortion_does_not_fold_far_points_into_the_picture():
    """r (1 - 0.3 r^2) turns back at r = 1.05: a point 61 degrees off axis would land in the middle."""
    folding = replace(camera("ideal", np.eye(4)), distortion=(-0.3, 0.0, 0.0, 0.0, 0.0))
    angles = torch.deg2rad(torch.tensor([0.0, 30.0, 44.0, 50.0, 61.0, 70.0, 80.0], dtype=torch.float64))
    points = torch.stack([angles.sin(), torch.zeros_like(angles), angles.cos()], -1) * 5
    _, _, valid = stacked(folding).project(points)
    assert valid[0].tolist() == [True, True, True, False, False, False, False]


def test_a_fisheye_sees_sideways_but_not_straight_behind():
    lens = replace(camera("equidistant", np.eye(4)), intrinsics=np.array([[100.0, 0, 320], [0, 100, 180], [0, 0, 1]]))
    points = torch.tensor([[0, 0, -5.0], [5, 0, -0.5], [5, 0, 0], [0, 0, 3]], dtype=torch.float64)
    uv, _, valid = stacked(lens).project(points)
    assert valid[0].tolist() == [False, True, True, True]
    assert uv[0, 2].tolist() == pytest.approx([320 + 100 * math.pi / 2, 180])


def test_orthographic_cameras_have_no_perspective():
    points = torch.tensor([[1.0, -2.0, 3.0], [1.0, -2.0, -30.0]], dtype=torch.float64)
    uv, depth, valid = stacked(camera("orthographic", np.eye(4))).project(points)
    assert uv[0].tolist() == [[342.5, 137.0]] * 2
    assert depth[0].tolist() == [3, -30]
    assert valid.all()


def test_ego_motion_moves_the_camera():
    motion = rigid_from_quat([1, 0, 0, 0], [2.0, 0, 0])
    moved, still = camera("ideal", motion=motion), camera("ideal")
    assert moved.T_ref_cam[:3, 3] == pytest.approx(still.T_ref_cam[:3, 3] + [2, 0, 0])
    assert still.T_ref_cam is still.T_ego_cam
    rig = stacked(moved, still)
    torch.testing.assert_close(rig.viewmats @ rig.T_ref_cam, torch.eye(4, dtype=torch.float64).expand(2, 4, 4))
    assert rig.T_ref_cam[0].numpy() == pytest.approx(moved.T_ref_cam)


def test_batches_equal_loops_and_project_has_gradients():
    rig = stacked(*[camera("rational", pose) for pose in POSES])
    batch = rig.map(lambda t: torch.stack([t, t]))
    points = torch.from_numpy(np.random.default_rng(1).uniform(-10, 10, (2, 20, 3)))
    uv, depth, valid = batch.project(points)
    assert uv.shape == (2, 3, 20, 2)
    for b in range(2):
        for got, expected in zip((uv[b], depth[b], valid[b]), rig.project(points[b])):
            torch.testing.assert_close(got, expected)
    one = rig.project(points[0])[2].any(0).nonzero()[0, 0]
    point = points[0, one : one + 1].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda p: rig.project(p)[0] * rig.project(p)[2][..., None], (point,))


def test_bad_cameras_are_named():
    good = camera("ideal")
    bad = {
        "intrinsics": np.eye(4), "T_ego_cam": np.full((4, 4), np.nan), "T_ref_ego": np.eye(3), "width": 0,
        "model": "wide", "distortion": (0.1, 0.2),
    }  # fmt: skip
    for key, value in bad.items():
        with pytest.raises(ShapeError, match=f"Camera c: .*{key}"):
            replace(good, **{key: value})
    with pytest.raises(ShapeError, match="distortion"):
        replace(good, model="fisheye", distortion=(0.1,) * 5)
    with pytest.raises(ShapeError, match="at least one"):
        Cameras.stack([])
    with pytest.raises(ShapeError, match="one .width"):
        Cameras.stack([good, good.resized(10, 10)])
    rig = stacked(good)
    with pytest.raises(ShapeError, match="T_ego_cam"):
        replace(rig, T_ego_cam=torch.eye(4))
    with pytest.raises(ShapeError, match="model"):
        replace(rig, model="wide")


def test_pixels_outside_a_fisheyes_image_circle_look_along_its_edge():
    """r = theta - 0.1 theta^3 turns back at the root of 10 / 3, 104.6 degrees off axis, where it is 1.217."""
    lens = Camera(
        "wide", np.array([[50.0, 0, 80], [0, 50, 60], [0, 0, 1]]), np.eye(4), 160, 120, "fisheye", (-0.1, 0, 0, 0)
    )
    directions = Cameras.stack([lens], dtype=torch.float64).rays()[1][0]
    v, u = np.mgrid[:120, :160] + 0.5
    radius = np.hypot((u - 80) / 50, (v - 60) / 50)
    theta = torch.arccos(directions[..., 2]).numpy()
    inside, outside = radius < 1.2, radius > 1.218
    np.testing.assert_allclose((theta - 0.1 * theta**3)[inside], radius[inside], atol=1e-9)
    np.testing.assert_allclose(theta[outside], (10 / 3) ** 0.5, atol=0.02)
    assert (theta[inside] < (10 / 3) ** 0.5).all()
    assert outside.sum() > 5000


@pytest.mark.parametrize("at", [(0, 0), (1, 1)])
def test_a_focal_length_of_zero_is_no_camera(at):
    K = np.array([[40.0, 0, 16], [0, 40, 8], [0, 0, 1]])
    K[at] = 0
    with pytest.raises(ShapeError, match="Camera front: intrinsics: expected focal lengths other than 0"):
        Camera("front", K, np.eye(4), 32, 16)


def test_fisheye_rays_lead_where_pixels_look():
    camera = Cameras(
        torch.tensor([[[20.0, 0, 32], [0, 20.0, 16], [0, 0, 1]]]), torch.eye(4)[None], 64, 32, "fisheye",
        torch.tensor([[0.05, 0.01, 0.0, 0.0]]),
    )  # fmt: skip
    uv = torch.tensor([[[32.0, 16.0], [40.0, 20.0], [20.0, 5.0]]])
    points = 3.0 * camera.rays_at(uv)
    found, depth, seen = camera.project(points[0])
    torch.testing.assert_close(found, uv, atol=1e-3, rtol=0)
    torch.testing.assert_close(depth, torch.full((1, 3), 3.0))
    assert seen.all()
    plain = replace(camera, distortion=None)
    degrees = torch.tensor([60.0, 86.9, 88.0, 95.0, 100.0])
    uv = torch.stack([32 + 20 * degrees.deg2rad(), torch.full((5,), 16.0)], -1)[None]
    expected = degrees.clamp(max=87.0).deg2rad().tan()
    rays = plain.rays_at(uv)[0]
    torch.testing.assert_close(rays[:, 0], expected, atol=0.02, rtol=1e-3)
    torch.testing.assert_close(rays[:, 2], torch.ones(5))
