# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Motions of a rig: matrices, their composition with the calibration, time order, and the average over cameras."""

import math

import pytest
import torch

from gsocc_core import Cameras
from gsocc_core.errors import ConfigError
from gsocc_core.geometry.rigid import rigid_from_quat
from gsocc_core.networks.backbones import BackboneArgs, build_backbone
from gsocc_core.networks.ego_motion import EgoMotion, pair_backbone, part_of_motion, rigid_motion

SIZES = {"embedding_size": 8, "hidden_sizes": [8, 12, 16, 20], "depths": [1, 1, 1, 1], "layer_type": "basic"}
BACKBONE = BackboneArgs(model_args=SIZES, out_indices=(4,))


def rodrigues(turn):
    """Plain Rodrigues' formula."""
    angle = math.sqrt(sum(t * t for t in turn))
    x, y, z = (t / angle for t in turn)
    K = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
    return torch.eye(3, dtype=torch.float64) + math.sin(angle) * K + (1 - math.cos(angle)) * K @ K


def network(seed=0):
    torch.manual_seed(seed)
    return EgoMotion(BACKBONE, 16, 0.5).eval()


def pictures(b=2, s=3, v=3, seed=1):
    g = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (b, s, v, 3, 32, 64), generator=g, dtype=torch.uint8)


def test_six_numbers_are_a_rigid_motion():
    vectors = torch.tensor([[0.3, -0.2, 0.7, 1.0, 2.0, 3.0], [1e-3, 0, 2e-3, -1, 0, 0]], dtype=torch.float64)
    found = rigid_motion(vectors)
    for T, vector in zip(found, vectors):
        torch.testing.assert_close(T[:3, :3], rodrigues(vector[:3].tolist()))
        torch.testing.assert_close(T[:3, 3], vector[3:])
        assert T[3].tolist() == [0, 0, 0, 1]
    rest = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    motion = rigid_motion(rest)
    torch.testing.assert_close(motion, torch.eye(4, dtype=torch.float64))
    (slope,) = torch.autograd.grad(motion[2, 1], rest)
    torch.testing.assert_close(slope, torch.tensor([1.0, 0, 0, 0, 0, 0], dtype=torch.float64))


@pytest.mark.parametrize("part", [0.0, 0.4, 1.0, -0.5])
def test_a_part_of_a_motion_at_constant_velocity(part):
    vector = torch.tensor([0.02, -0.01, 0.05, 0.8, 0.1, -0.02], dtype=torch.float64)
    found = part_of_motion(rigid_motion(vector), torch.tensor(part, dtype=torch.float64))
    torch.testing.assert_close(found, rigid_motion(part * vector), atol=1e-9, rtol=0)


def test_time_orders_the_pair_and_the_moment_before_is_not_inverted():
    """M leads from the earlier ego frame to the later one; poses are those of the neighbour in the present frame."""
    model, seen = network(), pictures()
    valid = torch.ones(2, 3, 3, dtype=torch.bool)
    times = torch.tensor([[0.0, -0.08, 0.08], [0.0, 0.08, 0.16]])
    with torch.no_grad():
        poses = model.neighbours(seen, valid, times)
        assert torch.equal(poses[:, 0], torch.eye(4).expand(2, 4, 4))
        for b in range(2):
            for s in (1, 2):
                before = times[b, s] < 0
                pair = (seen[b, s], seen[b, 0]) if before else (seen[b, 0], seen[b, s])
                M = rigid_motion(model(pair[0][None], pair[1][None], valid[b, :1]))[0]
                # M maps points of the earlier moment's ego frame to the later one's.
                expected = M if before else torch.linalg.inv(M)
                torch.testing.assert_close(poses[b, s], expected, atol=1e-5, rtol=1e-4)
        back = model.neighbours(seen.flip(1)[:, 1:], valid[:, :2], torch.tensor([[0.0, -0.08], [0.0, -0.08]]))
        forth = model.neighbours(seen.flip(1)[:, 1:].flip(1), valid[:, :2], torch.tensor([[0.0, 0.08], [0.0, 0.08]]))
    torch.testing.assert_close(back[:, 1] @ forth[:, 1], torch.eye(4).expand(2, 4, 4), atol=1e-4, rtol=0)


def test_camera_to_camera_is_the_calibration_around_the_motion():
    """cam_t -> cam_t' = E^-1 M E, in plain numbers, for the moment after and, with M inverted, for the one before."""
    E = torch.from_numpy(rigid_from_quat([0.5, -0.5, 0.5, -0.5], [1.6, 0.3, 1.5]))
    M = rigid_motion(torch.tensor([0.01, 0.02, 0.06, -0.7, 0.05, 0.01], dtype=torch.float64))
    point = torch.tensor([0.4, -0.3, 6.0, 1.0], dtype=torch.float64)
    for before in (False, True):
        leads = torch.linalg.inv(M) if before else M  # from the present ego frame to the neighbour's
        pose = M if before else torch.linalg.inv(M)  # as EgoMotion.neighbours gives it
        cameras = Cameras(torch.eye(3, dtype=torch.float64)[None], E[None], 4, 4, T_ref_ego=pose[None])
        expected = torch.linalg.inv(E) @ leads @ E @ point
        found = cameras.viewmats[0] @ (E @ point)
        torch.testing.assert_close(found, expected)


def test_features_are_averaged_over_the_cameras_that_are_there():
    model, seen = network(), pictures(1, 2, 3)
    one, other = seen[:, 0], seen[:, 1]
    with torch.no_grad():
        every = model(one, other, torch.ones(1, 3, dtype=torch.bool))
        turned = model(one.roll(1, 1), other.roll(1, 1), torch.ones(1, 3, dtype=torch.bool))
        torch.testing.assert_close(every, turned, atol=1e-5, rtol=1e-4)
        two = model(one[:, :2], other[:, :2], torch.ones(1, 2, dtype=torch.bool))
        masked = model(one, other, torch.tensor([[True, True, False]]))
        torch.testing.assert_close(two, masked, atol=1e-5, rtol=1e-4)
        assert not torch.allclose(every, two, atol=1e-4)
        # By hand: two backbones' outputs, their mean, the decoder, the mean over the map.
        maps = [
            model.backbone((torch.cat([one[0, v], other[0, v]])[None] / 255 - 0.45) / 0.225).feature_maps[-1]
            for v in range(3)
        ]
        expected = 0.5 * model.decoder(sum(maps) / 3).mean((-2, -1))
    torch.testing.assert_close(every, expected, atol=1e-5, rtol=1e-4)


def test_a_pretrained_stem_sees_two_equal_pictures_as_one(monkeypatch):
    torch.manual_seed(0)
    single = build_backbone(BACKBONE, False)
    monkeypatch.setattr(
        "gsocc_core.networks.ego_motion.build_backbone",
        lambda args, pretrained: single if pretrained else build_backbone(args, False),
    )
    pair = pair_backbone(BackboneArgs("owner/weights", "resnet", SIZES, (4,)), True).eval()
    seen = torch.randn(2, 3, 32, 64)
    with torch.no_grad():
        expected = single.eval()(seen).feature_maps[-1]
        torch.testing.assert_close(pair(torch.cat([seen, seen], 1)).feature_maps[-1], expected, atol=1e-5, rtol=1e-4)


def test_one_stage_is_wanted():
    with pytest.raises(ConfigError, match="out_indices: expected one stage"):
        EgoMotion(BackboneArgs(model_args=SIZES, out_indices=(3, 4)))
