# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Cosine and scale-invariant depth losses against sums written out."""

import math

import pytest
import torch

from gsocc_core.losses.aligned_features import cosine_loss, silog_depth_loss


def test_cosines_are_taken_at_full_size_and_unlabelled_cells_do_not_count():
    torch.manual_seed(0)
    rendered, target = torch.randn(2, 4, 8, 3, dtype=torch.float64), torch.randn(2, 3, 2, 4, dtype=torch.float64)
    enlarged = torch.nn.functional.interpolate(target, (4, 8), mode="bilinear")
    errors = [
        1 - float(rendered[m, i, j] @ enlarged[m, :, i, j] / rendered[m, i, j].norm() / enlarged[m, :, i, j].norm())
        for m in range(2) for i in range(4) for j in range(8)
    ]  # fmt: skip
    assert cosine_loss(rendered, target).item() == pytest.approx(sum(errors) / len(errors), abs=1e-9)
    target[1] = 0.0
    assert cosine_loss(rendered, target).item() == pytest.approx(sum(errors[:32]) / 32, abs=1e-9)
    assert cosine_loss(rendered, torch.zeros_like(target)).item() == 0.0
    target[0, :, 0, 0] = 0.0  # reaches half of the pixels of its neighbours
    others = [errors[8 * i + j] for i in range(4) for j in range(8) if i == 3 or j >= 3]
    assert cosine_loss(rendered, target).item() == pytest.approx(sum(others) / len(others), abs=1e-9)


@pytest.mark.parametrize("far", ["empty", "ignored"])
def test_depth_errors_are_those_of_the_formula(far):
    torch.manual_seed(0)
    depth, target = torch.rand(2, 3, 4, dtype=torch.float64) * 9, torch.rand(2, 3, 4, dtype=torch.float64) * 9
    target[0, 0, 0], target[0, 1, 1], target[1, 2, 2] = 0.0, 20.0, 10.0
    silog, l1 = [], []
    for m in range(2):
        g = []
        for d, t in zip(depth[m].flatten().tolist(), target[m].flatten().tolist()):
            if t == 0 or (t >= 10 and far == "ignored"):
                continue
            label = t if t < 10 else 1e-3
            g.append(math.log(label) - math.log(d))
            l1.append(abs(label - d))
        mean = sum(g) / len(g)
        silog.append(math.sqrt(sum(x * x for x in g) / len(g) - 0.5 * mean**2))
    expected = sum(silog) / 2 + 0.2 * sum(l1) / len(l1)
    assert silog_depth_loss(depth, target, 10.0, far).item() == pytest.approx(expected, abs=1e-9)


def test_pictures_without_labels_cost_nothing_and_perfect_ones_have_gradients():
    depth = torch.full((2, 2, 2), 3.0, requires_grad=True)
    loss = silog_depth_loss(depth, torch.zeros(2, 2, 2), 10.0)
    loss.backward()
    assert loss.item() == 0.0
    loss = silog_depth_loss(depth, torch.full((2, 2, 2), 3.0), 10.0)
    loss.backward()
    assert depth.grad.isfinite().all()
