# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Merged Gaussians have the moments of their parts, and none is dropped."""

import numpy as np
import pytest
import torch

from gsocc_core.errors import ConfigError, ShapeError
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.merging import merge_gaussians, merge_to
from gsocc_core.splat import splat_to_image


def scene(count=300, seed=0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.rand(*shape, generator=g, dtype=dtype)  # noqa: E731
    return Gaussians(
        4 * draw(count, 3) - 2, 0.05 + 0.2 * draw(count, 3), draw(count, 4) - 0.5, 0.2 + 0.7 * draw(count),
        draw(count, 5), draw(count, 3), draw(count, 4, 3),
    )  # fmt: skip


def test_moments_features_and_colours_are_those_of_the_mixture():
    given = scene()
    merged = merge_gaussians(given, 1.0)
    cells = [tuple(c) for c in np.floor(given.means.numpy()).astype(int)]
    assert len(merged) == len(set(cells))
    covariances = given.covariances().numpy()
    for cell in set(cells):
        chosen = np.array([c == cell for c in cells])
        w = given.opacities.numpy()[chosen]
        w = w / w.sum()
        mean = w @ given.means.numpy()[chosen]
        k = int(np.linalg.norm(merged.means.numpy() - mean, axis=1).argmin())
        np.testing.assert_allclose(merged.means[k], mean, atol=1e-12)
        apart = given.means.numpy()[chosen] - mean
        expected = np.einsum("n,nij->ij", w, covariances[chosen]) + np.einsum("n,ni,nj->ij", w, apart, apart)
        np.testing.assert_allclose(merged.covariances()[k], expected, atol=1e-9)
        np.testing.assert_allclose(merged.features[k], w @ given.features.numpy()[chosen], atol=1e-12)
        np.testing.assert_allclose(
            merged.colors_sh[k], np.einsum("n,nkc->kc", w, given.colors_sh.numpy()[chosen]), atol=1e-12
        )
        np.testing.assert_allclose(merged.velocities[k], w @ given.velocities.numpy()[chosen], atol=1e-12)


def test_opacity_is_what_the_parts_cover_of_the_whole():
    quats = torch.tensor([[1.0, 0, 0, 0]]).expand(2, 4)
    twice = Gaussians(torch.zeros(2, 3), torch.ones(2, 3), quats, torch.tensor([0.5, 0.6]), torch.zeros(2, 1))
    assert merge_gaussians(twice, 1.0).opacities.item() == pytest.approx(1 - 0.5 * 0.4)
    # Two small ones far apart cover little of what lies between them: variances 1, 1 and 1 + w (1 - w) 20^2.
    apart = twice.replace(means=torch.tensor([[1.0, 1, 1], [21.0, 1, 1]]))
    area = np.sqrt(1 + 400 * 0.5 * 0.6 / 1.1**2)
    assert merge_gaussians(apart, 100.0).opacities.item() == pytest.approx(1 - (1 - 0.5 / area) * (1 - 0.6 / area))


def test_one_that_is_alone_stays_bit_for_bit():
    given = scene(40, dtype=torch.float32)
    merged = merge_gaussians(given, 1e-4)
    order = torch.cdist(merged.means, given.means).argmin(1)
    for key in ("means", "scales", "quats", "opacities", "features", "colors_sh"):
        assert torch.equal(getattr(merged, key), getattr(given, key)[order])
    near = given.replace(
        means=torch.cat([given.means[:1] + 1e-3, given.means[1:2] * 0 + given.means[0], given.means[2:]])
    )
    partly = merge_gaussians(near, 0.05, origin=given.means[0] - 0.025)
    assert len(partly) == 39
    assert (partly.quats[:, None] == near.quats).all(-1).any(1).sum() == 38


def test_anchors_grow_with_the_distance_to_the_nearest_viewpoint():
    quats = torch.tensor([[1.0, 0, 0, 0]]).expand(4, 4)
    means = torch.tensor([[1.05, 0.05, 0.05], [1.25, 0.05, 0.05], [9.65, 0.05, 0.05], [10.35, 0.05, 0.05]])
    four = Gaussians(means, torch.full((4, 3), 0.01), quats, torch.ones(4), torch.zeros(4, 1))
    merged = merge_gaussians(four, 0.2, torch.zeros(1, 3))
    assert sorted(round(x, 3) for x in merged.means[:, 0].tolist()) == [1.05, 1.25, 10.0]


def test_merge_to_keeps_to_the_limit_with_anchors_as_small_as_they_can_be():
    given = scene(2000)
    for most in (1, 7, 100, 1500):
        merged = merge_to(given, most, torch.zeros(1, 3))
        assert 0.7 * most <= len(merged) <= most
    assert merge_to(given, 2000) is given


def test_a_merged_wall_looks_like_the_wall():
    """A plane of small opaque Gaussians in two colours, from in front: four times fewer."""
    y, z = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    means = torch.stack([(y.flatten() - 31.5) / 16, (z.flatten() - 31.5) / 16, torch.full((4096,), 4.0)], -1)
    colors = torch.where(means[:, :1] > 0.5, torch.tensor([1.0, 0.2]), torch.tensor([0.1, 0.9]))
    quats = torch.tensor([1.0, 0, 0, 0]).expand(4096, 4)
    wall = Gaussians(means, torch.full((4096, 3), 0.04), quats, torch.full((4096,), 0.9), colors)
    camera = Cameras(torch.tensor([[[32.0, 0, 16], [0, 32, 16], [0, 0, 1]]]), torch.eye(4)[None], 32, 32)
    merged, dropped = merge_gaussians(wall, 0.125), wall.map(lambda t: t[::4])
    assert len(merged) == len(dropped) == 1024
    whole, fewer, less = (splat_to_image(g, camera).features[0] for g in (wall, merged, dropped))
    assert -10 * torch.log10((whole - fewer).square().mean()) > 22
    assert (whole - fewer).square().mean() < 0.5 * (whole - less).square().mean()


def test_wrong_input_is_one_line():
    with pytest.raises(ConfigError, match="anchor_size: expected above 0"):
        merge_gaussians(scene(), 0.0)
    with pytest.raises(ConfigError, match="most: expected 1 or more"):
        merge_to(scene(), 0)
    with pytest.raises(ShapeError, match="without batch dimensions"):
        merge_gaussians(scene().map(lambda t: t[None]), 1.0)
    with pytest.raises(ShapeError, match="means: expected finite"):
        merge_to(scene().replace(means=scene().means * torch.nan), 10)
