# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The door for arrays and tables on disk: what a file holds, or one error that names the file.

What a damaged file makes its decoder raise has no end (``zlib.error``, ``EOFError``, ``TokenError``, ``RecursionError``
...), so nothing is listed here: whatever comes out of a decoder inside :func:`reading` is a fault of the file.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from gsocc_core.errors import DataError, GsoccError


@contextmanager
def reading(path: object, expected: str) -> Iterator[None]:
    """Turn every error of a decoder into a DataError.

    Args:
        path: The file, or what else holds the fault.
        expected: What it should hold.

    Raises:
        DataError: the file is missing, or its content made the decoder fail. A DataError from inside passes; other
            errors of this project become one that names the file.

    Example:
        >>> with reading("a.json", "a table"):
        ...     json.loads("[1, 2")
        Traceback (most recent call last):
        ...
        gsocc_core.errors.DataError: a.json: content: expected a table, received Expecting ',' delimiter: line 1 \
column 6 (char 5)
    """
    try:
        yield
    except DataError:
        raise
    except GsoccError as error:
        raise DataError(path, error.key, error.expected, error.received) from error
    except FileNotFoundError as error:
        raise DataError(path, "file", expected, "no such file") from error
    except Exception as error:
        raise DataError(path, "content", expected, _told(error)) from error


def _told(error: Exception) -> str:
    """One line; of errors whose text alone says little, with their name."""
    text = " ".join(str(error).split())
    return text if text and isinstance(error, OSError | ValueError) else f"{type(error).__name__}: {text}"


def read_npz(path: str | Path, expected: str, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """Arrays of an .npz file; nothing pickled is ever loaded.

    Args:
        path: The file.
        expected: What it should hold, for errors.
        names: Arrays that must be there, and that are read; None = all.

    Returns:
        Array by name.

    Raises:
        DataError: the file is missing, is damaged, is another kind of file, or lacks an array.
    """
    with reading(path, f"{expected} in an .npz file"):
        content = np.load(path, allow_pickle=False)
        if not isinstance(content, np.lib.npyio.NpzFile):
            raise DataError(path, "content", f"{expected} in an .npz file", "a single array, as of an .npy file")
        with content:
            there = content.files
            if missing := [name for name in names or () if name not in there]:
                raise DataError(path, missing[0], f"arrays {', '.join(names or ())}", f"only {sorted(there)}")
            arrays = {name: content[name] for name in (there if names is None else names)}
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise DataError(path, name, "an array", type(array).__name__)
    return arrays


def read_npy(path: str | Path, expected: str, *, mapped: bool = False, content: bytes | None = None) -> np.ndarray:
    """The array of an .npy file; nothing pickled is ever loaded.

    Args:
        path: The file.
        expected: What it should hold, for errors.
        mapped: Leave it on disk and read only what is used.
        content: What the file holds, where it lies inside another and ``path`` is only its name.

    Returns:
        The array.

    Raises:
        DataError: the file is missing, is damaged, or is another kind of file.
    """
    with reading(path, f"{expected} in an .npy file"):
        source = path if content is None else io.BytesIO(content)
        array = np.load(source, mmap_mode="r" if mapped else None, allow_pickle=False)
        if not isinstance(array, np.ndarray):
            array.close()
            raise DataError(path, "content", f"{expected} in an .npy file", "several arrays, as of an .npz file")
    return array


def read_records(path: str | Path, dtype: Any, expected: str) -> np.ndarray:
    """Records of a file that holds nothing else.

    Args:
        path: The file.
        dtype: Type of one record.
        expected: What it should hold, for errors.

    Returns:
        (N,) records.

    Raises:
        DataError: the file cannot be read, or its size is no whole number of records.
    """
    size = np.dtype(dtype).itemsize
    with reading(path, expected):
        length = Path(path).stat().st_size
        if length % size:
            raise DataError(path, "size", f"{expected}, a multiple of {size} bytes", length)
        return np.fromfile(path, dtype)


def read_json(path: str | Path, expected: str) -> Any:
    """Plain values of a JSON file.

    Raises:
        DataError: the file is missing or is not JSON in UTF-8.
    """
    with reading(path, expected):
        return json.loads(Path(path).read_text(encoding="utf-8"))


def read_splits(path: Path) -> dict[str, list[str]]:
    """A ``splits.json``: names of scenes or drives by split.

    Raises:
        DataError: it holds something else.
    """
    splits = read_json(path, "JSON: {split: [names]}")
    names = list(splits.values()) if isinstance(splits, dict) else [None]
    if not all(isinstance(part, list) and all(isinstance(name, str) for name in part) for part in names):
        raise DataError(path, "content", "{split: [names]}", type(splits).__name__)
    return splits


def class_ids(array: np.ndarray, path: object, key: str, count: int | None = None, ignore_id: int = 255) -> np.ndarray:
    """Class ids as uint8, of which none is another than in the file.

    Args:
        array: Whole numbers of any type.
        path: Where they are from, for the error.
        key: Their name there, for the error.
        count: Number of classes; None = all ids up to 255.
        ignore_id: Id that counts as well.

    Returns:
        The same shape, uint8.

    Raises:
        DataError: a value is no whole number or none of the ids.

    Example:
        >>> class_ids(np.array([3.0, 255.0]), "labels.npy", "class ids", 4)
        array([  3, 255], dtype=uint8)
        >>> class_ids(np.array([260]), "labels.npy", "class ids")
        Traceback (most recent call last):
        ...
        gsocc_core.errors.DataError: labels.npy: class ids: expected whole numbers 0 ... 255, received 260
    """
    expected = "whole numbers 0 ... 255" if count is None else f"whole numbers 0 ... {count - 1} and {ignore_id}"
    if array.dtype.kind not in "iuf":
        raise DataError(path, key, expected, f"values of type {array.dtype}")
    if array.dtype != np.uint8:
        right = (array >= 0) & (array <= 255)  # NaN compares false
        if array.dtype.kind == "f":
            right &= array == np.floor(array)
        _check(right, array, path, key, expected)
    ids = array.astype(np.uint8, copy=False)
    if count is not None and ids.size and ids.max() >= count:
        _check((ids < count) | (ids == ignore_id), ids, path, key, expected)
    return ids


def real_numbers(array: np.ndarray, path: object, key: str) -> np.ndarray:
    """The array itself.

    Raises:
        DataError: its values are no real numbers.
    """
    if array.dtype.kind not in "fiu":
        raise DataError(path, key, "numbers", f"values of type {array.dtype}")
    return array


def flags(array: np.ndarray, path: object, key: str) -> np.ndarray:
    """A mask as bool; whole numbers other than 0 are true.

    Raises:
        DataError: the values are neither whole numbers nor truth values.
    """
    if array.dtype.kind not in "biu":
        raise DataError(path, key, "whole numbers, 0 = false", f"values of type {array.dtype}")
    return array.astype(bool, copy=False)


def _check(right: np.ndarray, array: np.ndarray, path: object, key: str, expected: str) -> None:
    if not right.all():
        raise DataError(path, key, expected, array[~right].flat[0].item())
