# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Builds messages by keyword for whichever library carries them: rosbags' dataclasses or rclpy's classes."""

from __future__ import annotations

import array
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from gsocc_ros.choices import Distro
from gsocc_ros.share_files import find_share_file

_STORES = {"jazzy": Stores.ROS2_JAZZY, "humble": Stores.ROS2_HUMBLE}

#: Our own messages, by file name in msg/.
OWN_MESSAGES = (
    "GaussianArray", "QueryWords", "SemanticClassTable", "SemanticOccupancy", "StageLatency", "WordCluster",
)  # fmt: skip


class MessageHost:
    """Makes messages of one library.

    Args:
        find: Message class by type name, such as ``std_msgs/msg/Header``.
        to_array: Turns a one-dimensional numpy array into what the library stores in an array field; None = it stores
            the numpy array.
    """

    def __init__(self, find: Callable[[str], type], to_array: Callable[[np.ndarray], Any] | None = None) -> None:
        self._find, self._to_array = find, to_array

    def make(self, type_name: str, **fields: Any) -> Any:
        """A message; numpy arrays among the fields are converted, fields left out keep the library's default."""
        if self._to_array is None:
            return self._find(type_name)(**fields)
        converted = {k: self._to_array(v) if isinstance(v, np.ndarray) else v for k, v in fields.items()}
        return self._find(type_name)(**converted)

    def message_class(self, type_name: str) -> type:
        """The library's class of a type, for instance of ``std_msgs/msg/Header``."""
        return self._find(type_name)

    def stamp(self, stamp_ns: int) -> Any:
        """A builtin_interfaces/Time."""
        seconds, nanoseconds = divmod(int(stamp_ns), 1_000_000_000)
        return self.make("builtin_interfaces/msg/Time", sec=seconds, nanosec=nanoseconds)

    def header(self, stamp_ns: int, frame_id: str) -> Any:
        """A std_msgs/Header."""
        return self.make("std_msgs/msg/Header", stamp=self.stamp(stamp_ns), frame_id=frame_id)


def ros_types(distro: Distro) -> Typestore:
    """The message types of a ROS 2 distribution, in a store of their own."""
    return get_typestore(_STORES[distro])


def rosbags_host(distro: Distro = "jazzy") -> tuple[MessageHost, Typestore]:
    """Messages for rosbags, our own types included.

    Args:
        distro: ROS 2 distribution of the message definitions.

    Returns:
        The host, and the type store to serialise with.

    Raises:
        DataError: our message definitions are not installed.
    """
    types = ros_types(distro)
    register_own_messages(types)
    # In rosbags a fixed-size array is a numpy array as well, and 1-d arrays pass as they are.
    return MessageHost(types.types.__getitem__), types


def rclpy_host() -> MessageHost:
    """Messages for rclpy; needs a sourced ROS 2 workspace.

    ``uint8[]`` travels as ``array.array('B')``: assigning bytes or a list checks every element, which takes seconds.
    """

    def find(name: str) -> type:
        package, kind, message = name.split("/")
        return getattr(import_module(f"{package}.{kind}"), message)

    return MessageHost(find, _rclpy_array)


def _rclpy_array(values: np.ndarray) -> Any:
    if values.dtype == bool:
        return values.tolist()
    converted = array.array(values.dtype.char)
    converted.frombytes(np.ascontiguousarray(values).data.cast("B"))
    return converted


def register_own_messages(types: Typestore) -> None:
    """Add our messages to a rosbags type store from their .msg files.

    Raises:
        DataError: a file is not installed.
    """
    definitions: dict[str, Any] = {}
    for name in OWN_MESSAGES:
        text = find_share_file(f"msg/{name}.msg").read_text(encoding="utf-8")
        definitions |= get_types_from_msg(text, f"gsocc_ros/msg/{name}")
    types.register({k: v for k, v in definitions.items() if k not in types.types})
