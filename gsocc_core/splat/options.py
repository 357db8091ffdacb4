# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Options that the operators share, and the checks on their inputs."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from gsocc_core.errors import ConfigError, ShapeError
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.rigid import quat_to_rotmat, rotmat_to_quat

Composition = Literal["sum", "hazard", "sum_unweighted"]
Support = Literal["ellipsoid", "box"]
Backend = Literal["auto", "reference", "cpu", "cuda"]
DepthMode = Literal["expected", "accumulated"]

#: Smallest standard deviation that the operators work with, metres; smaller ones are raised to it.
MIN_SCALE_M = 1e-6


def check_choice(where: str, key: str, value: str, choices: object) -> None:
    """Raise ConfigError unless ``value`` is one of a Literal's choices."""
    if value not in get_args(choices):
        raise ConfigError(where, key, f"one of {get_args(choices)}", value)


def check_finite(where: str, gaussians: Gaussians) -> None:
    """Raise ShapeError when a field holds NaN or infinity: one bad mean would silently empty a whole scene."""
    for name in ("means", "scales", "quats", "opacities", "features"):
        value = getattr(gaussians, name)
        if not bool(torch.isfinite(value).all()):
            count = int((~torch.isfinite(value)).sum())
            raise ShapeError(where, name, "finite numbers", f"{count} NaN or infinite of {value.numel()}")


def whitening(gaussians: Gaussians) -> Tensor:
    """(..., N, 3, 3) matrices A = S^-1 R^T with Sigma^-1 = A^T A, so the Mahalanobis distance of d is |A d|.

    Nothing is inverted: Sigma = R S^2 R^T (Kerbl et al. 2023, eq. 6), R orthogonal, S diagonal.
    """
    rotation = quat_to_rotmat(gaussians.quats)
    return rotation.transpose(-1, -2) / gaussians.scales.clamp(min=MIN_SCALE_M)[..., :, None]


def half_extents(gaussians: Gaussians, cutoff: float) -> Tensor:
    """(..., N, 3) half edge lengths, metres, of the tight box of the cut-off ellipsoid: cutoff * sqrt(diag Sigma)."""
    half = quat_to_rotmat(gaussians.quats) * gaussians.scales.clamp(min=MIN_SCALE_M)[..., None, :]
    return cutoff * half.square().sum(-1).sqrt()


def to_grid_frame(gaussians: Gaussians, T_ego_grid: Tensor | None) -> Gaussians:
    """The same Gaussians seen from the grid's own frame."""
    if T_ego_grid is None:
        return gaussians
    rotation = T_ego_grid[:3, :3]
    means = (gaussians.means - T_ego_grid[:3, 3]) @ rotation  # R^T (x - t), written for row vectors
    grid_quat = rotmat_to_quat(rotation.transpose(-1, -2))
    w0, v0 = grid_quat[0], grid_quat[1:]
    w1, v1 = gaussians.quats[..., :1], gaussians.quats[..., 1:]
    scalar = w0 * w1 - (v1 * v0).sum(-1, keepdim=True)
    vector = w0 * v1 + w1 * v0 + torch.linalg.cross(v0.expand_as(v1), v1)
    return gaussians.replace(means=means, quats=torch.cat([scalar, vector], dim=-1))
