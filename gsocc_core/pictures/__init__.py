# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of voxels and cameras, made in software: no display, no GPU, no 3D library."""

from gsocc_core.pictures.draw import Viewpoint, camera_mosaic, draw_comparison, draw_voxels

__all__ = ["Viewpoint", "camera_mosaic", "draw_comparison", "draw_voxels"]
