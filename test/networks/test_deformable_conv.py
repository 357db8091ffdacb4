# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Modulated deformable convolutions: what offsets and shares mean, and gradients."""

import torch
from torch.nn import functional

from gsocc_core.networks.deformable_conv import ModulatedDeformableConv


def made(dim_in=3, dim_out=4):
    torch.manual_seed(0)
    return ModulatedDeformableConv(dim_in, dim_out), torch.randn(2, dim_in, 6, 7)


def test_without_offsets_it_is_half_a_convolution():
    layer, x = made()
    torch.testing.assert_close(layer(x), 0.5 * functional.conv2d(x, layer.weight, padding=1))


def test_whole_offsets_move_the_map_and_shares_scale_taps():
    """Every tap looks two rows further down and one column to the left; one tap alone has a share."""
    layer, x = made()
    bias = torch.full((27,), -40.0)
    bias[0:18:2], bias[1:18:2], bias[18 + 5] = 2.0, -1.0, 40.0
    with torch.no_grad():
        layer.offsets.bias.copy_(bias)
        found = layer(x)
    tap = torch.zeros_like(layer.weight)
    tap[:, :, 1, 1] = layer.weight.detach()[:, :, 1, 2]
    # Tap 5 is in the middle of the right side: row y reads row y + 2, column x reads column x + 1 - 1.
    expected = functional.conv2d(functional.pad(x, (0, 0, 0, 2))[:, :, 2:], tap, padding=1)
    torch.testing.assert_close(found, expected)


def test_with_and_without_gradients_it_gives_the_same():
    layer, x = made()
    torch.nn.init.normal_(layer.offsets.weight, std=0.2)
    with torch.no_grad():
        plain = layer(x)
    torch.testing.assert_close(layer(x), plain)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(layer(x).float(), plain, atol=0.3, rtol=0.1)


def test_gradients_are_those_of_its_numbers():
    layer, x = made(2, 2)
    layer, x = layer.double(), x[:1, :2, :4, :4].double().requires_grad_()
    torch.nn.init.normal_(layer.offsets.weight, std=0.1)
    torch.nn.init.uniform_(layer.offsets.bias, 0.2, 0.4)  # between pixels, where it is smooth
    assert torch.autograd.gradcheck(layer, (x,), atol=1e-4, rtol=1e-3)
    layer(x).sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in layer.parameters())
