# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Camera strategies: where each puts the cameras, read from poses in the ego frame."""

import math
from typing import get_args

import pytest
import torch

from gsocc_core import Cameras, VoxelGrid
from gsocc_core.errors import ConfigError
from gsocc_core.losses.camera_strategies import CameraStrategy, choose_views, join_views, move_cameras

GRID = VoxelGrid((-40.0, -40.0, -1.0), (40.0, 40.0, 5.4), 0.4)
#: Looks along x of the ego frame, 1.5 m up.
FRONT = torch.tensor([[0.0, 0, 1, 1], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]], dtype=torch.float64)
LEFT = torch.tensor([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]], dtype=torch.float64)


def cameras(batch=50, T_ref_ego=None):
    T = torch.stack([FRONT, LEFT]).expand(batch, 2, 4, 4)
    K = torch.tensor([[20.0, 0, 16], [0, 20, 9], [0, 0, 1]], dtype=torch.float64).expand(batch, 2, 3, 3)
    return Cameras(K, T, 32, 18, T_ref_ego=T_ref_ego)


def moved(strategy, grid=GRID, batch=50):
    """Shift of position in the ego frame (B, V, 3), pitch down and turn to the left (B, V) in degrees."""
    before = cameras(batch)
    after = move_cameras(before, strategy, grid, torch.Generator().manual_seed(0)).T_ref_cam
    forward, old = after[..., :3, 2], before.T_ref_cam[:, : after.shape[1], :3, 2]
    pitch = -torch.rad2deg(forward[..., 2].asin())
    heading = torch.atan2(forward[..., 1], forward[..., 0]) - torch.atan2(old[..., 1], old[..., 0])
    assert torch.allclose(after[..., :3, :3] @ after[..., :3, :3].mT, torch.eye(3, dtype=torch.float64), atol=1e-9)
    return after[..., :3, 3] - before.T_ref_cam[..., :3, 3], pitch, torch.rad2deg(heading)


def test_sensor_cameras_stay_and_carry_the_motion_of_the_ego():
    motion = torch.eye(4, dtype=torch.float64).repeat(50, 2, 1, 1)
    motion[..., 0, 3] = 0.6
    before = cameras(T_ref_ego=motion)
    after = move_cameras(before, "sensor", GRID)
    assert torch.equal(after.T_ref_cam, before.T_ref_cam)
    assert after.T_ref_ego is None


def test_trajectory_raises_by_two_metres_and_goes_ahead_only_in_grids_that_are_not_centred():
    shift, pitch, turn = moved("trajectory")
    assert torch.allclose(shift, torch.tensor([0.0, 0.0, 2.0], dtype=torch.float64).expand_as(shift), atol=1e-9)
    assert pitch.abs().max() < 1e-6
    assert turn.abs().max() < 1e-6
    kitti = VoxelGrid((0.0, -25.6, -2.0), (51.2, 25.6, 4.4), 0.2)
    ahead = moved("trajectory", kitti)[0][:, 0]
    assert torch.allclose(ahead[:, 2], torch.tensor(2.0, dtype=torch.float64))
    assert 0 <= ahead[:, 0].min() < 5
    assert 30 < ahead[:, 0].max() <= 0.7 * 51.2


def test_elevated_looks_down_by_20_degrees_from_8_m_along_the_tilted_axis():
    shift, pitch, turn = moved("elevated")
    assert torch.allclose(shift.norm(dim=-1), torch.tensor(8.0, dtype=torch.float64))
    assert torch.allclose(shift[..., 2], torch.tensor(8 * math.cos(math.radians(20)), dtype=torch.float64))
    assert torch.allclose(pitch, torch.tensor(20.0, dtype=torch.float64), atol=0.1)
    assert 4 < turn.abs().max() < 5.4


def test_random_rises_in_proportion_to_its_pitch():
    shift, pitch, turn = moved("random")
    assert -1e-9 < pitch.min() < 3
    assert 17 < pitch.max() < 20.01
    assert 8 < turn.abs().max() < 10.7
    assert shift.norm(dim=-1).max() <= math.hypot(8, 10)
    assert shift[..., 2].max() > 4


def test_stereo_adds_a_neighbour_within_a_metre():
    before = cameras()
    after = move_cameras(before, "stereo", GRID, torch.Generator().manual_seed(0))
    assert after.intrinsics.shape == (50, 4, 3, 3)
    assert torch.equal(after.T_ref_cam[:, :2], before.T_ref_cam)
    offset = (after.T_ref_cam[:, 2:] - before.T_ref_cam)[..., :3, 3]
    assert 0.5 < offset[..., 2].abs().max() <= 1
    assert torch.equal(after.T_ref_cam[:, 2:, :3, :3], before.T_ref_cam[..., :3, :3])


def test_elevated_around_rises_8_m_and_spreads_over_x_and_y():
    shift, pitch, turn = moved("elevated_around")
    assert torch.allclose(shift[..., 2], torch.tensor(8.0, dtype=torch.float64))
    assert bool((shift[..., :2].amax((0, 1)) > 4).all())
    assert bool((shift[..., :2].amin((0, 1)) < -4).all())
    assert shift[..., :2].abs().max() <= 5
    assert torch.allclose(pitch, torch.tensor(20.0, dtype=torch.float64))
    assert turn.abs().max() < 1e-6


@pytest.mark.parametrize("strategy", get_args(CameraStrategy))
def test_a_seed_gives_the_same_cameras(strategy):
    first, second, third = (
        move_cameras(cameras(), strategy, GRID, torch.Generator().manual_seed(seed)).T_ref_cam for seed in (3, 3, 4)
    )
    assert torch.equal(first, second)
    assert torch.equal(first, third) == (strategy in {"sensor", "trajectory"})


def test_views_are_drawn_per_sample_by_weight_without_repetition():
    rig = cameras(400)
    one = choose_views(rig, 1, [3.0, 1.0], torch.Generator().manual_seed(0))
    assert one.intrinsics.shape == (400, 1, 3, 3)
    share = (one.T_ref_cam[:, 0] == FRONT).all((-1, -2)).double().mean()
    assert abs(share - 0.75) < 0.07
    both = choose_views(rig, 2).T_ref_cam
    assert torch.equal(both.sum(1), rig.T_ref_cam.sum(1))


def test_bad_input_is_named():
    with pytest.raises(ConfigError, match="strategy"):
        move_cameras(cameras(), "around", GRID)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"1\.\.\.2 cameras"):
        choose_views(cameras(), 3)
    with pytest.raises(ConfigError, match="2 weights"):
        choose_views(cameras(), 1, [1.0])
    with pytest.raises(ConfigError, match="2 positive weights"):
        choose_views(cameras(), 2, [1.0, 0.0])
    with pytest.raises(ConfigError, match="width, height, model"):
        join_views(cameras(), cameras().resized(16, 9))
