# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Attention within and across views against one query at a time, and what changes it and what does not."""

import math

import pytest
import torch
from torch.nn import functional

from gsocc_core.errors import ConfigError
from gsocc_core.networks.rotary import rotary_angles, rotate
from gsocc_core.networks.view_attention import AlternatingAttention, AttentionBlock


def random_weights(module, seed=0):
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=g, dtype=parameter.dtype) * 0.3)
    return module.eval()


def norm(x, module):
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * module.weight + module.bias


def block_by_hand(block, tokens, angles, exists):
    """One head and one query at a time, in float64."""
    result = []
    for m, row in enumerate(tokens):
        qkv = norm(row, block.norm1) @ block.qkv.weight.T + block.qkv.bias
        q, k, v = qkv.chunk(3, dim=-1)
        size = q.shape[-1] // block.heads
        mixed = torch.zeros_like(row)
        for head in range(block.heads):
            part = slice(head * size, (head + 1) * size)
            hq, hk = rotate(norm(q[:, part], block.q_norm), angles), rotate(norm(k[:, part], block.k_norm), angles)
            for p in range(len(row)):
                powers = [
                    math.exp(float(hq[p] @ hk[o]) / math.sqrt(size)) * bool(exists[m, o]) for o in range(len(row))
                ]
                mixed[p, part] = sum(w / sum(powers) * v[o, part] for o, w in enumerate(powers))
        attended = row + block.scale1 * (mixed @ block.proj.weight.T + block.proj.bias)
        hidden = norm(attended, block.norm2) @ block.fc1.weight.T + block.fc1.bias
        hidden = 0.5 * hidden * (1 + torch.erf(hidden / math.sqrt(2)))
        result.append(attended + block.scale2 * (hidden @ block.fc2.weight.T + block.fc2.bias))
    return torch.stack(result)


def test_block_is_the_published_arithmetic():
    block = random_weights(AttentionBlock(16, 2).double())
    g = torch.Generator().manual_seed(1)
    tokens = torch.randn(2, 5, 16, generator=g, dtype=torch.float64)
    angles = rotary_angles(torch.randint(0, 9, (5, 2), generator=g), 8).double()
    exists = torch.tensor([[True] * 5, [True, False, True, True, False]])
    with torch.no_grad():
        expected = block_by_hand(block, tokens, angles, exists)
        torch.testing.assert_close(block(tokens, angles, exists), expected, atol=1e-9, rtol=1e-9)


def small(**changes):
    sizes = {"dim": 16, "depth": 3, "heads": 2, "registers": 2, "taps": (0, 2)} | changes
    return random_weights(AlternatingAttention(**sizes))


def pictures(b=2, v=3, seed=2, size=(2, 3)):
    return torch.randn(b, v, 16, *size, generator=torch.Generator().manual_seed(seed))


INTRINSICS = torch.tensor([[1.0, 0, 0.7], [0, 1.1, 0.5], [0, 0, 1]])


def test_views_are_attended_to_one_after_the_other_and_then_together():
    network, patches = small(depth=2, taps=(0, 1)), pictures()
    K = INTRINSICS.expand(2, 3, 3, 3)
    found = network(patches, K)
    positions = [[0, 0]] * 3 + [[r, c] for r in (1, 2) for c in (1, 2, 3)] + [[3, 1]]
    angles = rotary_angles(torch.tensor(positions), 8)
    for b in range(2):
        views = []
        for v in range(3):
            own = min(v, 1)
            token = functional.linear(K[b, v].flatten(), network.intrinsics_encoder.weight)
            token = token + network.intrinsics_encoder.bias
            special = torch.cat([network.camera_token[0, own], network.register_token[0, own]])
            views.append(torch.cat([special, patches[b, v].flatten(1).T, token[None]]))
        for index, (within, across) in enumerate(zip(network.frame_blocks, network.global_blocks)):
            inside = [within(view[None], angles)[0] for view in views]
            together = across(torch.cat(inside)[None], angles.repeat(3, 1, 1))[0]
            views = list(together.split(10))
            for v in range(3):
                both = torch.cat([inside[v], views[v]], -1)
                torch.testing.assert_close(found.patches[index][b, v], both[3:9], atol=1e-5, rtol=1e-4)
                if index == 1:
                    torch.testing.assert_close(found.camera[b, v], both[0], atol=1e-5, rtol=1e-4)


def test_the_first_view_is_the_reference_and_the_others_have_no_order():
    network, patches = small(), pictures(v=4)
    plain, swapped = network(patches), network(patches[:, [0, 3, 1, 2]])
    torch.testing.assert_close(swapped.camera, plain.camera[:, [0, 3, 1, 2]])
    torch.testing.assert_close(swapped.patches[1], plain.patches[1][:, [0, 3, 1, 2]])
    other_first = network(patches[:, [1, 0, 2, 3]])
    assert (other_first.camera[:, [1, 0, 2, 3]] - plain.camera).abs().max() > 1e-2


def test_unknown_intrinsics_are_as_if_there_was_no_token():
    network, patches = small(), pictures()
    nothing = network(patches)
    K = INTRINSICS.expand(2, 3, 3, 3).clone()
    unknown = network(patches, torch.full_like(K, torch.nan))
    for one, other in zip((nothing.camera, *nothing.patches), (unknown.camera, *unknown.patches)):
        torch.testing.assert_close(one, other)
    K[0, 2] = torch.nan
    some = network(patches, K)
    torch.testing.assert_close(some.camera[1], network(patches, INTRINSICS.expand(2, 3, 3, 3)).camera[1])
    assert (some.camera[0] - nothing.camera[0]).abs().max() > 1e-3
    assert torch.isfinite(some.camera).all()


def test_views_that_are_not_there_change_nothing():
    network, patches = small(), pictures()
    valid = torch.tensor([[True, True, False], [True, True, True]])
    found = network(patches, None, valid)
    alone = network(patches[:1, :2])
    torch.testing.assert_close(found.camera[:1, :2], alone.camera)
    torch.testing.assert_close(found.patches[0][:1, :2], alone.patches[0])
    torch.testing.assert_close(found.camera[1], network(patches).camera[1])


def test_recomputing_changes_no_gradient():
    patches = pictures()
    gradients = []
    for checkpointing in (False, True):
        network = small(checkpointing=checkpointing).train()
        network(patches, INTRINSICS.expand(2, 3, 3, 3)).camera.square().sum().backward()
        gradients.append([p.grad for p in network.parameters()])
    for one, other in zip(*gradients):
        torch.testing.assert_close(one, other)


def test_sizes_that_cannot_be_are_named():
    with pytest.raises(ConfigError, match="dim: expected a multiple of 4 x 3 heads, received 16"):
        AlternatingAttention(dim=16, heads=3)
    with pytest.raises(ConfigError, match=r"taps: expected pairs 0 \.\.\. 1, received \(2,\)"):
        AlternatingAttention(dim=16, depth=2, heads=2, taps=(2,))
