# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures from files and messages, fitted to a network's picture size."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from gsocc_core.errors import DataError
from gsocc_core.geometry.cameras import Camera


def decode_image(
    source: str | Path | bytes, *, min_width: int | None = None, min_height: int | None = None, where: str | None = None
) -> np.ndarray:
    """Decode a JPEG or PNG.

    Args:
        source: A file, or the encoded bytes.
        min_width: The picture may be decoded at a reduced scale, as long as it keeps this width, pixels.
        min_height: Likewise the height, pixels. JPEG decodes faster at 1/2, 1/4 or 1/8.
        where: Name of the picture in errors; None = the file name.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        DataError: the file is missing or is not a picture.
    """
    name = where or (str(source) if not isinstance(source, bytes) else "picture")
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            if min_width is not None and min_height is not None:
                image.draft("RGB", (min_width, min_height))
            return np.asarray(image.convert("RGB"))
    except FileNotFoundError as error:
        raise DataError(name, "file", "a picture", "no such file") from error
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(name, "content", "a JPEG or PNG that decodes", error) from error


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


def fit_image(image: np.ndarray, camera: Camera, width: int, height: int) -> tuple[np.ndarray, Camera]:
    """Fit a picture of any size to a network's picture size.

    Args:
        image: (H, W, 3) uint8 RGB, either of the camera's size or a reduced decoding of it.
        camera: Describes the original picture.
        width: Target width, pixels.
        height: Target height, pixels.

    Returns:
        (height, width, 3) uint8 picture and its camera.

    Raises:
        DataError: the picture is not (H, W, 3) uint8, or its shape is not the camera's.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise DataError(camera.name, "image", "(H, W, 3) uint8 RGB", f"{image.shape} {image.dtype}")
    sy, sx = image.shape[0] / camera.height, image.shape[1] / camera.width
    if abs(sx * camera.height - image.shape[0]) > 1.5 or sx > 1 + 1e-9:
        raise DataError(camera.name, "image", f"{(camera.height, camera.width)} or a reduction", image.shape[:2])
    scale, top, left = cover(camera, width, height)
    box = (left / scale * sx, top / scale * sy, (left + width) / scale * sx, (top + height) / scale * sy)
    limited = (max(box[0], 0.0), max(box[1], 0.0), min(box[2], image.shape[1]), min(box[3], image.shape[0]))
    fitted = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR, box=limited, reducing_gap=2.0)
    return np.asarray(fitted), fit_camera(camera, width, height)
