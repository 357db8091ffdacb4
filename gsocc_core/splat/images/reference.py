# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Gaussians to pictures in plain PyTorch: every Gaussian against every pixel, any dtype and device, slow on purpose."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.splat.images.rules import (
    JACOBIAN_MARGIN,
    LOW_PASS_PX2,
    MAX_ALPHA,
    MIN_ALPHA,
    MIN_TRANSMITTANCE,
)

#: Pixel-Gaussian pairs held at once.
CHUNK_PAIRS = 4_000_000


def images_reference(gaussians: Gaussians, cameras: Cameras, near: float, far: float) -> tuple[Tensor, Tensor, Tensor]:
    """One scene seen by V cameras.

    Args:
        gaussians: (N,) Gaussians in the reference ego frame.
        cameras: (V,) undistorted cameras.
        near: Metres.
        far: Metres.

    Returns:
        sum of w f (V, H, W, C), sum of w z (V, H, W) metres and sum of w (V, H, W).
    """
    pictures = [
        _picture(gaussians, viewmat, K, cameras, near, far) for viewmat, K in zip(cameras.viewmats, cameras.intrinsics)
    ]
    features, depth, alpha = (torch.stack([picture[k] for picture in pictures]) for k in range(3))
    return features, depth, alpha


def count_pairs(gaussians: Gaussians, cameras: Cameras, near: float, far: float) -> int:
    """Number of (pixel, Gaussian) pairs that a picture of one scene is made of: the work of an exact renderer."""
    return sum(
        int((weights > 0).sum())
        for viewmat, K in zip(cameras.viewmats, cameras.intrinsics)
        for weights in _View(gaussians, viewmat, K, cameras, near, far).weights()
    )


def _picture(
    gaussians: Gaussians, viewmat: Tensor, K: Tensor, cameras: Cameras, near: float, far: float
) -> tuple[Tensor, Tensor, Tensor]:
    view = _View(gaussians, viewmat, K, cameras, near, far)
    picture = torch.cat([weights @ view.channels for weights in view.weights()])
    picture = picture.view(cameras.height, cameras.width, -1)
    return picture[..., :-2], picture[..., -2], picture[..., -1]


class _View:
    """What one camera sees, front to back."""

    def __init__(
        self, gaussians: Gaussians, viewmat: Tensor, K: Tensor, cameras: Cameras, near: float, far: float
    ) -> None:
        size = (cameras.height, cameras.width)
        in_camera = gaussians.means @ viewmat[:3, :3].T + viewmat[:3, 3]
        depth = in_camera[:, 2].detach()
        used = torch.nonzero((depth >= near) & (depth <= far))[:, 0]
        used = used[torch.argsort(depth[used], stable=True)]  # equal depths in the order given
        self.uv, covariances = project_gaussians(
            in_camera[used], gaussians.covariances()[used], viewmat, K, size, cameras.model == "orthographic"
        )
        self.inverse, self.opacities = torch.linalg.inv(covariances), gaussians.opacities[used]
        ones = torch.ones_like(self.uv[:, :1])
        self.channels = torch.cat([gaussians.features[used], in_camera[used, 2:], ones], dim=-1)
        rows, columns = torch.meshgrid(*map(torch.arange, size), indexing="ij")
        self.pixels = torch.stack([columns, rows], dim=-1).reshape(-1, 2).to(self.uv) + 0.5

    def weights(self) -> Iterator[Tensor]:
        """Weights (P, n) of the Gaussians, for the pixels in order."""
        for part in self.pixels.split(max(1, CHUNK_PAIRS // max(len(self.uv), 1))):
            yield _weights(part, self.uv, self.inverse, self.opacities)


def _weights(pixels: Tensor, uv: Tensor, inverse: Tensor, opacities: Tensor) -> Tensor:
    """(P, n) weights of n Gaussians, front to back, at pixel centres (P, 2)."""
    offset = uv - pixels[:, None]  # (P, n, 2)
    power = 0.5 * torch.einsum("pni,nij,pnj->pn", offset, inverse, offset)
    alpha = (opacities * torch.exp(-power)).clamp(max=MAX_ALPHA)
    alpha = torch.where(alpha >= MIN_ALPHA, alpha, 0.0)
    behind = torch.cumprod(1 - alpha, dim=-1)
    before = torch.cat([torch.ones_like(behind[:, :1]), behind[:, :-1]], dim=-1)
    return torch.where(behind > MIN_TRANSMITTANCE, alpha * before, 0.0)


def project_gaussians(
    in_camera: Tensor, covariances: Tensor, viewmat: Tensor, K: Tensor, size: tuple[int, int], orthographic: bool
) -> tuple[Tensor, Tensor]:
    """Affine approximation of the projection, "EWA splatting" (Zwicker et al. 2001), Kerbl et al. 2023 eq. 5.

    Args:
        in_camera: (N, 3) means in the camera frame, in front of it, metres.
        covariances: (N, 3, 3) in the reference ego frame.
        viewmat: (4, 4) ``T_cam_ref``.
        K: (3, 3) intrinsics, pixels.
        size: (height, width), pixels.
        orthographic: Parallel projection instead of a pinhole.

    Returns:
        Pixel positions (N, 2) and covariances (N, 2, 2) with the low-pass filter.
    """
    x, y, z = in_camera.unbind(-1)
    fx, fy, center = K[0, 0], K[1, 1], K[:2, 2]
    zero = torch.zeros_like(z)
    if orthographic:
        uv = torch.stack([fx * x, fy * y], -1) + center
        one = torch.ones_like(z)
        rows = [torch.stack([fx * one, zero, zero], -1), torch.stack([zero, fy * one, zero], -1)]
    else:
        uv = torch.stack([fx * x / z, fy * y / z], -1) + center
        slope = []
        for value, focal, middle, length in ((x / z, fx, center[0], size[1]), (y / z, fy, center[1], size[0])):
            margin = JACOBIAN_MARGIN * length
            low, high = (-middle - margin) / focal, (length - middle + margin) / focal
            slope.append(torch.minimum(torch.maximum(value, low), high))
        rows = [
            torch.stack([fx / z, zero, -fx * slope[0] / z], -1),
            torch.stack([zero, fy / z, -fy * slope[1] / z], -1),
        ]
    M = torch.stack(rows, dim=-2) @ viewmat[:3, :3]
    low_pass = LOW_PASS_PX2 * torch.eye(2, dtype=M.dtype, device=M.device)
    return uv, M @ covariances @ M.transpose(-1, -2) + low_pass
