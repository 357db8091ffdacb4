# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Symphonies (Jiang et al., CVPR 2024): instance queries carry context between pictures and scene.

Pictures -> feature pyramid, depth, and instance queries where the pictures show something. A volume of scene queries
looks at the pictures where a surface is likely. Layer after layer instances look into the pictures, the scene attends
to the instances and to its own surroundings, and the instances look into the scene and at each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from gsocc_core.errors import ConfigError
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.constants import kept_on
from gsocc_core.geometry.frames import FrameSet, Targets
from gsocc_core.geometry.grid_points import from_ego, points_in_box, unit_centers
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.losses.ray_distance import first_hit_m
from gsocc_core.methods.gaussrender_args import GaussRenderArgs
from gsocc_core.methods.voxel_host import VoxelHost, VoxelLossArgs, VoxelOutput
from gsocc_core.networks.attention import DeformableImageAttention, PositionCode, mlp
from gsocc_core.networks.backbones import BackboneArgs
from gsocc_core.networks.deformable import VolumeAttention
from gsocc_core.networks.depth_bins import DepthBins
from gsocc_core.networks.pictures import PictureMaps, see_points
from gsocc_core.networks.volumes import DilatedContext, FeedForward, Stride, upsample_block

Size = tuple[int, int, int]

#: Voxels less likely than this to lie on a surface, relative to the likeliest distance, do not look at the pictures.
_UNLIKELY = 0.1
#: The losses that Symphonies is published with.
_PUBLISHED_LOSS = VoxelLossArgs(1.0, 0.0, 1.0, 1.0, 1.0)


@dataclass(frozen=True)
class SymphoniesArgs:
    """Sizes of the network; the defaults are the paper's on SSCBench-KITTI360.

    Attributes:
        dim: Feature width.
        num_layers: Layers.
        num_heads: Attention heads.
        num_queries: Instance queries.
        query_level: Level of the pyramid from whose pixels they are chosen.
        image_points: Samples per head and level in the pictures.
        volume_points: Samples per head in the volume.
        upsample: Steps from the volume of scene queries to the working grid; their product is the volume's stride.
        depth_level: Level of the pyramid for which distances are predicted.
        depth_bins: Number of distances.
        depth_m: Smallest and largest distance along the rays, metres.
        depth_weight: Weight of the distance loss against labelled voxels; the original reads stereo depth instead.
        dropout: Dropout probability.
        stride: Voxels of the grid per working voxel; see :class:`gsocc_core.methods.voxel_host.VoxelHost`.
        checkpointing: Recompute layers in the backward pass to save memory.
    """

    dim: int = 128
    num_layers: int = 3
    num_heads: int = 8
    num_queries: int = 100
    query_level: int = 2
    image_points: int = 4
    volume_points: int = 8
    upsample: tuple[Stride, ...] = ((1, 1, 2), (2, 2, 2))
    depth_level: int = 1
    depth_bins: int = 96
    depth_m: tuple[float, float] = (1.0, 75.0)
    depth_weight: float = 1.0
    dropout: float = 0.0
    stride: Stride = (1, 1, 1)
    checkpointing: bool = False


@dataclass(frozen=True)
class SymphoniesOutput(VoxelOutput):
    """Output with the logits (B, V, bins, H, W) of the distances that pixels show."""

    distances: Tensor | None = None


class Instances(NamedTuple):
    """Instance queries.

    Attributes:
        features: (B, K, dim).
        uv_norm: (B, V, K, 2) where each was chosen, the same in all views.
        own: (B, V, K) bool: the view it was chosen in, if that picture is there.
        places: (B, K, 3) the place it shows, 0..1 across the grid's box.
    """

    features: Tensor
    uv_norm: Tensor
    own: Tensor
    places: Tensor

    @property
    def exists(self) -> Tensor:
        """(B, K) bool."""
        return self.own.any(1)


class Attend(nn.Module):
    """Attention to keys, a learned one among them for when there are no others, and layer norm."""

    def __init__(self, dim: int, num_heads: int, dropout: float) -> None:
        """Build."""
        super().__init__()
        self.nothing = nn.Parameter(torch.randn(1, 1, dim) * 0.02)
        self.attention = nn.MultiheadAttention(dim, num_heads, dropout=dropout, batch_first=True)
        self.norm = nn.LayerNorm(dim)

    def forward(self, queries: Tensor, keys: Tensor, exists: Tensor) -> Tensor:
        """Queries (B, N, dim), keys (B, K, dim) of which (B, K) exist -> (B, N, dim)."""
        keys = torch.cat([self.nothing.expand(len(keys), 1, -1), keys], dim=1)
        absent = torch.cat([torch.zeros_like(exists[:, :1]), ~exists], dim=1)
        return self.norm(queries + self.attention(queries, keys, keys, absent, need_weights=False)[0])


class SymphoniesLayer(nn.Module):
    """Serial instance-propagated attentions (section 3.3)."""

    def __init__(self, args: SymphoniesArgs, levels: int, last: bool) -> None:
        """Build for ``levels`` picture levels; the last layer leaves the instances alone."""
        super().__init__()
        dim, heads, dropout = args.dim, args.num_heads, args.dropout
        self.instance_image = DeformableImageAttention(dim, heads, levels, args.image_points, dropout)
        self.instance_feed = FeedForward(dim, 4 * dim, dropout)
        self.scene_instance = Attend(dim, heads, dropout)
        self.scene_scene = VolumeAttention(dim, heads, args.volume_points, dropout)
        self.scene_feed = FeedForward(dim, 4 * dim, dropout)
        self.last = last
        if not last:
            self.instance_scene = VolumeAttention(dim, heads, args.volume_points, dropout)
            self.instance_instance = Attend(dim, heads, dropout)
            self.instance_out = FeedForward(dim, 4 * dim, dropout)

    def forward(
        self, scene: Tensor, features: Tensor, instances: Instances, maps: list[Tensor], middles: Tensor, seen: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One layer.

        Args:
            scene: (B, X, Y, Z, dim).
            features: (B, K, dim) of the instances; their other values are those of ``instances``.
            instances: The instance queries.
            maps: Picture levels (B, V, dim, H_l, W_l).
            middles: (X Y Z, 3) middles of the voxels, 0..1.
            seen: (B, X Y Z) bool: voxels in view; the others stay as they are.

        Returns:
            Scene and features of the instances.
        """
        features = self.instance_feed(self.instance_image(features, maps, instances.uv_norm, instances.own))
        voxels = scene.flatten(1, 3)
        changed = self.scene_instance(voxels, features, instances.exists)
        changed = self.scene_scene(changed, scene, middles.expand(len(scene), -1, -1))
        scene = torch.where(seen[..., None], self.scene_feed(changed), voxels).view_as(scene)
        if self.last:
            return scene, features
        features = self.instance_scene(features, scene, instances.places)
        features = self.instance_out(self.instance_instance(features, features, instances.exists))
        return scene, features


class Symphonies(VoxelHost):
    """Symphonies, for any number of cameras, with predicted distances and queries in place of what it is given.

    Args:
        classes: Class table; a channel stands for empty space.
        grid: Grid of labels and predictions.
        image_size: (height, width) of the network's pictures, pixels.
        backbone: Image backbone.
        network: Sizes.
        loss: Voxel losses, taken after every layer; all but the last weigh one half. None = the published ones:
            cross-entropy, semantic and geometric affinity, frustum proportion.
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
        image_size: tuple[int, int] = (376, 1408),
        backbone: BackboneArgs | None = None,
        network: SymphoniesArgs | None = None,
        loss: VoxelLossArgs | None = None,
        render: GaussRenderArgs | None = None,
        pretrained: bool = True,
    ) -> None:
        args, backbone = network or SymphoniesArgs(), backbone or BackboneArgs(out_indices=(1, 2, 3))
        super().__init__(classes, grid, image_size, args.stride, loss or _PUBLISHED_LOSS, render, args.dim)
        self.network_args, levels = args, len(backbone.out_indices)
        total = [1, 1, 1]
        for step in args.upsample:
            total = [a * b for a, b in zip(total, step)]
        _check(args, levels, self.work_grid.shape, total)
        x, y, z = (n // s for n, s in zip(self.work_grid.shape, total))
        self.shape: Size = (x, y, z)
        self.pictures = PictureMaps(backbone, args.dim, pretrained)
        self.distance = DepthBins(args.dim, args.depth_bins, args.depth_m)
        self.score = nn.Linear(args.dim, 1)
        self.instance = mlp(args.dim, args.dim, args.dim)
        self.scene = nn.Parameter(torch.randn(x * y * z, args.dim) * 0.02)
        self.code = PositionCode((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), args.dim)
        self.propose = DeformableImageAttention(args.dim, args.num_heads, levels, args.image_points, args.dropout)
        self.layers = nn.ModuleList(
            SymphoniesLayer(args, levels, i == args.num_layers - 1) for i in range(args.num_layers)
        )
        self.context = DilatedContext(args.dim)
        self.upsample = nn.Sequential(*(upsample_block(args.dim, args.dim, step) for step in args.upsample))
        self.head = nn.Linear(args.dim, len(classes.channel_ids))

    def forward(self, frames: FrameSet, memory: None = None) -> SymphoniesOutput:  # noqa: ARG002 - there is no memory
        """Predict the voxels of the present pictures.

        Args:
            frames: Pictures of the present.
            memory: None.

        Returns:
            Class logits of the working grid and, in training, those after every layer.
        """
        cameras, valid = frames.cameras.map(lambda t: t[:, 0]), frames.valid[:, 0]
        maps = self.pictures(frames.images[:, 0], cameras)
        distances = self.distance(maps[self.network_args.depth_level])
        instances = self._instances(maps, distances, cameras, valid)
        middles = kept_on(maps[0].device, unit_centers, self.shape).flatten(0, 2)
        points_m = points_in_box(middles, self.grid)
        uv_norm, visible = see_points(cameras, valid, points_m)
        scene = self.scene + self.code(middles)
        scene = self._proposed(scene.expand(len(valid), -1, -1), maps, distances, cameras, points_m, uv_norm, visible)
        scene = scene.unflatten(1, self.shape)
        features, coarse, seen = instances.features, [], visible.any(1)
        for layer in self.layers:
            arguments = (scene, features, instances, maps, middles, seen)
            if self.network_args.checkpointing and self.training:
                scene, features = checkpoint(layer, *arguments, use_reentrant=False)
            else:
                scene, features = layer(*arguments)
            if self.training and layer is not self.layers[-1]:
                coarse.append((self.head(self._upsampled(scene)), 0.5))
        scene = self.context(scene.movedim(-1, 1)).movedim(1, -1)
        voxels = self._upsampled(scene)
        output = self.output(self.head(voxels), voxels, tuple(coarse))
        return SymphoniesOutput(output.scene, output.features, output.coarse, None, distances)

    def _upsampled(self, scene: Tensor) -> Tensor:
        """(B, X', Y', Z', dim) scene queries -> (B, X, Y, Z, dim) features of the working grid."""
        return self.upsample(scene.movedim(-1, 1)).movedim(1, -1)

    def _instances(self, maps: list[Tensor], distances: Tensor, cameras: Cameras, valid: Tensor) -> Instances:
        """The most telling pixels of the pictures as queries, and where in space they lie."""
        level_map = maps[self.network_args.query_level]
        views, _, height, width = level_map.shape[1:]
        tokens = level_map.movedim(2, -1).flatten(1, 3)
        scores = self.score(tokens)[..., 0]
        usable = valid.repeat_interleave(height * width, dim=1)
        count = min(self.network_args.num_queries, tokens.shape[1])
        rows = scores.masked_fill(~usable, float("-inf")).topk(count, dim=1).indices
        wide = rows[..., None]
        # The score also scales the query, so that it learns from what the query is good for.
        chosen = tokens.gather(1, wide.expand(-1, -1, tokens.shape[-1])) * scores.gather(1, rows).sigmoid()[..., None]
        pixel = rows % (height * width)
        uv = torch.stack([(pixel % width + 0.5) / width, (pixel // width + 0.5) / height], dim=-1).to(tokens)
        view = torch.arange(views, device=rows.device)[:, None]
        own = (rows // (height * width))[:, None] == view
        distance_m = functional.interpolate(
            self.distance.expected_m(distances), size=(height, width), mode="bilinear", align_corners=False
        )
        origins, directions = cameras.resized(width, height).rays()
        points = origins + functional.normalize(directions, dim=-1) * distance_m[..., None]
        points = points.flatten(1, 3).gather(1, wide.expand(-1, -1, 3))
        places = from_ego(points, self.grid).clamp(0.0, 1.0)
        own = own & usable.gather(1, rows)[:, None]
        return Instances(self.instance(chosen), uv[:, None].expand(-1, views, -1, -1), own, places)

    def _proposed(
        self,
        scene: Tensor,
        maps: list[Tensor],
        distances: Tensor,
        cameras: Cameras,
        points_m: Tensor,
        uv_norm: Tensor,
        visible: Tensor,
    ) -> Tensor:
        """Scene queries (B, N, dim); those near a visible surface have looked at the pictures (section 3.2)."""
        likely = self.distance.surface(distances, cameras, points_m, uv_norm, visible)
        looked = self.propose(scene, maps, uv_norm, visible & (likely.detach() > _UNLIKELY))
        # A voxel takes over what it saw in so far as it lies on a surface: so distances also learn from the voxels.
        share = likely.amax(1)[..., None]
        return scene + torch.where(share > _UNLIKELY, share, 0.0) * (looked - scene)

    # ---- losses ------------------------------------------------------------------------------------------------------

    def losses(self, output: VoxelOutput, frames: FrameSet) -> dict[str, Tensor]:
        """Weighted losses; their sum is the training objective.

        Args:
            output: Result of :meth:`forward`.
            frames: The same frames, with voxel labels.

        Returns:
            Those of :meth:`VoxelHost.losses`, and ``distance``: cross-entropy between the predicted distances and
            those at which the pixels' rays meet labelled voxels.

        Raises:
            ConfigError: there are no voxel labels.
            ShapeError: the labels do not lie on the grid.
        """
        result = super().losses(output, frames)
        args = self.network_args
        if args.depth_weight and isinstance(output, SymphoniesOutput) and output.distances is not None:
            labels = self._labels(frames.targets or Targets())
            result["distance"] = args.depth_weight * self._distance_loss(output.distances, labels, frames)
        return result

    def _distance_loss(self, logits: Tensor, labels: Tensor, frames: FrameSet) -> Tensor:
        height, width = logits.shape[-2:]
        origins, directions = frames.cameras.map(lambda t: t[:, 0]).resized(width, height).rays()
        distance_m = first_hit_m(
            labels, self.grid, origins.flatten(1, 3), functional.normalize(directions, dim=-1).flatten(1, 3),
            self.classes.free_id, self.classes.ignore_id, self.network_args.depth_m[1],
        )  # fmt: skip
        valid = frames.valid[:, 0].repeat_interleave(height * width, dim=1)
        used = valid & (distance_m >= self.network_args.depth_m[0])
        if not bool(used.any()):
            return logits.sum() * 0.0
        target = self.distance.bin_of(distance_m[used]).long().clamp(0, logits.shape[2] - 1)
        return functional.cross_entropy(logits.movedim(2, -1).flatten(1, 3)[used], target)


def _check(args: SymphoniesArgs, levels: int, shape: Size, total: list[int]) -> None:
    if args.dim % args.num_heads:
        raise ConfigError("Symphonies", "network.num_heads", f"a divisor of dim {args.dim}", args.num_heads)
    if any(n % s for n, s in zip(shape, total)):
        raise ConfigError("Symphonies", "network.upsample", f"divisors of the working grid's {shape} voxels", total)
    for key in ("query_level", "depth_level"):
        if not 0 <= getattr(args, key) < levels:
            expected = f"0 ... {levels - 1}, a level of the backbone"
            raise ConfigError("Symphonies", f"network.{key}", expected, getattr(args, key))
    if not 0 < args.depth_m[0] < args.depth_m[1]:
        raise ConfigError("Symphonies", "network.depth_m", "0 < low < high (m)", args.depth_m)
