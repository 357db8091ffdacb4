# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Road works and other places with barriers, cones and construction machines."""

from __future__ import annotations

import numpy as np

from gsocc_core.synthetic.world import lorries, people
from gsocc_core.synthetic.world.scene import Mesh
from gsocc_core.synthetic.world.traffic import Cast


def add_worksites(cast: Cast, count: int) -> None:
    """Set up road works along the drive.

    Args:
        cast: Takes barriers, cones, machines and workers.
        count: How many.
    """
    rng, section = cast.site.rng, cast.site.ground.section
    reach = float(cast.ego_s[-1])
    done = 0
    for attempt in range(12):
        s = 15.0 + rng.uniform(0.05, 0.95) * max(reach, 30.0)
        side = int(rng.integers(2))
        sign = (-1.0, 1.0)[side]
        machine = lorries.construction_vehicle(rng, cast.site.palette, cast.parts)
        length = float(max(rng.uniform(9.0, 20.0), 2.0 * machine.vertices_m[:, 0].max() + 1.5))
        if section.parking_m[side] > 0 and rng.uniform() < 0.65:
            inner, outer = section.lanes_end + section.bike_m + 0.15, section.kerb(side) - 0.1
        else:
            beyond = 1.2 + 0.5 * attempt
            inner, outer = section.walk_end(side) + beyond, section.walk_end(side) + beyond + 5.3
        done += _one_site(cast, machine, s, length, sign, (inner, outer))
        if done == count:
            break
    if rng.uniform() < 0.6:
        _row(cast, rng.uniform(0, reach), int(rng.integers(5, 16)), int(rng.integers(2)))


def _one_site(cast: Cast, machine: Mesh, s: float, length: float, sign: float, between: tuple[float, float]) -> bool:
    """A fenced rectangle s ... s + length between two distances from the street's centre; whether there was room."""
    inner, outer = between
    rng, site = cast.site.rng, cast.site
    palette = site.palette
    kind = int(rng.integers(4))
    middle = sign * 0.5 * (inner + outer)
    narrow = outer - inner < 3.0
    inside = site.ground.section.kerb(int(sign > 0)) > outer
    if not inside and not site.claim(site.land, s + length / 2, middle, length, outer - inner - 0.5):
        return False
    _clear(cast, s - 6.0, s + length + 2.0, sign, inner - 0.1, outer + 0.1)
    at = s
    while at < s + length - 1.5:
        if rng.uniform() < 0.88:
            mesh = people.barrier(rng, palette, kind)
            turn = rng.normal(0.0, 0.04)
            cast.add("movable_object.barrier", None, mesh, turn, s=at + 1.2, d=sign * (inner + 0.25))
        at += rng.uniform(2.4, 3.2)
    for end in (s - 0.3, s + length + 0.3):
        mesh = people.barrier(rng, palette, kind)
        if outer - inner > 2.2:
            cast.add("movable_object.barrier", None, mesh, np.pi / 2 + rng.normal(0.0, 0.1), s=end, d=middle)
    for k in range(int(rng.integers(3, 8))):
        mesh = people.cone(rng, palette)
        d = sign * (inner + 0.25 + 0.12 * k)
        cast.add("movable_object.trafficcone", None, mesh, rng.uniform(0, 1.5), s=s - 1.5 - 1.3 * k, d=d)
    turn = (0.0 if rng.uniform() < 0.5 else np.pi) if narrow else rng.uniform(0.0, 0.4)
    cast.add("vehicle.construction", "vehicle.parked", machine, turn, s=s + length / 2, d=middle)
    for _ in range(int(rng.integers(0, 3))):
        mesh = people.pedestrian(rng, palette, False)
        where = s + (0.08 if rng.uniform() < 0.5 else 0.92) * length
        cast.add(
            "human.pedestrian.construction_worker", "pedestrian.standing", mesh, rng.uniform(0, 6.28), s=where, d=middle
        )

    return True


def _clear(cast: Cast, s0: float, s1: float, sign: float, inner: float, outer: float) -> None:
    """Take away what was parked where the works are; keeps the actors' numbering dense."""
    ground = cast.site.ground
    s = np.linspace(s0, s1, 24)
    centers = ground.road.point(s, sign * 0.5 * (inner + outer))
    kept = []
    for actor in cast.actors:
        still = not actor.trajectory.moves
        radius = 0.45 * max(actor.size_wlh_m[1], outer - inner)
        distance = np.linalg.norm(centers - actor.trajectory.positions_m[0, :2], axis=1).min()
        if not (still and distance < radius + 0.3):
            kept.append(actor)
    cast.actors[:] = kept


def _row(cast: Cast, s: float, count: int, side: int) -> None:
    """A straight row of barriers along the pavement's edge or in the median, as at a queue or a school."""
    rng, site = cast.site.rng, cast.site
    section, sign = site.ground.section, (-1.0, 1.0)[side]
    kind = int(rng.integers(4))
    d = 0.0 if section.median_m > 1.4 and rng.uniform() < 0.5 else sign * (section.kerb(side) + 0.4)
    for k in range(count):
        at = s + 2.8 * k
        if site.near_junction(at, side, 2.0) or (d != 0.0 and not site.claim(site.kerbside, at, d, 2.4, 0.5)):
            continue
        cast.add(
            "movable_object.barrier", None, people.barrier(rng, site.palette, kind), rng.normal(0, 0.03), s=at, d=d
        )
