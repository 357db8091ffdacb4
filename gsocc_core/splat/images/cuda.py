# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Gaussians to pictures on CUDA: a thin layer over gsplat."""

from __future__ import annotations

import torch
from torch import Tensor

from gsocc_core.errors import ConfigError
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.splat.images.projection import LOW_PASS_PX2


def rasterize_cuda(gaussians: Gaussians, cameras: Cameras, near: float, far: float) -> tuple[Tensor, Tensor, Tensor]:
    """Render one scene (N) into V cameras with gsplat.

    Args:
        gaussians: N Gaussians on a CUDA device.
        cameras: V undistorted cameras.
        near: Nearest depth kept, metres.
        far: Farthest depth kept, metres.

    Returns:
        features (V, H, W, C), accumulated depth (V, H, W) and alpha (V, H, W).

    Raises:
        ConfigError: there is no CUDA device, or gsplat is not installed.
    """
    if not torch.cuda.is_available() or gaussians.means.device.type != "cuda":
        raise ConfigError("splat_to_image", "backend", "cuda tensors on a machine with a GPU", gaussians.means.device)
    try:
        from gsplat import rasterization
    except ImportError as error:
        raise ConfigError("splat_to_image", "backend", "gsplat (pip install 'gsocc[cuda]')", error) from error
    colors, alphas, _ = rasterization(
        gaussians.means, torch.nn.functional.normalize(gaussians.quats, dim=-1), gaussians.scales, gaussians.opacities,
        gaussians.features, cameras.viewmats, cameras.intrinsics, cameras.width, cameras.height, near_plane=near,
        far_plane=far, eps2d=LOW_PASS_PX2, render_mode="RGB+D", packed=False,
        camera_model="ortho" if cameras.model == "orthographic" else "pinhole",
    )  # fmt: skip
    return colors[..., :-1], colors[..., -1], alphas[..., 0]
