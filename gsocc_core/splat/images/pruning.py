# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Which Gaussians no camera can see, found before the renderer gets them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.rigid import transform_points
from gsocc_core.splat.images.rules import JACOBIAN_MARGIN, LOW_PASS_PX2, MIN_ALPHA

#: Standard deviations within which an opaque Gaussian is not fainter than MIN_ALPHA.
REACH = math.sqrt(-2 * math.log(MIN_ALPHA))


@torch.no_grad()
def may_be_seen(gaussians: Gaussians, cameras: Cameras, near: float, far: float) -> Tensor:
    """Whether a Gaussian can reach a pixel of any camera; never false for one that does.

    A scene with one Gaussian per voxel has millions, most of them empty air or behind the cameras. A Gaussian is out
    when it is too faint everywhere (opacity below 1/255), or when in every camera its mean is nearer than ``near``,
    farther than ``far``, or outside the picture by more than its largest radius: the projected covariance
    J R Sigma R^T J^T has no eigenvalue above sigma_max^2 |J|_F^2 (Kerbl et al. 2023, eq. 5, with the low-pass filter).

    Args:
        gaussians: (N,) Gaussians in the reference ego frame.
        cameras: (V,) undistorted cameras.
        near: Metres.
        far: Metres.

    Returns:
        (N,) bool.
    """
    in_camera = transform_points(cameras.viewmats.to(gaussians.means), gaussians.means)  # (V, N, 3)
    x, y, z = in_camera.unbind(-1)
    K = cameras.intrinsics.to(gaussians.means)
    fx, fy, cx, cy = (K[:, i, j, None] for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    width, height = cameras.width, cameras.height
    inside = (z >= near) & (z <= far)
    if cameras.model == "orthographic":
        u, v = fx * x + cx, fy * y + cy
        jacobian2 = (fx * fx + fy * fy).expand_as(z)
    else:
        safe = torch.where(inside, z, 1.0)
        u, v = fx * x / safe + cx, fy * y / safe + cy
        # The slope at which the Jacobian is taken is clamped beyond the border; see the projection.
        slope_x = torch.maximum(cx, width - cx) / fx.abs() + JACOBIAN_MARGIN * width / fx.abs()
        slope_y = torch.maximum(cy, height - cy) / fy.abs() + JACOBIAN_MARGIN * height / fy.abs()
        tx, ty = (x / safe).abs().minimum(slope_x), (y / safe).abs().minimum(slope_y)
        jacobian2 = (fx * fx * (1 + tx * tx) + fy * fy * (1 + ty * ty)) / (safe * safe)
    largest = gaussians.scales.amax(-1)
    radius = 1.0 + REACH * (largest * largest * jacobian2 + LOW_PASS_PX2).sqrt()
    inside &= (u >= -radius) & (u <= width + radius) & (v >= -radius) & (v <= height + radius)
    return inside.any(0) & (gaussians.opacities >= MIN_ALPHA)
