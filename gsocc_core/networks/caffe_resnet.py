# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""ResNet as detectors of driving scenes use it: in caffe's style, with deformable convolutions and frozen norms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from gsocc_core.networks.deformable_conv import ModulatedDeformableConv

#: Sizes of ResNet-101 with deformable convolutions in its last two stages.
_SIZES: Mapping[str, Any] = {
    "embedding_size": 64, "hidden_sizes": (256, 512, 1024, 2048), "depths": (3, 4, 23, 3),
    "deformable": (False, False, True, True), "frozen_stages": 1,
}  # fmt: skip
#: Channels of a block over channels of its middle.
_EXPANSION = 4


class FrozenNorm(nn.BatchNorm2d):
    """Batch norm that keeps its statistics and its weights, in training too."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.requires_grad_(False)
        super().train(False)

    def train(self, mode: bool = True) -> FrozenNorm:  # noqa: ARG002 - it never trains
        """Stay in evaluation mode."""
        return super().train(False)


class CaffeBottleneck(nn.Module):
    """1 x 1, 3 x 3, 1 x 1 beside a shortcut (He et al., CVPR 2016); caffe's style strides in the first of them."""

    def __init__(self, dim_in: int, dim_out: int, stride: int, deformable: bool) -> None:
        super().__init__()
        inner = dim_out // _EXPANSION
        self.conv1, self.norm1 = nn.Conv2d(dim_in, inner, 1, stride, bias=False), FrozenNorm(inner)
        self.conv2: nn.Module = (
            ModulatedDeformableConv(inner, inner) if deformable else nn.Conv2d(inner, inner, 3, padding=1, bias=False)
        )
        self.norm2 = FrozenNorm(inner)
        self.conv3, self.norm3 = nn.Conv2d(inner, dim_out, 1, bias=False), FrozenNorm(dim_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or dim_in != dim_out:
            self.shortcut = nn.Sequential(nn.Conv2d(dim_in, dim_out, 1, stride, bias=False), FrozenNorm(dim_out))

    def forward(self, x: Tensor) -> Tensor:
        """(B, dim_in, H, W) -> (B, dim_out, H / stride, W / stride)."""
        inner = torch.relu(self.norm1(self.conv1(x)))
        inner = torch.relu(self.norm2(self.conv2(inner)))
        return torch.relu(self.norm3(self.conv3(inner)) + self.shortcut(x))


class CaffeResNet(nn.Module):
    """ResNet with bottlenecks whose pictures are minus their mean, and not divided by anything.

    Args:
        sizes: ``embedding_size`` (channels of the stem), ``hidden_sizes``, ``depths`` and ``deformable`` (of each
            stage: its 3 x 3 convolutions are deformable), ``frozen_stages`` (the stem and so many stages never learn;
            0 = all learn). What is not given is as in ResNet-101 with the last two stages deformable.
        out_indices: Stages whose maps are returned, 1 the first, finest first.
    """

    mean, std = (123.675, 116.28, 103.53), (1.0, 1.0, 1.0)

    def __init__(self, sizes: Mapping[str, Any], out_indices: Sequence[int]) -> None:
        super().__init__()
        given = {**_SIZES, **sizes}
        first, widths, depths = int(given["embedding_size"]), given["hidden_sizes"], given["depths"]
        if not len(widths) == len(depths) == len(given["deformable"]) or not set(out_indices) <= set(
            range(1, len(widths) + 1)
        ):
            raise ValueError("hidden_sizes, depths and deformable of one length, and out_indices among these stages")
        self.config = SimpleNamespace(model_type="caffe_resnet")
        self.out_indices, self.channels = tuple(out_indices), [int(widths[i - 1]) for i in out_indices]
        self.conv, self.norm = nn.Conv2d(3, first, 7, 2, padding=3, bias=False), FrozenNorm(first)
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        self.stages = nn.ModuleList()
        before = first
        kinds = list(zip(widths, depths, given["deformable"]))[
            : max(out_indices)
        ]  # those behind it would never be read
        for stage, (width, depth, deformable) in enumerate(kinds):
            strides = (1 if stage == 0 else 2, *[1] * (depth - 1))
            dims = (before, *[width] * (depth - 1))
            self.stages.append(
                nn.Sequential(*(CaffeBottleneck(d, width, s, deformable) for d, s in zip(dims, strides)))
            )
            before = width
        if frozen := int(given["frozen_stages"]):
            for part in (self.conv, *self.stages[:frozen]):
                part.requires_grad_(False)

    def forward(self, pictures: Tensor) -> SimpleNamespace:
        """Pictures (B, 3, H, W), RGB minus :attr:`mean` -> ``feature_maps``, one (B, C_l, H_l, W_l) per stage."""
        x, maps = self.pool(torch.relu(self.norm(self.conv(pictures)))), []
        for index, stage in enumerate(self.stages, start=1):
            x = stage(x)
            if index in self.out_indices:
                maps.append(x)
        return SimpleNamespace(feature_maps=maps)
