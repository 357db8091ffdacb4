# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The operator from Gaussians to a voxel field."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gsocc_core.errors import ConfigError, ShapeError
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.voxels import VoxelField, VoxelGrid
from gsocc_core.splat.options import (
    Backend,
    Composition,
    Support,
    check_choice,
    check_finite,
    half_extents,
    to_grid_frame,
    whitening,
)


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
    """Evaluate Gaussians at the voxel centres.

    With phi(x) = exp(-d^T Sigma^-1 d / 2), zero beyond the support, opacity o and feature f per Gaussian:

    * ``sum``: density = sum o phi, features = sum o phi f / sum o phi.
    * ``hazard``: density holds z = sum o phi, the occupancy probability is 1 - exp(-z); features as in ``sum``
      (the Poisson rule of LegoOcc).
    * ``sum_unweighted``: density = sum o phi, features = sum phi f (GaussianFlowOcc's class vote).

    Voxels that no Gaussian reaches have density 0 and features 0. Gradients hold the support fixed. Scales below 1e-6 m
    are raised to it.

    Args:
        gaussians: Gaussians (..., N) in the ego frame; C feature channels.
        grid: Where to evaluate.
        composition: How contributions combine.
        cutoff: Reach of a Gaussian in standard deviations.
        support: ``ellipsoid``: Mahalanobis distance <= cutoff. ``box``: within cutoff * sqrt(diag Sigma) on every axis
            of the grid (GaussTR's rule).
        backend: ``reference`` (PyTorch, any dtype and device), ``cpu`` (numba, float32) or ``auto``.
        out: Write into these buffers (float32, CPU, contiguous; ``cpu`` backend) instead of new ones.

    Returns:
        Density (..., X, Y, Z) and features (..., X, Y, Z, C), differentiable in means, scales, quats, opacities and
        features.

    Raises:
        ShapeError: NaN or infinity in a field, or ``out`` does not fit.
        ConfigError: unknown option, or a backend that does not fit the tensors.

    Example:
        >>> grid = VoxelGrid((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0), 1.0)
        >>> quats = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
        >>> g = Gaussians(torch.full((1, 3), 0.5), torch.ones(1, 3), quats, torch.tensor([0.5]), torch.tensor([[2.0]]))
        >>> field = splat_to_voxels(g, grid)
        >>> field.density[1, 1, 1].item(), field.features[1, 1, 1, 0].item()
        (0.5, 2.0)
    """
    check_splat_options("splat_to_voxels", gaussians, composition, cutoff, support)
    chosen = choose_voxel_backend("splat_to_voxels", backend, gaussians)
    batch = gaussians.batch_shape
    expected = (*batch, *grid.shape)
    if out is not None:
        _check_out(out, expected, gaussians.features.shape[-1], chosen)
    local = to_grid_frame(gaussians, None if grid.T_ego_grid is None else gaussians.means.new_tensor(grid.T_ego_grid))
    flat = local.map(lambda t: t.reshape(math.prod(batch), *t.shape[len(batch) :]))
    results = []
    for i in range(math.prod(batch)):
        scene = flat.map(lambda t, i=i: t[i])
        if chosen == "reference":
            from gsocc_core.splat.voxels.reference import voxels_reference

            results.append(voxels_reference(scene, grid, composition, cutoff, support))
        else:
            from gsocc_core.splat.voxels.cpu import SplatToVoxels

            buffers = None
            if out is not None:
                buffers = tuple(
                    t.reshape(math.prod(batch), *t.shape[len(batch) :])[i] for t in (out.density, out.features)
                )
            tensors = (scene.means, whitening(scene), scene.opacities, scene.features)
            results.append(
                SplatToVoxels.apply(
                    *(t.float() for t in tensors),
                    half_extents(scene, cutoff).detach(),
                    grid,
                    cutoff,
                    support == "box",
                    composition == "sum_unweighted",
                    buffers,
                )
            )
    channels = gaussians.features.shape[-1]
    if not results:
        return VoxelField(gaussians.means.new_zeros(expected), gaussians.means.new_zeros((*expected, channels)), grid)
    if out is not None and not torch.is_grad_enabled():
        return VoxelField(out.density, out.features, grid)
    density, features = (_restack([r[k] for r in results], batch) for k in (0, 1))
    return VoxelField(density, features, grid)


def _restack(values: list[Tensor], batch: tuple[int, ...]) -> Tensor:
    # Stacking one scene would copy a volume of 46 MB for nothing.
    stacked = values[0][None] if len(values) == 1 else torch.stack(values)
    return stacked.reshape(*batch, *values[0].shape)


def check_splat_options(where: str, gaussians: Gaussians, composition: str, cutoff: float, support: str) -> None:
    """Raise on unknown options and on non-finite fields; shared by splat_to_voxels and splat_to_labels."""
    check_choice(where, "composition", composition, Composition)
    check_choice(where, "support", support, Support)
    if not (math.isfinite(cutoff) and cutoff > 0):
        raise ConfigError(where, "cutoff", "a positive number of standard deviations", cutoff)
    check_finite(where, gaussians)


def choose_voxel_backend(where: str, backend: Backend, gaussians: Gaussians) -> str:
    """``reference`` or ``cpu``.

    Raises:
        ConfigError: the CPU kernels are asked to read tensors on another device.
    """
    check_choice(where, "backend", backend, Backend)
    on_cpu = gaussians.means.device.type == "cpu"
    if backend == "auto":
        return "cpu" if on_cpu and gaussians.means.dtype != torch.float64 else "reference"
    if backend == "cpu" and not on_cpu:
        raise ConfigError(where, "backend", "tensors on the CPU for backend cpu", gaussians.means.device)
    return "reference" if backend == "cuda" else backend


def _check_out(out: VoxelField, expected: tuple[int, ...], channels: int, backend: str) -> None:
    if backend != "cpu":
        raise ConfigError("splat_to_voxels", "out", "backend cpu", backend)
    for key, value, shape in (("density", out.density, expected), ("features", out.features, (*expected, channels))):
        fits = tuple(value.shape) == shape and value.dtype == torch.float32 and value.is_contiguous()
        if not fits or value.device.type != "cpu":
            raise ShapeError("splat_to_voxels", f"out.{key}", f"{shape} float32 contiguous CPU", tuple(value.shape))
