# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Point clouds of key frames: nuScenes' raw records and dgp's compressed arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gsocc_core.data.stored import read_npz, read_records, real_numbers
from gsocc_core.errors import DataError


def read_cloud(path: str | Path) -> np.ndarray:
    """Points of one LiDAR turn.

    Args:
        path: ``.npz`` with ``data``, (N, 3 or more) numbers that begin with x, y, z, or records with fields X, Y and Z,
            as dgp writes them; any other file: float32 x, y, z, intensity, ring per point, as nuScenes has them.

    Returns:
        (N, 3) float64 metres in the LiDAR's frame.

    Raises:
        DataError: the file is missing, damaged or holds something else.
    """
    if Path(path).suffix == ".npz":
        return _of_dgp(path)
    values = read_records(path, np.dtype(("<f4", 5)), "float32 x, y, z, intensity, ring per point")
    return values[:, :3].astype(np.float64)


def _of_dgp(path: str | Path) -> np.ndarray:
    data = read_npz(path, "points", ("data",))["data"]
    expected = "(N, 3 or more) numbers x, y, z, ..., or records with fields X, Y and Z"
    if data.dtype.names is not None:
        if not {"X", "Y", "Z"} <= set(data.dtype.names):
            raise DataError(path, "data", expected, f"fields {data.dtype.names}")
        data = np.stack([real_numbers(data[axis].reshape(-1), path, axis) for axis in "XYZ"], axis=-1)
    if data.ndim != 2 or data.shape[1] < 3:
        raise DataError(path, "data", expected, f"shape {data.shape}")
    points = real_numbers(data, path, "data")[:, :3].astype(np.float64)
    if not np.isfinite(points).all():
        raise DataError(path, "data", "finite metres", "infinite or NaN")
    return points
