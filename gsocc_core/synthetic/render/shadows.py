# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Shadow maps: what the sun sees first, how much sky the ground sees, what parks above it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from gsocc_core.synthetic.render.raster_kernels import cover_ground, draw_heights

_SUN_TEXELS_PER_M = 5.0
_GROUND_TEXELS_PER_M = 4.0
#: Added to heights in the maps, so that 0 means "nothing here", metres.
_OFFSET_M = 500.0


@dataclass(frozen=True, eq=False)
class SunMap:
    """Heights of the surfaces that the sun sees first, over the plane z = 0 along the sun's direction.

    Attributes:
        heights: (H, W) float32 height + offset, 0 = nothing.
        frame: (8,) origin x, y, texels per metre, shear x, y, offset, 0, 0.
    """

    heights: np.ndarray
    frame: np.ndarray

    @classmethod
    def of(cls, corners: np.ndarray, sun_direction: tuple[float, float, float]) -> SunMap:
        """Draw the map.

        Args:
            corners: (T, 3, 3) corners of what stands still, world frame.
            sun_direction: (3,) unit vector towards the sun, z > 0.
        """
        shear = np.array(sun_direction[:2]) / max(sun_direction[2], 0.15)
        flat = corners[..., :2] - corners[..., 2:] * shear
        origin = flat.min((0, 1)) - 1.0
        frame = np.array([*origin, _SUN_TEXELS_PER_M, *shear, _OFFSET_M, 0.0, 0.0])
        size = np.ceil((flat.max((0, 1)) + 1.0 - origin) * _SUN_TEXELS_PER_M).astype(int)
        heights = np.zeros((size[1], size[0]), np.float32)
        draw_heights(_project(corners, frame), 0, len(corners), heights, _OFFSET_M)
        return cls(heights, frame)


def _project(corners: np.ndarray, frame: np.ndarray) -> np.ndarray:
    projected = corners.copy()
    projected[..., :2] = (corners[..., :2] - corners[..., 2:] * frame[3:5] - frame[:2]) * frame[2]
    return projected


def moving_sun_map(still: SunMap, corners: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """The sun's map of the actors alone, in the frame of the static one.

    Args:
        still: The static map.
        corners: (T, 3, 3) corners of all actors at this time.
        spans: (A, 2) first triangle and one after the last, of the actors to draw.

    Returns:
        (H, W) float32.
    """
    heights = np.zeros(still.heights.shape, np.float32)  # untouched pages of a zeroed array cost nothing
    if len(spans):
        first = int(spans[:, 0].min())
        projected = _project(corners[first : int(spans[:, 1].max())], still.frame)
        for start, stop in spans:
            draw_heights(projected, int(start) - first, int(stop) - first, heights, _OFFSET_M)
    return heights


@dataclass(frozen=True, eq=False)
class GroundMaps:
    """Maps of the ground seen from above.

    Attributes:
        height: (P, Q) float32 height of the ground, metres.
        openness: (P, Q) float32 0 ... 1, how much of the sky it sees.
        frame: (3,) origin x, y and texels per metre.
    """

    height: np.ndarray
    openness: np.ndarray
    frame: np.ndarray

    @classmethod
    def of(cls, corners: np.ndarray, flat: np.ndarray) -> GroundMaps:
        """Draw the maps.

        Args:
            corners: (T, 3, 3) corners of all static triangles.
            flat: (T,) bool: the triangle belongs to the ground.
        """
        origin = corners[..., :2].min((0, 1))
        scale = _GROUND_TEXELS_PER_M
        size = np.ceil((corners[..., :2].max((0, 1)) - origin) * scale).astype(int) + 1
        frame = np.array([*origin, scale, 0.0, 0.0, 0.0, 0.0, 0.0])
        maps = []
        for chosen in (flat, ~flat):
            heights = np.zeros((size[1], size[0]), np.float32)
            draw_heights(_project(corners[chosen], frame), 0, int(chosen.sum()), heights, _OFFSET_M)
            maps.append(heights)
        ground, above = maps
        rise = np.clip(above - ground, 0.0, 12.0)
        closeness = ndimage.uniform_filter(rise, int(3.0 * scale), mode="nearest") / 8.0
        closeness += ndimage.uniform_filter(rise, int(10.0 * scale), mode="nearest") / 16.0
        return cls(ground - _OFFSET_M, np.exp(-closeness).astype(np.float32), frame[:3].copy())


def contact_map(ground: GroundMaps, boxes: Sequence[tuple[np.ndarray, tuple[float, float, float]]]) -> np.ndarray:
    """How much of the sky the actors hide from the ground right under and beside them.

    Args:
        ground: Gives the frame.
        boxes: Pose (4, 4) and size (width, length, height) of every actor.

    Returns:
        (P, Q) uint8, 255 = covered.
    """
    cover = np.zeros(ground.height.shape, np.uint8)
    if boxes:
        poses, sizes = (np.array(column, np.float64) for column in zip(*boxes))
        cover_ground(poses, sizes, ground.frame, cover)
    return cover
