# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Occupancy over time: a log-odds map that rolls along with the robot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from gsocc_core import SemanticGrid, VoxelGrid
from gsocc_core.errors import ConfigError, ShapeError

#: Log-odds are kept between these, so that a long-seen wall can still go away.
_LIMIT = 4.0


@dataclass(frozen=True)
class FusionArgs:
    """How predictions are fused.

    Attributes:
        hit: Log-odds that an occupied voxel of confidence 1 adds.
        miss: Log-odds that a free voxel of confidence 1 takes away.
        half_life_s: Log-odds and class votes halve in this time without news.
        class_half_life_s: The same for single classes by name, for instance shorter for what moves.
        threshold: Log-odds from which a voxel is published as occupied.
        jump_m: A longer step of the robot between two predictions starts a new map.
    """

    hit: float = 0.9
    miss: float = 0.5
    half_life_s: float = 3.0
    class_half_life_s: Mapping[str, float] = field(
        default_factory=lambda: dict.fromkeys(
            ("bicycle", "bus", "car", "construction_vehicle", "motorcycle", "pedestrian", "trailer", "truck"), 0.5
        )
    )
    threshold: float = 0.5
    jump_m: float = 10.0

    def __post_init__(self) -> None:
        for name in ("hit", "miss", "half_life_s", "threshold", "jump_m"):
            if not getattr(self, name) > 0:
                raise ConfigError("FusionArgs", name, "a positive number", getattr(self, name))
        for name, value in self.class_half_life_s.items():
            if not value > 0:
                raise ConfigError("FusionArgs", f"class_half_life_s.{name}", "a positive number (s)", value)


class FusedMap:
    """A map of voxels around the robot, its axes those of the fixed frame.

    The map has the size of the predictions' grid. It moves by whole voxels, so that what it knows is never blurred;
    predictions are looked up at its voxels' centres (nearest voxel).

    Args:
        args: How to fuse.

    Example:
        >>> grid = VoxelGrid((-2.0, -2.0, -1.0), (2.0, 2.0, 1.0), 1.0)
        >>> labels = torch.full(grid.shape, 17, dtype=torch.uint8)
        >>> labels[3, 2, 0] = 11
        >>> from gsocc_core import OCC3D_NUSCENES
        >>> fused = FusedMap()
        >>> result = fused.update(SemanticGrid(labels, grid, OCC3D_NUSCENES), np.eye(4), 0)
        >>> result.labels.flatten().unique().tolist()
        [11, 17]
    """

    def __init__(self, args: FusionArgs | None = None) -> None:
        self.args = args or FusionArgs()
        self._log_odds: np.ndarray | None = None
        self._votes: np.ndarray | None = None  # (X, Y, Z, classes)
        self._cell: np.ndarray | None = None  # index of voxel (0, 0, 0) in the fixed frame's lattice
        self._stamp_ns = 0

    def reset(self) -> None:
        """Forget everything."""
        self._log_odds = self._votes = self._cell = None

    def update(self, grid: SemanticGrid, T_world_ego: np.ndarray, stamp_ns: int) -> SemanticGrid:
        """Fuse one prediction.

        Args:
            grid: Labels (X, Y, Z) in the ego frame, with or without confidence.
            T_world_ego: (4, 4) pose of the ego frame in the fixed frame at the stamp.
            stamp_ns: Time of the prediction. Time that runs backwards starts a new map.

        Returns:
            The map around the robot: labels, confidence (probability that the voxel is occupied, or free, as labelled),
            observed = anything is known; its grid stands in the ego frame with the axes of the fixed frame.

        Raises:
            ShapeError: the labels have batch dimensions, or the pose is no (4, 4).
        """
        T = np.asarray(T_world_ego, np.float64)
        if T.shape != (4, 4) or tuple(grid.labels.shape) != grid.grid.shape:
            expected = f"(4, 4) and {grid.grid.shape}"
            raise ShapeError("FusedMap.update", "T_world_ego, labels", expected, (T.shape, tuple(grid.labels.shape)))
        size = np.asarray(grid.grid.size_m)
        middle = (np.asarray(grid.grid.lower) + np.asarray(grid.grid.upper)) / 2
        center = (T @ grid.grid.T_ego_grid_matrix @ [*middle, 1.0])[:3]
        cell = np.round(center / size - np.asarray(grid.grid.shape) / 2).astype(np.int64)
        self._roll_to(cell, grid, stamp_ns)
        self._decay(grid, (stamp_ns - self._stamp_ns) * 1e-9)
        self._stamp_ns = stamp_ns
        T_world_grid = T @ grid.grid.T_ego_grid_matrix
        self._add(grid, T_world_grid, cell, size)
        return self._read(grid, T, cell, size)

    def _roll_to(self, cell: np.ndarray, grid: SemanticGrid, stamp_ns: int) -> None:
        known = self._log_odds is not None and self._log_odds.shape == grid.grid.shape
        if known and self._cell is not None:
            step = cell - self._cell
            far = np.linalg.norm(step * np.asarray(grid.grid.size_m)) > self.args.jump_m
            known = stamp_ns >= self._stamp_ns and not far
        if not known or self._log_odds is None or self._votes is None:
            self._log_odds = np.zeros(grid.grid.shape, np.float32)
            self._votes = np.zeros((*grid.grid.shape, len(grid.classes.names)), np.float32)
            self._stamp_ns = stamp_ns
        elif step.any():
            self._log_odds, self._votes = _shifted(self._log_odds, step), _shifted(self._votes, step)
        self._cell = cell

    def _decay(self, grid: SemanticGrid, seconds: float) -> None:
        assert self._log_odds is not None
        assert self._votes is not None
        half = np.array([self.args.class_half_life_s.get(n, self.args.half_life_s) for n in grid.classes.names])
        label = self._votes.argmax(-1)
        solid = self._log_odds > 0
        self._log_odds *= np.where(solid, 0.5 ** (seconds / half[label]), 0.5 ** (seconds / self.args.half_life_s))
        self._votes *= (0.5 ** (seconds / half)).astype(np.float32)

    def _add(self, grid: SemanticGrid, T_world_grid: np.ndarray, cell: np.ndarray, size: np.ndarray) -> None:
        assert self._log_odds is not None
        assert self._votes is not None
        index, inside = _lookup(grid.grid, T_world_grid, cell, size)
        labels = grid.labels.cpu().numpy()[index]
        confidence = np.ones(labels.shape, np.float32)
        if grid.confidence is not None:
            confidence = grid.confidence.float().cpu().numpy()[index]
        said = inside & (labels != grid.classes.ignore_id)
        if grid.observed is not None:
            said &= grid.observed.cpu().numpy()[index]
        occupied, free = said & (labels != grid.classes.free_id), said & (labels == grid.classes.free_id)
        self._log_odds[occupied] += self.args.hit * confidence[occupied]
        self._log_odds[free] -= self.args.miss * confidence[free]
        np.clip(self._log_odds, -_LIMIT, _LIMIT, out=self._log_odds)
        places = np.nonzero(occupied)
        np.add.at(self._votes, (*places, labels[places]), confidence[places])

    def _read(self, grid: SemanticGrid, T_world_ego: np.ndarray, cell: np.ndarray, size: np.ndarray) -> SemanticGrid:
        assert self._log_odds is not None
        assert self._votes is not None
        classes = grid.classes
        votes = self._votes.copy()
        votes[..., classes.free_id] = -1.0
        solid, known = self._log_odds >= self.args.threshold, np.abs(self._log_odds) > 1e-3
        labels = np.where(solid, votes.argmax(-1), classes.free_id)
        labels = np.where(known, labels, classes.ignore_id).astype(np.uint8)
        # Of the label, not of the likelier state: below the threshold a voxel is called free, however doubtful.
        probability = 1.0 / (1.0 + np.exp(np.where(solid, -self._log_odds, self._log_odds)))
        # The map's corner is the origin of its grid: the fixed frame's may be hundreds of kilometres away.
        T_world_map = np.eye(4)
        T_world_map[:3, 3] = cell * size
        T_ego_map = np.linalg.inv(T_world_ego) @ T_world_map
        upper = tuple((np.asarray(grid.grid.shape) * size).tolist())
        place = VoxelGrid((0.0, 0.0, 0.0), upper, grid.grid.size_m, tuple(map(tuple, T_ego_map.tolist())))
        return SemanticGrid(
            torch.from_numpy(labels),
            place,
            classes,
            confidence=torch.from_numpy(np.where(known, probability, 0.0).astype(np.float32)),
            observed=torch.from_numpy(known),
        )


def _shifted(values: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Contents of a map whose first voxel moved by ``step``; what enters is zero."""
    result = np.zeros_like(values)
    source, target = [], []
    for axis, move in enumerate(step.tolist()):
        count = values.shape[axis]
        if abs(move) >= count:
            return result
        source.append(slice(max(move, 0), count + min(move, 0)))
        target.append(slice(max(-move, 0), count - max(move, 0)))
    result[tuple(target)] = values[tuple(source)]
    return result


def _lookup(
    grid: VoxelGrid, T_world_grid: np.ndarray, cell: np.ndarray, size: np.ndarray
) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Voxel of a prediction at each map voxel's centre: (X, Y, Z) indices, clamped, and whether it lies inside."""
    T = np.linalg.inv(T_world_grid)
    # (position - lower) / size is affine in the map index, so each axis adds its own part.
    scale = 1.0 / np.asarray(grid.size_m)
    matrix = scale[:, None] * T[:3, :3] * size
    start = scale * (T[:3, :3] @ ((cell + 0.5) * size) + T[:3, 3] - np.asarray(grid.lower))
    x, y, z = (np.arange(n) for n in grid.shape)
    index, inside = [], np.ones(grid.shape, bool)
    for axis in range(3):
        a, b, c = matrix[axis]
        place = np.floor(start[axis] + a * x[:, None, None] + b * y[None, :, None] + c * z[None, None, :])
        inside &= (place >= 0) & (place < grid.shape[axis])
        index.append(np.clip(place, 0, grid.shape[axis] - 1).astype(np.int64))
    return tuple(index), inside
