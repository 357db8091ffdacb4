# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Uni3R's geometry loss against numpy and all distances, one view at a time."""

import numpy as np
import pytest
import torch

from gsocc_core.errors import ShapeError
from gsocc_core.losses.point_prior import point_prior_loss


def by_hand(points, prior, confidence, keep):
    """One view: Umeyama over its pixels, then the one-sided squared Chamfer distance over the most confident ones."""
    known = confidence > 0
    x, y = prior[known], points[known]
    mx, my = x.mean(0), y.mean(0)
    U, D, Vt = np.linalg.svd((y - my).T @ (x - mx) / len(x))
    S = np.diag([1, 1, np.sign(np.linalg.det(U @ Vt))])
    R = U @ S @ Vt
    scale = np.trace(np.diag(D) @ S) / ((x - mx) ** 2).sum(1).mean()
    moved = scale * (prior - mx) @ R.T + my
    order = np.argsort(-confidence)[: round(keep * known.sum())]
    squared = ((points[order][:, None] - moved[order][None]) ** 2).sum(-1)
    return squared.min(1).mean()


@pytest.mark.parametrize("views", [1, 3])
@pytest.mark.parametrize("keep", [0.9, 1.0])
def test_loss_is_the_published_one_for_any_number_of_views(views, keep):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(views, 40, 3))
    prior = points[..., [1, 2, 0]] * 0.2 + rng.normal(size=points.shape) * 0.05 + 3
    confidence = rng.uniform(0.1, 1, size=(views, 40)) * (rng.uniform(size=(views, 40)) < 0.8)
    found = point_prior_loss(*(torch.from_numpy(a) for a in (points, prior, confidence)), keep)
    assert found.item() == pytest.approx(np.mean([by_hand(*rows, keep) for rows in zip(points, prior, confidence)]))


def test_gradient_pulls_points_to_their_partners_and_reaches_nothing_else():
    g = torch.Generator().manual_seed(0)
    prior = torch.randn(1, 30, 3, generator=g, requires_grad=True)
    points = (prior.detach() + 0.1 * torch.randn(1, 30, 3, generator=g)).requires_grad_()
    confidence = torch.rand(1, 30, generator=g) + 0.1
    confidence[0, 4] = 0
    loss = point_prior_loss(points, prior, confidence)
    loss.backward()
    assert prior.grad is None
    assert not points.grad[0, 4].any()
    assert point_prior_loss(points.detach() - 3 * points.grad, prior, confidence) < loss


def test_views_without_a_teacher_are_left_out():
    g = torch.Generator().manual_seed(1)
    points = torch.randn(2, 20, 3, generator=g, requires_grad=True)
    prior, confidence = torch.randn(2, 20, 3, generator=g), torch.ones(2, 20)
    one = point_prior_loss(points[:1], prior[:1], confidence[:1])
    prior[1], confidence[1] = torch.nan, 0
    torch.testing.assert_close(point_prior_loss(points, prior, confidence), one)
    nothing = point_prior_loss(points, prior, torch.zeros(2, 20))
    nothing.backward()
    assert nothing.item() == 0
    with pytest.raises(ShapeError, match="prior, confidence: expected as points"):
        point_prior_loss(points, prior[:1], confidence)
