# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The depth head begins where rays meet the ground, or at one depth, and answers at half of the picture's size."""

import math

import pytest
import torch

from gsocc_core import Cameras
from gsocc_core.networks.depth_head import DepthHead

LOW_M, HIGH_M = 1.0, 60.0


def rig(pitch_down):
    """Two cameras 1.5 m above the ground that look ahead and somewhat down."""
    c, s = math.cos(pitch_down), math.sin(pitch_down)
    T = torch.eye(4)
    T[:3, :3] = torch.tensor([[0.0, -s, c], [-1, 0, 0], [0, -c, -s]])
    T[2, 3] = 1.5
    K = torch.tensor([[20.0, 0, 16], [0, 20.0, 8], [0, 0, 1]])
    return Cameras(K.expand(1, 2, 3, 3), T.expand(1, 2, 4, 4), 32, 16)


def silent(**arguments):
    head = DepthHead(8, 2, (LOW_M, HIGH_M), detail=4, **arguments)
    torch.nn.init.zeros_(head.answer[-1].weight)
    torch.nn.init.zeros_(head.answer[-1].bias)
    return head


def inputs():
    g = torch.Generator().manual_seed(0)
    levels = [torch.randn(2, 8, 4, 8, generator=g), torch.randn(2, 8, 2, 4, generator=g)]
    return levels, torch.randint(0, 256, (2, 3, 16, 32), generator=g).to(torch.uint8)


def test_it_begins_with_the_ground():
    levels, images = inputs()
    depth = silent()(levels, rig(0.4), images)
    assert depth.shape == (2, 1, 8, 16)
    # Row 6 of 8 looks, from its middle, 13 pixels below the first line of 16: 1.5 m / sin of that.
    for row in (5, 6, 7):
        below = (2 * row + 1 - 8) / 20
        expected = 1.5 / (math.sin(0.4) + below * math.cos(0.4))
        assert depth[:, 0, row].flatten().tolist() == pytest.approx([expected] * 32, rel=0.02)
    assert (depth[:, 0, :2] > 2 * depth[:, 0, 6:]).all()
    assert ((depth > LOW_M) & (depth < HIGH_M)).all()


def test_it_may_begin_with_one_depth():
    levels, images = inputs()
    depth = silent(first_depth_m=7.0)(levels, rig(0.4), images)
    torch.testing.assert_close(depth, torch.full_like(depth, 7.0))
    told = DepthHead(8, 2, (LOW_M, HIGH_M), detail=4, first_depth_m=7.0)(levels, rig(0.4), images)
    assert told.log().std() < 0.1


def test_pictures_of_any_size_and_all_parts_learn():
    head = DepthHead(8, 2, (LOW_M, HIGH_M), detail=4)
    levels, images = inputs()
    assert head(levels, rig(0.4), images[..., :15, :31]).shape == (2, 1, 8, 16)
    head(levels, rig(0.4), images).sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in head.parameters())
