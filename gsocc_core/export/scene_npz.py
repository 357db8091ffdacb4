# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Gaussians and voxels in one NumPy file that says itself what it holds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gsocc_core.data.stored import class_ids, read_npz, reading, real_numbers
from gsocc_core.errors import DataError, OutputExistsError, ShapeError
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.voxels import SemanticGrid, VoxelGrid
from gsocc_core.whole import whole_file

#: Version of the layout.
LAYOUT = 1
README = """\
gsocc scene, layout 1. Read with numpy.load(file, allow_pickle=False); read_scene of gsocc_core gives Gaussians and a
SemanticGrid. Units are metres, seconds, radians. The ego frame is x forward, y left, z up on the ground
(REP-103 base_link) at reference_stamp_ns. T_a_b maps points of frame b into frame a.

Gaussians (N), absent where the model predicts voxels directly:
  means (N, 3) m, ego frame. scales (N, 3) m, one standard deviation along each own axis.
  quats (N, 4) w x y z, any non-zero length: rotation of the own axes into the ego frame.
  opacities (N) 0..1. features (N, C): logits; channel c stands for class channel_ids[c].
  velocities (N, 3) m/s, ego frame. colors_sh (N, K, 3) spherical harmonics, colour = 0.5 + 0.2820948 * colors_sh[:, 0].

Voxels, index order (x, y, z), C-contiguous; voxel (0, 0, 0) touches lower_m:
  labels (X, Y, Z) uint8: class_names[label]; free_id = free space, ignore_id = no label.
  confidence (X, Y, Z) 0..1. observed (X, Y, Z) bool. voxel_velocity (X, Y, Z, 3) m/s, ego frame.
  lower_m (3), upper_m (3), voxel_size_m (3) in the grid frame; T_ego_grid (4, 4).

Classes: class_names, class_colors (RGB 0..255), free_id, ignore_id, dynamic_ids, channel_ids, and all of it as
classes_json. reference_stamp_ns: int64 nanoseconds.
"""
_GAUSSIANS = ("means", "scales", "quats", "opacities", "features", "velocities", "colors_sh")
_VOXELS = {"confidence": "confidence", "observed": "observed", "velocity": "voxel_velocity"}


@dataclass(frozen=True)
class StoredScene:
    """What a scene file holds.

    Attributes:
        gaussians: (N), or None.
        grid: Labels (X, Y, Z), or None.
        classes: Class table.
        reference_stamp_ns: Time that everything refers to.
    """

    gaussians: Gaussians | None
    grid: SemanticGrid | None
    classes: ClassTable
    reference_stamp_ns: int


def write_scene(
    path: str | Path,
    classes: ClassTable,
    *,
    gaussians: Gaussians | None = None,
    grid: SemanticGrid | None = None,
    reference_stamp_ns: int = 0,
) -> None:
    """Write a scene; the file appears only when complete.

    Args:
        path: File to make, with the ending .npz.
        classes: What labels and feature channels mean.
        gaussians: (N).
        grid: Labels (X, Y, Z) of the same class ids.
        reference_stamp_ns: Time that everything refers to.

    Raises:
        ShapeError: there is nothing to write, or it has batch dimensions.
        OutputExistsError: the file exists.
    """
    path = Path(path)
    if path.exists():
        raise OutputExistsError(path, "out", "a file that does not exist", "an existing one")
    batch = (gaussians.batch_shape if gaussians is not None else ()) or (grid.labels.shape[:-3] if grid else ())
    if batch or (gaussians is None and grid is None):
        raise ShapeError("write_scene", "gaussians, grid", "at least one, without batch dimensions", tuple(batch))
    arrays: dict[str, Any] = {"README": np.array(README), "layout": np.array(LAYOUT)}
    arrays["reference_stamp_ns"] = np.array(reference_stamp_ns, np.int64)
    arrays |= _classes(classes)
    if gaussians is not None:
        parts = {name: getattr(gaussians, name) for name in _GAUSSIANS}
        arrays |= {name: value.detach().cpu().numpy() for name, value in parts.items() if value is not None}
    if grid is not None:
        box = grid.grid
        arrays |= {"labels": grid.labels.cpu().numpy(), "lower_m": box.lower, "upper_m": box.upper}
        arrays |= {"voxel_size_m": box.size_m, "T_ego_grid": box.T_ego_grid_matrix}
        values = {key: getattr(grid, name) for name, key in _VOXELS.items()}
        arrays |= {key: value.detach().cpu().numpy() for key, value in values.items() if value is not None}
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def read_scene(path: str | Path) -> StoredScene:
    """Read what :func:`write_scene` wrote, bit for bit.

    Args:
        path: The file.

    Returns:
        Its content.

    Raises:
        DataError: it is missing, damaged or something else.
    """
    arrays = read_npz(path, "a scene")
    layout = arrays.get("layout")
    if layout is None or layout.tolist() != LAYOUT or "classes_json" not in arrays:
        received = f"layout {layout}" if layout is not None else f"arrays {sorted(arrays)}"
        raise DataError(path, "layout", f"a scene file of layout {LAYOUT}", received)
    with reading(path, "arrays as README describes them"):
        classes = ClassTable(**_tuples(json.loads(str(arrays["classes_json"]))))
        gaussians = grid = None
        if "means" in arrays:
            parts = {k: torch.from_numpy(real_numbers(arrays[k], path, k)) for k in _GAUSSIANS if k in arrays}
            gaussians = Gaussians(**parts)
        if "labels" in arrays:
            T = real_numbers(arrays["T_ego_grid"], path, "T_ego_grid")
            lower, upper, size = (tuple(arrays[k].tolist()) for k in ("lower_m", "upper_m", "voxel_size_m"))
            matrix = None if np.array_equal(T, np.eye(4)) else tuple(map(tuple, T.tolist()))
            box = VoxelGrid(lower, upper, size, matrix)
            values = {name: torch.from_numpy(arrays[key]) for name, key in _VOXELS.items() if key in arrays}
            labels = class_ids(arrays["labels"], path, "labels", len(classes.names), classes.ignore_id)
            grid = SemanticGrid(torch.from_numpy(labels), box, classes, **values)
        return StoredScene(gaussians, grid, classes, int(arrays["reference_stamp_ns"]))


def _classes(classes: ClassTable) -> dict[str, Any]:
    return {
        "classes_json": np.array(json.dumps(classes.to_dict())),
        "class_names": np.array(classes.names),
        "class_colors": np.array(classes.colors, np.uint8),
        "free_id": np.array(classes.free_id),
        "ignore_id": np.array(classes.ignore_id),
        "dynamic_ids": np.array(classes.dynamic_ids, np.int64),
        "channel_ids": np.array(classes.channel_ids, np.int64),
    }


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
