# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Calibrations that state one pose twice: both have to say the same."""

from __future__ import annotations

import numpy as np

from gsocc_core.errors import DataError

#: What rounding and the fit of a calibration may make of it; published calibrations stay ten times below.
TOLERANCE_M, TOLERANCE_DEG = 0.005, 0.2


def check_same_pose(where: object, key: str, one: tuple[str, np.ndarray], other: tuple[str, np.ndarray]) -> None:
    """Check that two statements of one pose agree.

    Args:
        where: The file, for the error.
        key: What has the pose.
        one: Who states it, and the (4, 4) rigid transform, metres.
        other: Likewise.

    Raises:
        DataError: they differ by more than 5 mm or 0.2 degrees; both are told.

    Example:
        >>> moved = np.eye(4)
        >>> moved[0, 3] = 0.1
        >>> check_same_pose("camchain.yaml", "cam1 in cam0", ("T_cam_imu", moved), ("T_cn_cnm1", np.eye(4)))
        Traceback (most recent call last):
        ...
        gsocc_core.errors.DataError: camchain.yaml: cam1 in cam0: expected one pose, to 5 mm and 0.2 degrees, \
received (0.100, 0.000, 0.000) m by T_cam_imu and (0.000, 0.000, 0.000) m by T_cn_cnm1, 0.100 m and 0.0 degrees apart
    """
    apart_m, apart_deg = _difference(one[1], other[1])
    if apart_m <= TOLERANCE_M and apart_deg <= TOLERANCE_DEG:
        return
    expected = f"one pose, to {1e3 * TOLERANCE_M:g} mm and {TOLERANCE_DEG:g} degrees"
    both = f"{_place(*one)} and {_place(*other)}"
    raise DataError(where, key, expected, f"{both}, {apart_m:.3f} m and {apart_deg:.1f} degrees apart")


def _place(name: str, T: np.ndarray) -> str:
    x, y, z = T[:3, 3].round(3) + 0.0  # no -0.000
    return f"({x:.3f}, {y:.3f}, {z:.3f}) m by {name}"


def _difference(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Metres between the origins of two rigid transforms, and degrees between their axes."""
    turned = one[:3, :3].T @ other[:3, :3]
    axis = (turned[2, 1] - turned[1, 2], turned[0, 2] - turned[2, 0], turned[1, 0] - turned[0, 1])
    angle = np.arctan2(np.linalg.norm(axis), np.trace(turned) - 1)  # the arc cosine loses small angles
    return float(np.linalg.norm(one[:3, 3] - other[:3, 3])), float(np.degrees(angle))
