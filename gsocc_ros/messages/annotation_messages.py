# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What a data set knows beyond its sensors, as messages: the robot's motion and annotated boxes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gsocc_ros.messages.markers import ARROW, CUBE, DELETE_ALL, marker
from gsocc_ros.messages.message_host import MessageHost
from gsocc_ros.messages.occupancy_messages import pose_from_quat

#: Colours of boxes by the first words of their category; the first that fits.
_COLORS: Mapping[str, tuple[float, float, float]] = {
    "human": (0.0, 0.0, 0.9),
    "vehicle.bicycle": (0.86, 0.08, 0.24),
    "vehicle.motorcycle": (1.0, 0.24, 0.39),
    "vehicle": (1.0, 0.62, 0.0),
    "movable_object": (0.44, 0.5, 0.56),
    "": (0.5, 0.5, 0.5),
}


@dataclass(frozen=True)
class BoxRecord:
    """One annotated box.

    Attributes:
        category: nuScenes category, for instance vehicle.car.
        center_m: (3,) middle in the world, metres.
        size_wlh_m: (3,) width, length, height, metres; the length lies along the box's x axis.
        quat_wxyz: (4,) its rotation in the world.
        velocity_m_s: (3,) in the world, metres per second; nan = not known.
    """

    category: str
    center_m: Sequence[float]
    size_wlh_m: Sequence[float]
    quat_wxyz: Sequence[float]
    velocity_m_s: Sequence[float] = (np.nan, np.nan, np.nan)


def odometry(
    host: MessageHost,
    quat_wxyz: Sequence[float],
    position_m: Sequence[float],
    velocity_world_m_s: Sequence[float],
    stamp_ns: int,
    frames: tuple[str, str],
) -> Any:
    """A nav_msgs/Odometry.

    Args:
        host: Whose message.
        quat_wxyz: (4,) rotation of the base frame in the world, scalar first, any length.
        position_m: (3,) its position in the world, metres.
        velocity_world_m_s: (3,) its velocity in the world, metres per second.
        stamp_ns: Stamp.
        frames: Names of the world and the base frame.

    Returns:
        The message; its twist is in the base frame, as its definition asks, and its covariances are unknown (zero).
    """
    vx, vy, vz = _into_frame(quat_wxyz, velocity_world_m_s)
    zero = host.make("geometry_msgs/msg/Vector3", x=0.0, y=0.0, z=0.0)
    linear = host.make("geometry_msgs/msg/Vector3", x=vx, y=vy, z=vz)
    pose = pose_from_quat(host, quat_wxyz, position_m)
    return host.make(
        "nav_msgs/msg/Odometry",
        header=host.header(stamp_ns, frames[0]),
        child_frame_id=frames[1],
        pose=host.make("geometry_msgs/msg/PoseWithCovariance", pose=pose, covariance=np.zeros(36)),
        twist=host.make(
            "geometry_msgs/msg/TwistWithCovariance",
            twist=host.make("geometry_msgs/msg/Twist", linear=linear, angular=zero),
            covariance=np.zeros(36),
        ),
    )


def _into_frame(quat_wxyz: Sequence[float], vector: Sequence[float]) -> tuple[float, float, float]:
    """A world vector in the axes of a frame with that rotation: v + 2 q x (q x v - w v), q of unit length."""
    w, x, y, z = (float(value) for value in quat_wxyz)
    norm = math.sqrt(w * w + x * x + y * y + z * z)
    w, x, y, z = w / norm, x / norm, y / norm, z / norm
    a, b, c = (float(value) for value in vector)
    p, q, r = y * c - z * b - w * a, z * a - x * c - w * b, x * b - y * a - w * c
    return a + 2 * (y * r - z * q), b + 2 * (z * p - x * r), c + 2 * (x * q - y * p)


def velocities(stamps_ns: Sequence[int], positions_m: np.ndarray) -> np.ndarray:
    """Velocity at each of some ascending stamps, by central differences.

    Args:
        stamps_ns: K ascending stamps.
        positions_m: (K, 3) positions, metres.

    Returns:
        (K, 3) metres per second; zeros for a single stamp.

    Example:
        >>> velocities([0, 100_000_000], np.array([[0.0, 0, 0], [1, 0, 0]])).tolist()
        [[10.0, 0.0, 0.0], [10.0, 0.0, 0.0]]
    """
    if len(stamps_ns) < 2:
        return np.zeros((len(stamps_ns), 3))
    seconds = (np.asarray(stamps_ns) - stamps_ns[0]) * 1e-9
    return np.gradient(np.asarray(positions_m, np.float64), seconds, axis=0)


def box_markers(host: MessageHost, boxes: Iterable[BoxRecord], stamp_ns: int, frame_id: str) -> Any:
    """A visualization_msgs/MarkerArray: one cube per box, one arrow of a second's way per moving one.

    The first marker deletes those before.
    """
    header = host.header(stamp_ns, frame_id)
    # A name of its own: RViz refuses two markers of one name and number, and so the first box.
    markers = [marker(host, header, "before", 0, action=DELETE_ALL)]
    for k, box in enumerate(boxes):
        width, length, height = (float(v) for v in box.size_wlh_m)
        color = next(c for words, c in _COLORS.items() if box.category.startswith(words))
        size = (length, width, height)
        pose = pose_from_quat(host, box.quat_wxyz, box.center_m)
        markers.append(marker(host, header, "boxes", k, CUBE, pose=pose, size=size, color=(*color, 0.5)))
        speed = np.asarray(box.velocity_m_s, np.float64)
        if np.isfinite(speed).all() and np.linalg.norm(speed) > 0.2:
            ends = [np.asarray(box.center_m, np.float64), np.asarray(box.center_m) + speed]
            points = [host.make("geometry_msgs/msg/Point", x=float(x), y=float(y), z=float(z)) for x, y, z in ends]
            markers.append(
                marker(host, header, "velocities", k, ARROW, size=(0.2, 0.4, 0.0), color=(*color, 1.0), points=points)
            )
    return host.make("visualization_msgs/msg/MarkerArray", markers=markers)
