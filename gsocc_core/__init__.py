# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""gsocc_core: 3D semantic occupancy from surround cameras by Gaussian splatting. Needs neither ROS nor a GPU."""

import importlib
from typing import TYPE_CHECKING

import gsocc_core._numba  # noqa: F401 - before anything else imports numba
from gsocc_core._version import __version__

if TYPE_CHECKING:
    from gsocc_core.geometry.cameras import Camera, Cameras
    from gsocc_core.geometry.classes import OCC3D_NUSCENES, ClassTable
    from gsocc_core.geometry.frames import FrameSet, Targets
    from gsocc_core.geometry.gaussians import Gaussians
    from gsocc_core.geometry.text_features import TextFeatures
    from gsocc_core.geometry.voxels import SemanticGrid, VoxelField, VoxelGrid, VoxelScores
    from gsocc_core.inference.predictor import OccupancyPredictor, Prediction
    from gsocc_core.splat import Rendering, classify_voxels, splat_to_image, splat_to_labels, splat_to_voxels

__all__ = [
    "OCC3D_NUSCENES",
    "Camera",
    "Cameras",
    "ClassTable",
    "FrameSet",
    "Gaussians",
    "OccupancyPredictor",
    "Prediction",
    "Rendering",
    "SemanticGrid",
    "Targets",
    "TextFeatures",
    "VoxelField",
    "VoxelGrid",
    "VoxelScores",
    "__version__",
    "classify_voxels",
    "splat_to_image",
    "splat_to_labels",
    "splat_to_voxels",
]
#: Where each name lives: it is imported when it is first asked for, so that a command's help need not load PyTorch.
_HOMES = {
    "geometry.cameras": ("Camera", "Cameras"),
    "geometry.classes": ("OCC3D_NUSCENES", "ClassTable"),
    "geometry.frames": ("FrameSet", "Targets"),
    "geometry.gaussians": ("Gaussians",),
    "geometry.text_features": ("TextFeatures",),
    "geometry.voxels": ("SemanticGrid", "VoxelField", "VoxelGrid", "VoxelScores"),
    "inference.predictor": ("OccupancyPredictor", "Prediction"),
    "splat": ("Rendering", "classify_voxels", "splat_to_image", "splat_to_labels", "splat_to_voxels"),
}


def __getattr__(name: str) -> object:
    home = next((home for home, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
