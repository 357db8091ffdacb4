# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Arguments of GaussianOcc: sizes, Gaussians, rendering and losses.

Sizes and weights are the paper's. Where the original errs, the default is what it meant, and what it does has a name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gsocc_core.errors import ConfigError
from gsocc_core.losses.photometric import Outside
from gsocc_core.networks.lifting import LiftingRule

WHERE = "GaussianOcc"
#: How the depth of a pixel follows from the weights w and depths z along its ray, see :class:`RenderArgs`.
DepthRule = Literal["expected", "closed", "accumulated"]


@dataclass(frozen=True)
class NetworkArgs:
    """Sizes of the network.

    Attributes:
        widths: Channels of the picture encoder at the finer of its two stages' size, and at twice that size.
        dim: Channels of its map, which are lifted.
        volume_dim: Width of the 3D decoder.
        vertices: Vertices along x, y, z, multiples of 4; None = about as many inside the grid's box as it has voxels,
            which is the paper's 300 x 300 x 24 for Occ3D.
        inner: Part of each axis that the grid's box takes; the rest reaches to infinity.
        lifting: How features get to vertices, see :data:`gsocc_core.networks.lifting.LiftingRule`.
        first_opacity: Mean opacity of the vertices before a training, so that early rays reach what they should learn
            of; None = about one half, as published.
        first_contrast: Standard deviation over the vertices, before a training, of the logits of each class; that of
            free space has half of it, but at least 1. The decoder's last norm sets it. At 1, as published, no class
            can be likelier than about one half until that norm's weights have grown, for all vertices along a ray show
            the same colour.
        last_skip: The third hourglass has a skip around it as the others have; published: false.
    """

    widths: tuple[int, int] = (512, 256)
    dim: int = 64
    volume_dim: int = 32
    vertices: tuple[int, int, int] | None = None
    inner: float = 2 / 3
    lifting: LiftingRule = "exact"
    first_opacity: float | None = 0.1
    first_contrast: float = 4.0
    last_skip: bool = True

    def __post_init__(self) -> None:
        if self.vertices is not None and any(n < 4 or n % 4 for n in self.vertices):
            raise ConfigError(WHERE, "network.vertices", "multiples of 4", self.vertices)
        if self.first_opacity is not None and not 0 < self.first_opacity < 1:
            raise ConfigError(WHERE, "network.first_opacity", "between 0 and 1, or null", self.first_opacity)
        if self.first_contrast <= 0:
            raise ConfigError(WHERE, "network.first_contrast", "a positive number", self.first_contrast)


@dataclass(frozen=True)
class PoseArgs:
    """Where the poses of neighbouring pictures come from in training.

    Attributes:
        mode: ``given``: the data set's; ``learned``: those of a network of the first stage, as it is; ``refined``: the
            same, which trains on with this stage.
        bundle: Bundle of the first stage (method ``gaussianocc_pose``), folder or hub id; None with ``given``.
    """

    mode: Literal["given", "learned", "refined"] = "given"
    bundle: str | None = None

    def __post_init__(self) -> None:
        if (self.mode == "given") != (self.bundle is None):
            expected = "null, since poses are given" if self.mode == "given" else "a bundle of gaussianocc_pose"
            raise ConfigError(WHERE, "poses.bundle", expected, self.bundle)


@dataclass(frozen=True)
class GaussianArgs:
    """What a vertex is to the renderer and to the voxels.

    Attributes:
        scale_m: Standard deviation on all axes, metres.
        far_scales_m: Pairs of a distance from the ego frame's origin and the standard deviation beyond it, metres,
            ascending.
        least_opacity: Fainter Gaussians are left out of the scene and of every rendering; 0 = none are, as published.
        classes: What is composited: ``probabilities`` = the softmax over all classes but free space, with free space
            behind everything; ``logits`` = all logits as they are, on nothing, as published.
        decision: When a voxel is occupied: ``opacity`` = its opacity reaches ``threshold``; ``argmax`` = a class has a
            larger logit than free space, as published.
        threshold: See ``decision``.
    """

    scale_m: float = 0.2
    far_scales_m: tuple[tuple[float, float], ...] = ((60.0, 0.8), (80.0, 1.6))
    least_opacity: float = 0.01
    classes: Literal["probabilities", "logits"] = "probabilities"
    decision: Literal["opacity", "argmax"] = "opacity"
    threshold: float = 0.5

    def __post_init__(self) -> None:
        if min(self.scale_m, *(scale for _, scale in self.far_scales_m), self.scale_m) <= 0:
            raise ConfigError(WHERE, "gaussians.scale_m", "positive metres", (self.scale_m, self.far_scales_m))
        if not 0 <= self.least_opacity < 1:
            raise ConfigError(WHERE, "gaussians.least_opacity", "0 <= value < 1", self.least_opacity)


@dataclass(frozen=True)
class RenderArgs:
    """How the present pictures are rendered in training.

    Attributes:
        renderer: ``splat``, or ``volume``: samples along rays, the baseline that the paper compares with.
        size: (height, width) of renderings, pixels; None = the size of the views.
        depth: ``expected`` = sum w z / sum w, which a faint surface gets right as well as an opaque one; ``closed`` =
            sum w z + (1 - sum w) limit, so that only opaque surfaces get it right; ``accumulated`` = sum w z, as
            published.
        limit_m: Depth beyond counts as this, and so does that of rays that hit nothing, metres.
        near_m: What is nearer is not drawn, metres.
        far_m: What is farther is not drawn, metres; the original draws everything.
        samples: Samples per ray of ``volume``.
        field_of_view: ``true``, or ``published``: the height of every Gaussian in the picture follows from the
            horizontal field of view, so it is too small by the aspect of the picture. Only ``splat`` knows the latter.
    """

    renderer: Literal["splat", "volume"] = "splat"
    size: tuple[int, int] | None = (180, 320)
    depth: DepthRule = "expected"
    limit_m: float = 80.0
    near_m: float = 0.2
    far_m: float = 120.0
    samples: int = 200
    field_of_view: Literal["true", "published"] = "true"

    def __post_init__(self) -> None:
        if self.size is not None and min(self.size) < 1:
            raise ConfigError(WHERE, "render.size", "positive pixels, or null", self.size)
        if not 0 < self.near_m < self.limit_m:
            raise ConfigError(WHERE, "render.near_m, limit_m", "0 < near < limit (m)", (self.near_m, self.limit_m))
        if self.far_m < self.limit_m:
            raise ConfigError(WHERE, "render.far_m", f"limit_m {self.limit_m} or more", self.far_m)
        if self.samples < 1:
            raise ConfigError(WHERE, "render.samples", "1 or more", self.samples)
        if self.renderer == "volume" and self.field_of_view == "published":
            raise ConfigError(WHERE, "render.field_of_view", "true, with renderer: volume", self.field_of_view)


@dataclass(frozen=True)
class LossArgs:
    """Weights of the losses; 0 switches one off.

    Attributes:
        photometric: Neighbouring pictures warped into the present one (``data.view_images``, ``data.view_sweeps``).
        smoothness: Of the rendered inverse depth, at the pictures' size.
        semantics: Class labels of pictures against rendered classes.
        spread: What stops a ray stands in one place, see :func:`gsocc_core.losses.rendering.ray_spread_loss`; not
            published. Without it a ray's mean depth can be right though everything along it is faint.
        entropy: Mean of -o log(o) over all vertices' opacities.
        variation: Mean absolute difference of the logits of neighbouring vertices, averaged over the axes.
        depth: Rendered depth against depth labels, |log d - log t|; not published.
        auto_mask: See :func:`gsocc_core.losses.photometric.minimum_reprojection`.
        outside: See :data:`gsocc_core.losses.photometric.Outside`; ``border`` as published.
        ssim: Share of SSIM in the photometric error.
        unlabelled: Pixels without a label: ``ignored``, or ``free``: taught as sky, as the original does.
        class_frequencies: How often each channel is a label; weights of the classes are 1 / sqrt(frequency), 0 for a
            class that is never one, divided by their mean. None = all alike.
    """

    photometric: float = 1.0
    smoothness: float = 0.001
    semantics: float = 0.02
    spread: float = 0.0
    entropy: float = 0.1
    variation: float = 0.1
    depth: float = 0.0
    auto_mask: bool = True
    outside: Outside = "ignored"
    ssim: float = 0.85
    unlabelled: Literal["ignored", "free"] = "ignored"
    class_frequencies: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not (self.photometric or self.semantics or self.depth):
            expected = "photometric, semantics or depth above 0: the others teach nothing"
            raise ConfigError(WHERE, "loss", expected, (self.photometric, self.semantics, self.depth))
