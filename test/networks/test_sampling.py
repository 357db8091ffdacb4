# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Deformable sampling: against sums written out, and the CPU kernels against PyTorch in float64."""

import pytest
import torch

from gsocc_core.networks.sampling import weighted_samples


@pytest.mark.parametrize("size", [(4, 5), (3, 4, 5)])
def test_samples_at_cell_middles_are_the_cells(size):
    torch.manual_seed(0)
    heads, channels, m, k, s = 2, 3, 2, 4, 3
    values = torch.randn(m, *size, heads * channels)
    cells = torch.stack([torch.randint(n, (m, k, heads, s)) for n in size], -1)
    places = ((cells + 0.5) / torch.tensor(size)).flip(-1)
    shares = torch.rand(m, k, heads, s)
    result = weighted_samples(values, places, shares)
    for i in range(m):
        for q in range(k):
            for h in range(heads):
                part = values[i, ..., h * channels : (h + 1) * channels]
                expected = sum(shares[i, q, h, j] * part[tuple(cells[i, q, h, j])] for j in range(s))
                torch.testing.assert_close(result[i, q, h * channels : (h + 1) * channels], expected)


@pytest.mark.parametrize("channels", [32, 16, 12, 7])
def test_values_and_gradients_are_those_of_float64(channels):
    """Places lie inside, across every border and outside; one query has no gradient at all."""
    torch.manual_seed(channels)
    heads, m, k, s = 2, 3, 40, 4
    single = (
        torch.randn(m, 5, 7, heads * channels),
        torch.rand(m, k, heads, s, 2) * 1.6 - 0.3,
        torch.rand(m, k, heads, s),
    )
    single[1][0, 0, 0] = torch.tensor([[1e30, 0.5], [-1e30, 0.5], [0.5, 1e30], [float("inf"), 0.5]])
    grad = torch.randn(m, k, heads * channels)
    grad[1, 3] = 0.0

    def found(tensors, grad):
        leaves = [t.clone().requires_grad_() for t in tensors]
        result = weighted_samples(*leaves)
        return result.detach(), *torch.autograd.grad(result, leaves, grad)

    finite = [single[0], single[1].clamp(-9, 9), single[2]]  # what lies outside is zero, however far
    expected = found([t.double() for t in finite], grad.double())
    for value, true in zip(found(single, grad), expected):
        torch.testing.assert_close(value.double(), true, rtol=1e-5, atol=2e-5)


def test_a_gradient_may_come_with_gaps():
    values, places, shares = torch.randn(1, 3, 4, 8), torch.rand(1, 6, 2, 2, 2), torch.rand(1, 6, 2, 2)
    leaves = [t.requires_grad_() for t in (values.transpose(1, 2), places, shares)]
    (weighted_samples(*leaves).transpose(1, 2) * torch.arange(6)).sum().backward()
    found = [t.grad.clone() for t in (places, shares)]
    weights = torch.arange(6.0)[None, :, None].expand(1, 6, 8).contiguous()
    again = torch.autograd.grad(weighted_samples(*leaves), leaves[1:], weights)
    torch.testing.assert_close(found, list(again))
