# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Deformable attention: samples against sums written out, in pictures, planes and volumes."""

import torch

from gsocc_core.networks.deformable import (
    PictureAttention,
    PillarImageAttention,
    PlaneAttention,
    VolumeAttention,
    spread_offsets,
)


def test_first_offsets_point_everywhere():
    for axes in (2, 3):
        offsets = spread_offsets(4, 2, axes)
        assert offsets.shape == (4, 2, axes)
        torch.testing.assert_close(offsets[:, 1], 2 * offsets[:, 0])
        assert len(torch.unique(offsets[:, 0].sign(), dim=0)) == 4


def test_a_picture_is_read_as_published():
    """Every head, level and sample written out: bilinear values, shares over all levels, codes in the question only."""
    torch.manual_seed(0)
    dim, heads, points, queries, m = 8, 2, 3, 4, 2
    sizes = [(6, 9), (3, 5)]
    block = PictureAttention(dim, heads, len(sizes), points)
    for linear in (block.offsets, block.weights, block.value, block.out):
        torch.nn.init.normal_(linear.weight, std=0.5)
        torch.nn.init.normal_(linear.bias)
    x, codes, places = torch.randn(m, queries, dim), torch.randn(m, queries, dim), torch.rand(m, queries, 2)
    maps = [torch.randn(m, dim, *size) for size in sizes]
    offsets = block.offsets(x + codes).view(m, queries, heads, len(sizes), points, 2)
    shares = (
        block.weights(x + codes).view(m, queries, heads, -1).softmax(-1).view(m, queries, heads, len(sizes), points)
    )

    def bilinear(value, u, v):
        rows, columns = value.shape[1:]
        total = torch.zeros(value.shape[0])
        for row in (int((v - 0.5).floor()), int((v - 0.5).floor()) + 1):
            for column in (int((u - 0.5).floor()), int((u - 0.5).floor()) + 1):
                if 0 <= row < rows and 0 <= column < columns:
                    weight = (1 - (v - 0.5 - row).abs()) * (1 - (u - 0.5 - column).abs())
                    total = total + weight * value[:, row, column]
        return total

    found = torch.zeros(m, queries, dim)
    for i in range(m):
        for q in range(queries):
            for h in range(heads):
                part = slice(h * dim // heads, (h + 1) * dim // heads)
                for level, (rows, columns) in enumerate(sizes):
                    value = block.value(maps[level][i].movedim(0, -1)).movedim(-1, 0)[part]
                    for s in range(points):
                        step = offsets[i, q, h, level, s]
                        u, v = places[i, q, 0] * columns + step[0], places[i, q, 1] * rows + step[1]
                        found[i, q, part] += shares[i, q, h, level, s] * bilinear(value, u, v)
    torch.testing.assert_close(block(x, codes, maps, places), x + block.out(found), atol=1e-5, rtol=1e-5)


def test_a_pillar_averages_the_cameras_that_see_it_and_ignores_its_hidden_points():
    torch.manual_seed(0)
    block = PillarImageAttention(8, 2, 2, references=3, num_points=2)
    queries = torch.randn(1, 5, 8)
    maps = [torch.randn(1, 2, 8, 6, 7), torch.randn(1, 2, 8, 3, 4)]
    uv, visible = torch.rand(1, 2, 5, 3, 2), torch.rand(1, 2, 5, 3) < 0.6
    visible[:, :, 4] = False
    out = block(queries, maps, uv, visible)
    elsewhere = torch.where(visible[..., None], uv, torch.rand_like(uv))
    torch.testing.assert_close(out, block(queries, maps, elsewhere, visible))
    # A query that nothing sees only passes through the norm.
    torch.testing.assert_close(out[:, 4], block.norm(queries[:, 4] + block.out.bias))
    # Two cameras with the same picture and the same view are as one.
    twin = [m[:, :1].expand(-1, 2, -1, -1, -1) for m in maps]
    one = block(queries, [m[:, :1] for m in maps], uv[:, :1], visible[:, :1])
    two = block(queries, twin, uv[:, :1].expand(-1, 2, -1, -1, -1), visible[:, :1].expand(-1, 2, -1, -1))
    torch.testing.assert_close(one, two)


def test_planes_of_constants_give_the_constant():
    block = PlaneAttention(8, 2, 3, references=2)
    torch.nn.init.zeros_(block.offsets.bias)
    torch.nn.init.eye_(block.value.weight)
    torch.nn.init.zeros_(block.value.bias)
    constants = [1.0, 4.0, 7.0]
    planes = [torch.full((2, 8, 4, 5), c) for c in constants]
    places = torch.full((6, 3, 2, 2), 0.5)
    queries = torch.randn(2, 6, 8)
    expected = block.norm(queries + block.out(torch.full((2, 6, 8), 4.0)))
    torch.testing.assert_close(block(queries, planes, places), expected)


def test_a_volume_is_read_at_its_place():
    """Without offsets the attention interpolates the volume at the query's own place, axes in their order."""
    torch.manual_seed(0)
    block = VolumeAttention(6, 2, 3)
    torch.nn.init.zeros_(block.offsets.bias)
    volume = torch.randn(2, 4, 3, 2, 6)
    cells = torch.tensor([[3, 1, 0], [0, 2, 1]])
    places = ((cells + 0.5) / torch.tensor([4, 3, 2])).expand(2, 2, 3)
    queries = torch.randn(2, 2, 6)
    there = torch.stack([volume[:, x, y, z] for x, y, z in cells], dim=1)
    torch.testing.assert_close(block(queries, volume, places), block.norm(queries + block.out(block.value(there))))
