# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What pictures say of places, against walks along every ray; and which previous Gaussians go on."""

import math

import pytest
import torch

from gsocc_core import Cameras, Gaussians
from gsocc_core.networks.carried import CarriedGaussians, gathered, is_seen, joined
from gsocc_core.networks.hidden import behind_m, density_at, depth_shown


def camera(yaw=0.0, x=0.0):
    """One camera 8 pixels wide, that looks along a heading."""
    c, s = math.cos(yaw), math.sin(yaw)
    T = torch.tensor([[s, 0.0, c, x], [-c, 0.0, s, 0.0], [0.0, -1.0, 0.0, 1.5], [0.0, 0.0, 0.0, 1.0]])
    K = torch.tensor([[8.0, 0.0, 4.0], [0.0, 8.0, 3.0], [0.0, 0.0, 1.0]])
    return Cameras(K[None, None], T[None, None], width=8, height=6)


def scene(count, seed=0, low=0.2):
    g = torch.Generator().manual_seed(seed)
    means = torch.rand(1, count, 3, generator=g) * torch.tensor([20.0, 16.0, 3.0]) + torch.tensor([2.0, -8.0, 0.0])
    return Gaussians(
        means, 0.3 + 1.5 * torch.rand(1, count, 3, generator=g), torch.randn(1, count, 4, generator=g),
        low + (1 - low) * torch.rand(1, count, generator=g), torch.zeros(1, count, 2),
    )  # fmt: skip


def density(one, points):
    """(N, P) opacity times density of every Gaussian at points (P, 3)."""
    offset = points - one.means[0, :, None]
    precision = torch.linalg.inv(one.covariances()[0])
    return one.opacities[0, :, None] * torch.exp(-0.5 * torch.einsum("npi,nij,npj->np", offset, precision, offset))


def test_depth_is_that_of_the_first_gaussian_that_a_walk_along_the_ray_meets():
    one, eye = scene(12), camera()
    found = depth_shown(one, eye, (6, 8), least=0.3)[0, 0]
    origins, directions = (t.expand(1, 1, 6, 8, 3)[0, 0] for t in eye.rays())
    steps = torch.arange(0.005, 40.0, 0.01)
    for row in range(6):
        for column in range(8):
            walk = density(one, origins[row, column] + steps[:, None] * directions[row, column])
            best, place = walk.max(1)
            met = steps[place][(best >= 0.3) & (place > 0)]
            if not len(met):
                assert found[row, column].isinf()
            else:
                assert abs(float(found[row, column] - met.min())) < 0.02
    assert 5 < found.isfinite().sum() < 48


def test_density_is_the_sum_over_gaussians():
    one, points = scene(9, 1), torch.rand(1, 20, 3) * torch.tensor([20.0, 10.0, 3.0])
    torch.testing.assert_close(density_at(one, points)[0], density(one, points[0]).sum(0), rtol=1e-4, atol=1e-5)


def test_a_point_is_as_far_behind_as_the_kindest_picture_says():
    one, other = camera(), camera(x=-4.0)
    both = Cameras(
        torch.cat([one.intrinsics, other.intrinsics], 1), torch.cat([one.T_ego_cam, other.T_ego_cam], 1), 8, 6
    )
    points = torch.tensor([[[6.0, 0.0, 1.5], [-20.0, 0.0, 1.5], [1.0, 1.0, 1.5]]])
    depth = torch.tensor([4.0, 11.0]).view(1, 2, 1, 1).expand(1, 2, 3, 4)
    every, none = torch.ones(1, 2, dtype=torch.bool), torch.zeros(1, 2, dtype=torch.bool)
    # 6 m ahead of the one that shows 4 m, 10 m ahead of the one that shows 11 m; the third is beyond the first picture.
    torch.testing.assert_close(behind_m(both, every, depth, points), torch.tensor([[-1.0, torch.inf, -6.0]]))
    assert behind_m(both, none, depth, points).isinf().all()
    first = torch.tensor([[True, False]])
    torch.testing.assert_close(behind_m(both, first, depth, points)[0, :2], torch.tensor([2.0, torch.inf]))


@pytest.fixture
def carrier():
    torch.manual_seed(0)
    return CarriedGaussians(4, 3, kept=0.5)


def gaussians(means, opacities):
    count = len(means)
    return Gaussians(
        torch.tensor([means]), torch.full((1, count, 3), 0.5), torch.tensor([1.0, 0, 0, 0]).expand(1, count, 4),
        torch.tensor([opacities]), torch.zeros(1, count, 2),
    )  # fmt: skip


def test_what_is_hidden_goes_on_and_what_is_seen_through_does_not(carrier):
    wall = gaussians([[6.0, 0.0, 1.5]], [1.0])
    old = gaussians(
        [[12.0, 0.0, 1.5], [3.0, 0.0, 1.5], [6.0, 0.1, 1.5], [-9.0, 0.0, 0.0], [12.0, 0.2, 1.5]],
        [0.9, 0.9, 0.9, 0.4, 0.0],
    )
    lives = torch.ones(1, 5, dtype=torch.bool)
    every = torch.ones(1, 1, dtype=torch.bool)
    depth_m = depth_shown(wall, camera(), (6, 8))
    seen = is_seen(wall, camera(), every, depth_m)
    assert seen.all()
    shown, kept, places = carrier(old, torch.zeros(1, 5, 4), lives, wall, seen, camera(), every, depth_m)
    torch.testing.assert_close(shown.opacities, wall.opacities)  # what is seen does not give way
    alive = {int(p): float(o) for p, o in zip(places[0], kept.opacities[0].detach()) if o > 0}
    # Behind the wall, the wall itself (all but gone, since the present shows it), and beyond the picture.
    assert alive.keys() <= {0, 2, 3}
    assert alive.keys() >= {0, 3}
    assert alive[0] == pytest.approx(0.45, abs=0.05)
    torch.testing.assert_close(kept.means, gathered(old.means, places))
    guess = gaussians([[12.0, 0.0, 1.5]], [1.0])
    hidden, _, _ = carrier(old, torch.zeros(1, 5, 4), lives, guess, ~seen, camera(), every, depth_m)
    assert hidden.opacities.item() < 0.6  # a guess where something was seen gives way to it
    _, nobody, _ = carrier(old, torch.zeros(1, 5, 4), ~lives, wall, seen, camera(), every, depth_m)
    assert (nobody.opacities == 0).all()
    kept.opacities.sum().backward()
    assert carrier.keep[-1].bias.grad.abs() > 0
    assert len(joined(wall, kept)) == 1 + 3
