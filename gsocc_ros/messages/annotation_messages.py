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


#: Standard deviations that poses in the world carry: x, y, z in metres, about x, y, z in radians. nuScenes' tables hold
#: none. Its authors put the localisation's error at 0.1 m at most; the rest is an assumption of the same order. Zeros
#: would tell a filter to trust the message alone.
POSE_DEVIATIONS = (0.1, 0.1, 0.1, 0.01, 0.01, 0.01)
#: The same for velocities, in m/s and rad/s.
TWIST_DEVIATIONS = (0.1, 0.1, 0.1, 0.01, 0.01, 0.01)
#: (36,) row-major, of independent errors.
_POSE_COVARIANCE = np.diag(np.square(POSE_DEVIATIONS)).reshape(-1)
_TWIST_COVARIANCE = np.diag(np.square(TWIST_DEVIATIONS)).reshape(-1)


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


@dataclass(frozen=True)
class MotionRecord:
    """Where the base frame is at one moment, and how it moves.

    Attributes:
        quat_wxyz: (4,) its rotation in the world, scalar first, any length.
        position_m: (3,) its position in the world, metres.
        velocity_m_s: (3,) its velocity in the world, metres per second.
        rate_rad_s: (3,) its angular velocity about its own axes, radians per second.
    """

    quat_wxyz: Sequence[float]
    position_m: Sequence[float]
    velocity_m_s: Sequence[float]
    rate_rad_s: Sequence[float]


def odometry(host: MessageHost, motion: MotionRecord, stamp_ns: int, frames: tuple[str, str]) -> Any:
    """A nav_msgs/Odometry.

    Args:
        host: Whose message.
        motion: Pose and motion of the base frame.
        stamp_ns: Stamp.
        frames: Names of the world and the base frame.

    Returns:
        The message; its twist is in the base frame, as its definition asks, its covariances are diagonal, of
        :data:`POSE_DEVIATIONS` and :data:`TWIST_DEVIATIONS`.
    """
    vx, vy, vz = _into_frame(motion.quat_wxyz, motion.velocity_m_s)
    wx, wy, wz = (float(value) for value in motion.rate_rad_s)
    linear = host.make("geometry_msgs/msg/Vector3", x=vx, y=vy, z=vz)
    angular = host.make("geometry_msgs/msg/Vector3", x=wx, y=wy, z=wz)
    return host.make(
        "nav_msgs/msg/Odometry",
        header=host.header(stamp_ns, frames[0]),
        child_frame_id=frames[1],
        pose=pose_with_covariance(host, motion.quat_wxyz, motion.position_m),
        twist=host.make(
            "geometry_msgs/msg/TwistWithCovariance",
            twist=host.make("geometry_msgs/msg/Twist", linear=linear, angular=angular),
            covariance=_TWIST_COVARIANCE,
        ),
    )


def pose_with_covariance(host: MessageHost, quat_wxyz: Sequence[float], position_m: Sequence[float]) -> Any:
    """A geometry_msgs/PoseWithCovariance of a pose in the world, as uncertain as :data:`POSE_DEVIATIONS` says.

    Args:
        host: Whose message.
        quat_wxyz: (4,) rotation, scalar first, any length.
        position_m: (3,) position, metres.
    """
    pose = pose_from_quat(host, quat_wxyz, position_m)
    return host.make("geometry_msgs/msg/PoseWithCovariance", pose=pose, covariance=_POSE_COVARIANCE)


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


def rates(stamps_ns: Sequence[int], quats_wxyz: np.ndarray) -> np.ndarray:
    """Angular velocity at each of some ascending stamps, by central differences.

    Args:
        stamps_ns: K ascending stamps.
        quats_wxyz: (K, 4) rotations in the world, scalar first, any non-zero length.

    Returns:
        (K, 3) radians per second about the rotating frame's own axes; zeros for a single stamp.

    Example:
        >>> half = 0.5 * np.array([0.0, 0.1, 0.2])
        >>> quats = np.stack([np.cos(half), 0 * half, 0 * half, np.sin(half)], axis=-1)
        >>> rates([0, 200_000_000, 400_000_000], quats).round(6).tolist()
        [[0.0, 0.0, 0.5], [0.0, 0.0, 0.5], [0.0, 0.0, 0.5]]
    """
    if len(stamps_ns) < 2:
        return np.zeros((len(stamps_ns), 3))
    seconds = np.diff(np.asarray(stamps_ns)) * 1e-9
    w, v = quats_wxyz[:, :1], quats_wxyz[:, 1:]
    # From each stamp to the next, q_k^-1 q_k+1; its axis is the same in both frames.
    turn_w = w[:-1] * w[1:] + (v[:-1] * v[1:]).sum(-1, keepdims=True)
    turn_v = w[:-1] * v[1:] - w[1:] * v[:-1] - np.cross(v[:-1], v[1:])
    turn_v *= np.where(turn_w < 0, -1.0, 1.0)  # the shorter way round
    length = np.linalg.norm(turn_v, axis=-1, keepdims=True)
    angle = 2 * np.arctan2(length, np.abs(turn_w))
    between = turn_v * (angle / np.maximum(length, 1e-300)) / seconds[:, None]
    result = np.empty((len(stamps_ns), 3))
    result[0], result[-1] = between[0], between[-1]
    before, after = seconds[:-1, None], seconds[1:, None]
    result[1:-1] = (after * between[:-1] + before * between[1:]) / (before + after)
    return result


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
