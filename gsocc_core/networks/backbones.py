# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Image encoders: any backbone of transformers' AutoBackbone, followed by a feature pyramid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from gsocc_core.errors import ConfigError

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class BackboneArgs:
    """Which image backbone to build.

    Attributes:
        hub_id: Hugging Face id or local folder of pretrained weights; None = random weights.
        model_type: transformers' model type (resnet, convnext, swin, dinov2, ...). With ``hub_id`` it must describe the
            same architecture: a trained bundle is rebuilt from it alone, without the hub.
        model_args: Arguments of that model's configuration, for instance hidden_sizes and depths; transformers'
            defaults for resnet are ResNet-50.
        out_indices: Stages whose maps are returned, finest first.
        checkpointing: Recompute activations in the backward pass to save memory.
    """

    hub_id: str | None = None
    model_type: str = "resnet"
    model_args: dict[str, Any] = field(default_factory=dict)
    out_indices: tuple[int, ...] = (2, 3, 4)
    checkpointing: bool = False


def build_backbone(args: BackboneArgs, pretrained: bool = True) -> nn.Module:
    """Build a transformers backbone.

    Args:
        args: What to build.
        pretrained: Load the hub's weights; False builds the same architecture with random weights, as needed when a
            trained checkpoint is loaded over it anyway.

    Returns:
        A module whose output has ``feature_maps``, one (B, C_l, H_l, W_l) per entry of ``out_indices``.

    Raises:
        ConfigError: unknown model type, hub id or argument.
    """
    from transformers import AutoBackbone, AutoConfig

    try:
        if args.hub_id is not None and pretrained:
            return AutoBackbone.from_pretrained(args.hub_id, out_indices=list(args.out_indices))
        config = AutoConfig.for_model(args.model_type, out_indices=list(args.out_indices), **args.model_args)
        return AutoBackbone.from_config(config)
    except (ValueError, KeyError, OSError, TypeError) as error:
        raise ConfigError(
            "backbone", "hub_id / model_type / model_args", "an AutoBackbone of transformers", error
        ) from error


class FeaturePyramid(nn.Module):
    """Feature pyramid (Lin et al. 2017, section 3): 1x1 lateral, top-down nearest upsampling, 3x3 smoothing."""

    def __init__(self, in_channels: Sequence[int], dim: int) -> None:
        """Build for maps of ``in_channels`` (finest first) and ``dim`` output channels."""
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(c, dim, 1) for c in in_channels)
        self.smooth = nn.ModuleList(nn.Conv2d(dim, dim, 3, padding=1) for _ in in_channels)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps (B, C_l, H_l, W_l), finest first -> maps (B, dim, H_l, W_l)."""
        merged = [lateral(m) for lateral, m in zip(self.lateral, maps)]
        for level in range(len(merged) - 2, -1, -1):
            up = functional.interpolate(merged[level + 1], size=merged[level].shape[-2:], mode="nearest")
            merged[level] = merged[level] + up
        return [smooth(m) for smooth, m in zip(self.smooth, merged)]


class ImageEncoder(nn.Module):
    """Normalise RGB pictures, run the backbone and the pyramid."""

    mean: Tensor
    std: Tensor

    def __init__(self, args: BackboneArgs, dim: int, pretrained: bool = True) -> None:
        """Build; see :class:`BackboneArgs`. ``dim`` is the channel count of every returned level."""
        super().__init__()
        self.backbone = build_backbone(args, pretrained)
        _freeze_unused(self.backbone)
        self.pyramid = FeaturePyramid(self.backbone.channels, dim)  # type: ignore[arg-type]
        self.checkpointing = args.checkpointing
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Encode pictures.

        Args:
            images: (..., 3, H, W) RGB, 0..255, any dtype.

        Returns:
            One (..., dim, H_l, W_l) map per level, finest first.
        """
        leading = images.shape[:-3]
        flat = (images.flatten(0, -4).float() - self.mean) / self.std
        if self.checkpointing and self.training:
            maps = checkpoint(lambda x: self.backbone(x).feature_maps, flat, use_reentrant=False)
        else:
            maps = self.backbone(flat).feature_maps
        return [m.unflatten(0, leading) for m in self.pyramid(maps)]


def _freeze_unused(backbone: nn.Module) -> None:
    """Stages behind the last level that is read never learn; distributed training insists on knowing which."""
    was_training = backbone.training
    backbone.eval()
    parameters = [p for p in backbone.parameters() if p.requires_grad]
    with torch.enable_grad():
        maps = backbone(torch.zeros(1, 3, 112, 112)).feature_maps  # a size that every common patch size divides
        total = torch.stack([m.float().square().sum() for m in maps]).sum()
        used = torch.autograd.grad(total, parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, used):
        if gradient is None:
            parameter.requires_grad_(False)
    backbone.train(was_training)
