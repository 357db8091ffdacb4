# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Where a sensor sits on the robot, which has to hold for a whole recording."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gsocc_core.errors import DataError
from gsocc_ros.pipeline.transform_buffer import TransformBuffer

#: What suspensions and filtered joints may move a sensor by; a rig file or data set has one pose for all pictures.
LARGEST_MOVE_M, LARGEST_TURN_DEG = 0.02, 0.5
#: At so many of its pictures a sensor's pose is looked up.
_MOMENTS = 50
_AT_ANY_DISTANCE_NS = 1 << 62


def mounting_pose(transforms: TransformBuffer, base: str, frame: str, stamps_ns: Sequence[int]) -> np.ndarray:
    """Pose of a sensor that stays where it is.

    Args:
        transforms: All transforms of the recording.
        base: The robot's frame.
        frame: The sensor's frame.
        stamps_ns: Ascending stamps of its readings.

    Returns:
        (4, 4) float64 newest pose of the sensor in the base frame.

    Raises:
        DataError: the frames are not connected, or the sensor moves on the robot.
    """
    T_base_sensor = transforms.lookup(base, frame)
    chosen = np.unique(np.linspace(0, len(stamps_ns) - 1, _MOMENTS).astype(int)) if stamps_ns else []
    for index in chosen:
        T = transforms.lookup(base, frame, stamps_ns[index], _AT_ANY_DISTANCE_NS)
        cosine = (np.trace(T[:3, :3].T @ T_base_sensor[:3, :3]) - 1) / 2
        move = float(np.linalg.norm(T[:3, 3] - T_base_sensor[:3, 3]))
        turn = float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
        if move > LARGEST_MOVE_M or turn > LARGEST_TURN_DEG:
            expected = f"a place on {base} that stays within {LARGEST_MOVE_M} m and {LARGEST_TURN_DEG} degrees"
            received = f"{move:.2f} m and {turn:.1f} degrees between {stamps_ns[index]} ns and the end"
            raise DataError("/tf", frame, expected, received)
    return T_base_sensor
