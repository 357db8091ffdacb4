# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""splat_to_labels: a set of Gaussians becomes one class label per voxel, without a volume of class channels."""

from __future__ import annotations

import math

import torch

from gsocc_core.errors import ConfigError, ShapeError
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.voxels import SemanticGrid, VoxelField, VoxelGrid
from gsocc_core.splat.classify import class_ids
from gsocc_core.splat.near_origin import scene_near_grid
from gsocc_core.splat.options import (
    Backend,
    Composition,
    Support,
    check_buffer,
    check_choice,
    check_cutoff,
    check_finite,
    resolve_backend,
)
from gsocc_core.splat.shapes import flat_scenes, scenes_in_grid
from gsocc_core.splat.to_voxels import splat_to_voxels
from gsocc_core.splat.voxels.cpu import labels_cpu


@torch.no_grad()
def splat_to_labels(
    gaussians: Gaussians,
    grid: VoxelGrid,
    classes: ClassTable,
    *,
    composition: Composition = "sum",
    threshold: float,
    cutoff: float = 3.0,
    support: Support = "ellipsoid",
    backend: Backend = "auto",
    out: SemanticGrid | None = None,
) -> SemanticGrid:
    """The class with the largest feature sum per voxel, or free where too little density arrives.

    Occupancy is min(density, 1), for ``hazard`` 1 - exp(-density). A voxel whose occupancy is below the threshold, or
    that no Gaussian reaches, is free. Every other one takes the class of its largest feature channel, the first one of
    equals. The confidence is the occupancy where something is, and 1 - occupancy where it is free: how sure the scene
    is that the voxel is full or empty, whatever the class.

    Args:
        gaussians: (..., N) Gaussians in the ego frame; feature channel c stands for class ``classes.channel_ids[c]``.
            Means far from the origin want float64.
        grid: Where to evaluate; ``T_ego_grid`` is honoured.
        classes: Class table of the result.
        composition: See :func:`splat_to_voxels`.
        threshold: Smallest occupancy of an occupied voxel, 0..1.
        cutoff: See :func:`splat_to_voxels`.
        support: See :func:`splat_to_voxels`.
        backend: See :func:`splat_to_voxels`. ``reference`` writes the whole volume and is slow.
        out: Grid whose ``labels`` (uint8) and ``confidence`` (float32) receive the result; same grid and class table.

    Returns:
        labels (..., X, Y, Z) with confidence.

    Raises:
        ShapeError: a field holds NaN or infinity (not with ``cuda``), the number of channels differs from the table's,
            or ``out`` does not fit.
        ConfigError: an unknown option, or a threshold outside 0..1.
        GsoccError: the backend cannot run here.

    Example:
        >>> from gsocc_core import OCC3D_NUSCENES
        >>> car = torch.nn.functional.one_hot(torch.tensor([4]), 18).float()
        >>> quats = torch.tensor([[1.0, 0, 0, 0]])
        >>> one = Gaussians(torch.zeros(1, 3), torch.full((1, 3), 0.3), quats, torch.ones(1), car)
        >>> labels = splat_to_labels(one, VoxelGrid((-1.5,) * 3, (1.5,) * 3, 1.0), OCC3D_NUSCENES, threshold=0.5).labels
        >>> labels[1, 1, 1].item(), labels[0, 0, 0].item()
        (4, 17)
    """
    where = "splat_to_labels"
    check_choice(where, "composition", composition, Composition)
    check_choice(where, "support", support, Support)
    check_cutoff(where, cutoff)
    if not 0 <= threshold <= 1:
        raise ConfigError(where, "threshold", "a number in 0..1", threshold)
    channels = gaussians.features.shape[-1]
    if channels != len(classes.channel_ids):
        raise ShapeError(where, "features", f"{len(classes.channel_ids)} channels, as in the class table", channels)
    backend = resolve_backend(where, backend, gaussians.means.device)
    if backend != "cuda":
        check_finite(where, gaussians)
    result = _result(gaussians, grid, classes, out)
    assert result.confidence is not None
    if backend == "reference":
        field = splat_to_voxels(
            gaussians, grid, composition=composition, cutoff=cutoff, support=support, backend=backend
        )
        _labels_of_field(field, composition, threshold, result)
        return result
    gaussians, near = scene_near_grid(gaussians, grid)
    gaussians = gaussians.to(torch.float32)
    shape = (math.prod(gaussians.batch_shape), *grid.shape)
    flat = result.labels.view(shape), result.confidence.view(shape)
    if backend == "cuda":
        from gsocc_core.splat.voxels.cuda import SplatOptions, labels_cuda

        options = SplatOptions(near, composition, cutoff, support)
        labels_cuda(flat_scenes(gaussians), options, threshold, classes, *flat)
        return result
    scenes = scenes_in_grid(gaussians, near, cutoff)
    for b, (labels, confidence) in enumerate(zip(*flat)):
        labels_cpu(scenes.scene(b), near, composition, cutoff, support, threshold, classes, labels, confidence)
    return result


def _result(gaussians: Gaussians, grid: VoxelGrid, classes: ClassTable, out: SemanticGrid | None) -> SemanticGrid:
    shape, where = (*gaussians.batch_shape, *grid.shape), "splat_to_labels"
    device = gaussians.means.device
    if out is None:
        labels = torch.empty(shape, dtype=torch.uint8, device=device)
        return SemanticGrid(labels, grid, classes, torch.empty(shape, device=device))
    if out.grid != grid or out.classes != classes or out.confidence is None:
        raise ShapeError(where, "out", "the same grid and class table, and a confidence", out.grid)
    check_buffer(where, "out.labels", out.labels, shape, torch.empty(0, dtype=torch.uint8, device=device))
    check_buffer(where, "out.confidence", out.confidence, shape, torch.empty(0, device=device))
    return out


def _labels_of_field(field: VoxelField, composition: Composition, threshold: float, result: SemanticGrid) -> None:
    """The definition, from a whole volume."""
    occupancy = -torch.expm1(-field.density) if composition == "hazard" else field.density.clamp(max=1.0)
    full = (field.density > 0) & (occupancy >= threshold)
    ids = class_ids(result.classes, field.density.device)
    result.labels.copy_(torch.where(full, ids[field.features.argmax(-1)], result.classes.free_id))
    assert result.confidence is not None
    result.confidence.copy_(torch.where(full, occupancy, 1.0 - occupancy))
