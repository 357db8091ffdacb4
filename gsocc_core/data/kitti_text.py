# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Calibration files of KITTI and KITTI-360: lines ``key: numbers``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gsocc_core.errors import DataError
from gsocc_core.geometry.rigid import rotation_fault

#: Numbers by key.
Table = dict[str, np.ndarray]


def read_table(path: Path) -> Table:
    """Read a calibration file; lines that hold something else (dates) are passed over.

    Raises:
        DataError: the file is missing or is not text.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(path, "file", "a calibration file of KITTI", error) from error
    table: Table = {}
    for line in lines:
        key, _, rest = line.partition(":")
        try:
            table[key.strip()] = np.array([float(word) for word in rest.split()])
        except ValueError:
            continue
    return table


def read_matrix(path: Path) -> np.ndarray:
    """Read a file that holds one pose and nothing else, such as calib_cam_to_velo.txt.

    Returns:
        (4, 4) float64.

    Raises:
        DataError: the file is missing or holds something else than the 12 numbers of a rigid transform.
    """
    try:
        numbers = np.array([float(word) for word in path.read_text(encoding="utf-8").split()])
    except (OSError, ValueError) as error:
        raise DataError(path, "file", "12 numbers", error) from error
    if numbers.size != 12 or not np.isfinite(numbers).all():
        raise DataError(path, "content", "12 numbers", f"{numbers.size} numbers")
    return _rigid(path, "content", affine(numbers))


def take(path: Path, table: Table, key: str, count: int) -> np.ndarray:
    """The numbers of one line.

    Raises:
        DataError: there is no such line, or it holds another number of numbers, or some that are not finite.
    """
    if key not in table or table[key].size != count or not np.isfinite(table[key]).all():
        received = f"{table[key].size} numbers: {table[key].tolist()}" if key in table else "no such line"
        raise DataError(path, key, f"{count} numbers", received)
    return table[key]


def affine(numbers: np.ndarray) -> np.ndarray:
    """(4, 4) pose of 12 numbers, row by row.

    Example:
        >>> affine(np.arange(12.0))[1:].tolist()
        [[4.0, 5.0, 6.0, 7.0], [8.0, 9.0, 10.0, 11.0], [0.0, 0.0, 0.0, 1.0]]
    """
    return np.vstack([numbers.reshape(3, 4), [0.0, 0.0, 0.0, 1.0]])


def pose(path: Path, table: Table, key: str) -> np.ndarray:
    """(4, 4) pose of a line with 12 numbers, row by row.

    Raises:
        DataError: see :func:`take`, or its rotation is none.
    """
    return _rigid(path, key, affine(take(path, table, key, 12)))


def projection(path: Path, table: Table, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Split P = K [I | t] of a line with 12 numbers.

    Returns:
        K, (3, 3) pixels, and the (4, 4) pose of the rectified camera 0 in this camera, which only shifts.

    Raises:
        DataError: see :func:`take`, or it is no projection.
    """
    P = take(path, table, key, 12).reshape(3, 4)
    if min(P[0, 0], P[1, 1]) <= 0 or P[2, :3].tolist() != [0, 0, 1]:
        raise DataError(path, key, "a projection: focal lengths above 0, last row 0 0 1 t", P.tolist())
    T = np.eye(4)
    T[:3, 3] = np.linalg.solve(P[:, :3], P[:, 3])
    return P[:, :3], T


def rotation(path: Path, table: Table, key: str) -> np.ndarray:
    """(4, 4) pose without translation of a line with the 9 numbers of a rotation.

    Raises:
        DataError: see :func:`take`, or it is no rotation.
    """
    T = np.eye(4)
    T[:3, :3] = take(path, table, key, 9).reshape(3, 3)
    return _rigid(path, key, T)


def _rigid(path: Path, key: str, T: np.ndarray) -> np.ndarray:
    if fault := rotation_fault(T):
        raise DataError(path, key, "a rigid transform", f"a rotation that {fault}: {T[:3, :3].tolist()}")
    return T
