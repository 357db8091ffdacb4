# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Snapshots of the ROS 2 node or of ``gsocc_core predict``: one folder, or several in the order of their time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gsocc_core.data.images import decode_image
from gsocc_core.data.stored import class_ids, reading
from gsocc_core.errors import DataError
from gsocc_core.export.scene_words import load_scene_words
from gsocc_core.export.snapshots import ABOUT
from gsocc_core.export.stored_snapshots import load_arrays, read_about, read_gaussians, read_grid, read_view
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.spherical_harmonics import SH_C0
from gsocc_core.geometry.voxels import SemanticGrid
from gsocc_core.viewer.frames import THUMBNAIL_PX, CameraView, LabelledGaussians, Motion, ViewFrame


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
        text_encoder: What embeds words that are asked; None = the encoder that the snapshot names.

    Raises:
        DataError: there is no snapshot, or one cannot be read.
    """

    def __init__(self, folder: str | Path, text_encoder: str | None = None) -> None:
        self._text_encoder = text_encoder
        folders = snapshot_folders(folder)
        if not folders:
            raise DataError(folder, ABOUT, "a snapshot of the node, or a folder with some", "none")
        about = [(path, read_about(path)) for path in folders]
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
        gaussians, motion, ask = None, Motion.of(grid), None
        if (folder / "gaussians.npz").exists():
            scene = read_gaussians(folder / "gaussians.npz")
            gaussians, motion = _labelled(folder / "gaussians.npz", scene, grid), Motion.of(grid, scene)
            words = load_scene_words(folder)
            ask = None if words is None else words.about(scene, grid, self._text_encoder)
        return ViewFrame(
            title=f"{folder.name}, snapshot {index + 1} of {len(self)}, model {about.get('bundle', 'unknown')}",
            stamp_ns=int(about["reference_stamp_ns"]),
            views=tuple(_view(folder, camera) for camera in about["cameras"]),
            prediction=grid,
            gaussians=gaussians,
            motion=motion,
            ask=ask,
        )


def _labelled(path: Path, scene: Gaussians, grid: SemanticGrid) -> LabelledGaussians:
    arrays = load_arrays(path, ())
    with reading(path, "Gaussians"):
        if "labels" in arrays:
            labels = class_ids(arrays["labels"], path, "labels", len(grid.classes.names), grid.classes.ignore_id)
        elif scene.features.shape[-1] == len(grid.classes.names):
            labels = scene.features.argmax(-1).numpy().astype(np.uint8)
        else:  # nobody knows what the channels mean; the voxel around the centre does
            inverse = torch.from_numpy(np.linalg.inv(grid.grid.T_ego_grid_matrix)).float()
            index, _ = grid.grid.index(scene.means @ inverse[:3, :3].T + inverse[:3, 3])
            labels = grid.labels[tuple(index.unbind(-1))].numpy()
        colors = None if scene.colors_sh is None else (0.5 + SH_C0 * scene.colors_sh[:, 0]).clamp(0, 1).numpy()
        return LabelledGaussians(
            scene.means.numpy(), scene.covariances().numpy(), scene.opacities.numpy(), labels, colors
        )


def _view(folder: Path, about: dict[str, Any]) -> CameraView:
    camera, path = read_view(folder, about)
    if path is None:
        return CameraView(camera, None)
    return CameraView(camera, decode_image(path, min_width=THUMBNAIL_PX[0], min_height=THUMBNAIL_PX[1]))
