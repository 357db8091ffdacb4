# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Free, occupied and unobserved voxels of Gaussians that cameras saw."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from gsocc_core.errors import ConfigError, ShapeError
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.merging import merge_gaussians
from gsocc_core.geometry.ray_traversal import trace
from gsocc_core.geometry.voxels import SemanticGrid, VoxelGrid
from gsocc_core.splat import splat_to_voxels

#: Least standard deviation in voxels.
_LEAST_SCALE = 0.4
#: Density from which on a voxel is occupied.
THRESHOLD = 0.3
#: Confidence of ground that was not seen itself.
_GRAZED = 0.5
#: Most voxels of a grid that is laid around a scene, along x, y and z.
_MOST = (200, 200, 40)


@dataclass(frozen=True)
class Sight:
    """Straight ways along which cameras looked.

    Attributes:
        origins: (R, 3) where the cameras stood, metres, ego frame.
        ends: (R, 3) the surface that each way ends on, metres, ego frame.
    """

    origins: np.ndarray
    ends: np.ndarray

    def __post_init__(self) -> None:
        if self.origins.shape != self.ends.shape or self.origins.ndim != 2 or self.origins.shape[1] != 3:
            raise ShapeError("Sight", "origins, ends", "(R, 3) each", (self.origins.shape, self.ends.shape))


def occupancy_of(
    scene: Gaussians,
    class_scores: Tensor,
    sight: Sight,
    grid: VoxelGrid,
    classes: ClassTable,
    *,
    on_ground: bool = False,
) -> SemanticGrid:
    """Vote in voxels, and say where nobody looked.

    Gaussians that are free space (sky) are left out. The others are as :func:`voxel_votes` makes them; where the sum of
    o phi reaches :data:`THRESHOLD` a voxel is occupied, by the class with the largest mean score. Of the rest, a voxel
    is free only where a ray passed on its way to a surface, but for the last voxel's length of it, and everything else
    is unobserved. Far away, rays that graze the ground pass through the voxels that hold it, between pixels whose
    surfaces lie metres apart: with ``on_ground`` such a voxel is ground, of the class of the nearest voxel with a
    surface in it.

    Args:
        scene: (N) Gaussians, metres, ego frame.
        class_scores: (N, C) of each, channels as ``classes.channel_ids`` says.
        sight: Where cameras looked; its ends are the surfaces.
        grid: Where to evaluate, ego frame.
        classes: Class table.
        on_ground: z = 0 of the ego frame is the ground.

    Returns:
        Labels (X, Y, Z) on the CPU: a class, ``free_id``, or ``ignore_id`` where nobody looked, which ``observed``
        says, too. ``confidence`` is 1 - exp(-density) of what is occupied, 0.5 of ground that rays only grazed,
        1 of what is free, 0 elsewhere.

    Raises:
        ShapeError: scores do not fit scene or classes.
    """
    if tuple(class_scores.shape) != (len(scene), len(classes.channel_ids)):
        expected = f"({len(scene)}, {len(classes.channel_ids)})"
        raise ShapeError("occupancy_of", "class_scores", expected, tuple(class_scores.shape))
    size = min(grid.size_m)
    labels = torch.full(grid.shape, classes.ignore_id, dtype=torch.uint8)
    density = torch.zeros(grid.shape)
    if len(scene):
        solid = is_solid(class_scores, classes)
        scene, class_scores = scene.map(lambda t: t[solid]), class_scores[solid]
    if len(scene):
        field = splat_to_voxels(voxel_votes(scene, class_scores, grid).to(torch.float32), grid)
        density, ids = field.density.cpu(), torch.tensor(classes.channel_ids, dtype=torch.uint8)
        votes = field.features.cpu().masked_fill(ids == classes.free_id, -torch.inf)  # something is there
        found = ids[votes.argmax(-1)]
        labels = torch.where(density >= THRESHOLD, found, labels)
    occupied = labels != classes.ignore_id
    passed = torch.from_numpy(_passed(sight, grid, size).astype(bool))
    confidence = -torch.expm1(-density) * occupied
    if on_ground and bool(occupied.any()):
        labels = _with_ground(labels, occupied, passed, grid)
        grazed = (labels != classes.ignore_id) & ~occupied
        confidence[grazed] = _GRAZED
        occupied = occupied | grazed
    free = passed & ~occupied
    labels[free] = classes.free_id
    confidence[free] = 1.0
    return SemanticGrid(labels, grid, classes, confidence, occupied | free)


def _with_ground(labels: Tensor, occupied: Tensor, passed: Tensor, grid: VoxelGrid) -> Tensor:
    """Labels where voxels that hold z = 0 and were passed have the class of the nearest one that is occupied."""
    T = grid.T_ego_grid_matrix
    heights = grid.centers.double().numpy() @ T[2, :3] + T[2, 3]
    reach = np.abs(T[2, :3]) @ np.asarray(grid.size_m) / 2
    layer = np.abs(heights) <= reach
    surface = layer & occupied.numpy()
    grazed = layer & passed.numpy() & ~surface
    if not surface.any() or not grazed.any():
        return labels
    _, nearest = distance_transform_edt(~surface, sampling=grid.size_m, return_indices=True)
    found = labels.numpy().copy()
    found[grazed] = found[tuple(nearest[:, grazed])]
    return torch.from_numpy(found)


def is_solid(class_scores: Tensor, classes: ClassTable) -> Tensor:
    """(N) whether Gaussians are of another class than free space, which is that of the sky."""
    ids = torch.tensor(classes.channel_ids, device=class_scores.device)
    return ids[class_scores.argmax(-1)] != classes.free_id


def voxel_votes(scene: Gaussians, values: Tensor, grid: VoxelGrid) -> Gaussians:
    """Gaussians that carry values into voxels: none smaller than 0.4 voxels, those of one voxel as one.

    Smaller ones would slip between the centres of voxels, and many in one voxel, as pixels of a near surface are, would
    outvote a single one.

    Args:
        scene: (N) Gaussians, metres, ego frame.
        values: (N, C) of each.
        grid: The voxels.

    Returns:
        (M) Gaussians with means of the values as features.
    """
    size = min(grid.size_m)
    wide = scene.scales.clamp(min=_LEAST_SCALE * size)
    votes = scene.replace(features=values.to(scene.means), scales=wide, velocities=None, colors_sh=None)
    return merge_gaussians(votes, size, origin=torch.from_numpy(grid.T_ego_corner[:3, 3]).to(scene.means))


def _passed(sight: Sight, grid: VoxelGrid, margin_m: float) -> np.ndarray:
    """(X, Y, Z) uint8: a ray passed more than a margin before its end."""
    way = sight.ends - sight.origins
    length = np.linalg.norm(way, axis=1)
    good = length > margin_m
    share = np.clip(1 - margin_m / np.where(good, length, 1.0), 0.0, 1.0)[:, None]
    ends = (sight.origins + share * way)[good].astype(np.float64)
    return trace(sight.origins[good].astype(np.float64), ends, np.zeros(len(ends), bool), grid)


def grid_around(points: np.ndarray, viewpoints: np.ndarray, voxel_m: float | None = None) -> VoxelGrid:
    """A grid that holds the middle 96 % of points, and the cameras.

    Args:
        points: (N, 3) metres, ego frame, at least one.
        viewpoints: (V, 3) cameras, metres, ego frame.
        voxel_m: Edge of a voxel; None = a twentieth of the points' median distance, in steps of 0.05 m from 0.05 to
            0.5 m.

    Returns:
        At most 200 x 200 x 40 voxels; what lies farther is cut off on the side that is farther from the cameras.

    Raises:
        ConfigError: the edge is not above 0.
    """
    if voxel_m is not None and not 0 < voxel_m < 1e3:
        raise ConfigError("reconstruct", "voxel_m", "above 0", voxel_m)
    if voxel_m is None:
        away = float(np.median(np.linalg.norm(points - viewpoints.mean(0), axis=1)))
        voxel_m = round(min(max(round(away / 20 / 0.05) * 0.05, 0.05), 0.5), 2)
    low = np.minimum(np.percentile(points, 2, axis=0), viewpoints.min(0)) - voxel_m
    high = np.maximum(np.percentile(points, 98, axis=0), viewpoints.max(0)) + voxel_m
    lower, upper = [], []
    for axis, most in enumerate(_MOST):
        first, last = math.floor(low[axis] / voxel_m), math.ceil(high[axis] / voxel_m)
        here = round(float(viewpoints[:, axis].mean()) / voxel_m)
        if last - first > most:
            behind = min(here - first, max(most // 2, most - (last - here)))
            first = here - behind
            last = first + most
        lower.append(round(first * voxel_m, 6))
        upper.append(round(last * voxel_m, 6))
    return VoxelGrid((lower[0], lower[1], lower[2]), (upper[0], upper[1], upper[2]), voxel_m)
