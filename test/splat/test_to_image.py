# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""splat_to_image: the CPU rasteriser against the float64 reference, and both against what a picture must show."""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch

from gsocc_core import Cameras, Gaussians, splat_to_image
from gsocc_core.errors import ConfigError, ShapeError

FIELDS = ("means", "scales", "quats", "opacities", "features")


def cameras(views=3, width=30, height=18, model="pinhole", dtype=torch.float64):
    """Cameras at the origin's edge that look along +z with small turns."""
    Ts = []
    for v in range(views):
        angle = 0.3 * (v - 1)
        T = torch.eye(4, dtype=dtype)
        T[0, 0] = T[2, 2] = math.cos(angle)
        T[0, 2], T[2, 0] = math.sin(angle), -math.sin(angle)
        T[:3, 3] = torch.tensor([0.2 * v, -0.1 * v, 0.0])
        Ts.append(T)
    f = 25.0 if model == "pinhole" else 4.0
    K = torch.tensor([[f, 0, width / 2], [0, f, height / 2], [0, 0, 1]], dtype=dtype).expand(views, 3, 3)
    return Cameras(K, torch.stack(Ts), width, height, model)


def random_scene(n, channels, seed=0):
    g = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(*shape, generator=g, dtype=torch.float64)

    means = (rand(n, 3) - 0.5) * torch.tensor([8.0, 5.0, 8.0]) + torch.tensor([0.0, 0.0, 6.0])
    quats = torch.randn(n, 4, generator=g, dtype=torch.float64)
    features = torch.randn(n, channels, generator=g, dtype=torch.float64)
    return Gaussians(means, 0.1 + 0.7 * rand(n, 3), quats, rand(n), features)


def steady_pixels(scene, views, monkeypatch):
    """Pixels in which no opacity or transmittance is so near its limit that rounding could move it across."""
    from gsocc_core.splat.images import reference

    pictures = []
    for factor in (1 - 1e-4, 1 + 1e-4):
        with monkeypatch.context() as patch:
            patch.setattr(reference, "MIN_ALPHA", reference.MIN_ALPHA * factor)
            patch.setattr(reference, "MIN_TRANSMITTANCE", reference.MIN_TRANSMITTANCE * (1 + 10 * (factor - 1)))
            pictures.append(splat_to_image(scene, views, backend="reference").alpha)
    return (pictures[0] - pictures[1]).abs() < 1e-9


def compare_with_the_reference(scene, views, monkeypatch, value_error=2e-5, grad_error=3e-4):
    steady = steady_pixels(scene, views, monkeypatch)
    assert steady.double().mean() > 0.9
    g = torch.Generator().manual_seed(1)
    channels = scene.features.shape[-1]
    w = torch.randn(*steady.shape, channels + 2, generator=g, dtype=torch.float64) * steady[..., None]
    results = {}
    for backend, dtype in (("reference", torch.float64), ("cpu", torch.float32)):
        leaf = scene.map(lambda t, dtype=dtype: t.to(dtype).clone().requires_grad_())
        r = splat_to_image(leaf, views.to(dtype), depth="accumulated", backend=backend)
        picture = torch.cat([r.features, r.depth[..., None], r.alpha[..., None]], dim=-1)
        (picture * w.to(dtype)).sum().backward()
        results[backend] = picture.detach().double(), {name: getattr(leaf, name).grad.double() for name in FIELDS}
    (expected, expected_grads), (got, got_grads) = results["reference"], results["cpu"]
    scale = expected.abs().amax(dim=(0, 1, 2)).clamp(min=1.0)
    assert ((got - expected).abs() / scale)[steady].max() < value_error
    for name in FIELDS:
        scale = expected_grads[name].abs().max().clamp(min=1e-6)
        error = (got_grads[name] - expected_grads[name]).abs().max() / scale
        assert error < grad_error, f"{name}: relative error {error:.1e}"


@pytest.mark.parametrize("model", ["pinhole", "orthographic"])
@pytest.mark.parametrize(("n", "channels"), [(1, 1), (40, 18), (60, 40), (150, 3)])
def test_cpu_values_and_gradients_equal_the_float64_reference(model, n, channels, monkeypatch):
    compare_with_the_reference(random_scene(n, channels, seed=n), cameras(model=model), monkeypatch)


HOSTILE = {
    "tiny": {"scales": 1e-4},
    "flat": {"scales": [2.0, 2.0, 1e-4]},
    "needles": {"scales": [6.0, 1e-3, 1e-3]},
    "huge": {"scales": [50.0, 40.0, 30.0]},  # not a ball: rotations of one have no gradient to compare
    "transparent": {"opacities": 0.0},
    "opaque": {"opacities": 1.0},
}


@pytest.mark.parametrize("model", ["pinhole", "orthographic"])
def test_gaussians_that_reach_into_a_picture_from_beside_it_are_in_it(model, monkeypatch):
    views = cameras(model=model)
    scene = random_scene(300, 4, seed=3)
    K, T = views.intrinsics[1], views.T_ref_cam[1].inverse()
    local = scene.means @ T[:3, :3].T + T[:3, 3]
    depth = local[:, 2:] if model == "pinhole" else torch.ones(300, 1, dtype=torch.float64)
    pixels = local[:, :2] / depth * K[[0, 1], [0, 1]] + K[:2, 2]
    size = torch.tensor([views.width, views.height])
    beside = ((pixels < 0) | (pixels > size)).any(-1) & (local[:, 2] > 1)
    scene = scene.map(lambda t: t[beside]).replace(opacities=torch.ones(int(beside.sum()), dtype=torch.float64))
    one = views.map(lambda t: t[1:2])
    alone = splat_to_image(scene, one, backend="reference")
    assert (alone.alpha > 0.1).double().mean() > 0.2
    compare_with_the_reference(scene, one, monkeypatch)


def test_gradients_that_are_not_asked_for_change_no_other():
    views, found = cameras(dtype=torch.float32), []
    for asked in (FIELDS, ("opacities", "features")):
        scene = random_scene(60, 5).map(lambda t: t.float())
        leaves = {name: getattr(scene, name).requires_grad_(name in asked) for name in FIELDS}
        picture = splat_to_image(scene.replace(**leaves), views, backend="cpu")
        (picture.features.sum() + picture.depth.sum()).backward()
        assert [name for name in FIELDS if leaves[name].grad is not None] == list(asked)
        found.append([leaves[name].grad for name in ("opacities", "features")])
    for all_asked, some in zip(*found):
        assert torch.equal(all_asked, some)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_depth_needs_no_features(backend):
    scene, views = random_scene(30, 4).map(torch.Tensor.float), cameras(dtype=torch.float32)
    results = []
    for features in (scene.features, scene.features[:, :0]):
        means = scene.means.clone().requires_grad_()
        found = splat_to_image(replace(scene, means=means, features=features), views, backend=backend)
        (found.depth.sum() + found.alpha.sum()).backward()
        results.append((found.depth.detach(), found.alpha.detach(), means.grad))
    assert found.features.shape == (3, 18, 30, 0)
    assert results[0][2].abs().max() > 0
    for with_features, without in zip(*results):
        torch.testing.assert_close(without, with_features)


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_shapes_equal_the_float64_reference(kind, monkeypatch):
    scene = random_scene(30, 4, seed=7)
    for name, value in HOSTILE[kind].items():
        scene = scene.replace(
            **{name: torch.tensor(value, dtype=torch.float64).expand_as(getattr(scene, name)).clone()}
        )
    compare_with_the_reference(scene, cameras(), monkeypatch, value_error=2e-4, grad_error=3e-3)


def test_a_gaussian_larger_than_integers_count_covers_the_picture():
    wall = Gaussians(
        torch.tensor([[0.0, 0.0, 5.0]]), torch.full((1, 3), 1e17), torch.eye(4)[:1], torch.full((1,), 0.5),
        torch.ones(1, 1),
    )  # fmt: skip
    picture = splat_to_image(wall, cameras(dtype=torch.float32))
    torch.testing.assert_close(picture.alpha, torch.full_like(picture.alpha, 0.5))


def test_zero_scales_and_more_gaussians_in_a_tile_than_any_buffer():
    scene = random_scene(1, 2).map(lambda t: t.float())
    dot = splat_to_image(scene.replace(scales=torch.zeros(1, 3)), cameras(dtype=torch.float32))
    assert torch.isfinite(dot.features).all()
    crowd = random_scene(5000, 2).map(lambda t: t.float())
    crowd = crowd.replace(
        means=crowd.means * torch.tensor([0.02, 0.02, 1.0]), scales=crowd.scales * 0.1, opacities=crowd.opacities * 0.01
    ).map(lambda t: t.clone().requires_grad_())
    views = cameras(1, dtype=torch.float32)
    view = splat_to_image(crowd, views)
    view.features.sum().backward()
    assert torch.isfinite(crowd.means.grad).all()
    expected = splat_to_image(crowd.map(torch.detach), views, backend="reference")
    assert (view.alpha - expected.alpha).abs().max() < 5e-3


def test_gradients_of_camera_poses_equal_the_reference():
    scene, rig = random_scene(30, 3, seed=4), cameras()
    w = torch.randn(3, 18, 30, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    grads = []
    for backend, dtype in (("reference", torch.float64), ("cpu", torch.float32)):
        pose = rig.T_ego_cam.to(dtype).clone().requires_grad_()
        views = Cameras(rig.intrinsics.to(dtype), pose, rig.width, rig.height)
        picture = splat_to_image(scene.to(dtype), views, backend=backend)
        (picture.features * w.to(dtype)).sum().backward()
        grads.append(pose.grad.double()[:, :3, 3])  # the rotation block has directions that are no rotation
    assert (grads[0] - grads[1]).abs().max() / grads[0].abs().max() < 5e-3


def test_pictures_do_not_depend_on_threads_and_threads_may_call_at_once():
    scene, views = random_scene(80, 5).map(lambda t: t.float()), cameras(dtype=torch.float32)

    def render():
        leaf = scene.map(lambda t: t.clone().requires_grad_())
        picture = splat_to_image(leaf, views)
        (picture.features.sum() + picture.depth.sum()).backward()
        return picture.features.detach(), leaf.means.grad

    expected = render()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        alone = render()
    finally:
        torch.set_num_threads(before)
    with ThreadPoolExecutor(3) as pool:
        together = [job.result() for job in [pool.submit(render) for _ in range(6)]]
    for result in (alone, *together):
        assert torch.equal(result[0], expected[0])
        assert torch.equal(result[1], expected[1])


def test_gradcheck_of_the_reference():
    scene = random_scene(3, 2, seed=2).replace(opacities=torch.tensor([0.5, 0.6, 0.7], dtype=torch.float64))
    # Wide Gaussians: no pixel is near the 1/255 limit, where the picture jumps.
    scene = scene.replace(scales=torch.full((3, 3), 4.0, dtype=torch.float64) + 0.1 * scene.scales)
    views = cameras(1, 4, 3)
    tensors = [getattr(scene, name).clone().requires_grad_() for name in FIELDS]

    def run(*values):
        r = splat_to_image(Gaussians(*values), views, backend="reference")
        return r.features, r.depth, r.alpha

    assert torch.autograd.gradcheck(run, tensors, eps=1e-6, atol=1e-4)


def single(z=5.0, opacity=1.0, x=0.0, feature=1.0, sigma=0.5):
    return Gaussians(
        torch.tensor([[x, 0.0, z]]), torch.full((1, 3), sigma), torch.tensor([[1.0, 0, 0, 0]]),
        torch.tensor([opacity]), torch.tensor([[feature]]),
    )  # fmt: skip


def both(a, b):
    return Gaussians(*(torch.cat([getattr(a, f), getattr(b, f)]) for f in FIELDS))


@pytest.mark.parametrize("backend", ["reference", "cpu"])
class TestWhatAPictureMustShow:
    view = cameras(1, 31, 19, dtype=torch.float32).map(lambda t: t)

    def render(self, scene, backend, **options):
        K = torch.tensor([[[25.0, 0, 15.5], [0, 25.0, 9.5], [0, 0, 1]]])
        return splat_to_image(scene, Cameras(K, torch.eye(4)[None], 31, 19), backend=backend, **options)

    def test_expected_depth_of_one_gaussian_is_its_depth_and_alpha_its_opacity(self, backend):
        r = self.render(single(z=5.0, opacity=0.6), backend)
        assert r.alpha[0, 9, 15].item() == pytest.approx(0.6, abs=1e-5)
        hit = r.alpha[0] > 0
        assert r.depth[0][hit].sub(5).abs().max() < 1e-4
        assert (r.depth[0][~hit] == 0).all()

    def test_an_opaque_front_hides_the_back_in_whatever_order_they_come(self, backend):
        front, back = single(z=4.0, feature=1.0, sigma=2.0), single(z=8.0, feature=-1.0, sigma=2.0)
        for scene in (both(front, back), both(back, front)):
            assert self.render(scene, backend).features[0, 9, 15, 0] > 0.99

    def test_near_far_and_behind(self, backend):
        assert self.render(single(z=5.0), backend, near=6.0).alpha.sum() == 0
        assert self.render(single(z=5.0), backend, far=4.0).alpha.sum() == 0
        assert self.render(single(z=-5.0), backend).alpha.sum() == 0

    def test_background_fills_what_alpha_leaves(self, backend):
        r = self.render(single(opacity=0.6), backend, background=torch.tensor([10.0]))
        assert r.features[0, 9, 15, 0].item() == pytest.approx(0.6 + 4.0, abs=1e-4)
        assert r.features[0, 0, 0, 0].item() == pytest.approx(10.0, abs=1e-2)

    def test_an_empty_scene_is_an_empty_picture(self, backend):
        r = self.render(single().map(lambda t: t[:0]), backend)
        assert r.alpha.sum() == 0
        assert r.features.shape == (1, 19, 31, 1)

    def test_a_gaussian_appears_where_its_mean_projects(self, backend):
        r = self.render(single(x=1.0, sigma=0.05), backend)
        row, column = divmod(int(r.alpha[0].argmax()), 31)
        assert (row, column) == (9, 20)  # 15.5 + 25 * 1 / 5 = 20.5


def test_batches_equal_single_scenes():
    scene = random_scene(20, 3).map(lambda t: torch.stack([t, t.flip(0) * 0.9]).float())
    views = cameras(dtype=torch.float32).map(lambda t: torch.stack([t, t]))
    r = splat_to_image(scene, views)
    assert r.features.shape == (2, 3, 18, 30, 3)
    alone = splat_to_image(scene.map(lambda t: t[1]), views.map(lambda t: t[1]))
    assert torch.equal(r.depth[1], alone.depth)


def test_a_batch_of_no_scenes_gives_no_pictures():
    scene = random_scene(4, 2).map(lambda t: t.float()[None][:0])
    views = cameras(dtype=torch.float32).map(lambda t: t[None][:0])
    for backend in ("cpu", "reference"):
        assert splat_to_image(scene, views, backend=backend).features.shape == (0, 3, 18, 30, 2)


def test_bad_arguments():
    scene, views = random_scene(4, 2).map(lambda t: t.float()), cameras(dtype=torch.float32)
    with pytest.raises(ShapeError, match="leading dimensions"):
        splat_to_image(scene, views.map(lambda t: t[None]))
    with pytest.raises(ConfigError, match="depth"):
        splat_to_image(scene, views, depth="median")
    with pytest.raises(ConfigError, match="near"):
        splat_to_image(scene, views, near=2.0, far=1.0)
    with pytest.raises(ConfigError, match="skew"):
        splat_to_image(scene, replace(views, intrinsics=views.intrinsics + 1.0))
    with pytest.raises(ConfigError, match="undistort"):
        splat_to_image(scene, replace(views, distortion=torch.ones(3, 4)))
    with pytest.raises(ConfigError, match="fisheye"):
        splat_to_image(scene, replace(views, model="fisheye"))
    with pytest.raises(ShapeError, match="cameras"):
        splat_to_image(scene, views.map(lambda t: t * math.nan))
    for name in FIELDS:
        bad = scene.map(torch.clone)
        getattr(bad, name).view(-1)[1] = math.inf
        with pytest.raises(ShapeError, match=name):
            splat_to_image(bad, views)
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="NVIDIA GPU"):
            splat_to_image(scene, views, backend="cuda")


@pytest.mark.gpu
def test_gsplat_shows_the_same_picture():
    scene = random_scene(150, 18)
    expected = splat_to_image(scene, cameras(), depth="accumulated", backend="reference")
    on_gpu = splat_to_image(scene.to("cuda", torch.float32), cameras().to("cuda", torch.float32), depth="accumulated")
    assert (on_gpu.features.cpu().double() - expected.features).abs().mean() < 1e-3
    assert (on_gpu.alpha.cpu().double() - expected.alpha).abs().mean() < 1e-3


@pytest.mark.parametrize("at", [(0, 0), (1, 1)])
def test_a_focal_length_of_zero_shows_nothing(at):
    rig = cameras()
    K = rig.intrinsics.clone()
    K[1, at[0], at[1]] = 0
    with pytest.raises(ShapeError, match=r"cameras\.intrinsics: expected focal lengths other than 0"):
        splat_to_image(random_scene(5, 2), replace(rig, intrinsics=K))
