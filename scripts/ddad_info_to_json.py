#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Export DDAD's info pickles of GaussianOcc's authors to JSON, once, without running what a pickle may hold.

Needs nothing but Python 3.8 or later: neither numpy nor pyquaternion, whose objects the pickles contain, nor gsocc.
Every name that a pickle asks for is either one of the few below, for which an inert stand-in of this file is used, or
ends the export before anything was called.

    python scripts/ddad_info_to_json.py info_train.pkl info_val.pkl            # writes info_train.json, info_val.json
    python scripts/ddad_info_to_json.py info_val.pkl --out data/ddad/info
"""

from __future__ import annotations

import argparse
import json
import math
import os
import pickle
import struct
import sys
from pathlib import Path
from typing import Any

#: Largest number of values in one array: the pickles hold matrices of nine.
_LARGEST = 10_000
_CODES = {
    ("f", 8): "d", ("f", 4): "f", ("i", 8): "q", ("i", 4): "i", ("i", 2): "h", ("i", 1): "b", ("u", 8): "Q",
    ("u", 4): "I", ("u", 2): "H", ("u", 1): "B", ("b", 1): "?",
}  # fmt: skip


class InfoError(ValueError):
    """A pickle that is no info file, or asks for more than plain values."""


class _Type:
    """Stands in for ``numpy.dtype``: the kind and size of numbers, and their byte order."""

    def __init__(self, name: str = "", *_: object) -> None:
        self.kind, size = str(name)[:1], str(name)[1:]
        self.size = int(size) if size.isdigit() else 0
        self.order = "<"

    def __setstate__(self, state: Any) -> None:
        self.order = ">" if state[1] == ">" else "<"

    def numbers(self, raw: bytes) -> list[Any]:
        """Plain numbers of raw bytes."""
        code = _CODES.get((self.kind, self.size))
        count, rest = divmod(len(raw), self.size or 1)
        if code is None or rest or count > _LARGEST:
            raise InfoError(f"an array of {count} values of type {self.kind}{self.size}, where a few numbers belong")
        return list(struct.unpack(f"{self.order}{count}{code}", raw))


class _Array:
    """Stands in for ``numpy.ndarray``: keeps shape and values."""

    def __init__(self, *_: object) -> None:
        self.plain: Any = None

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, raw = state
        if isinstance(raw, str):  # as Python 2 wrote bytes
            raw = raw.encode("latin1")
        if not isinstance(raw, (bytes, bytearray)) or not isinstance(kind, _Type):
            raise InfoError("an array of objects, where numbers belong")
        self.plain = _shaped(kind.numbers(bytes(raw)), tuple(shape), bool(fortran))


class _Rotation:
    """Stands in for ``pyquaternion.Quaternion``: w, x, y, z lie in ``q``."""

    def __init__(self, *_: object) -> None:
        self.q: Any = None


def _new_array(*_: object) -> _Array:
    return _Array()


def _from_buffer(raw: Any, kind: Any, shape: Any, order: str = "C") -> _Array:
    array = _Array()
    array.__setstate__((1, shape, kind, order == "F", bytes(raw)))
    return array


def _scalar(kind: Any, raw: Any = b"") -> Any:
    if not isinstance(kind, _Type):
        raise InfoError("a number of no known type")
    return kind.numbers(raw.encode("latin1") if isinstance(raw, str) else bytes(raw))[0]


def _reconstruct(cls: Any, *_: object) -> Any:
    if cls is not _Rotation:
        raise InfoError(f"an object of {getattr(cls, '__name__', cls)}, where plain values belong")
    return _Rotation()


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding != "latin1":
        raise InfoError(f"bytes in {encoding}, where latin1 belongs")
    return text.encode("latin1")


def _numpy(*modules: str, **names: Any) -> dict[tuple[str, str], Any]:
    return {(f"numpy.{core}.{module}", name): what
            for core in ("core", "_core") for module in modules for name, what in names.items()}  # fmt: skip


#: What a pickle may ask for, and what it gets.
_STAND_INS: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    **_numpy("multiarray", _reconstruct=_new_array, scalar=_scalar),
    **_numpy("numeric", _frombuffer=_from_buffer),
    ("pyquaternion.quaternion", "Quaternion"): _Rotation,
    ("copy_reg", "_reconstructor"): _reconstruct,
    ("copyreg", "_reconstructor"): _reconstruct,
    ("__builtin__", "object"): object,
    ("builtins", "object"): object,
    ("_codecs", "encode"): _encode,
}


class _Plain(pickle.Unpickler):
    """Makes dictionaries, lists, text, numbers and the stand-ins above, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in of a name; everything callable in a pickle passes through here."""
        found = _STAND_INS.get((module, name))
        if found is None:
            raise InfoError(f"the name {module}.{name}, which no info file needs; nothing was run")
        return found

    def persistent_load(self, pid: Any) -> Any:
        """Nothing lies outside of the file."""
        raise InfoError(f"a reference to something outside, {pid!r}")


def _shaped(values: list[Any], shape: tuple[int, ...], fortran: bool) -> Any:
    """Nested lists."""
    if math.prod(shape) != len(values):
        raise InfoError(f"an array of shape {shape} with {len(values)} values")
    if not shape:
        return values[0]
    if len(shape) == 1:
        return values
    if fortran:
        return [_shaped(values[i :: shape[0]], shape[1:], True) for i in range(shape[0])]
    step = len(values) // shape[0]
    return [_shaped(values[i * step : (i + 1) * step], shape[1:], False) for i in range(shape[0])]


def plain(value: Any) -> Any:
    """What JSON can hold of an unpickled value: arrays as nested lists, rotations as [w, x, y, z].

    Raises:
        InfoError: there is something else.
    """
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, _Rotation):
        return plain(value.q)
    if isinstance(value, _Array):
        return value.plain
    if value is None or isinstance(value, (str, bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise InfoError(f"a value of type {type(value).__name__}: {value!r:.60}")


def read_info(path: Path) -> dict[str, Any]:
    """Samples by time stamp.

    Args:
        path: ``info_train.pkl`` or ``info_val.pkl``.

    Returns:
        Plain values: per stamp ``scene_name``, ``context`` (the stamps before and after, -1 = none), and per camera
        ``intrinsics`` (3 x 3), ``extrinsics`` and ``pose`` ({quat: [w, x, y, z], tvec: [x, y, z]}).

    Raises:
        InfoError: it is damaged, asks for code, or holds something else.
    """
    try:
        with path.open("rb") as file:
            content = plain(_Plain(file, encoding="latin1").load())
    except InfoError as error:
        raise InfoError(f"{path}: expected an info file of DDAD, received {error}") from error
    except Exception as error:  # what a damaged pickle raises has no end
        raise InfoError(f"{path}: expected an info pickle, received {type(error).__name__}: {error}") from error
    if not isinstance(content, dict) or not content:
        raise InfoError(f"{path}: expected samples by time stamp, received {type(content).__name__}")
    for stamp, sample in content.items():
        if not isinstance(sample, dict) or not isinstance(sample.get("scene_name"), str):
            raise InfoError(f"{path}: {stamp}: expected a sample with scene_name, received {sample!r:.60}")
    return content


def main(words: list[str] | None = None) -> None:
    """Export the files that the command line names; each appears only when complete."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("pickles", nargs="+", type=Path, help="info_train.pkl, info_val.pkl")
    parser.add_argument("--out", type=Path, help="folder of the JSON files; by default beside each pickle")
    args = parser.parse_args(words)
    for path in args.pickles:
        target = (args.out or path.parent) / f"{path.stem}.json"
        if target.exists():
            sys.exit(f"{target}: expected a file that does not exist, received an existing one")
        try:
            content = read_info(path)
        except InfoError as error:
            sys.exit(str(error))
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        part.write_text(json.dumps(content) + "\n", encoding="utf-8")
        part.replace(target)
        print(f"{target}: {len(content)} samples")


if __name__ == "__main__":
    main()
