# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Sources of metres on motions and planes whose true size is known."""

import math

import pytest
import torch

from gsocc_core.geometry.cameras import Cameras
from gsocc_core.losses.metric_scale import ground_depth, ground_error, length_error, lengths_of_poses

HEIGHT, WIDTH, FOCAL = 32, 64, 40.0
#: Optical axes of a camera that looks ahead.
AHEAD = torch.tensor([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])


def cameras(heights=(1.5, 0.75), pitch_deg=0.0):
    """(1, V) cameras at these heights that look ahead and down."""
    c, s = math.cos(math.radians(pitch_deg)), math.sin(math.radians(pitch_deg))
    T = torch.eye(4).repeat(1, len(heights), 1, 1)
    T[..., :3, :3] = torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ AHEAD
    T[0, :, 2, 3] = torch.tensor(heights)
    K = torch.tensor([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]]).expand(1, len(heights), 3, 3)
    return Cameras(K, T, WIDTH, HEIGHT)


def moved(vectors):
    """(1, S, 4, 4) poses at these places."""
    T = torch.eye(4).repeat(1, len(vectors), 1, 1)
    T[0, :, :3, 3] = torch.tensor(vectors)
    return T


def test_the_error_of_lengths_is_least_at_the_true_scale():
    """Motions of 3-4-5 and of 2 m, predicted at some factor: the error is |factor - 1| times 3.5 m."""
    predicted = moved([[0.0, 0, 0], [3, 4, 0], [0, 0, -2]])
    lengths, valid = torch.tensor([[[5.0, 5.0], [2.0, 2.0]]]), torch.ones(1, 3, 2, dtype=torch.bool)
    for factor in (0.5, 0.9, 1.0, 1.25, 2.0):
        scaled = predicted.clone()
        scaled[..., :3, 3] *= factor
        assert length_error(scaled, lengths, valid).item() == pytest.approx(abs(factor - 1) * 3.5, abs=1e-5)
    # Descending from a wrong scale finds the right one, and directions stay as they are.
    log_scale = torch.tensor(math.log(3.0), requires_grad=True)
    optimizer = torch.optim.SGD([log_scale], lr=0.02)
    for _ in range(200):
        optimizer.zero_grad()
        last = torch.cat([predicted[..., :3, :3], predicted[..., :3, 3:] * log_scale.exp()], -1)
        length_error(last, lengths, valid).backward()
        optimizer.step()
    assert log_scale.exp().item() == pytest.approx(1.0, abs=0.1)


def test_only_lengths_that_are_known_count():
    predicted, valid = moved([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]]), torch.ones(1, 3, 2, dtype=torch.bool)
    lengths = torch.tensor([[[4.0, math.nan], [2.0, 2.5]]])
    assert length_error(predicted, lengths, valid).item() == pytest.approx((3.0 + 0.0 + 0.5) / 3)
    valid[0, 1, 0] = False
    assert length_error(predicted, lengths, valid).item() == pytest.approx((0.0 + 0.5) / 2)
    still = torch.eye(4).expand(1, 3, 4, 4).clone().requires_grad_()
    error = length_error(still, torch.full((1, 2, 2), math.nan), valid)
    error.backward()
    assert error.item() == 0.0
    assert not still.grad.any()
    assert still.grad.isfinite().all()


def test_lengths_of_given_poses_are_those_between_a_cameras_own_pictures():
    """The second camera fires later: at constant velocity its lengths are the same, though its poses are others."""
    K, calibration = (t[:, None].expand(1, 3, 2, -1, -1) for t in (cameras().intrinsics, cameras().T_ego_cam))
    poses = torch.eye(4).repeat(1, 3, 2, 1, 1)
    poses[0, :, 0, 0, 3], poses[0, :, 1, 0, 3] = torch.tensor([0.2, -0.8, 1.2]), torch.tensor([0.6, -0.4, 1.6])
    found = lengths_of_poses(Cameras(K, calibration, WIDTH, HEIGHT, T_ref_ego=poses))
    torch.testing.assert_close(found, torch.ones(1, 2, 2))
    poses[0, 1] = torch.nan
    found = lengths_of_poses(Cameras(K, calibration, WIDTH, HEIGHT, T_ref_ego=poses))
    assert found.isnan().tolist() == [[[True, True], [False, False]]]


def test_ground_is_where_the_height_says():
    """A level camera h above the ground sees it at depth h f / (v - cy) in row v."""
    depth = ground_depth(cameras()).view(1, 2, HEIGHT, WIDTH)
    for row in range(HEIGHT):
        for view, height in enumerate((1.5, 0.75)):
            below = row + 0.5 - HEIGHT / 2
            expected = height * FOCAL / below if below > 0 else math.inf
            found = depth[0, view, row]
            assert found.isnan().all() if expected > 12 else found.tolist() == pytest.approx([expected] * WIDTH)
    # Looking straight down every pixel's depth is the height; from below, or upwards, there is none.
    torch.testing.assert_close(ground_depth(cameras((2.0,), 90.0)), torch.full((1, 1, HEIGHT * WIDTH), 2.0))
    assert ground_depth(cameras((-0.1, 0.0))).isnan().all()
    assert ground_depth(cameras((1.5,), -60.0)).isnan().all()


def test_the_error_of_the_ground_is_least_at_the_true_height():
    """What stands on the ground in less than half of its pixels does not count."""
    rig = cameras()
    ground = ground_depth(rig).nan_to_num(30.0).view(1, 2, HEIGHT, WIDTH)
    ground[..., : WIDTH // 3] = 0.3
    for factor in (0.5, 0.8, 1.0, 1.5, 2.0):
        found = ground_error(factor * ground, rig).item()
        assert found == pytest.approx(abs(math.log(factor)), abs=1e-5)
    assert ground_error(ground, cameras((-1.0, -1.0))).item() == 0.0
    # A camera that sees no ground takes no part.
    mixed = cameras((1.5, -1.0))
    assert ground_error(2 * ground, mixed).item() == pytest.approx(math.log(2), abs=1e-5)


def test_the_gradient_of_the_ground_reaches_depth_and_is_finite():
    rig = cameras()
    depth = (2 * ground_depth(rig).nan_to_num(30.0)).view(1, 2, HEIGHT, WIDTH).requires_grad_()
    ground_error(depth, rig).backward()
    assert depth.grad.isfinite().all()
    assert depth.grad.sum() > 0
