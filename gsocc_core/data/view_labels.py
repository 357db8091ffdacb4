# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Depth and class labels per picture, in four layouts of folders.

``<scene>/<token>.npy`` holds all cameras of a key frame, as GaussianFlowOcc's; ``<scene>/<token>.zip`` likewise, as
``gsocc_core label`` writes them; ``<stem>.npy`` holds one picture and is named after it, as GaussTR's;
``<camera>/<stem>_mask.bin`` holds the classes of one, as GaussianOcc's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gsocc_core.data.depth_maps import check_not_millimetres
from gsocc_core.data.images import fit_nearest
from gsocc_core.data.key_frames import CameraShot, KeyFrame
from gsocc_core.data.mask_files import FOLDERS as MASK_FOLDERS
from gsocc_core.data.mask_files import mask_file, read_mask
from gsocc_core.data.stored import read_json, read_npy
from gsocc_core.data.view_label_files import Kind, ViewLabelFile, label_path, read_folder_content
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


#: Names of published folders that hold one ``.npy`` per picture, all cameras together.
PUBLISHED_BY_PICTURE = ("nuscenes_metric3d", "nuscenes_featup", "nuscenes_grounded_sam2")


@dataclass(frozen=True)
class PictureFolder:
    """An open folder of depth, classes or features of pictures.

    Attributes:
        path: The folder.
        order: Camera names along axis 0 of the ``.npy`` file of a key frame; None = one file per picture.
        masks: That file is ``_mask.bin``.
    """

    path: Path
    order: tuple[str, ...] | None
    masks: bool = False

    def file(self, frame: KeyFrame, shot: CameraShot) -> Path:
        """Where the labels of one picture are."""
        if self.masks:
            return mask_file(self.path, shot)
        if self.order is None:
            return self.path / f"{shot.path.stem}.npy"
        return label_path(self.path, frame.scene_name, frame.token)

    def labels(self, frame: KeyFrame, width: int, height: int, kind: Kind) -> np.ndarray:
        """Depth or classes of a key frame's pictures, fitted as the pictures are; nearest neighbour.

        Args:
            frame: The key frame.
            width: Width of the fitted pictures, pixels.
            height: Height of the fitted pictures, pixels.
            kind: depth or classes.

        Returns:
            (V, height, width): metres, or class ids.

        Raises:
            DataError: a file is missing, lacks a camera, has another shape or aspect, holds another kind of labels, or
                depth that looks like millimetres.
        """
        cameras = [shot.camera for shot in frame.shots]
        if self.order is not None:
            return sample_view_labels(
                label_path(self.path, frame.scene_name, frame.token), self.order, cameras, width, height, kind
            )
        if self.masks:
            if kind != "classes":
                raise DataError(self.path, "kind", kind, "classes, in _mask.bin files")
            return np.stack([
                fit_nearest(read_mask(self.file(frame, shot), shot.camera), shot.camera, width, height)
                for shot in frame.shots
            ])  # fmt: skip
        return np.stack([
            _of_picture(self.file(frame, shot), shot.camera, width, height, kind) for shot in frame.shots
        ])  # fmt: skip


def open_picture_folder(folder: str | Path, first: Sequence[CameraShot]) -> PictureFolder:
    """Find out how a folder of labels per picture is laid out.

    A folder without ``cameras.json`` and ``labels.json`` that holds ``<stem>.npy`` of the first picture, or has the
    name of a published one, has one file per picture, and so has one with ``_mask.bin`` of it; :func:`camera_order`
    tells of the others.

    Args:
        folder: The folder.
        first: Pictures of the first key frame.

    Returns:
        The open folder.

    Raises:
        DataError: there is no such folder, or its layout is unknown.
    """
    folder = Path(folder)
    stems = {shot.path.stem for shot in first}
    listed = (folder / "cameras.json").is_file() or (folder / "labels.json").is_file()
    masks = folder.name.startswith(MASK_FOLDERS) or (bool(first) and mask_file(folder, first[0]).is_file())
    if not listed and masks:
        if not folder.is_dir():
            raise DataError(folder, "folder", "a folder with labels per picture", "no such folder")
        return PictureFolder(folder, None, masks=True)
    # Where the cameras' folders tell pictures of one name apart, a stem does not say whose it is.
    if not listed and first and len(stems) == len(first):
        named = any(folder.name.startswith(name) for name in PUBLISHED_BY_PICTURE)
        if named or (folder / f"{first[0].path.stem}.npy").is_file():
            if not folder.is_dir():
                raise DataError(folder, "folder", "a folder with labels per picture", "no such folder")
            return PictureFolder(folder, None)
    return PictureFolder(folder, camera_order(folder))


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
    expected = "a list of camera names in the order of axis 0, or a folder with one .npy per picture, named after it"
    raise DataError(listed, "file", expected, "no such file")


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
        DataError: the file is missing, lacks a camera, has another shape, aspect or kind of labels, or depth that looks
            like millimetres.
    """
    if Path(path).suffix == ".zip":
        file = ViewLabelFile(path, kind)
        picked = [fit_nearest(file.codes(camera.name), camera, width, height) for camera in cameras]
        return file.values(np.stack(picked))
    stored = read_npy(path, "labels per picture", mapped=True)
    if not stored.size or stored.ndim != 3 or stored.shape[0] != len(order):
        raise DataError(path, "shape", f"({len(order)}, H, W)", stored.shape)
    result = np.empty((len(cameras), height, width), stored.dtype)
    for i, camera in enumerate(cameras):
        if camera.name not in order:
            raise DataError(path, camera.name, f"one of {tuple(order)}", "no labels for this camera")
        result[i] = _checked(path, stored[order.index(camera.name)], camera, width, height, kind)
    return result


def _of_picture(path: Path, camera: Camera, width: int, height: int, kind: Kind) -> np.ndarray:
    """(height, width) labels from the file of one picture."""
    stored = read_npy(path, f"{kind} of one picture", mapped=True)
    if not stored.size or stored.ndim != 2:
        raise DataError(path, "shape", f"(H, W), {(camera.height, camera.width)} as the picture", stored.shape)
    return _checked(path, stored, camera, width, height, kind)


def _checked(path: object, stored: np.ndarray, camera: Camera, width: int, height: int, kind: Kind) -> np.ndarray:
    """:func:`~gsocc_core.data.images.fit_nearest` of an array that says nothing about itself."""
    if stored.dtype.kind not in ("f" if kind == "depth" else "iu"):
        raise DataError(path, "kind", kind, f"numbers of type {stored.dtype}")
    rows, columns = stored.shape
    # Reduced sizes are rounded: each side may be off by one pixel.
    if abs(rows * camera.width - columns * camera.height) > max(camera.width, camera.height):
        expected = f"{(camera.height, camera.width)} as the picture, or a smaller size of the same aspect"
        raise DataError(path, f"size of {camera.name}", expected, (rows, columns))
    labels = fit_nearest(stored, camera, width, height)
    if kind == "depth":
        some = labels[::4, ::4]
        known = some[(some > 0) & np.isfinite(some)]
        check_not_millimetres(known, path, f"depth of {camera.name}")
    return labels
