# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Arguments of Uni3R: sizes, Gaussians, semantics, rendering and losses. The defaults are the paper's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gsocc_core.errors import ConfigError
from gsocc_core.networks.backbones import BackboneArgs

WHERE = "Uni3R"

#: DINOv2 ViT-L with registers, resampled from patches of 14 pixels to 16 and positions of 256 x 256 pictures.
PAPER_ENCODER = BackboneArgs(
    model_type="dinov2_with_registers",
    model_args={
        "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "patch_size": 16, "image_size": 256,
    },
    out_indices=(24,),
)  # fmt: skip


def _check(key: str, good: bool, expected: str, received: object) -> None:
    if not good:
        raise ConfigError(WHERE, key, expected, received)


@dataclass(frozen=True)
class NetworkArgs:
    """Sizes behind the patch encoder, whose width is the width of the attention; the defaults are VGGT-1B's.

    Attributes:
        depth: Pairs of attention within views and across views.
        heads: Attention heads.
        registers: Registers per view.
        taps: The four pairs, counted from 0, that the dense heads read; a shallow network may name one several times.
        camera_depth: Blocks of the camera head.
        camera_heads: Its attention heads.
        iterations: Its steps.
        head_width: Channels inside the dense heads.
        head_levels: Channels of their four maps before these are fused.
        head_hidden: Channels before their last layer.
        head_fine: They compute at eight times the patches' resolution, as published, even where Gaussians are fewer;
            without it at that of the Gaussians, which with a ``stride`` saves most of their cost.
        layer_scale: First value of the learned scales of the blocks.
        matching: Comparisons of every patch with those of the first view that tell the tokens where it lies there
            (:class:`gsocc_core.networks.patch_matching.PatchMatching`); 0, as published, = none. Attention finds that
            by itself out of millions of samples, and out of some ten thousand it does not.
        intrinsics: ``token`` = each view's intrinsics come as one more token, where they are known; ``none`` = never,
            as in the authors' branch for any number of views.
        intrinsics_dropout: Share of training steps that go without that token, so that the model learns both.
        unit: What one unit of its points, depth and camera positions is. ``baseline`` = the distance between the first
            and the last context camera, as published, or a metre where that is unknown or below a centimetre: nothing
            in pictures says more. ``metre`` = a training on one kind of scene learns its size.
        checkpointing: Compute activations once more in the backward pass to save memory.
    """

    depth: int = 24
    heads: int = 16
    registers: int = 4
    taps: tuple[int, int, int, int] = (4, 11, 17, 23)
    camera_depth: int = 4
    camera_heads: int = 16
    iterations: int = 4
    head_width: int = 256
    head_levels: tuple[int, int, int, int] = (256, 512, 1024, 1024)
    head_hidden: int = 32
    head_fine: bool = True
    layer_scale: float = 0.01
    matching: int = 0
    intrinsics: Literal["token", "none"] = "token"
    intrinsics_dropout: float = 0.0
    unit: Literal["baseline", "metre"] = "baseline"
    checkpointing: bool = False

    def __post_init__(self) -> None:
        for key in ("depth", "heads", "camera_depth", "camera_heads", "iterations", "head_hidden"):
            _check(f"network.{key}", getattr(self, key) >= 1, "1 or more", getattr(self, key))
        for key in ("registers", "matching"):
            _check(f"network.{key}", getattr(self, key) >= 0, "0 or more", getattr(self, key))
        _check(
            "network.taps", all(0 <= t < self.depth for t in self.taps), f"four of 0 ... {self.depth - 1}", self.taps
        )
        widths = (self.head_width // 2, *self.head_levels)
        good = self.head_width % 8 == 0 and all(w >= 4 and w % 4 == 0 for w in widths)
        expected = "a head_width that is a multiple of 8, and head_levels that are multiples of 4"
        _check("network.head_width, head_levels", good, expected, (self.head_width, self.head_levels))
        _check("network.intrinsics_dropout", 0 <= self.intrinsics_dropout <= 1, "0 ... 1", self.intrinsics_dropout)


@dataclass(frozen=True)
class GaussianArgs:
    """Gaussians of a picture.

    Attributes:
        stride: One Gaussian per ``stride`` x ``stride`` pixels.
        sh_degree: Of the spherical harmonics of its colour, 0 to 3.
        scale_factor: Standard deviation at a raw output of 0, in units of the root mean square distance to the three
            nearest other Gaussians.
        span: Smallest and largest standard deviation, in units of the scene's median of these distances. Beyond them a
            scale has no gradient: a training that starts from random weights wants a ``scale_factor`` between them.
        first_depth: How far ahead of the first camera means begin with random weights, in units: what no camera sees
            does not learn.
        pixel_color: Colours start from the pixel's own; without it, as published, they come from the network alone.
        background: What is seen where no Gaussian is: ``black``, as published, or the ``mean`` colour of the views,
            which is nearer to what a hole or the border of a picture would show.
    """

    stride: int = 1
    sh_degree: int = 3
    scale_factor: float = 0.0025
    span: tuple[float, float] = (0.1, 3.0)
    first_depth: float = 1.0
    pixel_color: bool = False
    background: Literal["black", "mean"] = "black"

    def __post_init__(self) -> None:
        _check("gaussians.stride", self.stride >= 1, "1 or more", self.stride)
        _check("gaussians.sh_degree", 0 <= self.sh_degree <= 3, "0 ... 3", self.sh_degree)
        _check("gaussians.scale_factor", self.scale_factor > 0, "a positive number", self.scale_factor)
        _check("gaussians.first_depth", self.first_depth > 0, "a positive number", self.first_depth)
        low, high = self.span
        _check("gaussians.span", 0 < low < high, "0 < low < high", self.span)


@dataclass(frozen=True)
class SemanticArgs:
    """Open-vocabulary features of Gaussians.

    Attributes:
        teacher_dim: Channels of the teacher's features and of text embeddings.
        dim: Channels that a Gaussian carries.
        residual: A Gaussian's feature is the reduced teacher's feature of its pixel plus what the network predicts, as
            published, so the teacher's features of every view are an input; without it the network predicts it all.
    """

    teacher_dim: int = 512
    dim: int = 64
    residual: bool = True

    def __post_init__(self) -> None:
        _check("semantics.teacher_dim", self.teacher_dim >= 1, "1 or more", self.teacher_dim)
        _check("semantics.dim", self.dim >= 1, "1 or more", self.dim)


@dataclass(frozen=True)
class RenderArgs:
    """How training looks at the scene: in metres, whatever the unit of the network.

    Attributes:
        context: Render the context views beside the target views.
        near_m: Gaussians nearer than this are left out, metres.
        far_m: Gaussians farther than this are left out, metres.
    """

    context: bool = True
    near_m: float = 0.1
    far_m: float = 100.0

    def __post_init__(self) -> None:
        _check("render.near_m, far_m", 0 < self.near_m < self.far_m, "0 < near_m < far_m", (self.near_m, self.far_m))


@dataclass(frozen=True)
class LossArgs:
    """Losses and their weights; 0 = left out.

    Attributes:
        photometric: Weight of the colour error of rendered views.
        color_error: ``mse`` = squared, ``l1`` = absolute.
        ssim: Weight of (1 - SSIM) / 2 of rendered views; the authors have none, and LPIPS instead.
        semantic: Weight of one minus the cosine between rendered and the teacher's features.
        geometry: Weight of the distance to a teacher's points, aligned by a similarity per view.
        geometry_keep: Share of a view's pixels that count there, the most confident ones.
        points: Weight of the point head's error against points in the frame of the first camera (VGGT's own loss).
        depth: Weight of the depth head's error (VGGT's own loss).
        camera: Weight of the camera head's error (VGGT's own loss). These three replace VGGT's pretraining where a
            training starts from random weights.
    """

    photometric: float = 1.0
    color_error: Literal["mse", "l1"] = "mse"
    ssim: float = 0.0
    semantic: float = 0.02
    geometry: float = 0.005
    geometry_keep: float = 0.9
    points: float = 0.0
    depth: float = 0.0
    camera: float = 0.0

    def __post_init__(self) -> None:
        for key in ("photometric", "ssim", "semantic", "geometry", "points", "depth", "camera"):
            _check(f"loss.{key}", getattr(self, key) >= 0, "0 or more", getattr(self, key))
        _check("loss.geometry_keep", 0 < self.geometry_keep <= 1, "0 < value <= 1", self.geometry_keep)

    @property
    def renders(self) -> bool:
        """Whether a loss looks at rendered views; without, Gaussians are not computed in training."""
        return self.photometric > 0 or self.ssim > 0 or self.semantic > 0
