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
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gsocc_core.errors import ConfigError
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.frames import FrameSet, Targets
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.grid_points import box_in_ego, points_in_box, to_grid
from gsocc_core.geometry.voxels import SemanticGrid, VoxelField, VoxelGrid
from gsocc_core.losses.channels import channel_of_label
from gsocc_core.losses.flow import NEAR_M, flow_alignment_loss, labelled_points
from gsocc_core.losses.line_of_sight import line_of_sight
from gsocc_core.losses.occupancy import lovasz_softmax, occupied_loss, voxel_class_loss
from gsocc_core.losses.rendering import (
    depth_spread_loss,
    rendered_alpha_loss,
    rendered_depth_loss,
    rendered_semantic_loss,
    second_moments,
)
from gsocc_core.methods.gaussian_voxels import gaussian_occupancy
from gsocc_core.methods.gaussianflowocc_args import LossArgs, MemoryArgs, NetworkArgs, SplatArgs
from gsocc_core.methods.method import Method
from gsocc_core.methods.stream_memory import StreamMemory
from gsocc_core.networks.attention import PositionCode, RayCode, mlp
from gsocc_core.networks.backbones import BackboneArgs, ImageEncoder
from gsocc_core.networks.flow import FlowArgs, FlowHead
from gsocc_core.networks.gaussian_blocks import PixelGaussians, RefinementBlock
from gsocc_core.splat import splat_to_image, splat_to_voxels


@dataclass(frozen=True)
class Output:
    """Result of :meth:`GaussianFlowOcc.forward`.

    Attributes:
        scene: Gaussians (B, N) in the present ego frame; features are class logits, velocities those of the flow.
        memory: State for the next key frame.
        features: (B, N, D) the Gaussians' features with the code of their places, which the flow head reads.
        dynamic: (B, N) bool: the Gaussian's class can move.
    """

    scene: Gaussians
    memory: StreamMemory
    features: Tensor
    dynamic: Tensor


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
        weights = self.loss_args.class_weights
        if weights is not None and len(weights) != len(classes.channel_ids):
            expected = f"{len(classes.channel_ids)} weights, one per channel"
            raise ConfigError("GaussianFlowOcc", "loss.class_weights", expected, len(weights))
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
            self.lift, self.lifted_level = PixelGaussians(args.dim, args.lifted_depth_m), args.lifted_level
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

    # ---- forward: digest section 3 -----------------------------------------------------------------------------------

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
        features, means, exists = self._queries(frames, maps, cameras)
        remembered = None
        if self.memory_args is not None:
            usable = None if memory is None else memory.usable_for(frames, self.memory_args.max_gap_s)
            if memory is None or usable is None or not bool(usable.any()):
                memory, usable = None, None
            places = None if memory is None else memory.seen_from(frames, self.memory_args.move)
            if self.memory_args.attention:
                remembered = self._keys(features, means, memory, places, usable)
            if memory is not None and places is not None and usable is not None and self.memory_args.carried:
                old = self._carried(memory, places, usable)
                parts = zip((features, means, exists), old)
                features, means, exists = (torch.cat([new, kept], dim=1) for new, kept in parts)
        all_exist = self.lift is None and means.shape[1] == self.network_args.num_gaussians
        readable = None if all_exist else exists
        for block in self.blocks:
            features, means = block(features, means, readable, self.code, maps, cameras, frames.valid[:, 0], remembered)
        scene = self._read_heads(features, means)
        scene = scene.replace(opacities=scene.opacities * exists)
        dynamic = self._is_dynamic(scene.features)
        placed = features + self.code(means)  # traffic keeps to its lanes: where a thing is says much of its motion
        if self.flow is not None:
            scene = scene.replace(velocities=self.flow.velocities(placed, dynamic))
        return Output(scene, _memory_of(scene, features, frames), placed, dynamic)

    def _queries(self, frames: FrameSet, maps: list[Tensor], cameras: Cameras) -> tuple[Tensor, Tensor, Tensor]:
        """Features, means and existence of the learned Gaussians and of those lifted from pixels."""
        batch = frames.images.shape[0]
        means, features = self.means.expand(batch, -1, -1), self.features.expand(batch, -1, -1)
        exists = torch.ones_like(means[..., 0], dtype=torch.bool)
        if self.lift is None:
            return features, means, exists
        level_map = maps[self.lifted_level]
        lifted, places = self.lift(level_map, cameras)
        taken = frames.valid[:, 0].repeat_interleave(level_map.shape[-2] * level_map.shape[-1], dim=1)
        return (
            torch.cat([features, lifted], dim=1),
            torch.cat([means, places], dim=1),
            torch.cat([exists, taken], dim=1),
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
        known = usable[:, None].expand(previous.shape[:2]) & (memory.opacities > 0)
        return torch.cat([previous, initial], dim=1), torch.cat([known, everywhere & ~known.any(1, True)], dim=1)

    def _carried(self, memory: StreamMemory, places: Tensor, usable: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features, means and existence of the previous Gaussians that go on living."""
        assert self.memory_args is not None
        lower, upper = places.new_tensor(self.grid.lower), places.new_tensor(self.grid.upper)
        local = to_grid(places, self.grid)
        inside = ((local > lower) & (local < upper)).all(-1)
        worth = memory.opacities * inside
        best = worth.topk(min(self.memory_args.carried, worth.shape[1]), dim=1).indices
        rows = best[..., None]
        return (
            memory.features.gather(1, rows.expand(-1, -1, memory.features.shape[-1])),
            places.gather(1, rows.expand(-1, -1, 3)),
            (worth.gather(1, best) > 0) & usable[:, None],
        )

    def _is_dynamic(self, logits: Tensor) -> Tensor:
        """(B, N) bool: the class of the largest logit can move."""
        moves = [class_id in self.classes.dynamic_ids for class_id in self.classes.channel_ids]
        return torch.tensor(moves, device=logits.device)[logits.detach().argmax(-1)]

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

    # ---- losses: digest sections 4 and 5 -----------------------------------------------------------------------------

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
        targets, weights = frames.targets or Targets(), self.loss_args
        result: dict[str, Tensor] = {}
        if weights.semantics or weights.depth or weights.depth_spread or weights.alpha:
            result |= self._view_losses(output, targets)
        if weights.flow_alignment or weights.flow_speed:
            result |= self._flow_losses(output, targets)
        if weights.line_of_sight:
            result |= self._sight_loss(output.scene, targets)
        if weights.occupied or weights.voxel_classes:
            result |= self._voxel_losses(output.scene, targets)
        return result

    def _view_losses(self, output: Output, targets: Targets) -> dict[str, Tensor]:
        args, scene = self.loss_args, output.scene
        views, labels, depth_m = targets.view_cameras, targets.view_semantics, targets.view_depth_m
        needs_depth = bool(args.depth or args.depth_spread or args.alpha)
        if views is None or (args.semantics and labels is None) or (needs_depth and depth_m is None):
            raise ConfigError("GaussianFlowOcc.losses", "targets", "views with semantics and depth", "none")
        valid = torch.ones_like(views.intrinsics[..., 0, 0], dtype=torch.bool)
        if targets.view_valid is not None:
            valid = targets.view_valid
        channels = len(self.classes.channel_ids)
        shown = self._at_times(output, targets, views.intrinsics.shape[1])
        if args.depth_spread:
            shown = shown.replace(features=torch.cat([shown.features, second_moments(shown.means)], dim=-1))
        if len(shown.batch_shape) == 1:  # nothing moves: the views of all moments are one list
            views = views.map(lambda t: t.flatten(1, 2))
            valid = valid.flatten(1, 2)
            labels = None if labels is None else labels.flatten(1, 2)
            depth_m = None if depth_m is None else depth_m.flatten(1, 2)
        rendered = splat_to_image(shown, views, depth=args.depth_render)
        result: dict[str, Tensor] = {}
        if args.semantics and labels is not None:
            used = torch.where(valid[..., None, None], labels, self.classes.ignore_id)
            loss = rendered_semantic_loss(
                rendered.features[..., :channels],
                used,
                self.classes.channel_ids,
                self.classes.ignore_id,
                self._class_weights(scene),
            )
            result["semantics"] = args.semantics * loss
        if depth_m is not None and needs_depth:
            target = torch.where(valid[..., None, None], depth_m, 0.0)
            if args.depth:
                result["depth"] = args.depth * rendered_depth_loss(rendered.depth, target, args.depth_kind)
            if args.depth_spread:
                loss = depth_spread_loss(rendered.features[..., channels:], rendered.alpha, views.viewmats, target)
                result["depth_spread"] = args.depth_spread * loss
            if args.alpha:
                result["alpha"] = args.alpha * rendered_alpha_loss(rendered.alpha, target > 0)
        return result

    def _at_times(self, output: Output, targets: Targets, moments: int) -> Gaussians:
        """The scene (B, S, N) at the times of the views; (B, N) when nothing moves or there is one moment."""
        scene = output.scene
        if self.flow is None or moments == 1:
            return scene
        if targets.view_time_s is None:
            raise ConfigError("GaussianFlowOcc.losses", "targets.view_time_s", "times, since things move", "none")
        offsets = self.flow(output.features, output.dynamic, targets.view_time_s)
        if not self.loss_args.flow_from_views:
            offsets = offsets.detach()
        shown = scene.replace(velocities=None).map(lambda t: t[:, None].expand(-1, moments, *t.shape[1:]))
        return shown.replace(means=shown.means + offsets)

    def _flow_losses(self, output: Output, targets: Targets) -> dict[str, Tensor]:
        args, scene = self.loss_args, output.scene
        views, depth_m, semantics = targets.view_cameras, targets.view_depth_m, targets.view_semantics
        assert self.flow is not None
        assert scene.velocities is not None
        if views is None or depth_m is None or semantics is None or targets.view_time_s is None:
            raise ConfigError("GaussianFlowOcc.losses", "targets", "views with times, depth and semantics", "none")
        moving = [c for c in self.classes.channel_ids if c in self.classes.dynamic_ids]
        total, parts = scene.velocities.sum() * 0.0, 0
        for b in range(len(scene.opacities)):
            times_s = targets.view_time_s[b]
            rig = views.map(lambda t, b=b: t[b])
            living = (scene.opacities[b] > 0).nonzero()[:, 0]  # not those of missing pictures, nor empty places
            for class_id in moving:
                seen = [
                    labelled_points(rig.map(lambda t, s=s: t[s]), depth_m[b, s], semantics[b, s], class_id)
                    for s in range(len(times_s))
                ]
                others = [s for s in range(1, len(seen)) if len(seen[s]) and bool(times_s[s] != 0)]
                if not len(seen[0]) or not others or not len(living):
                    continue
                # The nearest Gaussian moves a labelled point, also before its class logits know that it is one.
                distance, nearest = torch.cdist(seen[0], scene.means[b, living].detach()).min(1)
                points, mover = seen[0][distance < NEAR_M], living[nearest[distance < NEAR_M]]
                every = torch.ones_like(mover, dtype=torch.bool)
                offsets = self.flow(output.features[b, mover][None], every[None], times_s[None])[0]
                for s in others:
                    total = total + flow_alignment_loss(points, offsets[s], seen[s])
                    parts += 1
        result: dict[str, Tensor] = {}
        if args.flow_alignment:
            result["flow_alignment"] = args.flow_alignment * total / max(parts, 1)
        if args.flow_speed:
            weights = (scene.opacities * output.dynamic).detach()
            speed = (scene.velocities.square().sum(-1) + 1e-4).sqrt()
            result["flow_speed"] = args.flow_speed * (speed * weights).sum() / weights.sum().clamp(min=1.0)
        return result

    def _sight_loss(self, scene: Gaussians, targets: Targets) -> dict[str, Tensor]:
        if targets.view_cameras is None or targets.view_depth_m is None:
            raise ConfigError("GaussianFlowOcc.losses", "targets", "views with depth", "none")
        views = targets.view_cameras.map(lambda t: t[:, 0])
        occupied, seen = line_of_sight(self.grid, views, targets.view_depth_m[:, 0])
        _, probability = self._voxels(scene.replace(features=scene.features[..., :1]))
        return {"line_of_sight": self.loss_args.line_of_sight * occupied_loss(probability, occupied, seen)}

    def _voxels(self, scene: Gaussians) -> tuple[VoxelField, Tensor]:
        """The splatted voxels and their probability (B, X, Y, Z) of being occupied."""
        splat = self.splat_args
        field = splat_to_voxels(
            scene, self.grid, composition=splat.composition, cutoff=splat.cutoff, support=splat.support
        )
        if splat.composition == "hazard":
            return field, -torch.expm1(-field.density)
        return field, field.density.clamp(max=1.0)

    def _voxel_losses(self, scene: Gaussians, targets: Targets) -> dict[str, Tensor]:
        args = self.loss_args
        if targets.labels is None or targets.mask_camera is None:
            raise ConfigError("GaussianFlowOcc.losses", "targets", "voxel labels with mask_camera", "none")
        field, probability = self._voxels(scene)
        labels = targets.labels
        mask = targets.mask_camera & (labels != self.classes.ignore_id)
        occupied = labels != self.classes.free_id
        result: dict[str, Tensor] = {}
        if args.occupied:
            loss = occupied_loss(probability, occupied, mask, args.occupied_balance)
            result["occupied"] = args.occupied * loss
        if args.voxel_classes:
            # A voxel that no Gaussian reaches has no class vote to correct; the occupancy loss sees to it.
            used = mask & occupied & (field.density.detach() > 1e-3)
            channel, logits = channel_of_label(labels[used], self.classes.channel_ids), field.features[used]
            labelled = channel >= 0
            loss = voxel_class_loss(logits, channel, self._class_weights(scene))
            loss = loss + lovasz_softmax(logits[labelled].softmax(-1), channel[labelled])
            result["voxel_classes"] = args.voxel_classes * loss
        return result

    def _class_weights(self, scene: Gaussians) -> Tensor | None:
        weights = self.loss_args.class_weights
        return None if weights is None else scene.features.new_tensor(weights)

    # ---- voxels: digest section 6 ------------------------------------------------------------------------------------

    def occupancy(self, output: Output, grid: VoxelGrid | None = None) -> SemanticGrid:
        """Labels and confidence on a voxel grid.

        Args:
            output: Result of :meth:`forward`.
            grid: Any grid; None = the grid of training.

        Returns:
            (B, X, Y, Z) labels; with a flow head also the velocity of every voxel of a moving class.
        """
        return gaussian_occupancy(output.scene, grid or self.grid, self.classes, self.splat_args, output.dynamic)


def _memory_of(scene: Gaussians, features: Tensor, frames: FrameSet) -> StreamMemory:
    return StreamMemory(
        means=scene.means.detach(),
        features=features.detach(),
        opacities=scene.opacities.detach(),
        velocities=None if scene.velocities is None else scene.velocities.detach(),
        reference_stamp_ns=frames.reference_stamp_ns[:, 0],
        T_world_ego=frames.T_world_ego,
        valid=frames.pose_valid[:, 0],
        scene_names=frames.scene_names,
    )
