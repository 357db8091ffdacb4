# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Voxel losses against independent formulas."""

import itertools

import pytest
import torch

from gsocc_core.losses.occupancy import lovasz_softmax, occupied_loss, voxel_class_loss


def test_occupied_loss_is_masked_and_balanced():
    p = torch.tensor([0.9, 0.2, 0.5])
    occupied = torch.tensor([True, False, True])
    mask = torch.tensor([True, True, False])
    expected = (-3 * torch.log(torch.tensor(0.9)) - torch.log(torch.tensor(0.8))) / 2
    assert occupied_loss(p, occupied, mask, balance=3.0).item() == pytest.approx(expected.item(), rel=1e-5)
    assert occupied_loss(p, occupied, torch.zeros(3, dtype=torch.bool)).item() == 0


def test_voxel_class_loss_leaves_out_negative_channels():
    logits = torch.tensor([[0.0, 0.0], [50.0, 0.0]])
    assert voxel_class_loss(logits, torch.tensor([0, -1])).item() == pytest.approx(0.6931, abs=1e-4)


def jaccard_loss(target: torch.Tensor, predicted: torch.Tensor, c: int) -> float:
    t, p = target == c, predicted == c
    return 1 - (t & p).sum().item() / (t | p).sum().item()


def test_lovasz_equals_the_jaccard_loss_on_hard_predictions():
    """The Lovasz extension interpolates the set function, so on 0/1 predictions it is the Jaccard loss itself."""
    for target, predicted in itertools.product(itertools.product(range(3), repeat=4), repeat=2):
        if predicted[0] != 0:
            continue  # a third of all pairs is plenty
        t, p = torch.tensor(target), torch.tensor(predicted)
        probabilities = torch.nn.functional.one_hot(p, 3).double()
        expected = sum(jaccard_loss(t, p, c) for c in set(target)) / len(set(target))
        assert lovasz_softmax(probabilities, t).item() == pytest.approx(expected, abs=1e-9)


def test_lovasz_gradient_lowers_the_loss():
    torch.manual_seed(0)
    logits = torch.randn(50, 4, requires_grad=True)
    target = torch.randint(0, 4, (50,))
    loss = lovasz_softmax(logits.softmax(-1), target)
    loss.backward()
    with torch.no_grad():
        better = lovasz_softmax((logits - 5 * logits.grad).softmax(-1), target)
    assert better < loss
    assert lovasz_softmax(logits[:0].softmax(-1), target[:0]).item() == 0
