# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Gaussians to pictures on an NVIDIA GPU: a thin layer over gsplat 1.5."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from gsocc_core.errors import ConfigError
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.splat.images.rules import LOW_PASS_PX2


def images_cuda(gaussians: Gaussians, cameras: Cameras, near: float, far: float) -> tuple[Tensor, Tensor, Tensor]:
    """Render one scene into V cameras.

    Args:
        gaussians: (N,) Gaussians on the GPU.
        cameras: (V,) undistorted cameras on the GPU.
        near: Metres.
        far: Metres.

    Returns:
        sum of w f (V, H, W, C), sum of w z (V, H, W) metres and sum of w (V, H, W).

    Raises:
        ConfigError: gsplat is not installed.
    """
    try:
        from gsplat import rasterization
    except ImportError as error:
        raise ConfigError("splat_to_image", "backend", "gsplat (pip install 'gsocc[cuda]')", error) from error
    pictures, alphas, _ = rasterization(
        means=gaussians.means,
        quats=functional.normalize(gaussians.quats, dim=-1),
        scales=gaussians.scales,
        opacities=gaussians.opacities,
        colors=gaussians.features,
        viewmats=cameras.viewmats,
        Ks=cameras.intrinsics,
        width=cameras.width,
        height=cameras.height,
        near_plane=near,
        far_plane=far,
        eps2d=LOW_PASS_PX2,
        render_mode="RGB+D",
        packed=False,
        camera_model="ortho" if cameras.model == "orthographic" else "pinhole",
    )
    return pictures[..., :-1], pictures[..., -1], alphas[..., 0]
