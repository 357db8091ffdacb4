# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Point clouds of five file formats; damaged ones are clear errors."""

import struct

import numpy as np
import pytest

from gsocc_core.data.ply_vertices import write_ply
from gsocc_core.errors import DataError
from gsocc_core.rigs.point_files import read_points

POINTS = np.random.default_rng(0).uniform(-30, 30, (200, 3)).astype(np.float32)
TABLE = np.zeros(200, np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("_", "u1", (4,)), ("t", "<f8")]))
for i, axis in enumerate("xyz"):
    TABLE[axis] = POINTS[:, i]
TABLE["t"] = 0.1
HEADER = (
    "# .PCD v0.7\nVERSION 0.7\nFIELDS x y z _ t\nSIZE 4 4 4 1 8\nTYPE F F F U F\nCOUNT 1 1 1 4 1\nWIDTH 200\nHEIGHT 1\n"
)
HEADER += "VIEWPOINT 0 0 0 1 0 0 0\nPOINTS 200\nDATA "


def lzf(data):
    """LZF with literals and, for runs of a repeated byte, overlapping back references."""
    packed, i = bytearray(), 0
    while i < len(data):
        run = 1
        while i + run < len(data) and data[i + run] == data[i] and run < 200:
            run += 1
        if run > 4:
            packed += bytes([0, data[i]])
            length = run - 1 - 2
            packed += bytes([length << 5, 0]) if length < 7 else bytes([7 << 5, length - 7, 0])
        else:
            run = min(run, 32)
            packed += bytes([run - 1]) + data[i : i + run]
        i += run
    return bytes(packed)


def write(path):
    name = path.name
    if name == "a.npy":
        np.save(path, np.column_stack([POINTS, np.ones(200)]))
    elif name in {"a.bin", "a.pcd.bin"}:
        np.column_stack([POINTS, np.ones((200, 1 if name == "a.bin" else 2))]).astype(np.float32).tofile(path)
    elif name == "ascii.pcd":
        rows = "\n".join(f"{x!r} {y!r} {z!r} 0 0 0 0 0.1" for x, y, z in POINTS.tolist())
        path.write_text(HEADER + "ascii\n" + rows + "\n")
    elif name == "binary.pcd":
        path.write_bytes((HEADER + "binary\n").encode() + TABLE.tobytes())
    elif name == "compressed.pcd":
        columns = b"".join(np.ascontiguousarray(TABLE[key]).tobytes() for key in TABLE.dtype.names)
        packed = lzf(columns)
        path.write_bytes(
            (HEADER + "binary_compressed\n").encode() + struct.pack("<II", len(packed), len(columns)) + packed
        )
    else:
        write_ply(path, {axis: POINTS[:, i] for i, axis in enumerate("xyz")})
    return path


NAMES = ["a.npy", "a.bin", "a.pcd.bin", "ascii.pcd", "binary.pcd", "compressed.pcd", "a.ply"]


@pytest.mark.parametrize("name", NAMES)
def test_every_format_gives_the_points(tmp_path, name):
    np.testing.assert_array_equal(read_points(write(tmp_path / name)), POINTS)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "ascii.pcd"])
def test_a_file_cut_short_is_a_clear_error(tmp_path, name):
    path = write(tmp_path / name)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(DataError, match=name):
        read_points(path)


def test_other_faults(tmp_path):
    np.save(tmp_path / "flat.npy", np.zeros(5))
    (tmp_path / "a.pcd").write_text("FIELDS a b\nDATA ascii\n")
    (tmp_path / "a.xyz").write_text("1 2 3")
    for name in ("flat.npy", "a.pcd", "a.xyz", "none.npy"):
        with pytest.raises(DataError, match=name):
            read_points(tmp_path / name)
    np.save(tmp_path / "nan.npy", [[np.nan, 0, 0], [1, 2, 3]])
    assert read_points(tmp_path / "nan.npy").tolist() == [[1, 2, 3]]
