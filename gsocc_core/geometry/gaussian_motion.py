# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Gaussians in another frame, or in another unit of length."""

from __future__ import annotations

from torch import Tensor

from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.rigid import multiply_quats, rotmat_to_quat, transform_points
from gsocc_core.geometry.spherical_harmonics import rotate_sh


def move_gaussians(gaussians: Gaussians, T_new_old: Tensor, scale: float = 1.0) -> Gaussians:
    """The same Gaussians seen from another frame: first scaled about the old origin, then moved and turned.

    Args:
        gaussians: (N) in the old frame.
        T_new_old: (4, 4) rigid transform from the old frame into the new one, in the new unit of length.
        scale: New units of length in one old unit, above 0.

    Returns:
        (N) in the new frame; velocities and view-dependent colours turn along, features do not change.
    """
    T = T_new_old.to(gaussians.means)
    R = T[:3, :3]
    velocities, colors = gaussians.velocities, gaussians.colors_sh
    return gaussians.replace(
        means=transform_points(T, gaussians.means * scale),
        scales=gaussians.scales * scale,
        quats=multiply_quats(rotmat_to_quat(R).expand(*gaussians.quats.shape), gaussians.quats),
        velocities=None if velocities is None else velocities * scale @ R.T,
        colors_sh=None if colors is None else rotate_sh(colors, R),
    )
