# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""RayIoU (Liu et al. 2024, "Fully sparse 3D occupancy prediction", section 3.4) on the CPU.

Rays of a simulated LiDAR leave several positions of the drive. A ray is right when its first occupied voxel has the
true class and lies within 1, 2 or 4 m of the true distance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gsocc_core.errors import ShapeError
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.metrics.confusion import LEFT_OUT_OF_15
from gsocc_core.metrics.ray_kernels import march
from gsocc_core.splat.threads import PARALLEL_KERNELS

THRESHOLDS_M = (1.0, 2.0, 4.0)
MAX_ORIGIN_OFFSET_M = 39.0
MAX_ORIGINS = 8


def lidar_directions() -> np.ndarray:
    """(14040, 3) float64 unit directions: 360 azimuths x 39 elevations.

    Elevations are -(90 deg - atan(k + 1)) for k = 0 ... 9, so rays of a LiDAR 1 m up meet flat ground at 1 ... 10 m;
    they go on in equal steps of the last difference until 0.21 rad.
    """
    pitches = [-(math.pi / 2 - math.atan(k + 1)) for k in range(10)]
    step = pitches[-1] - pitches[-2]
    while pitches[-1] < 0.21:
        pitches.append(pitches[-1] + step)
    pitch, azimuth = np.meshgrid(pitches, np.radians(np.arange(360)), indexing="ij")
    directions = np.stack([np.cos(pitch) * np.cos(azimuth), np.cos(pitch) * np.sin(azimuth), np.sin(pitch)], -1)
    return directions.reshape(-1, 3)


def ray_origins(lidar_positions_ego: np.ndarray) -> np.ndarray:
    """Origins of one frame's rays.

    Args:
        lidar_positions_ego: (K, 3) LiDAR positions of all key frames of the scene in the present ego frame, metres.

    Returns:
        (O, 3) those within 39 m along x and y; 8 evenly spaced ones if there are more.
    """
    near = (np.abs(lidar_positions_ego[:, :2]) < MAX_ORIGIN_OFFSET_M).all(-1)
    kept = lidar_positions_ego[near]
    if len(kept) > MAX_ORIGINS:
        kept = kept[np.linspace(0, len(kept) - 1, MAX_ORIGINS).round().astype(int)]
    return kept


def first_hits(labels: np.ndarray, grid: VoxelGrid, free_id: int, origins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """March all LiDAR directions from all origins through a labelled grid.

    Args:
        labels: (X, Y, Z) uint8.
        grid: Cubic voxels.
        free_id: Label of free space.
        origins: (O, 3) metres, grid frame.

    Returns:
        distances (O * 14040,) float64 metres to the far side of the first occupied voxel, and its label (O * 14040,).

    Raises:
        ShapeError: the labels do not lie on the grid, or the voxels are not cubes.
    """
    if labels.shape != grid.shape:
        raise ShapeError("RayIoU", "labels", grid.shape, labels.shape)
    if len(set(grid.size_m)) != 1:
        raise ShapeError("RayIoU", "grid", "cubic voxels", grid.size_m)
    size = grid.size_m[0]
    directions = lidar_directions()
    distances = np.empty(len(origins) * len(directions))
    hits = np.empty(len(distances), np.uint8)
    start = (np.asarray(origins, np.float64) - np.asarray(grid.lower)) / size
    with PARALLEL_KERNELS:
        march(np.ascontiguousarray(labels), free_id, start, directions, distances, hits)
    return distances * size, hits


@dataclass(frozen=True)
class RayScores:
    """RayIoU of everything seen.

    Attributes:
        rayiou: Mean over thresholds of the mean IoU over all semantic classes.
        rayiou_15: The same without ``others`` and ``other_flat``.
        per_threshold: Mean IoU at 1, 2 and 4 m.
        per_class: IoU per class name, mean over thresholds; nan where a class is absent.
    """

    rayiou: float
    rayiou_15: float
    per_threshold: tuple[float, ...]
    per_class: dict[str, float]


class RayIoU:
    """Sums hits over frames.

    Args:
        classes: Class table.
        grid: Grid of the labels.
    """

    def __init__(self, classes: ClassTable, grid: VoxelGrid) -> None:
        self.classes, self.grid = classes, grid
        # Rows: true positives at each threshold, rays whose truth is the class, rays whose prediction is the class.
        self.counts = np.zeros((len(THRESHOLDS_M) + 2, len(classes.names)), np.int64)

    def update(self, truth: np.ndarray, predicted: np.ndarray, origins: np.ndarray) -> None:
        """Add one frame.

        Args:
            truth: (X, Y, Z) uint8.
            predicted: (X, Y, Z) uint8.
            origins: (O, 3) ray origins, metres, grid frame; see :func:`ray_origins`.
        """
        self.counts += self.count(truth, predicted, origins)

    def count(self, truth: np.ndarray, predicted: np.ndarray, origins: np.ndarray) -> np.ndarray:
        """Counts of one frame, without adding them; see :meth:`update`."""
        free = self.classes.free_id
        true_m, true_id = first_hits(truth, self.grid, free, origins)
        found_m, found_id = first_hits(predicted, self.grid, free, origins)
        used = true_id != free
        true_m, true_id, found_m, found_id = true_m[used], true_id[used], found_m[used], found_id[used]
        k = len(self.classes.names)
        rows = [
            np.bincount(true_id[(true_id == found_id) & (np.abs(true_m - found_m) < limit)], minlength=k)
            for limit in THRESHOLDS_M
        ]
        return np.stack([*rows, np.bincount(true_id, minlength=k), np.bincount(found_id, minlength=k)])

    def scores(self) -> RayScores:
        """Scores of everything seen so far."""
        return ray_scores_of(self.counts, self.classes)


def ray_scores_of(counts: np.ndarray, classes: ClassTable) -> RayScores:
    """Scores of summed counts (see :class:`RayIoU`); classes that are absent are left out of the means."""
    semantic = [i for i in range(len(classes.names)) if i != classes.free_id]
    fifteen = [i for i in semantic if classes.names[i] not in LEFT_OUT_OF_15]
    hits = counts[: len(THRESHOLDS_M)].astype(np.float64)
    union = counts[-2] + counts[-1] - hits
    ious = np.where(union > 0, hits / np.maximum(union, 1), np.nan)

    def mean(values: np.ndarray) -> float:
        present = values[~np.isnan(values)]
        return float(present.mean()) if present.size else float("nan")

    per_threshold = tuple(mean(row[semantic]) for row in ious)
    return RayScores(
        rayiou=float(np.mean(per_threshold)),
        rayiou_15=float(np.mean([mean(row[fifteen]) for row in ious])),
        per_threshold=per_threshold,
        per_class={classes.names[i]: mean(ious[:, i]) for i in semantic},
    )
