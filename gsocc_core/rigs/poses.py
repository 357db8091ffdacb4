# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Poses as words of a command line."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gsocc_core.errors import ConfigError
from gsocc_core.geometry.rigid import rigid_from_quat, rotation_fault, rotmat_to_quat


def pose_of(numbers: Sequence[float], key: str) -> np.ndarray:
    """A pose from a list of numbers.

    Args:
        numbers: x, y, z (metres) and w, x, y, z of a quaternion; or the 12 or 16 numbers of a matrix, row by row.
        key: Name of the argument, for errors.

    Returns:
        (4, 4) float64.

    Raises:
        ConfigError: another count, or no rigid transform.

    Example:
        >>> pose_of([0, 0, 1.5, 1, 0, 0, 0], "T_ego_imu")[2].tolist()
        [0.0, 0.0, 1.0, 1.5]
    """
    values = np.asarray(numbers, np.float64)
    expected = "x,y,z,qw,qx,qy,qz, or the 12 or 16 numbers of a matrix row by row"
    if values.size == 7 and np.linalg.norm(values[3:]) > 1e-6:
        return rigid_from_quat(values[3:], values[:3])
    if values.size not in {12, 16}:
        raise ConfigError("command line", f"--{key}", expected, f"{values.size} numbers: {list(numbers)}")
    T = np.eye(4)
    T[: values.size // 4] = values.reshape(-1, 4)
    if rotation_fault(T) or T[3].tolist() != [0, 0, 0, 1]:
        raise ConfigError("command line", f"--{key}", f"{expected}, with an orthonormal rotation", T.tolist())
    return T


def pose_words(T: np.ndarray) -> str:
    """The words that :func:`pose_of` reads: x,y,z,qw,qx,qy,qz.

    Example:
        >>> pose_words(np.eye(4))
        '0,0,0,1,0,0,0'
    """
    import torch

    quat = rotmat_to_quat(torch.from_numpy(np.ascontiguousarray(T[:3, :3]))).tolist()
    return ",".join(f"{value:.9g}" for value in (*T[:3, 3].tolist(), *quat))
