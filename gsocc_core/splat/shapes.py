# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What scales and quaternions mean for a splat: whitening matrices and tight boxes, in the frame of a grid."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from gsocc_core.geometry.constants import constant
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.rigid import quat_to_rotmat
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.splat.options import Support

#: Smallest standard deviation that the operators work with, metres; smaller (also zero or negative) ones are raised
#: to it and get no gradient.
MIN_SCALE_M = 1e-6
#: The kernels count weights and densities below this as zero: beyond it float32 has no numbers to go on with.
MIN_WEIGHT = 1e-36
#: Squared Mahalanobis distance at which a weight falls to :data:`MIN_WEIGHT`.
MAX_DISTANCE2 = 165.0


class VoxelScenes(NamedTuple):
    """B scenes as the voxel backends want them, in the grid's frame.

    Attributes:
        means: (B, N, 3) metres.
        whitening: (B, N, 3, 3) matrices A with |A d| the Mahalanobis distance of an offset d.
        half_extents: (B, N, 3) metres, half edges of the tight box of the cut-off ellipsoid; without gradient.
        opacities: (B, N).
        features: (B, N, C).
    """

    means: Tensor
    whitening: Tensor
    half_extents: Tensor
    opacities: Tensor
    features: Tensor

    def scene(self, index: int) -> VoxelScenes:
        """One scene, without the batch dimension."""
        return VoxelScenes(*(value[index] for value in self))


def squared_reach(cutoff: float, support: Support) -> float:
    """Squared Mahalanobis distance beyond which the kernels count a weight as zero, whatever the cutoff.

    Args:
        cutoff: Standard deviations.
        support: See :func:`gsocc_core.splat_to_voxels`; a box holds what its edges do not cut off.

    Example:
        >>> squared_reach(3.0, "ellipsoid"), squared_reach(3.0, "box"), squared_reach(1e200, "ellipsoid")
        (9.0, 165.0, 165.0)
    """
    return min(squared_cover(cutoff, support), MAX_DISTANCE2)


def squared_cover(cutoff: float, support: Support) -> float:
    """Squared Mahalanobis distance up to which a Gaussian covers a voxel, worth something there or not.

    Args:
        cutoff: Standard deviations.
        support: See :func:`gsocc_core.splat_to_voxels`; a box covers whatever lies between its edges.

    Example:
        >>> squared_cover(3.0, "ellipsoid"), squared_cover(20.0, "ellipsoid"), squared_cover(3.0, "box_voxels")
        (9.0, 400.0, inf)
    """
    # Kernels take it as float32, to which larger finite numbers are no numbers.
    return cutoff * cutoff if support == "ellipsoid" and cutoff < 1e18 else math.inf


def flat_scenes(gaussians: Gaussians) -> Gaussians:
    """(B, N) Gaussians out of (..., N): all batch dimensions flattened into one, also where there is none."""
    leading = gaussians.batch_shape
    return gaussians.map(lambda value: value.reshape(math.prod(leading), *value.shape[len(leading) :]))


def scenes_in_grid(gaussians: Gaussians, grid: VoxelGrid, cutoff: float) -> VoxelScenes:
    """Turn scales and quaternions into whitening matrices and boxes, seen from the grid's own frame.

    Sigma = R S^2 R^T (Kerbl et al. 2023, eq. 6) with R orthogonal and S diagonal, so A = S^-1 R^T fulfils
    Sigma^-1 = A^T A and nothing is inverted. The tight box of |A d| <= cutoff has half edges cutoff * sqrt(Sigma_ii).

    Args:
        gaussians: (..., N) Gaussians in the ego frame.
        grid: The grid, with or without ``T_ego_grid``.
        cutoff: Standard deviations.

    Returns:
        The scenes, with all batch dimensions flattened into one.
    """
    means, rotation = gaussians.means, quat_to_rotmat(gaussians.quats)
    scales = gaussians.scales.clamp(min=MIN_SCALE_M)
    if grid.T_ego_grid is not None:
        T_ego_grid = constant(tuple(map(tuple, grid.T_ego_grid_matrix.tolist())), means)
        rotation_ego_grid = T_ego_grid[:3, :3]
        means = (means - T_ego_grid[:3, 3]) @ rotation_ego_grid  # R^T (x - t), written for row vectors
        rotation = rotation_ego_grid.transpose(-1, -2) @ rotation
    whitening = rotation.transpose(-1, -2) / scales[..., :, None]
    with torch.no_grad():
        half_extents = cutoff * (rotation * scales[..., None, :]).square().sum(-1).sqrt()
    batch_shape = gaussians.batch_shape
    flat = [
        value.reshape(math.prod(batch_shape), *value.shape[len(batch_shape) :])
        for value in (means, whitening, half_extents, gaussians.opacities, gaussians.features)
    ]
    return VoxelScenes(*flat)
