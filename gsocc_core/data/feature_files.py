# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Features of pictures from foundation models: their files, and how they are fitted to a network's pictures.

A map (D, h, w) covers the whole picture, whatever its size: its cell (row i, column j) stands for the picture's share
[i / h, (i + 1) / h) x [j / w, (j + 1) / w). ``<scene>/<token>.zip`` holds one ``<camera>.npy`` of 16-bit numbers per
camera, beside ``labels.json``; a folder of ``<stem>.npy`` is read likewise, see :mod:`gsocc_core.data.view_labels`.
Where there is only one camera, ``<scene>/<token>.npy`` may hold its map itself.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from gsocc_core.data.images import cover
from gsocc_core.data.key_frames import KeyFrame
from gsocc_core.data.stored import read_npy, reading
from gsocc_core.data.view_label_files import pack, read_folder_content, unpack
from gsocc_core.data.view_labels import PictureFolder, open_picture_folder
from gsocc_core.errors import DataError, ShapeError
from gsocc_core.geometry.cameras import Camera

BASIS_FILE = "basis.safetensors"
_LARGEST = float(np.finfo(np.float16).max)


def encode_features(maps: Mapping[str, np.ndarray]) -> bytes:
    """Encode features of a key frame's pictures in 16 bits.

    Args:
        maps: (D, h, w) finite numbers per camera name; what 16 bits cannot hold is clipped. A vector of zeros = no
            label.

    Returns:
        The content of a file.

    Raises:
        ShapeError: a map is not (D, h, w), or holds a value that is no number.

    Example:
        >>> stored = encode_features({"CAM_FRONT": np.ones((2, 1, 3))})
        >>> decode_features(stored, "example")["CAM_FRONT"].shape
        (2, 1, 3)
    """
    members = {}
    for name, array in maps.items():
        if array.ndim != 3 or not array.size:
            raise ShapeError("features", name, "(D, h, w)", array.shape)
        if not _are_finite(array):
            raise ShapeError("features", name, "finite numbers", "nan or infinity")
        stream = io.BytesIO()
        np.save(stream, np.clip(array, -_LARGEST, _LARGEST).astype(np.float16))
        members[f"{name}.npy"] = stream.getvalue()
    return pack(members, {"kind": "features"})


def decode_features(
    source: str | Path | bytes, where: object = None, cameras: tuple[str, ...] | None = None
) -> dict[str, np.ndarray]:
    """Features of a key frame's pictures.

    Args:
        source: A file, or its content.
        where: Its name in errors; None = the path.
        cameras: Which; None = all.

    Returns:
        (D, h, w) float16 per camera name.

    Raises:
        DataError: the file is missing, is damaged, holds another kind of labels or lacks a camera.
    """
    place = where if where is not None else "features" if isinstance(source, bytes) else source
    file, _ = unpack(source, "features", place)
    there = tuple(name[:-4] for name in file.namelist() if name.endswith(".npy"))
    result = {}
    for name in there if cameras is None else cameras:
        if name not in there:
            raise DataError(place, name, f"one of {there}", "no features for this camera")
        with reading(f"{place}: {name}", "features that decode"):
            content = file.read(f"{name}.npy")
        result[name] = read_npy(f"{place}: {name}", "features", content=content)
    return result


def read_basis(folder: str | Path) -> torch.Tensor | None:
    """The basis (D, K) that reduced a folder's features from D to K numbers; None = they are as they came.

    Raises:
        DataError: the file is damaged or holds something else.
    """
    from safetensors.torch import load_file

    path = Path(folder) / BASIS_FILE
    if not path.exists():
        return None
    with reading(path, "a matrix named basis in a safetensors file"):
        basis = load_file(path)["basis"]
        if basis.ndim != 2 or not basis.is_floating_point() or not bool(basis.isfinite().all()):
            raise DataError(path, "basis", "(D, K) finite numbers", f"{tuple(basis.shape)} {basis.dtype}")
    return basis.float()


def write_basis(folder: str | Path, basis: torch.Tensor) -> torch.Tensor:
    """Store a folder's basis, unless another process was first.

    Args:
        folder: The folder, which exists.
        basis: (D, K).

    Returns:
        The stored one, which every process must use.

    Raises:
        DataError: it cannot be written.
    """
    from safetensors.torch import save

    path = Path(folder) / BASIS_FILE
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    content = save({"basis": basis.float().cpu().contiguous()})
    try:
        part.write_bytes(content)
        # Neither, unlike a renamed file, ever replaces what is there.
        with contextlib.suppress(FileExistsError):
            try:
                os.link(part, path)
            except FileExistsError:
                raise
            except OSError:  # a file system without hard links
                _create(path, content)
    except OSError as error:
        raise DataError(path, "write", "a file that can be written", error) from error
    finally:
        part.unlink(missing_ok=True)
    stored = read_basis(folder)
    assert stored is not None
    return stored


def _create(path: Path, content: bytes) -> None:
    """Write a new file, or none; FileExistsError = it is there."""
    with path.open("xb", buffering=0) as file:
        try:
            if file.write(content) != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            path.unlink(missing_ok=True)
            raise


def fit_features(features: np.ndarray, camera: Camera, width: int, height: int) -> np.ndarray:
    """Crop features as :func:`gsocc_core.data.images.fit_image` crops their picture.

    What is left has as many cells per share of the picture as before, at least one each way, and is read between cells
    linearly, at the edge the nearest. Nothing is done where nothing is cut off: the size of a map never depends on the
    picture's size, only on its aspect.

    Args:
        features: (D, h, w) of the whole picture.
        camera: Gives the size of the original picture.
        width: Width of the fitted picture, pixels.
        height: Height of the fitted picture, pixels.

    Returns:
        (D, h', w') float32.

    Example:
        >>> camera = Camera("front", np.diag([800.0, 800.0, 1.0]), np.eye(4), 1600, 900)
        >>> fit_features(np.zeros((4, 27, 48), np.float16), camera, 704, 256).shape  # 35 % are cut off above
        (4, 17, 48)
    """
    scale, top, left = cover(camera, width, height)
    result = features.astype(np.float32)
    # Half a pixel is what rounding a picture's size to whole pixels may cost.
    if top > 0.5:
        result = _between(result, 1, top / (scale * camera.height), height / (scale * camera.height))
    if left > 0.5:
        result = _between(result, 2, left / (scale * camera.width), width / (scale * camera.width))
    return result


def _between(features: np.ndarray, axis: int, start: float, share: float) -> np.ndarray:
    """The part [start, start + share) of an axis that covers [0, 1)."""
    size = features.shape[axis]
    count = max(round(size * share), 1)
    place = ((np.arange(count) + 0.5) / count * share + start) * size - 0.5
    place = place.clip(0, size - 1)
    below = np.minimum(place.astype(int), max(size - 2, 0))
    part = (place - below).astype(np.float32).reshape([-1 if i == axis else 1 for i in range(3)])
    above = np.minimum(below + 1, size - 1)
    return features.take(below, axis) * (1 - part) + features.take(above, axis) * part


@dataclass(frozen=True, eq=False)
class FeatureFolder:
    """An open folder of features.

    Attributes:
        folder: Its layout.
        channels: D of every map in it.
        basis: (D', D) float32 that reduced its features to D numbers; None = they are as they came.
        source: What made them, as its ``labels.json`` has it: the text encoder of a stand-in, else the model; None =
            unknown.
    """

    folder: PictureFolder
    channels: int
    basis: torch.Tensor | None = None
    source: str | None = None

    def read(self, frame: KeyFrame, width: int, height: int) -> np.ndarray:
        """Features of a key frame's pictures, fitted as the pictures are.

        Args:
            frame: The key frame.
            width: Width of the fitted pictures, pixels.
            height: Height of the fitted pictures, pixels.

        Returns:
            (V, D, h, w) float32.

        Raises:
            DataError: a file is missing or damaged, lacks a camera, has another number of channels or another size than
                its neighbours, or holds values that are no numbers.
        """
        maps: list[np.ndarray] = []
        for shot, stored in zip(frame.shots, _maps(self.folder, frame)):
            path = self.folder.file(frame, shot)
            if stored.shape[0] != self.channels:
                expected = f"{self.channels} channels as in the other pictures"
                raise DataError(path, f"features of {shot.camera.name}", expected, stored.shape[0])
            if not _are_finite(stored):
                raise DataError(path, f"features of {shot.camera.name}", "finite numbers", "nan or infinity")
            maps.append(fit_features(stored, shot.camera, width, height))
            if maps[-1].shape != maps[0].shape:
                expected = f"{maps[0].shape[1:]} after fitting, as of {frame.shots[0].camera.name}"
                raise DataError(path, f"size of {shot.camera.name}", expected, maps[-1].shape[1:])
        return np.stack(maps)


def open_features(folder: str | Path, first: KeyFrame) -> FeatureFolder:
    """Open a folder of features.

    Args:
        folder: The folder.
        first: A key frame whose first picture tells the number of channels.

    Returns:
        The open folder.

    Raises:
        DataError: there is no such folder, its layout is unknown, the first file is missing or holds something else, or
            its basis is damaged.
    """
    layout = open_picture_folder(folder, first.shots)
    channels = _maps(layout, replace(first, shots=first.shots[:1]))[0].shape[0]
    content = read_folder_content(folder) or {}
    source = content.get("encoder") or content.get("model")
    return FeatureFolder(layout, channels, read_basis(folder), None if source is None else str(source))


def _maps(folder: PictureFolder, frame: KeyFrame) -> list[np.ndarray]:
    """(D, h, w) per picture, as stored."""
    if folder.order is not None:
        names = tuple(shot.camera.name for shot in frame.shots)
        path = folder.file(frame, frame.shots[0])
        if len(folder.order) == 1 and path.suffix == ".npy" and path.is_file():
            maps = [read_npy(path, "features of one picture", mapped=True)]
        else:
            maps = list(decode_features(path.with_suffix(".zip"), cameras=names).values())
    else:
        maps = [read_npy(folder.file(frame, s), "features of one picture", mapped=True) for s in frame.shots]
    for shot, array in zip(frame.shots, maps):
        if array.ndim != 3 or not array.size or array.dtype.kind != "f":
            received = f"{array.shape} {array.dtype}"
            raise DataError(folder.file(frame, shot), shot.camera.name, "features, (D, h, w) float", received)
    return maps


def _are_finite(array: np.ndarray) -> bool:
    # A sum is finite only if all its parts are, and needs no second array.
    return bool(np.isfinite(array.sum(dtype=np.float64)))
