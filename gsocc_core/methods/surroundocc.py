# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""SurroundOcc (Wei et al., ICCV 2023): volumes of several scales look at the pictures, then flow together.

Pictures -> feature pyramid. One volume of queries per scale; each voxel looks into the pictures where its middle
projects (2D-3D spatial attention), neighbours talk through 3D convolutions. A decoder goes from the coarsest volume to
the finest, adds each volume on its way and classifies the voxels of every scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gsocc_core.errors import ConfigError
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.constants import kept_on
from gsocc_core.geometry.frames import FrameSet
from gsocc_core.geometry.grid_points import points_in_box, unit_centers
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.methods.gaussrender_args import GaussRenderArgs
from gsocc_core.methods.voxel_host import VoxelHost, VoxelLossArgs, VoxelOutput
from gsocc_core.networks.attention import DeformableImageAttention
from gsocc_core.networks.backbones import BackboneArgs
from gsocc_core.networks.pictures import PictureMaps, see_points
from gsocc_core.networks.volumes import FeedForward, Stride, conv_block, upsample_block

Size = tuple[int, int, int]


@dataclass(frozen=True)
class SurroundOccArgs:
    """Sizes of the network; the defaults are the paper's. Lists go from the finest scale to the coarsest.

    Attributes:
        dims: Channels of each volume. The finest has half the working grid's resolution, each further one half that of
            the one before.
        num_layers: Attention layers of each volume.
        num_points: Samples per head of each volume.
        num_heads: Attention heads.
        pyramid_dim: Channels of the pictures' feature pyramid, which has as many levels as there are volumes.
        feed_ratio: Width inside the feed-forward blocks, in channels of the volume.
        dropout: Dropout probability.
        stride: Voxels of the grid per working voxel; see :class:`gsocc_core.methods.voxel_host.VoxelHost`.
        checkpointing: Recompute layers in the backward pass to save memory.
    """

    dims: tuple[int, ...] = (128, 256, 512)
    num_layers: tuple[int, ...] = (1, 3, 6)
    num_points: tuple[int, ...] = (2, 4, 8)
    num_heads: int = 8
    pyramid_dim: int = 512
    feed_ratio: float = 2.0
    dropout: float = 0.1
    stride: Stride = (1, 1, 1)
    checkpointing: bool = False


class VolumeLayer(nn.Module):
    """Spatial attention into the pictures, feed-forward, two 3D convolutions beside a shortcut (section 3.3)."""

    def __init__(self, dim: int, num_heads: int, num_points: int, feed_hidden: int, dropout: float) -> None:
        """Build for one picture level."""
        super().__init__()
        self.look = DeformableImageAttention(dim, num_heads, 1, num_points, dropout)
        self.feed = FeedForward(dim, feed_hidden, dropout)
        self.convolve = nn.Sequential(conv_block(dim, dim), conv_block(dim, dim))

    def forward(self, queries: Tensor, shape: Size, picture: Tensor, uv_norm: Tensor, visible: Tensor) -> Tensor:
        """One layer.

        Args:
            queries: (B, N, dim) voxels in the order of the grid.
            shape: Voxels along x, y, z.
            picture: (B, V, dim, H, W) level of the pyramid.
            uv_norm: (B, V, N, 2) projections of the voxels' middles, 0..1 across the picture.
            visible: (B, V, N) bool.

        Returns:
            (B, N, dim).
        """
        queries = self.feed(self.look(queries, [picture], uv_norm, visible))
        volume = queries.transpose(1, 2).unflatten(2, shape)
        return queries + self.convolve(volume).flatten(2).transpose(1, 2)


class SurroundOcc(VoxelHost):
    """SurroundOcc.

    Args:
        classes: Class table; a channel stands for empty space.
        grid: Grid of labels and predictions.
        image_size: (height, width) of the network's pictures, pixels.
        backbone: Image backbone.
        network: Sizes.
        loss: Voxel losses, taken at every scale; a scale k steps below the finest weighs 1/2^k.
        render: Rendering loss, or None; it changes neither the network nor its bundle.
        pretrained: Load the backbone's hub weights, if it has a hub id.

    Raises:
        ConfigError: sizes that do not fit each other.
    """

    RECORDABLE = True
    CLASS_HEADS = ("head", "coarse_heads")

    def __init__(
        self,
        classes: ClassTable,
        grid: VoxelGrid,
        image_size: tuple[int, int] = (896, 1600),
        backbone: BackboneArgs | None = None,
        network: SurroundOccArgs | None = None,
        loss: VoxelLossArgs | None = None,
        render: GaussRenderArgs | None = None,
        pretrained: bool = True,
    ) -> None:
        args, backbone = network or SurroundOccArgs(), backbone or BackboneArgs()
        super().__init__(
            classes, grid, image_size, args.stride, loss or VoxelLossArgs(), render, max(args.dims[0] // 4, 1)
        )
        self.network_args = args
        scales, channels = len(args.dims), len(classes.channel_ids)
        _check(args, backbone, self.work_grid.shape)
        shapes = [tuple(n >> (i + 1) for n in self.work_grid.shape) for i in range(scales)]
        self.shapes: list[Size] = [(s[0], s[1], s[2]) for s in shapes]
        self.pictures = PictureMaps(backbone, args.pyramid_dim, pretrained)
        self.enter = nn.ModuleList(nn.Conv2d(args.pyramid_dim, dim, 1) for dim in args.dims)
        self.queries = nn.ParameterList(
            torch.randn(s[0] * s[1] * s[2], dim) * 0.02 for s, dim in zip(self.shapes, args.dims)
        )
        self.layers = nn.ModuleList(
            nn.ModuleList(
                VolumeLayer(dim, args.num_heads, points, round(dim * args.feed_ratio), args.dropout)
                for _ in range(count)
            )
            for dim, points, count in zip(args.dims, args.num_points, args.num_layers)
        )
        self.narrow = nn.ModuleList(conv_block(dim, dim // 2) for dim in args.dims)
        finer = [args.dims[0] // 2, *args.dims[:-1]]
        self.widen = nn.ModuleList(upsample_block(dim // 2, up, (2, 2, 2)) for dim, up in zip(args.dims, finer))
        self.finish = conv_block(args.dims[0] // 2, args.dims[0] // 4)
        self.coarse_heads = nn.ModuleList(nn.Linear(dim // 2, channels) for dim in args.dims)
        self.head = nn.Linear(args.dims[0] // 4, channels)

    def forward(self, frames: FrameSet, memory: None = None) -> VoxelOutput:  # noqa: ARG002 - there is no memory
        """Predict the voxels of the present pictures.

        Args:
            frames: Pictures of the present.
            memory: None.

        Returns:
            Class logits of the working grid and, in training, of the coarser scales.
        """
        volumes = self._volumes(frames)
        coarse: list[tuple[Tensor, float]] = []
        present = volumes[-1]
        for scale in reversed(range(len(volumes))):
            present = self.narrow[scale](present)
            if self.training:
                coarse.append((self.coarse_heads[scale](present.movedim(1, -1)), 0.5 ** (scale + 1)))
            present = self.widen[scale](present)
            if scale:
                present = present + volumes[scale - 1]
        features = self.finish(present).movedim(1, -1)
        return self.output(self.head(features), features, tuple(coarse))

    def _volumes(self, frames: FrameSet) -> list[Tensor]:
        """(B, dim, X, Y, Z) volumes, finest first, each of which has looked at one level of the pictures."""
        cameras, valid = frames.cameras.map(lambda t: t[:, 0]), frames.valid[:, 0]
        maps = self.pictures(frames.images[:, 0], cameras)
        volumes = []
        for scale, shape in enumerate(self.shapes):
            level = torch.relu(self.enter[scale](maps[scale].flatten(0, 1))).unflatten(0, valid.shape)
            centers = points_in_box(kept_on(level.device, unit_centers, shape).flatten(0, 2), self.grid)
            uv_norm, visible = see_points(cameras, valid, centers)
            queries = self.queries[scale].expand(len(valid), -1, -1)
            for layer in self.layers[scale]:  # type: ignore[attr-defined]
                if self.network_args.checkpointing and self.training:
                    queries = checkpoint(layer, queries, shape, level, uv_norm, visible, use_reentrant=False)
                else:
                    queries = layer(queries, shape, level, uv_norm, visible)
            volumes.append(queries.transpose(1, 2).unflatten(2, shape))
        return volumes


def _check(args: SurroundOccArgs, backbone: BackboneArgs, shape: Size) -> None:
    scales = len(args.dims)
    if len(args.num_layers) != scales or len(args.num_points) != scales:
        received = (len(args.dims), len(args.num_layers), len(args.num_points))
        raise ConfigError("SurroundOcc", "network.dims, num_layers, num_points", "lists of one length", received)
    if len(backbone.out_indices) != scales:
        expected = f"{scales} levels, one per volume"
        raise ConfigError("SurroundOcc", "backbone.out_indices", expected, backbone.out_indices)
    if any(dim % args.num_heads or dim % 4 for dim in args.dims):
        expected = f"multiples of 4 and of num_heads {args.num_heads}"
        raise ConfigError("SurroundOcc", "network.dims", expected, args.dims)
    if any(n % 2**scales for n in shape):
        expected = f"a working grid of multiples of {2**scales} voxels, for {scales} scales"
        raise ConfigError("SurroundOcc", "network.dims", expected, shape)
