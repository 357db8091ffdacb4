# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Coarse labels: the CPU kernel against a comparison class by class."""

import pytest
import torch

from gsocc_core.losses.coarse_labels import coarse_labels


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_the_kernel_finds_what_a_comparison_class_by_class_finds(share):
    g = torch.Generator().manual_seed(0)
    ids = torch.tensor([0, 4, 9, 17, 17, 255], dtype=torch.uint8)
    labels = ids[torch.randint(0, 6, (2, 3, 12, 8, 6), generator=g)]
    labels[0, 0, :4] = 255
    for shape in ((6, 4, 6), (4, 8, 2), (1, 1, 1)):
        found = coarse_labels(labels, shape, 17, 255, share)
        assert torch.equal(found, coarse_labels(labels.int(), shape, 17, 255, share))
