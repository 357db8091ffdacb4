# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""splat_to_voxels: the CPU kernels against the float64 reference, and the reference against hand-made sums."""

import math
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gsocc_core import Gaussians, VoxelField, VoxelGrid, splat_to_voxels
from gsocc_core.errors import ConfigError, ShapeError
from gsocc_core.geometry.rigid import quat_to_rotmat, rigid_from_quat
from gsocc_core.splat.shapes import scenes_in_grid

GRID = VoxelGrid((-4.0, -3.2, -1.0), (4.0, 3.2, 1.4), 0.4)
FIELDS = ("means", "scales", "quats", "opacities", "features")


@pytest.mark.parametrize("composition", ["sum", "hazard", "sum_unweighted", "mean"])
@pytest.mark.parametrize("support", ["ellipsoid", "box", "box_voxels"])
@pytest.mark.parametrize(("n", "channels", "cutoff"), [(1, 1, 3.0), (60, 18, 3.0), (25, 40, 1.7), (3, 768, 3.0)])
def test_cpu_values_and_gradients_equal_the_float64_reference(
    random_scene, away_from_the_cutoff, composition, support, n, channels, cutoff
):
    scene = random_scene(n, channels, seed=n)
    safe = away_from_the_cutoff(scene, GRID, cutoff, support)
    assert safe.double().mean() > 0.9
    g = torch.Generator().manual_seed(1)
    weights = torch.randn(*GRID.shape, channels + 1, generator=g, dtype=torch.float64) * safe[..., None]
    results = {}
    for backend, dtype in (("reference", torch.float64), ("cpu", torch.float32)):
        leaf = scene.map(lambda t, dtype=dtype: t.to(dtype).clone().requires_grad_())
        field = splat_to_voxels(leaf, GRID, composition=composition, support=support, cutoff=cutoff, backend=backend)
        # Where the density is tiny the normalised features have unbounded gradients; leave those voxels to the values.
        solid = (field.density.detach() > 1e-2) & safe
        w = (weights * solid[..., None]).to(dtype)
        ((field.density * w[..., 0]).sum() + (field.features * w[..., 1:]).sum()).backward()
        results[backend] = field, {name: getattr(leaf, name).grad.double() for name in FIELDS}
    (expected, expected_grads), (got, got_grads) = results["reference"], results["cpu"]
    torch.testing.assert_close(got.density.double()[safe], expected.density[safe], rtol=2e-5, atol=2e-6)
    torch.testing.assert_close(got.features.double()[safe], expected.features[safe], rtol=2e-3, atol=2e-4)
    for name in FIELDS:
        scale = expected_grads[name].abs().max().clamp(min=1e-9)
        error = (got_grads[name] - expected_grads[name]).abs().max() / scale
        assert error < 2e-4, f"{name}: relative error {error:.1e}"


HOSTILE = {
    "flat": [2.0, 2.0, 0.01],
    "needles": [3.0, 0.02, 0.02],
    "huge": [50.0, 50.0, 50.0],
    "tiny": [1e-4, 1e-4, 1e-4],
}


@pytest.mark.parametrize("support", ["ellipsoid", "box", "box_voxels"])
@pytest.mark.parametrize("composition", ["sum_unweighted", "mean"])
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_shapes_equal_the_float64_reference(random_scene, away_from_the_cutoff, kind, support, composition):
    scene = random_scene(40, 3, seed=11)
    scene = scene.replace(scales=torch.tensor(HOSTILE[kind], dtype=torch.float64).expand(40, 3).clone())
    scene = scene.replace(means=GRID.centers.double().reshape(-1, 3)[torch.arange(40) * 37 % 1920] + 5e-5)
    scene = scene.map(lambda t: t.float().double())  # a mean rounded to float32 moves by 2e-7 m, a lot at 1e-4 m
    safe = away_from_the_cutoff(scene, GRID, 3.0, support)
    fields, grads = [], []
    for backend, dtype in (("reference", torch.float64), ("cpu", torch.float32)):
        leaf = scene.map(lambda t, dtype=dtype: t.to(dtype).clone().requires_grad_())
        field = splat_to_voxels(leaf, GRID, composition=composition, support=support, backend=backend)
        ((field.density + field.features.sum(-1)) * safe.to(dtype)).sum().backward()
        fields.append(field)
        grads.append({name: getattr(leaf, name).grad.double() for name in FIELDS})
    assert (fields[1].density.double() - fields[0].density)[safe].abs().max() < 1e-3
    assert (fields[1].features.double() - fields[0].features)[safe].abs().max() < 3e-3
    for name in FIELDS:
        scale = grads[0][name].abs().max().clamp(min=1e-3)
        assert (grads[1][name] - grads[0][name]).abs().max() / scale < 1e-2, name


@pytest.mark.parametrize("cutoff", [12.9, 13.3, 16.0, 40.0, 1e200])
@pytest.mark.parametrize("support", ["ellipsoid", "box", "box_voxels"])
@pytest.mark.parametrize("composition", ["sum", "mean"])
def test_a_wide_support_adds_what_the_gaussian_is_worth(random_scene, cutoff, support, composition):
    column = VoxelGrid((0.0, 0.0, 0.0), (0.5, 0.5, 8.5), 0.5)
    one = Gaussians(
        torch.tensor([[0.25, 0.25, 4.25]]), torch.full((1, 3), 0.2), torch.tensor([[1.0, 0, 0, 0]]), torch.ones(1),
        torch.ones(1, 1),
    )  # fmt: skip
    options = {"composition": composition, "cutoff": cutoff, "support": support}
    density = splat_to_voxels(one, column, **options).density.flatten()
    assert density[7:10].tolist() == pytest.approx([0.043937, 1.0, 0.043937], rel=1e-4)  # exp(-0.5 (0.5 / 0.2)^2)
    assert density.sum().item() == pytest.approx(1.087881, rel=1e-4)

    scene = random_scene(20, 3, seed=8, sigma=(0.05, 0.5))
    fields, grads = {}, {}
    for backend, dtype in (("reference", torch.float64), ("cpu", torch.float32)):
        leaf = scene.map(lambda t, dtype=dtype: t.to(dtype).clone().requires_grad_())
        field = splat_to_voxels(leaf, GRID, backend=backend, **options)
        solid = (field.density.detach() > 1e-2)[..., None]
        (field.density.sum() + (field.features * solid).sum()).backward()
        fields[backend] = field
        grads[backend] = {name: getattr(leaf, name).grad.double() for name in FIELDS}
    torch.testing.assert_close(fields["cpu"].density.double(), fields["reference"].density, rtol=1e-4, atol=1e-30)
    reached = fields["reference"].density > 1e-30
    torch.testing.assert_close(
        fields["cpu"].features.double()[reached], fields["reference"].features[reached], rtol=2e-3, atol=2e-4
    )
    for name in FIELDS:
        scale = grads["reference"][name].abs().max()
        assert (grads["cpu"][name] - grads["reference"][name]).abs().max() < 2e-4 * scale, name


def test_densities_that_float32_cannot_divide_by_have_no_vote():
    one = Gaussians(
        torch.tensor([[0.2, 0.2, 0.0]]), torch.full((1, 3), 0.5), torch.eye(4)[:1], torch.full((1,), 1e-40),
        torch.ones(1, 2),
    ).map(lambda t: t.clone().requires_grad_())  # fmt: skip
    field = splat_to_voxels(one, GRID)
    (field.density.sum() + field.features.sum()).backward()
    assert torch.isfinite(field.features).all()
    assert all(torch.isfinite(getattr(one, name).grad).all() for name in FIELDS)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000), n=st.integers(1, 12), cutoff=st.floats(0.5, 6.0), split=st.integers(0, 12),
    support=st.sampled_from(["ellipsoid", "box", "box_voxels"]),
)  # fmt: skip
def test_the_density_of_two_scenes_together_is_the_sum_of_both(random_scene, seed, n, cutoff, split, support):
    scene = random_scene(n, 2, seed=seed).map(lambda t: t.float())
    parts = [scene.map(lambda t: t[:split]), scene.map(lambda t: t[split:]), scene]
    a, b, both = (splat_to_voxels(p, GRID, cutoff=cutoff, support=support) for p in parts)
    torch.testing.assert_close(a.density + b.density, both.density, rtol=1e-5, atol=1e-6)
    votes = a.features * a.density[..., None] + b.features * b.density[..., None]
    torch.testing.assert_close(votes, both.features * both.density[..., None], rtol=1e-4, atol=1e-5)


def test_reference_equals_a_loop_over_voxels_and_gaussians(random_scene):
    scene = random_scene(4, 2, seed=3)
    grid = VoxelGrid((-2.0, -1.0, -1.0), (2.0, 1.0, 1.0), 1.0)
    field = splat_to_voxels(scene, grid, backend="reference")
    sigma = scene.covariances().numpy()
    for index in np.ndindex(*grid.shape):
        center = np.array([-1.5, -0.5, -0.5]) + index
        density, votes = 0.0, np.zeros(2)
        for i in range(4):
            d = center - scene.means[i].numpy()
            q = d @ np.linalg.inv(sigma[i]) @ d
            if q <= 9:
                weight = scene.opacities[i].item() * math.exp(-q / 2)
                density += weight
                votes += weight * scene.features[i].numpy()
        assert field.density[index].item() == pytest.approx(density, abs=1e-9)
        assert field.features[index].numpy() == pytest.approx(votes / density if density else votes, abs=1e-7)


def test_gradcheck_of_the_reference(random_scene):
    scene = random_scene(3, 2, seed=5, sigma=(0.6, 1.5))
    grid = VoxelGrid((-1.6, -1.6, -0.8), (1.6, 1.6, 0.8), 0.8)
    tensors = [getattr(scene, name).clone().requires_grad_() for name in FIELDS]

    def run(*values):
        # A support wider than the grid: the gradient holds it fixed, a finite difference across its border does not.
        field = splat_to_voxels(Gaussians(*values), grid, cutoff=30.0, backend="reference")
        return field.density, field.features

    assert torch.autograd.gradcheck(run, tensors, eps=1e-6, atol=1e-5)


def test_a_gaussian_of_opacity_zero_still_learns_its_opacity(random_scene):
    scene = random_scene(3, 2, seed=2, sigma=(0.4, 0.6)).map(lambda t: t[:1])
    scene = scene.replace(means=torch.zeros(1, 3, dtype=torch.float64), opacities=torch.zeros(1, dtype=torch.float64))
    grads = []
    for backend, dtype in (("reference", torch.float64), ("cpu", torch.float32)):
        leaf = scene.map(lambda t, dtype=dtype: t.to(dtype).clone().requires_grad_())
        splat_to_voxels(leaf, GRID, backend=backend).density.sum().backward()
        grads.append(leaf.opacities.grad.double())
    assert grads[0].item() > 1
    torch.testing.assert_close(grads[1], grads[0], rtol=1e-4, atol=0)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_hostile_inputs(random_scene, backend):
    def one(**changes):
        base = Gaussians(
            torch.tensor([[0.2, 0.2, 0.0]]), torch.full((1, 3), 0.5), torch.tensor([[1.0, 0, 0, 0]]), torch.ones(1),
            torch.ones(1, 2),
        )  # fmt: skip
        return splat_to_voxels(base.replace(**changes), GRID, backend=backend)

    assert one(opacities=torch.zeros(1)).features.abs().sum() == 0
    assert one(means=torch.tensor([[500.0, 0.0, 0.0]])).density.sum() == 0
    assert one(scales=torch.full((1, 3), 50.0)).density.min() > 0.98
    tiny = one(scales=torch.full((1, 3), 1e-4))
    assert (tiny.density > 0).sum() == 1, "the mean lies on a voxel centre"
    assert torch.isfinite(one(scales=torch.zeros(1, 3)).density).all()
    none = random_scene(5, 2).map(lambda t: t[:0].float())
    assert splat_to_voxels(none, GRID, backend=backend).density.sum() == 0
    for name in FIELDS:
        bad = random_scene(5, 2).map(lambda t: t.float().clone())
        getattr(bad, name).view(-1)[3] = math.nan
        with pytest.raises(ShapeError, match=name):
            splat_to_voxels(bad, GRID, backend=backend)


def test_batch_dimensions_and_out_buffers(random_scene):
    scene = random_scene(24, 3).map(lambda t: t.float().reshape(2, 3, 4, *t.shape[1:]))
    field = splat_to_voxels(scene, GRID)
    assert field.features.shape == (2, 3, *GRID.shape, 3)
    single = splat_to_voxels(scene.map(lambda t: t[1, 2]), GRID)
    assert torch.equal(field.density[1, 2], single.density)
    out = VoxelField(torch.full_like(field.density, 7.0), torch.full_like(field.features, 7.0), GRID)
    with torch.no_grad():
        again = splat_to_voxels(scene, GRID, out=out)
    assert again.density.data_ptr() == out.density.data_ptr()
    assert torch.equal(out.features, field.features)
    for backend in ("cpu", "reference"):
        assert splat_to_voxels(scene.map(lambda t: t[:0]), GRID, backend=backend).density.shape == (0, 3, *GRID.shape)
    with pytest.raises(ShapeError, match="out"):
        splat_to_voxels(scene.map(lambda t: t[0]), GRID, out=out)


def test_a_posed_grid_equals_moved_gaussians(random_scene):
    T = rigid_from_quat([0.9, 0.1, -0.2, 0.3], [1.0, -0.5, 0.2])
    posed = VoxelGrid(GRID.lower, GRID.upper, 0.4, tuple(map(tuple, T)))
    scene = random_scene(20, 2, sigma=(0.3, 0.8))
    # The same centres, moved into the ego frame, must see the same Gaussians.
    centers = GRID.centers.double() @ torch.from_numpy(T[:3, :3]).T + torch.from_numpy(T[:3, 3])
    offset = centers.reshape(-1, 1, 3) - scene.means
    q = torch.einsum("pni,nij,pnj->pn", offset, torch.linalg.inv(scene.covariances()), offset)
    expected = (torch.where(q <= 9, torch.exp(-q / 2), 0.0) @ scene.opacities).view(GRID.shape)
    got = splat_to_voxels(scene, posed, backend="reference").density
    torch.testing.assert_close(got, expected, rtol=1e-8, atol=1e-8)


def test_results_do_not_depend_on_threads_and_threads_may_call_at_once(random_scene):
    import numba

    scene = random_scene(200, 5).map(lambda t: t.float())
    expected = splat_to_voxels(scene, GRID)
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        assert torch.equal(splat_to_voxels(scene, GRID).features, expected.features)
    finally:
        numba.set_num_threads(before)
    results = [None] * 4

    def run(i):
        results[i] = splat_to_voxels(scene, GRID).features

    threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(r, expected.features) for r in results)


def test_second_derivatives_are_refused_not_wrong(random_scene):
    scene = random_scene(4, 2).map(lambda t: t.float().requires_grad_())
    density = splat_to_voxels(scene, GRID).density
    (grad,) = torch.autograd.grad(density.square().sum(), scene.means, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


def test_unknown_options_name_the_choices(random_scene):
    scene = random_scene(2, 2)
    with pytest.raises(ConfigError, match=r"composition.*hazard"):
        splat_to_voxels(scene, GRID, composition="max")
    with pytest.raises(ConfigError, match="cutoff"):
        splat_to_voxels(scene, GRID, cutoff=0.0)


def test_whitening_is_the_inverse_square_root_of_the_covariance(random_scene):
    scene = random_scene(10, 1)
    A = scenes_in_grid(scene, GRID, 3.0).whitening[0]
    eye = A @ scene.covariances() @ A.transpose(-1, -2)
    torch.testing.assert_close(eye, torch.eye(3, dtype=torch.float64).expand(10, 3, 3), rtol=1e-8, atol=1e-8)
    assert quat_to_rotmat(scene.quats).det().allclose(torch.ones(10, dtype=torch.float64))
