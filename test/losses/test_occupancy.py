# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Voxel losses against independent formulas."""

import pytest
import torch

from gsocc_core.losses.occupancy import occupied_loss, voxel_class_loss


def test_occupied_loss_is_masked_and_balanced():
    p = torch.tensor([0.9, 0.2, 0.5])
    occupied = torch.tensor([True, False, True])
    mask = torch.tensor([True, True, False])
    expected = (-3 * torch.log(torch.tensor(0.9)) - torch.log(torch.tensor(0.8))) / 2
    assert occupied_loss(p, occupied, mask, balance=3.0).item() == pytest.approx(expected.item(), rel=1e-5)
    assert occupied_loss(p, occupied, torch.zeros(3, dtype=torch.bool)).item() == 0


def test_voxel_class_loss_leaves_out_negative_channels():
    logits = torch.tensor([[0.0, 0.0], [50.0, 0.0]])
    assert voxel_class_loss(logits, torch.tensor([0, -1])).item() == pytest.approx(0.6931, abs=1e-4)
