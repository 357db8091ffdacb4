# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The dense head against its layers written out."""

import math

import pytest
import torch
from torch.nn import functional

from gsocc_core.networks.dense_head import DenseHead, depth_and_confidence, points_and_confidence, position_code


def test_position_code_written_out():
    code = position_code(3, 4, 8, 4 / 3, torch.device("cpu"))
    diagonal = math.hypot(4, 3)
    for row in range(3):
        for column in range(4):
            # Pixel centres, measured from the middle in units of half the diagonal.
            x, y = (2 * column - 3) / 4 * 4 / diagonal, (2 * row - 2) / 3 * 3 / diagonal
            expected = [f(place * 100.0 ** (-i / 2)) for place in (x, y) for f in (math.sin, math.cos) for i in (0, 1)]
            torch.testing.assert_close(code[:, row, column], torch.tensor(expected))


def placed(x, aspect):
    return x + 0.1 * position_code(*x.shape[-2:], x.shape[1], aspect, x.device)


def enlarged(x, size):
    return functional.interpolate(x, size, mode="bilinear", align_corners=True)


def residual(x, unit):
    x = x.clamp(min=0)
    return x + unit.conv2(unit.conv1(x).clamp(min=0))


@pytest.mark.parametrize("grid", [(4, 4), (3, 5)])
@pytest.mark.parametrize("out", [None, 4])
def test_head_is_the_published_layers(grid, out):
    torch.manual_seed(0)
    head = DenseHead(12, 8, (4, 8, 12, 16), out, hidden=6)
    layers = [torch.randn(2, grid[0] * grid[1], 12) for _ in range(4)]
    size, (h, w) = (grid[0] * 14, grid[1] * 14), grid
    aspect = w / h
    maps = []
    for level, tokens in enumerate(layers):
        x = functional.layer_norm(tokens, (12,), head.norm.weight, head.norm.bias)
        x = placed(head.project[level](x.transpose(1, 2).reshape(2, 12, h, w)), aspect)
        module = head.resize[level]
        if level < 2:
            x = functional.conv_transpose2d(x, module.weight, module.bias, stride=(4, 2)[level])
        elif level == 3:
            x = functional.conv2d(x, module.weight, module.bias, stride=2, padding=1)
        maps.append(functional.conv2d(x, head.narrow[level].weight, padding=1))
    assert tuple(maps[0].shape[-2:]) == (4 * h, 4 * w)
    x = head.fuse[3].out(enlarged(residual(maps[3], head.fuse[3].outgoing), (h, w)))
    for level, target in ((2, (2 * h, 2 * w)), (1, (4 * h, 4 * w)), (0, (8 * h, 8 * w))):
        x = x + residual(maps[level], head.fuse[level].incoming)
        x = head.fuse[level].out(enlarged(residual(x, head.fuse[level].outgoing), target))
    x = placed(enlarged(head.smooth(x), size), aspect)
    if out is not None:
        x = head.last[2](head.last[0](x).clamp(min=0))
    found = head(layers, grid, size)
    assert tuple(found.shape) == (2, out or 8, *size)
    torch.testing.assert_close(found, x, atol=1e-5, rtol=1e-4)


def test_nothing_is_computed_finer_than_it_is_asked_for_on_request():
    head, sizes = DenseHead(12, 8, (4, 8, 12, 16), 4, hidden=6, fine=False), []
    head.smooth.register_forward_hook(lambda _module, inputs, _found: sizes.append(tuple(inputs[0].shape[-2:])))
    layers = [torch.randn(1, 6, 12) for _ in range(4)]
    for size in ((4, 6), (12, 18), (16, 24), (28, 42)):
        assert tuple(head(layers, (2, 3), size).shape) == (1, 4, *size)
    assert sizes == [(4, 6), (12, 18), (16, 24), (16, 24)]
    head.fine = True
    head(layers, (2, 3), (4, 6))
    assert sizes[-1] == (16, 24)


def test_raw_numbers_become_points_depth_and_confidence():
    raw = torch.tensor([1.5, -0.5, 0.0, -2.0]).view(1, 4, 1, 1)
    points, sure = points_and_confidence(raw)
    expected = [math.exp(1.5) - 1, 1 - math.exp(0.5), 0.0]
    torch.testing.assert_close(points.flatten(), torch.tensor(expected))
    assert sure.item() == pytest.approx(1 + math.exp(-2))
    depth, sure = depth_and_confidence(raw[:, :2])
    assert depth.item() == pytest.approx(math.exp(1.5))
    assert sure.item() == pytest.approx(1 + math.exp(-0.5))
