# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Fine labels against coarse pixels."""

import math

import pytest
import torch

from gsocc_core.errors import ShapeError
from gsocc_core.losses.pixel_shares import pixel_shares_loss


def test_each_coarse_pixel_is_asked_for_what_it_covers():
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 5, 2, 4, dtype=torch.float64, requires_grad=True)
    index = torch.randint(-1, 7, (2, 3, 4, 12))
    labelled = torch.rand(2, 3, 4, 12) < 0.4
    costs = []
    for b in range(2):
        for v in range(3):
            for i in range(2):
                for j in range(4):
                    window = (b, v, slice(2 * i, 2 * i + 2), slice(3 * j, 3 * j + 3))
                    bins = index[window][labelled[window]].clamp(0, 4).tolist()
                    if bins:
                        likely = logits[b, v, :, i, j].log_softmax(0)
                        costs.append(-sum(likely[k] for k in bins) / len(bins))
    expected = torch.stack(costs).mean()
    loss = pixel_shares_loss(logits, index, labelled)
    torch.testing.assert_close(loss, expected)
    found = torch.autograd.grad(loss, logits)[0]
    torch.testing.assert_close(found, torch.autograd.grad(expected, logits)[0])


def test_without_labels_nothing_is_taught_and_wrong_sizes_are_refused():
    logits = torch.randn(1, 1, 4, 2, 2, requires_grad=True)
    loss = pixel_shares_loss(logits, torch.zeros(1, 1, 4, 4).long(), torch.zeros(1, 1, 4, 4).bool())
    loss.backward()
    assert loss.item() == 0.0
    assert not logits.grad.any()
    with pytest.raises(ShapeError, match="multiples of 2 and 2"):
        pixel_shares_loss(logits, torch.zeros(1, 1, 3, 4).long(), torch.zeros(1, 1, 3, 4).bool())


def test_the_best_answer_is_the_shares_themselves():
    shares = torch.tensor([0.5, 0.25, 0.25])
    index = torch.tensor([0, 0, 1, 2]).view(1, 1, 2, 2)
    all_there = torch.ones(1, 1, 2, 2).bool()
    best = pixel_shares_loss(shares.log().view(1, 1, 3, 1, 1), index, all_there)
    assert best.item() == pytest.approx(1.5 * math.log(2))
    assert pixel_shares_loss(torch.zeros(1, 1, 3, 1, 1), index, all_there) > best
