# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Photometric losses against the formulas pixel by pixel, and against pictures of a wall whose depth is known."""

import math

import numpy as np
import pytest
import torch

from gsocc_core import Cameras
from gsocc_core.errors import ShapeError
from gsocc_core.losses.photometric import (
    minimum_reprojection,
    photometric_error,
    reprojection_loss,
    smoothness_loss,
    ssim_dissimilarity,
    warp,
)


def ssim_by_hand(x, y, row, column):
    """1 - SSIM of one pixel of one channel, halved, from its nine neighbours."""
    height, width = x.shape
    mirrored = [(abs(row + i), abs(column + j)) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    mirrored = [(min(r, 2 * (height - 1) - r), min(c, 2 * (width - 1) - c)) for r, c in mirrored]
    a, b = (np.array([float(p[r, c]) for r, c in mirrored]) for p in (x, y))
    covariance = ((a - a.mean()) * (b - b.mean())).mean()
    similar = (2 * a.mean() * b.mean() + 1e-4) * (2 * covariance + 9e-4)
    similar /= (a.mean() ** 2 + b.mean() ** 2 + 1e-4) * (a.var() + b.var() + 9e-4)
    return min(max((1 - similar) / 2, 0), 1)


def test_the_error_of_two_pictures_is_the_formula():
    g = torch.Generator().manual_seed(0)
    one, other = torch.rand(2, 3, 5, 7, generator=g, dtype=torch.float64), torch.rand(2, 3, 5, 7, generator=g).double()
    found = photometric_error(one, other)
    dissimilar = ssim_dissimilarity(one, other)
    for b, row, column in [(0, 0, 0), (1, 4, 6), (0, 2, 3), (1, 0, 4)]:
        parts = [ssim_by_hand(one[b, c], other[b, c], row, column) for c in range(3)]
        assert dissimilar[b, :, row, column].tolist() == pytest.approx(parts, abs=1e-9)
        absolute = (one[b, :, row, column] - other[b, :, row, column]).abs().mean().item()
        assert found[b, row, column].item() == pytest.approx(0.85 * np.mean(parts) + 0.15 * absolute, abs=1e-9)
    assert photometric_error(one, one).abs().max() < 1e-12


def rig(count, width=40, height=24, step_m=0.4, model="pinhole", distortion=None):
    """Cameras that look along x and stand ``step_m`` apart along y; the ego has moved between them."""
    T_ego_cam = torch.tensor([[0, 0, 1.0, 0.5], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]], dtype=torch.float64)
    motion = torch.eye(4, dtype=torch.float64).repeat(count, 1, 1)
    motion[:, 1, 3] = step_m * torch.arange(count)
    K = torch.tensor([[30.0, 0, 20.5], [0, 28.0, 11.0], [0, 0, 1]], dtype=torch.float64)
    distortion = None if distortion is None else torch.tensor(distortion, dtype=torch.float64).expand(count, -1)
    many = (K.expand(count, 3, 3), T_ego_cam.expand(count, 4, 4))
    return Cameras(*many, width, height, model, distortion, motion)


def wall(cameras, at_x=8.0):
    """Pictures (V, 3, H, W) of a wall across the road, painted with slow waves, and its depth (V, H, W)."""
    origins, directions = cameras.rays()
    travelled = (at_x - origins[..., 0]) / directions[..., 0]
    points = origins + travelled[..., None] * directions
    paint = [torch.sin(0.5 * (k + 1) * points[..., 1] + k) * torch.cos(0.7 * points[..., 2] + k) for k in range(3)]
    return 0.5 + 0.4 * torch.stack(paint, dim=-3), (points[..., 0] - cameras.T_ref_cam[:, None, None, 0, 3])


@pytest.mark.parametrize("distortion", [None, (-0.1, 0.02, 0.001, -0.002)])
def test_the_right_depth_makes_neighbours_look_alike(distortion):
    cameras = rig(2, distortion=distortion)
    pictures, depth = wall(cameras)
    source, target = cameras.map(lambda t: t[1:]), cameras.map(lambda t: t[:1])
    found, seen = warp(pictures[1:], source, depth[:1], target)
    # 0.4 m at 7.5 m are 1.6 pixels: the source stands to the left, so the wall lies farther right in its picture.
    assert seen[0, 12, :38].all()
    assert not seen[0, :, 39:].any()
    inner = seen[0].clone()
    inner[[0, -1]], inner[:, :2], inner[:, -4:] = False, False, False
    assert (found[0] - pictures[0])[:, inner].abs().max() < 0.02, "bilinear reading of slow waves"
    wrong, _ = warp(pictures[1:], source, 0.5 * depth[:1], target)
    assert (wrong[0] - pictures[0])[:, inner].abs().mean() > 0.05


def test_a_warp_reads_the_pixel_that_the_point_projects_to():
    """One pixel written out: its ray, its point, its projection, its four neighbours."""
    cameras = rig(2, step_m=0.31)
    g = torch.Generator().manual_seed(3)
    pictures = torch.rand(1, 3, 24, 40, generator=g, dtype=torch.float64)
    depth = 4 + 3 * torch.rand(1, 24, 40, generator=g, dtype=torch.float64)
    found, seen = warp(pictures, cameras.map(lambda t: t[1:]), depth, cameras.map(lambda t: t[:1]))
    for row, column in [(3, 5), (20, 30), (11, 0)]:
        z = depth[0, row, column].item()
        x, y = (column + 0.5 - 20.5) / 30 * z, (row + 0.5 - 11) / 28 * z
        x += 0.31  # the source stands 0.31 m to the left, so things lie that much farther right of it
        u, v = x / z * 30 + 20.5, y / z * 28 + 11
        assert seen[0, row, column]
        total = torch.zeros(3, dtype=torch.float64)
        for i in (math.floor(v - 0.5), math.floor(v - 0.5) + 1):
            for j in (math.floor(u - 0.5), math.floor(u - 0.5) + 1):
                weight = (1 - abs(v - 0.5 - i)) * (1 - abs(u - 0.5 - j))
                total += weight * pictures[0, :, min(max(i, 0), 23), min(max(j, 0), 39)]
        torch.testing.assert_close(found[0, :, row, column], total)


def test_depth_finds_its_way_by_gradient():
    cameras = rig(3).map(lambda t: t[None, :, None].float())
    pictures, depth = wall(rig(3))
    shown = (255 * pictures).round().to(torch.uint8)[None, :, None]
    guess = torch.full((1, 1, 24, 40), 6.0, requires_grad=True)
    valid = torch.ones(1, 3, 1, dtype=torch.bool)
    optimizer = torch.optim.Adam([guess], lr=0.2)
    for _ in range(40):
        optimizer.zero_grad()
        loss = reprojection_loss(guess, shown, cameras, valid, auto_mask=False)
        loss.backward()
        optimizer.step()
    inner = guess.detach()[0, 0, 2:-2, 4:-8]
    assert (inner - depth[0, 2:-2, 4:-8]).abs().median() < 0.5, "from 6 m to the wall at 7.5 m"


def test_the_least_error_counts_and_resting_pixels_teach_nothing():
    g = torch.Generator().manual_seed(1)
    present = torch.rand(2, 3, 6, 8, generator=g)
    warped = torch.rand(2, 2, 3, 6, 8, generator=g, requires_grad=True)
    seen = torch.rand(2, 2, 6, 8, generator=g) < 0.7
    errors = torch.stack([photometric_error(w, present) for w in warped])
    picked = [
        min(errors[k, b, i, j].item() for k in range(2) if seen[k, b, i, j])
        for b in range(2) for i in range(6) for j in range(8) if seen[:, b, i, j].any()
    ]  # fmt: skip
    assert minimum_reprojection(present, warped, seen).item() == pytest.approx(np.mean(picked), abs=1e-6)
    # Still pictures equal to the present: every pixel rests.
    resting = minimum_reprojection(present, warped, seen, present.expand(2, 2, 3, 6, 8))
    assert resting.item() == 0.0
    resting.backward()
    assert warped.grad is None or not warped.grad.any()
    # Still pictures that look like nothing: every pixel counts.
    far = minimum_reprojection(present, warped, seen, (1 - present.round()).expand(2, 2, 3, 6, 8))
    still_errors = photometric_error(1 - present.round(), present)
    kept = [
        min(still_errors[b, i, j].item(), *(errors[k, b, i, j].item() for k in range(2) if seen[k, b, i, j]))
        for b in range(2) for i in range(6) for j in range(8) if seen[:, b, i, j].any()
    ]  # fmt: skip
    assert far.item() == pytest.approx(np.mean(kept), abs=1e-6)
    nothing = minimum_reprojection(present, warped, torch.zeros_like(seen))
    assert nothing.item() == 0.0


def test_missing_neighbours_add_nothing():
    cameras = rig(3).map(lambda t: t[None, :, None].float())
    pictures, depth = wall(rig(3))
    shown = (255 * pictures).round().to(torch.uint8)[None, :, None]
    guess = (0.8 * depth[:1].float())[None].requires_grad_()
    only = torch.tensor([[[True], [True], [False]]])
    both = reprojection_loss(guess, shown, cameras, only)
    one = reprojection_loss(guess, shown[:, :2], cameras.map(lambda t: t[:, :2]), only[:, :2])
    torch.testing.assert_close(both, one)
    for alone in (torch.tensor([[[True], [False], [False]]]), torch.tensor([[[False], [True], [True]]])):
        loss = reprojection_loss(guess, shown, cameras, alone)
        assert loss.item() == 0.0
        loss.backward()
    single = reprojection_loss(guess, shown[:, :1], cameras.map(lambda t: t[:, :1]), only[:, :1])
    single.backward()
    assert single.item() == 0.0
    border = reprojection_loss(guess, shown, cameras, only, outside="border", auto_mask=False)
    assert border > reprojection_loss(guess, shown, cameras, only, auto_mask=False), "the border shows the wrong paint"
    # Depth of half the size is enlarged.
    small = reprojection_loss(torch.full((1, 1, 12, 20), 7.5), shown, cameras, only)
    torch.testing.assert_close(small, reprojection_loss(torch.full((1, 1, 24, 40), 7.5), shown, cameras, only))
    with pytest.raises(ShapeError, match="pictures: expected"):
        reprojection_loss(guess, shown[..., :20], cameras, only)
    with pytest.raises(ShapeError, match="depth_m: expected"):
        warp(pictures[1:], rig(2).map(lambda t: t[1:]), depth[:1, :12], rig(2).map(lambda t: t[:1]))


def test_smoothness_is_the_formula():
    g = torch.Generator().manual_seed(2)
    depth = 2 + 20 * torch.rand(2, 5, 6, generator=g, dtype=torch.float64)
    picture = torch.rand(2, 3, 5, 6, generator=g, dtype=torch.float64)
    along, down = [], []
    for b in range(2):
        inverse = (1 / depth[b]).numpy()
        inverse = inverse / inverse.mean()
        colour = picture[b].numpy()
        for i in range(5):
            for j in range(6):
                if j < 5:
                    edge = np.abs(colour[:, i, j + 1] - colour[:, i, j]).mean()
                    along.append(abs(inverse[i, j + 1] - inverse[i, j]) * math.exp(-edge))
                if i < 4:
                    edge = np.abs(colour[:, i + 1, j] - colour[:, i, j]).mean()
                    down.append(abs(inverse[i + 1, j] - inverse[i, j]) * math.exp(-edge))
    expected = np.mean(along) + np.mean(down)
    assert smoothness_loss(depth, picture).item() == pytest.approx(expected, rel=1e-5)
    assert smoothness_loss(3 * depth, picture).item() == pytest.approx(expected, rel=1e-5), "scale does not matter"
