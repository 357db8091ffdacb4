# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""GaussianFlowOcc (Boeder et al., ICCV 2025): learned Gaussians that look at the pictures and remember.

Pictures -> feature pyramid. N learned Gaussians (a mean and a feature each) pass through blocks of attention to the
previous key frame's Gaussians, induced self-attention, deformable image attention and a mean update; heads then read
class logits, opacity, scale and rotation. Training renders them into the present and into neighbouring key frames, for
which a flow head moves what can move; voxels are made only at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from gsocc_core.errors import ConfigError
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.constants import constant
from gsocc_core.geometry.frames import FrameSet, Targets
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.grid_points import box_in_ego, points_in_box, to_grid
from gsocc_core.geometry.voxels import SemanticGrid, VoxelGrid
from gsocc_core.methods.gaussian_voxels import gaussian_occupancy
from gsocc_core.methods.gaussianflowocc_args import LossArgs, MemoryArgs, NetworkArgs, SplatArgs
from gsocc_core.methods.gaussianflowocc_losses import GaussianFlowOccLosses, LiftedPixels, MovingScene
from gsocc_core.methods.method import Method
from gsocc_core.methods.stream_memory import StreamMemory
from gsocc_core.networks.attention import PositionCode, RayCode, mlp
from gsocc_core.networks.backbones import BackboneArgs, ImageEncoder
from gsocc_core.networks.carried import CarriedGaussians, gathered, is_seen, joined
from gsocc_core.networks.fixed_sizes import sizes_are_fixed
from gsocc_core.networks.flow import FlowArgs, FlowHead
from gsocc_core.networks.flow_embedding import FlowEmbedding, MovingPoints
from gsocc_core.networks.gaussian_blocks import RefinementBlock
from gsocc_core.networks.hidden import depth_shown
from gsocc_core.networks.pixel_gaussians import PixelGaussians


@dataclass(frozen=True)
class Output:
    """Result of :meth:`GaussianFlowOcc.forward`.

    Attributes:
        scene: Gaussians (B, N) in the present ego frame; features are class logits, velocities those of the flow.
        memory: State for the next key frame.
        features: (B, N, D) what the flow head reads: the Gaussians' features with the code of their places, and with
            what lies around them now and lay there before, if it is asked for.
        dynamic: (B, N) bool: the Gaussian's class can move.
        distances: (B, V, bins, h, w) logits of distances along the rays of the lifted pixels; None without them.
        lifted_size: (h, w) of the feature map whose pixels are lifted; (0, 0) = none are.
    """

    scene: Gaussians
    memory: StreamMemory
    features: Tensor
    dynamic: Tensor
    distances: Tensor | None = None
    lifted_size: tuple[int, int] = (0, 0)


class GaussianFlowOcc(Method):
    """GaussianFlowOcc; without ``memory`` and ``flow`` its static part.

    Args:
        classes: Class table; its ``channel_ids`` say which class each logit stands for.
        grid: Voxel grid, wherever it stands in the ego frame (``T_ego_grid``); its box also holds the initial means.
            Means are always told in the ego frame.
        image_size: (height, width) of the network's pictures, pixels.
        backbone: Image backbone.
        network: Sizes.
        loss: Loss weights.
        splat: How Gaussians become voxels.
        memory: Streaming memory and temporal attention; None = every key frame by itself.
        flow: Flow of moving classes; None = nothing moves.
        pretrained: Load the backbone's hub weights, if it has a hub id.

    Raises:
        ConfigError: sizes that do not fit each other.
    """

    RECORDABLE = True
    CLASS_HEADS = ("heads.logits",)
    PER_GAUSSIAN = ("means", "features")

    def __init__(
        self,
        classes: ClassTable,
        grid: VoxelGrid,
        image_size: tuple[int, int] = (256, 704),
        backbone: BackboneArgs | None = None,
        network: NetworkArgs | None = None,
        loss: LossArgs | None = None,
        splat: SplatArgs | None = None,
        memory: MemoryArgs | None = None,
        flow: FlowArgs | None = None,
        pretrained: bool = True,
    ) -> None:
        super().__init__()
        self.classes, self.grid, self.image_size = classes, grid, (image_size[0], image_size[1])
        self.backbone_args = backbone or BackboneArgs()
        self.network_args = args = network or NetworkArgs()
        self.loss_args, self.splat_args, self.memory_args = loss or LossArgs(), splat or SplatArgs(), memory
        if args.dim % args.num_heads:
            raise ConfigError("GaussianFlowOcc", "network.num_heads", f"a divisor of dim {args.dim}", args.num_heads)
        if not 0 <= args.scale_range_m[0] < args.scale_range_m[1]:
            raise ConfigError("GaussianFlowOcc", "network.scale_range_m", "0 <= low < high (m)", args.scale_range_m)
        self._objective = GaussianFlowOccLosses(classes, grid, self.loss_args, self.splat_args)
        if flow is None and (self.loss_args.flow_alignment or self.loss_args.flow_speed):
            raise ConfigError("GaussianFlowOcc", "flow", "arguments of the flow head, since its losses are on", None)

        self.encoder = ImageEncoder(self.backbone_args, args.dim, pretrained)
        self.rays = RayCode(args.dim)
        self.lift: PixelGaussians | None = None
        self.lifted_level = 0
        if args.lifted_level is not None:
            levels = len(self.backbone_args.out_indices)
            if not 0 <= args.lifted_level < levels:
                expected = f"0 ... {levels - 1}, a level of the backbone"
                raise ConfigError("GaussianFlowOcc", "network.lifted_level", expected, args.lifted_level)
            if not 0 < args.lifted_depth_m[0] < args.lifted_depth_m[1]:
                raise ConfigError(
                    "GaussianFlowOcc", "network.lifted_depth_m", "0 < low < high (m)", args.lifted_depth_m
                )
            self.lift = PixelGaussians(args.dim, args.lifted_depth_m, args.lifted_bins, args.lifted_per_pixel)
            self.lifted_level = args.lifted_level
        wanted = self.loss_args
        if (wanted.lifted_depth or wanted.lifted_classes) and self.lift is None:
            raise ConfigError("GaussianFlowOcc", "network.lifted_level", "a level, since loss.lifted_... is on", None)
        if wanted.lifted_depth and not args.lifted_bins:
            raise ConfigError("GaussianFlowOcc", "network.lifted_bins", "some, since loss.lifted_depth is on", 0)
        self.means = nn.Parameter(points_in_box(torch.rand(args.num_gaussians, 3), grid))
        self.features = nn.Parameter(torch.randn(args.num_gaussians, args.dim))
        self.code = PositionCode(*box_in_ego(grid), args.dim)
        levels = len(self.backbone_args.out_indices)
        temporal = memory is not None and memory.attention
        self.blocks = nn.ModuleList(
            RefinementBlock(
                args.dim, args.num_heads, levels, args.num_points, args.num_inducing, args.dropout, temporal,
                memory.gate if memory is not None else None, args.max_mean_update_m,
            )
            for _ in range(args.num_blocks)
        )  # fmt: skip
        self.flow = None if flow is None else FlowHead(args.dim, flow)
        self.flow_embedding: FlowEmbedding | None = None
        if flow is not None and flow.neighbours:
            if memory is None:
                raise ConfigError("GaussianFlowOcc", "flow.neighbours", "0 without a memory", flow.neighbours)
            self.flow_embedding = FlowEmbedding(args.dim, flow.hidden, flow.neighbours)
        self.carried = None if memory is None or not memory.carried else CarriedGaussians(args.dim, memory.carried)
        heads = {"logits": len(classes.channel_ids), "opacity": 1, "scale": 3, "rotation": 4}
        self.heads = nn.ModuleDict({k: mlp(args.dim, args.head_hidden, c, layers=3) for k, c in heads.items()})
        opacity_bias = self.heads["opacity"][-1].bias  # type: ignore[index]
        nn.init.constant_(opacity_bias, float(torch.logit(torch.tensor(args.initial_opacity))))

    def begin(self, surfaces: Callable[[int], Tensor]) -> None:
        """Prepare a training from the beginning.

        Args:
            surfaces: Gives N points (N, 3) on the training data's surfaces, metres, ego frame.
        """
        if self.network_args.initial_means == "surfaces":
            with torch.no_grad():
                self.means.copy_(surfaces(len(self.means)))

    # ---- network -----------------------------------------------------------------------------------------------------

    def forward(self, frames: FrameSet, memory: StreamMemory | None = None) -> Output:
        """Predict the scene of the present pictures.

        Args:
            frames: Pictures of the present, and, for a training with memory, of earlier key frames as moments 1 ...
            memory: State of the previous key frame; None = run the earlier moments first, oldest to newest and
                without gradient. Where it is of another scene, too old or of unknown pose, the learned Gaussians
                stand in for it.

        Returns:
            Gaussians in the present ego frame and the state for the next key frame.
        """
        if memory is None and self.memory_args is not None:
            with torch.no_grad():
                for moment in range(frames.images.shape[1] - 1, 0, -1):
                    memory = self._step(frames.moment(moment), memory).memory
        return self._step(frames.moment(0), memory)

    def _step(self, frames: FrameSet, memory: StreamMemory | None) -> Output:
        """One key frame: the pictures of moment 0 and the state of the one before."""
        maps = self._encode(frames)
        cameras = frames.cameras.map(lambda t: t[:, 0])
        features, means, exists, distances = self._queries(frames, maps, cameras)
        usable = self._usable(frames, memory)
        # An unusable memory is masked where it is read: leaving it out saves work, not more.
        if usable is None or not (sizes_are_fixed() or bool(usable.any())):
            memory, usable = None, None
        remembered = None
        if self.memory_args is not None and self.memory_args.attention:
            places = None if memory is None else memory.seen_from(frames, self.memory_args.move).means
            remembered = self._keys(features, means, memory, places, usable)
        readable = None if self.lift is None else exists
        for block in self.blocks:
            features, means = block(features, means, readable, self.code, maps, cameras, frames.valid[:, 0], remembered)
        scene = self._read_heads(features, means)
        scene = scene.replace(opacities=scene.opacities * exists)
        dynamic = self._is_dynamic(scene.features)
        placed = features + self.code(means)  # traffic keeps to its lanes: where a thing is says much of its motion
        if self.flow_embedding is not None:
            now = MovingPoints(scene.means, features, torch.zeros_like(scene.means), scene.opacities * dynamic)
            placed = placed + self.flow_embedding(scene.means, now, _moving_then(memory, usable, frames, now))
        if self.flow is not None:
            scene = scene.replace(velocities=self.flow.velocities(placed, dynamic))
        seen = torch.ones_like(dynamic)
        if self.carried is not None:
            size = maps[len(maps) // 2].shape[-2:]
            shown = (cameras, frames.valid[:, 0], depth_shown(scene, cameras, (size[0], size[1])))
            seen = is_seen(scene, *shown)
            scene = scene.replace(opacities=scene.opacities + self.carried.idle())
        if self.carried is not None and memory is not None and usable is not None:
            old = memory.seen_from(frames, self.memory_args is not None and self.memory_args.move)
            lives = self._inside(old.means) & memory.seen & usable[:, None]
            scene, kept, places = self.carried(old, memory.features, lives, scene, seen, *shown)
            known = gathered(memory.features, places)
            scene, features = joined(scene, kept), torch.cat([features, known], dim=1)
            seen = torch.cat([seen, torch.ones_like(places, dtype=torch.bool)], dim=1)
            dynamic = torch.cat([dynamic, gathered(memory.dynamic, places)], dim=1)
            placed = torch.cat([placed, known + self.code(kept.means)], dim=1)
        height, width = maps[self.lifted_level].shape[-2:]
        lifted_size = (0, 0) if self.lift is None else (height, width)
        return Output(
            scene, _memory_of(scene, features, dynamic, seen, frames), placed, dynamic, distances, lifted_size
        )

    def _usable(self, frames: FrameSet, memory: StreamMemory | None) -> Tensor | None:
        """(B,) bool: the memory can be read; None = there is none."""
        if self.memory_args is None or memory is None or not memory.has_place_in(frames):
            return None
        return memory.usable_for(frames, self.memory_args.max_gap_s)

    def _queries(
        self, frames: FrameSet, maps: list[Tensor], cameras: Cameras
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Features, means and existence of learned and lifted Gaussians, and logits of the latters' distances."""
        batch = frames.images.shape[0]
        means, features = self.means.expand(batch, -1, -1), self.features.expand(batch, -1, -1)
        exists = torch.ones_like(means[..., 0], dtype=torch.bool)
        if self.lift is None:
            return features, means, exists, None
        level_map = maps[self.lifted_level]
        lifted, places, distances = self.lift(level_map, cameras)
        each = level_map.shape[-2] * level_map.shape[-1] * self.lift.per_pixel
        taken = frames.valid[:, 0, :, None].expand(-1, -1, each).flatten(1)
        return (
            torch.cat([features, lifted], dim=1),
            torch.cat([means, places], dim=1),
            torch.cat([exists, taken], dim=1),
            distances,
        )

    def _keys(
        self,
        features: Tensor,
        means: Tensor,
        memory: StreamMemory | None,
        places: Tensor | None,
        usable: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Keys of the temporal attention: the previous Gaussians, or the initial ones where there are none."""
        count = self.network_args.num_gaussians
        initial = features[:, :count] + self.code(means[:, :count])
        everywhere = torch.ones(initial.shape[:2], dtype=torch.bool, device=initial.device)
        if memory is None or places is None or usable is None:
            return initial, everywhere
        previous = memory.features + self.code(places)
        known = usable[:, None].expand(previous.shape[:2]) & (memory.scene.opacities > 0)
        return torch.cat([previous, initial], dim=1), torch.cat([known, everywhere & ~known.any(1, True)], dim=1)

    def _inside(self, means: Tensor) -> Tensor:
        """(B, N) bool: the mean lies in the grid."""
        local = to_grid(means, self.grid)
        return ((local > constant(self.grid.lower, means)) & (local < constant(self.grid.upper, means))).all(-1)

    def _is_dynamic(self, logits: Tensor) -> Tensor:
        """(B, N) bool: the class of the largest logit can move."""
        moves = tuple(float(class_id in self.classes.dynamic_ids) for class_id in self.classes.channel_ids)
        return constant(moves, logits)[logits.detach().argmax(-1)] > 0

    def _encode(self, frames: FrameSet) -> list[Tensor]:
        """Pyramid maps (B, V, D, H_l, W_l) of the present pictures, each pixel with its ray's code added."""
        maps = self.encoder(frames.images[:, 0])
        coded = []
        for level_map in maps:
            height, width = level_map.shape[-2:]
            cameras = frames.cameras.map(lambda t: t[:, 0]).resized(width, height)
            origins, directions = cameras.rays()
            coded.append(level_map + self.rays(origins, directions).movedim(-1, -3))
        return coded

    def _read_heads(self, features: Tensor, means: Tensor) -> Gaussians:
        low, high = self.network_args.scale_range_m
        return Gaussians(
            means=means,
            scales=(low + (high - low) * self.heads["scale"](features).sigmoid()).clamp(min=1e-3),
            quats=nn.functional.normalize(self.heads["rotation"](features), dim=-1),
            opacities=self.heads["opacity"](features)[..., 0].sigmoid(),
            features=self.heads["logits"](features),
        )

    # ---- losses ------------------------------------------------------------------------------------------------------

    def losses(self, output: Output, frames: FrameSet) -> dict[str, Tensor]:
        """Weighted losses; their sum is the training objective.

        Args:
            output: Result of :meth:`forward`.
            frames: The same frames, with targets.

        Returns:
            One scalar per loss that is switched on.

        Raises:
            ConfigError: a loss is switched on whose labels are missing.
        """
        moved = MovingScene(output.scene, output.features, output.dynamic, self.flow)
        targets, args = frames.targets or Targets(), self.loss_args
        result = self._objective(moved, targets)
        if self.lift is not None and (args.lifted_depth or args.lifted_classes):
            result |= self._objective.of_lifted(self._lifted(self.lift, output, frames.valid[:, 0]), targets)
        return result

    def _lifted(self, lift: PixelGaussians, output: Output, valid: Tensor) -> LiftedPixels:
        """What the present pictures' lifted pixels say."""
        views, (height, width) = valid.shape[1], output.lifted_size
        start, count = self.network_args.num_gaussians, views * height * width * lift.per_pixel
        logits = output.scene.features[:, start : start + count].unflatten(1, (views, height, width, lift.per_pixel))
        return LiftedPixels(logits.permute(0, 4, 1, 5, 2, 3), output.distances, lift.distance, valid)

    # ---- voxels ------------------------------------------------------------------------------------------------------

    def occupancy(self, output: Output, grid: VoxelGrid | None = None) -> SemanticGrid:
        """Labels and confidence on a voxel grid.

        Args:
            output: Result of :meth:`forward`.
            grid: Any grid; None = the grid of training.

        Returns:
            (B, X, Y, Z) labels; with a flow head also the velocity of every voxel of a moving class.
        """
        return gaussian_occupancy(output.scene, grid or self.grid, self.classes, self.splat_args, output.dynamic)


def _moving_then(
    memory: StreamMemory | None, usable: Tensor | None, frames: FrameSet, now: MovingPoints
) -> MovingPoints:
    """What could move a key frame before, where it stood then; without a memory, points that do not exist."""
    if memory is None or usable is None:
        return replace(now, worth=torch.zeros_like(now.worth))
    then = memory.seen_from(frames)
    velocities = torch.zeros_like(then.means) if then.velocities is None else then.velocities
    return MovingPoints(then.means, memory.features, velocities, then.opacities * memory.dynamic * usable[:, None])


def _memory_of(scene: Gaussians, features: Tensor, dynamic: Tensor, seen: Tensor, frames: FrameSet) -> StreamMemory:
    return StreamMemory(
        scene=scene.map(torch.detach),
        features=features.detach(),
        dynamic=dynamic,
        seen=seen,
        reference_stamp_ns=frames.reference_stamp_ns[:, 0],
        T_world_ego=frames.T_world_ego,
        valid=frames.pose_valid[:, 0],
        scene_names=frames.scene_names,
    )
