# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Cameras as nine numbers and back, and the head's steps written out."""

import math

import pytest
import torch
from torch.nn import functional

from gsocc_core.geometry.rigid import quat_to_rotmat
from gsocc_core.networks.camera_head import CameraHead, decode_cameras, encode_cameras


def cameras(count=6):
    g = torch.Generator().manual_seed(0)
    T = torch.eye(4, dtype=torch.float64).repeat(2, count, 1, 1)
    T[..., :3, :3] = quat_to_rotmat(torch.randn(2, count, 4, generator=g, dtype=torch.float64))
    T[..., :3, 3] = torch.randn(2, count, 3, generator=g, dtype=torch.float64)
    K = torch.tensor([[300.0, 0, 160], [0, 280, 120], [0, 0, 1]], dtype=torch.float64).expand(2, count, 3, 3)
    return T, K


def test_cameras_come_back_from_their_code():
    T, K = cameras()
    code = encode_cameras(T, K, (240, 320))
    poses, intrinsics = decode_cameras(code, (240, 320))
    torch.testing.assert_close(poses, T)
    torch.testing.assert_close(intrinsics, K)
    longer = torch.cat([code[..., :3], -3 * code[..., 3:7], code[..., 7:]], -1)
    torch.testing.assert_close(decode_cameras(longer, (240, 320))[0], T)


def test_a_code_is_the_way_into_the_camera_and_its_fields_of_view():
    T, K = cameras(1)
    code = encode_cameras(T, K, (240, 320))[0, 0]
    point = torch.tensor([0.3, -1.0, 2.0, 1.0], dtype=torch.float64)
    seen = quat_to_rotmat(code[3:7]) @ point[:3] + code[:3]
    torch.testing.assert_close(seen, (torch.linalg.inv(T[0, 0]) @ point)[:3])
    assert code[7].item() == pytest.approx(2 * math.atan(120 / 280))
    assert code[8].item() == pytest.approx(2 * math.atan(160 / 300))


def test_codes_of_an_untrained_head_are_cameras_too():
    poses, intrinsics = decode_cameras(torch.zeros(1, 9), (8, 8))
    torch.testing.assert_close(poses, torch.eye(4)[None])
    assert torch.isfinite(intrinsics).all()


def test_each_step_corrects_the_last():
    torch.manual_seed(0)
    head = CameraHead(16, depth=2, heads=2, iterations=3).double()
    with torch.no_grad():
        head.first_code.normal_()
        for block in head.trunk:
            block.scale1.normal_()
            block.scale2.normal_()
    tokens = torch.randn(2, 3, 16, dtype=torch.float64)
    found = head(tokens)
    assert len(found) == 3
    normed = functional.layer_norm(tokens, (16,), head.token_norm.weight, head.token_norm.bias)
    code, told = torch.zeros(2, 3, 9, dtype=torch.float64), head.first_code.expand(2, 3, 9)
    for step in range(3):
        shift, scale, gate = head.modulation(functional.silu(head.embed_code(told))).split(16, dim=-1)
        state = gate * (functional.layer_norm(normed, (16,), eps=1e-6) * (scale + 1) + shift) + normed
        for block in head.trunk:
            state = block(state)
        state = functional.layer_norm(state, (16,), head.trunk_norm.weight, head.trunk_norm.bias)
        code = code + head.branch2(functional.gelu(head.branch1(state)))
        told = code
        torch.testing.assert_close(found[step], code)
    # A step learns from its own correction alone.
    gradient = torch.autograd.grad(found[2].sum(), head.first_code, allow_unused=True)[0]
    assert gradient is None


def test_views_that_are_not_there_change_nothing():
    torch.manual_seed(1)
    head, tokens = CameraHead(16, depth=2, heads=2), torch.randn(2, 3, 16)
    found = head(tokens, torch.tensor([[True, True, False], [True, True, True]]))
    torch.testing.assert_close(found[-1][:1, :2], head(tokens[:1, :2])[-1])
    torch.testing.assert_close(found[-1][1], head(tokens)[-1][1])
