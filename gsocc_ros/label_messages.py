# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Labels beside Occ3D's: nuScenes-lidarseg and -panoptic for points, SurroundOcc for voxels."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from gsocc_core import OCC3D_NUSCENES, ClassTable, VoxelGrid
from gsocc_core.errors import DataError

#: SurroundOcc's classes: 0 = free, then Occ3D's without "others".
SURROUNDOCC_NUSCENES = ClassTable(
    names=("free", *OCC3D_NUSCENES.names[1:17]),
    colors=(OCC3D_NUSCENES.colors[17], *OCC3D_NUSCENES.colors[1:17]),
    free_id=0,
    dynamic_ids=tuple(i for i in OCC3D_NUSCENES.dynamic_ids if 1 <= i <= 16),
)
#: SurroundOcc's voxels, in LIDAR_TOP's frame.
SURROUNDOCC_GRID = VoxelGrid((-50.0, -50.0, -5.0), (50.0, 50.0, 3.0), 0.5)
#: Class of SurroundOcc's files that stands for noise.
_NOISE = 0
#: What nuScenes-panoptic multiplies a point's class with before it adds the instance.
_PANOPTIC_STEP = 1000


def read_surroundocc(path: Path) -> np.ndarray:
    """Read a SurroundOcc label file: a sparse (N, 4) array of x, y, z index and class.

    Args:
        path: A ``.npy`` file.

    Returns:
        (200, 200, 16) uint8 labels of :data:`SURROUNDOCC_NUSCENES` on :data:`SURROUNDOCC_GRID`: voxels that the file
        does not list are free, those of its class 0 (noise) are ignored.

    Raises:
        DataError: the file is damaged, or an index or class is out of range.
    """
    try:
        cells = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(path, "content", "a .npy file", error) from error
    if cells.ndim != 2 or cells.shape[1] != 4 or not np.issubdtype(cells.dtype, np.number):
        raise DataError(path, "shape", "(N, 4): x, y, z index and class", (cells.shape, str(cells.dtype)))
    upper = (*SURROUNDOCC_GRID.shape, len(SURROUNDOCC_NUSCENES.names))
    if ((cells < 0) | (cells >= upper) | (cells != np.floor(cells))).any():
        raise DataError(path, "values", f"whole numbers below {upper}", (cells.min(0).tolist(), cells.max(0).tolist()))
    index = cells.astype(np.int64)
    labels = np.full(SURROUNDOCC_GRID.shape, SURROUNDOCC_NUSCENES.free_id, np.uint8)
    kinds = np.where(index[:, 3] == _NOISE, SURROUNDOCC_NUSCENES.ignore_id, index[:, 3])
    labels[index[:, 0], index[:, 1], index[:, 2]] = kinds
    return labels


def read_point_labels(path: Path) -> np.ndarray:
    """Class of each point of a key frame's cloud.

    Args:
        path: A ``.bin`` file of nuScenes-lidarseg (one byte per point), or an ``.npz`` of nuScenes-panoptic.

    Returns:
        (N,) structured array with ``label`` (uint8) and, from panoptic, ``instance`` (uint16, 0 = none).

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        if path.suffix != ".npz":
            return np.fromfile(path, np.uint8).view([("label", "u1")])
        with np.load(path, allow_pickle=False) as content:
            panoptic = np.asarray(content["data"]).reshape(-1)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(path, "content", "labels of points", error) from error
    labels = np.zeros(len(panoptic), [("label", "u1"), ("instance", "<u2")])
    labels["label"], labels["instance"] = panoptic // _PANOPTIC_STEP, panoptic % _PANOPTIC_STEP
    return labels


def with_labels(points: np.ndarray, labels: np.ndarray, path: Path) -> np.ndarray:
    """A cloud with its points' labels as further fields.

    Args:
        points: (N,) structured array of 20 bytes each with the last two free, as of a LiDAR.
        labels: (N,) structured array of :func:`read_point_labels`.
        path: Where the labels are from, for the error.

    Raises:
        DataError: there are more or fewer labels than points.
    """
    if len(points) != len(labels):
        raise DataError(path, "length", f"{len(points)} labels, one per point", len(labels))
    fields = points.dtype.fields or {}
    layout: Any = {
        "names": [*fields, "label"], "formats": [*(kind for kind, *_ in fields.values()), "u1"],
        "offsets": [*(offset for _, offset, *_ in fields.values()), 18], "itemsize": 20,
    }  # fmt: skip
    if "instance" in (labels.dtype.names or ()):
        for key, value in (("names", "instance"), ("formats", "<u2"), ("offsets", 20)):
            layout[key].append(value)
        layout["itemsize"] = 24
    labelled = np.zeros(len(points), np.dtype(layout))
    for source in (points, labels):
        for name in source.dtype.names or ():
            labelled[name] = source[name]
    return labelled


def lidarseg_classes(nusc: Any) -> ClassTable | None:
    """nuScenes-lidarseg's class table as the data set holds it; None = the data set has no labels of points.

    Label 0 (noise) takes the place of free space, which points do not have.
    """
    if not (getattr(nusc, "lidarseg", None) or getattr(nusc, "panoptic", None)):
        return None
    by_index = sorted((int(category["index"]), category["name"]) for category in nusc.category)
    names = tuple(name for _, name in by_index)
    return ClassTable(
        names=names,
        colors=tuple(tuple(int(v) for v in nusc.colormap[name]) for name in names),  # type: ignore[misc]
        free_id=0,
        dynamic_ids=tuple(i for i, name in by_index if name.startswith(("animal", "human", "vehicle"))),
    )
