# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""From one camera's depth messages to metres (REP-118). Takes messages of rosbags and of rclpy alike."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from gsocc_core.data.depth_maps import decode_depth_png, metres_of_mm
from gsocc_core.errors import DataError
from gsocc_ros.pipeline.camera_input import stamp_ns
from gsocc_ros.pipeline.rig import RigCamera

#: Types of the encodings that REP-118 knows.
_ENCODINGS = {"32FC1": "f4", "16UC1": "u2"}
#: How compressed_depth_image_transport calls PNG of the second of them; older versions knew nothing but PNG.
_COMPRESSED = ("16UC1; compressedDepth", "16UC1; compressedDepth png")
#: What stands before the PNG in a message of compressed_depth_image_transport: its kind and two numbers of a scale.
_HEADER = struct.Struct("<iff")


def read_depth(
    message: Any,
    camera: RigCamera,
    full_size: tuple[int, int],
    mask: tuple[tuple[float, float], ...] | None = None,
    picture_frame: str | None = None,
) -> np.ndarray:
    """Read one depth message.

    Args:
        message: sensor_msgs/Image of 32FC1 (metres) or 16UC1 (millimetres), or sensor_msgs/CompressedImage of 16UC1 as
            compressed_depth_image_transport makes it, as the rig says.
        camera: Its camera.
        full_size: (height, width) of the picture in pixels that CameraInfo announces.
        mask: Polygon in pixels of the full picture where depth is unknown.
        picture_frame: Frame that the message must name, that of the picture; None = any.

    Returns:
        (h, w) float32 metres along the optical axis; 0, NaN and infinite = unknown.

    Raises:
        DataError: it does not decode, has an unknown encoding, or is not in the frame of the picture.
    """
    where = f"{camera.depth_topic} at {stamp_ns(message.header)} ns"
    frame = message.header.frame_id
    if picture_frame is not None and frame != picture_frame:
        expected = f"{picture_frame}, as the pictures: depth that is registered to them"
        raise DataError(where, "frame_id", expected, repr(frame))
    depth_m = _compressed(message, where) if camera.depth_transport == "compressed" else _raw(message, where)
    return depth_m if mask is None else _without(depth_m, mask, full_size)


def _raw(message: Any, where: str) -> np.ndarray:
    if message.encoding not in _ENCODINGS:
        raise DataError(where, "encoding", "32FC1 (metres) or 16UC1 (millimetres)", message.encoding)
    kind = np.dtype(f"{'>' if message.is_bigendian else '<'}{_ENCODINGS[message.encoding]}")
    width, height, step = int(message.width), int(message.height), int(message.step)
    data = np.frombuffer(message.data, np.uint8)
    if step < width * kind.itemsize or data.size < step * height:
        expected = f"{height} rows of {step} bytes, at least {kind.itemsize} a pixel for {width} pixels"
        raise DataError(where, "data", expected, f"{data.size} bytes")
    rows = np.ascontiguousarray(data[: step * height].reshape(height, step)[:, : width * kind.itemsize])
    values = rows.view(kind)
    return metres_of_mm(values) if message.encoding == "16UC1" else values.astype(np.float32)


def _compressed(message: Any, where: str) -> np.ndarray:
    """PNG of 16 bits behind a header of 12 bytes, which says nothing that millimetres need."""
    if message.format not in _COMPRESSED:
        expected = "16UC1; compressedDepth, a PNG in millimetres"
        raise DataError(where, "format", expected, repr(message.format))
    return decode_depth_png(bytes(message.data)[_HEADER.size :], where)


def _without(depth_m: np.ndarray, polygon: tuple[tuple[float, float], ...], full_size: tuple[int, int]) -> np.ndarray:
    """The map without what is painted over in the picture."""
    height, width = depth_m.shape
    scaled = [(u * width / full_size[1], v * height / full_size[0]) for u, v in polygon]
    painted = Image.new("1", (width, height))
    ImageDraw.Draw(painted).polygon(scaled, fill=1)
    return np.where(np.asarray(painted), np.float32(0), depth_m)
