# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Gaussians in the picture: EWA projection (Zwicker et al. 2001) with gsplat's conventions, differentiable."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.rigid import quat_to_rotmat
from gsocc_core.splat.shapes import MIN_SCALE_M

LOW_PASS_PX2 = 0.3  # added to the 2D covariance, gsplat's eps2d
MIN_ALPHA = 1.0 / 255.0
MAX_ALPHA = 0.999
MIN_TRANSMITTANCE = 1e-4


@dataclass(frozen=True)
class Projected:
    """N Gaussians in M pictures.

    Attributes:
        means2d: (M, N, 2) pixels.
        conics: (M, N, 3) inverse 2D covariance xx, xy, yy, 1/pixels^2.
        depths: (M, N) metres along the optical axis.
        radii: (M, N, 2) half widths of the box in which alpha reaches 1/255, pixels; 0 = not in the picture. No
            gradient.
    """

    means2d: Tensor
    conics: Tensor
    depths: Tensor
    radii: Tensor


def project(gaussians: Gaussians, cameras: Cameras, near: float, far: float) -> Projected:
    """Project one scene (N) into V cameras.

    Args:
        gaussians: N Gaussians in the reference ego frame.
        cameras: V undistorted pinhole or orthographic cameras.
        near: Nearest depth kept, metres.
        far: Farthest depth kept, metres.

    Returns:
        The projections, with M = V.
    """
    view = cameras.viewmats  # (V, 4, 4)
    rotation, translation = view[:, :3, :3], view[:, :3, 3]
    # All products of small matrices are written as one large matrix product or as sums of elements: batched 3x3
    # multiplication is slow on a CPU.
    n, count = len(gaussians), len(rotation)
    points = (gaussians.means @ rotation.reshape(-1, 3).T).view(n, count, 3).transpose(0, 1) + translation[:, None]
    half = quat_to_rotmat(gaussians.quats) * gaussians.scales.clamp(min=MIN_SCALE_M)[:, None, :]  # (N, 3, 3)
    half_cam = (rotation.reshape(-1, 3) @ half.transpose(0, 1).reshape(3, 3 * n)).view(count, 3, n, 3)  # (V, 3, N, 3)
    x, y, z = points.unbind(-1)
    kept = (z > near) & (z < far)
    fx, fy = cameras.intrinsics[:, 0, 0, None], cameras.intrinsics[:, 1, 1, None]
    cx, cy = cameras.intrinsics[:, 0, 2, None], cameras.intrinsics[:, 1, 2, None]
    if cameras.model == "orthographic":
        means2d = torch.stack([fx * x + cx, fy * y + cy], dim=-1)
        row_u = fx[..., None] * half_cam[:, 0]
        row_v = fy[..., None] * half_cam[:, 1]
    else:
        inverse_z = 1.0 / torch.where(kept, z, torch.ones_like(z))
        ratio_x, ratio_y = x * inverse_z, y * inverse_z
        means2d = torch.stack([fx * ratio_x + cx, fy * ratio_y + cy], dim=-1)
        # The linearisation is held at the picture's border plus 15 % of its width, as gsplat does.
        margin_x, margin_y = 0.15 * cameras.width / fx, 0.15 * cameras.height / fy
        held_x = ratio_x.clamp(-cx / fx - margin_x, (cameras.width - cx) / fx + margin_x)
        held_y = ratio_y.clamp(-cy / fy - margin_y, (cameras.height - cy) / fy + margin_y)
        row_u = (fx * inverse_z)[..., None] * (half_cam[:, 0] - held_x[..., None] * half_cam[:, 2])
        row_v = (fy * inverse_z)[..., None] * (half_cam[:, 1] - held_y[..., None] * half_cam[:, 2])
    xx = row_u.square().sum(-1) + LOW_PASS_PX2
    yy = row_v.square().sum(-1) + LOW_PASS_PX2
    xy = (row_u * row_v).sum(-1)
    determinant = xx * yy - xy * xy
    kept = kept & (determinant > 0)
    inverse = 1.0 / torch.where(kept, determinant, torch.ones_like(determinant))
    conics = torch.stack([yy * inverse, -xy * inverse, xx * inverse], dim=-1)
    with torch.no_grad():
        reach = (2.0 * torch.log((gaussians.opacities / MIN_ALPHA).clamp(min=1.0))).sqrt()  # in standard deviations
        radii = torch.stack([reach * xx.sqrt(), reach * yy.sqrt()], dim=-1)
        u, v = means2d.unbind(-1)
        ru, rv = radii.unbind(-1)
        kept = kept & (u + ru > 0) & (u - ru < cameras.width) & (v + rv > 0) & (v - rv < cameras.height)
        radii = torch.where(kept[..., None] & (reach > 0)[..., None], radii, torch.zeros_like(radii))
    return Projected(means2d, conics, z, radii)
