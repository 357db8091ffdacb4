# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Motion from the labels of two key frames: points come out where they are, and velocities are found by descent."""

import pytest
import torch

from gsocc_core import Cameras
from gsocc_core.losses.flow import flow_alignment_loss, labelled_points


def rig():
    K = torch.tensor([[20.0, 0.0, 16.0], [0.0, 22.0, 8.0], [0.0, 0.0, 1.0]])
    T = torch.eye(4).repeat(2, 1, 1)
    T[0, :3, :3] = torch.tensor([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    T[1, :3, :3] = torch.tensor([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    T[:, :3, 3] = torch.tensor([[1.0, 0.0, 1.5], [-1.0, 0.2, 1.5]])
    return Cameras(K.expand(2, 3, 3), T, 32, 16)


def test_points_lie_where_their_pixels_say():
    views = rig()
    generator = torch.Generator().manual_seed(0)
    depth = torch.rand(2, 16, 32, generator=generator) * 20
    semantics = torch.randint(0, 6, (2, 16, 32), generator=generator, dtype=torch.uint8)
    depth[semantics == 3] = 0.0  # no label
    points = labelled_points(views, depth, semantics, 4, limit=10_000)
    assert len(points) == int(((semantics == 4) & (depth > 0)).sum())
    uv, found, _ = views.project(points)
    hits = 0
    for view in range(2):
        inside = ((uv[view] >= 0) & (uv[view] < torch.tensor([32.0, 16.0]))).all(-1) & (found[view] > 0)
        column, row = uv[view, inside].long().unbind(-1)
        same = (depth[view, row, column] - found[view, inside]).abs() < 1e-3
        hits += int((same & (semantics[view, row, column] == 4)).sum())
    assert hits == len(points)
    assert len(labelled_points(views, depth, semantics, 4, limit=7)) == 7
    assert labelled_points(views, depth, semantics, 3).shape == (0, 3)


def box_surface(center, count=120, seed=0):
    """Points on the sides of a car."""
    generator = torch.Generator().manual_seed(seed)
    points = (torch.rand(count, 3, generator=generator) - 0.5) * torch.tensor([4.5, 1.8, 1.5])
    side = torch.arange(count) % 2
    points[side == 0, 1] = 0.9
    points[side == 1, 0] = -2.25
    return points + torch.tensor(center)


@pytest.mark.parametrize("step", [(5.0, 0.0, 0.0), (-3.0, 1.0, 0.0), (0.0, 0.0, 0.0)])
def test_descent_finds_how_far_a_car_went_beside_a_parked_one(step):
    mover, parked = box_surface((8.0, -3.0, 0.5)), box_surface((8.0, 6.0, 0.5), seed=1)
    now = torch.cat([mover, parked])
    later = torch.cat([mover + torch.tensor(step), parked])
    offsets = torch.zeros(2, 3, requires_grad=True)  # one per car
    optimizer = torch.optim.Adam([offsets], lr=0.1)
    for _ in range(200):
        loss = flow_alignment_loss(now, offsets.repeat_interleave(120, dim=0), later)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.testing.assert_close(offsets[0], torch.tensor(step), atol=0.15, rtol=0)
    torch.testing.assert_close(offsets[1], torch.zeros(3), atol=0.15, rtol=0)


def test_what_left_the_view_does_not_pull():
    car = box_surface((8.0, 0.0, 0.5))
    offsets = torch.zeros(120, 3, requires_grad=True)
    flow_alignment_loss(car, offsets, car + torch.tensor([50.0, 0.0, 0.0])).backward()
    assert offsets.grad.abs().max() == 0
    assert flow_alignment_loss(car, offsets, torch.zeros(0, 3)).item() == 0
    assert flow_alignment_loss(torch.zeros(0, 3), torch.zeros(0, 3), car).item() == 0
