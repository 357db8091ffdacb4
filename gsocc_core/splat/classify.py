# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""classify_voxels: labels out of voxels whose features are class shares, without classes that win nowhere."""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor

from gsocc_core.errors import ConfigError, ShapeError
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.voxels import SemanticGrid, VoxelField
from gsocc_core.splat import classify_kernels
from gsocc_core.splat.threads import parallel_kernels


@functools.lru_cache(maxsize=16)
def class_ids(classes: ClassTable, device: torch.device) -> Tensor:
    """(C,) uint8 class of every channel on a device; kept, because an upload would wait for the host."""
    return torch.tensor(classes.channel_ids, dtype=torch.uint8, device=device)


@torch.no_grad()
def classify_voxels(
    field: VoxelField,
    classes: ClassTable,
    *,
    threshold: float,
    temperature: float = 100.0,
    least: float = 0.1,
    faint: float = 1e-6,
) -> SemanticGrid:
    """The class of the largest feature channel per voxel, channels left out that come out on top nowhere (GaussTR).

    GaussTR's prompt denoising (Jiang et al. 2025): with g the features, times density / ``faint`` where the density is
    below ``faint``, a channel counts only in a scene in which softmax(``temperature`` g) of it reaches ``least`` in
    some voxel, occupied or not. Several channels may stand for one class (``classes.channel_to_id``), one of them also
    for free space, as prompts do that mean the sky.

    Occupancy is min(density, 1). A voxel whose occupancy is below the threshold, or whose density is 0, is free. Every
    other one takes the class of its largest channel that counts, the first one of equals; where none counts, that of
    channel 0. The confidence is the occupancy where it reaches the threshold, and 1 - occupancy elsewhere.

    On the CPU a numba kernel passes once over the volume and computes a softmax only where it can decide something;
    elsewhere, and for other types than float32, it is plain PyTorch, which never waits for a GPU.

    Args:
        field: (..., X, Y, Z) density and features of C channels, finite, as :func:`gsocc_core.splat_to_voxels` gives
            them; where the density is 0 the features count as 0.
        classes: Class table of the result; channel c stands for class ``classes.channel_ids[c]``.
        threshold: Smallest occupancy of an occupied voxel, 0..1.
        temperature: Factor of the features before the softmax.
        least: Share that a channel must reach somewhere; 0 = all channels count.
        faint: Density below which features fade; GaussTR divides sums by no less than 1e-6. 0 = never, as for
            composition ``mean``.

    Returns:
        labels (..., X, Y, Z) with confidence.

    Raises:
        ShapeError: the number of channels differs from the table's.
        ConfigError: a threshold or share outside 0..1, or a temperature or density that is not positive.

    Example:
        >>> from gsocc_core import VoxelGrid
        >>> table = ClassTable(("car", "road", "free"), ((0, 0, 0),) * 3, free_id=2, channel_to_id=(0, 0, 1))
        >>> shares = torch.tensor([[0.40, 0.38, 0.22], [0.2, 0.5, 0.3], [0.1, 0.1, 0.8]]).view(3, 1, 1, 3)
        >>> grid = VoxelGrid((0.0, 0.0, 0.0), (3.0, 1.0, 1.0), 1.0)
        >>> field = VoxelField(torch.tensor([0.5, 0.5, 0.01]).view(3, 1, 1), shares, grid)
        >>> classify_voxels(field, table, threshold=0.04).labels.flatten().tolist()
        [0, 0, 2]
    """
    where = "classify_voxels"
    channels = field.features.shape[-1]
    if channels != len(classes.channel_ids):
        raise ShapeError(where, "features", f"{len(classes.channel_ids)} channels, as in the class table", channels)
    for key, value in (("threshold", threshold), ("least", least)):
        if not 0 <= value <= 1:
            raise ConfigError(where, key, "a number in 0..1", value)
    if not (math.isfinite(temperature) and temperature > 0):
        raise ConfigError(where, "temperature", "a positive number", temperature)
    if not (math.isfinite(faint) and faint >= 0):
        raise ConfigError(where, "faint", "a density of 0 or more", faint)
    shape = field.density.shape
    flat = (
        field.density.detach().reshape(-1, math.prod(shape[-3:])),
        field.features.detach().reshape(-1, math.prod(shape[-3:]), channels),
    )
    options = threshold, temperature, least, faint
    if field.density.device.type == "cpu" and field.density.dtype == field.features.dtype == torch.float32:
        labels, confidence = _classify_cpu(*flat, classes, *options)
    else:
        labels, confidence = classify_reference(*flat, classes, *options)
    return SemanticGrid(labels.view(shape), field.grid, classes, confidence.view(shape))


def classify_reference(
    density: Tensor,
    features: Tensor,
    classes: ClassTable,
    threshold: float,
    temperature: float,
    least: float,
    faint: float,
) -> tuple[Tensor, Tensor]:
    """The definition in plain PyTorch.

    Args:
        density: (B, V).
        features: (B, V, C).
        classes: See :func:`classify_voxels`; likewise all others.
        threshold: .
        temperature: .
        least: .
        faint: .

    Returns:
        labels (B, V) uint8 and confidence (B, V) float32.
    """
    some = density > 0
    fade = (density / faint).clamp(max=1.0) if faint > 0 else some.to(density.dtype)
    seen = torch.where(some[..., None], features, 0.0) * fade[..., None]
    kept = (temperature * seen).softmax(-1).amax(-2, keepdim=True) >= least  # (B, 1, C)
    best = torch.where(kept, features, -torch.inf).argmax(-1)
    occupancy = density.clamp(max=1.0)
    full = some & (occupancy >= threshold)
    labels = torch.where(full, class_ids(classes, density.device)[best], classes.free_id).to(torch.uint8)
    return labels, torch.where(full, occupancy, 1.0 - occupancy).float()


def _classify_cpu(
    density: Tensor,
    features: Tensor,
    classes: ClassTable,
    threshold: float,
    temperature: float,
    least: float,
    faint: float,
) -> tuple[Tensor, Tensor]:
    scenes, voxels, channels = features.shape
    labels, confidence = np.empty((scenes, voxels), np.uint8), np.empty((scenes, voxels), np.float32)
    ids, kept = np.asarray(classes.channel_ids, np.uint8), np.ones(channels, bool)

    def run(b: int, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        present, won = np.zeros(channels, bool), np.zeros(channels, bool)
        with parallel_kernels():
            classify_kernels.classify(
                density[b].contiguous().numpy(), features[b].contiguous().numpy(), kept, float(temperature),
                float(least), float(faint), float(threshold), ids, classes.free_id, labels[b], confidence[b], present,
                won,
            )  # fmt: skip
        return present, won

    for b in range(scenes):
        present, won = run(b, kept)
        # What wins a voxel but is present nowhere has almost equals there, so a second pass is rarely needed.
        if (won & ~present).any():
            run(b, present)
    return torch.from_numpy(labels), torch.from_numpy(confidence)
