# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Arguments of GaussianFlowOcc: sizes, memory, losses and the way to voxels. The defaults are the paper's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gsocc_core.errors import ConfigError
from gsocc_core.losses.rendering import DepthLossKind
from gsocc_core.splat import Composition, Support

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
        lifted_bins: Their depth is read from the probabilities of so many distances instead of being predicted
            itself, so that ``loss.lifted_depth`` can teach it; 0 = predicted itself.
        lifted_per_pixel: Gaussians per pixel, at quantiles of those probabilities.
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
    lifted_bins: int = 0
    lifted_per_pixel: int = 1

    def __post_init__(self) -> None:
        if self.lifted_bins < 0 or self.lifted_bins == 1:
            raise ConfigError("network", "lifted_bins", "0, or 2 and more", self.lifted_bins)
        if self.lifted_per_pixel < 1 or (self.lifted_per_pixel > 1 and not self.lifted_bins):
            raise ConfigError("network", "lifted_per_pixel", "1, or more with lifted_bins", self.lifted_per_pixel)


@dataclass(frozen=True)
class MemoryArgs:
    """What is kept from key frame to key frame; the defaults are the paper's.

    Attributes:
        attention: Every block reads all previous Gaussians by induced attention.
        gate: Share of the attention's result that is taken at the beginning, learned from there on; null = all, as in
            the paper. With a small one a training can go on from a model without memory.
        carried: So many previous Gaussians that were seen go on living where the present pictures do not see through
            them; a small network says how much of its opacity each keeps (:mod:`gsocc_core.networks.carried`). They
            hold what has been hidden since it was seen; 0 = none, as in the paper.
        move: Moving classes are moved along by their flow first.
        max_gap_s: A memory older than this counts as none, seconds.
    """

    attention: bool = True
    gate: float | None = None
    carried: int = 0
    move: bool = False
    max_gap_s: float = 2.5

    def __post_init__(self) -> None:
        if self.carried < 0:
            raise ConfigError("memory", "carried", "0 or more", self.carried)
        if self.max_gap_s <= 0:
            raise ConfigError("memory", "max_gap_s", "a positive time (s)", self.max_gap_s)


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
        lifted_depth: Distances of the lifted Gaussians' pixels against depth labels of the present views
            (``network.lifted_bins``); see :func:`gsocc_core.losses.pixel_shares.pixel_shares_loss`.
        lifted_classes: Classes of the lifted Gaussians against class labels of the present views, likewise.
        line_of_sight: Splatted voxels are free before the depth labels of the present views and occupied at them; see
            :func:`gsocc_core.losses.line_of_sight.line_of_sight`.
        sight_classes: Classes of the splatted voxels that hold points of labelled pixels of the present views,
            cross-entropy plus Lovasz-softmax: what ``voxel_classes`` is with 3D labels.
        occupied: 3D labels: occupancy of the splatted voxels.
        occupied_balance: Weight of occupied voxels in it.
        voxel_classes: 3D labels: classes of the splatted voxels, cross-entropy plus Lovasz-softmax.
        voxel_iou: 3D labels: Lovasz-softmax over free space and all classes of the splatted voxels, which asks for
            occupancy and class at once, as mean IoU does.
        occupied_iou: 3D labels: Lovasz-softmax over free and occupied alone, which IoU asks for.
        voxel_iou_samples: Labelled voxels drawn for those two at every step, to save time; None = all.
        class_weights: One weight per feature channel for both class losses, or None.
        flow_alignment: Moved Gaussians of moving classes lie where the depth and class labels of their key frame show
            such a thing; see :func:`gsocc_core.losses.flow.flow_alignment_loss`.
        flow_from_views: Rendered views teach the flow, too, as in the paper. A thing far from where it should be gives
            them large gradients that point nowhere; short trainings leave the flow to ``flow_alignment``.
        flow_speed: Speeds of moving classes, m/s: what need not move stands still.
    """

    semantics: float = 2.0
    depth: float = 0.05
    depth_kind: DepthLossKind = "mse"
    depth_render: DepthRender = "accumulated"
    depth_spread: float = 0.0
    alpha: float = 0.0
    lifted_depth: float = 0.0
    lifted_classes: float = 0.0
    line_of_sight: float = 0.0
    sight_classes: float = 0.0
    occupied: float = 0.0
    occupied_balance: float = 1.0
    voxel_classes: float = 0.0
    voxel_iou: float = 0.0
    occupied_iou: float = 0.0
    voxel_iou_samples: int | None = None
    class_weights: tuple[float, ...] | None = None
    flow_alignment: float = 0.0
    flow_from_views: bool = True
    flow_speed: float = 0.0


@dataclass(frozen=True)
class SplatArgs:
    """How Gaussians become voxels.

    Attributes:
        composition: See :func:`gsocc_core.splat_to_voxels`.
        threshold: Density from which a voxel counts as occupied.
        cutoff: Support of a Gaussian in standard deviations.
        support: See :func:`gsocc_core.splat_to_voxels`.
        published_neighborhood: Reproduce the original's support: the voxels at most so many steps from the one that
            holds the mean, along each axis, whatever the size of the Gaussian (the original: 4). Slow; ``cutoff`` and
            ``support`` do not act.
        published_roof_cut_m: Reproduce the original's evaluation: everything above this height is free (the original:
            3.4). It removes what the ground truth rarely holds; off, since a bridge is no rounding error.
    """

    composition: Composition = "sum"
    threshold: float = 0.05
    cutoff: float = 3.0
    support: Support = "ellipsoid"
    published_neighborhood: int | None = None
    published_roof_cut_m: float | None = None

    def __post_init__(self) -> None:
        if self.composition == "mean" and self.published_neighborhood is not None:
            raise ConfigError("splat", "composition", "any but mean beside published_neighborhood", self.composition)
