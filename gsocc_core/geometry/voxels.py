# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Voxel grids and what lives on them."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gsocc_core.errors import ShapeError
from gsocc_core.geometry.classes import ClassTable

Matrix4 = tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True)
class VoxelGrid:
    """A box of equal voxels, index order (x, y, z), voxel (0, 0, 0) at the lower corner.

    Attributes:
        lower: Lower corner, metres, grid frame.
        upper: Upper corner, metres, grid frame.
        voxel_size: Edge lengths, metres; one number means a cube.
        T_ego_grid: (4, 4) pose of the grid frame in the ego frame; None = the grid frame is the ego frame.

    Raises:
        ShapeError: the box is empty or is not a whole number of voxels.

    Example:
        >>> VoxelGrid.occ3d().shape
        (200, 200, 16)
    """

    lower: tuple[float, float, float]
    upper: tuple[float, float, float]
    voxel_size: tuple[float, float, float] | float
    T_ego_grid: Matrix4 | None = None

    def __post_init__(self) -> None:
        size = self.voxel_size
        size = (size,) * 3 if isinstance(size, int | float) else size
        for name, value in (("lower", self.lower), ("upper", self.upper), ("voxel_size", size)):
            if len(tuple(value)) != 3 or not np.isfinite(np.asarray(value, float)).all():
                raise ShapeError("VoxelGrid", name, "3 finite numbers (m)", value)
            object.__setattr__(self, name, tuple(float(v) for v in value))
        if min(self.size_m) <= 0:
            raise ShapeError("VoxelGrid", "voxel_size", "positive edge lengths (m)", self.voxel_size)
        counts = (np.asarray(self.upper) - np.asarray(self.lower)) / np.asarray(self.voxel_size)
        if (np.rint(counts) < 1).any():
            raise ShapeError("VoxelGrid", "upper", "lower + at least one voxel", (self.upper, size))
        if np.abs(counts - np.rint(counts)).max() > 1e-4:
            raise ShapeError("VoxelGrid", "voxel_size", "a divisor of upper - lower", (self.voxel_size, tuple(counts)))
        if self.T_ego_grid is not None:
            matrix = np.asarray(self.T_ego_grid, float)
            if matrix.shape != (4, 4):
                raise ShapeError("VoxelGrid", "T_ego_grid", "(4, 4)", matrix.shape)
            object.__setattr__(self, "T_ego_grid", tuple(tuple(float(v) for v in row) for row in matrix))

    @classmethod
    def occ3d(cls) -> VoxelGrid:
        """Occ3D-nuScenes: 200 x 200 x 16 voxels of 0.4 m, ego frame, z from -1 m."""
        return cls((-40.0, -40.0, -1.0), (40.0, 40.0, 5.4), 0.4)

    def same_as(self, other: VoxelGrid, tolerance_m: float = 1e-4) -> bool:
        """Whether two grids have the same voxels, up to rounding: a message's way through float32, say.

        Example:
            >>> VoxelGrid.occ3d().same_as(VoxelGrid((-40.0, -40.0, -1.0), (40.0, 40.0, 5.4), 0.4000001))
            True
        """
        one, two = ([*g.lower, *g.size_m, *g.T_ego_grid_matrix.ravel()] for g in (self, other))
        return self.shape == other.shape and bool(np.allclose(one, two, rtol=0, atol=tolerance_m))

    @property
    def size_m(self) -> tuple[float, float, float]:
        """Edge lengths of one voxel, metres."""
        return self.voxel_size  # type: ignore[return-value]  # __post_init__ made it a triple

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along x, y, z."""
        x, y, z = (round((u - lo) / s) for lo, u, s in zip(self.lower, self.upper, self.size_m, strict=True))
        return x, y, z

    @property
    def centers(self) -> Tensor:
        """(X, Y, Z, 3) voxel centres on the CPU, metres, grid frame. Shared between callers: do not write.

        float32; float64 where the grid lies so far from its frame's origin that float32 would move them.
        """
        return _centers(self)

    @property
    def T_ego_grid_matrix(self) -> np.ndarray:
        """(4, 4) float64 pose of the grid in the ego frame, the identity when the grid is in the ego frame."""
        return np.eye(4) if self.T_ego_grid is None else np.asarray(self.T_ego_grid)

    @property
    def T_ego_corner(self) -> np.ndarray:
        """(4, 4) float64 pose of the lower corner in the ego frame, with the grid's axes."""
        corner = np.eye(4)
        corner[:3, 3] = self.lower
        pose: np.ndarray = self.T_ego_grid_matrix @ corner
        return pose

    def index(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Voxels that hold the points.

        Args:
            points: (..., 3) metres, grid frame.

        Returns:
            (..., 3) int64 voxel indices (clamped into the grid), and (...) bool: the point lies inside.
        """
        lower = points.new_tensor(self.lower)
        cell = torch.floor((points - lower) / points.new_tensor(self.size_m))
        limit = points.new_tensor([float(n) for n in self.shape])
        inside = ((cell >= 0) & (cell < limit)).all(-1)  # NaN compares false, so it counts as outside
        return torch.nan_to_num(cell).clamp(min=torch.zeros_like(limit), max=limit - 1).long(), inside


#: Largest coordinate, metres, that float32 holds to a tenth of a millimetre.
_FLOAT32_REACH_M = 1024.0


@functools.lru_cache(maxsize=8)
def _centers(grid: VoxelGrid) -> Tensor:
    kind = np.float32 if np.abs([grid.lower, grid.upper]).max() <= _FLOAT32_REACH_M else np.float64
    axes = [
        torch.from_numpy((lo + (np.arange(n) + 0.5) * s).astype(kind))
        for lo, n, s in zip(grid.lower, grid.shape, grid.size_m, strict=True)
    ]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)


@dataclass(frozen=True)
class VoxelField:
    """Density and features on a grid.

    Attributes:
        density: (..., X, Y, Z). Its meaning depends on the composition that made it.
        features: (..., X, Y, Z, C).
        grid: The grid.
        velocity: (..., X, Y, Z, 3) m/s, ego frame, or None.
    """

    density: Tensor
    features: Tensor
    grid: VoxelGrid
    velocity: Tensor | None = None

    def __post_init__(self) -> None:
        _check_grid_shape("VoxelField", "density", self.density.shape, self.grid)
        _check_grid_shape("VoxelField", "features", self.features.shape[:-1], self.grid)


@dataclass(frozen=True)
class SemanticGrid:
    """One label per voxel.

    Attributes:
        labels: (..., X, Y, Z) uint8 class ids; free space is ``classes.free_id``.
        grid: The grid.
        classes: What the ids mean.
        confidence: (..., X, Y, Z) float32 in 0..1, or None.
        observed: (..., X, Y, Z) bool, or None.
        velocity: (..., X, Y, Z, 3) float32 m/s, ego frame, or None.
    """

    labels: Tensor
    grid: VoxelGrid
    classes: ClassTable
    confidence: Tensor | None = None
    observed: Tensor | None = None
    velocity: Tensor | None = None

    def __post_init__(self) -> None:
        if self.labels.dtype != torch.uint8:
            raise ShapeError("SemanticGrid", "labels", torch.uint8, self.labels.dtype)
        _check_grid_shape("SemanticGrid", "labels", self.labels.shape, self.grid)
        for name in ("confidence", "observed"):
            value = getattr(self, name)
            if value is not None and value.shape != self.labels.shape:
                raise ShapeError("SemanticGrid", name, tuple(self.labels.shape), tuple(value.shape))
        if self.velocity is not None and self.velocity.shape != (*self.labels.shape, 3):
            raise ShapeError("SemanticGrid", "velocity", (*self.labels.shape, 3), tuple(self.velocity.shape))

    @property
    def occupied(self) -> Tensor:
        """(..., X, Y, Z) bool: the voxel holds something; one without a label does not."""
        return (self.labels != self.classes.free_id) & (self.labels != self.classes.ignore_id)


#: What :meth:`VoxelScores.best_words` says where no word fits well enough.
NO_WORD = 255


@dataclass(frozen=True)
class VoxelScores:
    """How well words fit to what each voxel holds. Only voxels that hold something are kept: all others score 0.

    Attributes:
        index: (N,) int64 flat numbers of the voxels that hold something, ascending.
        values: (Q, N) float32 scores in 0..1.
        grid: The grid.
        words: Q words, fewer than :data:`NO_WORD`.
        observed: (X, Y, Z) bool: a camera sees the voxel, or None.

    Example:
        >>> grid = VoxelGrid((0.0, 0.0, 0.0), (3.0, 1.0, 1.0), 1.0)
        >>> found = VoxelScores(torch.tensor([0, 2]), torch.tensor([[0.2, 0.9]]), grid, ("dog",))
        >>> [round(score, 1) for score in found.scores.flatten().tolist()]
        [0.2, 0.0, 0.9]
        >>> found.best_words(0.5).flatten().tolist()
        [255, 255, 0]
    """

    index: Tensor
    values: Tensor
    grid: VoxelGrid
    words: tuple[str, ...]
    observed: Tensor | None = None

    def __post_init__(self) -> None:
        for name, kind in (("index", torch.int64), ("values", torch.float32)):
            if getattr(self, name).dtype != kind:
                raise ShapeError("VoxelScores", name, kind, getattr(self, name).dtype)
        if self.index.ndim != 1:
            raise ShapeError("VoxelScores", "index", "(N,)", tuple(self.index.shape))
        if len(self.words) >= NO_WORD:
            raise ShapeError("VoxelScores", "words", f"fewer than {NO_WORD}", len(self.words))
        if tuple(self.values.shape) != (len(self.words), len(self.index)):
            raise ShapeError("VoxelScores", "values", (len(self.words), len(self.index)), tuple(self.values.shape))
        count, ends = math.prod(self.grid.shape), self.index[[0, -1]].tolist() if len(self.index) else [0, 0]
        if not 0 <= ends[0] <= ends[1] < count:
            raise ShapeError("VoxelScores", "index", f"0 ... {count - 1}, ascending", ends)
        if self.observed is not None and tuple(self.observed.shape) != self.grid.shape:
            raise ShapeError("VoxelScores", "observed", self.grid.shape, tuple(self.observed.shape))

    @property
    def scores(self) -> Tensor:
        """(Q, X, Y, Z) float32 on the CPU, made anew by every call."""
        volumes = np.zeros((len(self.words), math.prod(self.grid.shape)), np.float32)
        index = self.index.cpu().numpy()
        for volume, values in zip(volumes, self.values.cpu().numpy()):
            volume[index] = values
        return torch.from_numpy(volumes).view(len(self.words), *self.grid.shape)

    def best_words(self, threshold: float) -> Tensor:
        """(X, Y, Z) uint8 on the CPU: number of the word with the best score; NO_WORD where none reaches the threshold.

        Args:
            threshold: Least score, above 0.
        """
        best = torch.full((math.prod(self.grid.shape),), NO_WORD, dtype=torch.uint8)
        if self.words:
            values, words = self.values.cpu().max(0)
            reached = values >= threshold
            best[self.index.cpu()[reached]] = words[reached].to(torch.uint8)
        return best.view(self.grid.shape)


def _check_grid_shape(where: str, key: str, shape: Sequence[int], grid: VoxelGrid) -> None:
    if tuple(shape[-3:]) != grid.shape:
        raise ShapeError(where, key, f"(..., {grid.shape[0]}, {grid.shape[1]}, {grid.shape[2]})", tuple(shape))
