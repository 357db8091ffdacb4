# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures and films of voxels and cameras, made in software: no display, no GPU, no 3D library."""

from gsocc_core.pictures.draw import (
    Panel,
    Viewpoint,
    camera_mosaic,
    class_colors,
    draw_arrows,
    draw_comparison,
    draw_panels,
    draw_voxels,
)
from gsocc_core.pictures.film import write_pictures
from gsocc_core.pictures.lit_words import draw_query, light_up, word_colors

__all__ = [
    "Panel",
    "Viewpoint",
    "camera_mosaic",
    "class_colors",
    "draw_arrows",
    "draw_comparison",
    "draw_panels",
    "draw_query",
    "draw_voxels",
    "light_up",
    "word_colors",
    "write_pictures",
]
