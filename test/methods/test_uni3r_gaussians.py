# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""How raw numbers become Gaussians, one Gaussian at a time."""

import math

import pytest
import torch

from gsocc_core.methods.uni3r_args import GaussianArgs, NetworkArgs
from gsocc_core.methods.uni3r_gaussians import GaussianHead, scales_of

SMALL = NetworkArgs(depth=1, taps=(0, 0, 0, 0), heads=1, head_width=8, head_levels=(4, 4, 4, 4))


def test_attributes_are_the_published_ones():
    torch.manual_seed(0)
    args = GaussianArgs(scale_factor=0.5, sh_degree=2)
    head, semantic = GaussianHead(8, SMALL, args, 2), 2
    raw, points = torch.randn(1, 2, 3 + 4 + 1 + 27 + semantic + 3, 2, 3), torch.randn(1, 2, 2, 3, 3)
    base, colors = torch.randn(1, 2, 2, 2, 3), torch.rand(1, 2, 3, 2, 3) * 2 - 1
    found = head.decode(raw, points, base, colors)
    flat = points.reshape(-1, 3).tolist()
    apart = []
    for i, p in enumerate(flat):
        near = sorted(math.dist(p, q) for j, q in enumerate(flat) if j != i)[:3]
        apart.append(math.sqrt(sum(d * d for d in near) / 3))
    median = sorted(apart)[5]  # of 12: torch takes the lower one
    for n in range(12):
        view, row, column = n // 6, n % 6 // 3, n % 3
        numbers = raw[0, view, :, row, column].tolist()
        assert found.means[0, n].tolist() == flat[n]
        scale = [min(max(math.exp(x) * 0.5 * apart[n], 0.1 * median), 3 * median) for x in numbers[:3]]
        assert found.scales[0, n].tolist() == pytest.approx(scale, rel=1e-5)
        length = math.hypot(*numbers[3:7])
        assert found.quats[0, n].tolist() == pytest.approx([x / length for x in numbers[3:7]], rel=1e-5)
        assert found.opacities[0, n].item() == pytest.approx(1 / (1 + math.exp(-numbers[7])), rel=1e-5)
        feature = [x + base[0, view, k, row, column].item() for k, x in enumerate(numbers[35:37])]
        assert found.features[0, n].tolist() == pytest.approx(feature, rel=1e-5)
        for channel in range(3):
            sh = numbers[8 + 9 * channel : 17 + 9 * channel]
            color = (numbers[37 + channel] + colors[0, view, channel, row, column].item()) * 0.5 + 0.5
            expected = [sh[0] + (color - 0.5) / 0.28209479177387814, *(0.125 * x for x in sh[1:4])]
            expected += [0.03125 * x for x in sh[4:]]
            assert found.colors_sh[0, n, :, channel].tolist() == pytest.approx(expected, abs=1e-5)


def test_views_that_are_not_there_count_for_nothing():
    torch.manual_seed(1)
    head = GaussianHead(8, SMALL, GaussianArgs(scale_factor=0.5, sh_degree=0), 1)
    raw, points = torch.randn(1, 3, 15, 2, 2), torch.randn(1, 3, 2, 2, 3)
    found = head.decode(raw, points, valid=torch.tensor([[True, True, False]]))
    alone = head.decode(raw[:, :2], points[:, :2])
    torch.testing.assert_close(found.scales[:, :8], alone.scales)
    torch.testing.assert_close(found.opacities[:, :8], alone.opacities)
    assert not found.opacities[:, 8:].any()


def test_scales_follow_the_unit_and_learn_between_their_bounds():
    torch.manual_seed(2)
    raw, means = torch.randn(1, 30, 3, requires_grad=True), torch.randn(1, 30, 3, requires_grad=True)
    args = GaussianArgs(scale_factor=0.5)
    scales = scales_of(raw, means, args)
    torch.testing.assert_close(scales_of(raw, means * 7, args), scales * 7)
    scales.sum().backward()
    assert means.grad is None
    assert (raw.grad != 0).float().mean() > 0.8
    # The published factor begins below the lower bound.
    stuck = torch.zeros(1, 30, 3, requires_grad=True)
    scales_of(stuck, means, GaussianArgs()).sum().backward()
    assert not stuck.grad.any()


def test_one_gaussian_alone_has_a_scale():
    assert torch.isfinite(scales_of(torch.zeros(1, 1, 3), torch.zeros(1, 1, 3), GaussianArgs())).all()


def test_gaussians_on_a_coarser_grid():
    head = GaussianHead(8, SMALL, GaussianArgs(stride=4), 2)
    layers = [torch.randn(2, 6, 8) for _ in range(4)]
    assert tuple(head(layers, (2, 3), torch.zeros(2, 3, 16, 24), (4, 6)).shape) == (2, 61, 4, 6)
