# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Photographs of a folder: upright, with the focal length that their camera wrote into them."""

from __future__ import annotations

import hashlib
import math
import re
import struct
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from gsocc_core.data.images import FORMATS, decode_image, read_header
from gsocc_core.data.stored import reading
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.geometry.cameras import Camera

ENDINGS = (".jpg", ".jpeg", ".png")
#: Diagonal of a 36 mm x 24 mm picture: what "35 mm equivalent" refers to (CIPA DC-X010).
_DIAGONAL_35_MM = math.hypot(36.0, 24.0)
#: Diagonal fields of view that a stated focal length can mean, degrees.
_FIELDS_DEG = (3.0, 160.0)
#: EXIF's units of a sensor's resolution, mm.
_UNITS_MM = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture and what is known of its camera.

    Attributes:
        name: Of the file, without ending.
        picture: (H, W, 3) uint8 RGB, upright.
        intrinsics: (3, 3) pixels of ``picture``; None = unknown.
        T_world_cam: (4, 4) metres, any world; None = unknown.
        path: The file; None = not from a file.
    """

    name: str
    picture: np.ndarray
    intrinsics: np.ndarray | None = None
    T_world_cam: np.ndarray | None = None
    path: Path | None = None


@dataclass(frozen=True, eq=False)
class PhotoFolder:
    """What a folder holds.

    Attributes:
        photos: At least one, in the order of their names, numbers in them counting as numbers.
        notes: What was left out or is unknown, a line each.
    """

    photos: tuple[Photo, ...]
    notes: tuple[str, ...]


def read_photos(
    folder: str | Path, most: int = 16, progress: Callable[[Iterable[Path]], Iterable[Path]] = iter
) -> PhotoFolder:
    """Read the pictures of a folder.

    Orientation and focal length of EXIF are used: ``FocalLengthIn35mmFilm``, by the diagonal, else the focal length
    with the sensor's resolution. Principal points are taken to be in the middle. What EXIF does not tell, or tells in a
    way that cannot be read, is unknown.

    Args:
        folder: Where ``.jpg``, ``.jpeg`` and ``.png`` lie; other files are passed over.
        most: Of more pictures, so many evenly spread ones are read.
        progress: Wraps the files that are read, for a progress bar.

    Returns:
        Pictures, each once, and notes.

    Raises:
        DataError: there is no such folder, no picture in it, or one cannot be read.
        ConfigError: ``most`` is below 1.
    """
    folder = Path(folder)
    if most < 1:
        raise ConfigError("reconstruct", "max_views", "1 or more", most)
    if not folder.is_dir():
        raise DataError(folder, "photos", "a folder with pictures", "no such folder")
    files = sorted((p for p in folder.iterdir() if p.suffix.lower() in ENDINGS and p.is_file()), key=_natural)
    if not files:
        raise DataError(folder, "photos", f"pictures ({', '.join(ENDINGS)})", "none")
    notes = []
    stems = [path.stem for path in files]
    if len(set(stems)) < len(stems):
        twice = next(stem for stem in stems if stems.count(stem) > 1)
        raise DataError(folder, "photos", "one picture of each name", [p.name for p in files if p.stem == twice])
    if len(files) > most:
        notes.append(f"{len(files)} pictures, of which {most} are used, evenly spread (--max_views {most})")
        files = [files[i] for i in np.linspace(0, len(files) - 1, most).round().astype(int)]
    photos: dict[str, Photo] = {}
    again: list[str] = []
    mute: list[str] = []
    broken: list[str] = []
    for path in progress(files):
        picture = decode_image(path)
        digest = hashlib.sha256(repr(picture.shape).encode() + picture.tobytes()).hexdigest()
        if digest in photos:
            again.append(f"{path.name} (as {photos[digest].name})")
            continue
        focal, readable = _focal_px(path)
        (mute if readable else broken).extend([] if focal is not None else [path.name])
        photos[digest] = Photo(path.stem, picture, centred(focal, picture), path=path)
    notes += [
        f"{text}: {_some(names)}"
        for text, names in (
            ("the same picture again, used once", again),
            ("EXIF cannot be read, so the focal length is estimated", broken),
            ("no focal length in EXIF, so it is estimated", mute),
        )
        if names
    ]
    found = tuple(photos.values())
    sizes = sorted({photo.picture.shape[1::-1] for photo in found})
    if len(sizes) > 1:
        shown = ", ".join(f"{w} x {h}" for w, h in sizes[:4]) + (", ..." if len(sizes) > 4 else "")
        notes.append(f"pictures of {len(sizes)} sizes ({shown}): each is fitted to the network's size by itself")
    return PhotoFolder(found, tuple(notes))


def centred(focal_px: float | None, picture: np.ndarray) -> np.ndarray | None:
    """(3, 3) intrinsics of square pixels with the principal point in the middle; None = unknown."""
    if focal_px is None:
        return None
    height, width = picture.shape[:2]
    return np.array([[focal_px, 0, width / 2], [0, focal_px, height / 2], [0, 0, 1]])


def fit_centred(picture: np.ndarray, width: int, height: int) -> tuple[np.ndarray, float]:
    """Scale a picture until it covers a size, and cut off what is too much, equally on opposite sides.

    Unlike :func:`gsocc_core.data.images.fit_image`, which prefers the ground, the middle of the picture stays the
    middle: where the focal length is unknown, so is nothing else.

    Args:
        picture: (H, W, 3) uint8.
        width: Target width, pixels.
        height: Target height, pixels.

    Returns:
        (height, width, 3) uint8 and the scale.
    """
    h, w = picture.shape[:2]
    scale = max(width / w, height / h)
    left, top = (w - width / scale) / 2, (h - height / scale) / 2
    box = (max(left, 0.0), max(top, 0.0), min(left + width / scale, w), min(top + height / scale, h))
    fitted = Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR, box=box, reducing_gap=2.0)
    return np.asarray(fitted), scale


def fit_intrinsics(intrinsics: np.ndarray, size: tuple[int, int], fitted: tuple[int, int]) -> np.ndarray:
    """Intrinsics of a picture fitted by :func:`fit_centred`.

    Args:
        intrinsics: (3, 3) of the whole picture.
        size: (height, width) of the whole picture.
        fitted: (height, width) of the fitted one.

    Returns:
        (3, 3).
    """
    (h, w), (height, width) = size, fitted
    scale = max(width / w, height / h)
    camera = Camera("photo", intrinsics, np.eye(4), w, h)
    top, left = (scale * h - height) / 2, (scale * w - width) / 2
    return camera.resized(width, height, crop_top_px=top, crop_left_px=left, scale=scale).intrinsics


def unfit_intrinsics(intrinsics: np.ndarray, size: tuple[int, int], fitted: tuple[int, int]) -> np.ndarray:
    """The inverse of :func:`fit_intrinsics`."""
    (h, w), (height, width) = size, fitted
    scale = max(width / w, height / h)
    whole = np.array(intrinsics, np.float64)
    whole[0, 2] += (scale * w - width) / 2
    whole[1, 2] += (scale * h - height) / 2
    whole[:2] /= scale
    return whole


def _natural(path: Path) -> tuple[object, ...]:
    """IMG_2 comes before IMG_10."""
    parts = re.split(r"(\d+)", path.name)
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in parts)


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _focal_px(path: Path) -> tuple[float | None, bool]:
    """Focal length in pixels of the upright picture, None = unknown, and whether EXIF can be read."""
    header = read_header(path)
    exif = Image.Exif()
    with reading(path, FORMATS), Image.open(path) as image:
        stored = image.info.get("exif")
    if stored is None:
        return None, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Pillow passes over numbers that are cut short with a warning
            exif.load(stored)
            tags = dict(exif.get_ifd(ExifTags.IFD.Exif))
        focal = _focal_of(tags, math.hypot(header.width, header.height))
    except (SyntaxError, ValueError, TypeError, KeyError, ZeroDivisionError, OSError, struct.error, UserWarning):
        return None, False
    if focal is None:
        return None, True
    field = 2 * math.degrees(math.atan(math.hypot(header.width, header.height) / (2 * focal)))
    return (focal, True) if _FIELDS_DEG[0] <= field <= _FIELDS_DEG[1] else (None, False)


def _focal_of(tags: dict[int, object], diagonal_px: float) -> float | None:
    """Focal length in pixels of EXIF's numbers; None = they tell none."""
    equivalent = _positive(tags.get(ExifTags.Base.FocalLengthIn35mmFilm))
    if equivalent is not None:
        return equivalent / _DIAGONAL_35_MM * diagonal_px
    focal_mm = _positive(tags.get(ExifTags.Base.FocalLength))
    resolution = _positive(tags.get(ExifTags.Base.FocalPlaneXResolution))
    unit = tags.get(ExifTags.Base.FocalPlaneResolutionUnit, 2)
    if focal_mm is None or resolution is None or unit not in _UNITS_MM:
        return None
    stored_px = _positive(tags.get(ExifTags.Base.ExifImageWidth)), _positive(tags.get(ExifTags.Base.ExifImageHeight))
    whole = diagonal_px if None in stored_px else math.hypot(*(value or 0.0 for value in stored_px))
    # Programs that reduce pictures keep the sensor's resolution of the original and its size.
    return focal_mm * resolution / _UNITS_MM[int(str(unit))] * diagonal_px / whole


def _positive(value: object) -> float | None:
    if value is None:
        return None
    number = float(str(value)) if not hasattr(value, "numerator") else float(value)  # type: ignore[arg-type]
    return number if math.isfinite(number) and number > 0 else None
