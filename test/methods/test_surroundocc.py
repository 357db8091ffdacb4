# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What is SurroundOcc's own: scales, their losses, and that each voxel looks where it is."""

from dataclasses import replace

import torch
from tiny_frames import GRID, frames
from tiny_hosts import build

from gsocc_core.losses.coarse_labels import coarse_labels


def test_every_scale_is_supervised_and_only_in_training():
    model, batch = build("surroundocc"), frames()
    output = model(batch)
    assert [tuple(logits.shape[1:4]) for logits, _ in output.coarse] == [(5, 5, 1), (10, 10, 2)]
    assert [weight for _, weight in output.coarse] == [0.25, 0.5]
    losses = model.losses(output, batch)
    alone = model.losses(replace(output, coarse=()), batch)
    assert losses["coarse"] > 0
    assert "coarse" not in alone
    assert torch.equal(losses["cross_entropy"], alone["cross_entropy"])
    assert model.eval()(batch).coarse == ()


def test_the_right_answer_at_a_coarse_scale_costs_nothing():
    model, batch = build("surroundocc"), frames(b=1)
    output = model(batch)
    coarse = []
    for logits, weight in output.coarse:
        labels = coarse_labels(batch.targets.labels, tuple(logits.shape[1:4]), 17, 255)
        coarse.append((torch.nn.functional.one_hot(labels.long(), 18) * 50.0, weight))
    assert model.losses(replace(output, coarse=tuple(coarse)), batch)["coarse"] < 1e-4


def test_voxels_look_where_they_are():
    """A change of the picture ahead reaches the voxels ahead first: those behind see nothing of it."""
    model, batch = build("surroundocc").eval(), frames(b=1, v=4)
    looked = []
    model.layers[0][0].look.register_forward_hook(lambda _, __, out: looked.append(out))
    images = batch.images.clone()
    images[:, :, 0] = 255 - images[:, :, 0]
    model(batch)
    model(replace(batch, images=images))
    moved = (looked[0] - looked[1]).abs().amax(-1).view(10, 10, 2) > 1e-6
    assert moved[7:].any()
    assert not moved[:5].any()
    assert GRID.shape == (20, 20, 4)
