# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The geometry of TPVFormer's planes, and its head."""

from dataclasses import replace

import torch
from tiny_frames import GRID, frames
from tiny_hosts import build

from gsocc_core.methods.tpvformer import as_planes, len_of, pillars, shadows
from gsocc_core.networks.voxel_head import DenseHead

SHAPE = (4, 3, 2)


def test_a_pillar_stands_over_its_cell_and_its_shadow_falls_where_the_voxel_is():
    """Planes that hold their own coordinates: what a pillar finds at its shadows are its own coordinates."""
    axes = ((0, 1), (1, 2), (0, 2))
    x, y, z = ((torch.arange(n) + 0.5) / n for n in SHAPE)
    lines = {0: x, 1: y, 2: z}
    places = shadows(SHAPE, 5)
    start = 0
    for plane in range(3):
        points = pillars(SHAPE, plane, 5)
        assert points.shape == (len_of(SHAPE, plane), 5, 3)
        # as_planes puts the cell that a pillar stands over at its row and column
        for axis in axes[plane]:
            flat = torch.cat([pillars(SHAPE, p, 1)[:, 0, axis] for p in range(3)])[None, :, None]
            grid = as_planes(flat, SHAPE)[plane][0, 0]
            expected = lines[axis][:, None] if axis == axes[plane][0] else lines[axis][None]
            torch.testing.assert_close(grid, expected.expand_as(grid))
        own = places[start : start + len(points)]
        for other, (rows, columns) in enumerate(axes):
            torch.testing.assert_close(own[:, other, :, 0], points[..., columns])
            torch.testing.assert_close(own[:, other, :, 1], points[..., rows])
        start += len(points)
    assert start == len(places)


def test_the_head_sums_shadows_before_its_first_layer():
    torch.manual_seed(0)
    head, (x, y, z) = DenseHead(5, 7, 4), SHAPE
    planes = [torch.randn(2, 5, x, y), torch.randn(2, 5, y, z), torch.randn(2, 5, x, z)]
    xy, yz, xz = (plane.movedim(1, -1) for plane in planes)
    summed = xy[:, :, :, None] + yz[:, None] + xz[:, :, None]
    features = head.leave(torch.nn.functional.softplus(head.enter(summed)))
    logits, given = head(planes, SHAPE)
    torch.testing.assert_close(given, features)
    torch.testing.assert_close(logits, head.classify(features))


def test_checkpointing_changes_nothing():
    batch = frames(b=1)
    results = []
    for checkpointing in (False, True):
        model = build("tpvformer", network={"checkpointing": checkpointing})
        loss = sum(model.losses(model(batch), batch).values())
        loss.backward()
        results.append((loss.detach(), model.queries.grad))
    torch.testing.assert_close(results[0], results[1])


def test_what_one_side_sees_stays_on_that_side_before_planes_talk():
    """Without layers that mix pillars, the picture ahead does not change voxels behind (but through whole pillars)."""
    model = build("tpvformer", network={"num_layers": 1, "plane_points": 1}).eval()
    for parameter in model.layers[0].across.parameters():
        torch.nn.init.zeros_(parameter)
    torch.nn.init.ones_(model.layers[0].across.norm.weight)
    batch = frames(b=1, v=4)  # 0 looks ahead, 2 back
    changed = batch.images.clone()
    changed[:, :, 0] = 255 - changed[:, :, 0]
    xy = []
    for images in (batch.images, changed):
        seen = []
        handle = model.layers[0].pictures[0].register_forward_hook(lambda _, __, out, seen=seen: seen.append(out))
        model(replace(batch, images=images))
        handle.remove()
        xy.append(seen[0][0].unflatten(0, (GRID.shape[0] // 2, GRID.shape[1] // 2)))
    moved = (xy[0] - xy[1]).abs().amax(-1) > 1e-6
    assert moved[7:].any()
    assert not moved[:5].any()
