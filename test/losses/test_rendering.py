# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Rendering losses on hand-made pictures."""

import math

import pytest
import torch

from gsocc_core.errors import ConfigError
from gsocc_core.losses.rendering import (
    depth_moments,
    depth_spread_loss,
    ray_spread_loss,
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
    first, second = depth_moments(moments, weights.sum(-1).view(2, 1, 1), viewmats)
    torch.testing.assert_close(first.flatten(), (weights * depths.T).sum(-1))
    torch.testing.assert_close(second.flatten(), (weights * depths.T**2).sum(-1))


def test_ray_spread_is_the_squared_distortion_over_mean_depth():
    """Sum over pairs of weights times squared distances, in float64, and its gradient."""
    torch.manual_seed(1)
    weights, depths = torch.rand(5, 4).double() / 4, 1 + 20 * torch.rand(5, 4).double()
    weights[3] *= 1e-3  # too faint to count

    def spread(w, z):
        return ray_spread_loss((w * z).sum(-1), (w * z * z).sum(-1), w.sum(-1))

    expected = 0.0
    for i in (0, 1, 2, 4):
        total = weights[i].sum()
        mean = (weights[i] * depths[i]).sum() / total
        pairs = sum(
            weights[i, j] * weights[i, k] * (depths[i, j] - depths[i, k]) ** 2 for j in range(4) for k in range(4)
        )
        expected += (pairs / 2 / total / mean**2).item()
    assert spread(weights, depths).item() == pytest.approx(expected / 5, rel=1e-12)
    w, z = weights.clone().requires_grad_(), depths.clone().requires_grad_()
    spread(w, z).backward()
    alpha = weights.sum(-1, keepdim=True)  # has no gradient where it stands outside
    kept = torch.tensor([1.0, 1.0, 1.0, 0.0, 1.0]).double()

    def held(w, z):
        first, second, total = (w * z).sum(-1), (w * z * z).sum(-1), w.sum(-1)
        return ((total * second / first**2 - 1) * alpha[:, 0] * kept).sum() / 5

    for i, j in [(0, 0), (2, 3), (3, 1), (4, 2)]:
        for value, got in ((0, w.grad), (1, z.grad)):
            step = torch.zeros(5, 4).double()
            step[i, j] = 1e-6
            up, down = ((weights + (s * step) * (value == 0), depths + (s * step) * (value == 1)) for s in (1, -1))
            assert got[i, j].item() == pytest.approx((held(*up) - held(*down)).item() / 2e-6, rel=1e-5, abs=1e-8)
    assert (w.grad * weights).sum(-1).abs().max() < 1e-12, "no ray gets better by becoming fainter"
    assert spread(torch.zeros(2, 3), torch.ones(2, 3)).item() == 0
