# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Rotary positions against turns in the complex plane."""

import cmath

import torch

from gsocc_core.networks.rotary import rotary_angles, rotate


def test_heads_turn_by_their_place():
    g = torch.Generator().manual_seed(0)
    positions, heads = torch.tensor([[0, 0], [1, 3], [17, 1]]), torch.randn(2, 3, 16, generator=g, dtype=torch.float64)
    found = rotate(heads, rotary_angles(positions, 16).double())
    for m in range(2):
        for p in range(3):
            for axis in range(2):
                for i in range(4):
                    angle = float(positions[p, axis]) * 100.0 ** (-2 * i / 8)
                    one, other = 8 * axis + i, 8 * axis + 4 + i
                    turned = complex(heads[m, p, one], heads[m, p, other]) * cmath.exp(1j * angle)
                    assert abs(complex(found[m, p, one], found[m, p, other]) - turned) < 1e-6
    assert torch.equal(found[:, 0], heads[:, 0])


def test_what_a_query_sees_of_a_key_depends_on_the_way_between_them():
    g = torch.Generator().manual_seed(1)
    q, k = torch.randn(2, 1, 8, generator=g)
    places = torch.tensor([[2, 3], [12, 33], [5, 1], [15, 31]])
    turned_q, turned_k = (rotate(t.expand(4, 8), rotary_angles(places, 8)) for t in (q, k))
    torch.testing.assert_close(turned_q[0] @ turned_k[2], turned_q[1] @ turned_k[3])
    assert abs(turned_q[0] @ turned_k[2] - turned_q[0] @ turned_k[3]) > 1e-3
