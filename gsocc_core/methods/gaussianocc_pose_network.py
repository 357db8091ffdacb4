# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Depth of every pixel of single pictures: a backbone, its pyramid, and a head that knows rays."""

from __future__ import annotations

from torch import Tensor, nn

from gsocc_core.geometry.cameras import Cameras
from gsocc_core.methods.gaussianocc_pose_args import PoseNetworkArgs
from gsocc_core.networks.backbones import BackboneArgs, ImageEncoder
from gsocc_core.networks.depth_head import DepthHead


class PictureDepth(nn.Module):
    """Depth of pictures, each by itself.

    Args:
        backbone: Stages for the pyramid, finest first.
        args: Sizes.
        pretrained: Load the backbone's hub weights, if it has a hub id.

    Raises:
        ConfigError: a backbone that cannot be built.
    """

    def __init__(self, backbone: BackboneArgs, args: PoseNetworkArgs, pretrained: bool = True) -> None:
        super().__init__()
        self.encoder = ImageEncoder(backbone, args.dim, pretrained)
        self.head = DepthHead(args.dim, len(backbone.out_indices), args.range_m, args.detail, args.first_depth_m)

    def forward(self, images: Tensor, cameras: Cameras) -> Tensor:
        """Predict.

        Args:
            images: (B, V, 3, H, W) RGB, 0..255, any dtype.
            cameras: (B, V) cameras; their calibration counts, not their ego motion.

        Returns:
            (B, V, h, w) metres along the optical axis, at half of the pictures' size.
        """
        levels = [level.flatten(0, 1) for level in self.encoder(images)]
        still = cameras if cameras.T_ref_ego is None else Cameras(
            cameras.intrinsics, cameras.T_ego_cam, cameras.width, cameras.height, cameras.model, cameras.distortion
        )  # fmt: skip
        depth: Tensor = self.head(levels, still, images.flatten(0, 1))
        return depth[:, 0].unflatten(0, images.shape[:2])
