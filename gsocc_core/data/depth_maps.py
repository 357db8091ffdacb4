# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Depth that comes beside a picture: checked, read from files, fitted as the picture is."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from gsocc_core.data.images import fit_nearest
from gsocc_core.data.stored import read_npy, reading
from gsocc_core.errors import DataError, ShapeError
from gsocc_core.geometry.cameras import Camera

#: Endings of files that :func:`read_depth_map` reads.
ENDINGS = (".png", ".npy")
#: No picture's median depth lies beyond, in metres; of one that does, the numbers are millimetres.
LARGEST_MEDIAN_M = 200.0
_LOOKED_AT = 10_000  # values that a median is taken of
_MILLIMETRES = "metres expected, looks like millimetres"


def check_depth(depth_m: np.ndarray, camera: Camera, where: str | None = None) -> np.ndarray:
    """A depth map as the network may have it.

    Args:
        depth_m: (h, w) floating-point metres along the optical axis, at any size with the picture's aspect; 0, NaN and
            infinite = unknown.
        camera: Describes the picture at full size.
        where: Name of the map in errors; None = the camera's name.

    Returns:
        (h, w) float32 metres, 0 = unknown.

    Raises:
        ShapeError: it is not (h, w), or has another aspect than the picture.
        DataError: it holds whole or negative numbers, or millimetres.

    Example:
        >>> camera = Camera("front", np.diag([80.0, 80.0, 1.0]), np.eye(4), 160, 80)
        >>> check_depth(np.array([[2.0, np.nan], [0.0, 3.0]])[:1], camera)
        array([[2., 0.]], dtype=float32)
    """
    name = where or camera.name
    expected = f"(h, w) of the picture's aspect, {camera.height} : {camera.width}"
    if depth_m.ndim != 2 or not depth_m.size or not _same_aspect(depth_m.shape, (camera.height, camera.width)):
        raise ShapeError(name, "depth", expected, depth_m.shape)
    if depth_m.dtype.kind != "f":
        hint = f" ({_MILLIMETRES})" if depth_m.dtype.kind in "iu" else ""
        raise DataError(name, "depth", "floating-point metres", f"values of type {depth_m.dtype}{hint}")
    return checked_metres(depth_m, name)


def checked_metres(depth_m: np.ndarray, where: object) -> np.ndarray:
    """Metres of any shape as float32, 0 = unknown.

    Args:
        depth_m: Floating-point numbers; 0, NaN and infinite = unknown.
        where: Name of what holds them, for errors.

    Raises:
        DataError: a number is negative, or they are millimetres.
    """
    with np.errstate(over="ignore"):
        metres = depth_m.astype(np.float32)
    metres[~np.isfinite(metres)] = 0.0  # what float32 cannot hold is no depth either
    if (least := metres.min(initial=0.0)) < 0:
        raise DataError(where, "depth", "metres of 0 or more, 0 = unknown", f"{least:g}")
    check_not_millimetres(metres[metres > 0], where, "depth")
    return metres


def check_not_millimetres(known: np.ndarray, where: object, key: str) -> None:
    """Raise DataError when the positive finite numbers of a depth map are too large for metres."""
    median = float(np.median(known[:: 1 + known.size // _LOOKED_AT])) if known.size else 0.0
    if median > LARGEST_MEDIAN_M:
        raise DataError(where, key, f"metres, their median up to {LARGEST_MEDIAN_M:g}", f"{median:g} ({_MILLIMETRES})")


def fit_depth(depth_m: np.ndarray, camera: Camera, width: int, height: int, where: str | None = None) -> np.ndarray:
    """Fit a depth map to a network's picture size as its picture is fitted, by the nearest pixel.

    Args:
        depth_m: See :func:`check_depth`, which says what is raised, too.
        camera: Describes the original picture.
        width: Target width, pixels.
        height: Target height, pixels.
        where: Name of the map in errors; None = the camera's name.

    Returns:
        (height, width) float32 metres, 0 = unknown.
    """
    return fit_nearest(check_depth(depth_m, camera, where), camera, width, height)


def read_depth_map(path: str | Path) -> np.ndarray:
    """Depth of one picture from a file.

    Args:
        path: A grey PNG of 16 bits in millimetres, as RGB-D cameras store it, or an ``.npy`` array of floating-point
            metres; 0 = unknown.

    Returns:
        (h, w) metres.

    Raises:
        DataError: the file is missing or damaged, or holds something else.
    """
    return read_npy(path, "metres (h, w)") if Path(path).suffix.lower() == ".npy" else decode_depth_png(path)


def decode_depth_png(source: str | Path | bytes, where: str | None = None) -> np.ndarray:
    """Metres of a grey PNG of 16 bits in millimetres.

    Args:
        source: A file, or the encoded bytes.
        where: Name of the picture in errors; None = the file name.

    Returns:
        (h, w) float32 metres.

    Raises:
        DataError: it is missing, damaged or another kind of picture.
    """
    name, expected = (
        where or (str(source) if not isinstance(source, bytes) else "depth"),
        "a grey PNG of 16 bits, in mm",
    )
    with reading(name, expected), Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as picture:
        if not picture.mode.startswith("I"):  # Pillow's name for 16 bits depends on its version
            raise DataError(name, "content", expected, f"a picture of mode {picture.mode}")
        return metres_of_mm(np.asarray(picture))


def metres_of_mm(millimetres: np.ndarray) -> np.ndarray:
    """Whole millimetres as float32 metres."""
    return millimetres.astype(np.float32) / np.float32(1000)


def _same_aspect(size: tuple[int, ...], full: tuple[int, int]) -> bool:
    """Whether (h, w) is a scaled (H, W), either side rounded up or down."""
    (height, width), (rows, columns) = size, full
    return abs(height - width * rows / columns) < 1 or abs(width - height * columns / rows) < 1
