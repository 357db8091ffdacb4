# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The operator from Gaussians straight to labels: what inference needs, without the volume of class channels."""

from __future__ import annotations

import math

import torch

from gsocc_core.errors import ConfigError, ShapeError
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.voxels import SemanticGrid, VoxelGrid
from gsocc_core.splat.options import Backend, Composition, Support, half_extents, to_grid_frame, whitening
from gsocc_core.splat.to_voxels import check_splat_options, choose_voxel_backend, splat_to_voxels


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
    """Label every voxel: the class with the largest summed feature where occupied, else free.

    Occupancy is min(density, 1), or 1 - exp(-density) for ``hazard``; a voxel is occupied from ``threshold`` on.
    Confidence is the occupancy of occupied voxels and 1 - occupancy of free ones: how sure the scene is of occupied
    against free, not of the class.

    Args:
        gaussians: Gaussians (..., N); feature channel c votes for class ``classes.channel_ids[c]``.
        grid: Where to evaluate.
        classes: What the channels and ids mean.
        composition: See :func:`gsocc_core.splat_to_voxels`.
        threshold: Smallest occupancy of an occupied voxel, 0..1.
        cutoff: Reach of a Gaussian in standard deviations.
        support: See :func:`gsocc_core.splat_to_voxels`.
        backend: See :func:`gsocc_core.splat_to_voxels`.
        out: Write into these buffers (labels and confidence; ``cpu`` backend) instead of new ones.

    Returns:
        Labels (..., X, Y, Z) with confidence.

    Raises:
        ShapeError: NaN or infinity in a field, the channels do not fit the classes, or ``out`` does not fit.
        ConfigError: unknown option.
    """
    where = "splat_to_labels"
    check_splat_options(where, gaussians, composition, cutoff, support)
    if not 0 <= threshold <= 1:
        raise ConfigError(where, "threshold", "a number in 0..1", threshold)
    channels = gaussians.features.shape[-1]
    if channels != len(classes.channel_ids):
        raise ShapeError(where, "features", f"{len(classes.channel_ids)} channels, one per class", channels)
    if choose_voxel_backend(where, backend, gaussians) == "reference":
        return _labels_from_field(gaussians, grid, classes, composition, threshold, cutoff, support)

    from gsocc_core.splat.voxels.cpu import labels_cpu

    batch = gaussians.batch_shape
    expected = (*batch, *grid.shape)
    if out is None:
        labels, confidence = torch.empty(expected, dtype=torch.uint8), torch.empty(expected)
    elif out.confidence is None or tuple(out.labels.shape) != expected or not out.labels.is_contiguous():
        raise ShapeError(where, "out", f"labels and confidence {expected}, contiguous", tuple(out.labels.shape))
    else:
        labels, confidence = out.labels, out.confidence
    local = to_grid_frame(gaussians, None if grid.T_ego_grid is None else gaussians.means.new_tensor(grid.T_ego_grid))
    flat = local.map(lambda t: t.detach().reshape(math.prod(batch), *t.shape[len(batch) :]))
    flat_labels, flat_confidence = labels.view(-1, *grid.shape), confidence.view(-1, *grid.shape)
    for i in range(math.prod(batch)):
        scene = flat.map(lambda t, i=i: t[i])
        labels_cpu(
            scene.means, whitening(scene), half_extents(scene, cutoff), scene.opacities, scene.features, grid,
            cutoff=cutoff, box=support == "box", unweighted=composition == "sum_unweighted",
            hazard=composition == "hazard", threshold=threshold, channel_ids=classes.channel_ids,
            free_id=classes.free_id, out=(flat_labels[i], flat_confidence[i]),
        )  # fmt: skip
    return SemanticGrid(labels, grid, classes, confidence)


def _labels_from_field(
    gaussians: Gaussians,
    grid: VoxelGrid,
    classes: ClassTable,
    composition: Composition,
    threshold: float,
    cutoff: float,
    support: Support,
) -> SemanticGrid:
    field = splat_to_voxels(
        gaussians, grid, composition=composition, cutoff=cutoff, support=support, backend="reference"
    )
    occupancy = -torch.expm1(-field.density) if composition == "hazard" else field.density.clamp(max=1.0)
    occupied = (occupancy >= threshold) & (field.density > 0)
    ids = torch.tensor(classes.channel_ids, dtype=torch.uint8, device=field.density.device)
    free = torch.tensor(classes.free_id, dtype=torch.uint8, device=field.density.device)
    labels = torch.where(occupied, ids[field.features.argmax(-1)], free)
    confidence = torch.where(occupied, occupancy, 1 - occupancy).detach()
    return SemanticGrid(labels, grid, classes, confidence)
