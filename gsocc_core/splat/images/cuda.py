# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Gaussians to pictures on an NVIDIA GPU: a thin layer over gsplat 1.5."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from gsocc_core.errors import ConfigError
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.splat.images.pruning import may_be_seen
from gsocc_core.splat.images.rules import LOW_PASS_PX2

#: From so many Gaussians on, those that no camera can see are taken out first and gsplat lists only visible ones
#: ("packed"); below, both cost more than they save.
PRUNE_FROM = 200_000

Pictures = tuple[Tensor, Tensor, Tensor]


def images_cuda(gaussians: Gaussians, cameras: Cameras, near: float, far: float) -> Pictures:
    """Render B scenes into V cameras each: one call for all, or one per scene where scenes are large.

    Args:
        gaussians: (B, N) Gaussians on the GPU.
        cameras: (B, V) undistorted cameras.
        near: Metres.
        far: Metres.

    Returns:
        sum of w f (B, V, H, W, C), sum of w z (B, V, H, W) metres and sum of w (B, V, H, W).

    Raises:
        ConfigError: gsplat is not installed.
    """
    if len(gaussians) < PRUNE_FROM:
        return _rasterize(gaussians, cameras, near, far, packed=False)
    pictures = []
    for b in range(len(gaussians.opacities)):
        scene, rig = gaussians.map(lambda t, b=b: t[b]), cameras.map(lambda t, b=b: t[b])
        seen = torch.nonzero(may_be_seen(scene, rig, near, far))[:, 0]
        pictures.append(_rasterize(scene.map(lambda t, i=seen: t[i]), rig, near, far, packed=True))
    features, depth, alpha = (torch.stack([picture[k] for picture in pictures]) for k in range(3))
    return features, depth, alpha


def _rasterize(gaussians: Gaussians, cameras: Cameras, near: float, far: float, *, packed: bool) -> Pictures:
    """Draw with gsplat by our rules; any leading dimensions."""
    shape = (*cameras.intrinsics.shape[:-2], cameras.height, cameras.width)
    if not gaussians.opacities.numel():  # gsplat cannot draw nothing
        blank = gaussians.means.new_zeros(shape)
        return gaussians.means.new_zeros((*shape, gaussians.features.shape[-1])), blank, blank.clone()
    try:
        from gsplat import rasterization
    except ImportError as error:
        raise ConfigError("splat_to_image", "backend", "gsplat (pip install gsplat)", error) from error
    pictures, alphas, _ = rasterization(
        means=gaussians.means,
        quats=functional.normalize(gaussians.quats, dim=-1),
        scales=gaussians.scales,
        opacities=gaussians.opacities,
        colors=gaussians.features,
        viewmats=cameras.viewmats.to(gaussians.means),
        Ks=cameras.intrinsics.to(gaussians.means),
        width=cameras.width,
        height=cameras.height,
        near_plane=near,
        far_plane=far,
        eps2d=LOW_PASS_PX2,
        render_mode="RGB+D",
        packed=packed,
        camera_model="ortho" if cameras.model == "orthographic" else "pinhole",
    )
    return pictures[..., :-1], pictures[..., -1], alphas[..., 0]
