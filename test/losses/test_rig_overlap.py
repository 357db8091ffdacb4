# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Overlap masks against rays followed one by one in plain numbers."""

import math

import torch

from gsocc_core import Cameras
from gsocc_core.losses.rig_overlap import OverlapArgs, RigOverlaps, eroded, overlap_masks, overlap_pixels

WIDTH, HEIGHT = 10, 6


def looking(degrees, at):
    """(4, 4) pose of a level camera that looks so far to the left of ahead."""
    a = math.radians(degrees)
    T = torch.eye(4, dtype=torch.float64)
    T[:3, 2] = torch.tensor([math.cos(a), math.sin(a), 0.0])
    T[:3, 1] = torch.tensor([0.0, 0.0, -1.0])
    T[:3, 0] = torch.linalg.cross(T[:3, 1], T[:3, 2])
    T[:3, 3] = torch.tensor(at)
    return T


def rig(angles=(0, 55, 180), places=((1.6, 0.0, 1.5), (1.2, 0.6, 1.6), (0.0, 0.0, 1.5))):
    K = torch.tensor([[0.6 * WIDTH, 0, WIDTH / 2], [0, 0.6 * WIDTH, HEIGHT / 2], [0, 0, 1.0]], dtype=torch.float64)
    poses = torch.stack([looking(a, p) for a, p in zip(angles, places)])
    return Cameras(K.expand(len(angles), 3, 3), poses, WIDTH, HEIGHT)


def by_hand(cameras, i, j, depths, least):
    """Pixels of camera i, as rows of True and False."""
    (f, _, cx), (_, g, cy), _ = cameras.intrinsics[i].tolist()
    Ti, Tj = cameras.T_ego_cam[i].tolist(), cameras.T_ego_cam[j].tolist()
    rows = []
    for row in range(HEIGHT):
        rows.append([])
        for column in range(WIDTH):
            hits = 0
            for z in depths:
                point = [(column + 0.5 - cx) / f * z, (row + 0.5 - cy) / g * z, z]
                world = [sum(Ti[r][c] * point[c] for c in range(3)) + Ti[r][3] for r in range(3)]
                off = [world[r] - Tj[r][3] for r in range(3)]
                x, y, depth = (sum(Tj[r][c] * off[r] for r in range(3)) for c in range(3))
                if depth > 0.01:
                    u, v = f * x / depth + cx, g * y / depth + cy
                    hits += 0 <= u < WIDTH and 0 <= v < HEIGHT
            rows[-1].append(hits >= least)
    return rows


def test_a_pixel_overlaps_if_several_points_of_its_ray_fall_into_the_neighbour():
    cameras, depths = rig(), [0.2 * k for k in range(1, 21)]
    counts = []
    for least in (1, 2, 18):
        found = overlap_masks(cameras, OverlapArgs(4.0, 20, least))
        assert found.shape == (3, 3, HEIGHT, WIDTH)
        for i in range(3):
            for j in range(3):
                expected = torch.tensor(by_hand(cameras, i, j, depths, least)) & torch.tensor(i != j)
                assert torch.equal(found[i, j], expected), (i, j)
        counts.append(int(found.sum()))
    assert counts[0] >= counts[1] > counts[2]
    shared = overlap_masks(cameras, OverlapArgs(40.0, 20))
    assert shared[0, 1].any()
    assert not shared[0, 1].all(), "a part is shared"
    assert not shared[0, 2].any(), "back to back"


def test_erosion_is_a_minimum_over_squares():
    masks = torch.rand(2, 3, 9, 12, generator=torch.Generator().manual_seed(0)) < 0.9
    for r in (0, 1, 2):
        expected = torch.zeros_like(masks)
        for a in range(2):
            for b in range(3):
                for y in range(9):
                    for x in range(12):
                        window = masks[a, b, max(y - r, 0) : y + r + 1, max(x - r, 0) : x + r + 1]
                        expected[a, b, y, x] = bool(window.all())
        assert torch.equal(eroded(masks, r), expected)


def test_every_rig_is_computed_once_and_its_motion_does_not_count(monkeypatch):
    import gsocc_core.losses.rig_overlap as room

    calls, real = [], room.overlap_masks
    monkeypatch.setattr(room, "overlap_masks", lambda *args: calls.append(1) or real(*args))
    overlaps, one, other = RigOverlaps(OverlapArgs(40.0, 20)), rig(), rig((0, 60, 180))
    both = Cameras(
        torch.stack([one.intrinsics, other.intrinsics]), torch.stack([one.T_ego_cam, other.T_ego_cam]), WIDTH, HEIGHT
    )
    first = overlaps(both)
    moved = torch.eye(4, dtype=torch.float64).expand(2, 3, 4, 4).clone()
    moved[..., 0, 3] = 5.0
    again = overlaps(Cameras(both.intrinsics, both.T_ego_cam, WIDTH, HEIGHT, T_ref_ego=moved))
    assert len(calls) == 2
    assert torch.equal(first, again)
    assert torch.equal(first[1], real(other, OverlapArgs(40.0, 20)))


def test_pairs_are_named_with_their_pixels():
    words = overlap_pixels(overlap_masks(rig(), OverlapArgs(40.0, 20)), ("front", "left", "back"))
    pair, *rest = words.split(", ")
    assert pair.startswith("front and left ")
    assert int(pair.split()[-2]) > 0
    assert rest == ["front and back 0 px", "left and back 0 px"]
