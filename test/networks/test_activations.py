# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Activations against PyTorch in float64."""

import torch

from gsocc_core.networks.activations import softplus


def test_softplus_and_its_gradient_are_those_of_float64():
    x = torch.cat([torch.linspace(-120, 120, 70_001), torch.randn(5000), torch.tensor([0.0, -0.0])])
    single, exact = x.view(-1, 1).requires_grad_(), x.detach().double().view(-1, 1).requires_grad_()
    grad = torch.randn(len(x), 1)
    found, expected = softplus(single), torch.nn.functional.softplus(exact, threshold=1000)
    found.backward(grad)
    expected.backward(grad.double())
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=1e-35)
    torch.testing.assert_close(single.grad.double(), exact.grad, rtol=1e-6, atol=1e-35)


def test_gradients_with_gaps_and_other_types():
    x = torch.randn(6, 4, requires_grad=True)
    softplus(x.t()).t().sum().backward()
    torch.testing.assert_close(x.grad, torch.sigmoid(x.detach()))
    half = x.detach().bfloat16()
    assert torch.equal(softplus(half), torch.nn.functional.softplus(half))
