# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Labels of one key frame's pictures in one small file: a zip of PNG pictures, one per camera, named by it.

Class ids are palette pictures. Depth is stored as the nearest step of a geometric scale in 16-bit pictures, so its
relative error is bounded everywhere. ``labels.json`` inside the file tells the kind and the scale.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from gsocc_core.data.stored import read_json, reading
from gsocc_core.errors import DataError, ShapeError
from gsocc_core.geometry.classes import OCC3D_NUSCENES, ClassTable
from gsocc_core.whole import whole_file

Kind = Literal["depth", "classes", "features"]
#: Depth is clipped to this range, metres; 0 = no label.
DEPTH_RANGE_M = (0.1, 300.0)
#: Largest relative error of stored depth, unless asked otherwise.
MAX_ERROR = 0.0025
_CONTENT = "labels.json"


def label_path(folder: str | Path, scene_name: str, token: str) -> Path:
    """Label file of a key frame: ``<token>.zip`` if there is one, else ``<token>.npy``."""
    small = Path(folder) / scene_name / f"{token}.zip"
    return small if small.is_file() else small.with_suffix(".npy")


def encode_depth(labels_m: Mapping[str, np.ndarray], max_error: float = MAX_ERROR) -> bytes:
    """Encode depth pictures.

    Args:
        labels_m: (H, W) metres along the optical axis per camera name; 0, negative and not finite = no label. Sizes may
            differ.
        max_error: Largest relative error that storing may add.

    Returns:
        The content of a file.

    Raises:
        ShapeError: a picture is not (H, W), or the error is outside 0.0001 ... 0.1.

    Example:
        >>> stored = encode_depth({"CAM_FRONT": np.array([[0.0, 8.0, 1000.0]])}, max_error=0.01)
        >>> decode(stored, "depth", "example")["CAM_FRONT"].round(2)
        array([[  0.  ,   7.97, 298.12]], dtype=float32)
    """
    if not 1e-4 <= max_error <= 0.1:
        raise ShapeError("encode_depth", "max_error", "0.0001 ... 0.1", max_error)
    low, high = DEPTH_RANGE_M
    step = 2 * math.log1p(max_error)
    steps = round(math.log(high / low) / step)
    pictures = {}
    for name, metres in _checked(labels_m).items():
        known = (metres > 0) & np.isfinite(metres)
        ratio = np.log(np.where(known, metres, low).astype(np.float32).clip(low, high) / np.float32(low))
        code = np.rint(ratio * np.float32(1 / step)).clip(0, steps).astype(np.uint16) + np.uint16(1)
        pictures[name] = Image.fromarray(np.where(known, code, np.uint16(0)))
    return _packed(pictures, {"kind": "depth", "min_m": low, "log_step": step})


def encode_classes(labels: Mapping[str, np.ndarray], classes: ClassTable = OCC3D_NUSCENES) -> bytes:
    """Encode class pictures without loss.

    Args:
        labels: (H, W) ids 0 ... 255 per camera name; 0 = none. Sizes may differ.
        classes: Table of the ids, for the colours of the pictures.

    Returns:
        The content of a file.

    Raises:
        ShapeError: a picture is not (H, W).

    Example:
        >>> decode(encode_classes({"CAM_BACK": np.array([[0, 4, 11]])}), "classes", "example")["CAM_BACK"]
        array([[ 0,  4, 11]], dtype=uint8)
    """
    palette = classes.palette()
    palette[0] = 0  # none, not "others"
    pictures = {}
    for name, ids in _checked(labels).items():
        pictures[name] = Image.fromarray(np.ascontiguousarray(ids, np.uint8))
        pictures[name].putpalette(palette.tobytes())
    return _packed(pictures, {"kind": "classes"})


def _checked(labels: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    for name, array in labels.items():
        if array.ndim != 2 or not array.size:
            raise ShapeError("view labels", name, "(H, W)", array.shape)
    return dict(labels)


def _packed(pictures: Mapping[str, Image.Image], content: Mapping[str, Any]) -> bytes:
    members = {}
    for name, picture in pictures.items():
        encoded = io.BytesIO()
        # Runs suit labels: as small as a search for repetitions, and two to five times faster to write.
        picture.save(encoded, "PNG", compress_type=zlib.Z_RLE)
        members[f"{name}.png"] = encoded.getvalue()
    return pack(members, content)


def pack(members: Mapping[str, bytes], content: Mapping[str, Any]) -> bytes:
    """A file of labels from its parts; equal parts give equal bytes.

    Args:
        members: Content by name, stored as it is.
        content: What ``labels.json`` in it says; ``kind`` must be among it.

    Returns:
        The content of the file.
    """
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as file:
        # A ZipInfo of its own has a fixed date.
        for name, stored in {_CONTENT: json.dumps(content).encode(), **members}.items():
            file.writestr(zipfile.ZipInfo(name), stored)
    return stream.getvalue()


def unpack(source: str | Path | bytes, kind: Kind, where: object) -> tuple[zipfile.ZipFile, dict[str, Any]]:
    """Open what :func:`pack` made.

    Args:
        source: A file, or its content.
        kind: What it must hold.
        where: Its name in errors.

    Returns:
        Its members, and what its ``labels.json`` says.

    Raises:
        DataError: the file is missing, is damaged or holds another kind of labels.
    """
    with reading(where, "labels per picture, a zip of one file per camera"):
        stored = source if isinstance(source, bytes) else Path(source).read_bytes()
        file = zipfile.ZipFile(io.BytesIO(stored))
        content = json.loads(file.read(_CONTENT))
        found = content["kind"]
    if found != kind:
        raise DataError(where, "kind", kind, found)
    return file, content


class ViewLabelFile:
    """An open file of labels; cameras are decoded when asked for.

    Args:
        source: A file, or its content.
        kind: What it must hold.
        where: Its name in errors; None = the path.

    Raises:
        DataError: the file is missing, is damaged or holds another kind of labels.
    """

    def __init__(self, source: str | Path | bytes, kind: Kind, where: object = None) -> None:
        self.where = where if where is not None else "view labels" if isinstance(source, bytes) else source
        self._file, content = unpack(source, kind, self.where)
        with reading(self.where, "the scale of its depth"):
            self._table = _metres(content) if kind == "depth" else None

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of the cameras inside."""
        return tuple(name[:-4] for name in self._file.namelist() if name.endswith(".png"))

    def codes(self, camera: str) -> np.ndarray:
        """(H, W) stored numbers of a camera; :meth:`values` tells what they mean.

        Raises:
            DataError: there is no such camera, or its picture is damaged.
        """
        if camera not in self.cameras:
            raise DataError(self.where, camera, f"one of {self.cameras}", "no labels for this camera")
        with (
            reading(f"{self.where}: {camera}", "a PNG that decodes"),
            Image.open(io.BytesIO(self._file.read(f"{camera}.png"))) as picture,
        ):
            codes = np.asarray(picture)
        limit = 255 if self._table is None else 65535
        if codes.ndim != 2 or codes.dtype.kind not in "iu" or codes.min() < 0 or codes.max() > limit:
            received = f"{codes.shape} {codes.dtype}, up to {codes.max()}"
            raise DataError(self.where, camera, f"(H, W) whole numbers 0 ... {limit}", received)
        return codes

    def values(self, codes: np.ndarray) -> np.ndarray:
        """Metres (float32) or class ids (uint8) of stored numbers."""
        return codes.astype(np.uint8) if self._table is None else self._table[codes]


def _metres(content: Mapping[str, Any]) -> np.ndarray:
    """Metres of every 16-bit number."""
    exponents = np.arange(-1, 2**16 - 1) * float(content["log_step"])
    table = (float(content["min_m"]) * np.exp(np.minimum(exponents, 50.0))).astype(np.float32)
    table[0] = 0.0
    return table


def decode(source: str | Path | bytes, kind: Kind, where: object = None) -> dict[str, np.ndarray]:
    """All labels of a file; see :class:`ViewLabelFile` for arguments and errors.

    Returns:
        (H, W) per camera name: float32 metres, 0 = none, or uint8 class ids, 0 = none.
    """
    file = ViewLabelFile(source, kind, where)
    return {name: file.values(file.codes(name)) for name in file.cameras}


def read_folder_content(folder: str | Path) -> dict[str, Any] | None:
    """``labels.json`` beside the scenes of a label folder, which says how it was made; None = there is none.

    Raises:
        DataError: it is unreadable.
    """
    path = Path(folder) / _CONTENT
    if not path.exists():
        return None
    content = read_json(path, "JSON that gsocc_core label wrote")
    if not isinstance(content, dict) or not _are_names(content.get("cameras")):
        raise DataError(path, "cameras", "a list of camera names", content)
    return content


def write_folder_content(folder: str | Path, content: Mapping[str, Any]) -> None:
    """Write ``labels.json``, complete or not at all; several processes may do so at once."""
    with whole_file(Path(folder) / _CONTENT) as part:
        part.write_text(json.dumps(dict(content), indent=1) + "\n", encoding="utf-8")


def _are_names(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | dict) and all(isinstance(v, str) for v in value)
