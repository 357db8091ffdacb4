# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What is Symphonies' own: distances, proposals, instance queries."""

from dataclasses import replace

import torch
from tiny_frames import GRID, frames
from tiny_hosts import build

from gsocc_core.networks.depth_bins import DepthBins
from gsocc_core.networks.pictures import see_points


def test_the_distance_loss_falls_to_nothing_at_the_labelled_distances():
    model, batch = build("symphonies"), frames(b=1)
    labels = torch.full_like(batch.targets.labels, 17)
    labels[:, 0] = labels[:, -1] = labels[:, :, 0] = labels[:, :, -1] = 15  # walls all around
    batch = replace(batch, targets=replace(batch.targets, labels=labels))
    output = model(batch)
    loss = model.losses(output, batch)["distance"]
    free = output.distances.detach().clone().requires_grad_()
    optimizer = torch.optim.Adam([free], lr=1.0)
    for _ in range(30):
        value = model._distance_loss(free, labels, batch)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    assert value < 0.01 * loss
    # The middle of the picture ahead, a little below the horizon, shows the wall that begins at 7.2 m.
    assert abs(model.distance.expected_m(free)[0, 0, 2, 3:5].mean() - 7.4) < 0.7


def test_points_at_the_predicted_distance_lie_on_the_surface():
    bins = DepthBins(4, 40, (1.0, 20.0))
    batch = frames(b=1)
    cameras = batch.cameras.map(lambda t: t[:, 0])
    logits = torch.full((1, 4, 40, 4, 8), -20.0)
    logits[:, :, int(bins.bin_of(torch.tensor(6.0)))] = 20.0
    assert torch.allclose(bins.expected_m(logits), torch.tensor(6.0), atol=0.25)
    points = torch.tensor([[5.9, 0.3, 1.5], [3.0, 0.3, 1.5], [9.0, 0.3, 1.5], [-30.0, 0.3, 1.5]])
    uv, visible = see_points(cameras, batch.valid[:, 0], points)
    surface = bins.surface(logits, cameras, points, uv, visible)
    assert surface[0, 0, 0] > 0.5
    assert surface[0, 0, 1:].max() < 1e-3
    assert not surface[0, 1, 0]


def test_instances_come_from_pictures_that_are_there_and_lie_in_the_box():
    model, batch = build("symphonies").eval(), frames(b=1, v=3)
    batch = replace(batch, valid=torch.tensor([[[False, True, False]]]))
    cameras, valid = batch.cameras.map(lambda t: t[:, 0]), batch.valid[:, 0]
    maps = model.pictures(batch.images[:, 0], cameras)
    distances = model.distance(maps[1])
    instances = model._instances(maps, distances, cameras, valid)
    assert instances.own[0, 1].sum() == instances.exists.sum() > 0
    assert ((instances.places >= 0) & (instances.places <= 1)).all()
    model._instances(maps, distances, cameras, torch.zeros_like(valid))
    assert not model._instances(maps, distances, cameras, torch.zeros_like(valid)).exists.any()


def test_layers_are_supervised_and_distances_learn_from_voxels_too():
    model, batch = build("symphonies", network={"depth_weight": 0.0}), frames()
    output = model(batch)
    assert [weight for _, weight in output.coarse] == [0.5]
    assert output.coarse[0][0].shape == (2, *GRID.shape, 18)
    losses = model.losses(output, batch)
    assert set(losses) == {"cross_entropy", "semantic_affinity", "geometric_affinity", "frustum", "coarse"}
    sum(losses.values()).backward()
    assert model.distance.net[-1].weight.grad.abs().sum() > 0
    assert model.score.weight.grad.abs().sum() > 0


def test_voxels_out_of_view_keep_their_queries():
    model, batch = build("symphonies").eval(), frames(b=1, v=1)
    scenes = []
    model.context.register_forward_hook(lambda _, inputs, __: scenes.append(inputs[0]))
    model(batch)
    model(replace(batch, images=255 - batch.images))
    moved = (scenes[0] - scenes[1]).abs().amax(1)[0] > 1e-6
    assert moved[6:].any()
    assert not moved[:5].any()  # behind the only camera
