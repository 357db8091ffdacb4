# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""GaussTR's two voxel rules, stated once more as plain loops over Gaussians, against the operators."""

import math

import pytest
import torch

from gsocc_core import OCC3D_NUSCENES, Gaussians, VoxelGrid, splat_to_labels, splat_to_voxels
from gsocc_core.errors import ConfigError
from gsocc_core.splat.neighborhood import splat_to_neighborhood

GRID = VoxelGrid((-4.0, -4.0, -1.0), (4.0, 4.0, 2.2), 0.4)
CLASSES = OCC3D_NUSCENES.with_channels(range(1, 17))
RULES = {
    "touched voxels": {"composition": "sum", "support": "box_voxels", "cutoff": 3.0},
    "mean": {"composition": "mean", "support": "ellipsoid", "cutoff": math.sqrt(7.5)},
}
SIGMAS_M = {"small": (0.05, 0.3), "mixed": (0.1, 1.5), "large": (0.3, 4.8), "tiny": (1e-4, 1e-2)}


def sum_over_touched_voxels(scene, grid):
    """Since March 2025: each Gaussian adds to the block of voxels that its box touches."""
    density, votes = torch.zeros(grid.shape).double(), torch.zeros(*grid.shape, scene.features.shape[-1]).double()
    lower, upper, size = (torch.tensor(v).double() for v in (grid.lower, grid.upper, grid.size_m))
    for mean, sigma, opacity, feature in zip(scene.means, scene.covariances(), scene.opacities, scene.features):
        half = 3 * sigma.diagonal().sqrt()
        if ((mean + half < lower) | (mean - half > upper)).any():
            continue
        corners = [((torch.clamp(mean + k * half, lower, upper) - lower) / size).long().tolist() for k in (-1, 1)]
        block = tuple(slice(a, b + 1) for a, b in zip(*corners))
        offset = grid.centers[block].double() - mean
        weight = opacity * torch.exp(-0.5 * ((offset @ torch.linalg.inv(sigma)) * offset).sum(-1))
        density[block] += weight
        votes[block] += weight[..., None] * feature
    return density, votes / density.clamp(min=1e-30)[..., None]


def mean_of_those_that_cover(scene, grid):
    """Version 1.0: density and features are means over the Gaussians that cover a voxel's centre."""
    total, votes = torch.zeros(grid.shape).double(), torch.zeros(*grid.shape, scene.features.shape[-1]).double()
    covering = torch.zeros(grid.shape).double()
    for mean, sigma, opacity, feature in zip(scene.means, scene.covariances(), scene.opacities, scene.features):
        offset = grid.centers.double() - mean
        distance2 = ((offset @ torch.linalg.inv(sigma)) * offset).sum(-1)
        covers = distance2 <= 7.5
        covering[covers] += 1
        total[covers] += opacity * torch.exp(-0.5 * distance2[covers])
        votes[covers] += opacity * feature
    return total / covering.clamp(min=1), votes / covering.clamp(min=1)[..., None]


PUBLISHED = {"touched voxels": sum_over_touched_voxels, "mean": mean_of_those_that_cover}


def scene_of(sigma, n=150):
    """Many means lie outside the grid; features are class probabilities, as GaussTR splats them."""
    g = torch.Generator().manual_seed(4)
    rand = [torch.rand(n, k, generator=g) for k in (3, 3, 1)]
    means = rand[0] * torch.tensor([10.0, 10.0, 5.0]) - torch.tensor([5.0, 5.0, 2.0])
    scales = sigma[0] + (sigma[1] - sigma[0]) * rand[1]
    features = (4 * torch.randn(n, 16, generator=g)).softmax(-1)
    return Gaussians(means, scales, torch.randn(n, 4, generator=g), rand[2][:, 0], features)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("kind", SIGMAS_M)
@pytest.mark.parametrize("rule", RULES)
def test_operators_equal_the_published_loops(away_from_the_cutoff, rule, kind, backend):
    scene, options = scene_of(SIGMAS_M[kind]), RULES[rule]
    exact = scene.map(torch.Tensor.double)
    density, features = PUBLISHED[rule](exact, GRID)
    safe = away_from_the_cutoff(exact, GRID, options["cutoff"], options["support"])
    assert safe.double().mean() > 0.9
    got = splat_to_voxels(exact if backend == "reference" else scene, GRID, backend=backend, **options)
    assert (got.density - density).abs()[safe].max() < 2e-5
    seen = safe & (density > 1e-6)
    torch.testing.assert_close(got.features[seen].double(), features[seen], rtol=1e-3, atol=1e-4)
    best = features.topk(2, dim=-1).values
    clear = safe & ((best[..., 0] - best[..., 1]) > 1e-4) & ((density - 0.04).abs() > 1e-4) | safe & (density == 0)
    expected = torch.where(density > 0.04, torch.tensor(CLASSES.channel_ids)[features.argmax(-1)], 17)
    labels = splat_to_labels(scene, GRID, CLASSES, threshold=0.04, backend=backend, **options).labels
    assert torch.equal(labels[clear].long(), expected[clear])
    if kind != "tiny":
        assert (expected[clear] != 17).double().mean() > 0.05


def column(mean_x, sigma, **options):
    """Density in five voxels of 1 m that begin at 0, of one round Gaussian on the line through their centres."""
    grid = VoxelGrid((0.0, 0.0, 0.0), (5.0, 1.0, 1.0), 1.0)
    one = Gaussians(
        torch.tensor([[mean_x, 0.5, 0.5]]), torch.full((1, 3), sigma), torch.eye(4)[:1], torch.ones(1), torch.ones(1, 1)
    )
    return splat_to_voxels(one, grid, **options).density.flatten()


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize(
    ("mean_x", "touched"),
    [(2.5, [2]), (2.9, [2, 3]), (-0.2, [0]), (-0.4, []), (5.2, [4]), (5.4, []), (2.05, [1, 2]), (-50.0, [])],
)
def test_touched_voxels_are_those_that_a_box_of_three_tenths_of_a_metre_reaches(mean_x, touched, backend):
    density = column(mean_x, 0.1, support="box_voxels", backend=backend)
    assert density.nonzero()[:, 0].tolist() == touched
    for k in touched:
        assert density[k].item() == pytest.approx(math.exp(-0.5 * ((k + 0.5 - mean_x) / 0.1) ** 2), rel=1e-4)
    centres = column(mean_x, 0.1, support="box", backend=backend)
    assert centres.nonzero()[:, 0].tolist() == ([2] if mean_x == 2.5 else [])


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_a_mean_counts_those_that_cover_and_decays_the_density_only(backend):
    grid = VoxelGrid((0.0, 0.0, 0.0), (4.0, 1.0, 1.0), 1.0)
    centres = torch.tensor([[0.5, 0.5, 0.5], [1.5, 0.5, 0.5]])
    scene = Gaussians(
        centres, torch.full((2, 3), 0.5), torch.eye(4)[:1].expand(2, 4), torch.tensor([0.8, 0.4]),
        torch.tensor([[1.0, 0.0], [0.0, 2.0]]),
    )  # fmt: skip
    field = splat_to_voxels(scene, grid, composition="mean", cutoff=2.5, backend=backend)  # a reach of 1.25 m
    phi = math.exp(-2)
    assert field.density.flatten().tolist() == pytest.approx(
        [(0.8 + 0.4 * phi) / 2, (0.8 * phi + 0.4) / 2, 0.4 * phi, 0.0], rel=1e-5
    )
    expected = [[0.4, 0.4], [0.4, 0.4], [0.0, 0.8], [0.0, 0.0]]
    torch.testing.assert_close(field.features[:, 0, 0], torch.tensor(expected), rtol=1e-5, atol=1e-6)


def test_a_needle_across_its_box_covers_voxels_where_it_weighs_nothing():
    grid = VoxelGrid((-2.0, -2.0, -0.5), (2.0, 2.0, 0.5), 1.0)
    turned = torch.tensor([[math.cos(math.pi / 8), 0.0, 0.0, math.sin(math.pi / 8)]])
    needle = Gaussians(
        torch.zeros(1, 3), torch.tensor([[1.0, 0.01, 0.01]]), turned, torch.full((1,), 0.5), torch.full((1, 1), 4.0)
    )
    for backend in ("reference", "cpu"):
        field = splat_to_voxels(needle, grid, composition="mean", support="box_voxels", backend=backend)
        assert (field.features == 2.0).all(), backend
        assert field.density[1, 1, 0].item() == pytest.approx(0.5 * math.exp(-0.25), rel=1e-4)
        assert field.density[0, 3, 0].item() == 0.0


def test_a_mean_has_no_published_neighbourhood():
    with pytest.raises(ConfigError, match=r"composition.*sum_unweighted"):
        splat_to_neighborhood(scene_of((0.1, 0.5)), GRID, 2, "mean")
