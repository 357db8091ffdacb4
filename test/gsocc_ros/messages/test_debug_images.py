# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Renderings of the scene for people."""

import numpy as np
import torch

from gsocc_core import OCC3D_NUSCENES, Cameras, Gaussians
from gsocc_ros.messages.debug_images import WIDTH_PX, debug_builders, rendered_views
from gsocc_ros.messages.message_host import rosbags_host

CLASSES = OCC3D_NUSCENES.with_channels(range(1, 17))


def scene():
    """A car-coloured ball 5 m before the first camera; the second one looks the other way."""
    logits = torch.zeros(1, 16)
    logits[0, CLASSES.channel_ids.index(4)] = 9.0
    return Gaussians(torch.tensor([[0.0, 0, 5]]), torch.full((1, 3), 0.5), torch.eye(4)[:1], torch.ones(1), logits)


def cameras(**changes):
    back = torch.diag(torch.tensor([-1.0, 1, -1, 1]))
    K = torch.tensor([[80.0, 0, 80], [0, 80, 45], [0, 0, 1]]).expand(2, 3, 3)
    return Cameras(K, torch.stack([torch.eye(4), back]), width=160, height=90, **changes)


def test_classes_and_depth_side_by_side():
    colors, depth = rendered_views(scene(), cameras(), CLASSES)
    assert colors.shape == (90, 2 * WIDTH_PX, 3)
    assert depth.shape == (90, 2 * WIDTH_PX)
    assert colors[45, 80].tolist() == list(CLASSES.colors[4])
    assert abs(depth[45, 80] - 5.0) < 1e-3
    assert not colors[:, WIDTH_PX:].any()
    assert not depth[:, WIDTH_PX:].any()


def test_distorted_lenses_are_rendered_as_plain_ones():
    bent = cameras(model="fisheye", distortion=torch.full((2, 4), 0.01))
    for a, b in zip(rendered_views(scene(), bent, CLASSES), rendered_views(scene(), cameras(), CLASSES)):
        np.testing.assert_array_equal(a, b)


def test_messages_hold_the_pictures():
    host, types = rosbags_host()
    pictures = rendered_views(scene(), cameras(), CLASSES)
    for build, picture in zip(debug_builders(host, scene(), cameras(), CLASSES, 7, "base_link"), pictures):
        raw = types.serialize_cdr(build(), "sensor_msgs/msg/Image")
        back = types.deserialize_cdr(raw, "sensor_msgs/msg/Image")
        assert back.encoding == ("rgb8" if picture.ndim == 3 else "32FC1")
        assert back.step * back.height == len(back.data)
        np.testing.assert_array_equal(back.data.view(picture.dtype).reshape(picture.shape), picture)


def test_more_than_three_cameras_stand_in_two_rows():
    two = cameras()
    five = two.map(lambda t: torch.cat([t, t, t[:1]]))
    colors, depth = rendered_views(scene(), five, CLASSES)
    height = depth.shape[0] // 2
    assert colors.shape[:2] == depth.shape == (2 * height, 3 * WIDTH_PX)
    pair = rendered_views(scene(), two, CLASSES)[1]
    np.testing.assert_array_equal(depth[:height, : 2 * WIDTH_PX], pair)
    np.testing.assert_array_equal(depth[height:, WIDTH_PX : 2 * WIDTH_PX], pair[:, :WIDTH_PX])
    assert not depth[height:, 2 * WIDTH_PX :].any()
