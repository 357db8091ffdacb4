# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""splat_at_voxels: some voxels against all of them in float64, values and gradients."""

import pytest
import torch

from gsocc_core import Gaussians, VoxelGrid, splat_to_voxels
from gsocc_core.errors import ShapeError
from gsocc_core.splat import splat_at_voxels
from gsocc_core.splat.voxels import cpu

#: Tiles that the grid does not fill, and columns of more than one block.
GRID = VoxelGrid((-4.0, -3.2, -1.0), (4.0, 3.2, 6.6), 0.4)
FIELDS = ("means", "scales", "quats", "opacities", "features")


def pairs_of(random_scene, dtype) -> Gaussians:
    scenes = [random_scene(30, 18, seed) for seed in (1, 2)]
    return (
        scenes[0]
        .map(lambda t: t[None].expand(2, *t.shape))
        .replace(
            **{name: torch.stack([getattr(s, name) for s in scenes]).to(dtype).requires_grad_() for name in FIELDS}
        )
    )


def chosen_voxels() -> torch.Tensor:
    g = torch.Generator().manual_seed(3)
    voxels = torch.randint(0, 3, (2, *GRID.shape), generator=g, dtype=torch.uint8)
    voxels[0, :9], voxels[1, :, 3:12] = 0, 1  # tiles that nobody asks for, and that nobody asks for features
    return voxels


def weights_of(voxels, channels):
    g = torch.Generator().manual_seed(4)
    return (
        torch.randn(voxels.shape, generator=g, dtype=torch.float64),
        torch.randn(int((voxels == 2).sum()), channels, generator=g, dtype=torch.float64),
    )


@pytest.mark.parametrize("composition", ["sum", "hazard", "sum_unweighted", "mean"])
@pytest.mark.parametrize("support", ["ellipsoid", "box_voxels"])
def test_some_voxels_are_those_of_the_whole_in_float64(random_scene, away_from_the_cutoff, composition, support):
    voxels, options = chosen_voxels(), {"composition": composition, "support": support}
    exact, single = pairs_of(random_scene, torch.float64), pairs_of(random_scene, torch.float32)
    whole = splat_to_voxels(exact, GRID, backend="reference", **options)
    density, features = splat_at_voxels(single, GRID, voxels, **options)
    scenes = [exact.map(lambda t, b=b: t[b].detach()) for b in range(2)]
    safe = torch.stack([away_from_the_cutoff(scene, GRID, 3.0, support) for scene in scenes])
    solid = safe & (whole.density.detach() > 1e-2)
    picked, full = voxels == 2, solid[voxels == 2]
    torch.testing.assert_close(
        density.double(), torch.where(safe & (voxels > 0), whole.density, density.double() * (voxels > 0)), rtol=2e-5,
        atol=2e-6,
    )  # fmt: skip
    torch.testing.assert_close(features.double()[full], whole.features[picked][full], rtol=1e-4, atol=1e-4)
    by_density, by_features = weights_of(voxels, 18)
    by_density, by_features = by_density * solid, by_features * full[:, None]
    ((whole.density * by_density * (voxels > 0)).sum() + (whole.features[picked] * by_features).sum()).backward()
    ((density * by_density.float()).sum() + (features * by_features.float()).sum()).backward()
    for name in FIELDS:
        expected, found = getattr(exact, name).grad, getattr(single, name).grad.double()
        assert (found - expected).abs().max() / expected.abs().max() < 2e-4, name


def gradients(scene, voxels):
    density, features = splat_at_voxels(scene, GRID, voxels)
    by_density, by_features = (w.float() for w in weights_of(voxels, 18))
    outer = (density * by_density).sum() + (features * by_features).sum()
    return torch.autograd.grad(outer, [getattr(scene, name) for name in FIELDS])


def test_gradients_are_gathered_in_rounds_to_the_same_bits(random_scene, monkeypatch):
    scene, voxels = pairs_of(random_scene, torch.float32), chosen_voxels()
    at_once = gradients(scene, voxels)
    monkeypatch.setattr(cpu, "HELD_ENTRIES", 7)
    for one, other in zip(at_once, gradients(scene, voxels)):
        assert torch.equal(one, other)


def test_nothing_is_asked(random_scene):
    scene = pairs_of(random_scene, torch.float32)
    density, features = splat_at_voxels(scene, GRID, torch.zeros(2, *GRID.shape, dtype=torch.uint8))
    assert not density.any()
    assert features.shape == (0, 18)
    (density.sum() + features.sum()).backward()
    assert not scene.means.grad.any()


def test_voxels_that_do_not_fit_are_refused(random_scene):
    scene = pairs_of(random_scene, torch.float32)
    with pytest.raises(ShapeError, match="voxels"):
        splat_at_voxels(scene, GRID, torch.zeros(1, *GRID.shape, dtype=torch.uint8))
    with pytest.raises(ShapeError, match="voxels"):
        splat_at_voxels(scene, GRID, torch.zeros(2, *GRID.shape))
