# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Matches of patches with those of the first view: what moved is told by how much, and nobody else is asked."""

import torch

from gsocc_core.networks.patch_matching import PatchMatching


def heard(matching, patches):
    """The numbers that its last layers get: (B, V, P, numbers)."""
    numbers = []
    handle = matching.tell.register_forward_hook(lambda _module, inputs, _found: numbers.append(inputs[0]))
    matching(patches)
    handle.remove()
    return numbers[0].detach()


def test_a_moved_picture_is_told_by_how_much():
    """All of the second view lies one column further right and one row lower than in the first, whose height is 4."""
    torch.manual_seed(0)
    scene = torch.randn(1, 12, 5, 7)
    views = torch.stack([scene[..., 1:5, 1:7], scene[..., :4, :6]], dim=1)
    matching = PatchMatching(12, heads=2, width=12)
    with torch.no_grad():
        matching.sharpness.fill_(4.0)
        matching.reach.fill_(3.0)
    numbers = heard(matching, views)
    moved = numbers[0, 1, :, : 2 * 5].unflatten(-1, (2, 5)).unflatten(0, (4, 6))[1:, 1:] / 8.0
    torch.testing.assert_close(moved[..., :2], torch.full_like(moved[..., :2], -0.25), atol=0.03, rtol=0)
    likeness = 8.0 * moved[..., 4]
    assert likeness.min() > 0.9
    alone = numbers[0, 0, :, :10].unflatten(-1, (2, 5))
    assert alone[..., :2].abs().max() < 0.3, "the first view lies where it is"
    place = numbers[0, 0, :, 10:].unflatten(0, (4, 6))
    torch.testing.assert_close(place[0, 0], torch.tensor([-2.5, -1.5]) / 4)
    torch.testing.assert_close(place[3, 5], torch.tensor([2.5, 1.5]) / 4)


def test_light_does_not_make_everything_alike():
    torch.manual_seed(1)
    patches = torch.randn(1, 2, 12, 3, 4)
    matching = PatchMatching(12)
    brighter = patches + 50 * torch.randn(12)[:, None, None]
    torch.testing.assert_close(heard(matching, brighter), heard(matching, patches), atol=1e-3, rtol=1e-3)


def test_views_are_compared_with_the_first_one_alone():
    torch.manual_seed(2)
    patches = torch.randn(2, 3, 12, 3, 4)
    matching = PatchMatching(12, heads=3)
    to_patches, to_cameras = matching(patches)
    assert (to_patches.shape, to_cameras.shape) == (patches.shape, (2, 3, 12))
    fewer = matching(patches[:, [0, 2]])
    torch.testing.assert_close(fewer[0], to_patches[:, [0, 2]])
    torch.testing.assert_close(fewer[1], to_cameras[:, [0, 2]])
    other = matching(patches[:, [1, 0, 2]])
    assert (other[0][:, 2] - to_patches[:, 2]).abs().max() > 1e-3
    assert all(t.shape[1] == 1 for t in matching(patches[:, :1]))
