# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Arguments of GaussTR: sizes, features, depth, shapes, losses and the way to voxels. The defaults are the paper's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gsocc_core.errors import ConfigError
from gsocc_core.losses.aligned_features import FarPixels
from gsocc_core.splat import Support

WHERE = "GaussTR"


def _check(key: str, good: bool, expected: str, received: object) -> None:
    if not good:
        raise ConfigError(WHERE, key, expected, received)


@dataclass(frozen=True)
class NetworkArgs:
    """Sizes of the network; the defaults are the paper's.

    Attributes:
        dim: Feature width.
        queries: Gaussians per picture.
        layers: Decoder layers, each with a head of its own in training.
        heads: Attention heads.
        points: Samples per head and level in the picture attention.
        feed_hidden: Width inside the feed-forward blocks.
        head_hidden: Width inside the heads.
        dropout: Dropout probability after the picture attention.
        levels: Size of each level of the pyramid relative to the feature map.
        places: Where the queries look first when the model is used: ``even`` = a fixed set of points that fills the
            picture evenly, ``random`` = drawn anew, as published. A training always draws.
    """

    dim: int = 256
    queries: int = 300
    layers: int = 3
    heads: int = 8
    points: int = 4
    feed_hidden: int = 2048
    head_hidden: int = 1024
    dropout: float = 0.1
    levels: tuple[float, ...] = (4.0, 2.0, 1.0, 0.5)
    places: Literal["even", "random"] = "even"

    def __post_init__(self) -> None:
        for key in ("dim", "queries", "layers", "heads", "points", "feed_hidden", "head_hidden"):
            _check(f"network.{key}", getattr(self, key) >= 1, "1 or more", getattr(self, key))
        if self.dim % self.heads or self.dim % 4:
            raise ConfigError(WHERE, "network.dim", f"a multiple of 4 and of {self.heads} heads", self.dim)


@dataclass(frozen=True)
class FeatureArgs:
    """Features that the Gaussians are aligned with: a foundation model's, which text embeddings fit to.

    Attributes:
        dim: Channels of the teacher's features and of the text embeddings.
        compression: How training renders them: ``step`` = by a principal-component basis of each batch's targets, as
            published; ``stored`` = by one basis for all, which also narrows what a Gaussian carries; ``none``.
        channels: Channels of the basis.
        input_dim: Channels of the feature map that comes with the pictures where there is no backbone; None = ``dim``.
    """

    dim: int = 512
    compression: Literal["step", "stored", "none"] = "step"
    channels: int = 128
    input_dim: int | None = None

    def __post_init__(self) -> None:
        for key in ("dim", "input_dim"):
            value = getattr(self, key)
            _check(f"features.{key}", value is None or value >= 1, "1 or more", value)
        if self.compression != "none" and not 1 <= self.channels <= self.dim:
            raise ConfigError(WHERE, "features.channels", f"1 ... dim {self.dim}", self.channels)


@dataclass(frozen=True)
class DepthArgs:
    """Where the depth comes from that Gaussians are placed at.

    Attributes:
        source: ``given`` = comes with the pictures, as published; ``model`` = the same, and where it is missing a
            metric depth model of transformers is run; ``head`` = predicted by the network, distilled from depth labels.
        model: Hub id or folder of that model, for ``model``.
        limit_m: Depth beyond counts as this, metres.
        head_range_m: Smallest and largest depth of the head, metres.
        head_detail: Channels of the head at half of the picture's size.
    """

    source: Literal["given", "model", "head"] = "given"
    model: str | None = None
    limit_m: float = 51.2
    head_range_m: tuple[float, float] = (1.0, 60.0)
    head_detail: int = 16

    def __post_init__(self) -> None:
        if (self.source == "model") != (self.model is not None):
            expected = "a hub id or folder with source: model, and null without"
            raise ConfigError(WHERE, "depth.model", expected, self.model)
        low, high = self.head_range_m
        _check("depth.head_detail", self.head_detail >= 1, "1 or more", self.head_detail)
        _check("depth.head_range_m", 0 < low < high, "0 < low < high (m)", self.head_range_m)
        # The head's range begins below the limit, whoever gives the depth: its labels are cut at both.
        _check("depth.limit_m", self.limit_m > low, f"more than head_range_m's {low:g}", self.limit_m)


@dataclass(frozen=True)
class ShapeArgs:
    """Sizes and attitudes of Gaussians.

    Attributes:
        least_px: Smallest standard deviation, in pixels of a picture ``of_width_px`` wide, seen at the Gaussian's
            depth.
        span: The largest is ``1 + span`` times that.
        of_width_px: See ``least_px``.
        rotation: ``camera`` = axes of the camera, as published; ``learned`` = predicted relative to them.
    """

    least_px: float = 7.5
    span: float = 15.0
    of_width_px: float = 1600.0
    rotation: Literal["camera", "learned"] = "camera"

    def __post_init__(self) -> None:
        for key in ("least_px", "of_width_px"):
            _check(f"shape.{key}", getattr(self, key) > 0, "a positive number", getattr(self, key))
        _check("shape.span", self.span >= 0, "0 or more", self.span)


@dataclass(frozen=True)
class LossArgs:
    """Weights of the losses; 0 switches one off. The defaults are those of the paper's Talk2DINO model.

    Attributes:
        cosine: Rendered features against the teacher's.
        teacher: Who that is: ``labels`` = features of a folder (``data.features_dir``), ``backbone`` = the frozen
            backbone's own map of the present pictures (the Talk2DINO model).
        depth: Rendered depth against depth labels: scale-invariant logarithmic error and a fifth of the mean absolute
            error.
        far: What the depth loss does with pixels at the limit of depth or beyond; see
            :func:`gsocc_core.losses.aligned_features.silog_depth_loss`. ``empty`` needs their labels:
            ``data.max_view_depth_m`` must be larger than the limit.
        segmentation: Class labels of pictures, read from rendered features by a small network (the FeatUp model: 1).
        segments: Outputs of that network.
        classes: Class labels of pictures against rendered scores of the class prompts. Not published: with it and
            without ``cosine`` the same network learns from classes instead of features.
        depth_head: Distillation of depth labels into the depth head.
    """

    cosine: float = 5.0
    teacher: Literal["labels", "backbone"] = "labels"
    depth: float = 1.0
    far: FarPixels = "empty"
    segmentation: float = 0.0
    segments: int = 26
    classes: float = 0.0
    depth_head: float = 1.0

    def __post_init__(self) -> None:
        for key in ("cosine", "depth", "segmentation", "classes", "depth_head"):
            _check(f"loss.{key}", getattr(self, key) >= 0, "0 or more", getattr(self, key))


@dataclass(frozen=True)
class SplatArgs:
    """How Gaussians become voxels; the defaults are those of the paper's Talk2DINO model.

    Attributes:
        composition: ``sum``, or ``mean`` as in the authors' first release; see :func:`gsocc_core.splat_to_voxels`.
        cutoff: Support of a Gaussian in standard deviations.
        support: See :func:`gsocc_core.splat_to_voxels`.
        threshold: Density from which a voxel counts as occupied.
        least_opacity: Gaussians that are not more opaque are left out; so are, with it, those whose mean is outside the
            grid and those thinner than ``least_std_m``. None = all count (the FeatUp model).
        least_std_m: See ``least_opacity``; along the axes of the ego frame, metres.
        scale: Class scores of a Gaussian are the softmax of this times feature . text embedding.
        least_score: A prompt that scores below this in every voxel, in a softmax of 100 times the scores, is left out.
    """

    composition: Literal["sum", "mean"] = "sum"
    cutoff: float = 3.0
    support: Support = "box_voxels"
    threshold: float = 0.04
    least_opacity: float | None = 0.6
    least_std_m: float = 0.05
    scale: float = 1.0
    least_score: float = 0.1

    def __post_init__(self) -> None:
        for key in ("threshold", "least_score"):
            _check(f"splat.{key}", 0 <= getattr(self, key) <= 1, "0 ... 1", getattr(self, key))
        for key in ("cutoff", "scale"):
            _check(f"splat.{key}", getattr(self, key) > 0, "a positive number", getattr(self, key))
