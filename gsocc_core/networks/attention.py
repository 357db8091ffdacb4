# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Attention over many Gaussians: induced self-attention and deformable attention into the camera pictures."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from gsocc_core.geometry.constants import constant
from gsocc_core.networks.fixed_sizes import seen_first
from gsocc_core.networks.sampling import weighted_samples


def mlp(dim_in: int, hidden: int, dim_out: int, layers: int = 2) -> nn.Sequential:
    """``layers`` linear layers with LeakyReLU between them."""
    dims = [dim_in, *[hidden] * (layers - 1), dim_out]
    modules: list[nn.Module] = []
    for i, (a, b) in enumerate(pairwise(dims)):
        linear = nn.Linear(a, b)
        nn.init.kaiming_normal_(linear.weight, a=0.01, nonlinearity="leaky_relu")
        nn.init.zeros_(linear.bias)
        modules += [linear] if i == len(dims) - 2 else [linear, nn.LeakyReLU(0.01)]
    return nn.Sequential(*modules)


class PositionCode(nn.Module):
    """Learned code of positions that are normalised to the scene box."""

    lower: Tensor
    extent: Tensor

    def __init__(self, lower: tuple[float, float, float], upper: tuple[float, float, float], dim: int) -> None:
        """Build for the box ``lower`` ... ``upper`` (metres) and ``dim`` output channels."""
        super().__init__()
        self.register_buffer("lower", torch.tensor(lower), persistent=False)
        self.register_buffer("extent", torch.tensor(upper) - torch.tensor(lower), persistent=False)
        self.net = nn.Sequential(mlp(3, dim, dim, layers=3), nn.LayerNorm(dim))

    def forward(self, means: Tensor) -> Tensor:
        """(..., N, 3) metres -> (..., N, dim)."""
        return self.net((means - self.lower) / self.extent * 2 - 1)


class RowColumnCode(nn.Module):
    """Learned code of the cells of a plane: one half by the column of a cell, the other by its row.

    Args:
        columns: Cells along x.
        rows: Cells along y.
        dim: Channels, an even number.
    """

    def __init__(self, columns: int, rows: int, dim: int) -> None:
        super().__init__()
        self.columns, self.rows = nn.Embedding(columns, dim // 2), nn.Embedding(rows, dim // 2)
        for embedding in (self.columns, self.rows):
            nn.init.uniform_(embedding.weight)

    def forward(self) -> Tensor:
        """(columns * rows, dim), column by column: y runs fastest."""
        columns, rows = self.columns.weight[:, None], self.rows.weight[None]
        return torch.cat(torch.broadcast_tensors(columns, rows), dim=-1).flatten(0, 1)


class InducedAttention(nn.Module):
    """Attention through a few learned inducing points: O(N M) instead of O(N^2).

    The induced set attention block of Set Transformer (Lee et al. 2019, section 3.1): the inducing points read the
    keys, then every query reads the inducing points.
    """

    def __init__(self, dim: int, num_heads: int, num_inducing: int, dropout: float = 0.0) -> None:
        """Build with ``num_inducing`` learned points of ``dim`` channels."""
        super().__init__()
        self.points = nn.Parameter(torch.randn(num_inducing, dim) * dim**-0.5)
        self.read = nn.MultiheadAttention(dim, num_heads, dropout=dropout, batch_first=True)
        self.write = nn.MultiheadAttention(dim, num_heads, dropout=dropout, batch_first=True)
        self.feed = nn.ModuleList(nn.Sequential(mlp(dim, dim, dim), nn.Dropout(dropout)) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(4))

    def forward(self, queries: Tensor, keys: Tensor, exists: Tensor | None = None) -> Tensor:
        """Queries attend to keys.

        Args:
            queries: (B, N, dim).
            keys: (B, K, dim).
            exists: (B, K) bool: keys that can be read, at least one per sample; None = all.

        Returns:
            (B, N, dim).
        """
        points = self.points.expand(queries.shape[0], -1, -1)
        absent = None if exists is None else ~exists
        read = self.read(points, keys, keys, key_padding_mask=absent, need_weights=False)[0]
        summary = self.norms[0](points + read)
        summary = self.norms[1](summary + self.feed[0](summary))
        out = self.norms[2](queries + self.write(queries, summary, summary, need_weights=False)[0])
        return self.norms[3](out + self.feed[1](out))


class RayCode(nn.Module):
    """Code of a pixel's ray: where the camera stands and where it looks, in the ego frame.

    Replaces a learned embedding per camera index, so one model serves any number of cameras on any rig.
    """

    def __init__(self, dim: int) -> None:
        """Build with ``dim`` output channels."""
        super().__init__()
        self.net = mlp(6, dim, dim)

    def forward(self, origins_m: Tensor, directions: Tensor) -> Tensor:
        """Origins and directions (..., 3) -> (..., dim)."""
        return self.net(torch.cat([origins_m, functional.normalize(directions, dim=-1)], dim=-1))


class DeformableImageAttention(nn.Module):
    """Every Gaussian samples the pictures around its own projection.

    Multi-scale deformable attention (Zhu et al. 2021, eq. 3) per camera, summed over the cameras that see the Gaussian
    and divided by their number, as in spatial cross-attention of BEVFormer (Li et al. 2022, eq. 3).
    """

    def __init__(self, dim: int, num_heads: int, num_levels: int, num_points: int, dropout: float = 0.0) -> None:
        """Build for ``num_levels`` maps of ``dim`` channels and ``num_points`` samples per head and level."""
        super().__init__()
        self.num_heads, self.num_levels, self.num_points = num_heads, num_levels, num_points
        self.offsets = nn.Linear(dim, num_heads * num_levels * num_points * 2)
        self.weights = nn.Linear(dim, num_heads * num_levels * num_points)
        self.value = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)
        self.level_code = nn.Parameter(torch.randn(num_levels, dim) * 0.02)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(dim)
        nn.init.zeros_(self.offsets.weight)
        nn.init.zeros_(self.weights.weight)
        nn.init.zeros_(self.weights.bias)
        angle = torch.arange(num_heads) * (2 * math.pi / num_heads)
        direction = torch.stack([angle.cos(), angle.sin()], -1)
        direction = direction / direction.abs().amax(-1, keepdim=True)
        ring = direction[:, None, None] * (torch.arange(num_points) + 1.0)[:, None]  # (heads, 1, points, 2)
        with torch.no_grad():
            self.offsets.bias.copy_(ring.expand(-1, num_levels, -1, -1).flatten())

    def forward(self, queries: Tensor, maps: list[Tensor], uv_norm: Tensor, visible: Tensor) -> Tensor:
        """Sample and add.

        Args:
            queries: (B, N, dim).
            maps: Levels of (B, V, dim, H_l, W_l).
            uv_norm: (B, V, N, 2) projections, 0..1 across the picture.
            visible: (B, V, N) bool.

        Returns:
            (B, N, dim) normalised sum of queries and what they saw.
        """
        b, n, dim = queries.shape
        views = visible.shape[1]
        seen = visible.flatten(0, 1)  # (M, N) with M = B * V pictures
        rows = seen_first(seen)  # (M, K) visible Gaussians of each picture
        kept = seen.gather(1, rows)
        start = torch.arange(b, device=queries.device)[:, None].expand(b, views).reshape(-1, 1) * n
        flat_rows = rows + start
        local = queries.flatten(0, 1)[flat_rows]  # (M, K, dim)
        centers = uv_norm.flatten(0, 1).gather(1, rows[..., None].expand(-1, -1, 2))
        sampled = self._sample(local, maps, centers) * kept[..., None]
        total = queries.new_zeros(b * n, dim).index_add(0, flat_rows.flatten(), sampled.flatten(0, 1))
        count = visible.sum(1).clamp(min=1).to(queries.dtype)[..., None]
        return self.norm(queries + self.dropout(self.out(total.unflatten(0, (b, n)) / count)))

    def _sample(self, local: Tensor, maps: list[Tensor], centers: Tensor) -> Tensor:
        """Weighted samples around ``centers`` (M, K, 2) for queries ``local`` (M, K, dim) -> (M, K, dim)."""
        m, k, _ = local.shape
        heads, levels, points = self.num_heads, self.num_levels, self.num_points
        offsets = self.offsets(local).view(m, k, heads, levels, points, 2)
        weights = self.weights(local).view(m, k, heads, levels * points).softmax(-1).view(m, k, heads, levels, points)
        result = torch.zeros_like(local)
        for level, level_map in enumerate(maps):
            height, width = level_map.shape[-2:]
            values = self.value((level_map.flatten(0, 1) + self.level_code[level][:, None, None]).movedim(1, -1))
            places = centers[:, :, None, None] + offsets[:, :, :, level] / constant((width, height), local)
            result = result + weighted_samples(values, places, weights[:, :, :, level])
        return result
