# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""GaussianOcc's picture encoder: two stages of a backbone, fused on the way up."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gsocc_core.errors import ConfigError
from gsocc_core.methods.gaussianocc_args import WHERE, NetworkArgs
from gsocc_core.networks.backbones import BackboneArgs, PictureStages


def _fuse(dim_in: int, dim_out: int) -> nn.Sequential:
    """Two 3 x 3 convolutions, each with instance norm and ReLU; neither has a bias, nor has the norm weights."""
    layers: list[nn.Module] = []
    for width in (dim_in, dim_out):
        layers += [nn.Conv2d(width, dim_out, 3, padding=1, bias=False), nn.InstanceNorm2d(dim_out), nn.ReLU()]
    return nn.Sequential(*layers)


class PictureEncoder(nn.Module):
    """One map per picture at twice the size of the backbone's finer stage (a quarter of the picture, in the paper).

    The coarser stage is enlarged and joined to the finer one; two convolutions, twice the size, two convolutions, and a
    last one of 1 x 1.

    Args:
        backbone: Its ``out_indices`` are two stages that follow each other; the paper's are 2 and 3 of a ResNet.
        args: Widths.
        pretrained: Load the backbone's hub weights, if it has a hub id.

    Raises:
        ConfigError: another number of stages.
    """

    def __init__(self, backbone: BackboneArgs, args: NetworkArgs, pretrained: bool = True) -> None:
        super().__init__()
        if len(backbone.out_indices) != 2:
            raise ConfigError(WHERE, "backbone.out_indices", "two stages", backbone.out_indices)
        self.stages = PictureStages(backbone, pretrained)
        self.joined = _fuse(sum(self.stages.channels), args.widths[0])
        self.finer = _fuse(*args.widths)
        self.out = nn.Conv2d(args.widths[1], args.dim, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(M, 3, H, W) RGB, 0..255, any dtype -> (M, dim, h, w)."""
        fine, coarse = self.stages(images)
        coarse = functional.interpolate(coarse, fine.shape[-2:], mode="bilinear", align_corners=False)
        joined = self.joined(torch.cat([coarse, fine], 1))
        larger = functional.interpolate(joined, scale_factor=2, mode="bilinear", align_corners=False)
        result: Tensor = self.out(self.finer(larger))
        return result
