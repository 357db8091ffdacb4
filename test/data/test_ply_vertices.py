# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""PLY files of other programs are read; damaged ones are clear errors."""

import numpy as np
import pytest

from gsocc_core.data.ply_vertices import read_ply, write_ply
from gsocc_core.errors import DataError, OutputExistsError

HEADER = "ply\nformat {kind} 1.0\ncomment made elsewhere\nelement vertex 2\nproperty double x\nproperty uchar red\n"
FACES = "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
ROWS = [(1.5, 200), (-2.25, 7)]


def foreign(kind):
    header = (HEADER.format(kind=kind) + FACES).encode()
    if kind == "ascii":
        return header + b"1.5 200\n-2.25 7\n3 0 1 1\n"
    order = "<" if "little" in kind else ">"
    return header + np.array(ROWS, [("x", f"{order}f8"), ("red", "u1")]).tobytes() + b"\x03\0\0\0\0"


@pytest.mark.parametrize("kind", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_files_of_other_programs(tmp_path, kind):
    path = tmp_path / "a.ply"
    path.write_bytes(foreign(kind))
    table = read_ply(path)
    assert table["x"].tolist() == [1.5, -2.25]
    assert table["red"].tolist() == [200, 7]
    assert table["red"].dtype == np.uint8


@pytest.mark.parametrize("content", [
    b"", b"plx", b"ply\nend_header\n", b"ply\nformat ascii 1.0\nelement face 1\nend_header\n",
    b"ply\nformat odd 1.0\nelement vertex 1\nproperty float x\nend_header\n1\n",
    b"ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nend_header\n1\n",
    b"ply\nformat ascii 1.0\nelement vertex 1\nproperty list uchar int x\nend_header\n1\n",
    b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float x\nend_header\n1 2\n",
    foreign("binary_little_endian")[:-12],
])  # fmt: skip
def test_damaged_files_are_clear_errors(tmp_path, content):
    (tmp_path / "a.ply").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.ply"):
        read_ply(tmp_path / "a.ply")


def test_the_third_line_is_the_number_of_vertices(tmp_path):
    write_ply(tmp_path / "a.ply", {"x": np.arange(5.0)}, ["metres"])
    lines = (tmp_path / "a.ply").read_bytes().split(b"\n")
    assert lines[:3] == [b"ply", b"format binary_little_endian 1.0", b"element vertex 5"]
    assert b"comment metres" in lines
    with pytest.raises(OutputExistsError):
        write_ply(tmp_path / "a.ply", {"x": np.arange(5.0)})


def test_plyfile_and_we_read_each_other(tmp_path):
    plyfile = pytest.importorskip("plyfile")
    columns = {name: np.random.default_rng(0).normal(size=7).astype(np.float32) for name in ("x", "y", "f_dc_0")}
    write_ply(tmp_path / "ours.ply", columns, ["metres"])
    theirs = plyfile.PlyData.read(tmp_path / "ours.ply")["vertex"]
    assert [prop.name for prop in theirs.properties] == list(columns)
    table = np.empty(7, [(name, "f4") for name in columns])
    for name, column in columns.items():
        np.testing.assert_array_equal(theirs[name], column)
        table[name] = column
    for text, order in ((True, "="), (False, "<"), (False, ">")):
        element = plyfile.PlyElement.describe(table, "vertex")
        plyfile.PlyData([element], text=text, byte_order=order).write(str(tmp_path / "theirs.ply"))
        for name, column in read_ply(tmp_path / "theirs.ply").items():
            np.testing.assert_allclose(column, columns[name], rtol=1e-6)
