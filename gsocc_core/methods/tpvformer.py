# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""TPVFormer (Huang et al., CVPR 2023): three planes instead of a volume.

Pictures -> feature pyramid. The cells of three planes (top xy, side yz, front xz) are queries, each a pillar of points.
Layer after layer they look into each other's planes, then into the pictures where their points project. A voxel's
feature is the sum of its three shadows; a small network classifies it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gsocc_core.errors import ConfigError
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.constants import kept_on
from gsocc_core.geometry.frames import FrameSet
from gsocc_core.geometry.grid_points import points_in_box, unit_centers
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.methods.gaussrender_args import GaussRenderArgs
from gsocc_core.methods.voxel_host import VoxelHost, VoxelLossArgs, VoxelOutput
from gsocc_core.networks.attention import PositionCode, RowColumnCode
from gsocc_core.networks.backbones import BackboneArgs
from gsocc_core.networks.deformable import PillarImageAttention, PlaneAttention, TopPlaneAttention
from gsocc_core.networks.pictures import HeadingMaps, PictureMaps, place_points, see_points
from gsocc_core.networks.volumes import FeedForward, Stride
from gsocc_core.networks.voxel_head import DenseHead

Size = tuple[int, int, int]

#: Axes (rows, columns) of the planes xy, yz, xz, and the axis along which the pillars of each stand.
_AXES = ((0, 1), (1, 2), (0, 2))
_PILLAR = (2, 0, 1)


@dataclass(frozen=True)
class TpvOriginalArgs:
    """What the published network does in another way; the defaults are its own.

    Cells of the top plane look around themselves, and planes do not look into each other; a learned code of row and
    column belongs to that look alone. Pictures are known by an embedding of their camera. Points of a pillar that a
    camera does not see have their share too.

    Attributes:
        coarser_levels: Picture levels beyond those of the backbone.
        camera_headings_deg: Where the cameras look that the embeddings belong to: degrees from ahead, left positive.
            Every camera takes the nearest one.
        pillar_inset_m: Outermost points of a pillar lie so far inside the grid's box, metres.
        picture_multiple: Pictures are filled up with their mean to multiples of so many pixels.
        top_points: Samples of the top plane around its cells, per head and look.
        ego_motion: ``ignored`` = cameras are taken as if the rig had stood still between their shots and the reference
            time, as GaussRender does on Occ3D.
    """

    coarser_levels: int = 1
    camera_headings_deg: tuple[float, ...] = (0.0, -55.0, 55.0, 180.0, 110.0, -110.0)
    pillar_inset_m: float = 0.5
    picture_multiple: int = 32
    top_points: int = 4
    ego_motion: Literal["respected", "ignored"] = "respected"


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
        original: Be the published network; ``plane_points`` then means nothing. None = ours.
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
    original: TpvOriginalArgs | None = None


@dataclass(frozen=True)
class TpvGeometry:
    """What all layers know of planes and cameras.

    Attributes:
        shape: Cells of the planes along x, y, z.
        places: (Q, 3, P, 2) where each query looks in each plane; None in the published network.
        codes: (Q', dim) codes of the top plane's cells, in the published network.
        seen: Per plane projections (B, V, Q_p, R, 2) and visibility (B, V, Q_p, R) of its pillars' points.
    """

    shape: Size
    places: Tensor | None
    codes: Tensor | None
    seen: tuple[tuple[Tensor, Tensor], ...]


class TpvLayer(nn.Module):
    """Cross-view hybrid attention, image attention per plane, feed-forward (sections 3.3 and 3.4)."""

    def __init__(self, args: TpvArgs, levels: int) -> None:
        """Build for ``levels`` picture levels."""
        super().__init__()
        self.across: PlaneAttention | TopPlaneAttention = (
            PlaneAttention(args.dim, args.num_heads, len(_AXES), args.plane_points, args.dropout)
            if args.original is None
            else TopPlaneAttention(args.dim, args.num_heads, args.original.top_points, args.dropout)
        )
        unseen = args.original is not None
        self.pictures = nn.ModuleList(
            PillarImageAttention(args.dim, args.num_heads, levels, points, args.num_points, args.dropout, unseen)
            for points in args.pillar_points
        )
        self.feed = FeedForward(args.dim, args.feed_hidden, args.dropout)

    def forward(self, queries: Tensor, geometry: TpvGeometry, maps: list[Tensor]) -> Tensor:
        """One layer.

        Args:
            queries: (B, Q, dim) cells of the three planes, one plane after the other.
            geometry: Of planes and cameras.
            maps: Picture levels (B, V, dim, H_l, W_l).

        Returns:
            (B, Q, dim).
        """
        shape = geometry.shape
        if isinstance(self.across, TopPlaneAttention):
            assert geometry.codes is not None
            queries = self.across(queries, geometry.codes, shape[:2])
        else:
            assert geometry.places is not None
            queries = self.across(queries, as_planes(queries, shape), geometry.places)
        parts = queries.split([len_of(shape, plane) for plane in range(len(_AXES))], dim=1)
        looked = [look(part, maps, *where) for look, part, where in zip(self.pictures, parts, geometry.seen)]
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

    RECORDABLE = True

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
        original = args.original
        self.pictures: PictureMaps | HeadingMaps = (
            PictureMaps(backbone, args.dim, pretrained)
            if original is None
            else HeadingMaps(
                backbone, args.dim, pretrained, original.camera_headings_deg, original.coarser_levels,
                original.picture_multiple,
            )
        )  # fmt: skip
        cells = sum(len_of(self.plane_shape, plane) for plane in range(len(_AXES)))
        self.queries = nn.Parameter(torch.randn(cells, args.dim) * 0.02)
        self.code: PositionCode | RowColumnCode = (
            PositionCode((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), args.dim)
            if original is None
            else RowColumnCode(x, y, args.dim)
        )
        levels = len(backbone.out_indices) + (0 if original is None else original.coarser_levels)
        self.layers = nn.ModuleList(TpvLayer(args, levels) for _ in range(args.num_layers))
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
        geometry = self._geometry(cameras, valid, maps[0].device)
        queries: Tensor = self.queries
        if isinstance(self.code, PositionCode):
            middles = [kept_on(queries.device, pillars, self.plane_shape, plane, 1) for plane in range(len(_AXES))]
            queries = queries + self.code(torch.cat(middles)[:, 0])
        queries = queries.expand(len(valid), -1, -1)
        for layer in self.layers:
            if self.network_args.checkpointing and self.training:
                queries = checkpoint(layer, queries, geometry, maps, use_reentrant=False)
            else:
                queries = layer(queries, geometry, maps)
        logits, features = self.head(as_planes(queries, self.plane_shape), self.work_grid.shape)
        return self.output(logits, features)

    def _geometry(self, cameras: Cameras, valid: Tensor, device: torch.device) -> TpvGeometry:
        """Where pillars stand, in space, in the pictures and in the planes."""
        args, shape, seen = self.network_args, self.plane_shape, []
        original = args.original
        if original is not None and original.ego_motion == "ignored":
            cameras = replace(cameras, T_ref_ego=None)
        for plane, count in enumerate(args.pillar_points):
            points = kept_on(device, pillars, shape, plane, count)
            if original is not None:
                points = inset(points, plane, original.pillar_inset_m, self.grid)
            points_m = points_in_box(points, self.grid).flatten(0, 1)
            if original is None:
                uv, visible = see_points(cameras, valid, points_m)
            else:
                uv, visible = place_points(cameras, valid, points_m, original.picture_multiple)
            seen.append((uv.unflatten(2, (-1, count)), visible.unflatten(2, (-1, count))))
        if isinstance(self.code, RowColumnCode):
            return TpvGeometry(shape, None, self.code(), tuple(seen))
        return TpvGeometry(shape, kept_on(device, shadows, shape, args.plane_points), None, tuple(seen))


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


def inset(points: Tensor, plane: int, margin_m: float, grid: VoxelGrid) -> Tensor:
    """Points (Q, count, 3) of the pillars over a plane, spread anew from ``margin_m`` inside the box to the other side.

    Example:
        >>> grid = VoxelGrid((0.0, 0.0, 0.0), (1.0, 1.0, 10.0), 1.0)
        >>> [round(z, 3) for z in inset(pillars((1, 1, 10), 0, 3), 0, 0.5, grid)[0, :, 2].tolist()]
        [0.05, 0.5, 0.95]
    """
    axis = _PILLAR[plane]
    margin = margin_m / (grid.upper[axis] - grid.lower[axis])
    spread = points.clone()
    spread[..., axis] = torch.linspace(margin, 1 - margin, points.shape[1], device=points.device)
    return spread


def shadows(shape: Size, count: int) -> Tensor:
    """(Q, 3, count, 2) places, (columns, rows) order, of all pillars' points in the three planes."""
    parts = []
    for plane in range(len(_AXES)):
        points = pillars(shape, plane, count)
        parts.append(torch.stack([points[..., [columns, rows]] for rows, columns in _AXES], dim=1))
    return torch.cat(parts)
