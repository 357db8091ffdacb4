# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Voxel labels of SSCBench-KITTI360 (Li et al., IROS 2024): classes, grid and files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gsocc_core.data.stored import class_ids, read_npy, read_records
from gsocc_core.errors import DataError, ShapeError
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.whole import whole_file

#: SSCBench-KITTI360's classes: 0 = free.
SSCBENCH_KITTI360 = ClassTable(
    names=(
        "free", "car", "bicycle", "motorcycle", "truck", "other_vehicle", "person", "road", "parking", "sidewalk",
        "other_ground", "building", "fence", "vegetation", "terrain", "pole", "traffic_sign", "other_structure",
        "other_object",
    ),
    colors=(
        (255, 255, 255), (0, 150, 245), (255, 192, 203), (200, 140, 0), (160, 32, 240), (135, 60, 0), (255, 30, 30),
        (170, 170, 180), (200, 160, 200), (120, 70, 120), (110, 110, 120), (225, 215, 190), (255, 120, 50),
        (0, 140, 30), (150, 220, 80), (255, 240, 150), (255, 220, 0), (190, 130, 90), (0, 220, 220),
    ),
    free_id=0,
    dynamic_ids=(1, 2, 3, 4, 5, 6),
)  # fmt: skip
#: Its voxels, in front of the car in the Velodyne's frame (x ahead, y left, z up, about 1.73 m above the road).
SSCBENCH_GRID = VoxelGrid((0.0, -25.6, -2.0), (51.2, 25.6, 4.4), 0.2)
#: Class of the ids in raw ``.label`` files; ids without a class (outlier, riders, trunk) have no label.
_CLASS_OF_RAW = {
    0: 0, 10: 1, 11: 2, 13: 5, 15: 3, 16: 5, 18: 4, 20: 5, 30: 6, 40: 7, 44: 8, 48: 9, 49: 10, 50: 11, 51: 12, 52: 17,
    60: 7, 70: 13, 72: 14, 80: 15, 81: 16, 99: 18, 252: 1, 254: 6, 256: 5, 257: 5, 258: 4, 259: 5,
}  # fmt: skip


def read_sscbench(path: str | Path) -> np.ndarray:
    """Read one label file.

    Args:
        path: ``<frame>_1_1.npy`` with class ids, or a raw ``<frame>.label`` (uint16 ids) with ``<frame>.invalid``
            (one bit per voxel) beside it.

    Returns:
        (256, 256, 32) uint8 labels of :data:`SSCBENCH_KITTI360` on :data:`SSCBENCH_GRID`; 255 = no label.

    Raises:
        DataError: a file is missing or damaged, or holds other shapes or classes.
    """
    path = Path(path)
    return _read_raw(path) if path.suffix == ".label" else _read_npy(path)


def _read_npy(path: Path) -> np.ndarray:
    labels = read_npy(path, "labels of SSCBench-KITTI360")
    if labels.shape != SSCBENCH_GRID.shape:
        raise DataError(path, "shape", f"{SSCBENCH_GRID.shape} numbers", (labels.shape, str(labels.dtype)))
    return class_ids(labels, path, "class ids", len(SSCBENCH_KITTI360.names), SSCBENCH_KITTI360.ignore_id)


def _read_raw(path: Path) -> np.ndarray:
    count = int(np.prod(SSCBENCH_GRID.shape))
    raw = _read_numbers(path, np.dtype("<u2"), count)
    invalid = np.unpackbits(_read_numbers(path.with_suffix(".invalid"), np.dtype("u1"), count // 8))
    table = np.full(2**16, SSCBENCH_KITTI360.ignore_id, np.uint8)
    table[list(_CLASS_OF_RAW)] = list(_CLASS_OF_RAW.values())
    labels = table[raw]
    labels[invalid == 1] = SSCBENCH_KITTI360.ignore_id
    return labels.reshape(SSCBENCH_GRID.shape)


def _read_numbers(path: Path, dtype: np.dtype, count: int) -> np.ndarray:
    numbers = read_records(path, dtype, f"voxels of SSCBench-KITTI360, {count * dtype.itemsize} bytes")
    if numbers.size != count:
        raise DataError(path, "size", f"{count * dtype.itemsize} bytes", numbers.nbytes)
    return numbers


def write_sscbench(folder: str | Path, frame: str, labels: np.ndarray) -> None:
    """Write ``<frame>_1_1.npy`` as SSCBench does; the file appears complete or not at all.

    Args:
        folder: ``preprocess/labels/<drive>``; made if it is not there.
        frame: Name of the frame, for instance 000005.
        labels: (256, 256, 32) uint8.

    Raises:
        ShapeError: the labels have another shape.
    """
    if labels.shape != SSCBENCH_GRID.shape:
        raise ShapeError("write_sscbench", "labels", SSCBENCH_GRID.shape, labels.shape)
    with whole_file(Path(folder) / f"{frame}_1_1.npy") as part:
        np.save(part, labels.astype(np.uint8))
