# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Lenses as ROS writes them: names of distortion models, and how many coefficients drivers send with them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gsocc_core.errors import DataError
from gsocc_core.geometry.cameras import CameraModel

#: Names that drivers use, in lower case, and what the models are called here.
LENS_MODELS: dict[str, CameraModel] = {
    "plumb_bob": "pinhole", "rational_polynomial": "pinhole", "none": "pinhole", "": "pinhole",
    "equidistant": "fisheye", "fisheye": "fisheye", "kannala_brandt": "fisheye", "kannala_brandt4": "fisheye",
}  # fmt: skip
#: How many coefficients drivers may send, the zeros behind the last of these numbers left out.
_LENGTHS: dict[CameraModel, tuple[int, ...]] = {"pinhole": (4, 5, 8), "fisheye": (4,)}


def lens_of(
    name: str, coefficients: Sequence[float], where: object, key: str
) -> tuple[CameraModel, tuple[float, ...] | None]:
    """A lens out of a distortion model's name and coefficients of ROS.

    Zeros beyond the last coefficient that a model has say nothing: drivers fill up to 5, 12 or 14 numbers.

    Args:
        name: ``distortion_model``, in capitals or not.
        coefficients: Any number, in OpenCV's order.
        where: Topic or file, for errors.
        key: Key of the coefficients there.

    Returns:
        The model, and its coefficients; None = all are zero.

    Raises:
        DataError: the model is unknown, a coefficient is not finite, or there are others than the model has.

    Example:
        >>> lens_of("KANNALA_BRANDT", [0.1, 0.0, 0.02, 0.0, 0.0], "/front/camera_info", "d")
        ('fisheye', (0.1, 0.0, 0.02, 0.0))
        >>> lens_of("rational_polynomial", [0.1, 0, 0, 0, 0.2, 0, 0, 0.3, 0, 0, 0, 0], "/front/camera_info", "d")
        ('pinhole', (0.1, 0.0, 0.0, 0.0, 0.2, 0.0, 0.0, 0.3))
    """
    model = LENS_MODELS.get(name.lower())
    if model is None:
        raise DataError(where, "distortion_model", f"one of {', '.join(filter(None, LENS_MODELS))}", name)
    numbers = tuple(float(value) for value in coefficients)
    if not np.isfinite(numbers).all():
        raise DataError(where, key, "finite coefficients", numbers)
    if not any(numbers):
        return model, None
    lengths = _LENGTHS[model]
    if not any(numbers[lengths[-1] :]):
        numbers = numbers[: lengths[-1]]
    if len(numbers) not in lengths:
        raise DataError(where, key, f"{', '.join(map(str, lengths))} coefficients for {name}", len(numbers))
    return model, numbers
