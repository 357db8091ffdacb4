# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Losses between two renderings, on pictures small enough to count by hand."""

import math

import pytest
import torch

from gsocc_core.errors import ConfigError
from gsocc_core.losses.rendered_classes import rendered_class_loss, rendered_depth_l1


def one_hot(*ids, classes=3):
    return torch.nn.functional.one_hot(torch.tensor(ids), classes).double()


def test_l1_is_the_mean_over_pixels_and_channels():
    truth, predicted = one_hot(0, 0, 0, 1), one_hot(0, 0, 0, 0)
    assert rendered_class_loss(predicted, truth).item() == pytest.approx(2 / (4 * 3))


def test_balanced_gives_rare_classes_the_weight_of_common_ones():
    truth = one_hot(0, 0, 0, 1)
    rare_wrong, common_wrong = one_hot(0, 0, 0, 0), one_hot(1, 1, 1, 1)
    plain = [rendered_class_loss(p, truth).item() for p in (rare_wrong, common_wrong)]
    balanced = [rendered_class_loss(p, truth, balanced=True).item() for p in (rare_wrong, common_wrong)]
    assert plain[1] == pytest.approx(3 * plain[0])
    assert balanced[0] == pytest.approx(balanced[1]) == pytest.approx(0.5 * 2 / 3)


def test_a_class_that_hardly_shows_does_not_get_the_weight_of_a_whole_one():
    truth = torch.tensor([[0.99, 0.01], [1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    predicted = torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    weights = [0.99 / 2.99 + 0.01, 1 / 2.99, 1 / 2.99]
    expected = weights[0] * 0.99 / sum(weights)
    assert rendered_class_loss(predicted, truth, balanced=True).item() == pytest.approx(expected)


def test_kl_is_zero_for_equal_pictures_and_finite_for_disjoint_ones():
    truth = one_hot(0, 1)
    assert rendered_class_loss(truth, truth, "kl").item() == pytest.approx(0, abs=1e-9)
    assert rendered_class_loss(truth.flip(-1), one_hot(0, 0), "kl").item() == pytest.approx(math.log(1.0001 / 1e-4))
    soft = torch.tensor([[0.5, 0.25, 0.25]], dtype=torch.float64)
    assert rendered_class_loss(soft, one_hot(0), "kl").item() == pytest.approx(math.log(2), rel=1e-3)


def test_depth_counts_where_the_truth_shows_something_and_averages_over_pictures():
    truth = torch.tensor([[[4.0, 0.0]], [[2.0, 2.0]], [[0.0, 0.05]]])
    predicted = torch.tensor([[[5.0, 9.0]], [[2.0, 5.0]], [[7.0, 7.0]]], requires_grad=True)
    loss = rendered_depth_l1(predicted, truth)
    assert loss.item() == pytest.approx((1.0 + 1.5) / 2)
    loss.backward()
    assert predicted.grad.flatten().tolist() == pytest.approx([0.5, 0, 0, 0.25, 0, 0])


def test_nothing_to_see_is_zero_not_nan():
    assert rendered_depth_l1(torch.ones(1, 2, 2), torch.zeros(1, 2, 2)).item() == 0
    with pytest.raises(ConfigError, match="l1 or kl"):
        rendered_class_loss(one_hot(0), one_hot(0), "mse")  # type: ignore[arg-type]
