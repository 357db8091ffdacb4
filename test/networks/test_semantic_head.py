# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Reduction and expansion between the teacher's space and the Gaussians'."""

import torch

from gsocc_core.networks.semantic_head import SemanticHead


def test_each_pixel_is_mapped_by_itself_and_resized():
    torch.manual_seed(0)
    head = SemanticHead(6, 4)
    plain = torch.randn(2, 6, 1, 1).expand(2, 6, 3, 5)
    reduced = head.reduce(plain, (6, 10))
    assert tuple(reduced.shape) == (2, 4, 6, 10)
    expected = plain[:, :, 0, 0] @ head.reduction.weight[:, :, 0, 0].T + head.reduction.bias
    torch.testing.assert_close(reduced, expected[..., None, None].expand(2, 4, 6, 10))

    rendered = torch.randn(2, 3, 4, 6, 4)
    expanded = head.expand(rendered)
    assert tuple(expanded.shape) == (2, 3, 2, 3, 6)
    four = rendered.unflatten(2, (2, 2)).unflatten(4, (3, 2)).mean((3, 5))  # half the size = the mean of four pixels
    expected = four @ head.expansion.weight[:, :, 0, 0].T + head.expansion.bias
    torch.testing.assert_close(expanded, expected)
    torch.testing.assert_close(head.expand_each(four), expected)
    torch.testing.assert_close(head.expand(rendered[0, 0]), expected[0, 0])
