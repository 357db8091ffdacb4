# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""GaussianFlowOcc (Boeder et al., ICCV 2025), static part: learned Gaussians that look at the pictures.

Pictures -> feature pyramid. N learned Gaussians (a mean and a feature each) pass through blocks of induced
self-attention, deformable image attention and a mean update; heads then read class logits, opacity, scale and rotation.
Training renders them into the present and neighbouring views; voxels are made only at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from gsocc_core.errors import ConfigError
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.frames import FrameSet, Targets
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.voxels import SemanticGrid, VoxelField, VoxelGrid
from gsocc_core.losses.channels import channel_of_label
from gsocc_core.losses.line_of_sight import line_of_sight
from gsocc_core.losses.occupancy import lovasz_softmax, occupied_loss, voxel_class_loss
from gsocc_core.losses.rendering import (
    DepthLossKind,
    depth_spread_loss,
    rendered_alpha_loss,
    rendered_depth_loss,
    rendered_semantic_loss,
    second_moments,
)
from gsocc_core.networks.attention import DeformableImageAttention, InducedAttention, PositionCode, RayCode, mlp
from gsocc_core.networks.backbones import BackboneArgs, ImageEncoder
from gsocc_core.splat import Composition, Support, splat_to_image, splat_to_labels, splat_to_voxels

DepthRender = Literal["expected", "accumulated"]


@dataclass(frozen=True)
class NetworkArgs:
    """Sizes of the network; the defaults are the paper's.

    Attributes:
        num_gaussians: N.
        dim: Feature width D.
        num_blocks: Refinement blocks.
        num_heads: Attention heads.
        num_points: Samples per head and level in the image attention.
        num_inducing: Inducing points of the self-attention.
        head_hidden: Width inside the heads.
        dropout: Dropout probability.
        scale_range_m: Smallest and largest standard deviation of a Gaussian, metres.
        max_mean_update_m: Largest move of a mean per block and axis, metres; None = unbounded, as in the paper.
        initial_opacity: Opacity before training; the paper's heads start at 0.5.
        initial_means: Where the N learned means begin: ``uniform`` in the grid's box, as in the paper, or on
            ``surfaces`` of the training data (:func:`gsocc_core.training.anchors.surface_means`). Short trainings need
            the second: a learned mean itself hardly moves.
        lifted_level: Level of the pyramid, each pixel of which adds one Gaussian on its ray, at a depth that the
            network predicts; None = learned Gaussians only, as in the paper. They meet what stands anywhere, where
            learned ones know where things mostly stand.
        lifted_depth_m: Smallest and largest depth of those, metres.
    """

    num_gaussians: int = 10_000
    dim: int = 256
    num_blocks: int = 3
    num_heads: int = 8
    num_points: int = 8
    num_inducing: int = 500
    head_hidden: int = 512
    dropout: float = 0.1
    scale_range_m: tuple[float, float] = (0.0, 1.0)
    max_mean_update_m: float | None = None
    initial_opacity: float = 0.5
    initial_means: Literal["uniform", "surfaces"] = "uniform"
    lifted_level: int | None = None
    lifted_depth_m: tuple[float, float] = (1.0, 60.0)


@dataclass(frozen=True)
class LossArgs:
    """Weights of the losses; 0 switches one off. The defaults are the paper's.

    Attributes:
        semantics: Rendered class logits against pixel labels.
        depth: Rendered depth against depth labels.
        depth_kind: See :func:`rendered_depth_loss`.
        depth_render: ``accumulated`` (the paper's) or ``expected`` depth.
        depth_spread: All weight of a ray must lie at its depth label; see :func:`depth_spread_loss`.
        alpha: Pixels with a depth label must be opaque.
        line_of_sight: Splatted voxels are free before the depth labels of the present views and occupied at them; see
            :func:`gsocc_core.losses.line_of_sight.line_of_sight`.
        occupied: 3D labels: occupancy of the splatted voxels.
        occupied_balance: Weight of occupied voxels in it.
        voxel_classes: 3D labels: classes of the splatted voxels, cross-entropy plus Lovasz-softmax.
        class_weights: One weight per feature channel for both class losses, or None.
    """

    semantics: float = 2.0
    depth: float = 0.05
    depth_kind: DepthLossKind = "mse"
    depth_render: DepthRender = "accumulated"
    depth_spread: float = 0.0
    alpha: float = 0.0
    line_of_sight: float = 0.0
    occupied: float = 0.0
    occupied_balance: float = 1.0
    voxel_classes: float = 0.0
    class_weights: tuple[float, ...] | None = None


@dataclass(frozen=True)
class SplatArgs:
    """How Gaussians become voxels.

    Attributes:
        composition: See :func:`gsocc_core.splat_to_voxels`.
        threshold: Density from which a voxel counts as occupied.
        cutoff: Support of a Gaussian in standard deviations.
        support: ``ellipsoid`` or ``box``.
    """

    composition: Composition = "sum"
    threshold: float = 0.05
    cutoff: float = 3.0
    support: Support = "ellipsoid"


@dataclass(frozen=True)
class StreamMemory:
    """What one key frame hands to the next.

    Attributes:
        means: (B, N, 3) metres, in the ego frame of ``reference_stamp_ns``.
        features: (B, N, D).
        reference_stamp_ns: (B,) int64.
        scene_names: B names; a change means that the stream starts anew.
    """

    means: Tensor
    features: Tensor
    reference_stamp_ns: Tensor
    scene_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Output:
    """Result of :meth:`GaussianFlowOcc.forward`.

    Attributes:
        scene: Gaussians (B, N) in the present ego frame; features are class logits.
        memory: State for the next key frame.
    """

    scene: Gaussians
    memory: StreamMemory


class Block(nn.Module):
    """Self-attention, image attention and mean update of one refinement step."""

    def __init__(self, args: NetworkArgs, num_levels: int) -> None:
        """Build one block for ``num_levels`` image levels."""
        super().__init__()
        self.self_attention = InducedAttention(args.dim, args.num_heads, args.num_inducing, args.dropout)
        self.image_attention = DeformableImageAttention(
            args.dim, args.num_heads, num_levels, args.num_points, args.dropout
        )
        self.move = mlp(args.dim, args.dim, 3)
        self.max_mean_update_m = args.max_mean_update_m
        final = self.move[-1]
        assert isinstance(final, nn.Linear)
        nn.init.normal_(final.weight, std=0.01)

    def forward(
        self, features: Tensor, means: Tensor, code: PositionCode, maps: list[Tensor], frames: FrameSet
    ) -> tuple[Tensor, Tensor]:
        """Refine features (B, N, D) and means (B, N, 3) with the present pictures of ``frames``."""
        features = features + code(means)
        features = self.self_attention(features, features)
        cameras = frames.cameras.map(lambda t: t[:, 0])
        uv, _, visible = cameras.project(means)
        uv_norm = uv / uv.new_tensor([cameras.width, cameras.height])
        features = self.image_attention(features, maps, uv_norm, visible & frames.valid[:, 0, :, None])
        update = self.move(features)
        if self.max_mean_update_m is not None:
            update = self.max_mean_update_m * torch.tanh(update / self.max_mean_update_m)
        return features, means + update


class PixelGaussians(nn.Module):
    """One Gaussian on the ray of every pixel of a feature map, at a predicted depth."""

    def __init__(self, dim: int, depth_m: tuple[float, float]) -> None:
        """Build for maps of ``dim`` channels and depths in ``depth_m``, metres."""
        super().__init__()
        self.depth = mlp(dim, dim, 1)
        self.feature = nn.Linear(dim, dim)
        low, high = torch.tensor(depth_m).log()
        self.low, self.span = float(low), float(high - low)

    def forward(self, level_map: Tensor, cameras: Cameras) -> tuple[Tensor, Tensor]:
        """Lift a map.

        Args:
            level_map: (B, V, D, H, W).
            cameras: (B, V) cameras of the pictures, of any size.

        Returns:
            Features (B, V * H * W, D) and means (B, V * H * W, 3), metres, ego frame.
        """
        height, width = level_map.shape[-2:]
        origins, directions = cameras.resized(width, height).rays()
        pixels = level_map.movedim(-3, -1)
        depth_m = torch.exp(self.low + self.span * self.depth(pixels).sigmoid())
        means = origins + directions * depth_m
        return self.feature(pixels).flatten(1, 3), means.flatten(1, 3)


class GaussianFlowOcc(nn.Module):
    """GaussianFlowOcc without flow and temporal attention.

    Args:
        classes: Class table; its ``channel_ids`` say which class each logit stands for.
        grid: Voxel grid, in the ego frame; its box also holds the initial means.
        image_size: (height, width) of the network's pictures, pixels.
        backbone: Image backbone.
        network: Sizes.
        loss: Loss weights.
        splat: How Gaussians become voxels.
        pretrained: Load the backbone's hub weights, if it has a hub id.

    Raises:
        ConfigError: sizes that do not fit each other.
    """

    def __init__(
        self,
        classes: ClassTable,
        grid: VoxelGrid,
        image_size: tuple[int, int] = (256, 704),
        backbone: BackboneArgs | None = None,
        network: NetworkArgs | None = None,
        loss: LossArgs | None = None,
        splat: SplatArgs | None = None,
        pretrained: bool = True,
    ) -> None:
        super().__init__()
        self.classes, self.grid, self.image_size = classes, grid, tuple(image_size)
        self.backbone_args = backbone or BackboneArgs()
        self.network_args = args = network or NetworkArgs()
        self.loss_args, self.splat_args = loss or LossArgs(), splat or SplatArgs()
        if args.dim % args.num_heads:
            raise ConfigError("GaussianFlowOcc", "network.num_heads", f"a divisor of dim {args.dim}", args.num_heads)
        if not 0 <= args.scale_range_m[0] < args.scale_range_m[1]:
            raise ConfigError("GaussianFlowOcc", "network.scale_range_m", "0 <= low < high (m)", args.scale_range_m)
        weights = self.loss_args.class_weights
        if weights is not None and len(weights) != len(classes.channel_ids):
            expected = f"{len(classes.channel_ids)} weights, one per channel"
            raise ConfigError("GaussianFlowOcc", "loss.class_weights", expected, len(weights))

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
        lower, upper = torch.tensor(grid.lower), torch.tensor(grid.upper)
        self.means = nn.Parameter(lower + torch.rand(args.num_gaussians, 3) * (upper - lower))
        self.features = nn.Parameter(torch.randn(args.num_gaussians, args.dim))
        self.code = PositionCode(grid.lower, grid.upper, args.dim)
        levels = len(self.backbone_args.out_indices)
        self.blocks = nn.ModuleList(Block(args, levels) for _ in range(args.num_blocks))
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

    def forward(self, frames: FrameSet, memory: StreamMemory | None = None) -> Output:  # noqa: ARG002 - static part
        """Predict the scene of the present pictures.

        Args:
            frames: Pictures; only moment 0 is read.
            memory: State of the previous key frame. The static part hands it on without reading it.

        Returns:
            Gaussians in the present ego frame and the state for the next key frame.
        """
        maps = self._encode(frames)
        batch = frames.images.shape[0]
        means = self.means.expand(batch, -1, -1)
        features = self.features.expand(batch, -1, -1)
        exists = torch.ones_like(means[..., 0])
        if self.lift is not None:
            level_map = maps[self.lifted_level]
            lifted, places = self.lift(level_map, frames.cameras.map(lambda t: t[:, 0]))
            features, means = torch.cat([features, lifted], dim=1), torch.cat([means, places], dim=1)
            pixels = level_map.shape[-2] * level_map.shape[-1]
            taken = frames.valid[:, 0].to(exists.dtype).repeat_interleave(pixels, dim=1)
            exists = torch.cat([exists, taken], dim=1)
        for block in self.blocks:
            features, means = block(features, means, self.code, maps, frames)
        scene = self._read_heads(features, means)
        scene = scene.replace(opacities=scene.opacities * exists)
        state = StreamMemory(means.detach(), features.detach(), frames.reference_stamp_ns[:, 0], frames.scene_names)
        return Output(scene, state)

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
            result |= self._view_losses(output.scene, targets)
        if weights.line_of_sight:
            result |= self._sight_loss(output.scene, targets)
        if weights.occupied or weights.voxel_classes:
            result |= self._voxel_losses(output.scene, targets)
        return result

    def _view_losses(self, scene: Gaussians, targets: Targets) -> dict[str, Tensor]:
        args = self.loss_args
        cameras, labels, depth_m = targets.view_cameras, targets.view_semantics, targets.view_depth_m
        needs_depth = bool(args.depth or args.depth_spread or args.alpha)
        if cameras is None or (args.semantics and labels is None) or (needs_depth and depth_m is None):
            raise ConfigError("GaussianFlowOcc.losses", "targets", "views with semantics and depth", "none")
        views = cameras.map(lambda t: t.flatten(1, 2))  # moments and cameras are one list of views
        valid = torch.ones_like(views.intrinsics[..., 0, 0], dtype=torch.bool)
        if targets.view_valid is not None:
            valid = targets.view_valid.flatten(1, 2)
        channels = len(self.classes.channel_ids)
        shown = scene
        if args.depth_spread:
            shown = scene.replace(features=torch.cat([scene.features, second_moments(scene.means)], dim=-1))
        rendered = splat_to_image(shown, views, depth=args.depth_render)
        result: dict[str, Tensor] = {}
        if args.semantics and labels is not None:
            used = torch.where(valid[..., None, None], labels.flatten(1, 2), self.classes.ignore_id)
            loss = rendered_semantic_loss(
                rendered.features[..., :channels],
                used,
                self.classes.channel_ids,
                self.classes.ignore_id,
                self._class_weights(scene),
            )
            result["semantics"] = args.semantics * loss
        if depth_m is not None and needs_depth:
            target = torch.where(valid[..., None, None], depth_m.flatten(1, 2), 0.0)
            if args.depth:
                result["depth"] = args.depth * rendered_depth_loss(rendered.depth, target, args.depth_kind)
            if args.depth_spread:
                loss = depth_spread_loss(rendered.features[..., channels:], rendered.alpha, views.viewmats, target)
                result["depth_spread"] = args.depth_spread * loss
            if args.alpha:
                result["alpha"] = args.alpha * rendered_alpha_loss(rendered.alpha, target > 0)
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
            (B, X, Y, Z) labels.
        """
        args = self.splat_args
        return splat_to_labels(
            output.scene.map(torch.detach),
            grid or self.grid,
            self.classes,
            composition=args.composition,
            threshold=args.threshold,
            cutoff=args.cutoff,
            support=args.support,
        )
