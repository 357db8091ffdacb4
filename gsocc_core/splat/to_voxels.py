# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""splat_to_voxels: a set of Gaussians becomes density and features on a voxel grid."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from gsocc_core.errors import ShapeError
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.voxels import VoxelField, VoxelGrid
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
from gsocc_core.splat.voxels.cpu import chosen_voxels_cpu, voxels_cpu
from gsocc_core.splat.voxels.reference import voxels_reference


def splat_to_voxels(
    gaussians: Gaussians,
    grid: VoxelGrid,
    *,
    composition: Composition = "sum",
    cutoff: float = 3.0,
    support: Support = "ellipsoid",
    backend: Backend = "auto",
    out: VoxelField | None = None,
) -> VoxelField:
    """Add up Gaussians at the voxel centres.

    With o the opacity, f the features and phi(x) = exp(-1/2 d^T Sigma^-1 d), d = x - mean, zero outside the support:

    * ``sum``: density = sum o phi, features = sum o phi f / sum o phi (opacity takes part in the vote).
    * ``hazard``: density holds z = sum o phi, so that occupancy = 1 - exp(-z); features as in ``sum``.
    * ``sum_unweighted``: density = sum o phi, features = sum phi f (GaussianFlowOcc's vote, Boeder et al. 2025).
    * ``mean``: with n the number of Gaussians whose support holds the voxel, density = 1/n sum o phi and
      features = 1/n sum o f over them, which do not decay with the distance (GaussTR 1.0, Jiang et al. 2025, with the
      ellipsoid of cutoff sqrt(7.5)).

    Where the density is zero the features are zero (``sum_unweighted`` and ``mean``: where no Gaussian reaches).
    Differentiable for means, scales, quats, opacities and features; gradients hold the support, and so n, fixed.
    Standard deviations below 1e-6 m count as 1e-6 m. Results do not depend on the number of threads, and on the same
    GPU repeat bit by bit.

    Args:
        gaussians: (..., N) Gaussians in the ego frame, metres. N may be 0. Means far from the origin (UTM) want
            float64: they are moved near the grid before anything is rounded.
        grid: Where to evaluate; ``T_ego_grid`` is honoured.
        composition: See above.
        cutoff: Size of the support in standard deviations.
        support: ``ellipsoid``: Mahalanobis distance <= cutoff; ``box``: inside mean +- cutoff * sqrt(diag Sigma), along
            the grid's axes; ``box_voxels``: the same box rounded outward to whole voxels, from the one that holds its
            lower corner to the one that holds its upper corner (GaussTR). All voxel centres there count, also those
            outside the box, and small Gaussians do not slip between the centres.
        backend: ``auto`` picks ``cpu`` (numba) or ``cuda`` (Triton) by the device of the means; both compute in
            float32 and count values phi and densities below 1e-36 as zero. ``reference`` is plain PyTorch in the dtype
            given. ``cuda`` never waits for the GPU, so that a CUDA graph can hold it; therefore it leaves out Gaussians
            that hold NaN or infinity instead of raising.
        out: Field whose tensors receive the result, for inference: no gradient flows through it. Same grid,
            contiguous, float32 for ``cpu`` and ``cuda``.

    Returns:
        density (..., X, Y, Z) and features (..., X, Y, Z, C).

    Raises:
        ShapeError: a field holds NaN or infinity (not with ``cuda``), or ``out`` does not fit.
        ConfigError: an unknown option.
        GsoccError: the backend cannot run here.

    Example:
        >>> quats = torch.tensor([[1.0, 0, 0, 0]])
        >>> one = Gaussians(torch.zeros(1, 3), torch.ones(1, 3), quats, torch.ones(1), torch.full((1, 2), 5.0))
        >>> field = splat_to_voxels(one, VoxelGrid((-1.5,) * 3, (1.5,) * 3, 1.0))
        >>> field.density[1, 1, 1].item(), field.features[0, 1, 1].tolist()
        (1.0, [5.0, 5.0])
    """
    where = "splat_to_voxels"
    check_choice(where, "composition", composition, Composition)
    check_choice(where, "support", support, Support)
    check_cutoff(where, cutoff)
    backend = resolve_backend(where, backend, gaussians.means.device)
    if backend != "cuda":
        check_finite(where, gaussians)  # on the GPU the host would have to wait for the answer
    gaussians, near = scene_near_grid(gaussians, grid)
    if backend != "reference":
        gaussians = gaussians.to(torch.float32)
    count, channels = math.prod(gaussians.batch_shape), gaussians.features.shape[-1]
    buffers: tuple[Tensor, Tensor] | None = None
    if out is not None:
        _check_out(gaussians, grid, out)
        buffers = out.density.view(count, *grid.shape), out.features.view(count, *grid.shape, channels)
    if backend == "cuda":
        from gsocc_core.splat.voxels.cuda import SplatOptions, voxels_cuda

        options = SplatOptions(near, composition, cutoff, support)
        density, features = voxels_cuda(flat_scenes(gaussians), options, buffers)
    elif backend == "cpu":
        scenes = scenes_in_grid(gaussians, near, cutoff)
        density, features = voxels_cpu(scenes, near, composition, cutoff, support, buffers)
    else:
        scenes = scenes_in_grid(gaussians, near, cutoff)
        density, features = voxels_reference(scenes, near, composition, cutoff, support)
        if buffers is not None:
            buffers[0].copy_(density.detach())
            buffers[1].copy_(features.detach())
    if out is not None:
        return out
    shape = (*gaussians.batch_shape, *grid.shape)
    return VoxelField(density.view(shape), features.view(*shape, channels), grid)


def splat_at_voxels(
    gaussians: Gaussians,
    grid: VoxelGrid,
    voxels: Tensor,
    *,
    composition: Composition = "sum",
    cutoff: float = 3.0,
    support: Support = "ellipsoid",
    backend: Backend = "auto",
) -> tuple[Tensor, Tensor]:
    """:func:`splat_to_voxels` of those voxels alone that somebody asks for, as a loss does.

    On the CPU the cost is that of the voxels that are asked for, and no volume of features exists; other backends, and
    ``mean``, compute all and pick.

    Args:
        gaussians: (B, N) Gaussians in the ego frame, metres.
        grid: Where to evaluate.
        voxels: (B, X, Y, Z) uint8: 0 = nothing, 1 = the density, 2 = density and features.
        composition: As there.
        cutoff: As there.
        support: As there.
        backend: As there.

    Returns:
        density (B, X, Y, Z), 0 where nothing is asked, and features (S, C) in the order of ``(voxels == 2).nonzero()``.

    Raises:
        ShapeError: a field holds NaN or infinity (not with ``cuda``), or ``voxels`` does not fit.
        ConfigError: an unknown option.
        GsoccError: the backend cannot run here.

    Example:
        >>> quats = torch.tensor([[[1.0, 0, 0, 0]]])
        >>> five = torch.full((1, 1, 2), 5.0)
        >>> one = Gaussians(torch.zeros(1, 1, 3), torch.ones(1, 1, 3), quats, torch.ones(1, 1), five)
        >>> voxels = torch.zeros(1, 3, 3, 3, dtype=torch.uint8)
        >>> voxels[0, 1, 1] = torch.tensor([0, 2, 1])
        >>> density, features = splat_at_voxels(one, VoxelGrid((-1.5,) * 3, (1.5,) * 3, 1.0), voxels)
        >>> [round(v, 3) for v in density[0, 1, 1].tolist()], features.tolist()
        ([0.0, 1.0, 0.607], [[5.0, 5.0]])
    """
    where, shape = "splat_at_voxels", (*gaussians.batch_shape, *grid.shape)
    if len(shape) != 4 or tuple(voxels.shape) != shape or voxels.dtype != torch.uint8:
        raise ShapeError(where, "voxels", (("B", *grid.shape), torch.uint8), (tuple(voxels.shape), voxels.dtype))
    options: dict[str, Any] = {"composition": composition, "cutoff": cutoff, "support": support}
    if resolve_backend(where, backend, gaussians.means.device) != "cpu" or composition == "mean":
        field = splat_to_voxels(gaussians, grid, backend=backend, **options)
        return torch.where(voxels > 0, field.density, 0.0), field.features[voxels == 2]
    check_choice(where, "composition", composition, Composition)
    check_choice(where, "support", support, Support)
    check_cutoff(where, cutoff)
    check_finite(where, gaussians)
    gaussians, near = scene_near_grid(gaussians, grid)
    scenes = scenes_in_grid(gaussians.to(torch.float32), near, cutoff)
    return chosen_voxels_cpu(scenes, near, composition, cutoff, support, voxels)


def _check_out(gaussians: Gaussians, grid: VoxelGrid, out: VoxelField) -> None:
    where = "splat_to_voxels"
    if out.grid != grid:
        raise ShapeError(where, "out.grid", grid, out.grid)
    shape = (*gaussians.batch_shape, *grid.shape)
    check_buffer(where, "out.density", out.density, shape, gaussians.means)
    check_buffer(where, "out.features", out.features, (*shape, gaussians.features.shape[-1]), gaussians.means)
