# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Feature maps of a rig's pictures, and where points in space lie in them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gsocc_core.geometry.cameras import Cameras
from gsocc_core.networks.attention import RayCode
from gsocc_core.networks.backbones import BackboneArgs, ImageEncoder


class PictureMaps(nn.Module):
    """Image encoder whose pixels also know their ray, in place of an embedding per camera index.

    So the same weights serve any number of cameras on any rig.
    """

    def __init__(self, backbone: BackboneArgs, dim: int, pretrained: bool) -> None:
        """Build; see :class:`gsocc_core.networks.backbones.ImageEncoder`."""
        super().__init__()
        self.encoder = ImageEncoder(backbone, dim, pretrained)
        self.rays = RayCode(dim)

    def forward(self, images: Tensor, cameras: Cameras) -> list[Tensor]:
        """Encode.

        Args:
            images: (B, V, 3, H, W) RGB, 0..255.
            cameras: (B, V) cameras of the pictures.

        Returns:
            Levels of (B, V, dim, H_l, W_l), finest first.
        """
        coded = []
        for level_map in self.encoder(images):
            height, width = level_map.shape[-2:]
            origins, directions = cameras.resized(width, height).rays()
            coded.append(level_map + self.rays(origins, directions).movedim(-1, -3))
        return coded


def see_points(cameras: Cameras, valid: Tensor, points_m: Tensor) -> tuple[Tensor, Tensor]:
    """Projections of points into pictures that are there.

    Args:
        cameras: (B, V) cameras.
        valid: (B, V) bool: the picture is there.
        points_m: (N, 3) or (B, N, 3), ego frame, metres.

    Returns:
        uv_norm (B, V, N, 2), 0..1 across the picture and -1 where not seen, and visible (B, V, N) bool.
    """
    batch = len(cameras.intrinsics)
    points = points_m.to(cameras.intrinsics).expand(batch, *points_m.shape[-2:])
    uv, _, visible = cameras.project(points)
    visible = visible & valid[..., None]
    uv_norm = uv / uv.new_tensor([cameras.width, cameras.height])
    return torch.where(visible[..., None], uv_norm, -1.0), visible
