# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Shadow maps: what the sun sees first, how much sky the ground sees, what parks above it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from gsocc_core.synthetic.render.raster_kernels import cover_ground, draw_heights, lay_patches

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
        draw_heights(corners, np.array([[0, len(corners)]]), frame, 0, 0, heights)
        return cls(heights, frame)


@dataclass(frozen=True, eq=False)
class StandingShadows:
    """What each actor that stands adds to the sun's map, drawn once.

    Attributes:
        places: (A, 4) int64 first row and column in the map, rows and columns; none of actors that move.
        starts: (A,) int64 first value.
        values: (V,) float32 heights + offset, row by row.
    """

    places: np.ndarray
    starts: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, still: SunMap, corners: np.ndarray, spans: np.ndarray, moves: np.ndarray) -> StandingShadows:
        """Draw them.

        Args:
            still: The static map.
            corners: (T, 3, 3) world corners of the actors that stand; of others they are not read.
            spans: (A, 2) first triangle and one after the last of every actor.
            moves: (A,) bool.
        """
        frame, limits = still.frame, np.array(still.heights.shape)
        places, parts = np.zeros((len(spans), 4), np.int64), [np.zeros(0, np.float32)]
        for i in np.flatnonzero(~moves & (spans[:, 1] > spans[:, 0])):
            own = corners[spans[i, 0] : spans[i, 1]].reshape(-1, 3)
            texels = (own[:, :2] - own[:, 2:] * frame[3:5] - frame[:2])[:, ::-1] * frame[2]
            lower = np.clip(np.floor(texels.min(0)).astype(np.int64), 0, limits)
            size = np.clip(np.ceil(texels.max(0)).astype(np.int64), lower, limits) - lower
            patch = np.zeros(size, np.float32)
            draw_heights(corners, spans[i : i + 1], frame, *lower, patch)
            places[i] = [*lower, *size]
            parts.append(patch.ravel())
        sizes = places[:, 2] * places[:, 3]
        return cls(places, np.cumsum(sizes) - sizes, np.concatenate(parts))


def actors_sun_map(
    still: SunMap, standing: StandingShadows, corners: np.ndarray, spans: np.ndarray, moves: np.ndarray
) -> np.ndarray:
    """The sun's map of some actors alone, in the frame of the static one.

    Args:
        still: The static map.
        standing: Shadows of those that stand.
        corners: (T, 3, 3) corners of all actors at this time.
        spans: (A, 2) first triangle and one after the last of every actor; equal = it is left out.
        moves: (A,) bool.

    Returns:
        (H, W) float32.
    """
    heights = np.zeros(still.heights.shape, np.float32)  # untouched pages of a zeroed array cost nothing
    draw_heights(corners, spans[moves], still.frame, 0, 0, heights)
    drawn = np.flatnonzero(~moves & (spans[:, 1] > spans[:, 0]))
    lay_patches(drawn, standing.places, standing.starts, standing.values, heights)
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
        frame = np.array([*origin, scale, 0.0, 0.0, _OFFSET_M, 0.0, 0.0])
        maps = []
        for chosen in (flat, ~flat):
            heights = np.zeros((size[1], size[0]), np.float32)
            draw_heights(corners[chosen], np.array([[0, int(chosen.sum())]]), frame, 0, 0, heights)
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
