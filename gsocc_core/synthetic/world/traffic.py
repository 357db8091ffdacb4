# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Road users and movable things: where they are placed and how they move."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from gsocc_core.synthetic.world import lorries, people, vehicles
from gsocc_core.synthetic.world.frontage import Site
from gsocc_core.synthetic.world.roads import Road
from gsocc_core.synthetic.world.scene import Actor, Mesh, Trajectory, rotation_from_angles
from gsocc_core.synthetic.world.vehicles import Parts, centered

#: Step of the trajectories, seconds.
STEP_S = 0.1
_PARKED, _MOVING, _STOPPED = "vehicle.parked", "vehicle.moving", "vehicle.stopped"


def speed_profile(rng: np.random.Generator, times_s: np.ndarray, stops: bool) -> np.ndarray:
    """Distance covered since the first time: smooth changes of speed between 3 and 12 m/s, and sometimes a stop.

    Args:
        rng: Source of the profile.
        times_s: (K,) equally spaced times.
        stops: Whether it comes to a halt once.

    Returns:
        (K,) metres.
    """
    base = rng.uniform(4.0, 10.5)
    knots = np.arange(times_s[0] - 8.0, times_s[-1] + 8.0, 4.0)
    speed = np.interp(times_s, knots, np.clip(base + rng.normal(0.0, 1.2, len(knots)), 3.0, 12.0))
    if stops:
        begin, length = rng.uniform(0.15, 0.7) * times_s[-1], rng.uniform(2.0, 5.0)
        away = np.maximum(np.maximum(begin - times_s, times_s - begin - length), 0.0)
        speed = np.minimum(speed, 2.2 * away)
    window = int(1.6 / (times_s[1] - times_s[0]))
    kernel = np.hanning(window + 2)[1:-1]
    padded = np.pad(speed, window, mode="edge")
    speed = np.convolve(padded, kernel / kernel.sum(), mode="same")[window:-window]
    step = 0.5 * (speed[1:] + speed[:-1]) * (times_s[1] - times_s[0])
    return np.concatenate([[0.0], np.cumsum(step)])


def ride(
    road: Road, times_s: np.ndarray, s: np.ndarray, d: np.ndarray, lift_m: float, rise: np.ndarray | float = 0.0
) -> Trajectory:
    """Motion along a road, the body's x axis along its path, its z axis normal to the surface.

    Args:
        road: The road.
        times_s: (K,) times.
        s: (K,) positions along the road.
        d: (K,) positions across it.
        lift_m: Height of the body's origin over the surface.
        rise: (K,) height of kerbs under it.

    Returns:
        The trajectory of the body's origin.
    """
    s_rate, d_rate = np.gradient(s, times_s), np.gradient(d, times_s)
    heading, curvature = road.heading_at(s), road.curvature_at(s)
    along, across = s_rate * (1.0 - curvature * d), d_rate
    direction = -1.0 if s[-1] < s[0] else 1.0
    # Sideways drift turns the body only as far as a car at walking speed or faster would turn.
    drift = np.arctan2(across, np.maximum(np.abs(along), 1.5)) * direction
    if np.abs(s[-1] - s[0]) < 0.2 * np.abs(d[-1] - d[0]):
        drift = np.sign(d[-1] - d[0]) * np.pi / 2
    yaw = np.unwrap(heading + (np.pi if direction < 0 else 0.0) + drift)
    slope, tilt = road.slope(s) * direction, road.tilt(d) * direction
    angles = np.stack([yaw, -np.arctan(slope), np.arctan(tilt) + 0.0 * yaw], axis=1)
    up = np.stack([rotation_from_angles(*a)[:, 2] for a in angles]) * lift_m
    position = np.concatenate([road.point(s, d), (road.height(s, d) + rise)[:, None]], axis=1) + up
    velocity = np.stack(
        [
            along * np.cos(heading) - across * np.sin(heading), along * np.sin(heading) + across * np.cos(heading),
            road.slope(s) * s_rate + road.tilt(d) * d_rate + np.gradient(rise + 0.0 * s, times_s),
        ],
        axis=1,
    )  # fmt: skip
    return Trajectory(times_s, position, velocity + np.gradient(up, times_s, axis=0), angles)


@dataclass(eq=False)
class Cast:
    """Collects the actors of a scene.

    Attributes:
        site: Where they are placed.
        parts: Materials that vehicles share.
        times_s: (K,) times of the trajectories.
        ego_s: (K,) the ego's s.
        ego_d: The ego's d.
        actors: What was added.
        busy: (s, half length, d range) of what moves along lanes, per time, to keep crossing people clear.
    """

    site: Site
    parts: Parts
    times_s: np.ndarray
    ego_s: np.ndarray
    ego_d: float
    actors: list[Actor] = field(default_factory=list)
    busy: list[np.ndarray] = field(default_factory=list)

    def add(
        self, category: str, attribute: str | None, mesh: Mesh, trajectory_at: float | Trajectory, **where: float
    ) -> None:
        """Add an actor that moves along a trajectory of its foot lifted by ``centered``, or stands at s, d.

        Args:
            category: nuScenes category.
            attribute: nuScenes attribute or None.
            mesh: Built on the ground.
            trajectory_at: A finished trajectory, or the heading against the street's direction of what stands.
            **where: ``s`` and ``d`` of what stands.
        """
        body, size, lift = centered(mesh)
        if isinstance(trajectory_at, Trajectory):
            trajectory = trajectory_at
        else:
            trajectory = self._stand(where["s"], where["d"], trajectory_at, lift)
        class_id = int(mesh.class_ids[0])
        self.actors.append(Actor(len(self.actors), category, attribute, class_id, size, body, trajectory))

    def _stand(self, s: float, d: float, turn: float, lift: float) -> Trajectory:
        ground = self.site.ground
        e = 0.5
        forward = (float(ground.height(s + e, d)) - float(ground.height(s - e, d))) / (2 * e)
        left = (float(ground.height(s, d + e)) - float(ground.height(s, d - e))) / (2 * e)
        c, k = np.cos(turn), np.sin(turn)
        pitch, roll = -np.arctan(forward * c + left * k), np.arctan(-forward * k + left * c)
        yaw = float(ground.road.heading_at(s)) + turn
        up = rotation_from_angles(yaw, pitch, roll)[:, 2] * lift
        foot = np.array([*ground.road.point(s, d), ground.surface(s, d)])
        return Trajectory.standing(foot + up, yaw, float(pitch), float(roll))

    def drive(self, category: str, mesh: Mesh, s: np.ndarray, d: float, attribute: str = _MOVING) -> None:
        """Add a vehicle that follows a lane at d."""
        _, _, lift = centered(mesh)
        self.busy.append(s)
        self.add(category, attribute, mesh, ride(self.site.ground.road, self.times_s, s, np.full(len(s), d), lift))


def _vehicle(cast: Cast, small: float = 0.0) -> tuple[str, Mesh]:
    """A random motor vehicle with its category; ``small`` is the share of motorcycles."""
    rng, palette, parts = cast.site.rng, cast.site.palette, cast.parts
    kind = rng.uniform()
    if kind < small:
        return "vehicle.motorcycle", people.motorcycle(rng, palette, parts, True)
    if kind < small + 0.09:
        return "vehicle.bus.rigid", vehicles.bus(rng, palette, parts)
    if kind < small + 0.21:
        return "vehicle.truck", lorries.truck(rng, palette, parts)
    return "vehicle.car", vehicles.car(rng, palette, parts)


def _length(mesh: Mesh) -> float:
    return float(mesh.vertices_m[:, 0].max() - mesh.vertices_m[:, 0].min())


def _lane(
    cast: Cast,
    d: float,
    base: np.ndarray,
    begin: float,
    end: float,
    gap: tuple[float, float],
    keep_clear: tuple[float, float] | None,
) -> None:
    """Fill a lane with vehicles that keep their distances: each follows ``base`` (s over time) shifted.

    Args:
        cast: Takes them.
        d: The lane's middle.
        base: (K,) s of the lane's common motion, 0 at the first time.
        begin: Smallest shift.
        end: Greatest shift.
        gap: Range of the free distance between two.
        keep_clear: Shifts that stay free (around the ego).
    """
    rng, forward = cast.site.rng, base[-1] >= base[0]
    at = begin + rng.uniform(0, gap[1])
    while at < end:
        category, mesh = _vehicle(cast, 0.12)
        length = _length(mesh)
        towed = category == "vehicle.truck" and rng.uniform() < 0.5
        load = lorries.trailer(rng, cast.site.palette, cast.parts, length > 5.9) if towed else None
        total = length + (_length(load) + 0.6 if load is not None else 0.0)
        if keep_clear is None or at + total < keep_clear[0] or at > keep_clear[1]:
            # Whatever leads is at the greater s when driving along s, and at the smaller one otherwise.
            lead = at + total - length / 2 if forward else at + length / 2
            cast.drive(category, mesh, base + lead, d, _MOVING)
            if load is not None:
                tail = at + _length(load) / 2 if forward else at + total - _length(load) / 2
                cast.drive("vehicle.trailer", load, base + tail, d, _MOVING)
        at += total + rng.uniform(*gap)


def add_traffic(cast: Cast, ego_lane: int) -> None:
    """Fill the lanes in both directions, cycle lanes and side streets."""
    rng, section = cast.site.rng, cast.site.ground.section
    reach = float(cast.ego_s[-1])
    dense = rng.uniform(10.0, 45.0)
    for lane in range(section.lanes):
        d = section.lane_center(lane)
        if lane == ego_lane:
            _lane(cast, -d, cast.ego_s, -70.0, 95.0, (8.0, dense), (-16.0, 15.0))
        else:
            own = speed_profile(rng, cast.times_s, rng.uniform() < 0.25)
            behind = min(-60.0, reach - own[-1] - 60.0)
            _lane(cast, -d, own, behind, max(90.0, 90.0 + reach - own[-1]), (8.0, dense), None)
        own = speed_profile(rng, cast.times_s, rng.uniform() < 0.2)
        _lane(cast, d, -own, -50.0, reach + own[-1] + 90.0, (9.0, 1.3 * dense), None)
    for side, sign in ((0, -1.0), (1, 1.0)):
        if section.bike_m > 0:
            d, inner = sign * section.bike_center, -40.0
        elif section.walk_m[side] > 2.2:
            d, inner = sign * (section.walk_begin(side) + 1.0), -40.0
        else:
            continue
        for s0 in np.arange(inner, reach + 80.0, 22.0) + rng.uniform(0, 20, len(np.arange(inner, reach + 80.0, 22.0))):
            if rng.uniform() < 0.45:
                speed = rng.uniform(3.0, 6.0) if section.bike_m > 0 else rng.uniform(1.5, 3.0)
                s = s0 - sign * speed * cast.times_s
                _cyclist(cast, s, d, 0.0 if section.bike_m > 0 else 0.13)
                if section.bike_m > 0:
                    break
    for street in cast.site.ground.side_streets:
        _side_street_cars(cast, street.s, street.side, street.half_width_m)


def _cyclist(cast: Cast, s: np.ndarray, d: float, rise: float) -> None:
    rng, palette = cast.site.rng, cast.site.palette
    mesh = people.bicycle(rng, palette, cast.parts, True)
    _, _, lift = centered(mesh)
    trajectory = ride(
        cast.site.ground.road, cast.times_s, s, np.full(len(s), d), lift, _rise(cast, s, d) if rise else 0.0
    )
    cast.add("vehicle.bicycle", "cycle.with_rider", mesh, trajectory)


def _rise(cast: Cast, s: np.ndarray, d: np.ndarray | float) -> np.ndarray:
    """Height of kerbs along a path, smoothed over half a second."""
    ground = cast.site.ground
    level = ground.surface(s, d) - ground.height(s, d)
    return np.convolve(np.pad(level, 3, mode="edge"), np.ones(7) / 7, mode="valid")


def _side_street_cars(cast: Cast, s: float, side: int, half_width: float) -> None:
    rng, section = cast.site.rng, cast.site.ground.section
    sign = (-1.0, 1.0)[side]
    d = section.walk_end(side) + 1.0
    for k in range(int(rng.integers(0, 3))):
        category, mesh = _vehicle(cast)
        d += _length(mesh) / 2
        # Keeps right: seen from the main street, an approaching car waits on its left.
        cast.add(category, _STOPPED, mesh, sign * -np.pi / 2, s=s + sign * 0.5 * half_width, d=sign * (d + 0.5))
        d += _length(mesh) / 2 + rng.uniform(1.2, 3.0)
        if k == 0 and d > cast.site.ground.reach[side] - 6.0:
            break


def add_parked(cast: Cast) -> None:
    """Park vehicles in the parking lanes, on driveways and lots, and cycles on the pavements."""
    rng, palette, parts = cast.site.rng, cast.site.palette, cast.parts
    section, reach = cast.site.ground.section, float(cast.ego_s[-1])
    fill = rng.uniform(0.3, 0.95)
    for side, sign in ((0, -1.0), (1, 1.0)):
        s = -75.0
        while section.parking_m[side] > 0 and s < reach + 75.0:
            kind = rng.uniform()
            if kind < 0.06:
                category, mesh = "vehicle.trailer", lorries.trailer(rng, palette, parts, rng.uniform() < 0.5)
            elif kind < 0.12:
                category, mesh = "vehicle.motorcycle", people.motorcycle(rng, palette, parts, False)
            else:
                category, mesh = _vehicle(cast)
            half = _length(mesh) / 2
            if rng.uniform() < fill and not cast.site.near_junction(s + half, side, half + 2.0):
                attribute = "cycle.without_rider" if category == "vehicle.motorcycle" else _PARKED
                turn = (0.0 if side == 0 else np.pi) + rng.normal(0.0, 0.015)
                d = sign * (section.parking_center(side) + rng.normal(0.0, 0.06))
                cast.add(category, attribute, mesh, turn, s=s + half, d=d)
            s += 2 * half + rng.uniform(0.7, 2.5)
        _parked_beside(cast, side, reach)


def _parked_beside(cast: Cast, side: int, reach: float) -> None:
    """Cars on lots beyond the pavement; bicycles and motorcycles at its kerb."""
    rng, palette, parts, site = cast.site.rng, cast.site.palette, cast.parts, cast.site
    section, sign = site.ground.section, (-1.0, 1.0)[side]
    for _ in range(int(rng.integers(2, 9))):
        s, d = rng.uniform(-40, reach + 60), sign * (section.walk_end(side) + rng.uniform(3.5, 9.0))
        if rng.uniform() < 0.25:
            category, mesh = "vehicle.trailer", lorries.trailer(rng, palette, parts, rng.uniform() < 0.3)
        else:
            category, mesh = _vehicle(cast)
        across = rng.uniform() < 0.6 and _length(mesh) < 6.0
        size = (2.4, _length(mesh) + 0.5) if across else (_length(mesh) + 0.5, 2.8)
        if site.claim(site.land, s, d, *size):
            cast.add(category, _PARKED, mesh, (sign * np.pi / 2 if across else 0.0) + rng.normal(0, 0.03), s=s, d=d)
    # On a wide pavement they stand at its kerb, else on the land beyond it.
    wide = section.walk_m[side] > 2.4
    beside, space = (
        (section.walk_begin(side) + 1.0, site.kerbside) if wide else (section.walk_end(side) + 1.4, site.land)
    )
    for _ in range(int(rng.integers(4, 9))):
        s, d = rng.uniform(-20, reach + 40), sign * beside
        if site.near_junction(s, side, 4.0):
            continue
        turn, motor = rng.choice([1.2, np.pi / 2, 1.9]), rng.uniform() < 0.35
        for k in range(int(rng.integers(1, 5))):
            if site.claim(space, s + 0.85 * k, d, 0.8, 2.2):
                shape = people.motorcycle if motor else people.bicycle
                mesh = shape(rng, palette, parts, False)
                category = "vehicle.motorcycle" if motor else "vehicle.bicycle"
                cast.add(category, "cycle.without_rider", mesh, float(turn), s=s + 0.85 * k, d=d)


def add_people(cast: Cast, crowd: float) -> None:
    """Pedestrians who walk, stand in groups and cross; things of the class "others" beside them.

    Args:
        cast: Takes them.
        crowd: Pedestrians per metre of pavement.
    """
    rng, palette, section = cast.site.rng, cast.site.palette, cast.site.ground.section
    reach = float(cast.ego_s[-1])
    for side, sign in ((0, -1.0), (1, 1.0)):
        walk = section.walk_m[side]
        low, high = (section.walk_begin(side) + 0.45 * walk, section.walk_end(side) - 0.35)
        if walk == 0.0:
            low, high = section.kerb(side) + 1.0, section.kerb(side) + 2.5
        for _ in range(max(int(crowd * (reach + 110.0) * rng.uniform(0.7, 1.3)), 2)):
            s0, d = rng.uniform(-45.0, reach + 65.0), sign * rng.uniform(low, max(high, low + 0.1))
            child = rng.uniform() < 0.08
            category = "human.pedestrian.child" if child else "human.pedestrian.adult"
            if rng.uniform() < 0.68 and walk > 0:
                speed = rng.uniform(0.7, 1.6) * rng.choice([-1.0, 1.0])
                _walk(cast, category, s0 + speed * cast.times_s, np.full(len(cast.times_s), d), child)
                continue
            for k in range(int(rng.integers(1, 4))):
                mesh = people.pedestrian(rng, palette, False, child)
                at = d + sign * rng.uniform(-0.3, 0.3)
                cast.add(category, "pedestrian.standing", mesh, rng.uniform(0, 6.28), s=s0 + 0.75 * k, d=at)
        for _ in range(int(rng.integers(5, 12))):
            s = rng.uniform(-20.0, reach + 50.0)
            d = sign * (
                section.walk_end(side) - rng.uniform(0.6, 1.2)
                if rng.uniform() < 0.6
                else section.walk_begin(side) + 0.5
            )
            if not cast.site.near_junction(s, side, 0.5) and cast.site.claim(cast.site.kerbside, s, d, 1.0, 0.8):
                name, mesh = people.oddment(rng, palette, cast.parts)
                cast.add(name, None, mesh, rng.uniform(0, 6.28), s=s, d=d)
    for crosswalk in cast.site.crosswalks:
        for _ in range(6):
            _cross(cast, crosswalk + rng.uniform(0.5, 3.0))


def _walk(cast: Cast, category: str, s: np.ndarray, d: np.ndarray, child: bool = False) -> None:
    mesh = people.pedestrian(cast.site.rng, cast.site.palette, True, child)
    _, _, lift = centered(mesh)
    trajectory = ride(cast.site.ground.road, cast.times_s, s, d, lift, _rise(cast, s, d))
    cast.add(category, "pedestrian.moving", mesh, trajectory)


def _cross(cast: Cast, s: float) -> None:
    """Someone crosses the street at s, if nothing comes while they are on it."""
    rng, section, t = cast.site.rng, cast.site.ground.section, cast.times_s
    speed, start = rng.uniform(1.0, 1.7), rng.uniform(t[0] - 3.0, t[-1])
    d0, d1 = -(section.kerb(0) + 0.8), section.kerb(1) + 0.8
    if rng.uniform() < 0.5:
        d0, d1 = d1, d0
    d = np.clip(d0 + np.sign(d1 - d0) * speed * (t - start), min(d0, d1), max(d0, d1))
    d = np.convolve(np.pad(d, 4, mode="edge"), np.ones(9) / 9, mode="valid")
    on_road = (d > -section.kerb(0)) & (d < section.kerb(1))
    if not on_road.any():
        return
    near = [np.abs(path - s) < 8.0 for path in [cast.ego_s + 1.5, *cast.busy]]
    if not np.logical_or.reduce(near)[on_road].any():
        _walk(cast, "human.pedestrian.adult", s + 0.02 * (t - t[0]), d)
