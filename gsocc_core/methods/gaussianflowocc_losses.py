# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Losses of GaussianFlowOcc: rendered views of several moments, flow, lines of sight and, where there are some, voxels.

Every loss is a term of :class:`~gsocc_core.methods.gaussianflowocc_args.LossArgs`; here the terms are put together from
:mod:`gsocc_core.losses`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gsocc_core.errors import ConfigError
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.frames import Targets
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.losses.channels import channel_of_label
from gsocc_core.losses.flow import NEAR_M, flow_alignment_loss, labelled_points
from gsocc_core.losses.line_of_sight import line_of_sight, surface_classes
from gsocc_core.losses.lovasz import lovasz_softmax
from gsocc_core.losses.occupancy import occupied_loss, voxel_class_loss
from gsocc_core.losses.pixel_shares import pixel_shares_loss
from gsocc_core.losses.rendering import (
    depth_spread_loss,
    rendered_alpha_loss,
    rendered_depth_loss,
    rendered_semantic_loss,
    second_moments,
)
from gsocc_core.methods.gaussianflowocc_args import LossArgs, SplatArgs
from gsocc_core.networks.depth_bins import DepthBins
from gsocc_core.networks.flow import FlowHead
from gsocc_core.splat import splat_at_voxels, splat_to_image

#: A Gaussian below this has faded away, or belongs to a missing picture.
LEAST_OPACITY = 0.02


@dataclass(frozen=True)
class MovingScene:
    """A scene and what moves it.

    Attributes:
        scene: (B, N) Gaussians at the reference time, ego frame; features are class logits.
        features: (B, N, D) what the flow head reads.
        dynamic: (B, N) bool: the Gaussian's class can move.
        flow: Flow head; None = nothing moves.
    """

    scene: Gaussians
    features: Tensor
    dynamic: Tensor
    flow: FlowHead | None


@dataclass(frozen=True)
class LiftedPixels:
    """What the pixels of a feature map say that Gaussians are lifted from.

    Attributes:
        logits: (B, K, V, C, h, w) class logits of the K Gaussians of each pixel.
        distances: (B, V, bins, h, w) logits of distances along the rays; None = told as one number.
        bins: What the distances are; None likewise.
        valid: (B, V) bool: the picture is there.
    """

    logits: Tensor
    distances: Tensor | None
    bins: DepthBins | None
    valid: Tensor


class GaussianFlowOccLosses:
    """The training objective.

    Args:
        classes: Class table.
        grid: Voxel grid of the losses on voxels.
        args: Weights.
        splat: How Gaussians become voxels.

    Raises:
        ConfigError: the class weights are not one per channel.
    """

    def __init__(self, classes: ClassTable, grid: VoxelGrid, args: LossArgs, splat: SplatArgs) -> None:
        self._classes, self._grid, self._args, self._splat = classes, grid, args, splat
        if args.class_weights is not None and len(args.class_weights) != len(classes.channel_ids):
            expected = f"{len(classes.channel_ids)} weights, one per channel"
            raise ConfigError("GaussianFlowOcc", "loss.class_weights", expected, len(args.class_weights))

    def __call__(self, moved: MovingScene, targets: Targets) -> dict[str, Tensor]:
        """Weighted losses; their sum is the training objective.

        Args:
            moved: The scene.
            targets: Labels.

        Returns:
            One scalar per loss that is switched on.

        Raises:
            ConfigError: a loss is switched on whose labels are missing.
        """
        args = self._args
        result: dict[str, Tensor] = {}
        if args.semantics or args.depth or args.depth_spread or args.alpha:
            result |= self._view_losses(moved, targets)
        if args.flow_alignment or args.flow_speed:
            result |= self._flow_losses(moved, targets)
        if args.line_of_sight or args.sight_classes:
            result |= self._sight_loss(moved.scene, targets)
        if args.occupied or args.voxel_classes or args.voxel_iou or args.occupied_iou:
            result |= self._voxel_losses(moved.scene, targets)
        return result

    def of_lifted(self, pixels: LiftedPixels, targets: Targets) -> dict[str, Tensor]:
        """Distances and classes of lifted pixels against labels of the present views.

        Args:
            pixels: What they say.
            targets: Labels.

        Returns:
            One scalar per loss that is switched on.

        Raises:
            ConfigError: a loss is switched on whose labels are missing.
        """
        args, views = self._args, targets.view_cameras
        depth_m, labels = targets.view_depth_m, targets.view_semantics
        if views is None or (args.lifted_depth and depth_m is None) or (args.lifted_classes and labels is None):
            raise ConfigError("GaussianFlowOcc.losses", "targets", "views with what lifted losses compare", "none")
        there, result = pixels.valid[..., None, None], {}
        if args.lifted_depth and depth_m is not None and pixels.distances is not None and pixels.bins is not None:
            _, directions = views.map(lambda t: t[:, 0]).rays()
            index = pixels.bins.bin_of(depth_m[:, 0] * directions.norm(dim=-1)).floor().long()
            loss = pixel_shares_loss(pixels.distances, index, (depth_m[:, 0] > 0) & there)
            result["lifted_depth"] = args.lifted_depth * loss
        if args.lifted_classes and labels is not None:
            each = pixels.logits.shape[1]
            channel = channel_of_label(labels[:, 0], self._classes.channel_ids).repeat(1, each, 1, 1)
            loss = pixel_shares_loss(pixels.logits.flatten(1, 2), channel, (channel >= 0) & there.repeat(1, each, 1, 1))
            result["lifted_classes"] = args.lifted_classes * loss
        return result

    def _view_losses(self, moved: MovingScene, targets: Targets) -> dict[str, Tensor]:
        args, scene = self._args, moved.scene
        views, labels, depth_m = targets.view_cameras, targets.view_semantics, targets.view_depth_m
        needs_depth = bool(args.depth or args.depth_spread or args.alpha)
        if views is None or (args.semantics and labels is None) or (needs_depth and depth_m is None):
            raise ConfigError("GaussianFlowOcc.losses", "targets", "views with semantics and depth", "none")
        valid = torch.ones_like(views.intrinsics[..., 0, 0], dtype=torch.bool)
        if targets.view_valid is not None:
            valid = targets.view_valid
        channels = len(self._classes.channel_ids)
        shown = self._at_times(moved, targets, views.intrinsics.shape[1])
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
            used = torch.where(valid[..., None, None], labels, self._classes.ignore_id)
            loss = rendered_semantic_loss(
                rendered.features[..., :channels],
                used,
                self._classes.channel_ids,
                self._classes.ignore_id,
                self._class_weights(scene.features),
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

    def _at_times(self, moved: MovingScene, targets: Targets, moments: int) -> Gaussians:
        """The scene (B, S, N) at the times of the views; (B, N) when nothing moves or there is one moment."""
        scene = moved.scene
        if moved.flow is None or moments == 1:
            return scene
        if targets.view_time_s is None:
            raise ConfigError("GaussianFlowOcc.losses", "targets.view_time_s", "times, since things move", "none")
        offsets = moved.flow(moved.features, moved.dynamic, targets.view_time_s)
        if not self._args.flow_from_views:
            offsets = offsets.detach()
        shown = scene.replace(velocities=None).map(lambda t: t[:, None].expand(-1, moments, *t.shape[1:]))
        return shown.replace(means=shown.means + offsets)

    def _flow_losses(self, moved: MovingScene, targets: Targets) -> dict[str, Tensor]:
        args, scene = self._args, moved.scene
        views, depth_m, semantics = targets.view_cameras, targets.view_depth_m, targets.view_semantics
        flow = moved.flow
        assert flow is not None
        assert scene.velocities is not None
        if views is None or depth_m is None or semantics is None or targets.view_time_s is None:
            raise ConfigError("GaussianFlowOcc.losses", "targets", "views with times, depth and semantics", "none")
        moving = [c for c in self._classes.channel_ids if c in self._classes.dynamic_ids]
        total, parts = scene.velocities.sum() * 0.0, 0
        for b in range(len(scene.opacities)):
            times_s = targets.view_time_s[b]
            rig = views.map(lambda t, b=b: t[b])
            living = (scene.opacities[b] > LEAST_OPACITY).nonzero()[:, 0]  # what fades away says nothing of motion
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
                offsets = flow(moved.features[b, mover][None], every[None], times_s[None])[0]
                for s in others:
                    total = total + flow_alignment_loss(points, offsets[s], seen[s])
                    parts += 1
        result: dict[str, Tensor] = {}
        if args.flow_alignment:
            result["flow_alignment"] = args.flow_alignment * total / max(parts, 1)
        if args.flow_speed:
            weights = (scene.opacities * moved.dynamic).detach()
            speed = (scene.velocities.square().sum(-1) + 1e-4).sqrt()
            result["flow_speed"] = args.flow_speed * (speed * weights).sum() / weights.sum().clamp(min=1.0)
        return result

    def _sight_loss(self, scene: Gaussians, targets: Targets) -> dict[str, Tensor]:
        args, ignore_id = self._args, self._classes.ignore_id
        if targets.view_cameras is None or targets.view_depth_m is None:
            raise ConfigError("GaussianFlowOcc.losses", "targets", "views with depth", "none")
        views, depth_m = targets.view_cameras.map(lambda t: t[:, 0]), targets.view_depth_m[:, 0]
        asked = torch.zeros((len(scene.opacities), *self._grid.shape), dtype=torch.uint8, device=scene.opacities.device)
        occupied, seen, labels = asked.bool(), asked.bool(), torch.full_like(asked, ignore_id)
        if args.line_of_sight:
            occupied, seen = line_of_sight(self._grid, views, depth_m)
        if args.sight_classes:
            if targets.view_semantics is None:
                raise ConfigError("GaussianFlowOcc.losses", "targets", "views with semantics", "none")
            labels = surface_classes(self._grid, views, depth_m, targets.view_semantics[:, 0], ignore_id)
        named = labels != ignore_id
        shown = scene if args.sight_classes else scene.replace(features=scene.features[..., :1])
        density, features = self._splatted(shown, torch.where(named, 2, seen.to(torch.uint8)).to(torch.uint8))
        result: dict[str, Tensor] = {}
        if args.line_of_sight:
            result["line_of_sight"] = args.line_of_sight * occupied_loss(self._probability(density), occupied, seen)
        if args.sight_classes:
            channel = channel_of_label(labels[named], self._classes.channel_ids)
            loss = self._class_loss(features, density[named], channel)
            result["sight_classes"] = args.sight_classes * loss
        return result

    def _splatted(self, scene: Gaussians, voxels: Tensor) -> tuple[Tensor, Tensor]:
        """Density and features of the voxels that are asked for."""
        splat = self._splat
        return splat_at_voxels(
            scene, self._grid, voxels, composition=splat.composition, cutoff=splat.cutoff, support=splat.support
        )

    def _probability(self, density: Tensor) -> Tensor:
        """Probability of being occupied."""
        return -torch.expm1(-density) if self._splat.composition == "hazard" else density.clamp(max=1.0)

    def _voxel_losses(self, scene: Gaussians, targets: Targets) -> dict[str, Tensor]:
        args = self._args
        if targets.labels is None or targets.mask_camera is None:
            raise ConfigError("GaussianFlowOcc.losses", "targets", "voxel labels with mask_camera", "none")
        labels = targets.labels
        seen = targets.mask_camera
        if targets.mask_remembered is not None:
            seen = seen | targets.mask_remembered
        mask = seen & (labels != self._classes.ignore_id)
        occupied = labels != self._classes.free_id
        full = mask & occupied if args.voxel_classes else torch.zeros_like(mask)
        drawn = self._drawn(mask, labels) if args.voxel_iou or args.occupied_iou else torch.zeros_like(mask)
        named = full | drawn
        density, features = self._splatted(scene, mask.to(torch.uint8) + named)
        probability, places = self._probability(density), named.flatten().nonzero()[:, 0]
        label = labels.flatten()[places]
        result: dict[str, Tensor] = {}
        if args.occupied:
            loss = occupied_loss(probability, occupied, mask, args.occupied_balance)
            result["occupied"] = args.occupied * loss
        channel = channel_of_label(label, self._classes.channel_ids)
        if args.voxel_classes:
            counted = torch.where(full.flatten()[places], channel, -1)
            loss = self._class_loss(features, density.flatten()[places], counted)
            result["voxel_classes"] = args.voxel_classes * loss
        if args.voxel_iou or args.occupied_iou:
            rows = drawn.flatten()[places].nonzero()[:, 0]
            solid = probability.flatten()[places[rows], None]
            if args.voxel_iou:
                every = torch.cat([1 - solid, solid * features[rows].softmax(-1)], dim=-1)  # free space is class 0
                result["voxel_iou"] = args.voxel_iou * lovasz_softmax(every, channel[rows] + 1)
            if args.occupied_iou:
                target = (channel[rows] >= 0).long()
                result["occupied_iou"] = args.occupied_iou * lovasz_softmax(torch.cat([1 - solid, solid], -1), target)
        return result

    def _class_loss(self, features: Tensor, density: Tensor, channel: Tensor) -> Tensor:
        """Cross-entropy plus Lovasz-softmax of class votes (S, C) of voxels; channel < 0 = leave out."""
        # A voxel that no Gaussian reaches has no class vote to correct; the occupancy losses see to it.
        reached = torch.where(density.detach() > 1e-3, channel, -1)
        loss = voxel_class_loss(features, reached, self._class_weights(features))
        labelled = (reached >= 0).nonzero()[:, 0]
        return loss + lovasz_softmax(features[labelled].softmax(-1), reached[labelled])

    def _drawn(self, mask: Tensor, labels: Tensor) -> Tensor:
        """(B, X, Y, Z) bool: the voxels of free space and of the channels' classes that the loss on mean IoU counts."""
        known = mask & ((labels == self._classes.free_id) | (channel_of_label(labels, self._classes.channel_ids) >= 0))
        rows, count = known.flatten().nonzero()[:, 0], self._args.voxel_iou_samples
        if count is None or len(rows) <= count:
            return known
        drawn = torch.zeros_like(known).flatten()
        drawn[rows[torch.randperm(len(rows), device=rows.device)[:count]]] = True
        return drawn.view_as(known)

    def _class_weights(self, like: Tensor) -> Tensor | None:
        weights = self._args.class_weights
        return None if weights is None else like.new_tensor(weights)
