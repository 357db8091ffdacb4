# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Radar point files of nuScenes as arrays that become PointCloud2 messages, nothing filtered out."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from gsocc_core.data.stored import reading
from gsocc_core.errors import DataError

#: The 18 values of a radar return under nuScenes' names, each aligned to its size: position (m, x ahead, y left),
#: radar cross section (dBm2), velocities (m/s, ``_comp`` = without the robot's own), states and quality codes.
RADAR_POINT = np.dtype(
    [
        ("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("dyn_prop", "i1"), ("id", "<i2"), ("rcs", "<f4"),
        ("vx", "<f4"), ("vy", "<f4"), ("vx_comp", "<f4"), ("vy_comp", "<f4"),
        ("is_quality_valid", "i1"), ("ambig_state", "i1"), ("x_rms", "i1"), ("y_rms", "i1"),
        ("invalid_state", "i1"), ("pdh0", "i1"), ("vx_rms", "i1"), ("vy_rms", "i1"),
    ],
    align=True,
)  # fmt: skip
_LONGEST_HEADER = 4096
_KINDS = {"F": "f", "I": "i", "U": "u"}


def read_radar(path: Path) -> np.ndarray:
    """Read a nuScenes radar file (PCD, binary).

    nuscenes-devkit's ``RadarPointCloud`` with its filters disabled holds the same values, but as float64, and takes
    them one by one: too slow for a scene, which has more than a thousand of these files.

    Args:
        path: A ``.pcd`` file with nuScenes' 18 fields.

    Returns:
        (N,) structured array of :data:`RADAR_POINT` in the sensor's frame. A file whose first point holds a nan
        stands for no points at all, as in the devkit.

    Raises:
        DataError: the file is missing, the header is no binary PCD header with these fields, or the file is too short.

    Example:
        >>> from pathlib import Path
        >>> read_radar(Path("samples/RADAR_FRONT/1.pcd"))["vx_comp"]  # doctest: +SKIP
        array([ 0.1, -3.2], dtype=float32)
    """
    with reading(path, "a radar file of nuScenes"):
        return _points(path, path.read_bytes())


def _points(path: Path, data: bytes) -> np.ndarray:
    end = data.find(b"\nDATA ") + 1
    start = data.find(b"\n", end) + 1
    if not 0 < end < start or end > _LONGEST_HEADER:
        raise DataError(path, "header", "lines up to DATA", f"{len(data)} bytes that begin with {data[:12]!r}")
    try:
        stored, count = _layout(data[:start])
    except DataError as error:
        raise DataError(path, error.key, error.expected, error.received) from error
    if count < 0 or len(data) - start < count * stored.itemsize:
        raise DataError(path, "size", f"{count} points of {stored.itemsize} bytes", f"{len(data) - start} bytes")
    read = np.frombuffer(data, stored, count, start)
    floats = [name for name in RADAR_POINT.names or () if stored[name].kind == "f"]
    if count and any(np.isnan(read[name][0]) for name in floats):
        return np.zeros(0, RADAR_POINT)
    points = np.zeros(count, RADAR_POINT)  # zeros: no chance values in the padding
    for name in RADAR_POINT.names or ():
        points[name] = read[name]
    return points


@lru_cache(maxsize=512)  # they differ in the number of returns only
def _layout(header: bytes) -> tuple[np.dtype, int]:
    """The packed layout that a header describes, and how many points follow."""
    words = [line.split() for line in header.decode("ascii", "replace").splitlines()]
    lines = {line[0]: tuple(line[1:]) for line in words if line}
    if lines["DATA"] != ("binary",):
        raise DataError("header", "DATA", "binary", " ".join(lines["DATA"]))
    try:
        count = int(lines["WIDTH"][0]) * int(lines["HEIGHT"][0])
    except (KeyError, IndexError, ValueError) as error:
        received = (lines.get("WIDTH"), lines.get("HEIGHT"))
        raise DataError("header", "WIDTH, HEIGHT", "two numbers", received) from error
    fields, sizes, kinds = (lines.get(key, ()) for key in ("FIELDS", "SIZE", "TYPE"))
    return _stored_type(fields, sizes, kinds, lines.get("COUNT", ("1",) * len(fields))), count


def _stored_type(
    fields: tuple[str, ...], sizes: tuple[str, ...], kinds: tuple[str, ...], counts: tuple[str, ...]
) -> np.dtype:
    missing = [name for name in RADAR_POINT.names or () if name not in fields]
    if missing:
        raise DataError("header", "FIELDS", "nuScenes' 18 radar fields", f"none named {missing}")
    if not len(fields) == len(sizes) == len(kinds) == len(counts) or set(counts) != {"1"}:
        raise DataError("header", "SIZE, TYPE, COUNT", f"{len(fields)} each, all counts 1", (sizes, kinds, counts))
    try:
        layout = [(name, f"<{_KINDS[kind]}{size}") for name, kind, size in zip(fields, kinds, sizes, strict=True)]
        stored = np.dtype(layout)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError("header", "SIZE, TYPE", "sizes and types of numbers", (sizes, kinds)) from error
    for name in RADAR_POINT.names or ():
        if not np.can_cast(stored[name], RADAR_POINT[name], "safe"):
            raise DataError("header", name, f"values that fit {RADAR_POINT[name]}", str(stored[name]))
    return stored
