# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Feature maps of a rig's pictures, and where points in space lie in them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.constants import constant
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


class HeadingMaps(nn.Module):
    """Image encoder whose pixels know their camera by an embedding, as published networks of one rig have it.

    A camera takes the embedding whose heading is nearest to its own, so neither order nor number of cameras matters.

    Args:
        backbone: See :class:`gsocc_core.networks.backbones.BackboneArgs`.
        dim: Channels of every level.
        pretrained: Load the hub's weights, if there is a hub id.
        headings_deg: Where the cameras look that the embeddings were learned with: degrees from ahead, left positive.
        coarser: Levels beyond those of the backbone.
        multiple: See :class:`gsocc_core.networks.backbones.ImageEncoder`.
    """

    headings: Tensor

    def __init__(
        self,
        backbone: BackboneArgs,
        dim: int,
        pretrained: bool,
        headings_deg: Sequence[float],
        coarser: int,
        multiple: int,
    ) -> None:
        super().__init__()
        self.encoder = ImageEncoder(backbone, dim, pretrained, coarser, multiple)
        self.embeddings = nn.Parameter(torch.randn(len(headings_deg), dim))
        headings = torch.tensor([math.radians(degrees) for degrees in headings_deg])
        self.register_buffer("headings", headings, persistent=False)

    def forward(self, images: Tensor, cameras: Cameras) -> list[Tensor]:
        """As :class:`PictureMaps`."""
        ahead = cameras.T_ego_cam[..., :2, 2]
        away = torch.atan2(ahead[..., 1], ahead[..., 0])[..., None] - self.headings
        code = self.embeddings[away.cos().argmax(-1)][..., None, None]
        return [level_map + code for level_map in self.encoder(images)]


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
    uv_norm = uv / constant((cameras.width, cameras.height), uv)
    return torch.where(visible[..., None], uv_norm, -1.0), visible


#: Where points behind a camera are: so far outside that nothing that looks around them reaches the picture.
_FAR_OUTSIDE = -1e4
#: Smallest depth in front of a camera by the published rule, metres.
_NEAREST_M = 1e-5


def place_points(cameras: Cameras, valid: Tensor, points_m: Tensor, multiple: int) -> tuple[Tensor, Tensor]:
    """Projections also of points that a picture does not hold, by TPVFormer's published rule.

    Args:
        cameras: (B, V) cameras.
        valid: (B, V) bool: the picture is there.
        points_m: (N, 3), ego frame, metres.
        multiple: Pictures are filled up to multiples of so many pixels; the filling counts as picture.

    Returns:
        uv_norm (B, V, N, 2), 0..1 across the filled picture, and visible (B, V, N) bool.
    """
    points = points_m.to(cameras.intrinsics).expand(len(valid), *points_m.shape[-2:])
    uv, depth, _ = cameras.project(points, _NEAREST_M)
    size = tuple(float(math.ceil(side / multiple) * multiple) for side in (cameras.width, cameras.height))
    uv_norm, ahead = uv / constant(size, uv), depth > _NEAREST_M
    visible = ahead & ((uv_norm > 0) & (uv_norm < 1)).all(-1) & valid[..., None]
    return torch.where(ahead[..., None], uv_norm, _FAR_OUTSIDE), visible
