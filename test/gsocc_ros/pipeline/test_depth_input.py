# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Depth messages of both units and both transports become metres, and others are named."""

import io
import struct
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from gsocc_core.errors import DataError
from gsocc_ros.pipeline.depth_input import read_depth
from gsocc_ros.pipeline.rig import RigCamera

CAMERA = RigCamera("front", "/front/image", "/front/camera_info", depth_topic="/front/depth")
COMPRESSED = replace(CAMERA, depth_transport="compressed")
MM = np.array([[0, 1, 2500], [65535, 300, 4]], np.uint16)
METRES = MM.astype(np.float32) / np.float32(1000)
HEADER = SimpleNamespace(frame_id="optical", stamp=SimpleNamespace(sec=1, nanosec=5))


def raw(array, encoding, pad=0, big=False):
    rows = array.astype(array.dtype.newbyteorder(">" if big else "<"))
    data = np.pad(np.ascontiguousarray(rows).view(np.uint8), ((0, 0), (0, pad)), constant_values=7)
    return SimpleNamespace(
        header=HEADER, encoding=encoding, height=array.shape[0], width=array.shape[1], step=data.shape[1],
        is_bigendian=int(big), data=data.ravel(),
    )  # fmt: skip


def compressed(array, form="16UC1; compressedDepth png"):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    data = struct.pack("<iff", 0, 0.0, 0.0) + stream.getvalue()
    return SimpleNamespace(header=HEADER, format=form, data=np.frombuffer(data, np.uint8))


@pytest.mark.parametrize("pad", [0, 5])
@pytest.mark.parametrize("big", [False, True])
def test_both_units_of_raw_images_become_metres(pad, big):
    for message in (raw(MM, "16UC1", pad, big), raw(METRES, "32FC1", pad, big)):
        found = read_depth(message, CAMERA, (2, 3))
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, METRES)


@pytest.mark.parametrize("form", ["16UC1; compressedDepth", "16UC1; compressedDepth png"])
def test_compressed_millimetres(form):
    np.testing.assert_array_equal(read_depth(compressed(MM, form), COMPRESSED, (2, 3)), METRES)


def test_what_is_painted_over_has_no_depth():
    message = raw(np.full((4, 8), 2.0, np.float32), "32FC1")
    polygon = ((0, 20), (80, 20), (80, 40), (0, 40))  # the lower half of a picture of 80 x 40
    found = read_depth(message, CAMERA, (40, 80), polygon)
    assert (found[:2] == 2).all()
    assert (found[3] == 0).all()


@pytest.mark.parametrize(
    ("message", "camera", "told"),
    [
        (raw(MM, "mono8"), CAMERA, r"/front/depth at 1000000005 ns: encoding: expected 32FC1 .metres. or 16UC1"),
        (compressed(MM, "jpeg"), COMPRESSED, "format: expected 16UC1; compressedDepth, .*received 'jpeg'"),
        (compressed(MM, "16UC1; compressedDepth rvl"), COMPRESSED, "format: .*received '16UC1; compressedDepth rvl'"),
        (compressed(MM.astype(np.uint8)), COMPRESSED, "content: expected a grey PNG of 16 bits"),
    ],
)
def test_other_messages_are_named(message, camera, told):
    with pytest.raises(DataError, match=told):
        read_depth(message, camera, (2, 3))


def test_a_short_message_and_another_frame_are_named():
    message = raw(MM, "16UC1")
    message.data = message.data[:-1]
    with pytest.raises(DataError, match="data: expected 2 rows of 6 bytes, .* received 11 bytes"):
        read_depth(message, CAMERA, (2, 3))
    with pytest.raises(DataError, match="frame_id: expected colour, as the pictures: .* received 'optical'"):
        read_depth(raw(MM, "16UC1"), CAMERA, (2, 3), picture_frame="colour")
    assert read_depth(raw(MM, "16UC1"), CAMERA, (2, 3), picture_frame="optical").shape == (2, 3)
