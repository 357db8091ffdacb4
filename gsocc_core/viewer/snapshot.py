# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Snapshots of the ROS 2 node or of ``gsocc_core predict``: one folder, or several in the order of their time."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gsocc_core.data.images import decode_image
from gsocc_core.data.stored import class_ids, read_json, read_npz, reading, real_numbers
from gsocc_core.errors import DataError
from gsocc_core.export.snapshots import ABOUT
from gsocc_core.geometry.cameras import Camera
from gsocc_core.geometry.classes import OCC3D_NUSCENES, ClassTable
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.voxels import SemanticGrid, VoxelGrid
from gsocc_core.viewer.frames import THUMBNAIL_PX, CameraView, LabelledGaussians, Motion, ViewFrame

#: Versions of the layout that are understood.
LAYOUTS = (1,)


def snapshot_folders(folder: str | Path) -> list[Path]:
    """Snapshots in a folder, or the folder itself if it is one; none if there is nothing of the kind."""
    folder = Path(folder)
    if (folder / ABOUT).is_file():
        return [folder]
    return sorted(path.parent for path in folder.glob(f"*/{ABOUT}")) if folder.is_dir() else []


class SnapshotSource:
    """Saved snapshots, in the order of their reference time.

    Args:
        folder: A snapshot, or a folder with snapshots in it.

    Raises:
        DataError: there is no snapshot, or one cannot be read.
    """

    def __init__(self, folder: str | Path) -> None:
        folders = snapshot_folders(folder)
        if not folders:
            raise DataError(folder, ABOUT, "a snapshot of the node, or a folder with some", "none")
        about = [(path, _about(path / ABOUT)) for path in folders]
        self._shots = sorted(about, key=lambda item: int(item[1]["reference_stamp_ns"]))
        self.name = Path(folder).name
        self.classes = read_grid(self._shots[0][0] / "occupancy.npz").classes

    def __len__(self) -> int:
        """Number of snapshots."""
        return len(self._shots)

    def start(self, on_ready: Callable[[int], None] | None = None) -> None:
        """Nothing is computed here."""

    def close(self) -> None:
        """Nothing is open."""

    def frame(self, index: int, wait: bool = True) -> ViewFrame:  # noqa: ARG002 - nothing to wait for
        """One snapshot; see :class:`~gsocc_core.viewer.frames.FrameSource`.

        Raises:
            DataError: a file is missing or damaged.
        """
        folder, about = self._shots[index]
        grid = read_grid(folder / "occupancy.npz")
        gaussians, motion = None, Motion.of(grid)
        if (folder / "gaussians.npz").exists():
            gaussians, motion = _gaussians(folder / "gaussians.npz", grid)
        return ViewFrame(
            title=f"{folder.name}, snapshot {index + 1} of {len(self)}, model {about.get('bundle', 'unknown')}",
            stamp_ns=int(about["reference_stamp_ns"]),
            views=tuple(_view(folder, camera) for camera in about["cameras"]),
            prediction=grid,
            gaussians=gaussians,
            motion=motion,
        )


def read_grid(path: str | Path) -> SemanticGrid:
    """Labels from a snapshot's ``occupancy.npz``.

    Args:
        path: The file; without ``colors`` and ``free_id`` the colours of unknown classes are made up.

    Returns:
        Labels (X, Y, Z).

    Raises:
        DataError: it is missing, damaged or lacks an array.
    """
    arrays = _load(path, ("labels", "names", "lower_m", "voxel_size_m", "T_ego_grid"))
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
        return SemanticGrid(labels, grid, classes, velocity=velocity)


def _classes(path: object, arrays: dict[str, np.ndarray]) -> ClassTable:
    names = tuple(str(name) for name in arrays["names"])
    if names == OCC3D_NUSCENES.names:
        return OCC3D_NUSCENES
    if "free" not in names and "free_id" not in arrays:
        raise DataError(path, "names", "a class named free", names)
    free_id = int(arrays["free_id"]) if "free_id" in arrays else names.index("free")
    if "colors" in arrays:
        colors = [(int(r), int(g), int(b)) for r, g, b in arrays["colors"]]
    else:  # neighbouring ids far apart on the colour wheel
        wheel = (colorsys.hsv_to_rgb(0.618 * i % 1, 0.65, 0.85) for i in range(len(names)))
        colors = [(round(255 * r), round(255 * g), round(255 * b)) for r, g, b in wheel]
    return ClassTable(names, tuple(colors), free_id)


def _gaussians(path: Path, grid: SemanticGrid) -> tuple[LabelledGaussians, Motion | None]:
    arrays = _load(path, ("means", "scales", "quats", "opacities", "features"))
    with reading(path, "Gaussians"):
        numbers = {key: real_numbers(value, path, key) for key, value in arrays.items() if key != "labels"}
        tensors = {key: torch.from_numpy(value).float() for key, value in numbers.items()}
        scene = Gaussians(
            tensors["means"], tensors["scales"], tensors["quats"], tensors["opacities"], tensors["features"],
            tensors.get("velocities"),
        )  # fmt: skip
        if "labels" in arrays:
            labels = class_ids(arrays["labels"], path, "labels", len(grid.classes.names), grid.classes.ignore_id)
        elif scene.features.shape[-1] == len(grid.classes.names):
            labels = scene.features.argmax(-1).numpy().astype(np.uint8)
        else:  # nobody knows what the channels mean; the voxel around the centre does
            inverse = torch.from_numpy(np.linalg.inv(grid.grid.T_ego_grid_matrix)).float()
            index, _ = grid.grid.index(scene.means @ inverse[:3, :3].T + inverse[:3, 3])
            labels = grid.labels[tuple(index.unbind(-1))].numpy()
        labelled = LabelledGaussians(
            scene.means.numpy(), scene.covariances().numpy(), scene.opacities.numpy(), labels
        )  # fmt: skip
        return labelled, Motion.of(grid, scene)


def _view(folder: Path, about: dict[str, Any]) -> CameraView:
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
        return CameraView(camera, None)
    path = (folder / str(picture)).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise DataError(folder / ABOUT, "picture", "a file inside the snapshot", picture)
    return CameraView(camera, decode_image(path, min_width=THUMBNAIL_PX[0], min_height=THUMBNAIL_PX[1]))


def _about(path: Path) -> dict[str, Any]:
    with reading(path, "layout, reference_stamp_ns and cameras, as JSON"):
        content = read_json(path, "a snapshot's JSON")
        layout, _, cameras = content["layout"], int(content["reference_stamp_ns"]), content["cameras"]
    if layout not in LAYOUTS or not isinstance(cameras, list):
        raise DataError(path, "layout", f"one of {LAYOUTS} with a list of cameras", layout)
    return content


def _load(path: str | Path, needed: tuple[str, ...]) -> dict[str, np.ndarray]:
    arrays = read_npz(path, "a snapshot's arrays")
    if missing := [key for key in needed if key not in arrays]:
        raise DataError(path, missing[0], f"arrays {', '.join(needed)}", sorted(arrays))
    return arrays
