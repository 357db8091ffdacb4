# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Depth and class labels per picture, in the published ``<folder>/<scene>/<token>.npy``, or in ``.zip`` files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gsocc_core.data.images import cover
from gsocc_core.data.stored import read_json, read_npy
from gsocc_core.data.view_label_files import Kind, ViewLabelFile, read_folder_content
from gsocc_core.errors import DataError
from gsocc_core.geometry.cameras import Camera

#: Camera orders of the published label folders, which carry no ``cameras.json``.
PUBLISHED_ORDERS = {
    "metric_3d_nusc": (
        "CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT",
    ),
    "grounded_sam_nusc": (
        "CAM_FRONT", "CAM_FRONT_LEFT", "CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT", "CAM_FRONT_RIGHT",
    ),
}  # fmt: skip


def camera_order(folder: str | Path) -> tuple[str, ...]:
    """Camera names along axis 0 of the files in a label folder.

    Args:
        folder: The folder; its ``cameras.json`` or ``labels.json`` holds the names, else its name must be that of a
            published folder.

    Returns:
        The names.

    Raises:
        DataError: there is no such folder, or its order is unknown.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(folder, "folder", "a folder with labels per picture", "no such folder")
    listed = folder / "cameras.json"
    if listed.is_file():
        names = read_json(listed, "a JSON list of camera names")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise DataError(listed, "content", "a list of camera names", names)
        return tuple(names)
    if (content := read_folder_content(folder)) is not None:
        return tuple(content["cameras"])
    for name, order in PUBLISHED_ORDERS.items():
        if folder.name.startswith(name.removesuffix("_nusc")):
            return order
    raise DataError(listed, "file", "a list of camera names in the order of axis 0", "no such file")


def sample_view_labels(
    path: str | Path, order: Sequence[str], cameras: Sequence[Camera], width: int, height: int, kind: Kind
) -> np.ndarray:
    """Labels at the pixel centres of fitted pictures, nearest neighbour, without reading the whole file.

    Args:
        path: One label file.
        order: Camera names along axis 0 of an ``.npy`` file; a ``.zip`` file knows its cameras itself.
        cameras: Cameras of the original pictures, in the order wanted.
        width: Width of the fitted pictures, pixels.
        height: Height of the fitted pictures, pixels.
        kind: What the file must hold.

    Returns:
        (V, height, width): metres, or class ids.

    Raises:
        DataError: the file is missing, lacks a camera, has another shape or another kind of labels.
    """
    if Path(path).suffix == ".zip":
        file = ViewLabelFile(path, kind)
        picked = [_nearest(file.codes(camera.name), camera, width, height) for camera in cameras]
        return file.values(np.stack(picked))
    stored = read_npy(path, "labels per picture", mapped=True)
    if not stored.size or stored.ndim != 3 or stored.shape[0] != len(order):
        raise DataError(path, "shape", f"({len(order)}, H, W)", stored.shape)
    if stored.dtype.kind not in ("f" if kind == "depth" else "iu"):
        raise DataError(path, "kind", kind, f"numbers of type {stored.dtype}")
    result = np.empty((len(cameras), height, width), stored.dtype)
    for i, camera in enumerate(cameras):
        if camera.name not in order:
            raise DataError(path, camera.name, f"one of {tuple(order)}", "no labels for this camera")
        result[i] = _nearest(stored[order.index(camera.name)], camera, width, height)
    return result


def _nearest(stored: np.ndarray, camera: Camera, width: int, height: int) -> np.ndarray:
    """(height, width) values of (H, W) labels of a whole picture at the pixel centres of the fitted picture."""
    scale, top, left = cover(camera, width, height)
    rows = (np.arange(height) + 0.5 + top) / scale * stored.shape[0] / camera.height
    columns = (np.arange(width) + 0.5 + left) / scale * stored.shape[1] / camera.width
    return stored[np.ix_(rows.astype(int), columns.astype(int))]
