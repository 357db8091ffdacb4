# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""gsocc_core: 3D semantic occupancy from surround cameras by Gaussian splatting. Needs neither ROS nor a GPU."""

import gsocc_core._numba  # noqa: F401 - before anything else imports numba
from gsocc_core._version import __version__
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
