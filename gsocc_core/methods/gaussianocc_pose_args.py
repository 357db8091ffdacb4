# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Arguments of GaussianOcc's first stage: sizes, overlaps and losses.

What the paper tells is the default; what it leaves open is chosen, and where ours differs, what it does has a name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gsocc_core.errors import ConfigError
from gsocc_core.losses.photometric import Outside

WHERE = "GaussianOcc's first stage"


@dataclass(frozen=True)
class PoseNetworkArgs:
    """Sizes of the two networks.

    Attributes:
        dim: Channels of the depth network's pyramid and decoder.
        detail: Channels of the depth network at half of the picture's size.
        range_m: Smallest and largest depth, metres.
        first_depth_m: Depth of all pixels before a training, about; metres.
        motion_dim: Channels of the pose network's decoder.
        motion_scale: Factor on the six numbers of a motion; 0.01 as published.
    """

    dim: int = 128
    detail: int = 16
    range_m: tuple[float, float] = (0.5, 80.0)
    first_depth_m: float = 12.0
    motion_dim: int = 256
    motion_scale: float = 0.01

    def __post_init__(self) -> None:
        low, high = self.range_m
        if not 0 < low < high:
            raise ConfigError(WHERE, "network.range_m", "0 < nearest < farthest (m)", self.range_m)
        if not low < self.first_depth_m < high:
            raise ConfigError(WHERE, "network.first_depth_m", f"inside range_m {self.range_m}", self.first_depth_m)
        if self.detail < 1:
            raise ConfigError(WHERE, "network.detail", "1 or more", self.detail)
        if self.motion_scale <= 0:
            raise ConfigError(WHERE, "network.motion_scale", "a positive number", self.motion_scale)


@dataclass(frozen=True)
class NeighbourArgs:
    """Which neighbouring pictures a motion is read from.

    Attributes:
        most_s: Neighbours are at most so far from the present, seconds.
        most_spread_s: The cameras of one moment are at most so far apart, seconds.
        stamps: ``used``: each camera is where the rig was at its own stamp, at constant velocity between the
            neighbours; ``ignored``: all of them are taken as simultaneous, as published.
    """

    most_s: float = 0.15
    most_spread_s: float = 0.1
    stamps: Literal["used", "ignored"] = "used"

    def __post_init__(self) -> None:
        if min(self.most_s, self.most_spread_s) <= 0:
            raise ConfigError(
                WHERE, "neighbours", "most_s and most_spread_s above 0", (self.most_s, self.most_spread_s)
            )


@dataclass(frozen=True)
class CrossArgs:
    """How neighbouring cameras are compared.

    Attributes:
        size: (height, width) of masks, Gaussians and renderings, pixels; None = that of the pictures. A training needs
            about height * width * cameras Gaussians.
        scale_m: Standard deviation of every Gaussian, metres.
        max_depth_m: Overlaps are looked for up to this depth, metres.
        samples: Samples per ray, see :class:`gsocc_core.losses.rig_overlap.OverlapArgs`.
        least_px: A rig that shares fewer pixels, eroded and over all cameras, has no overlap to learn scale from.
        mask_out: See :class:`gsocc_core.losses.cross_view.CrossViewArgs`.
        erosion_px: Likewise.
        holes: Likewise.
    """

    size: tuple[int, int] | None = None
    scale_m: float = 0.02
    max_depth_m: float = 80.0
    samples: int = 160
    least_px: int = 50
    mask_out: bool = True
    erosion_px: int = 1
    holes: Literal["filled", "counted"] = "filled"

    def __post_init__(self) -> None:
        if min(self.scale_m, self.max_depth_m) <= 0:
            raise ConfigError(WHERE, "cross", "scale_m and max_depth_m above 0 (m)", (self.scale_m, self.max_depth_m))
        if self.samples < 2:
            raise ConfigError(WHERE, "cross.samples", "2 or more", self.samples)
        if self.erosion_px < 0 or self.least_px < 1:
            raise ConfigError(
                WHERE, "cross", "erosion_px 0 or more, least_px 1 or more", (self.erosion_px, self.least_px)
            )
        if self.size is not None and min(self.size) < 1:
            raise ConfigError(WHERE, "cross.size", "positive pixels, or null", self.size)


@dataclass(frozen=True)
class PoseLossArgs:
    """Weights of the losses; 0 switches one off.

    Attributes:
        photometric: Neighbouring pictures warped into the present one by predicted depth and motion.
        cross: What cameras share, drawn from each other's pixels; this alone tells metres.
        smoothness: Of the inverse depth.
        scale: Of what ``scale`` names beside the rig: lengths of motions against given poses or an odometer, or the
            depth of the ground against the cameras' height; see :mod:`gsocc_core.losses.metric_scale`.
        auto_mask: See :func:`gsocc_core.losses.photometric.minimum_reprojection`.
        outside: See :data:`gsocc_core.losses.photometric.Outside`.
        ssim: Share of SSIM in photometric errors.
    """

    photometric: float = 1.0
    cross: float = 1.0
    smoothness: float = 0.001
    scale: float = 1.0
    auto_mask: bool = True
    outside: Outside = "ignored"
    ssim: float = 0.85

    def __post_init__(self) -> None:
        if self.photometric <= 0:
            raise ConfigError(WHERE, "loss.photometric", "above 0: nothing else teaches motion", self.photometric)
        if min(self.cross, self.smoothness, self.scale) < 0:
            raise ConfigError(WHERE, "loss", "weights of 0 or more", (self.cross, self.smoothness, self.scale))
