# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Labels of points: nuScenes-lidarseg and -panoptic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gsocc_core import ClassTable
from gsocc_core.data.stored import read_npz, read_records
from gsocc_core.errors import DataError

#: What nuScenes-panoptic multiplies a point's class with before it adds the instance.
_PANOPTIC_STEP = 1000


def read_point_labels(path: Path) -> np.ndarray:
    """Class of each point of a key frame's cloud.

    Args:
        path: A ``.bin`` file of nuScenes-lidarseg (one byte per point), or an ``.npz`` of nuScenes-panoptic.

    Returns:
        (N,) structured array with ``label`` (uint8) and, from panoptic, ``instance`` (uint16, 0 = none).

    Raises:
        DataError: the file is missing or damaged, or holds other numbers.
    """
    if path.suffix != ".npz":
        return read_records(path, np.dtype([("label", "u1")]), "labels of points")
    panoptic = read_npz(path, "labels of points", ("data",))["data"].reshape(-1)
    limit = 256 * _PANOPTIC_STEP
    if panoptic.dtype.kind not in "iu" or not ((panoptic >= 0) & (panoptic < limit)).all():
        received = f"{panoptic.dtype}, up to {panoptic.max() if panoptic.dtype.kind in 'iu' else 'unknown'}"
        raise DataError(path, "data", f"whole numbers 0 ... {limit - 1}: 1000 class + instance", received)
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
