# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the uncalibrated node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gsocc_core.errors import ConfigError
from gsocc_core.reconstruction.reconstructor import ReconstructArgs
from gsocc_core.reconstruction.scale import ScaleHints
from gsocc_ros.node.parameters import Parameter, checked_values
from gsocc_ros.pipeline.uncalibrated import ViewChoice

UNCALIBRATED_PARAMETERS: tuple[Parameter, ...] = (
    Parameter("rig", "nuscenes", "Rig file, or the name of a shipped rig: names and topics of the cameras."),
    Parameter("view_bundle", "", "Bundle folder or hub id of a method of unposed views, such as uni3r."),
    Parameter("device", "auto", "auto, cpu, cuda or cuda:N."),
    Parameter("prompts", "", "Words of the classes, a YAML or .safetensors file; empty = the bundle's, or no classes."),
    Parameter("text_encoder", "wordllama", "What embeds these words: the encoder of the model's teacher."),
    Parameter(
        "mounting_height_m",
        0.0,
        "Height of the anchor camera above the ground, which tells metres; 0 = unknown.",
        low=0.0,
        high=100.0,
    ),
    Parameter("moments", 4, "Pictures per camera: the newest and earlier ones.", low=1, high=16),
    Parameter("spacing_s", 0.5, "Time between the pictures of a camera, at least, seconds.", low=0.0, high=60.0),
    Parameter("most_views", 16, "Pictures of a set at most.", low=1, high=64),
    Parameter("voxel_m", 0.4, "Edge of a voxel, metres.", low=0.02, high=10.0),
    Parameter("most_gaussians", 20000, "Gaussians are merged to at most so many.", low=1, high=1000000),
    Parameter(
        "image_reliability",
        "best_effort",
        "QoS of the picture and CameraInfo subscriptions.",
        choices=("best_effort", "reliable"),
    ),
    Parameter("image_depth", 5, "QoS depth of the picture subscriptions, messages.", low=1, high=100),
    Parameter("stale_s", 10.0, "An older output is an error, seconds.", low=0.1, high=3600.0),
    Parameter("diagnostics_period_s", 1.0, "Time between diagnostics, seconds.", low=0.1, high=60.0),
    Parameter("snapshot_dir", "snapshots", "Where ~/save_rig writes."),
)


@dataclass(frozen=True)
class UncalibratedSettings:
    """Values of all parameters; see :data:`UNCALIBRATED_PARAMETERS`."""

    rig: str = "nuscenes"
    view_bundle: str = ""
    device: str = "auto"
    prompts: str = ""
    text_encoder: str = "wordllama"
    mounting_height_m: float = 0.0
    moments: int = 4
    spacing_s: float = 0.5
    most_views: int = 16
    voxel_m: float = 0.4
    most_gaussians: int = 20000
    image_reliability: str = "best_effort"
    image_depth: int = 5
    stale_s: float = 10.0
    diagnostics_period_s: float = 1.0
    snapshot_dir: str = "snapshots"

    @property
    def hints(self) -> ScaleHints:
        """What tells metres: a height that is given, always, so that the scale does not change from set to set."""
        known = self.mounting_height_m or None
        return ScaleHints("auto" if known is None else "mounting_height", mounting_height_m=known)

    @property
    def args(self) -> ReconstructArgs:
        """What is made of the network's output."""
        return ReconstructArgs(self.most_gaussians, voxel_m=self.voxel_m)

    @property
    def choice(self) -> ViewChoice:
        """Which pictures make a set."""
        return ViewChoice(self.moments, round(self.spacing_s * 1e9), self.most_views)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> UncalibratedSettings:
        """Checked settings.

        Raises:
            ConfigError: a value is wrong or its name unknown, or no bundle is named.
        """
        settings = cls(**checked_values(UNCALIBRATED_PARAMETERS, values, "uncalibrated node"))
        if not settings.view_bundle:
            expected = "a bundle folder or hub id of a method of unposed views"
            raise ConfigError("uncalibrated node", "parameter view_bundle", expected, "nothing")
        return settings
