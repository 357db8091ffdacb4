# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Transforms read from a serialised tf2_msgs/TFMessage, without an object for each of them.

A robot with arms sends thousands of transforms per second. rclpy makes a Python object of every one, which costs far
more than looking where it stands and passing over it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from rclpy.serialization import deserialize_message, serialize_message
from tf2_msgs.msg import TFMessage

#: Encapsulation of a message in this machine's own order: plain CDR, little endian.
_PLAIN = b"\x00\x01"
_HEAD = 4
_COUNT = struct.Struct("<I")
_STAMP = struct.Struct("<iII")  # sec, nanosec, length of the frame's name with its closing zero
_POSE = struct.Struct("<7d")


class RawTransform(NamedTuple):
    """One transform as it stands in the message.

    Attributes:
        parent: Frame name, UTF-8.
        child: Frame name, UTF-8.
        stamp_ns: Its time.
        pose: Serialised translation x, y, z and quaternion x, y, z, w; see :func:`read_pose`.
    """

    parent: bytes
    child: bytes
    stamp_ns: int
    pose: bytes


def raw_transforms(message: bytes) -> Iterator[RawTransform]:
    """The transforms of a serialised tf2_msgs/TFMessage, none of them checked.

    Args:
        message: As a subscription with ``raw=True`` gets it.

    Raises:
        struct.error: it ends too early.
    """
    if message[:2] != _PLAIN:
        message = serialize_message(deserialize_message(message, TFMessage))
    (count,) = _COUNT.unpack_from(message, _HEAD)
    at, stamp, length_of = _HEAD + 4, _STAMP.unpack_from, _COUNT.unpack_from
    for _ in range(count):
        seconds, nanoseconds, length = stamp(message, at)
        begin = at + 12
        parent = message[begin : begin + length - 1]
        at = begin + length + 3 & ~3  # a length stands at a multiple of four
        (length,) = length_of(message, at)
        begin = at + 4
        child = message[begin : begin + length - 1]
        at = (begin + length - _HEAD + 7 & ~7) + _HEAD  # doubles at a multiple of eight, counted behind the head
        yield RawTransform(parent, child, seconds * 1_000_000_000 + nanoseconds, message[at : at + 56])
        at += 56


def read_pose(pose: bytes) -> tuple[float, float, float, float, float, float, float]:
    """Translation x, y, z and quaternion x, y, z, w."""
    return _POSE.unpack(pose)
