# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Two moments say how things moved; one does not."""

import pytest
import torch

from gsocc_core.networks.flow_embedding import FlowEmbedding, MovingPoints


def things(seed, moved=True):
    """Six things of four points each, now and half a second ago, in a field of points that cannot move."""
    g = torch.Generator().manual_seed(seed)
    middle = (torch.rand(6, 1, 3, generator=g) - 0.5) * 60
    speed = torch.randn(6, 1, 3, generator=g) * torch.tensor([2.0, 2.0, 0.0]) * moved
    shape = torch.rand(6, 4, 3, generator=g) * 2
    now, then = ((middle + shape + part).flatten(0, 1)[None] for part in (0.0, -0.5 * speed))

    def points(places):
        idle = (torch.rand(1, 10, 3, generator=g) - 0.5) * 60
        worth = torch.cat([torch.full((1, 24), 0.8), torch.zeros(1, 10)], dim=1)
        means = torch.cat([places, idle], dim=1)
        return MovingPoints(means, torch.zeros(1, 34, 4), torch.zeros(1, 34, 3), worth)

    return now, points(now), points(then), speed.expand(-1, 4, -1).flatten(0, 1)[None]


@pytest.mark.parametrize("both", [True, False])
def test_motion_is_learned_from_two_moments_only(both):
    torch.manual_seed(0)
    net = FlowEmbedding(4, 32, neighbours=6)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)

    def errors(seed):
        means, now, then, speed = things(seed)
        return (net(means, now, then if both else now)[..., :3] - speed).norm(dim=-1).mean(), speed.norm(dim=-1).mean()

    for step in range(120):
        optimizer.zero_grad()
        errors(step)[0].backward()
        optimizer.step()
    with torch.no_grad():
        found, rest = (torch.stack(v).mean() for v in zip(*(errors(10_000 + seed) for seed in range(20))))
    assert (found < 0.5 * rest) if both else (found > 0.9 * rest)


def test_what_cannot_move_or_is_far_away_is_not_read():
    net = FlowEmbedding(4, 8, neighbours=6)
    means, now, then, _ = things(0)
    whole = net(means, now, then)
    assert net.out.bias.abs().sum() == 0
    idle = torch.cat([torch.zeros(1, 24, dtype=torch.bool), torch.ones(1, 10, dtype=torch.bool)], dim=1)
    elsewhere = torch.where(idle[..., None], means[:, :1], then.means)
    torch.testing.assert_close(
        net(means, now, MovingPoints(elsewhere, then.features, then.velocities, then.worth)), whole
    )
    far = means + 1000.0
    assert (net(far, now, then) == 0).all()
