# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The plain world: what a thing is shows at once; where it is, how it moves and what is hidden is the whole question.

Things of a class share a colour family. Everything stands and moves at random places in random directions, so that
neither the place in the picture nor the place in the grid tells a class or a motion. The ground is flat; along every
drive its classes have the same shares.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from scipy import ndimage

from gsocc_core.errors import ConfigError
from gsocc_core.synthetic.world.materials import Palette
from gsocc_core.synthetic.world.plain_things import (
    CLASSES,
    GROUND,
    MOVING,
    NAMES,
    PLAIN_WORLD,
    Look,
    make_looks,
    make_thing,
)
from gsocc_core.synthetic.world.scene import Actor, Light, Mesh, StreetScene, Trajectory
from gsocc_core.synthetic.world.shapes import MeshBuilder
from gsocc_core.synthetic.world.vehicles import centered

#: Things reach this far beyond the ego's path, and the ground a little farther, metres.
_REACH_M, _GROUND_MARGIN_M = 45.0, 30.0
#: Ground per thing of each class that stands, per thing that could move but does not, and per thing that moves, in
#: square metres.
_AREA_M2 = {"building": 680.0, "tree": 600.0, "container": 540.0, "parked": 560.0, "moving": 590.0}
#: Places that are tried for each.
_TRIES = 60
#: Edge of a patch of ground, size of its random shapes, and how far around the ego's way their shares are kept, metres.
_PATCH_M, _PATCH_SIZE_M, _SHARES_M = 1.6, 6.0, 25.6
#: Shares of the ground's classes. Naming the first one everywhere then scores what drawing them by their shares does;
#: with equal shares a table of commonest labels, which comes from few blobs, would fall behind chance.
_GROUND_SHARES = (0.72, 0.14, 0.14)
_SHARE_STEPS = 60
#: Free space around the ego's path and between things, metres.
_EGO_CLEAR_M, _GAP_M = 2.4, 0.5
_STEP_S = 0.25
#: nuScenes category and attribute (standing, moving) of what has a box.
CATEGORIES = {
    "vehicle": ("vehicle.car", "vehicle.parked", "vehicle.moving"),
    "animal": ("animal", None, None),
}


def build_plain(seed: int, duration_s: float) -> StreetScene:
    """Build a plain world and a drive through it.

    Args:
        seed: Same seed and duration give the same world, byte for byte.
        duration_s: Length of the ego's drive, seconds.

    Returns:
        The scene.

    Raises:
        ConfigError: the duration is not a positive number, or the seed is negative.

    Example:
        >>> scene = build_plain(seed=1, duration_s=2.0)
        >>> scene.kind.classes.names[:3], float(scene.T_world_ego(0.0)[2, 3])
        (('free', 'road', 'grass'), 0.0)
    """
    if not 0.0 < duration_s <= 120.0:
        raise ConfigError("build_plain", "duration_s", "more than 0 and at most 120 seconds", duration_s)
    if seed < 0:
        raise ConfigError("build_plain", "seed", "0 or more", seed)
    rngs = [np.random.default_rng([seed, 100 + part]) for part in range(5)]
    ego = _drive(rngs[0], duration_s)
    palette, builder = Palette(rngs[1]), MeshBuilder()
    looks = make_looks(rngs[1], palette)
    place = _Place(rngs[2], ego, duration_s)
    _add_ground(rngs[3], builder, place, looks)
    # What needs much room comes first, or it would find none.
    _add_standing(place, looks, builder, "building")
    actors = [*_moving(place, looks), *_parked(place, looks)]
    _add_standing(place, looks, builder, "container")
    _add_standing(place, looks, builder, "tree")
    actors = [replace(actor, instance_index=i) for i, actor in enumerate(actors)]
    paint = np.zeros((2, 2, 2), np.uint8)  # no pattern of this world reads it
    return StreetScene(
        seed, PLAIN_WORLD, duration_s, builder.mesh(), tuple(actors), palette.table(), paint, _light(rngs[4]), ego,
        "plain world",
    )  # fmt: skip


def _drive(rng: np.random.Generator, duration_s: float) -> Trajectory:
    """The ego's way: smooth changes of speed and direction on the plane z = 0."""
    times = np.arange(-1.0, duration_s + 1.0 + _STEP_S, _STEP_S)
    knots = np.arange(times[0] - 4.0, times[-1] + 6.0, 3.0)
    speed = np.interp(times, knots, rng.uniform(2.0, 8.0, len(knots)))
    rate = np.interp(times, knots, rng.normal(0.0, 0.12, len(knots)))
    return _path(np.zeros(2), rng.uniform(-np.pi, np.pi), times, speed, rate, int(np.argmin(np.abs(times))))


def _path(
    start_m: np.ndarray, yaw: float, times_s: np.ndarray, speed_m_s: np.ndarray, yaw_rate: np.ndarray, at: int
) -> Trajectory:
    """Motion on the plane z = 0 along its own heading, which is at ``start_m`` with ``yaw`` at ``times_s[at]``."""
    step = np.diff(times_s)
    angle = np.concatenate([[0.0], np.cumsum(0.5 * (yaw_rate[1:] + yaw_rate[:-1]) * step)])
    angle += yaw - angle[at]
    velocity = speed_m_s[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    place = np.concatenate([np.zeros((1, 2)), np.cumsum(0.5 * (velocity[1:] + velocity[:-1]) * step[:, None], 0)])
    place += start_m - place[at]
    flat = np.zeros((len(times_s), 1))
    angles = np.concatenate([angle[:, None], flat, flat], 1)
    return Trajectory(times_s, np.concatenate([place, flat], 1), np.concatenate([velocity, flat], 1), angles)


class _Place:
    """Free room around the ego's way; everything takes a disc that moves with it."""

    def __init__(self, rng: np.random.Generator, ego: Trajectory, duration_s: float) -> None:
        self.rng, self.times_s = rng, np.arange(-1.0, duration_s + 1.0 + _STEP_S, _STEP_S)
        way = np.stack([ego.pose(t)[:2, 3] for t in self.times_s])
        self.lower, self.upper = way.min(0) - _REACH_M, way.max(0) + _REACH_M
        self._moving, self._moving_radii = way[None], np.array([_EGO_CLEAR_M])
        self._standing, self._standing_radii = np.zeros((0, 2)), np.zeros(0)

    def near_way(self, lower_m: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """(X, Y) bool: cells of the patches' size that begin at ``lower_m`` and lie where labels may reach."""
        centers = [lower_m[k] + (np.arange(counts[k]) + 0.5) * _PATCH_M for k in range(2)]
        gap = [np.abs(centers[k][:, None] - self._moving[0][None, :, k]) < _SHARES_M for k in range(2)]
        return (gap[0][:, None] & gap[1][None]).any(2)

    def count(self, kind: str) -> int:
        """How many things of a kind the area holds."""
        return round(float(np.prod(self.upper - self.lower)) / _AREA_M2[kind])

    def anywhere(self) -> np.ndarray:
        """(2,) a random place."""
        return self.rng.uniform(self.lower, self.upper)

    def take(self, radius_m: float, find: Callable[[], np.ndarray]) -> np.ndarray | None:
        """Take room that is free at all times.

        Args:
            radius_m: Of the disc.
            find: Draws its centres: (K, 2) at ``times_s``, or (1, 2) of what stands.

        Returns:
            The first centres that are free; None = none of some tries were.
        """
        for _ in range(_TRIES):
            centers = find()
            if self._free(centers, radius_m + _GAP_M):
                if len(centers) > 1:
                    self._moving = np.concatenate([self._moving, centers[None]])
                    self._moving_radii = np.append(self._moving_radii, radius_m)
                else:
                    self._standing = np.concatenate([self._standing, centers])
                    self._standing_radii = np.append(self._standing_radii, radius_m)
                return centers
        return None

    def _free(self, centers: np.ndarray, radius_m: float) -> bool:
        for others, radii in ((self._standing[:, None], self._standing_radii), (self._moving, self._moving_radii)):
            gaps = ((others - centers) ** 2).sum(2).min(1, initial=np.inf)
            if (gaps < (radii + radius_m) ** 2).any():
                return False
        return True


def _radius(mesh: Mesh) -> float:
    return float(np.linalg.norm(mesh.vertices_m[:, :2], axis=1).max())


def _deal(
    rng: np.random.Generator, looks: dict[str, Look], labels: tuple[str, ...], count: int
) -> list[tuple[str, Mesh]]:
    """Things of some classes, each name as often as the others; those that need most room come first."""
    names = [name for name, class_id in zip(NAMES.names, NAMES.class_ids) if CLASSES.names[class_id] in labels]
    rounds = [rng.permutation(names) for _ in range(count // len(names) + 1)]
    chosen = [looks[str(name)] for name in np.concatenate(rounds)[:count]]
    things = [(CLASSES.names[look.class_id], make_thing(rng, look)) for look in chosen]
    return sorted(things, key=lambda thing: -_radius(thing[1]))


def _moving(place: _Place, looks: dict[str, Look]) -> list[Actor]:
    """Things on straight and circular ways, at random places in random directions with random speeds."""
    rng, actors = place.rng, []
    middle, same = len(place.times_s) // 2, np.ones(len(place.times_s))
    for label, mesh in _deal(rng, looks, MOVING, place.count("moving")):
        turns = rng.uniform() < 0.6
        speed = float(rng.uniform(1.0, 7.0 if turns else 4.5))
        rate = float(rng.choice([-1.0, 1.0]) * speed / rng.uniform(3.0, 9.0)) if turns else 0.0
        yaw = float(rng.uniform(-np.pi, np.pi))
        shape = _path(np.zeros(2), yaw, place.times_s, speed * same, rate * same, middle)
        found = place.take(_radius(mesh), partial(_somewhere, place, shape.positions_m[:, :2]))
        if found is not None:
            positions = np.concatenate([found, np.zeros((len(found), 1))], 1)
            actors.append(_actor(label, mesh, replace(shape, positions_m=positions), True))
    return actors


def _somewhere(place: _Place, way_m: np.ndarray) -> np.ndarray:
    return way_m + place.anywhere()


def _parked(place: _Place, looks: dict[str, Look]) -> list[Actor]:
    """The same things, standing."""
    rng, actors = place.rng, []
    for label, mesh in _deal(rng, looks, MOVING, place.count("parked")):
        yaw = float(rng.uniform(-np.pi, np.pi))
        found = place.take(_radius(mesh), partial(_somewhere, place, np.zeros((1, 2))))
        if found is not None:
            actors.append(_actor(label, mesh, Trajectory.standing(np.array([*found[0], 0.0]), yaw), False))
    return actors


def _actor(label: str, mesh: Mesh, foot: Trajectory, moves: bool) -> Actor:
    """An actor whose foot follows a trajectory on the ground."""
    body, size, lift = centered(mesh)
    category, still, moving = CATEGORIES[label]
    trajectory = replace(foot, positions_m=foot.positions_m + np.array([0.0, 0.0, lift]))
    return Actor(0, category, moving if moves else still, int(mesh.class_ids[0]), size, body, trajectory)


def _add_standing(place: _Place, looks: dict[str, Look], builder: MeshBuilder, label: str) -> None:
    rng = place.rng
    for _, mesh in _deal(rng, looks, (label,), place.count(label)):
        yaw = float(rng.uniform(-np.pi, np.pi))
        found = place.take(_radius(mesh), partial(_somewhere, place, np.zeros((1, 2))))
        if found is not None:
            builder.place(mesh, np.array([*found[0], 0.0]), yaw)


def _add_ground(rng: np.random.Generator, builder: MeshBuilder, place: _Place, looks: dict[str, Look]) -> None:
    """A plane of random patches; neighbours along x that look the same are one quad."""
    lower = place.lower - _GROUND_MARGIN_M
    counts = np.ceil((place.upper + _GROUND_MARGIN_M - lower) / _PATCH_M).astype(int)
    of_class = [np.flatnonzero([CLASSES.names[c] == label for c in NAMES.class_ids]) for label in GROUND]
    variants = min(map(len, of_class))
    near = place.near_way(lower, counts)
    label = _patches(rng, near, _GROUND_SHARES, _PATCH_SIZE_M)
    variant = _patches(rng, near, (1.0 / variants,) * variants, 2.0 * _PATCH_SIZE_M)
    name_of = np.array([names[:variants] for names in of_class])[label, variant].T  # (Y, X)
    begins = np.diff(name_of, axis=1, prepend=-1) != 0
    y, x = np.nonzero(begins)
    ends = np.append(np.flatnonzero(begins)[1:], begins.size) - y * counts[0]
    name_ids = name_of[begins]
    plan = np.stack(
        [np.stack([x, y], 1), np.stack([ends, y], 1), np.stack([ends, y + 1], 1), np.stack([x, y + 1], 1)], 1
    )
    plan = plan * _PATCH_M + lower
    quads = np.concatenate([plan, np.zeros((*plan.shape[:2], 1))], axis=2)
    by_id = [looks[name] for name in NAMES.names]
    materials = np.array([look.material for look in by_id])[name_ids]
    builder.quads(quads, np.array(NAMES.class_ids)[name_ids], materials, plan, name_ids)


def _patches(rng: np.random.Generator, near: np.ndarray, shares: tuple[float, ...], size_m: float) -> np.ndarray:
    """(X, Y) int: random blobs of several kinds with the given shares where ``near`` is true."""
    sigma, noise = size_m / _PATCH_M / 2, rng.standard_normal((len(shares), *near.shape))
    fields = ndimage.gaussian_filter(noise, (0, sigma, sigma), mode="wrap")
    fields /= fields.std(axis=(1, 2), keepdims=True)
    inside, lift = fields[:, near], np.zeros((len(shares), 1))
    for _ in range(_SHARE_STEPS):
        found = np.bincount((inside + lift).argmax(0), minlength=len(shares)) / inside.shape[1]
        lift += (np.array(shares) - found)[:, None]
    return np.argmax(fields + lift[:, None], axis=0)


def _light(rng: np.random.Generator) -> Light:
    """A clear day; the sun's place and the exposure vary a little."""
    azimuth, elevation = rng.uniform(-np.pi, np.pi), rng.uniform(0.7, 1.1)
    direction = (
        float(np.cos(elevation) * np.cos(azimuth)), float(np.cos(elevation) * np.sin(azimuth)), float(np.sin(elevation))
    )  # fmt: skip
    return Light(
        direction, (1.5, 1.45, 1.4), (0.7, 0.8, 1.0), (0.95, 1.0, 1.05), (0.4, 0.4, 0.38), 0.0003, 0.2,
        float(rng.uniform(0.85, 1.1)) / 1.6, (1.0, 1.0, 1.0), 0.008, 0.1,
    )  # fmt: skip
