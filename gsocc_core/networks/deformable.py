# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Deformable attention: into pictures from points and pillars, across three planes, inside a volume.

All of them follow Zhu et al. 2021 (Deformable DETR, eq. 2): a query predicts where to look around its reference and how
much each sample counts.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gsocc_core.geometry.constants import constant
from gsocc_core.networks.fixed_sizes import seen_first
from gsocc_core.networks.sampling import weighted_samples


def spread_offsets(heads: int, samples: int, axes: int) -> Tensor:
    """(heads, samples, axes) first offsets: every head looks in another direction, each sample a step further.

    Args:
        heads: Number of heads.
        samples: Samples per head.
        axes: 2 or 3.
    """
    angle = torch.arange(heads) * (2 * math.pi / heads)
    directions = [angle.cos(), angle.sin()]
    if axes == 3:
        directions.append(torch.where(torch.arange(heads) % 2 == 0, 0.5, -0.5))
    direction = torch.stack(directions, -1)
    direction = direction / direction.abs().amax(-1, keepdim=True)
    return direction[:, None] * (torch.arange(samples) + 1.0)[:, None]


def _quiet(linear: nn.Linear, bias: Tensor | None = None) -> nn.Linear:
    """A layer that gives its bias, whatever comes in, until it has learned."""
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    if bias is not None:
        with torch.no_grad():
            linear.bias.copy_(bias.flatten())
    return linear


class PictureAttention(nn.Module):
    """Queries of one picture look into all levels of its feature maps, around a reference point each.

    Multi-scale deformable attention as published (Zhu et al. 2021, eq. 3): shares sum to one over all levels and
    samples of a head, and the code of a query's place is part of what it asks, not of what it hands on.
    """

    def __init__(self, dim: int, num_heads: int, num_levels: int, num_points: int, dropout: float = 0.0) -> None:
        """Build for ``num_levels`` maps of ``dim`` channels and ``num_points`` samples per head and level."""
        super().__init__()
        self.heads, self.levels, self.points = num_heads, num_levels, num_points
        count = num_heads * num_levels * num_points
        ring = spread_offsets(num_heads, num_points, 2)[:, None].expand(-1, num_levels, -1, -1)
        self.offsets = _quiet(nn.Linear(dim, count * 2), ring)
        self.weights = _quiet(nn.Linear(dim, count))
        self.value, self.out = nn.Linear(dim, dim), nn.Linear(dim, dim)
        for linear in (self.value, self.out):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries: Tensor, codes: Tensor, maps: list[Tensor], places: Tensor) -> Tensor:
        """Look and add.

        Args:
            queries: (M, K, dim) of M pictures.
            codes: (M, K, dim) codes of their places.
            maps: Levels of (M, dim, H_l, W_l).
            places: (M, K, 2) reference points x, y, 0..1 across the picture.

        Returns:
            (M, K, dim) sum of queries and what they saw, not normalised.
        """
        m, k, _ = queries.shape
        shape, asked = (m, k, self.heads, self.levels, self.points), queries + codes
        offsets = self.offsets(asked).view(*shape, 2)
        shares = self.weights(asked).view(shape).flatten(3).softmax(-1).view(shape)
        seen = torch.zeros_like(queries)
        for level, level_map in enumerate(maps):
            values = self.value(level_map.movedim(1, -1))
            # Numbers, not a tensor of sizes: an upload would wait for the GPU.
            height, width = level_map.shape[-2:]
            u, v = offsets[:, :, :, level].unbind(-1)
            x, y = places[:, :, None, None].unbind(-1)
            where = torch.stack([x + u / width, y + v / height], dim=-1)
            seen = seen + weighted_samples(values, where, shares[:, :, :, level])
        return queries + self.dropout(self.out(seen))


class PillarImageAttention(nn.Module):
    """Queries that stand for several points in space look at the pictures around the projection of each.

    The image cross-attention of TPVFormer (Huang et al., CVPR 2023, section 3.3): a query of a plane is a pillar of R
    points. Cameras that see at least one of them are averaged; points that a camera does not see have no share.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        num_levels: int,
        references: int,
        num_points: int,
        dropout: float = 0.0,
        unseen: bool = False,
    ) -> None:
        """Build.

        Args:
            dim: Feature width.
            num_heads: Heads.
            num_levels: Picture levels.
            references: R, points of a pillar.
            num_points: Samples around each of them, per head and level.
            dropout: Dropout probability.
            unseen: Where a camera sees one point of a pillar, all of them have a share, as published.
        """
        super().__init__()
        self.heads, self.levels, self.references, self.points = num_heads, num_levels, references, num_points
        self.unseen = unseen
        count = num_heads * num_levels * references * num_points
        ring = spread_offsets(num_heads, num_points, 2)[:, None, None].expand(-1, num_levels, references, -1, -1)
        self.offsets = _quiet(nn.Linear(dim, count * 2), ring)
        self.weights = _quiet(nn.Linear(dim, count))
        self.value, self.out = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.level_code = nn.Parameter(torch.randn(num_levels, dim) * 0.02)
        self.dropout, self.norm = nn.Dropout(dropout), nn.LayerNorm(dim)

    def forward(self, queries: Tensor, maps: list[Tensor], uv_norm: Tensor, visible: Tensor) -> Tensor:
        """Look and add.

        Args:
            queries: (B, Q, dim).
            maps: Levels of (B, V, dim, H_l, W_l).
            uv_norm: (B, V, Q, R, 2) projections, 0..1 across the picture; beyond it with ``unseen``.
            visible: (B, V, Q, R) bool.

        Returns:
            (B, Q, dim) normalised sum of queries and what they saw.
        """
        b, q, dim = queries.shape
        views = visible.shape[1]
        sees = visible.any(-1)
        if self.unseen:
            visible = sees[..., None].expand_as(visible)
        seen = sees.flatten(0, 1)
        rows = seen_first(seen)  # the queries that a picture concerns
        picked = rows[..., None]
        centers = uv_norm.flatten(0, 1).gather(1, picked[..., None].expand(-1, -1, self.references, 2))
        points = visible.flatten(0, 1).gather(1, picked.expand(-1, -1, self.references))
        start = torch.arange(b, device=queries.device)[:, None].expand(b, views).reshape(-1, 1) * q
        local = queries.flatten(0, 1)[rows + start]
        sampled = self._look(local, maps, centers, points)
        total = queries.new_zeros(b * q, dim).index_add(0, (rows + start).flatten(), sampled.flatten(0, 1))
        count = sees.sum(1).clamp(min=1).to(queries.dtype)[..., None]
        return self.norm(queries + self.dropout(self.out(total.unflatten(0, (b, q)) / count)))

    def _look(self, local: Tensor, maps: list[Tensor], centers: Tensor, points: Tensor) -> Tensor:
        """What (M, K) queries see in M pictures around centers (M, K, R, 2) of which ``points`` (M, K, R) exist."""
        m, k, _ = local.shape
        shape = (m, k, self.heads, self.levels, self.references, self.points)
        offsets = self.offsets(local).view(*shape, 2)
        shares = self.weights(local).view(shape).masked_fill(~points[:, :, None, None, :, None], -1e4)
        shares = shares.flatten(3).softmax(-1).view(shape) * points[:, :, None, None, :, None]
        result = torch.zeros_like(local)
        for level, level_map in enumerate(maps):
            height, width = level_map.shape[-2:]
            coded = level_map.flatten(0, 1) + self.level_code[level][:, None, None]
            values = self.value(coded.movedim(1, -1))
            places = centers[:, :, None, :, None] + offsets[:, :, :, level] / constant((width, height), local)
            result = result + weighted_samples(values, places.flatten(3, 4), shares[:, :, :, level].flatten(3))
        return result


class PlaneAttention(nn.Module):
    """Queries look into several planes of features at once.

    The cross-view hybrid attention of TPVFormer (Huang et al., CVPR 2023, section 3.4): a pillar looks around its own
    place in its plane and along its shadow in the others.
    """

    def __init__(self, dim: int, num_heads: int, num_planes: int, references: int, dropout: float = 0.0) -> None:
        """Build for ``num_planes`` planes of ``dim`` channels and ``references`` points of a query in each."""
        super().__init__()
        self.heads, self.planes, self.references = num_heads, num_planes, references
        count = num_heads * num_planes * references
        ring = spread_offsets(num_heads, references, 2)[:, None].expand(-1, num_planes, -1, -1)
        self.offsets = _quiet(nn.Linear(dim, count * 2), ring)
        self.weights = _quiet(nn.Linear(dim, count))
        self.value, self.out = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.dropout, self.norm = nn.Dropout(dropout), nn.LayerNorm(dim)

    def forward(self, queries: Tensor, planes: list[Tensor], places: Tensor) -> Tensor:
        """Look and add.

        Args:
            queries: (B, Q, dim).
            planes: Planes of (B, dim, H_p, W_p).
            places: (Q, planes, R, 2) reference points, 0..1 across the plane, (W, H) order.

        Returns:
            (B, Q, dim) normalised.
        """
        b, q, _ = queries.shape
        shape = (b, q, self.heads, self.planes, self.references)
        offsets = self.offsets(queries).view(*shape, 2)
        shares = self.weights(queries).view(shape).flatten(3).softmax(-1).view(shape)
        result = torch.zeros_like(queries)
        for index, plane in enumerate(planes):
            values = self.value(plane.movedim(1, -1))
            size = (plane.shape[-1], plane.shape[-2])
            where = places[:, None, index] + offsets[:, :, :, index] / constant(size, queries)
            result = result + weighted_samples(values, where, shares[:, :, :, index])
        return self.norm(queries + self.dropout(self.out(result)))


class TopPlaneAttention(nn.Module):
    """Cells of the top plane look around themselves in it, twice; other planes pass by.

    What TPVFormer's published code calls cross-view hybrid attention: offsets and shares are predicted from a cell with
    and without the code of its place, each of two looks has shares that sum to one, and their mean counts.
    """

    def __init__(self, dim: int, num_heads: int, num_points: int, dropout: float = 0.0) -> None:
        """Build for planes of ``dim`` channels and ``num_points`` samples per head and look."""
        super().__init__()
        self.heads, self.looks, self.points = num_heads, 2, num_points
        count = num_heads * self.looks * num_points
        ring = spread_offsets(num_heads, num_points, 2)[:, None].expand(-1, self.looks, -1, -1)
        self.offsets = _quiet(nn.Linear(2 * dim, count * 2), ring)
        self.weights = _quiet(nn.Linear(2 * dim, count))
        self.value, self.out = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.dropout, self.norm = nn.Dropout(dropout), nn.LayerNorm(dim)

    def forward(self, queries: Tensor, codes: Tensor, shape: tuple[int, int]) -> Tensor:
        """Look and add.

        Args:
            queries: (B, Q, dim); the first X * Y of them are the top plane's, y fastest.
            codes: (X * Y, dim) codes of the top plane's cells.
            shape: X, Y.

        Returns:
            (B, Q, dim) normalised.
        """
        top, others = queries.split([len(codes), queries.shape[1] - len(codes)], dim=1)
        split = (*top.shape[:2], self.heads, self.looks, self.points)
        asked = torch.cat([top, top + codes], dim=-1)
        offsets = self.offsets(asked).view(*split, 2)
        shares = self.weights(asked).view(split).softmax(-1) / self.looks
        # x is the column of the map, so that offsets are x before y.
        values = self.value(top).unflatten(1, shape).transpose(1, 2)
        x, y = ((torch.arange(n, device=top.device) + 0.5) / n for n in shape)
        middles = torch.stack(torch.meshgrid(x, y, indexing="ij"), dim=-1).flatten(0, 1)
        where = middles[:, None, None, None] + offsets / offsets.new_tensor(shape)
        found = weighted_samples(values, where.flatten(3, 4), shares.flatten(3))
        return self.norm(torch.cat([top + self.dropout(self.out(found)), others], dim=1))


class VolumeAttention(nn.Module):
    """Queries look into a volume of features around a place, with three-dimensional offsets and interpolation."""

    def __init__(self, dim: int, num_heads: int, num_points: int, dropout: float = 0.0) -> None:
        """Build for ``num_points`` samples per head in a volume of ``dim`` channels."""
        super().__init__()
        self.heads, self.points = num_heads, num_points
        self.offsets = _quiet(nn.Linear(dim, num_heads * num_points * 3), spread_offsets(num_heads, num_points, 3))
        self.weights = _quiet(nn.Linear(dim, num_heads * num_points))
        self.value, self.out = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.dropout, self.norm = nn.Dropout(dropout), nn.LayerNorm(dim)

    def forward(self, queries: Tensor, volume: Tensor, places: Tensor) -> Tensor:
        """Look and add.

        Args:
            queries: (B, Q, dim).
            volume: (B, X, Y, Z, dim).
            places: (B, Q, 3) places x, y, z, 0..1 across the volume.

        Returns:
            (B, Q, dim) normalised.
        """
        b, q, _ = queries.shape
        size = constant(tuple(volume.shape[1:4]), queries)
        offsets = self.offsets(queries).view(b, q, self.heads, self.points, 3)
        shares = self.weights(queries).view(b, q, self.heads, self.points).softmax(-1)
        where = (places[:, :, None, None] + offsets / size).flip(-1)
        found = weighted_samples(self.value(volume), where, shares)
        return self.norm(queries + self.dropout(self.out(found)))
