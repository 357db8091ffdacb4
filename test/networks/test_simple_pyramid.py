# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The simple pyramid against its layers written out, and its sizes."""

import math

import pytest
import torch
from torch.nn import functional

from gsocc_core.errors import ConfigError
from gsocc_core.networks.simple_pyramid import ChannelNorm, SimplePyramid


def norm(x, module):
    """Layer normalisation with channels last, by PyTorch's own."""
    return functional.layer_norm(x.movedim(1, -1), x.shape[1:2], module.weight, module.bias, 1e-6).movedim(-1, 1)


def test_levels_are_the_published_layers():
    torch.manual_seed(0)
    pyramid, x = SimplePyramid(8, 6), torch.randn(2, 8, 6, 10)
    for module in pyramid.modules():
        if isinstance(module, ChannelNorm):
            torch.nn.init.normal_(module.weight)
            torch.nn.init.normal_(module.bias)
    four, two = pyramid.resize[0], pyramid.resize[1]
    up = functional.conv_transpose2d(x, four[0].weight, four[0].bias, stride=2)
    up = functional.conv_transpose2d(functional.gelu(norm(up, four[1])), four[3].weight, four[3].bias, stride=2)
    inputs = [up, functional.conv_transpose2d(x, two.weight, two.bias, stride=2), x, functional.max_pool2d(x, 2)]
    levels = pyramid(x)
    assert [tuple(level.shape) for level in levels] == [(2, 6, 24, 40), (2, 6, 12, 20), (2, 6, 6, 10), (2, 6, 3, 5)]
    parts = (pyramid.lateral, pyramid.smooth, pyramid.first_norms, pyramid.last_norms)
    for level, given, lateral, smooth, first, last in zip(levels, inputs, *parts):
        expected = norm(functional.conv2d(given, lateral.weight), first)
        expected = norm(functional.conv2d(expected, smooth.weight, padding=1), last)
        torch.testing.assert_close(level, expected, atol=1e-4, rtol=1e-4)


def test_first_weights_have_the_published_spread():
    torch.manual_seed(0)
    pyramid = SimplePyramid(64, 128)
    assert pyramid.lateral[2].weight.std().item() == pytest.approx(math.sqrt(2 / 128), rel=0.05)
    assert pyramid.smooth[2].weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 128)), rel=0.05)


def test_sizes_that_cannot_be_are_named():
    with pytest.raises(ConfigError, match=r"factors: expected some of .*, received \(3.0,\)"):
        SimplePyramid(8, 6, (3.0,))
    with pytest.raises(ConfigError, match="channels: expected a multiple of 4"):
        SimplePyramid(6, 6)
