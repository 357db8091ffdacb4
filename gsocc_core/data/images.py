# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures from files and messages, fitted to a network's picture size."""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image

from gsocc_core.data.stored import reading
from gsocc_core.errors import DataError
from gsocc_core.geometry.cameras import Camera

#: What makes a stored picture upright, by EXIF orientation; 1 is upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip

#: What pictures may be.
FORMATS = "a JPEG, PNG, BMP, TIFF or WebP"


class ImageHeader(NamedTuple):
    """What is known of a picture before its pixels are decoded.

    Attributes:
        width: Of the upright picture, pixels.
        height: Of the upright picture, pixels.
        orientation: EXIF's number, 1 = stored upright; from 5 on the sides are stored the other way round.
    """

    width: int
    height: int
    orientation: int


def read_header(source: str | Path | bytes, where: str | None = None) -> ImageHeader:
    """Read the size and orientation of a picture.

    Args:
        source: A file, or the encoded bytes.
        where: Name of the picture in errors; None = the file name.

    Raises:
        DataError: the file is missing or is not a picture.
    """
    name = where or (str(source) if not isinstance(source, bytes) else "picture")
    with (
        reading(name, FORMATS),
        Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image,
    ):
        orientation = _orientation(image)
        width, height = image.size if orientation < 5 else image.size[::-1]
    return ImageHeader(width, height, orientation)


def decode_image(
    source: str | Path | bytes, *, min_width: int | None = None, min_height: int | None = None, where: str | None = None
) -> np.ndarray:
    """Decode a picture, upright: its EXIF orientation is applied, as viewers and OpenCV's ``imread`` do.

    Args:
        source: A file, or the encoded bytes.
        min_width: The picture may be decoded at a reduced scale, as long as it keeps this width, pixels.
        min_height: Likewise the height, pixels. A JPEG that needs no turning decodes faster at 1/2, 1/4 or 1/8.
        where: Name of the picture in errors; None = the file name.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        DataError: the file is missing, is not a picture, is cut short or has more than 8 bits per channel.

    Example:
        >>> stream = io.BytesIO()
        >>> Image.new("RGB", (160, 90)).save(stream, "JPEG")
        >>> decode_image(stream.getvalue()).shape
        (90, 160, 3)
        >>> decode_image(stream.getvalue(), min_width=30, min_height=20).shape
        (23, 40, 3)
    """
    name = where or (str(source) if not isinstance(source, bytes) else "picture")
    with (
        reading(name, FORMATS),
        Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image,
    ):
        # A reduced picture hangs over its last row and column, which turning would make the first.
        if min_width is not None and min_height is not None and _UPRIGHT.get(_orientation(image)) is None:
            image.draft("RGB", (min_width, min_height))
        return upright_rgb(image, name)


def upright_rgb(image: Image.Image, where: str) -> np.ndarray:
    """One of Pillow's pictures as an array, turned as its EXIF orientation says.

    Args:
        image: Of 8 bits per channel.
        where: Its name in errors.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        DataError: it has more bits per channel.
    """
    if image.mode.startswith(("I", "F")):  # Pillow would clip them to white
        raise DataError(where, "content", "8 bits per channel", f"mode {image.mode}")
    turn = _UPRIGHT.get(_orientation(image))
    picture = image.convert("RGB")
    return np.asarray(picture if turn is None else picture.transpose(turn))


def decoding_scale(size: tuple[int, ...], full_size: tuple[int, int], where: str) -> float:
    """Scale at which a picture was decoded.

    A JPEG decoder rounds a reduced size up, so the last row and column may hang over the picture's edge; the scale
    itself is exact. Whoever asks where a pixel of a decoded picture belongs asks here.

    Args:
        size: (height, width) of the decoded picture, pixels.
        full_size: (height, width) of the picture that was encoded, pixels.
        where: Name of the picture in errors.

    Returns:
        1, 1/2, 1/4 or 1/8.

    Raises:
        DataError: ``size`` is none of the sizes that a decoder gives.

    Example:
        >>> decoding_scale((113, 200), (900, 1600), "front")
        0.125
    """
    height, width = full_size
    for divisor in (1, 2, 4, 8):
        if tuple(size) == (-(-height // divisor), -(-width // divisor)):
            return 1 / divisor
    raise DataError(where, "image", f"{(height, width)}, or 1/2, 1/4 or 1/8 of it", tuple(size))


def _orientation(image: Image.Image) -> int:
    """EXIF's number for how a picture is stored; 1, upright, where it says nothing that can be read."""
    if "exif" not in image.info:
        return 1
    exif = Image.Exif()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, about parts that are cut short
            exif.load(image.info["exif"])
            found = exif.get(ExifTags.Base.Orientation, 1)
    except (SyntaxError, ValueError, TypeError, KeyError, struct.error):
        return 1
    return int(found) if found in _UPRIGHT else 1


def cover(camera: Camera, width: int, height: int) -> tuple[float, float, float]:
    """Scale and crop that fit a camera's picture to (width, height).

    The picture is scaled uniformly until it covers the target; what is too much is cut off at the top (sky) and equally
    on both sides.

    Args:
        camera: Gives the size of the original picture.
        width: Target width, pixels.
        height: Target height, pixels.

    Returns:
        scale, rows cut off at the top and columns cut off at the left, in pixels after scaling.
    """
    scale = max(width / camera.width, height / camera.height)
    return scale, scale * camera.height - height, (scale * camera.width - width) / 2


def fit_camera(camera: Camera, width: int, height: int) -> Camera:
    """The camera of the fitted picture; see :func:`cover`."""
    scale, top, left = cover(camera, width, height)
    return camera.resized(width, height, crop_top_px=top, crop_left_px=left, scale=scale)


def fit_image(
    image: np.ndarray, camera: Camera, width: int, height: int, where: str | None = None
) -> tuple[np.ndarray, Camera]:
    """Fit a picture of any size to a network's picture size; see :func:`cover` for what is cut off.

    Args:
        image: (H, W, 3) uint8 RGB, either of the camera's size or a reduced decoding of it.
        camera: Describes the original picture.
        width: Target width, pixels.
        height: Target height, pixels.
        where: Name of the picture in errors; None = the camera's name.

    Returns:
        (height, width, 3) uint8 picture and its camera.

    Raises:
        DataError: the picture is not (H, W, 3) uint8, or its shape is not the camera's.

    Example:
        >>> camera = Camera("front", np.diag([800.0, 800.0, 1.0]), np.eye(4), 1600, 900)
        >>> small, fitted = fit_image(np.zeros((900, 1600, 3), np.uint8), camera, 704, 256)
        >>> small.shape, float(fitted.intrinsics[0, 0]), float(fitted.intrinsics[1, 2])  # 140 rows are cut off above
        ((256, 704, 3), 352.0, -140.0)
    """
    name = where or camera.name
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise DataError(name, "image", "(H, W, 3) uint8 RGB", f"{image.shape} {image.dtype}")
    stored_scale = decoding_scale(image.shape[:2], (camera.height, camera.width), name)
    scale, top, left = cover(camera, width, height)
    to_stored = stored_scale / scale
    box = (left * to_stored, top * to_stored, (left + width) * to_stored, (top + height) * to_stored)
    limited = (max(box[0], 0.0), max(box[1], 0.0), min(box[2], image.shape[1]), min(box[3], image.shape[0]))
    fitted = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR, box=limited, reducing_gap=2.0)
    return np.asarray(fitted), fit_camera(camera, width, height)


def fit_nearest(stored: np.ndarray, camera: Camera, width: int, height: int) -> np.ndarray:
    """Fit values per pixel as :func:`fit_image` fits the picture, by the nearest pixel, so that no edge is smeared.

    Args:
        stored: (H, W) values of the whole picture, at any size.
        camera: Describes the original picture.
        width: Target width, pixels.
        height: Target height, pixels.

    Returns:
        (height, width) values, of the same type.

    Example:
        >>> camera = Camera("front", np.diag([8.0, 8.0, 1.0]), np.eye(4), 16, 8)
        >>> fit_nearest(np.array([[1, 2, 3, 4], [5, 6, 7, 8]]), camera, 2, 1)  # one row of four, every second pixel
        array([[6, 8]])
    """
    scale, top, left = cover(camera, width, height)
    rows = (np.arange(height) + 0.5 + top) / scale * stored.shape[0] / camera.height
    columns = (np.arange(width) + 0.5 + left) / scale * stored.shape[1] / camera.width
    return stored[np.ix_(rows.astype(int), columns.astype(int))]
