# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Pinhole views of a fisheye show the same directions, and together what it sees across."""

import numpy as np
import pytest
import torch

from gsocc_core import Camera
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.rigs.coverage import seen_around
from gsocc_core.rigs.rig_file import looking
from gsocc_core.rigs.virtual_views import cut_view, one_model, pinhole_views

K = np.array([[176.0, 0, 320], [0, 176, 240], [0, 0, 1]])
FISHEYE = Camera("left", K, looking((1, 0.9, 1.2), (90, 20, 0)), 640, 480, "fisheye", (0.02, -0.01, 0.0, 0.0))
FRONT = Camera("front", np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]]), looking((2, 0, 1), (0, 0, 0)), 640, 480)


def sphere(camera):
    """A picture in which the colour of a pixel is its direction in the ego frame."""
    _, rays = Cameras.stack([camera], dtype=torch.float64).rays()
    units = torch.nn.functional.normalize(rays[0], dim=-1).numpy()
    return (127.5 + 127.5 * units).round().astype(np.uint8)


def test_views_show_the_same_directions():
    picture = sphere(FISHEYE)
    for view in pinhole_views(FISHEYE, 200):
        cut = cut_view(picture, FISHEYE, view)
        shown = cut.any(-1)
        assert shown.mean() > 0.8
        error = np.abs(cut.astype(int) - sphere(view))[shown]
        assert np.percentile(error, 99) <= 3
        half = cut_view(picture[::2, ::2], FISHEYE, view)  # a reduced decoding
        assert np.percentile(np.abs(half.astype(int) - sphere(view))[shown], 95) <= 4


def test_views_see_what_the_fisheye_sees_across():
    views = pinhole_views(FISHEYE, 200)
    together = np.any([seen_around(view) for view in views], axis=0)
    whole = seen_around(FISHEYE)
    assert len(views) >= 2
    assert (together & whole).sum() > 0.8 * whole.sum()  # all but what lies at the upper and lower border


def test_only_mixed_rigs_are_cut():
    picture = np.zeros((480, 640, 3), np.uint8)
    pictures, cameras = one_model([picture, None], [FISHEYE, FISHEYE], 200)
    assert [camera.model for camera in cameras] == ["fisheye", "fisheye"]
    assert pictures[0] is picture
    pictures, cameras = one_model([picture, None], [FRONT, FISHEYE], 200)
    assert [camera.model for camera in cameras] == ["pinhole"] * len(cameras)
    assert [c.name for c in cameras][:2] == ["front", "left/0"]
    assert pictures[0] is picture
    assert pictures[1] is None, "a missing fisheye stays missing in all its views"


def test_a_distorted_pinhole_is_no_fisheye():
    with pytest.raises(ValueError, match="distortion"):
        Camera("x", K, np.eye(4), 10, 10, "fisheye", (0.1,) * 5)
