# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Self-occlusion masks: pictures that tell where a camera sees the own vehicle."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from gsocc_core.data.images import decode_image, fit_nearest, read_header
from gsocc_core.data.key_frames import CameraShot
from gsocc_core.errors import DataError
from gsocc_core.geometry.cameras import Camera

# A drive's cameras at a few sizes.
_KEPT = 64


def check_vehicle_mask(shot: CameraShot) -> None:
    """Check that a shot's mask is there and has the size of its picture; the pixels are not decoded.

    Raises:
        DataError: the file is missing, no picture or of another size.
    """
    if shot.mask_path is None:
        return
    header = read_header(shot.mask_path)
    if (header.width, header.height) != (shot.camera.width, shot.camera.height):
        expected = f"{(shot.camera.height, shot.camera.width)} as the pictures of {shot.camera.name}"
        raise DataError(shot.mask_path, "size", expected, (header.height, header.width))


def usable_pixels(shot: CameraShot, width: int, height: int) -> np.ndarray:
    """Where a fitted picture shows the world; nearest neighbour.

    Args:
        shot: With its mask, a picture in which 0 = the world, anything else = the own vehicle; without one all is
            usable.
        width: Width of the fitted picture, pixels.
        height: Height of the fitted picture, pixels.

    Returns:
        (height, width) bool, not to be written to.

    Raises:
        DataError: the mask is missing, damaged or of another size than the picture.
    """
    if shot.mask_path is None:
        return np.ones((height, width), bool)
    return _fitted(shot.mask_path, (shot.camera.width, shot.camera.height), (width, height))


@lru_cache(_KEPT)
def _fitted(path: Path, full: tuple[int, int], fitted: tuple[int, int]) -> np.ndarray:
    mask = decode_image(path).any(-1)
    if mask.shape != full[::-1]:
        raise DataError(path, "size", f"{full[::-1]} as the pictures", mask.shape)
    usable = ~fit_nearest(mask, Camera("mask", np.eye(3), np.eye(4), *full), *fitted)
    usable.setflags(write=False)
    return usable
