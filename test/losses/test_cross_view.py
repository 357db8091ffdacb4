# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Two cameras look at one wall: what they share fits together at the right depth alone."""

import math

import pytest
import torch

from gsocc_core import Cameras, Gaussians
from gsocc_core.geometry.rigid import transform_points
from gsocc_core.losses.cross_view import CrossViewArgs, at_size, cross_view_loss
from gsocc_core.losses.photometric import photometric_error
from gsocc_core.losses.rig_overlap import OverlapArgs, eroded, overlap_masks
from gsocc_core.splat import splat_to_image

WIDTH, HEIGHT, WALL_M = 48, 24, 5.0


def rig(apart_m=0.8):
    """Two cameras side by side, turned 20 degrees away from each other; and one that looks back."""
    poses = []
    for degrees, y in ((20, apart_m / 2), (-20, -apart_m / 2), (180, 0.0)):
        a = math.radians(degrees)
        T = torch.eye(4)
        T[:3, 2] = torch.tensor([math.cos(a), math.sin(a), 0.0])
        T[:3, 1] = torch.tensor([0.0, 0.0, -1.0])
        T[:3, 0] = torch.linalg.cross(T[:3, 1], T[:3, 2])
        T[:3, 3] = torch.tensor([0.0, y, 1.5])
        poses.append(T)
    K = torch.tensor([[0.6 * WIDTH, 0, WIDTH / 2], [0, 0.6 * WIDTH, HEIGHT / 2], [0, 0, 1.0]])
    return Cameras(K.expand(1, 3, 3, 3), torch.stack(poses)[None], WIDTH, HEIGHT)


def wall(cameras):
    """Depth (1, V, H, W) of a painted wall around the rig, at x = 5 m ahead and behind, and pictures of it."""
    origins, rays = cameras.rays()
    depth = (WALL_M * rays[..., 0].sign() - origins[..., 0]) / rays[..., 0]
    _, y, z = (origins + depth[..., None] * rays).unbind(-1)
    phase = torch.tensor([0.0, 1.0, 2.5])
    colours = 0.5 + 0.2 * torch.sin(2.4 * y[..., None] + phase) + 0.2 * torch.sin(1.7 * z[..., None] + 2 * phase)
    return depth, colours.movedim(-1, -3)


@pytest.fixture(scope="module")
def scene():
    cameras = rig()
    depth, pictures = wall(cameras)
    overlaps = overlap_masks(cameras.map(lambda t: t[0]), OverlapArgs(40.0, 80))[None]
    return depth, pictures, cameras, torch.ones(1, 3, dtype=torch.bool), overlaps


def test_the_right_depth_costs_next_to_nothing_and_a_wrong_scale_does_not(scene):
    depth, *rest = scene
    assert rest[-1][0, 0, 1].sum() > 200
    losses = {k: cross_view_loss(depth * k, *rest).item() for k in (0.5, 0.8, 1.0, 1.25, 2.0)}
    assert losses[1.0] < 0.02
    assert min(losses, key=losses.get) == 1.0
    assert losses[0.8] > 2 * losses[1.0]
    assert losses[2.0] > 8 * losses[1.0]
    assert losses[2.0] > losses[1.25] > losses[1.0]
    assert losses[0.5] > losses[0.8]


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_wrong_scale_is_pulled_to_the_right_one(scene, factor):
    depth, *rest = scene
    scale = torch.tensor(math.log(factor), requires_grad=True)
    cross_view_loss(depth * scale.exp(), *rest).backward()
    assert scale.grad * math.log(factor) > 0, "down the slope is towards 1"
    # And all the way: the scale alone, by gradient steps.
    optimizer = torch.optim.Adam([scale], lr=0.05)
    for _ in range(40):
        optimizer.zero_grad()
        cross_view_loss(depth * scale.exp(), *rest).backward()
        optimizer.step()
    assert scale.exp().item() == pytest.approx(1.0, abs=0.1)


def test_holes_beside_a_thing_do_not_pull_on_the_scale():
    """A board stands before the wall: each camera sees wall that it hides from the other. The slope is least at 1."""
    cameras = rig(apart_m=2.0)
    origins, rays = cameras.rays()
    wall_m, _ = wall(cameras)
    board_m = (2.5 - origins[..., 0]) / rays[..., 0]
    board = (rays[..., 0] > 0) & ((origins + board_m[..., None] * rays)[..., 1].abs() < 0.3)
    depth = torch.where(board, board_m, wall_m)
    _, y, z = (origins + depth[..., None] * rays).unbind(-1)
    phase = torch.tensor([0.0, 1.0, 2.5]) + 2 * board[..., None]
    colours = 0.5 + 0.2 * torch.sin(4.0 * y[..., None] + phase) + 0.2 * torch.sin(2.8 * z[..., None] + 2 * phase)
    overlaps = overlap_masks(cameras.map(lambda t: t[0]), OverlapArgs(40.0, 80))[None]
    rest = colours.movedim(-1, -3), cameras, torch.ones(1, 3, dtype=torch.bool), overlaps
    slopes = {}
    for factor in (0.95, 1.0, 1.05):
        scale = torch.tensor(math.log(factor), requires_grad=True)
        cross_view_loss(depth * scale.exp(), *rest).backward()
        slopes[factor] = scale.grad.item()
    assert slopes[0.95] < 0 < slopes[1.05]
    assert abs(slopes[1.0]) < 0.5 * min(-slopes[0.95], slopes[1.05])


def test_own_pixels_left_in_hide_errors(scene):
    """Without mask-out a picture is made of itself: the published collapse."""
    depth, *rest = scene
    kept = CrossViewArgs(mask_out=False)
    assert cross_view_loss(2 * depth, *rest, args=kept) < 0.8 * cross_view_loss(2 * depth, *rest)
    assert cross_view_loss(0.8 * depth, *rest, args=kept) < cross_view_loss(depth, *rest, args=kept)


@pytest.mark.parametrize("holes", ["filled", "counted"])
def test_the_loss_is_the_one_written_out(scene, holes):
    """Camera by camera: which pixels become Gaussians, where they go, what is compared."""
    depth, pictures, cameras, valid, overlaps = scene
    depth = 0.9 * depth
    usable = torch.ones_like(depth, dtype=torch.bool)
    usable[0, 1, 15:, :20] = False  # the robot itself
    total = count = 0.0
    for i in range(3):
        means, colours = [], []
        for j in range(3):
            camera = cameras.map(lambda t, j=j: t[0, j])
            fx, cx, cy = camera.intrinsics[0, 0], camera.intrinsics[0, 2], camera.intrinsics[1, 2]
            for v in range(HEIGHT):
                for u in range(WIDTH):
                    taken = overlaps[0, j, i, v, u] if i != j else not overlaps[0, i, :, v, u].any()
                    if taken and usable[0, j, v, u]:
                        z = depth[0, j, v, u]
                        point = torch.stack([(u + 0.5 - cx) / fx * z, (v + 0.5 - cy) / fx * z, z])
                        means.append(transform_points(camera.T_ego_cam, point[None])[0])
                        colours.append(pictures[0, j, :, v, u])
        n = len(means)
        ball = Gaussians(
            torch.stack(means), torch.full((n, 3), 0.02), torch.tensor([1.0, 0, 0, 0]).expand(n, 4), torch.ones(n),
            torch.stack(colours),
        )  # fmt: skip
        seen = splat_to_image(ball, cameras.map(lambda t, i=i: t[0, i : i + 1]), near=0.2, far=120.0)
        compared = eroded(overlaps[0, i].any(0) & usable[0, i], 1)
        colour = seen.features[0]
        if holes == "filled":
            compared = compared & eroded(seen.alpha[0] > 0.5, 1)
            colour = colour / seen.alpha[0].clamp(min=0.25)[..., None]
        error = photometric_error(colour.movedim(-1, 0), pictures[0, i])
        total, count = total + (error * compared).sum(), count + compared.sum()
    found = cross_view_loss(depth, pictures, cameras, valid, overlaps, usable, CrossViewArgs(holes=holes))
    torch.testing.assert_close(found, total / count, atol=1e-5, rtol=1e-4)


def test_missing_pictures_share_nothing(scene):
    depth, pictures, cameras, valid, overlaps = scene
    depth = depth.clone().requires_grad_()
    one_gone = torch.tensor([[True, False, True]])
    loss = cross_view_loss(depth, pictures, cameras, one_gone, overlaps)
    loss.backward()
    assert loss.item() == 0.0
    assert not depth.grad.any()
    assert cross_view_loss(depth, pictures, cameras, valid, overlaps) > 0


def test_the_inverse_of_depth_is_what_is_enlarged():
    """On a plane the inverse depth is even across the picture, so half the size loses nothing inside."""
    columns = (torch.arange(8.0) + 0.5) / 8
    inverse = (0.1 + 0.3 * columns).expand(1, 1, 4, 8)
    small = 1 / inverse.unflatten(-1, (4, 2)).mean(-1).unflatten(-2, (2, 2)).mean(-2)
    usable = torch.ones(1, 1, 4, 8, dtype=torch.bool)
    usable[..., 0, 0] = False
    pictures = torch.rand(1, 1, 3, 4, 8)
    found, same, kept = at_size(small, pictures, usable, (4, 8))
    torch.testing.assert_close(found[..., 1:-1], 1 / inverse[..., 1:-1])
    assert same is pictures
    assert kept is usable
    _, coarse, kept = at_size(small, pictures, usable, (2, 4))
    torch.testing.assert_close(coarse[0, 0, :, 1, 1], pictures[0, 0, :, 2:, 2:4].mean((-2, -1)))
    assert kept.tolist() == [[[[False, True, True, True], [True] * 4]]]
