# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Losses of whole scenes, labels of coarser grids and first hits of rays, against sums written out."""

import math

import pytest
import torch

from gsocc_core import VoxelGrid
from gsocc_core.errors import ShapeError
from gsocc_core.losses.coarse_labels import coarse_labels
from gsocc_core.losses.ray_distance import first_hit_m
from gsocc_core.losses.scene_scale import frustum_proportion_loss, geometric_affinity_loss, semantic_affinity_loss


def test_affinity_is_minus_the_logarithms_of_precision_recall_and_specificity():
    p = torch.tensor([0.9, 0.4, 0.2, 0.1])
    truth = torch.tensor([True, True, False, False])
    precision, recall, specificity = 1.3 / 1.6, 1.3 / 2, 1.7 / 2
    expected = -sum(map(math.log, (precision, recall, specificity)))
    assert geometric_affinity_loss(p, truth).item() == pytest.approx(expected, rel=1e-5)
    both = torch.stack([1 - p, p], -1)
    other = -sum(map(math.log, ((0.8 + 0.9) / 2.4, 1.7 / 2, 1.3 / 2)))
    assert semantic_affinity_loss(both, truth.long()).item() == pytest.approx((expected + other) / 2, rel=1e-5)


def test_affinity_of_extremes_is_finite_and_so_is_its_gradient():
    for p in (torch.zeros(4), torch.ones(4)):
        for truth in (
            torch.zeros(4, dtype=torch.bool),
            torch.ones(4, dtype=torch.bool),
            torch.tensor([True] + [False] * 3),
        ):
            value = p.clone().requires_grad_()
            loss = geometric_affinity_loss(value, truth)
            loss.backward()
            assert loss.isfinite()
            assert value.grad.isfinite().all()
    assert semantic_affinity_loss(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)) == 0


def test_frustums_compare_mixtures_of_classes():
    uv = torch.tensor([[[0.1, 0.1], [0.2, 0.1], [0.9, 0.9], [0.9, 0.9]]])
    visible = torch.tensor([[True, True, True, False]])
    channel = torch.tensor([0, 1, 2, 0])
    swapped = torch.eye(3)[torch.tensor([1, 0, 2, 1])]  # the mixture is right, and the hidden voxel does not count
    assert frustum_proportion_loss(swapped, channel, uv, visible, 2) < 1e-5
    half = torch.full((4, 3), 1 / 3)
    expected = (2 * 0.5 * math.log(0.5 * 3) + math.log(3)) / 2
    assert frustum_proportion_loss(half, channel, uv, visible, 2).item() == pytest.approx(expected, rel=1e-5)
    assert frustum_proportion_loss(half, torch.full((4,), -1), uv, visible, 2) == 0


def test_coarse_labels_vote_among_the_occupied():
    block = [3, 5, 5, 17, 17, 255, 255, 17]
    labels = torch.tensor(block, dtype=torch.uint8).view(1, 2, 2, 2)
    assert coarse_labels(labels, (1, 1, 1), 17, 255).item() == 5
    assert coarse_labels(labels, (1, 1, 1), 17, 255, 0.5).item() == 5
    assert coarse_labels(labels, (1, 1, 1), 17, 255, 0.6).item() == 17
    assert coarse_labels(torch.full_like(labels, 255), (1, 1, 1), 17, 255).item() == 255
    assert coarse_labels(labels, (2, 2, 2), 17, 255) is labels
    with pytest.raises(ShapeError, match="multiple"):
        coarse_labels(labels, (2, 2, 3), 17, 255)
    torch.manual_seed(0)
    many = torch.randint(0, 18, (2, 4, 6, 2), dtype=torch.uint8)
    small = coarse_labels(many, (2, 2, 2), 17, 255)
    for b, x, y, z in torch.cartesian_prod(*(torch.arange(2),) * 4):
        part = many[b, 2 * x : 2 * x + 2, 3 * y : 3 * y + 3, z].flatten()
        part = part[part != 17]
        assert (part == small[b, x, y, z]).sum() == torch.bincount(part.long()).max()


def test_rays_end_at_the_first_thing_and_know_nothing_behind_the_unknown():
    turn = ((0.0, -1.0, 0.0, 5.0), (1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))
    for T in (None, turn):
        grid = VoxelGrid((0.0, 0.0, 0.0), (8.0, 3.0, 1.0), 1.0, T)
        labels = torch.full((1, 8, 3, 1), 17, dtype=torch.uint8)
        labels[0, 5, 0] = 4
        labels[0, 2, 1], labels[0, 5, 1] = 255, 4
        start = torch.tensor([[[-0.9, 0.5, 0.5], [-0.9, 1.5, 0.5], [-0.9, 2.5, 0.5]]])
        ahead = torch.tensor([1.0, 0.0, 0.0]).expand_as(start)
        if T is not None:
            matrix = torch.tensor(T)
            start, ahead = start @ matrix[:3, :3].T + matrix[:3, 3], ahead @ matrix[:3, :3].T
        found = first_hit_m(labels, grid, start, ahead, 17, 255, 20.0)
        torch.testing.assert_close(found, torch.tensor([[6.0, 0.0, 0.0]]))
        assert first_hit_m(labels, grid, start, ahead, 17, 255, 5.0).sum() == 0
