# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Surface patterns, and palettes whose colours overlap between classes.

Parameters of a pattern, in this order (unused ones are 0):

* 0 amplitude of the colour noise, 1 its length in metres, 2 ... 5 see below, 6 gloss 0 ... 1, 7 offset into the noise.
* PAVING: 2, 3 tile edges, 4 joint darkness, 5 tone differences. FACADE: 2 window spacing, 3 floor height, 4, 5 window
  width and height as fractions, and the integer part of 4 is the style. STRIPES: 2 period, 3, 4 direction, 5 share of
  the second colour. CORRUGATED, SLATS: 2 period. LAMP: 2 brightness. SIGN: 2 cell size. ROAD: 2, 3 where its paint
  begins in the atlas (s, d in metres), 4, 5 rows' and columns' offsets in the atlas.
"""

from __future__ import annotations

import colorsys

import numpy as np

from gsocc_core.synthetic.world.scene import Materials

PLAIN, ROAD, PAVING, GROUND, FOLIAGE, FACADE, GLASS, LAMP, STRIPES, CORRUGATED, SIGN, SLATS = range(12)
#: Edge of the noise tile, texels.
TILE = 256

Color = tuple[float, float, float]


def linear(color: Color | np.ndarray) -> np.ndarray:
    """(3,) linear light of a display colour with components 0 ... 1 (gamma 2.2)."""
    return np.clip(np.asarray(color, np.float64), 0.0, 1.0) ** 2.2


def noise_tile() -> np.ndarray:
    """(TILE, TILE) float32 periodic 1/f noise, mean 0, standard deviation 1, the same in every scene."""
    rng = np.random.default_rng(20260101)
    spectrum = np.fft.rfft2(rng.standard_normal((TILE, TILE)))
    frequency = np.hypot(np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None])
    frequency[0, 0] = np.inf
    tile = np.fft.irfft2(spectrum / frequency**0.9, s=(TILE, TILE))
    return np.clip(tile / tile.std(), -3.0, 3.0).astype(np.float32)


class Palette:
    """Makes materials of a scene and remembers them.

    Args:
        rng: Source of all colours.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._patterns: list[int] = []
        self._colors: list[np.ndarray] = []
        self._params: list[np.ndarray] = []
        self._warmth = rng.uniform(-0.02, 0.03)

    def add(
        self,
        pattern: int,
        color: Color | np.ndarray,
        second: Color | np.ndarray | None = None,
        noise: float = 0.1,
        length_m: float = 2.0,
        extra: tuple[float, ...] = (),
        gloss: float = 0.0,
    ) -> int:
        """Add a material.

        Args:
            pattern: One of this file's pattern ids.
            color: Display RGB, 0 ... 1.
            second: Second display colour; None = a darker first one.
            noise: Amplitude of the colour noise.
            length_m: Size of the noise's large spots.
            extra: Parameters 2 ... 5.
            gloss: 0 ... 1.

        Returns:
            Its row in the table.
        """
        first = linear(color)
        params = np.zeros(8)
        params[0], params[1], params[6], params[7] = noise, length_m, gloss, self._rng.uniform(0, 200)
        params[2 : 2 + len(extra)] = extra
        self._patterns.append(pattern)
        self._colors.append(np.stack([first, first * 0.6 if second is None else linear(second)]))
        self._params.append(params)
        return len(self._patterns) - 1

    def table(self) -> Materials:
        """Everything added so far."""
        return Materials(
            np.array(self._patterns, np.int32),
            np.array(self._colors, np.float32),
            np.array(self._params, np.float32),
        )

    def grey(self, low: float, high: float, tint: float = 0.02) -> np.ndarray:
        """(3,) a grey between two brightnesses with a slight tint."""
        value = self._rng.uniform(low, high)
        return value + self._rng.normal(0, tint, 3) + np.array([self._warmth, 0.0, -self._warmth])

    def earth(self) -> np.ndarray:
        """(3,) a colour of soil, sand, brick or wood."""
        hue, saturation, value = (
            self._rng.uniform(0.03, 0.12),
            self._rng.uniform(0.15, 0.55),
            self._rng.uniform(0.3, 0.75),
        )
        return np.array(colorsys.hsv_to_rgb(hue, saturation, value))

    def green(self) -> np.ndarray:
        """(3,) a colour of plants, from yellow-brown to blue-green."""
        hue, saturation, value = (
            self._rng.uniform(0.12, 0.38),
            self._rng.uniform(0.2, 0.65),
            self._rng.uniform(0.2, 0.6),
        )
        return np.array(colorsys.hsv_to_rgb(hue, saturation, value))

    def any_color(self, saturation: float = 1.0) -> np.ndarray:
        """(3,) any colour, often a dull one."""
        value = self._rng.uniform(0.08, 0.95)
        return np.array(colorsys.hsv_to_rgb(self._rng.uniform(), saturation * self._rng.beta(1.2, 2.0), value))

    def asphalt(self, paint_origin: tuple[float, float, float, float]) -> int:
        """A road surface whose paint begins at (s, d) = ``paint_origin[:2]`` and atlas (row, column) = the rest."""
        surface = self.grey(0.25, 0.6, 0.012) if self._rng.uniform() < 0.85 else 0.6 * self.earth() + 0.15
        extra = paint_origin
        return self.add(
            ROAD, surface, surface * self._rng.uniform(0.7, 1.25), self._rng.uniform(0.06, 0.16), 6.0, extra, 0.1
        )

    def paving(self) -> int:
        """A pavement: concrete slabs, bricks or plain asphalt."""
        kind = self._rng.uniform()
        tone = self.grey(0.3, 0.75) if kind < 0.65 else 0.75 * self.earth() + 0.1
        if self._rng.uniform() < 0.25:
            extra = (50.0, 50.0, 0.0, 0.0)
        else:
            edge = float(self._rng.choice([0.2, 0.4, 0.6, 1.2, 2.0]))
            extra = (
                edge,
                edge * float(self._rng.choice([0.5, 1.0])),
                self._rng.uniform(0.15, 0.5),
                self._rng.uniform(0.02, 0.14),
            )
        return self.add(PAVING, tone, tone * 0.8, self._rng.uniform(0.06, 0.15), 3.0, extra)

    def kerb(self) -> int:
        """A kerb stone, sometimes painted."""
        if self._rng.uniform() < 0.2:
            second = self._rng.choice(np.array([[0.75, 0.1, 0.1], [0.85, 0.7, 0.1], [0.15, 0.15, 0.15]]))
            return self.add(STRIPES, (0.78, 0.78, 0.75), second, 0.15, 1.0, (1.6, 1.0, 0.0, 0.5))
        return self.add(PAVING, self.grey(0.4, 0.75), None, 0.12, 1.0, (1.0, 5.0, 0.35, 0.08))

    def terrain(self) -> tuple[int, str]:
        """Natural ground, and what it is called: grass, dry grass or bare soil."""
        kind = self._rng.uniform()
        name = "grass" if kind < 0.5 else "dry grass" if kind < 0.75 else "bare soil"
        if kind < 0.5:
            first, second = self.green(), self.green() * 0.6 + self.earth() * 0.35
        elif kind < 0.75:
            first, second = self.green() * 0.5 + self.earth() * 0.5, self.earth()
        else:
            first, second = self.earth(), self.grey(0.35, 0.6)
        return self.add(GROUND, first, second, self._rng.uniform(0.25, 0.5), self._rng.uniform(3, 14)), name

    def foliage(self) -> int:
        """Leaves of a tree, bush or hedge; sometimes autumn colours."""
        first = self.green() if self._rng.uniform() < 0.85 else self.earth() * np.array([1.15, 0.9, 0.6])
        return self.add(
            FOLIAGE, first, first * 0.45 + self.green() * 0.15, self._rng.uniform(0.5, 0.9), self._rng.uniform(0.5, 1.6)
        )

    def bark(self) -> int:
        """Bark of a trunk."""
        return self.add(PLAIN, self.earth() * self._rng.uniform(0.5, 0.9), self.grey(0.2, 0.5), 0.35, 0.4)

    def car_paint(self) -> int:
        """Paint of a vehicle: white, black, greys, then colours."""
        kind = self._rng.uniform()
        if kind < 0.55:
            color = self.grey(0.05, 0.95, 0.012)
        elif kind < 0.7:
            color = self.earth()
        else:
            hue = self._rng.choice([0.0, 0.01, 0.06, 0.13, 0.33, 0.5, 0.58, 0.61, 0.64]) + self._rng.normal(0, 0.02)
            color = np.array(
                colorsys.hsv_to_rgb(hue % 1.0, self._rng.uniform(0.4, 0.95), self._rng.uniform(0.15, 0.85))
            )
        return self.add(
            PLAIN, color, color * 0.85 + 0.04, self._rng.uniform(0.02, 0.1), 1.5, (), self._rng.uniform(0.3, 1.0)
        )

    def cloth(self, vivid: float = 1.0) -> int:
        """Clothing."""
        color = self.any_color(vivid) if self._rng.uniform() < 0.6 else self.grey(0.08, 0.8)
        if self._rng.uniform() < 0.12:
            return self.add(
                STRIPES, color, self.any_color(vivid), 0.15, 0.3, (self._rng.uniform(0.06, 0.2), 0.0, 1.0, 0.5)
            )
        return self.add(PLAIN, color, color * 0.65, 0.25, 0.25)

    def skin(self) -> int:
        """Skin."""
        tone = self._rng.uniform(0.25, 1.0)
        return self.add(PLAIN, tone * np.array([0.9, 0.7, 0.58]), None, 0.08, 0.2)

    def wall(self) -> np.ndarray:
        """(3,) a wall colour: plaster, concrete, brick; sometimes greenish or bluish."""
        kind = self._rng.uniform()
        if kind < 0.4:
            return self.grey(0.25, 0.9)
        if kind < 0.75:
            return self.earth() * self._rng.uniform(0.8, 1.2) + 0.05
        return self.any_color(0.8) * 0.6 + 0.3

    def facade(self) -> int:
        """A house front with windows."""
        style = int(self._rng.integers(0, 3))
        extra = (
            self._rng.uniform(1.8, 4.5), self._rng.uniform(2.7, 4.2),
            style + self._rng.uniform(0.35, 0.75), self._rng.uniform(0.35, 0.7),
        )  # fmt: skip
        trim = self.grey(0.15, 0.95) if self._rng.uniform() < 0.7 else self.any_color()
        return self.add(FACADE, self.wall(), trim, self._rng.uniform(0.08, 0.25), self._rng.uniform(2, 8), extra)

    def plaster(self) -> int:
        """A plain wall without windows."""
        kind = self._rng.uniform()
        if kind < 0.35:
            return self.add(PAVING, self.wall(), None, 0.18, 4.0, (0.25, 0.08, 0.3, 0.12))
        if kind < 0.55:
            return self.add(CORRUGATED, self.wall(), None, 0.15, 3.0, (self._rng.uniform(0.15, 0.5),), 0.2)
        return self.add(PLAIN, self.wall(), None, 0.2, 4.0)

    def metal(self) -> int:
        """Metal of poles and frames."""
        color = self.grey(0.1, 0.75) if self._rng.uniform() < 0.75 else self.green() * 0.7
        return self.add(PLAIN, color, self.earth(), 0.15, 0.6, (), 0.4)
