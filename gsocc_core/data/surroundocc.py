# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""SurroundOcc-nuScenes (Wei et al., ICCV 2023): sparse voxel labels in the frame of the LiDAR, on a nuScenes tree."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from gsocc_core.data.args import DataArgs
from gsocc_core.data.key_frames import KeyFrame
from gsocc_core.data.nuscenes import NuScenesOccupancy
from gsocc_core.data.protocol import Protocol
from gsocc_core.data.stored import read_npy
from gsocc_core.data.voxel_labels import VoxelLabels
from gsocc_core.errors import DataError, ShapeError
from gsocc_core.geometry.boxes import Boxes
from gsocc_core.geometry.classes import OCC3D_NUSCENES, ClassTable
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.whole import whole_file

#: SurroundOcc's classes: 0 = free, then Occ3D's without "others".
SURROUNDOCC_NUSCENES = ClassTable(
    names=("free", *OCC3D_NUSCENES.names[1:17]),
    colors=(OCC3D_NUSCENES.colors[17], *OCC3D_NUSCENES.colors[1:17]),
    free_id=0,
    dynamic_ids=tuple(i for i in OCC3D_NUSCENES.dynamic_ids if 1 <= i <= 16),
)
#: SurroundOcc's voxels, in LIDAR_TOP's frame (x right, y ahead, z up).
SURROUNDOCC_GRID = VoxelGrid((-50.0, -50.0, -5.0), (50.0, 50.0, 3.0), 0.5)
#: Class of SurroundOcc's files that stands for noise.
_NOISE = 0
#: Where nuScenes' LIDAR_TOP stands on the average car: (4, 4) pose in the ego frame. Key frames are told relative to a
#: LiDAR that stands exactly here, so that labels in the LiDAR's frame lie on one fixed grid although every car's
#: calibration differs by some centimetres and tenths of a degree.
T_EGO_LIDAR = np.array([[0.0, 1.0, 0.0, 0.94], [-1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.84], [0.0, 0.0, 0.0, 1.0]])


def surroundocc_grid(T_ego_lidar: np.ndarray = T_EGO_LIDAR) -> VoxelGrid:
    """SurroundOcc's grid, seen from an ego frame.

    Args:
        T_ego_lidar: (4, 4) pose of LIDAR_TOP in that ego frame.

    Returns:
        :data:`SURROUNDOCC_GRID` with ``T_ego_grid``.

    Example:
        >>> grid = surroundocc_grid()
        >>> grid.shape, grid.T_ego_grid[0]
        ((200, 200, 16), (0.0, 1.0, 0.0, 0.94))
    """
    return replace(SURROUNDOCC_GRID, T_ego_grid=tuple(map(tuple, np.asarray(T_ego_lidar, float).tolist())))


def read_surroundocc(path: str | Path) -> np.ndarray:
    """Read a SurroundOcc label file: a sparse (N, 4) array of x, y, z index and class.

    Args:
        path: A ``.npy`` file.

    Returns:
        (200, 200, 16) uint8 labels of :data:`SURROUNDOCC_NUSCENES` on :data:`SURROUNDOCC_GRID`: voxels that the file
        does not list are free, those of its class 0 (noise) are ignored.

    Raises:
        DataError: the file is missing or damaged, or an index or class is out of range.
    """
    cells = read_npy(path, "SurroundOcc labels")
    if cells.ndim != 2 or cells.shape[1] != 4 or cells.dtype.kind not in "iuf":
        raise DataError(path, "shape", "(N, 4): x, y, z index and class", (cells.shape, str(cells.dtype)))
    upper = (*SURROUNDOCC_GRID.shape, len(SURROUNDOCC_NUSCENES.names))
    if not ((cells >= 0) & (cells < upper) & (cells == np.floor(cells))).all():  # NaN compares false
        raise DataError(path, "values", f"whole numbers below {upper}", (cells.min(0).tolist(), cells.max(0).tolist()))
    index = cells.astype(np.int64)
    labels = np.full(SURROUNDOCC_GRID.shape, SURROUNDOCC_NUSCENES.free_id, np.uint8)
    kinds = np.where(index[:, 3] == _NOISE, SURROUNDOCC_NUSCENES.ignore_id, index[:, 3])
    labels[index[:, 0], index[:, 1], index[:, 2]] = kinds
    return labels


def write_surroundocc(path: str | Path, labels: np.ndarray) -> None:
    """Write labels as SurroundOcc does; the file appears complete or not at all.

    Args:
        path: ``.npy`` file to make; its folder is made too.
        labels: (200, 200, 16) uint8 labels of :data:`SURROUNDOCC_NUSCENES`; ignored voxels become class 0 (noise).

    Raises:
        ShapeError: the labels have another shape.
    """
    if labels.shape != SURROUNDOCC_GRID.shape:
        raise ShapeError("write_surroundocc", "labels", SURROUNDOCC_GRID.shape, labels.shape)
    index = np.argwhere(labels != SURROUNDOCC_NUSCENES.free_id)
    kinds = labels[tuple(index.T)].astype(np.int64)
    kinds[kinds == SURROUNDOCC_NUSCENES.ignore_id] = _NOISE
    with whole_file(path) as part, part.open("wb") as file:
        np.save(file, np.column_stack([index, kinds]))


def label_file(folder: str | Path, lidar_path: str | Path) -> Path:
    """SurroundOcc's file of a key frame, named like its point cloud.

    Example:
        >>> label_file("nuscenes_occ", "samples/LIDAR_TOP/n015__LIDAR_TOP__1.pcd.bin").as_posix()
        'nuscenes_occ/samples/n015__LIDAR_TOP__1.pcd.bin.npy'
    """
    return Path(folder) / "samples" / f"{Path(lidar_path).name}.npy"


class SurroundOccNuScenes(NuScenesOccupancy):
    """Key frames of nuScenes with SurroundOcc labels.

    The labels lie in the LiDAR's frame, whose calibration differs from log to log. The ego frame of these key frames
    is therefore the one in which the LiDAR stands at :data:`T_EGO_LIDAR`: REP-103 axes, within centimetres and tenths
    of a degree of the car's own, and the grid is the same for all. Poses of cameras, boxes and the world follow.

    Args:
        args: What to load; ``surroundocc_dir`` names the labels.
        image_size: (height, width) of the network's pictures, pixels.

    Raises:
        ConfigError: nuscenes-devkit is missing, or a number in ``args`` makes no sense.
        DataError: the tree lacks tables, scenes, pictures or label folders.
    """

    protocol = Protocol(
        title="SurroundOcc-nuScenes",
        classes=SURROUNDOCC_NUSCENES,
        grid=surroundocc_grid(),
        mask="none",
        rays=False,
        ground=("driveable_surface", -1.84),
        labels_field="surroundocc_dir",
    )

    @classmethod
    def protocol_for(cls, args: DataArgs) -> Protocol:
        """SurroundOcc's, whatever lies beside the tree's Occ3D labels."""
        del args
        return cls.protocol

    def _read_scenes(self, args: DataArgs) -> list[list[KeyFrame]]:
        return [[at_nominal_lidar(frame) for frame in frames] for frames in super()._read_scenes(args)]

    def _read_voxels(self, folder: Path, frame: KeyFrame) -> VoxelLabels:
        labels = read_surroundocc(label_file(folder, frame.lidar_path))
        return VoxelLabels.without_masks(labels, SURROUNDOCC_NUSCENES.ignore_id)


def at_nominal_lidar(frame: KeyFrame) -> KeyFrame:
    """A key frame in the ego frame in which its LiDAR stands at :data:`T_EGO_LIDAR`; nothing moves in the world."""
    T_lidar_nominal = np.linalg.inv(T_EGO_LIDAR)
    boxes = frame.boxes
    if boxes is not None:
        T_nominal_ego = T_EGO_LIDAR @ np.linalg.inv(frame.T_ego_lidar)
        velocities = boxes.velocities_mps @ T_nominal_ego[:3, :3].T
        boxes = Boxes(T_nominal_ego @ boxes.T_ego_box, boxes.sizes_lwh_m, velocities, boxes.class_ids)
    T_world_ego = None if frame.T_world_lidar is None else frame.T_world_lidar @ T_lidar_nominal
    return replace(frame, T_world_ego=T_world_ego, T_ego_lidar=T_EGO_LIDAR.copy(), boxes=boxes)
