# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Convolutions whose taps move with what they see, of PyTorch's own operators: nothing to compile."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Rows and columns of the kernel, and how many taps that makes.
_SIDE, _TAPS = 3, 9


class ModulatedDeformableConv(nn.Module):
    """A 3 x 3 convolution without bias whose nine taps each have an offset and a share, predicted from the same map.

    Deformable ConvNets v2 (Zhu et al., CVPR 2019, eq. 1), stride 1, one group of offsets. Of the 27 channels that a
    convolution predicts the first 18 are offsets, row before column for each tap, in pixels; the last 9 are shares
    before their sigmoid. Between pixels the map is bilinear, beyond its border zero.

    Args:
        dim_in: Channels that come in.
        dim_out: Channels that go out.
    """

    def __init__(self, dim_in: int, dim_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(dim_out, dim_in, _SIDE, _SIDE))
        self.offsets = nn.Conv2d(dim_in, 3 * _TAPS, _SIDE, padding=1)
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")
        for part in self.offsets.parameters():
            nn.init.zeros_(part)

    def forward(self, x: Tensor) -> Tensor:
        """(B, dim_in, H, W) -> (B, dim_out, H, W)."""
        height, width = x.shape[-2:]
        field = self.offsets(x)
        field = field.to(torch.promote_types(field.dtype, torch.float32))  # half precision is too coarse for places
        moved, shares = field[:, : 2 * _TAPS].unflatten(1, (_TAPS, 2)), field[:, 2 * _TAPS :].sigmoid()
        rows = torch.arange(height, device=x.device).view(-1, 1) + 0.5
        columns = torch.arange(width, device=x.device) + 0.5
        weights = self.weight.flatten(2).permute(2, 0, 1).contiguous()
        total = x.new_zeros(len(x), len(self.weight), height * width, dtype=moved.dtype)
        x = x.to(field.dtype).contiguous(memory_format=torch.channels_last)
        # Tap by tap: what one tap reads stays in the cache until it is multiplied.
        for tap in range(_TAPS):
            y = (rows + (tap // _SIDE - 1) + moved[:, tap, 0]) * (2 / height) - 1
            x_place = (columns + (tap % _SIDE - 1) + moved[:, tap, 1]) * (2 / width) - 1
            place = torch.stack([x_place, y], dim=-1)
            sampled = functional.grid_sample(x, place, padding_mode="zeros", align_corners=False)
            kernel = weights[tap].expand(len(x), -1, -1)
            if torch.is_grad_enabled():
                sampled = (sampled * shares[:, tap, None]).flatten(2)
                total = torch.baddbmm(total, kernel, sampled)
            else:
                total.baddbmm_(kernel, sampled.mul_(shares[:, tap, None]).flatten(2))
        return total.unflatten(2, (height, width))
