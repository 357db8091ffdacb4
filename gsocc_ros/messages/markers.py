# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""One visualization_msgs/Marker, from either host's message classes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from gsocc_ros.messages.message_host import MessageHost
from gsocc_ros.messages.occupancy_messages import pose_from_quat

#: visualization_msgs/Marker: types and actions.
ARROW, CUBE, TEXT, ADD, DELETE_ALL = 0, 1, 9, 0, 3


def marker(
    host: MessageHost,
    header: Any,
    namespace: str,
    number: int,
    kind: int = CUBE,
    *,
    action: int = ADD,
    pose: Any = None,
    size: tuple[float, float, float] = (1.0, 1.0, 1.0),
    color: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0),
    points: Sequence[Any] = (),
    text: str = "",
) -> Any:
    """A visualization_msgs/Marker.

    Args:
        host: Whose message.
        header: Frame and stamp.
        namespace: With ``number`` the marker's name; a viewer replaces the one that had it before.
        number: See ``namespace``.
        kind: One of the constants of this module.
        action: Add or delete all.
        pose: Place of a cube or text; None = the frame's origin.
        size: Scale, metres; of an arrow with points: shaft diameter, head diameter, head length (0 = automatic); of a
            text: 0, 0 and the height of a capital letter.
        color: Red, green, blue, alpha, 0..1.
        points: Start and end of an arrow.
        text: What a text says; it always faces the viewer.
    """
    r, g, b, a = color
    return host.make(
        "visualization_msgs/msg/Marker",
        header=header,
        ns=namespace,
        id=number,
        type=kind,
        action=action,
        pose=pose_from_quat(host, (1, 0, 0, 0), (0, 0, 0)) if pose is None else pose,
        **_unused(host),
        scale=host.make("geometry_msgs/msg/Vector3", x=size[0], y=size[1], z=size[2]),
        color=host.make("std_msgs/msg/ColorRGBA", r=r, g=g, b=b, a=a),
        points=list(points),
        text=text,
    )


@lru_cache(maxsize=4)
def _unused(host: MessageHost) -> dict[str, Any]:
    """Fields that are empty in all our markers."""
    nothing = np.zeros(0, np.uint8)
    return {
        "lifetime": host.make("builtin_interfaces/msg/Duration", sec=0, nanosec=0),
        "frame_locked": False,
        "colors": [],
        "texture_resource": "",
        "texture": host.make("sensor_msgs/msg/CompressedImage", header=host.header(0, ""), format="", data=nothing),
        "uv_coordinates": [],
        "mesh_resource": "",
        "mesh_file": host.make("visualization_msgs/msg/MeshFile", filename="", data=nothing),
        "mesh_use_embedded_materials": False,
    }
