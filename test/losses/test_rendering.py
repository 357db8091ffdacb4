# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Rendering losses on hand-made pictures."""

import math

import pytest
import torch

from gsocc_core.errors import ConfigError
from gsocc_core.losses.rendering import (
    depth_spread_loss,
    rendered_alpha_loss,
    rendered_depth_loss,
    rendered_semantic_loss,
    second_moments,
)


def test_semantic_loss_counts_only_pixels_with_a_channel():
    logits = torch.tensor([[[2.0, 0.0], [0.0, 1.0], [9.0, 0.0], [0.0, 9.0]]])
    labels = torch.tensor([[4, 5, 255, 7]], dtype=torch.uint8)  # 255 = none, 7 has no channel
    expected = (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(-1))) / 2
    assert rendered_semantic_loss(logits, labels, (4, 5), 255).item() == pytest.approx(expected, rel=1e-5)


def test_semantic_loss_without_labels_is_zero_and_differentiable():
    logits = torch.zeros(1, 2, 2, requires_grad=True)
    loss = rendered_semantic_loss(logits, torch.full((1, 2), 255, dtype=torch.uint8), (4, 5), 255)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.abs().sum() == 0


def test_depth_losses():
    depth, target = torch.tensor([2.0, 5.0, 7.0]), torch.tensor([1.0, 0.0, 7.0])
    assert rendered_depth_loss(depth, target, "mse").item() == pytest.approx(0.5)
    assert rendered_depth_loss(depth, target, "log_l1").item() == pytest.approx(math.log(2) / 2)
    assert rendered_depth_loss(depth, torch.zeros(3)).item() == 0
    with pytest.raises(ConfigError, match="mse or log_l1"):
        rendered_depth_loss(depth, target, "huber")  # type: ignore[arg-type]


def test_alpha_loss_pulls_up_solid_pixels_only():
    alpha = torch.tensor([0.5, 0.1], requires_grad=True)
    loss = rendered_alpha_loss(alpha, torch.tensor([True, False]))
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2))
    assert alpha.grad[0] < 0
    assert alpha.grad[1] == 0


def test_depth_spread_equals_the_sum_over_gaussians():
    """Composite by hand: two pictures, one pixel each, three Gaussians with known weights."""
    torch.manual_seed(0)
    means, weights = torch.randn(3, 3).double() * 5, torch.rand(2, 3).double()
    viewmats = torch.linalg.qr(torch.randn(2, 4, 4).double())[0]
    depths = means @ viewmats[:, 2, :3].T + viewmats[:, 2, 3]  # (3, 2)
    target = torch.tensor([4.0, 7.0]).double()
    expected = (weights * (depths.T - target[:, None]) ** 2 / target[:, None] ** 2).sum(-1).mean()
    moments = (weights @ second_moments(means)).view(2, 1, 1, 9)
    got = depth_spread_loss(moments, weights.sum(-1).view(2, 1, 1), viewmats, target.view(2, 1, 1))
    assert got.item() == pytest.approx(expected.item(), rel=1e-9)
    assert depth_spread_loss(moments, weights.sum(-1).view(2, 1, 1), viewmats, torch.zeros(2, 1, 1)).item() == 0
