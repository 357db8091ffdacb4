# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Where learned Gaussians begin: evenly over the surfaces that the training data shows."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from gsocc_core.errors import DataError
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.frames import FrameSet, Targets
from gsocc_core.geometry.rigid import transform_points
from gsocc_core.geometry.voxels import VoxelGrid

#: Voxels offered per mean, of which the farthest from each other are taken.
_CANDIDATES = 4


def surface_means(
    dataset: Dataset[FrameSet], classes: ClassTable, grid: VoxelGrid, count: int, frames: int = 64, seed: int = 0
) -> Tensor:
    """Spread means over the places where surfaces often are, seen from the ego vehicle.

    Surfaces are the depth labels of views, put into space; without depth labels, the occupied voxels that the cameras
    see. Voxels are drawn with the square root of how often they hold a surface, so that the road does not take all, and
    farthest point sampling keeps the drawn ones apart.

    Args:
        dataset: Items with targets.
        classes: Says which label is free space and which is none.
        grid: Box and voxels.
        count: Number of means N.
        frames: Number of items to look at, evenly over the data set.
        seed: Of the draws.

    Returns:
        (N, 3) float32 metres, ego frame, inside the grid.

    Raises:
        DataError: no item has depth labels or voxel labels.
    """
    hits = torch.zeros(grid.shape, dtype=torch.int64)
    total = len(dataset)  # type: ignore[arg-type]
    for index in np.unique(np.linspace(0, total - 1, min(frames, total)).round().astype(int)):
        targets = dataset[int(index)].targets or Targets()
        if targets.view_depth_m is not None:
            hits[_depth_voxels(targets, grid)] += 1
        elif targets.labels is not None and targets.mask_camera is not None:
            labels = targets.labels
            hits += (targets.mask_camera & (labels != classes.free_id) & (labels != classes.ignore_id))[0]
    if not bool(hits.any()):
        raise DataError("surface_means", "targets", "depth labels of views, or voxel labels", "none")
    generator = torch.Generator().manual_seed(seed)
    places = hits.flatten().nonzero()[:, 0]
    weights = hits.flatten()[places].double().sqrt()
    offered = min(_CANDIDATES * count, len(places))
    chosen = places[_draw(weights, offered, generator)]
    points = grid.centers.flatten(0, 2)[chosen]
    points = points + (torch.rand(points.shape, generator=generator) - 0.5) * points.new_tensor(grid.size_m)
    if grid.T_ego_grid is not None:
        points = transform_points(torch.from_numpy(grid.T_ego_grid_matrix).to(points), points)
    if count <= len(points):
        return points[_farthest(points, count)]
    extra = torch.randint(len(points), (count - len(points),), generator=generator)
    return torch.cat([points, points[extra]])


def _depth_voxels(targets: Targets, grid: VoxelGrid) -> tuple[Tensor, ...]:
    """Indices of the voxels that hold a labelled pixel of the present pictures."""
    assert targets.view_cameras is not None
    assert targets.view_depth_m is not None
    origins, directions = targets.view_cameras.map(lambda t: t[:, 0]).rays()
    depth_m = targets.view_depth_m[:, 0]
    points = (origins + directions * depth_m[..., None])[depth_m > 0]
    if grid.T_ego_grid is not None:
        points = transform_points(torch.from_numpy(np.linalg.inv(grid.T_ego_grid_matrix)).to(points), points)
    index, inside = grid.index(points)
    return tuple(index[inside].unique(dim=0).unbind(-1))


def _draw(weights: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Draw without replacement (Efraimidis and Spirakis 2006: the greatest u^(1/w))."""
    keys = torch.rand(weights.shape, generator=generator, dtype=weights.dtype).log() / weights
    return keys.topk(count).indices


def _farthest(points: Tensor, count: int) -> Tensor:
    """Farthest point sampling from the first point on."""
    chosen = torch.zeros(count, dtype=torch.int64)
    distance = torch.full((len(points),), torch.inf)
    for i in range(1, count):
        distance = torch.minimum(distance, (points - points[chosen[i - 1]]).square().sum(-1))
        chosen[i] = distance.argmax()
    return chosen
