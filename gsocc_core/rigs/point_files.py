# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Point clouds from files: .npy, .bin (KITTI, nuScenes), .pcd and .ply."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gsocc_core.data.ply_vertices import read_ply
from gsocc_core.data.stored import read_npy, read_records, reading
from gsocc_core.errors import DataError

#: Columns of float32 per point: x, y, z, intensity, and nuScenes' ring.
_BIN_COLUMNS = {".pcd.bin": 5, ".bin": 4}
_PCD_TYPES = {("F", 4): "<f4", ("F", 8): "<f8", ("U", 1): "u1", ("U", 2): "<u2", ("U", 4): "<u4", ("I", 1): "i1",
              ("I", 2): "<i2", ("I", 4): "<i4", ("U", 8): "<u8", ("I", 8): "<i8"}  # fmt: skip


def read_points(path: str | Path) -> np.ndarray:
    """Read a point cloud.

    Args:
        path: .npy of (N, 3 or more) numbers; .pcd.bin (nuScenes: 5 float32 per point); .bin (KITTI: 4 float32 per
            point); .pcd (ASCII, binary, compressed); .ply.

    Returns:
        (N, 3) float64 x, y, z in metres, in the frame of the file; points that are not finite are left out.

    Raises:
        DataError: the file is missing, damaged or of another kind.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "cloud.npy"
        >>> np.save(file, [[1, 2, 3, 0.5]])
        >>> read_points(file)
        array([[1., 2., 3.]])
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(path, "file", "a point cloud", "no such file")
    with reading(path, "a point cloud"):
        points = _points(path, path.name.lower()).astype(np.float64)
    return points[np.isfinite(points).all(-1)]


def _points(path: Path, name: str) -> np.ndarray:
    """(N, 3) as they are stored."""
    if name.endswith(".npy"):
        array = read_npy(path, "a point cloud")
        if array.ndim != 2 or array.shape[1] < 3 or array.dtype.kind not in "fiu":
            raise DataError(path, "content", "(N, 3 or more) numbers", f"{array.shape} {array.dtype}")
        return array[:, :3]
    if name.endswith(".bin"):
        return _bin(path, _BIN_COLUMNS[".pcd.bin" if name.endswith(".pcd.bin") else ".bin"])
    if name.endswith(".pcd"):
        return _pcd(path)
    if name.endswith(".ply"):
        table = read_ply(path)
        if not {"x", "y", "z"} <= set(table):
            raise DataError(path, "property", "x, y and z", sorted(table))
        return np.stack([table[axis] for axis in "xyz"], axis=-1)
    raise DataError(path, "name", "an ending among .npy, .pcd.bin, .bin, .pcd, .ply", path.name)


def _bin(path: Path, columns: int) -> np.ndarray:
    whole = f"whole points of {columns} float32 (.pcd.bin: 5, .bin: 4)"
    return read_records(path, np.dtype(("<f4", columns)), whole)[:, :3]


def _pcd(path: Path) -> np.ndarray:
    """PCD 0.7 of the Point Cloud Library."""
    content = path.read_bytes()
    header: dict[str, list[str]] = {}
    begin = 0
    while "DATA" not in header:
        end = content.find(b"\n", begin)
        if end < 0 or begin > 10_000:
            raise DataError(path, "header", "a PCD file with a line DATA", repr(content[:20]))
        words = content[begin:end].decode("ascii", "replace").split()
        if words and not words[0].startswith("#"):
            header[words[0]] = words[1:]
        begin = end + 1
    try:
        names, sizes, kinds = header["FIELDS"], [int(v) for v in header["SIZE"]], header["TYPE"]
        counts = [int(v) for v in header.get("COUNT", ["1"] * len(names))]
        types = [_PCD_TYPES[kind, size] for kind, size in zip(kinds, sizes)]
        count, kind = int(header["POINTS"][0]), header["DATA"][0]
        axes = [names.index(axis) for axis in "xyz"]
    except (KeyError, ValueError, IndexError) as error:
        raise DataError(path, "header", "FIELDS with x y z, SIZE, TYPE, POINTS, DATA", error) from error
    try:
        if kind == "ascii":
            first = np.cumsum([0, *counts])
            rows = [line.split() for line in content[begin:].splitlines()[:count]]
            return np.array([[float(row[first[axis]]) for axis in axes] for row in rows]).reshape(count, 3)
        if kind == "binary":
            # Field names may repeat (_, padding), so the table goes by position.
            table = np.dtype([(f"f{i}", t, (n,)) for i, (t, n) in enumerate(zip(types, counts))])
            read = np.frombuffer(content, table, count, begin)
            return np.stack([read[f"f{axis}"][:, 0].astype(np.float64) for axis in axes], axis=-1)
        if kind == "binary_compressed":
            packed, whole = np.frombuffer(content, "<u4", 2, begin).tolist()
            data = _lzf(content[begin + 8 : begin + 8 + packed], whole)
            offsets = np.cumsum([0, *(s * n * count for s, n in zip(sizes, counts))])
            columns = [np.frombuffer(data, types[axis], count * counts[axis], int(offsets[axis])) for axis in axes]
            return np.stack([c[:: counts[axis]].astype(np.float64) for c, axis in zip(columns, axes)], axis=-1)
    except (ValueError, IndexError) as error:
        raise DataError(path, "content", f"{count} points, DATA {kind}", error) from error
    raise DataError(path, "DATA", "ascii, binary or binary_compressed", kind)


def _lzf(packed: bytes, size: int) -> bytes:
    """Decompress LZF (Lehmann's LibLZF): literal runs and back references."""
    result = bytearray()
    i = 0
    while i < len(packed):
        control = packed[i]
        i += 1
        if control < 32:
            result += packed[i : i + control + 1]
            i += control + 1
            continue
        length = control >> 5
        if length == 7:
            length += packed[i]
            i += 1
        start = len(result) - ((control & 31) << 8) - packed[i] - 1
        i += 1
        if start < 0:
            raise ValueError("a back reference before the beginning")
        for k in range(start, start + length + 2):  # may overlap with what is being written
            result.append(result[k])
    if len(result) != size:
        raise ValueError(f"{size} bytes after decompression, not {len(result)}")
    return bytes(result)
