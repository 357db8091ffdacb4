# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Shadow maps: what the sun sees first, how much sky the ground sees, what parks above it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from gsocc_core.synthetic.render.raster_kernels import COVER_REACH_M, cover_ground, draw_heights, lay_patches

_SUN_TEXELS_PER_M = 5.0
_GROUND_TEXELS_PER_M = 4.0
#: Added to heights in the maps, so that 0 means "nothing here", metres.
_OFFSET_M = 500.0
#: Points that are shaded look for what is above them up to this far aside: texels, offset along the normal, metres.
_BLUR_M = 1.0


@dataclass(frozen=True, eq=False)
class SunMap:
    """Heights of the surfaces that the sun sees first, over the plane z = 0 along the sun's direction.

    Attributes:
        heights: (H, W) float32 height + offset, 0 = nothing.
        frame: (8,) origin x, y, texels per metre, shear x, y, offset, 0, 0.
        lowest_m: Height of the lowest point of what stands still, metres.
    """

    heights: np.ndarray
    frame: np.ndarray
    lowest_m: float

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
        return cls(heights, frame, float(corners[..., 2].min()))


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


@dataclass(frozen=True, eq=False)
class _Patches:
    """What each actor that stands adds to a map: (A, 4) first row and column, rows and columns, (A,) first value."""

    windows: np.ndarray
    starts: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, windows: np.ndarray, dtype: type, draw: Callable[[int, int, int, np.ndarray], None]) -> _Patches:
        """Draw them: ``draw`` takes an actor, the first row and column, and zeros for its patch."""
        parts: list[np.ndarray] = [np.zeros((rows, columns), dtype) for _, _, rows, columns in windows]
        for i, part in enumerate(parts):
            if part.size:
                draw(i, windows[i, 0], windows[i, 1], part)
        sizes = windows[:, 2] * windows[:, 3]
        return cls(windows, np.cumsum(sizes) - sizes, np.concatenate([np.zeros(0, dtype), *map(np.ravel, parts)]))

    def lay(self, which: np.ndarray, raster: np.ndarray) -> None:
        """Lay those of some actors, (A,) bool, over a map; greater values win."""
        lay_patches(np.flatnonzero(which), self.windows, self.starts, self.values, raster)


def _window(texels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(4,) int64 first row and column, rows and columns of a map around (N, 2) columns and rows."""
    limits = np.array(shape[::-1])
    lower = np.clip(np.floor(texels.min(0)).astype(np.int64) - 1, 0, limits)
    upper = np.clip(np.ceil(texels.max(0)).astype(np.int64) + 1, lower, limits)
    return np.concatenate([lower[::-1], (upper - lower)[::-1]])


@dataclass(frozen=True, eq=False)
class ActorShadows:
    """What the actors add to the maps; that of those that stand is drawn once and laid over the maps of every picture.

    Attributes:
        sun: The sun's map without actors.
        ground: The ground's maps.
        spans: (A, 2) first triangle and one after the last of every actor.
        sizes_m: (A, 3) width, length, height of the actors' boxes.
        moves: (A,) bool.
    """

    sun: SunMap
    ground: GroundMaps
    spans: np.ndarray
    sizes_m: np.ndarray
    moves: np.ndarray
    _on_sun: _Patches
    _on_ground: _Patches

    @classmethod
    def of(
        cls, sun: SunMap, ground: GroundMaps, spans: np.ndarray, sizes_m: np.ndarray, moves: np.ndarray,
        corners: np.ndarray, poses: np.ndarray,
    ) -> ActorShadows:  # fmt: skip
        """Draw what those that stand add.

        Args:
            sun: The sun's map without actors.
            ground: The ground's maps.
            spans: (A, 2) first triangle and one after the last of every actor.
            sizes_m: (A, 3) width, length, height of the actors' boxes.
            moves: (A,) bool.
            corners: (T, 3, 3) world corners of the actors that stand; of others they are not read.
            poses: (A, 4, 4) of the boxes in the world, likewise.
        """
        on_sun, on_ground = np.zeros((2, len(spans), 4), np.int64)
        for i in np.flatnonzero(~moves & (spans[:, 1] > spans[:, 0])):
            own = corners[slice(*spans[i])].reshape(-1, 3)
            flat = own[:, :2] - own[:, 2:] * sun.frame[3:5]
            on_sun[i] = _window((flat - sun.frame[:2]) * sun.frame[2], sun.heights.shape)
            reach = 0.5 * np.hypot(*sizes_m[i, :2]) + COVER_REACH_M
            square = poses[i, :2, 3] + np.array([[-reach], [reach]])
            on_ground[i] = _window((square - ground.frame[:2]) * ground.frame[2], ground.height.shape)

        def shade(i: int, row: int, column: int, heights: np.ndarray) -> None:
            draw_heights(corners, spans[i : i + 1], sun.frame, row, column, heights)

        def hide(i: int, row: int, column: int, cover: np.ndarray) -> None:
            cover_ground(poses[i : i + 1], sizes_m[i : i + 1], ground.frame, row, column, cover)

        patches = _Patches.of(on_sun, np.float32, shade), _Patches.of(on_ground, np.uint8, hide)
        return cls(sun, ground, spans, sizes_m, moves, *patches)

    def boxes(self, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Boxes around what the actors can darken, themselves included.

        Args:
            lower: (A, 3) lower corners of the actors' bounding boxes in the world.
            upper: (A, 3) upper corners.

        Returns:
            Lower and upper corners.
        """
        way = (self.sun.lowest_m - upper[:, 2:]) * self.sun.frame[3:5]  # of a shadow, down to the lowest ground
        slid = np.hstack([way, np.broadcast_to(self.sun.lowest_m - lower[:, 2:], (len(lower), 1))])
        return lower + np.minimum(slid, 0.0) - _BLUR_M, upper + np.maximum(slid, 0.0) + _BLUR_M

    def sun_map(self, corners: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """The sun's map of some actors alone, in the frame of the static one.

        Args:
            corners: (T, 3, 3) corners of all actors at this time.
            drawn: (A,) bool.

        Returns:
            (H, W) float32.
        """
        heights = np.zeros(self.sun.heights.shape, np.float32)  # untouched pages of a zeroed array cost nothing
        draw_heights(corners, self.spans[drawn & self.moves], self.sun.frame, 0, 0, heights)
        self._on_sun.lay(drawn & ~self.moves, heights)
        return heights

    def contact_map(self, poses: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """How much of the sky some actors hide from the ground right under and beside them.

        Args:
            poses: (A, 4, 4) of all boxes in the world at this time.
            drawn: (A,) bool.

        Returns:
            (P, Q) uint8, 255 = covered.
        """
        cover, chosen = np.zeros(self.ground.height.shape, np.uint8), drawn & self.moves
        cover_ground(poses[chosen], self.sizes_m[chosen], self.ground.frame, 0, 0, cover)
        self._on_ground.lay(drawn & ~self.moves, cover)
        return cover
