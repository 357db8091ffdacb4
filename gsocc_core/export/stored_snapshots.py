# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Snapshots read back: labels, Gaussians, cameras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from gsocc_core.data.stored import class_ids, read_json, read_npz, reading, real_numbers
from gsocc_core.errors import DataError
from gsocc_core.export.snapshots import ABOUT
from gsocc_core.geometry.cameras import Camera
from gsocc_core.geometry.classes import OCC3D_NUSCENES, ClassTable, wheel_colors
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.voxels import SemanticGrid, VoxelGrid

#: Versions of the layout that are understood.
LAYOUTS = (1,)


def read_about(folder: Path) -> dict[str, Any]:
    """What ``snapshot.json`` says, its layout checked.

    Raises:
        DataError: it is missing, damaged or of another layout.
    """
    path = folder / ABOUT
    with reading(path, "layout, reference_stamp_ns and cameras, as JSON"):
        content = read_json(path, "a snapshot's JSON")
        layout, _, cameras = content["layout"], int(content["reference_stamp_ns"]), content["cameras"]
    if layout not in LAYOUTS or not isinstance(cameras, list):
        raise DataError(path, "layout", f"one of {LAYOUTS} with a list of cameras", layout)
    return content


def read_view(folder: Path, about: dict[str, Any]) -> tuple[Camera, Path | None]:
    """A camera of a snapshot, and the file of its picture; None = it gave none.

    Args:
        folder: The snapshot.
        about: An entry of ``cameras`` of :func:`read_about`.

    Raises:
        DataError: a key is missing or wrong, or the picture lies outside the snapshot.
    """
    with reading(folder / ABOUT, "cameras with calibration, as the node writes them"):
        motion, distortion = about["T_ref_ego"], about["distortion"]
        camera = Camera(
            about["name"],
            np.asarray(about["intrinsics"], np.float64),
            np.asarray(about["T_ego_cam"], np.float64),
            int(about["width"]),
            int(about["height"]),
            about["model"],
            None if distortion is None else tuple(distortion),
            None if motion is None else np.asarray(motion, np.float64),
        )
        picture = about["picture"]
    if picture is None:
        return camera, None
    path = (folder / str(picture)).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise DataError(folder / ABOUT, "picture", "a file inside the snapshot", picture)
    return camera, path


def read_grid(path: str | Path) -> SemanticGrid:
    """Labels from a snapshot's ``occupancy.npz``.

    Args:
        path: The file; without ``colors`` and ``free_id`` the colours of unknown classes are made up.

    Returns:
        Labels (X, Y, Z).

    Raises:
        DataError: it is missing, damaged or lacks an array.
    """
    arrays = load_arrays(path, ("labels", "names", "lower_m", "voxel_size_m", "T_ego_grid"))
    with reading(path, "a labelled voxel grid"):
        classes = _classes(path, arrays)
        labels = torch.from_numpy(class_ids(arrays["labels"], path, "labels", len(classes.names), classes.ignore_id))
        lower, size, T = (real_numbers(arrays[key], path, key) for key in ("lower_m", "voxel_size_m", "T_ego_grid"))
        upper = lower + np.array(labels.shape) * size
        pose = None if np.array_equal(T, np.eye(4)) else tuple(map(tuple, T.tolist()))
        grid = VoxelGrid(tuple(lower.tolist()), tuple(upper.tolist()), tuple(size.tolist()), pose)
        velocity = (
            torch.from_numpy(real_numbers(arrays["velocity"], path, "velocity")).float()
            if "velocity" in arrays
            else None
        )
        observed = torch.from_numpy(arrays["observed"]).bool() if "observed" in arrays else None
        return SemanticGrid(labels, grid, classes, observed=observed, velocity=velocity)


def _classes(path: object, arrays: dict[str, np.ndarray]) -> ClassTable:
    names = tuple(str(name) for name in arrays["names"])
    if names == OCC3D_NUSCENES.names:
        return OCC3D_NUSCENES
    if "free" not in names and "free_id" not in arrays:
        raise DataError(path, "names", "a class named free", names)
    free_id = int(arrays["free_id"]) if "free_id" in arrays else names.index("free")
    colors = tuple((int(r), int(g), int(b)) for r, g, b in arrays["colors"]) if "colors" in arrays else None
    return ClassTable(names, colors or wheel_colors(len(names)), free_id)


def read_gaussians(path: str | Path) -> Gaussians:
    """Gaussians (N) of a snapshot's ``gaussians.npz``.

    Raises:
        DataError: it is missing, damaged or lacks an array.
    """
    arrays = load_arrays(path, ("means", "scales", "quats", "opacities", "features"))
    with reading(path, "Gaussians"):
        numbers = {key: real_numbers(value, path, key) for key, value in arrays.items() if key != "labels"}
        tensors = {key: torch.from_numpy(value).float() for key, value in numbers.items()}
        return Gaussians(
            tensors["means"], tensors["scales"], tensors["quats"], tensors["opacities"], tensors["features"],
            tensors.get("velocities"), tensors.get("colors_sh"),
        )  # fmt: skip


def load_arrays(path: str | Path, needed: tuple[str, ...]) -> dict[str, np.ndarray]:
    """All arrays of a snapshot's file.

    Raises:
        DataError: it is missing, damaged or lacks one of those that are needed.
    """
    arrays = read_npz(path, "a snapshot's arrays")
    if missing := [key for key in needed if key not in arrays]:
        raise DataError(path, missing[0], f"arrays {', '.join(needed)}", sorted(arrays))
    return arrays
