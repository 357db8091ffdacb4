# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Depth beside pictures in folders: one file per picture, of the same name."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from gsocc_core.data.depth_maps import ENDINGS
from gsocc_core.errors import DataError
from gsocc_core.rigs.picture_sets import PictureSet
from gsocc_core.rigs.rig_file import CameraRig

_log = logging.getLogger(__name__)


def find_depth_files(
    folder: str | Path, images: str | Path, rig: CameraRig, sets: Sequence[PictureSet]
) -> list[tuple[Path | None, ...]]:
    """Find the depth of pictures in a folder that is laid out like theirs.

    The depth of ``<images>/<camera>/0001.jpg`` is ``<folder>/<camera>/0001.png`` or ``.npy``, that of
    ``<images>/<camera>.jpg`` is ``<folder>/<camera>.png`` or ``.npy``. What is missing becomes None and is told in the
    log.

    Args:
        folder: Where to look; see :func:`gsocc_core.data.depth_maps.read_depth_map` for the files.
        images: Folder of the pictures.
        rig: The cameras.
        sets: Sets that :func:`gsocc_core.rigs.picture_sets.find_picture_sets` found in ``images``.

    Returns:
        One tuple per set, one file per camera in the order of the rig.

    Raises:
        DataError: there is no such folder, it holds the depth of no picture, or two files for one.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(folder, "depth_dir", "a folder", "no such folder")
    found = [tuple(None if file is None else _beside(folder, Path(images), file) for file in one.files) for one in sets]
    if not any(path for one in found for path in one):
        first = next(file for one in sets for file in one.files if file is not None)
        expected = f"{(folder / first.relative_to(images)).with_suffix('.png')}, or .npy, and so on"
        raise DataError(folder, "depth_dir", expected, sorted(path.name for path in folder.iterdir())[:12])
    for index, name in enumerate(rig.names):
        there = [one.files[index] is not None for one in sets]
        without = sum(picture and one[index] is None for picture, one in zip(there, found))
        if without:
            _log.warning("%s: no depth beside %d of %d pictures", name, without, sum(there))
    return found


def _beside(folder: Path, images: Path, picture: Path) -> Path | None:
    place = folder / picture.relative_to(images)
    files = [path for ending in ENDINGS if (path := place.with_suffix(ending)).is_file()]
    if len(files) > 1:
        raise DataError(folder, str(picture.relative_to(images)), "one depth file", [path.name for path in files])
    return files[0] if files else None
