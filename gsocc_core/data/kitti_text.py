# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Calibration files of KITTI and KITTI-360: lines ``key: numbers``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gsocc_core.errors import DataError

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
        DataError: the file is missing or holds something else than 12 numbers.
    """
    try:
        numbers = np.array([float(word) for word in path.read_text(encoding="utf-8").split()])
    except (OSError, ValueError) as error:
        raise DataError(path, "file", "12 numbers", error) from error
    if numbers.size != 12 or not np.isfinite(numbers).all():
        raise DataError(path, "content", "12 numbers", f"{numbers.size} numbers")
    return affine(numbers)


def take(path: Path, table: Table, key: str, count: int) -> np.ndarray:
    """The numbers of one line.

    Raises:
        DataError: there is no such line, or it holds another number of numbers.
    """
    if key not in table or table[key].size != count:
        received = f"{table[key].size} numbers" if key in table else "no such line"
        raise DataError(path, key, f"{count} numbers", received)
    return table[key]


def affine(numbers: np.ndarray) -> np.ndarray:
    """(4, 4) pose of 12 numbers, row by row.

    Example:
        >>> affine(np.arange(12.0))[1:].tolist()
        [[4.0, 5.0, 6.0, 7.0], [8.0, 9.0, 10.0, 11.0], [0.0, 0.0, 0.0, 1.0]]
    """
    return np.vstack([numbers.reshape(3, 4), [0.0, 0.0, 0.0, 1.0]])


def rotation(path: Path, table: Table, key: str) -> np.ndarray:
    """(4, 4) pose without translation of a line with the 9 numbers of a rotation.

    Raises:
        DataError: see :func:`take`.
    """
    T = np.eye(4)
    T[:3, :3] = take(path, table, key, 9).reshape(3, 3)
    return T
