# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""One set of pictures with its prediction as a folder, to look at later or to attach to a report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gsocc_core.errors import OutputExistsError
from gsocc_core.geometry.cameras import Camera
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.voxels import SemanticGrid
from gsocc_core.whole import whole_folder

#: Version of the layout.
LAYOUT = 1
#: The file that makes a folder a snapshot.
ABOUT = "snapshot.json"
_PNG = bytes([0x89, 0x50, 0x4E, 0x47])


@dataclass(frozen=True)
class SnapshotView:
    """A camera of a snapshot.

    Attributes:
        camera: Its calibration.
        picture: Its picture as a JPEG or PNG, byte for byte; None = it gave none.
        stamp_ns: When the picture was taken; None = unknown, or no picture.
    """

    camera: Camera
    picture: bytes | None = None
    stamp_ns: int | None = None


def write_snapshot(
    folder: str | Path,
    grid: SemanticGrid,
    scene: object,
    views: Sequence[SnapshotView],
    *,
    frame_id: str,
    reference_stamp_ns: int,
    bundle_id: str,
    T_world_ego: np.ndarray | None = None,
    latency_ms: Mapping[str, float] | None = None,
) -> Path:
    """Write a snapshot; the folder appears complete or not at all. ``gsocc_core view`` opens it.

    The folder holds ``snapshot.json`` (bundle id, frame, stamps, calibration and poses per camera, latency),
    ``pictures/<camera>.jpg|png``, ``occupancy.npz`` (``labels``, ``confidence`` and ``observed`` (X, Y, Z) and
    ``velocity`` (X, Y, Z, 3) as far as the model gives them, ``lower_m``, ``voxel_size_m``, ``T_ego_grid``, class names
    and colors, ``free_id``) and, where the model predicts Gaussians, ``gaussians.npz`` (means, scales, quats,
    opacities, features, labels, velocities, colors_sh).

    Args:
        folder: Folder to create.
        grid: Predicted labels (X, Y, Z).
        scene: What the model predicted; Gaussians (N) are stored, anything else is left out.
        views: The cameras.
        frame_id: Name of the ego frame.
        reference_stamp_ns: Time that the prediction stands for.
        bundle_id: Id of the model's bundle.
        T_world_ego: (4, 4) pose of the ego frame at that time; None = unknown.
        latency_ms: What took how long.

    Returns:
        The folder.

    Raises:
        OutputExistsError: the folder exists.
    """
    folder = Path(folder)
    if folder.exists():
        raise OutputExistsError(folder, "snapshot", "a folder that does not exist", "an existing one")
    with whole_folder(folder) as scratch:
        fill_snapshot(
            scratch, grid, scene, views, frame_id=frame_id, reference_stamp_ns=reference_stamp_ns, bundle_id=bundle_id,
            T_world_ego=T_world_ego, latency_ms=latency_ms,
        )  # fmt: skip
    return folder


def fill_snapshot(
    folder: Path,
    grid: SemanticGrid,
    scene: object,
    views: Sequence[SnapshotView],
    *,
    frame_id: str,
    reference_stamp_ns: int,
    bundle_id: str,
    T_world_ego: np.ndarray | None = None,
    latency_ms: Mapping[str, float] | None = None,
) -> None:
    """Write a snapshot into a folder that nobody reads yet; see :func:`write_snapshot`."""
    (folder / "pictures").mkdir()
    about = {
        "layout": LAYOUT,
        "bundle": bundle_id,
        "frame_id": frame_id,
        "reference_stamp_ns": reference_stamp_ns,
        "T_world_ego": _numbers(T_world_ego),
        "cameras": [_write_view(folder, view) for view in views],
        "latency_ms": dict(latency_ms or {}),
    }
    (folder / ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    np.savez_compressed(folder / "occupancy.npz", **_grid_arrays(grid))
    if isinstance(scene, Gaussians):
        np.savez_compressed(folder / "gaussians.npz", **_gaussian_arrays(scene, grid))


def _write_view(scratch: Path, view: SnapshotView) -> dict[str, Any]:
    camera, picture = view.camera, None
    if view.picture is not None:
        picture = f"pictures/{camera.name}.{'png' if view.picture[:4] == _PNG else 'jpg'}"
        (scratch / picture).write_bytes(view.picture)
    return {
        "name": camera.name,
        "stamp_ns": view.stamp_ns,
        "picture": picture,
        "width": camera.width,
        "height": camera.height,
        "model": camera.model,
        "intrinsics": _numbers(camera.intrinsics),
        "distortion": None if camera.distortion is None else list(camera.distortion),
        "T_ego_cam": _numbers(camera.T_ego_cam),
        "T_ref_ego": _numbers(camera.T_ref_ego),
    }


def _grid_arrays(grid: SemanticGrid) -> dict[str, Any]:
    classes = grid.classes
    arrays = {
        "labels": grid.labels.cpu().numpy(),
        "names": np.array(classes.names),
        "colors": np.array(classes.colors, np.uint8),
        "free_id": np.array(classes.free_id),
        "lower_m": np.array(grid.grid.lower),
        "voxel_size_m": np.array(grid.grid.size_m),
        "T_ego_grid": grid.grid.T_ego_grid_matrix,
    }
    if grid.confidence is not None:
        arrays["confidence"] = grid.confidence.float().cpu().numpy()
    if grid.velocity is not None:
        arrays["velocity"] = grid.velocity.float().cpu().numpy()
    if grid.observed is not None:
        arrays["observed"] = grid.observed.cpu().numpy()
    return arrays


def _gaussian_arrays(scene: Gaussians, grid: SemanticGrid) -> dict[str, Any]:
    parts = ("means", "scales", "quats", "opacities", "features", "velocities", "colors_sh")
    tensors = {part: getattr(scene, part) for part in parts}
    arrays = {part: value.float().cpu().numpy() for part, value in tensors.items() if value is not None}
    ids = np.asarray(grid.classes.channel_ids, np.uint8)
    return arrays | {"labels": ids[arrays["features"].argmax(-1)]}


def _numbers(matrix: np.ndarray | None) -> list[list[float]] | None:
    return None if matrix is None else np.asarray(matrix, np.float64).tolist()
