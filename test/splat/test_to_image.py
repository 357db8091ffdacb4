# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""splat_to_image: the CPU rasteriser against the float64 reference, and both against what a picture must show."""

import math

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


@pytest.mark.parametrize("model", ["pinhole", "orthographic"])
@pytest.mark.parametrize(("n", "channels"), [(1, 1), (40, 18), (150, 3)])
def test_cpu_values_and_gradients_equal_the_float64_reference(model, n, channels):
    scene, views = random_scene(n, channels, seed=n), cameras(model=model)
    g = torch.Generator().manual_seed(1)
    w = torch.randn(3, 18, 30, channels + 2, generator=g, dtype=torch.float64)
    results = {}
    for backend, dtype in (("reference", torch.float64), ("cpu", torch.float32)):
        leaf = scene.map(lambda t, dtype=dtype: t.to(dtype).clone().requires_grad_())
        r = splat_to_image(leaf, views.to(dtype), depth="accumulated", backend=backend)
        picture = torch.cat([r.features, r.depth[..., None], r.alpha[..., None]], dim=-1)
        (picture * w.to(dtype)).sum().backward()
        results[backend] = picture.detach().double(), {name: getattr(leaf, name).grad.double() for name in FIELDS}
    (expected, expected_grads), (got, got_grads) = results["reference"], results["cpu"]
    # A Gaussian right at alpha = 1/255 may be skipped by one and not by the other; its weight is at most 1/255.
    error = (got - expected).abs()
    assert error.max() < 0.03
    assert (error > 1e-4).double().mean() < 2e-3
    for name in FIELDS:
        scale = expected_grads[name].abs().max().clamp(min=1e-9)
        assert (got_grads[name] - expected_grads[name]).abs().max() / scale < 5e-3, name


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


def test_bad_arguments():
    scene = random_scene(4, 2).map(lambda t: t.float())
    with pytest.raises(ShapeError, match="leading dimensions"):
        splat_to_image(scene, cameras(dtype=torch.float32).map(lambda t: t[None]))
    with pytest.raises(ConfigError, match="depth"):
        splat_to_image(scene, cameras(dtype=torch.float32), depth="median")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="NVIDIA GPU"):
            splat_to_image(scene, cameras(dtype=torch.float32), backend="cuda")


@pytest.mark.gpu
def test_gsplat_shows_the_same_picture():
    scene = random_scene(150, 18)
    expected = splat_to_image(scene, cameras(), depth="accumulated", backend="reference")
    on_gpu = splat_to_image(scene.to("cuda", torch.float32), cameras().to("cuda", torch.float32), depth="accumulated")
    assert (on_gpu.features.cpu().double() - expected.features).abs().mean() < 1e-3
    assert (on_gpu.alpha.cpu().double() - expected.alpha).abs().mean() < 1e-3
