# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The vertices of PLY files as columns of numbers: ASCII, binary little and big endian.

By hand, because the usual library, plyfile, is under the GPL, which a robot's software could not ship; tests compare
with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from gsocc_core.data.stored import reading
from gsocc_core.errors import DataError, OutputExistsError
from gsocc_core.whole import whole_file

_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": "="}


def write_ply(path: str | Path, columns: Mapping[str, np.ndarray], comments: Sequence[str] = ()) -> None:
    """Write columns as a binary little-endian PLY of one element, vertex; it appears only when complete.

    Args:
        path: File to make.
        columns: One (N,) array per property, all written as float32.
        comments: Lines of text. They stand behind the properties, because INRIA's viewer takes the third line of a file
            for the number of vertices.

    Raises:
        OutputExistsError: the file exists.
    """
    path = Path(path)
    if path.exists():
        raise OutputExistsError(path, "out", "a file that does not exist", "an existing one")
    count = len(next(iter(columns.values())))
    table = np.empty(count, np.dtype([(name, "<f4") for name in columns]))
    for name, column in columns.items():
        table[name] = column
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {count}"]
    header += [f"property float {name}" for name in columns]
    header += [f"comment {line}" for line in comments]
    with whole_file(path) as temporary:
        temporary.write_bytes(("\n".join([*header, "end_header"]) + "\n").encode() + table.tobytes())


def read_ply(path: str | Path) -> dict[str, np.ndarray]:
    """Read the vertices of a PLY file.

    Args:
        path: The file.

    Returns:
        One (N,) array per property of the element vertex, in the order of the file and of its own type.

    Raises:
        DataError: it is not a PLY file, is cut short, or its vertices have lists, or numbers that their
            type does not hold.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "a.ply"
        >>> write_ply(file, {"x": np.array([1.0, 2.0]), "y": np.array([0.5, 0.0])})
        >>> read_ply(file)["x"].tolist()
        [1.0, 2.0]
    """
    with reading(path, "a PLY file"):
        return _read_ply(Path(path))


def _read_ply(path: Path) -> dict[str, np.ndarray]:
    content = path.read_bytes()
    end = content.find(b"end_header")
    body = content.find(b"\n", end) + 1
    if not content.startswith(b"ply") or end < 0 or not body:
        raise DataError(path, "header", "a PLY file: ply ... end_header", repr(content[:20]))
    kind, elements = _header(path, content[:end].decode("ascii", "replace").splitlines())
    if not elements or elements[0][0] != "vertex":
        raise DataError(path, "element", "vertex as the first element", [name for name, _, _ in elements])
    _, count, properties = elements[0]
    if len({name for name, _ in properties}) != len(properties):
        raise DataError(path, "property", "different names", [name for name, _ in properties])
    dtype = np.dtype([(name, _ORDERS[kind] + code) for name, code in properties])
    if kind == "ascii":
        rows = content[body:].split(b"\n", count)[:count]
        try:
            numbers = np.array([[float(word) for word in row.split()] for row in rows])
        except ValueError as error:
            raise DataError(path, "vertex", f"rows of {len(properties)} numbers", error) from error
        if numbers.shape != (count, len(properties)):
            raise DataError(path, "vertex", f"{count} rows of {len(properties)} numbers", numbers.shape)
        columns = {name: numbers[:, i].astype(code) for i, (name, code) in enumerate(properties)}
        for i, (name, code) in enumerate(properties):
            if code[0] in "iu" and not np.array_equal(columns[name], numbers[:, i]):
                raise DataError(path, name, f"whole numbers of type {code}", "others")
        return columns
    if len(content) - body < count * dtype.itemsize:
        raise DataError(path, "vertex", f"{count} x {dtype.itemsize} bytes", f"{len(content) - body} bytes")
    table = np.frombuffer(content, dtype, count, body)
    return {name: np.ascontiguousarray(table[name].astype(code)) for name, code in properties}


def _header(path: Path, lines: Sequence[str]) -> tuple[str, list[tuple[str, int, list[tuple[str, str]]]]]:
    kind = ""
    elements: list[tuple[str, int, list[tuple[str, str]]]] = []
    for words in (line.split() for line in lines):
        if words[:1] == ["format"] and len(words) > 1:
            kind = words[1]
        elif words[:1] == ["element"] and len(words) == 3 and words[2].isdigit():
            elements.append((words[1], int(words[2]), []))
        elif words[:1] == ["property"] and elements:
            if len(words) != 3 or words[1] not in _TYPES:
                if len(elements) == 1:
                    raise DataError(path, "property", f"a number, one of {sorted(_TYPES)}", " ".join(words))
                continue  # lists of later elements (faces) are not read
            elements[-1][2].append((words[2], _TYPES[words[1]]))
    if kind not in _ORDERS:
        raise DataError(path, "format", f"one of {sorted(_ORDERS)}", repr(kind))
    return kind, elements
