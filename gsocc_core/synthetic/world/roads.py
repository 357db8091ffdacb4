# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Road geometry: a curve that bends with continuous curvature, its height profile, and its cross-section."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import cKDTree

_STEP_M = 0.25
#: Length of the clothoids between segments of constant curvature, metres.
_TRANSITION_M = 24.0
_CROWN = 0.018


@dataclass(frozen=True, eq=False)
class Road:
    """A centre line. Surface coordinates: s along it, d to its left, both in metres.

    Attributes:
        start_m: s of the first sample.
        xy: (N, 2) float64 samples, ``_STEP_M`` apart; beyond both ends the road goes straight on.
        heading: (N,) float64 rad, unwrapped.
        waves: (W, 3) height profile: amplitude (m), wave number (rad/m), phase of each sine.
        grade: Constant slope.
        half_width_m: From the centre to the kerb, where the road's crown ends.
    """

    start_m: float
    xy: np.ndarray
    heading: np.ndarray
    waves: np.ndarray
    grade: float
    half_width_m: float

    @cached_property
    def s_samples(self) -> np.ndarray:
        """(N,) s of the samples."""
        return self.start_m + _STEP_M * np.arange(len(self.xy))

    @cached_property
    def nearest(self) -> tuple[np.ndarray, np.ndarray, cKDTree]:
        """Values of s, 1 m apart and 300 m beyond both ends, their (S, 2) points and a search tree over these."""
        s = np.arange(self.start_m - 300.0, self.end_m + 300.0, 1.0)
        points = self.point(s, 0.0)
        return s, points, cKDTree(points)

    @property
    def end_m(self) -> float:
        """S of the last sample."""
        return self.start_m + _STEP_M * (len(self.xy) - 1)

    def heading_at(self, s: np.ndarray | float) -> np.ndarray:
        """Heading at s, rad."""
        return np.interp(s, self.s_samples, self.heading)

    def curvature_at(self, s: np.ndarray | float) -> np.ndarray:
        """Curvature at s, 1/m, left positive."""
        s = np.asarray(s, np.float64)
        return (self.heading_at(s + 1.0) - self.heading_at(s - 1.0)) / 2.0

    def point(self, s: np.ndarray | float, d: np.ndarray | float) -> np.ndarray:
        """(..., 2) world position of (s, d)."""
        s, d = np.broadcast_arrays(np.asarray(s, np.float64), np.asarray(d, np.float64))
        inside = np.clip(s, self.start_m, self.end_m)
        heading = self.heading_at(inside)
        ahead = s - inside
        x = np.interp(inside, self.s_samples, self.xy[:, 0]) + ahead * np.cos(heading) - d * np.sin(heading)
        y = np.interp(inside, self.s_samples, self.xy[:, 1]) + ahead * np.sin(heading) + d * np.cos(heading)
        return np.stack([x, y], axis=-1)

    def height(self, s: np.ndarray | float, d: np.ndarray | float = 0.0) -> np.ndarray:
        """Height of the road surface (and of its flat continuation beyond the kerb) at (s, d), metres."""
        s = np.asarray(s, np.float64)
        profile = self.grade * s
        for amplitude, number, phase in self.waves:
            profile = profile + amplitude * np.sin(number * s + phase)
        across = np.minimum(np.abs(d), self.half_width_m)
        return profile - _CROWN * across**2 / self.half_width_m

    def slope(self, s: np.ndarray | float) -> np.ndarray:
        """Derivative of the height along s."""
        s = np.asarray(s, np.float64)
        slope = np.full(s.shape, self.grade)
        for amplitude, number, phase in self.waves:
            slope = slope + amplitude * number * np.cos(number * s + phase)
        return slope

    def tilt(self, d: np.ndarray | float) -> np.ndarray:
        """Derivative of the height along d on the road."""
        d = np.asarray(d, np.float64)
        return np.where(np.abs(d) < self.half_width_m, -2.0 * _CROWN * d / self.half_width_m, 0.0)


def bent_road(rng: np.random.Generator, start_m: float, end_m: float, half_width_m: float, winding: float) -> Road:
    """A random road: straights and arcs joined by clothoids, hills as a sum of sines.

    Args:
        rng: Source of the shape.
        start_m: s of its beginning.
        end_m: s of its end; the point s = 0 lies at the origin and points along x.
        half_width_m: From the centre to the kerb.
        winding: 0 = straight and flat ... 1 = bends of 55 m radius and slopes of 7 %.

    Returns:
        The road.
    """
    s = np.arange(start_m, end_m + _STEP_M, _STEP_M)
    curvature = np.zeros_like(s)
    at, turned = start_m, 0.0
    while at < end_m:
        length = rng.uniform(35, 95)
        value = 0.0
        if rng.uniform() < 0.35 + 0.6 * winding:
            value = winding * rng.uniform(0.15, 1.0) / 55.0 * rng.choice([-1.0, 1.0])
        if abs(turned + value * length) > 1.5:
            value = -value
        turned += value * length
        curvature[(s >= at) & (s < at + length)] = value
        at += length
    kernel = np.ones(int(_TRANSITION_M / _STEP_M)) / int(_TRANSITION_M / _STEP_M)
    curvature = np.convolve(np.pad(curvature, len(kernel), mode="edge"), kernel, mode="same")[
        len(kernel) : -len(kernel)
    ]
    heading = np.concatenate([[0.0], np.cumsum(0.5 * (curvature[1:] + curvature[:-1])) * _STEP_M])
    middle = 0.5 * (heading[1:] + heading[:-1])
    xy = np.zeros((len(s), 2))
    xy[1:] = np.cumsum(np.stack([np.cos(middle), np.sin(middle)], 1), axis=0) * _STEP_M
    origin = int(np.argmin(np.abs(s)))
    turn = heading[origin]
    R = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    number = 2 * np.pi / rng.uniform([90, 140, 260], [140, 240, 420])
    amplitude = winding * rng.uniform(0.1, 1.0, 3) * 0.026 / number
    waves = np.stack([amplitude, number, rng.uniform(0, 2 * np.pi, 3)], axis=1)
    return Road(
        float(s[0]), (xy - xy[origin]) @ R.T, heading - turn, waves, winding * rng.uniform(-0.02, 0.02), half_width_m
    )


def straight_road(xy: np.ndarray, heading: float, start_m: float, end_m: float, half_width_m: float) -> Road:
    """A straight level road, for side streets.

    Args:
        xy: (2,) world position of s = 0.
        heading: rad.
        start_m: s of its beginning.
        end_m: s of its end.
        half_width_m: From the centre to the kerb.
    """
    s = np.arange(start_m, end_m + _STEP_M, _STEP_M)
    direction = np.array([np.cos(heading), np.sin(heading)])
    return Road(start_m, xy + s[:, None] * direction, np.full(len(s), heading), np.zeros((0, 3)), 0.0, half_width_m)


@dataclass(frozen=True)
class CrossSection:
    """Widths of a street, from its centre outwards; "right" is the ego's side (d < 0), traffic keeps right.

    Attributes:
        lanes: Lanes per direction.
        lane_m: Width of a lane.
        median_m: Width of the raised middle, 0 = none.
        bike_m: Width of the cycle lanes, 0 = none.
        parking_m: Width of the parking lanes, right and left, 0 = none.
        verge_m: Width of the green strip between kerb and pavement, 0 = none.
        walk_m: Width of the pavements, right and left, 0 = none.
    """

    lanes: int
    lane_m: float
    median_m: float
    bike_m: float
    parking_m: tuple[float, float]
    verge_m: float
    walk_m: tuple[float, float]

    def lane_center(self, lane: int) -> float:
        """Distance of a lane's middle from the road's centre; lane 0 is the innermost."""
        return 0.5 * self.median_m + (lane + 0.5) * self.lane_m

    @property
    def lanes_end(self) -> float:
        """Distance of the outermost lane's outer edge from the centre."""
        return 0.5 * self.median_m + self.lanes * self.lane_m

    @property
    def bike_center(self) -> float:
        """Distance of the cycle lane's middle from the centre."""
        return self.lanes_end + 0.5 * self.bike_m

    def parking_center(self, side: int) -> float:
        """Distance of the parking lane's middle; side 0 = right, 1 = left."""
        return self.lanes_end + self.bike_m + 0.5 * self.parking_m[side]

    def kerb(self, side: int) -> float:
        """Distance of the kerb."""
        return self.lanes_end + self.bike_m + self.parking_m[side] + 0.3

    def walk_begin(self, side: int) -> float:
        """Distance of the pavement's inner edge."""
        return self.kerb(side) + self.verge_m

    def walk_end(self, side: int) -> float:
        """Distance of the pavement's outer edge."""
        return self.walk_begin(side) + self.walk_m[side]


def random_section(rng: np.random.Generator, style: str) -> CrossSection:
    """Draw a cross-section that fits a kind of neighbourhood (urban, suburban, industrial, park)."""
    wide = {"urban": 0.5, "suburban": 0.1, "industrial": 0.35, "park": 0.25}[style]
    lanes = 2 if rng.uniform() < wide else 1
    median = float(rng.uniform(1.2, 3.6)) if rng.uniform() < (0.6 if lanes == 2 else 0.3) else 0.0
    bike = float(rng.uniform(1.3, 1.9)) if rng.uniform() < 0.6 else 0.0
    parking_share = {"urban": 0.75, "suburban": 0.6, "industrial": 0.5, "park": 0.45}[style]
    parking = [float(rng.uniform(2.1, 2.6)) if rng.uniform() < parking_share else 0.0 for _ in range(2)]
    walk_share = {"urban": 1.0, "suburban": 0.85, "industrial": 0.75, "park": 0.85}[style]
    wide_walk = 5.0 if style == "urban" else 3.0
    walk = [float(rng.uniform(1.6, wide_walk)) if rng.uniform() < walk_share else 0.0 for _ in range(2)]
    if max(walk) == 0.0:
        walk[int(rng.integers(2))] = float(rng.uniform(1.6, wide_walk))
    verge = float(rng.uniform(0.8, 2.2)) if rng.uniform() < (0.15 if style == "urban" else 0.4) else 0.0
    return CrossSection(
        lanes, float(rng.uniform(2.9, 3.6)), median, bike, (parking[0], parking[1]), verge, (walk[0], walk[1])
    )
