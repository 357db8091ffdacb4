# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""GaussianOcc's published class labels of pictures: ``<picture>_mask.bin``, raw int8 with ids of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gsocc_core.data.key_frames import CameraShot
from gsocc_core.data.stored import read_records
from gsocc_core.errors import DataError
from gsocc_core.geometry.cameras import Camera
from gsocc_core.geometry.classes import OCC3D_NUSCENES

#: Names of the published folders.
FOLDERS = ("nuscenes_semantic", "ddad_semantic")

#: Id of Occ3D for each of theirs: none, sedan, highway, bus, truck, terrain, tree, sidewalk, bicycle, barrier, person,
#: building (also bridge, pole, billboard, light, bin), motorcycle, crane, trailer, cone, sky.
_OCC3D = (0, 4, 11, 3, 10, 14, 16, 13, 2, 1, 7, 15, 6, 5, 9, 8, OCC3D_NUSCENES.free_id)
#: Theirs for a pixel that no mask covers. Used as an index, as in the original, it would be the last entry: the sky.
_UNLABELLED = -1


def mask_file(folder: Path, shot: CameraShot) -> Path:
    """The file of a picture: the picture's own place below the folder, or that without ``samples``, ``rgb``."""
    name = f"{shot.path.stem}_mask.bin"
    camera, parent = shot.path.parent.name, shot.path.parent.parent.name
    if parent == "rgb":  # DDAD, where a scene has a folder
        return folder / shot.path.parent.parent.parent.name / camera / name
    whole = folder / parent / camera / name
    shorter = folder / camera / name
    return shorter if shorter.is_file() and not whole.is_file() else whole


def read_mask(path: str | Path, camera: Camera) -> np.ndarray:
    """Class ids of one picture.

    Args:
        path: The file.
        camera: Gives the size of the picture.

    Returns:
        (H, W) uint8 ids of Occ3D; 0 = no label, free = sky.

    Raises:
        DataError: the file is missing, has another size than the picture, or an id that is not in the published list.
    """
    raw = read_records(path, np.int8, "one int8 per pixel")
    shape = (camera.height, camera.width)
    if raw.size != camera.height * camera.width:
        raise DataError(path, "size", f"{camera.height * camera.width} bytes, {shape} as the picture", raw.size)
    if raw.min() < _UNLABELLED or raw.max() >= len(_OCC3D):
        wrong = int(raw.min()) if raw.min() < _UNLABELLED else int(raw.max())
        raise DataError(path, "class ids", f"{_UNLABELLED} ... {len(_OCC3D) - 1}", wrong)
    table = np.array([*_OCC3D, 0], np.uint8)  # the last is what _UNLABELLED finds
    return table[raw].reshape(shape)
