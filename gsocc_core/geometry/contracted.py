# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Vertices that stand evenly inside a box and ever farther apart outside it, out to infinity."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gsocc_core.errors import ShapeError
from gsocc_core.geometry.constants import constant
from gsocc_core.geometry.grid_points import to_ego, to_grid
from gsocc_core.geometry.voxels import VoxelGrid

#: How far the outermost vertices stand from the end of their axis, x, y and z, in vertices: the end itself is
#: infinitely far away.
MARGINS = (0.5, 0.5, 0.05)


@dataclass(frozen=True)
class ContractedGrid:
    """Vertices on a box and around it, index order (x, y, z), in contracted coordinates (OccNeRF, GaussianOcc).

    Along each axis of the box, u runs from -1 to 1 across it. With t = inner / (1 - inner) the contracted coordinate is

        c = t u / (t + 1)                                            inside, |u| <= 1
        c = sign(u) (1 + t - 1 / (t |u| + 1 - t)) / (t + 1)          outside

    which is once continuously differentiable and within -1..1. The N vertices of an axis stand at c = 2 i / (N - 1) - 1
    with i = 0 ... N - 1, but for the outermost two, see :data:`MARGINS`. Inside the box a vertex follows the other
    after 1 / inner / (N - 1) of the box's edge: 0.40134 m on GaussianOcc's 300 vertices over 80 m, so they are not the
    middles of Occ3D's voxels.

    Attributes:
        region: The box; its voxels only matter to :meth:`around`.
        shape: Number of vertices along x, y, z.
        inner: Part of each axis that the box takes, 0..1.

    Raises:
        ShapeError: fewer than 4 vertices along an axis, or ``inner`` is no fraction.

    Example:
        >>> grid = ContractedGrid.around(VoxelGrid.occ3d())
        >>> grid.shape, [round(float(x), 2) for x in grid.centers[[50, 51, 249], 0, 0, 0]]
        ((300, 300, 24), [-39.93, -39.53, 39.93])
    """

    region: VoxelGrid
    shape: tuple[int, int, int]
    inner: float = 2 / 3

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or min(self.shape) < 4:
            raise ShapeError("ContractedGrid", "shape", "4 or more vertices along x, y, z", self.shape)
        if not 0 < self.inner < 1:
            raise ShapeError("ContractedGrid", "inner", "a fraction between 0 and 1", self.inner)

    @classmethod
    def around(cls, region: VoxelGrid, inner: float = 2 / 3) -> ContractedGrid:
        """About as many vertices inside the box as it has voxels, as GaussianOcc's 300 x 300 x 24 for Occ3D."""
        x, y, z = (max(round(n / inner), 4) for n in region.shape)
        return cls(region, (x, y, z), inner)

    @property
    def centers(self) -> Tensor:
        """(X, Y, Z, 3) float32 vertices on the CPU, metres, in the frame of the box. Shared: do not write."""
        return _centers(self)

    def index(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Vertices nearest to points, in contracted coordinates.

        Args:
            points: (..., 3) metres, in the frame of the box.

        Returns:
            (..., 3) int64 indices, and (...) bool: the point is finite, for all of space lies inside.
        """
        place = (self.contract(points.double()) + 1) / 2
        found = []
        for axis, (count, margin) in enumerate(zip(self.shape, MARGINS)):
            steps = torch.from_numpy(_steps(count, margin)).to(place.device)
            walls = (steps[1:] + steps[:-1]) / 2
            at = torch.nan_to_num(place[..., axis], nan=0.0) * (count - 1)
            found.append(torch.bucketize(at.contiguous(), walls))
        return torch.stack(found, -1), torch.isfinite(points).all(-1)

    def contract(self, points: Tensor) -> Tensor:
        """Contracted coordinates (..., 3), -1..1, of points (..., 3), metres, in the frame of the box.

        Example:
            >>> grid = ContractedGrid.around(VoxelGrid.occ3d())
            >>> grid.contract(torch.tensor([[0.0, 40.0, 1e9]])).tolist()[0][:2]
            [0.0, 0.6666666865348816]
        """
        lower, upper = constant(self.region.lower, points), constant(self.region.upper, points)
        unit = 2 * (points - lower) / (upper - lower) - 1
        t = self._t
        reach = t * unit.abs()
        outside = 1 + t - 1 / (reach.clamp(min=t) + 1 - t)
        return torch.where(reach <= t, t * unit, unit.sign() * outside) / (t + 1)

    def expand(self, contracted: Tensor) -> Tensor:
        """Points (..., 3), metres, in the frame of the box, of contracted coordinates (..., 3): undoes ``contract``.

        -1 and 1 are infinitely far away.
        """
        t = self._t
        a = contracted * (t + 1)
        size = a.abs()
        outside = t - 1 + 1 / (t + 1 - size.clamp(min=t))
        unit = torch.where(size <= t, a, a.sign() * outside) / t
        lower, upper = constant(self.region.lower, contracted), constant(self.region.upper, contracted)
        return lower + (unit + 1) / 2 * (upper - lower)

    def read(self, values: Tensor, points: Tensor) -> Tensor:
        """Values between vertices, trilinear in contracted coordinates.

        Args:
            values: (B, X, Y, Z, C) at the vertices.
            points: (X', Y', Z', 3) metres, in the frame of the box.

        Returns:
            (B, X', Y', Z', C).

        Raises:
            ShapeError: the values do not lie on the vertices.
        """
        if values.ndim != 5 or tuple(values.shape[1:4]) != self.shape:
            raise ShapeError("ContractedGrid.read", "values", ("B", *self.shape, "C"), tuple(values.shape))
        place = self.contract(points.to(values)).flip(-1).expand(len(values), *points.shape)
        sampled = functional.grid_sample(
            values.movedim(-1, 1), place, mode="bilinear", padding_mode="border", align_corners=True
        )
        return sampled.movedim(1, -1)

    def read_voxels(self, values: Tensor, grid: VoxelGrid) -> Tensor:
        """Values (B, X, Y, Z, C) of vertices in the middles of any grid's voxels; see :meth:`read`."""
        return self.read(values, to_grid(to_ego(grid.centers.to(values), grid), self.region))

    @property
    def _t(self) -> float:
        return self.inner / (1 - self.inner)


def _steps(count: int, margin: float) -> np.ndarray:
    """Where the vertices of an axis stand, in steps from its lower end."""
    return np.clip(np.arange(count, dtype=np.float64), margin, count - 1 - margin)


@functools.lru_cache(maxsize=8)
def _centers(grid: ContractedGrid) -> Tensor:
    axes = [torch.from_numpy(2 * _steps(n, m) / (n - 1) - 1) for n, m in zip(grid.shape, MARGINS)]
    longest = max(grid.shape)
    padded = torch.stack([functional.pad(axis, (0, longest - len(axis))) for axis in axes], -1)
    places = grid.expand(padded).float()
    along = [places[:n, i] for i, n in enumerate(grid.shape)]
    return torch.stack(torch.meshgrid(*along, indexing="ij"), dim=-1)
