# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Build a whole synthetic street from a seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gsocc_core.errors import ConfigError
from gsocc_core.synthetic.world.detailed import DETAILED
from gsocc_core.synthetic.world.frontage import STYLES, Site, furnish, open_plots
from gsocc_core.synthetic.world.ground import Ground, GroundMaterials, SideStreet, add_ground, side_street
from gsocc_core.synthetic.world.materials import PAVING, Palette
from gsocc_core.synthetic.world.paint import paint_streets
from gsocc_core.synthetic.world.roads import CrossSection, Road, bent_road, random_section
from gsocc_core.synthetic.world.scene import Light, StreetScene
from gsocc_core.synthetic.world.shapes import MeshBuilder
from gsocc_core.synthetic.world.traffic import (
    STEP_S,
    Cast,
    add_parked,
    add_people,
    add_traffic,
    ride,
    speed_profile,
)
from gsocc_core.synthetic.world.vehicles import Parts
from gsocc_core.synthetic.world.worksite import add_worksites

#: Length of road before the drive's first and after its last point, metres.
_LEAD_M = 130.0


def build_street(seed: int, duration_s: float) -> StreetScene:
    """Build a street with everything on it.

    Args:
        seed: Same seed and duration give the same street, byte for byte.
        duration_s: Length of the ego's drive, seconds.

    Returns:
        The street.

    Raises:
        ConfigError: the duration is not a positive number, or the seed is negative.

    Example:
        >>> scene = build_street(seed=1, duration_s=2.0)
        >>> scene.T_world_ego(0.0).shape
        (4, 4)
    """
    if not 0.0 < duration_s <= 120.0:
        raise ConfigError("build_street", "duration_s", "more than 0 and at most 120 seconds", duration_s)
    if seed < 0:
        raise ConfigError("build_street", "seed", "0 or more", seed)
    rngs = [np.random.default_rng([seed, part]) for part in range(6)]
    style = str(rngs[0].choice(STYLES, p=[0.4, 0.25, 0.17, 0.18]))
    section = random_section(rngs[0], style)
    times = np.arange(-1.0, duration_s + 1.0 + STEP_S, STEP_S)
    ego_s = speed_profile(rngs[1], times, rngs[1].uniform() < 0.35)
    road = bent_road(
        rngs[2], -_LEAD_M, float(ego_s[-1]) + _LEAD_M, max(section.kerb(0), section.kerb(1)), rngs[2].uniform(0.1, 1.0)
    )
    ground, crosswalks = _lay_out(rngs[2], road, section, float(ego_s[-1]))
    palette, builder = Palette(rngs[3]), MeshBuilder()
    paint, origins = paint_streets(rngs[3], ground, crosswalks)
    add_ground(builder, ground, _ground_materials(palette, origins))
    site = Site(rngs[4], palette, ground, *open_plots(ground), builder, crosswalks)
    lane = int(rngs[1].integers(section.lanes))
    ego_d = -section.lane_center(lane) + float(rngs[1].normal(0.0, 0.08))
    cast = Cast(replace(site, rng=rngs[5]), Parts(palette), times, ego_s, ego_d)
    add_traffic(cast, lane)
    add_parked(cast)
    crowd = {"urban": 0.12, "suburban": 0.04, "industrial": 0.025, "park": 0.07}[style]
    add_people(cast, crowd * float(rngs[5].uniform(0.5, 1.5)))
    add_worksites(cast, 1 + int(rngs[5].integers(0, 2)))
    furnish(site, style)
    ego = ride(road, times, ego_s, ego_d + 0.1 * np.sin(0.5 * times + rngs[1].uniform(0, 6.28)), 0.0)
    actors = tuple(replace(actor, instance_index=i) for i, actor in enumerate(cast.actors))
    description = f"{style}, {2 * section.lanes} lanes"
    light = random_light(rngs[0])
    return StreetScene(
        seed, DETAILED, duration_s, builder.mesh(), actors, palette.table(), paint, light, ego, description
    )


def _lay_out(
    rng: np.random.Generator, road: Road, section: CrossSection, reach: float
) -> tuple[Ground, tuple[float, ...]]:
    """Side streets, islands, crosswalks and hills."""
    streets: list[SideStreet] = []
    crosswalks: list[float] = []
    s = -60.0 + rng.uniform(0.0, 50.0)
    while s < reach + 70.0:
        if abs(float(road.curvature_at(s))) < 1.0 / 220.0:
            half_width, walk = float(rng.uniform(2.8, 4.2)), float(rng.uniform(1.2, 2.6))
            sides = [0, 1] if rng.uniform() < 0.3 else [int(rng.integers(2))]
            streets += [side_street(road, section, s, side, half_width, walk) for side in sides]
            if rng.uniform() < 0.6:
                crosswalks.append(s - half_width - 6.5)
        elif rng.uniform() < 0.4:
            crosswalks.append(s)
        s += rng.uniform(38.0, 110.0)
    islands: list[tuple[float, float, float, float]] = []
    if section.median_m == 0.0 and section.lanes * section.lane_m > 3.0:
        for crosswalk in crosswalks:
            if rng.uniform() < 0.7:
                half = float(rng.uniform(0.45, 0.7))
                islands += [
                    (crosswalk - 5.0, crosswalk - 0.8, -half, half),
                    (crosswalk + 4.4, crosswalk + 8.5, -half, half),
                ]
        if rng.uniform() < 0.7:
            begin = float(rng.uniform(10.0, max(reach - 20.0, 20.0)))
            islands.append((begin, begin + float(rng.uniform(8.0, 25.0)), -0.55, 0.55))
    for _ in range(int(rng.integers(0, 3))):  # raised, paved corners beside the carriageway in the parking lanes
        side = int(rng.integers(2))
        if section.parking_m[side] > 0:
            begin, sign = float(rng.uniform(-20.0, reach + 30.0)), (-1.0, 1.0)[side]
            inner, outer = section.lanes_end + section.bike_m + 0.2, section.kerb(side)
            islands.append((begin, begin + 5.0, min(sign * inner, sign * outer), max(sign * inner, sign * outer)))
    islands = [
        island for island in islands
        if not any(island[0] - 3.0 < t.s + t.half_width_m and t.s - t.half_width_m < island[1] + 3.0 for t in streets)
    ]  # fmt: skip
    number = 2 * np.pi / rng.uniform(35.0, 120.0, (4, 2)) * rng.choice([-1.0, 1.0], (4, 2))
    hills = np.concatenate([rng.uniform(0.0, 1.1, (4, 1)), number, rng.uniform(0, 6.28, (4, 1))], axis=1)
    return Ground(road, section, tuple(streets), tuple(islands), hills), tuple(crosswalks)


def _ground_materials(palette: Palette, origins: list[tuple[float, float, float, float]]) -> GroundMaterials:
    terrain, terrain_name = palette.terrain()
    road = palette.asphalt(origins[0])
    island = palette.add(PAVING, palette.grey(0.35, 0.7), None, 0.15, 2.0, (0.4, 0.2, 0.3, 0.1))
    if palette.grey(0.0, 1.0)[0] < 0.35:
        island, _ = palette.terrain()
    walk, kerb = palette.paving(), palette.kerb()
    side_roads = tuple(palette.asphalt(origin) for origin in origins[1:])
    return GroundMaterials(terrain, road, island, walk, kerb, side_roads, terrain_name)


def random_light(rng: np.random.Generator) -> Light:
    """Sun, sky and lens of a day: clear, hazy, overcast, or near dusk.

    Args:
        rng: Source of the weather.

    Returns:
        The light.
    """
    kind = str(rng.choice(["clear", "hazy", "overcast", "dusk"], p=[0.4, 0.2, 0.25, 0.15]))
    elevation = np.deg2rad({"dusk": rng.uniform(9, 16)}.get(kind, rng.uniform(18, 68)))
    azimuth = rng.uniform(0, 2 * np.pi)
    direction = (
        float(np.cos(elevation) * np.cos(azimuth)), float(np.cos(elevation) * np.sin(azimuth)),
        float(np.sin(elevation)),
    )  # fmt: skip
    strength = {"clear": 2.6, "hazy": 1.5, "overcast": 0.0, "dusk": 1.1}[kind] * rng.uniform(0.8, 1.15)
    low = np.clip(1.0 - elevation / 0.6, 0.0, 1.0)
    sun = strength * np.array([1.0, 0.94 - 0.3 * low, 0.85 - 0.55 * low])
    cover = {
        "clear": rng.uniform(0.1, 0.45),
        "hazy": rng.uniform(0.3, 0.6),
        "overcast": 0.95,
        "dusk": rng.uniform(0.2, 0.6),
    }[kind]
    blue = {"clear": 1.0, "hazy": 0.5, "overcast": 0.12, "dusk": 0.6}[kind] * rng.uniform(0.7, 1.1)
    level = {"clear": 0.65, "hazy": 0.8, "overcast": 0.85, "dusk": 0.32}[kind] * rng.uniform(0.8, 1.2)
    sky = level * (np.array([0.9, 0.95, 1.0]) - blue * np.array([0.62, 0.38, 0.0]))
    horizon = level * (
        np.array([1.2, 1.2, 1.2]) - blue * np.array([0.15, 0.05, -0.05]) + low * np.array([0.15, 0.0, -0.2])
    )
    bounce = 0.22 * (sky + sun * max(direction[2], 0.1)) * np.array([1.0, 0.95, 0.85])
    haze = {"clear": rng.uniform(0.0002, 0.001), "hazy": rng.uniform(0.001, 0.004)}.get(
        kind, rng.uniform(0.0005, 0.0025)
    )
    exposure = rng.uniform(0.8, 1.45) / (0.35 * strength * max(direction[2], 0.3) + 0.55 * level + 0.05) * 0.75
    warmth = rng.normal(0.0, 0.06)
    return Light(
        direction, _triple(sun), _triple(sky), _triple(horizon), _triple(bounce), float(haze), float(cover),
        float(exposure), (1.0 + float(warmth), 1.0, 1.0 - float(warmth)), float(rng.uniform(0.006, 0.022)),
        float(rng.uniform(0.1, 0.45)),
    )  # fmt: skip


def _triple(values: np.ndarray) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
