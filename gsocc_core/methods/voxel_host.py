# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What methods that predict every voxel have in common: their output, their losses, their way to labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from gsocc_core.errors import ConfigError, ShapeError
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.frames import FrameSet, Targets
from gsocc_core.geometry.grid_points import from_ego, to_ego
from gsocc_core.geometry.voxels import SemanticGrid, VoxelField, VoxelGrid
from gsocc_core.losses.channels import channel_of_label
from gsocc_core.losses.coarse_labels import coarse_labels
from gsocc_core.losses.gaussrender import GaussRenderLoss
from gsocc_core.losses.lovasz import lovasz_softmax
from gsocc_core.losses.occupancy import voxel_class_loss
from gsocc_core.losses.scene_scale import frustum_proportion_loss, geometric_affinity_loss, semantic_affinity_loss
from gsocc_core.methods.gaussrender_args import GaussRenderArgs
from gsocc_core.methods.method import Method
from gsocc_core.networks.pictures import see_points
from gsocc_core.networks.volumes import Stride
from gsocc_core.networks.voxel_head import field_of_logits

#: File beside an imported bundle's weights: tensors of :class:`gsocc_core.losses.gaussrender.OpacityHead`.
OPACITY_HEAD = "opacity_head.safetensors"
#: Channel of voxels without a label, in the uint8 channels that the rendering loss reads.
_NO_CHANNEL = 255


@dataclass(frozen=True)
class VoxelLossArgs:
    """Weights of the losses between predicted and labelled voxels; 0 switches one off.

    The defaults are those that GaussRender trains its hosts with: 10 cross-entropy + Lovasz-softmax.

    Attributes:
        cross_entropy: Cross-entropy of all classes, empty space included.
        lovasz: Lovasz-softmax over the classes present.
        semantic_affinity: See :func:`gsocc_core.losses.scene_scale.semantic_affinity_loss`.
        geometric_affinity: Likewise, something against nothing.
        frustum: See :func:`gsocc_core.losses.scene_scale.frustum_proportion_loss`.
        class_weights: Weight of each channel in the cross-entropy, empty space included; None = all alike.
        masked: Let only voxels count that the present cameras see (``mask_camera``); the published trainings do not.
        lovasz_voxels: Labelled voxels drawn for the Lovasz loss at every step, to save time; None = all.
    """

    cross_entropy: float = 10.0
    lovasz: float = 1.0
    semantic_affinity: float = 0.0
    geometric_affinity: float = 0.0
    frustum: float = 0.0
    class_weights: tuple[float, ...] | None = None
    masked: bool = False
    lovasz_voxels: int | None = None


@dataclass(frozen=True)
class VoxelOutput:
    """Result of a host's ``forward``.

    Attributes:
        scene: (B, X, Y, Z) on the working grid: class logits, and the probability of being occupied as density.
        features: (B, X, Y, Z, D) what the classifier reads.
        coarse: Logits (B, X', Y', Z', C) of coarser scales or earlier layers, each with the weight of its losses.
        memory: None: every key frame stands by itself.
    """

    scene: VoxelField
    features: Tensor
    coarse: tuple[tuple[Tensor, float], ...] = ()
    memory: None = None


class VoxelHost(Method):
    """Losses and labels of a method that gives class logits per voxel; a method adds its network and ``forward``.

    Args:
        classes: Class table; one channel must stand for empty space.
        grid: Grid of labels and predictions.
        image_size: (height, width) of the network's pictures, pixels.
        stride: Voxels of ``grid`` per voxel of the working grid, on which the network and all losses live.
        loss: Weights of the voxel losses.
        render: Rendering loss beside them, or None.
        feature_dim: D, channels of the voxel features.

    Raises:
        ConfigError: values that do not fit each other.
    """

    #: Constructor argument and submodule that only a training needs: bundles know neither, so that a model trained
    #: with the rendering loss is, name by name, the model trained without it.
    TRAINING_ONLY = ("render",)
    CLASS_HEADS: ClassVar[tuple[str, ...]] = ("head",)

    def __init__(
        self,
        classes: ClassTable,
        grid: VoxelGrid,
        image_size: tuple[int, int],
        stride: Stride,
        loss: VoxelLossArgs,
        render: GaussRenderArgs | None,
        feature_dim: int,
    ) -> None:
        super().__init__()
        where = type(self).__name__
        self.classes, self.grid, self.image_size = classes, grid, (image_size[0], image_size[1])
        if classes.free_id not in classes.channel_ids:
            raise ConfigError(where, "channels", f"one for empty space (id {classes.free_id})", classes.channel_ids)
        if min(stride) < 1 or any(n % s for n, s in zip(grid.shape, stride)):
            raise ConfigError(where, "network.stride", f"divisors of the grid's {grid.shape} voxels", stride)
        if loss.class_weights is not None and len(loss.class_weights) != len(classes.channel_ids):
            expected = f"{len(classes.channel_ids)} weights, one per channel"
            raise ConfigError(where, "loss.class_weights", expected, len(loss.class_weights))
        weights = (loss.cross_entropy, loss.lovasz, loss.semantic_affinity, loss.geometric_affinity, loss.frustum)
        if not any(weights) and render is None:
            raise ConfigError(where, "loss", "at least one weight above 0, or the rendering loss", weights)
        self.free_channel = classes.channel_ids.index(classes.free_id)
        finest = tuple(stride) == (1, 1, 1)
        self.work_grid = grid if finest else _divided(grid, [n // s for n, s in zip(grid.shape, stride)])
        self.voxel_loss_args = loss
        self.render = None if render is None else render.build(feature_dim)

    def output(self, logits: Tensor, features: Tensor, coarse: tuple[tuple[Tensor, float], ...] = ()) -> VoxelOutput:
        """The output of logits (B, X, Y, Z, C) and features (B, X, Y, Z, D) on the working grid."""
        return VoxelOutput(field_of_logits(logits, self.work_grid, self.free_channel), features, coarse)

    # ---- losses ------------------------------------------------------------------------------------------------------

    def losses(self, output: VoxelOutput, frames: FrameSet) -> dict[str, Tensor]:
        """Weighted losses; their sum is the training objective.

        Args:
            output: Result of ``forward``.
            frames: The same frames, with voxel labels.

        Returns:
            One scalar per loss that is switched on; ``coarse`` holds those of coarser scales and earlier layers.

        Raises:
            ConfigError: there are no voxel labels, or no mask although ``loss.masked``.
            ShapeError: the labels do not lie on the grid.
        """
        labels = self._labels(frames.targets or Targets())
        work_labels = self._coarser(labels, self.work_grid.shape, 0.5)
        result = self._voxel_losses(output.scene.features, work_labels, frames)
        if output.coarse:
            total = output.scene.density.new_zeros(())
            for logits, weight in output.coarse:
                shape = (logits.shape[1], logits.shape[2], logits.shape[3])
                # The working grid keeps half-filled blocks, as voxels of that size would; coarser scales keep
                # everything, as published, lest thin things vanish from them.
                same = shape == self.work_grid.shape
                parts = self._voxel_losses(logits, work_labels if same else self._coarser(labels, shape, 0.0), frames)
                total = total + weight * sum(parts.values())
            result["coarse"] = total
        if self.render is not None:
            result |= self._render_losses(self.render, output, work_labels, frames)
        return result

    def _labels(self, targets: Targets) -> Tensor:
        where, labels = f"{type(self).__name__}.losses", targets.labels
        if labels is None:
            raise ConfigError(where, "targets.labels", "voxel labels", "none")
        if tuple(labels.shape[1:]) != self.grid.shape:
            raise ShapeError(where, "targets.labels", ("B", *self.grid.shape), tuple(labels.shape))
        if not self.voxel_loss_args.masked:
            return labels
        if targets.mask_camera is None:
            raise ConfigError(where, "targets.mask_camera", "a mask, since loss.masked", "none")
        return torch.where(targets.mask_camera, labels, self.classes.ignore_id).to(torch.uint8)

    def _coarser(self, labels: Tensor, shape: tuple[int, int, int], share: float) -> Tensor:
        return coarse_labels(labels, shape, self.classes.free_id, self.classes.ignore_id, share)

    def _voxel_losses(self, logits: Tensor, labels: Tensor, frames: FrameSet) -> dict[str, Tensor]:
        args = self.voxel_loss_args
        channel = channel_of_label(labels, self.classes.channel_ids)
        result: dict[str, Tensor] = {}
        if args.cross_entropy:
            weights = None if args.class_weights is None else logits.new_tensor(args.class_weights)
            result["cross_entropy"] = args.cross_entropy * voxel_class_loss(logits, channel, weights)
        if not (args.lovasz or args.semantic_affinity or args.geometric_affinity or args.frustum):
            return result
        probabilities = logits.float().softmax(-1)
        known = channel >= 0
        if args.lovasz:
            rows = known.flatten().nonzero()[:, 0]
            if args.lovasz_voxels is not None and len(rows) > args.lovasz_voxels:
                rows = rows[torch.randint(len(rows), (args.lovasz_voxels,), device=rows.device)]
            flat = probabilities.flatten(0, -2)[rows]
            result["lovasz"] = args.lovasz * lovasz_softmax(flat, channel.flatten()[rows])
        if args.semantic_affinity:
            loss = semantic_affinity_loss(probabilities[known], channel[known])
            result["semantic_affinity"] = args.semantic_affinity * loss
        if args.geometric_affinity:
            occupied = 1 - probabilities[known][:, self.free_channel]
            loss = geometric_affinity_loss(occupied, channel[known] != self.free_channel)
            result["geometric_affinity"] = args.geometric_affinity * loss
        if args.frustum:
            result["frustum"] = args.frustum * self._frustum_loss(probabilities, channel, frames)
        return result

    def _frustum_loss(self, probabilities: Tensor, channel: Tensor, frames: FrameSet) -> Tensor:
        centers = to_ego(_divided(self.grid, channel.shape[1:]).centers.flatten(0, 2), self.grid)
        uv_norm, visible = see_points(frames.cameras.map(lambda t: t[:, 0]), frames.valid[:, 0], centers)
        parts = [
            frustum_proportion_loss(p.flatten(0, 2), c.flatten(), uv, seen)
            for p, c, uv, seen in zip(probabilities, channel, uv_norm, visible)
        ]
        return torch.stack(parts).mean()

    def _render_losses(
        self, render: GaussRenderLoss, output: VoxelOutput, labels: Tensor, frames: FrameSet
    ) -> dict[str, Tensor]:
        channel = channel_of_label(labels, self.classes.channel_ids)
        drawn = torch.where(channel >= 0, channel, _NO_CHANNEL).to(torch.uint8)
        features = output.features if render.opacity_head is not None else None
        cameras = frames.cameras.map(lambda t: t[:, 0])
        return render(
            output.scene.features, features, drawn, self.work_grid, cameras, self.free_channel, _NO_CHANNEL
        )  # fmt: skip

    # ---- labels ------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def occupancy(self, output: VoxelOutput, grid: VoxelGrid | None = None) -> SemanticGrid:
        """The likeliest class of every voxel.

        Args:
            output: Result of ``forward``.
            grid: Any grid; None = the grid of training. Between the middles of the working grid's voxels logits are
                interpolated; outside its box everything is free.

        Returns:
            (B, X, Y, Z) labels; the confidence is the probability of the label.
        """
        grid = self.grid if grid is None else grid
        logits = output.scene.features
        inside = None
        if grid != output.scene.grid:
            logits, inside = _resampled(logits, output.scene.grid, grid)
        confidence, channel = logits.softmax(-1).max(-1)
        ids = torch.tensor(self.classes.channel_ids, dtype=torch.uint8, device=logits.device)
        labels = ids[channel]
        if inside is not None:
            labels = torch.where(inside, labels, self.classes.free_id).to(torch.uint8)
            confidence = torch.where(inside, confidence, 0.0)
        return SemanticGrid(labels, grid, self.classes, confidence)


def _divided(grid: VoxelGrid, shape: Sequence[int]) -> VoxelGrid:
    """The box of a grid, divided into another number of voxels."""
    x, y, z = ((u - lo) / n for u, lo, n in zip(grid.upper, grid.lower, shape))
    return replace(grid, voxel_size=(x, y, z))


def _resampled(logits: Tensor, source: VoxelGrid, target: VoxelGrid) -> tuple[Tensor, Tensor]:
    """Logits (B, X, Y, Z, C) of one grid at the voxels of another, and which of them (X, Y, Z) lie inside it."""
    unit = from_ego(to_ego(target.centers.to(logits), target), source)
    inside = ((unit >= 0) & (unit <= 1)).all(-1)
    place = (unit * 2 - 1).flip(-1).expand(len(logits), *unit.shape)
    sampled = functional.grid_sample(
        logits.movedim(-1, 1), place, mode="bilinear", padding_mode="border", align_corners=False
    )
    return sampled.movedim(1, -1), inside
