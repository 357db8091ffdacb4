# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Attention blocks against plain loops."""

import pytest
import torch
from torch.nn import functional

from gsocc_core.networks.attention import DeformableImageAttention, InducedAttention, PositionCode, RayCode


def deformable_oracle(module, queries, maps, uv_norm, visible):
    """Loop over every Gaussian, camera, head, level and sample."""
    b, n, dim = queries.shape
    heads, levels, points = module.num_heads, module.num_levels, module.num_points
    per_head = dim // heads
    out = torch.zeros_like(queries)
    for bi in range(b):
        values = [
            module.value((m[bi] + module.level_code[i][:, None, None]).movedim(1, -1)) for i, m in enumerate(maps)
        ]
        for ni in range(n):
            query = queries[bi, ni]
            offsets = module.offsets(query).view(heads, levels, points, 2)
            weights = module.weights(query).view(heads, -1).softmax(-1).view(heads, levels, points)
            cameras = visible[bi, :, ni].nonzero().flatten().tolist()
            total = torch.zeros(dim, dtype=queries.dtype)
            for vi in cameras:
                for h in range(heads):
                    channels = slice(h * per_head, (h + 1) * per_head)
                    for li in range(levels):
                        image = values[li][vi].movedim(-1, 0)[channels][None]
                        size = torch.tensor([image.shape[-1], image.shape[-2]], dtype=queries.dtype)
                        for pi in range(points):
                            place = (uv_norm[bi, vi, ni] + offsets[h, li, pi] / size) * 2 - 1
                            sample = functional.grid_sample(image, place.view(1, 1, 1, 2), align_corners=False)
                            total[channels] += weights[h, li, pi] * sample.flatten()
            out[bi, ni] = total / max(len(cameras), 1)
    return module.norm(queries + module.out(out))


@pytest.mark.parametrize("seen", [0.0, 0.4, 1.0])
def test_deformable_attention_equals_a_plain_loop(seen):
    torch.manual_seed(0)
    module = DeformableImageAttention(dim=8, num_heads=2, num_levels=2, num_points=3).double().eval()
    torch.nn.init.normal_(module.offsets.weight, std=0.3)
    torch.nn.init.normal_(module.weights.weight, std=0.3)
    queries = torch.randn(2, 5, 8, dtype=torch.float64)
    maps = [torch.randn(2, 3, 8, 6, 9, dtype=torch.float64), torch.randn(2, 3, 8, 3, 5, dtype=torch.float64)]
    uv_norm = torch.rand(2, 3, 5, 2, dtype=torch.float64)
    visible = torch.rand(2, 3, 5) < seen
    expected = deformable_oracle(module, queries, maps, uv_norm, visible)
    torch.testing.assert_close(module(queries, maps, uv_norm, visible), expected, rtol=1e-10, atol=1e-10)


def test_deformable_attention_starts_as_rings_around_the_projection():
    module = DeformableImageAttention(dim=8, num_heads=8, num_levels=1, num_points=3)
    offsets = module.offsets(torch.zeros(8)).view(8, 3, 2)
    assert offsets.abs().amax(-1).allclose(torch.arange(1.0, 4.0).expand(8, 3))


def test_induced_attention_does_not_depend_on_the_order_of_the_keys():
    torch.manual_seed(0)
    module = InducedAttention(dim=16, num_heads=4, num_inducing=5).eval()
    queries, keys = torch.randn(2, 7, 16), torch.randn(2, 11, 16)
    order = torch.randperm(11)
    torch.testing.assert_close(module(queries, keys), module(queries, keys[:, order]), rtol=1e-4, atol=1e-5)
    swapped = module(queries.flip(1), keys).flip(1)
    torch.testing.assert_close(module(queries, keys), swapped, rtol=1e-4, atol=1e-5)


def test_codes_have_the_asked_width_and_depend_on_their_input():
    code = PositionCode((-40.0, -40.0, -1.0), (40.0, 40.0, 5.4), dim=12)
    a, b = code(torch.tensor([[0.0, 0.0, 0.0], [10.0, 0.0, 0.0]]))
    assert a.shape == (12,)
    assert not torch.allclose(a, b)
    rays = RayCode(12)
    same = rays(torch.zeros(3), torch.tensor([0.0, 0.0, 2.0])) - rays(torch.zeros(3), torch.tensor([0.0, 0.0, 1.0]))
    assert same.abs().max() < 1e-6, "only the direction counts, not its length"
