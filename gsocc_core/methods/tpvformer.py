# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""TPVFormer (Huang et al., CVPR 2023): three planes instead of a volume.

Pictures -> feature pyramid. The cells of three planes (top xy, side yz, front xz) are queries, each a pillar of points.
Layer after layer they look into each other's planes, then into the pictures where their points project. A voxel's
feature is the sum of its three shadows; a small network classifies it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gsocc_core.errors import ConfigError
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.frames import FrameSet
from gsocc_core.geometry.grid_points import points_in_box, unit_centers
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.methods.gaussrender_args import GaussRenderArgs
from gsocc_core.methods.voxel_host import VoxelHost, VoxelLossArgs, VoxelOutput
from gsocc_core.networks.attention import PositionCode
from gsocc_core.networks.backbones import BackboneArgs
from gsocc_core.networks.deformable import PillarImageAttention, PlaneAttention
from gsocc_core.networks.pictures import PictureMaps, see_points
from gsocc_core.networks.volumes import FeedForward, Stride
from gsocc_core.networks.voxel_head import DenseHead

Size = tuple[int, int, int]

#: Axes (rows, columns) of the planes xy, yz, xz, and the axis along which the pillars of each stand.
_AXES = ((0, 1), (1, 2), (0, 2))
_PILLAR = (2, 0, 1)


@dataclass(frozen=True)
class TpvArgs:
    """Sizes of the network; the defaults are the paper's, as GaussRender trains it.

    Attributes:
        dim: Feature width.
        num_layers: Layers.
        num_heads: Attention heads.
        plane_stride: Working voxels per plane cell, along each axis.
        pillar_points: Points of the pillars of planes xy, yz and xz that are projected into the pictures.
        num_points: Samples around each of them, per head and level.
        plane_points: Points of a pillar that look into each plane, per head.
        feed_hidden: Width inside the feed-forward blocks.
        head_hidden: Width inside the head.
        dropout: Dropout probability.
        stride: Voxels of the grid per working voxel; see :class:`gsocc_core.methods.voxel_host.VoxelHost`.
        checkpointing: Recompute layers and head in the backward pass to save memory.
    """

    dim: int = 256
    num_layers: int = 3
    num_heads: int = 8
    plane_stride: Stride = (2, 2, 2)
    pillar_points: tuple[int, int, int] = (4, 32, 32)
    num_points: int = 2
    plane_points: int = 32
    feed_hidden: int = 512
    head_hidden: int = 512
    dropout: float = 0.1
    stride: Stride = (1, 1, 1)
    checkpointing: bool = False


class TpvLayer(nn.Module):
    """Cross-view hybrid attention, image attention per plane, feed-forward (sections 3.3 and 3.4)."""

    def __init__(self, args: TpvArgs, levels: int) -> None:
        """Build for ``levels`` picture levels."""
        super().__init__()
        self.across = PlaneAttention(args.dim, args.num_heads, len(_AXES), args.plane_points, args.dropout)
        self.pictures = nn.ModuleList(
            PillarImageAttention(args.dim, args.num_heads, levels, points, args.num_points, args.dropout)
            for points in args.pillar_points
        )
        self.feed = FeedForward(args.dim, args.feed_hidden, args.dropout)

    def forward(
        self, queries: Tensor, shape: Size, places: Tensor, maps: list[Tensor], seen: list[tuple[Tensor, Tensor]]
    ) -> Tensor:
        """One layer.

        Args:
            queries: (B, Q, dim) cells of the three planes, one plane after the other.
            shape: Cells of the planes along x, y, z.
            places: (Q, 3, P, 2) where each query looks in each plane.
            maps: Picture levels (B, V, dim, H_l, W_l).
            seen: Per plane projections (B, V, Q_p, R, 2) and visibility (B, V, Q_p, R) of its pillars' points.

        Returns:
            (B, Q, dim).
        """
        queries = self.across(queries, as_planes(queries, shape), places)
        parts = queries.split([len_of(shape, plane) for plane in range(len(_AXES))], dim=1)
        looked = [look(part, maps, *where) for look, part, where in zip(self.pictures, parts, seen)]
        return self.feed(torch.cat(looked, dim=1))


class TPVFormer(VoxelHost):
    """TPVFormer.

    Args:
        classes: Class table; a channel stands for empty space.
        grid: Grid of labels and predictions.
        image_size: (height, width) of the network's pictures, pixels.
        backbone: Image backbone.
        network: Sizes.
        loss: Voxel losses.
        render: Rendering loss, or None; it changes neither the network nor its bundle.
        pretrained: Load the backbone's hub weights, if it has a hub id.

    Raises:
        ConfigError: sizes that do not fit each other.
    """

    def __init__(
        self,
        classes: ClassTable,
        grid: VoxelGrid,
        image_size: tuple[int, int] = (896, 1600),
        backbone: BackboneArgs | None = None,
        network: TpvArgs | None = None,
        loss: VoxelLossArgs | None = None,
        render: GaussRenderArgs | None = None,
        pretrained: bool = True,
    ) -> None:
        args = network or TpvArgs()
        super().__init__(classes, grid, image_size, args.stride, loss or VoxelLossArgs(), render, args.dim)
        self.network_args, backbone = args, backbone or BackboneArgs()
        if args.dim % args.num_heads:
            raise ConfigError("TPVFormer", "network.num_heads", f"a divisor of dim {args.dim}", args.num_heads)
        if any(n % s for n, s in zip(self.work_grid.shape, args.plane_stride)):
            expected = f"divisors of the working grid's {self.work_grid.shape} voxels"
            raise ConfigError("TPVFormer", "network.plane_stride", expected, args.plane_stride)
        x, y, z = (n // s for n, s in zip(self.work_grid.shape, args.plane_stride))
        self.plane_shape: Size = (x, y, z)
        self.pictures = PictureMaps(backbone, args.dim, pretrained)
        cells = sum(len_of(self.plane_shape, plane) for plane in range(len(_AXES)))
        self.queries = nn.Parameter(torch.randn(cells, args.dim) * 0.02)
        self.code = PositionCode((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), args.dim)
        self.layers = nn.ModuleList(TpvLayer(args, len(backbone.out_indices)) for _ in range(args.num_layers))
        self.head = DenseHead(args.dim, args.head_hidden, len(classes.channel_ids), args.checkpointing)

    def forward(self, frames: FrameSet, memory: None = None) -> VoxelOutput:  # noqa: ARG002 - there is no memory
        """Predict the voxels of the present pictures.

        Args:
            frames: Pictures of the present.
            memory: None.

        Returns:
            Class logits of the working grid.
        """
        cameras, valid = frames.cameras.map(lambda t: t[:, 0]), frames.valid[:, 0]
        maps = self.pictures(frames.images[:, 0], cameras)
        shape, device = self.plane_shape, maps[0].device
        seen = []
        for plane, count in enumerate(self.network_args.pillar_points):
            points = points_in_box(pillars(shape, plane, count).to(device), self.grid)
            uv, visible = see_points(cameras, valid, points.flatten(0, 1))
            seen.append((uv.unflatten(2, (-1, count)), visible.unflatten(2, (-1, count))))
        middles = torch.cat([pillars(shape, plane, 1)[:, 0] for plane in range(len(_AXES))]).to(device)
        places = shadows(shape, self.network_args.plane_points).to(device)
        queries = (self.queries + self.code(middles)).expand(len(valid), -1, -1)
        for layer in self.layers:
            if self.network_args.checkpointing and self.training:
                queries = checkpoint(layer, queries, shape, places, maps, seen, use_reentrant=False)
            else:
                queries = layer(queries, shape, places, maps, seen)
        logits, features = self.head(as_planes(queries, shape), self.work_grid.shape)
        return self.output(logits, features)


# ---- the geometry of three planes ------------------------------------------------------------------------------------


def len_of(shape: Size, plane: int) -> int:
    """Number of cells of a plane (0 = xy, 1 = yz, 2 = xz) of planes with ``shape`` cells along x, y, z."""
    rows, columns = _AXES[plane]
    return shape[rows] * shape[columns]


def as_planes(queries: Tensor, shape: Size) -> list[Tensor]:
    """Queries (B, Q, dim) as planes (B, dim, rows, columns): xy, yz, xz.

    Example:
        >>> [tuple(plane.shape) for plane in as_planes(torch.zeros(1, 6 + 3 + 2, 5), (2, 3, 1))]
        [(1, 5, 2, 3), (1, 5, 3, 1), (1, 5, 2, 1)]
    """
    parts = queries.split([len_of(shape, plane) for plane in range(len(_AXES))], dim=1)
    return [
        part.transpose(1, 2).unflatten(2, (shape[rows], shape[columns])) for part, (rows, columns) in zip(parts, _AXES)
    ]


def pillars(shape: Size, plane: int, count: int) -> Tensor:
    """(Q, count, 3) points of the pillars over a plane's cells, 0..1 across the grid's box.

    Example:
        >>> pillars((1, 1, 4), 0, 2).tolist()  # one column over the xy plane
        [[[0.5, 0.5, 0.25], [0.5, 0.5, 0.75]]]
    """
    cells = list(shape)
    cells[_PILLAR[plane]] = count
    points = unit_centers((cells[0], cells[1], cells[2]))
    return points.movedim(_PILLAR[plane], 2).flatten(0, 1)


def shadows(shape: Size, count: int) -> Tensor:
    """(Q, 3, count, 2) places, (columns, rows) order, of all pillars' points in the three planes."""
    parts = []
    for plane in range(len(_AXES)):
        points = pillars(shape, plane, count)
        parts.append(torch.stack([points[..., [columns, rows]] for rows, columns in _AXES], dim=1))
    return torch.cat(parts)
