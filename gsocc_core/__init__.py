# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""gsocc_core: 3D semantic occupancy from surround cameras by Gaussian splatting. Needs neither ROS nor a GPU."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

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

#: Module of each public name, imported when the name is first used: PyTorch alone takes seconds, and ``--help`` has no
#: use for it.
_MODULES = {
    "Camera": "geometry.cameras",
    "Cameras": "geometry.cameras",
    "OCC3D_NUSCENES": "geometry.classes",
    "ClassTable": "geometry.classes",
    "FrameSet": "geometry.frames",
    "Targets": "geometry.frames",
    "Gaussians": "geometry.gaussians",
    "TextFeatures": "geometry.text_features",
    "SemanticGrid": "geometry.voxels",
    "VoxelField": "geometry.voxels",
    "VoxelGrid": "geometry.voxels",
    "VoxelScores": "geometry.voxels",
    "OccupancyPredictor": "inference.predictor",
    "Prediction": "inference.predictor",
    "Rendering": "splat",
    "classify_voxels": "splat",
    "splat_to_image": "splat",
    "splat_to_labels": "splat",
    "splat_to_voxels": "splat",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
