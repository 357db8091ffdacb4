# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The rendering loss of a voxel host, as plain arguments of a configuration."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from gsocc_core.geometry.virtual_cameras import TopDownModel
from gsocc_core.geometry.voxel_gaussians import RELATIVE_SCALE
from gsocc_core.losses.camera_strategies import CameraStrategy
from gsocc_core.losses.gaussrender import ClassRule, GaussRenderLoss, GaussRenderWeights, OpacityRule
from gsocc_core.losses.rendered_classes import ClassDistance
from gsocc_core.splat.images.rules import MIN_ALPHA
from gsocc_core.splat.options import Backend, DepthMode


@dataclass(frozen=True)
class GaussRenderArgs:
    """Arguments of :class:`gsocc_core.losses.gaussrender.GaussRenderLoss`, which says what they mean.

    A ``learned`` opacity reads the host's voxel features; its layers belong to the training and to no bundle.
    """

    opacity_rule: OpacityRule = "sharpened"
    class_rule: ClassRule = "all"
    relative_scale: float = RELATIVE_SCALE
    strategy: CameraStrategy = "sensor"
    cameras_per_step: int | None = 1
    view_weights: tuple[float, ...] | None = None
    top_down: TopDownModel | None = "perspective"
    render_width: int | None = 400
    distance: ClassDistance = "l1"
    balanced: bool = False
    depth: DepthMode = "accumulated"
    weights: GaussRenderWeights = field(default_factory=GaussRenderWeights)
    min_opacity: float = MIN_ALPHA
    max_gaussians: int | None = None
    backend: Backend = "auto"

    def build(self, feature_dim: int) -> GaussRenderLoss:
        """The loss for a host with ``feature_dim`` channels per voxel feature.

        Raises:
            ConfigError: arguments that do not fit together.
        """
        options = {f.name: getattr(self, f.name) for f in fields(self)}
        return GaussRenderLoss(feature_dim if self.opacity_rule == "learned" else None, **options)
