# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Operators: Gaussians to voxels, to labels, to pictures. One signature each, several backends."""

from gsocc_core.splat.classify import classify_voxels
from gsocc_core.splat.options import Backend, Composition, DepthMode, Support
from gsocc_core.splat.to_image import Rendering, splat_to_image
from gsocc_core.splat.to_labels import splat_to_labels
from gsocc_core.splat.to_voxels import splat_at_voxels, splat_to_voxels
from gsocc_core.splat.warm_up import warm_up

__all__ = [
    "Backend",
    "Composition",
    "DepthMode",
    "Rendering",
    "Support",
    "classify_voxels",
    "splat_at_voxels",
    "splat_to_image",
    "splat_to_labels",
    "splat_to_voxels",
    "warm_up",
]
