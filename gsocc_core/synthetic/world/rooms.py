# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Furnished rooms, and a walk through each with a camera in the hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gsocc_core.data.scannet import SCANNET8
from gsocc_core.errors import ConfigError
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.synthetic.world.furniture import NAMES, Look, make_furniture, make_look
from gsocc_core.synthetic.world.materials import Palette
from gsocc_core.synthetic.world.scene import Light, Mesh, StreetScene, Trajectory, WorldKind, rotation_from_angles
from gsocc_core.synthetic.world.shapes import MeshBuilder

ROOMS_WORLD = WorldKind(
    title="rooms",
    version="rooms 1.0",
    classes=SCANNET8,
    names=NAMES,
    grid=VoxelGrid((-4.0, -4.0, -0.4), (4.0, 4.0, 3.2), 0.2),
    road_id=SCANNET8.names.index("floor"),
    flat_ids=(SCANNET8.names.index("floor"),),
    lit_through_ids=(SCANNET8.names.index("wall"), SCANNET8.names.index("ceiling")),
)
#: Half the edges and the height of rooms, metres.
_HALF_M, _HEIGHT_M = (1.9, 2.9), (2.4, 2.9)
#: Free space between things, around the camera's way for things that reach its height, and between the way and walls.
_GAP_M, _CLEAR_M, _WALL_CLEAR_M = 0.05, 0.4, 0.35
_TALL_M = 0.95
#: Poses of the walk that everything is planned from.
_KNOTS = 49
_TRIES = 40
# Optical frame (x right, y down, z ahead) seen from a body frame (x ahead, y left, z up).
_R_BODY_OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


@dataclass(frozen=True, eq=False)
class Room:
    """A room and a walk through it.

    Attributes:
        scene: What stands there; nothing moves.
        walk: Motion of the camera's body frame (x ahead, y left, z up) for times 0 ... 1.
    """

    scene: StreetScene
    walk: Trajectory

    def T_world_cam(self, share: float) -> np.ndarray:
        """(4, 4) float64 pose of the optical frame at a share 0 ... 1 of the walk."""
        T = self.walk.pose(share)
        T[:3, :3] = T[:3, :3] @ _R_BODY_OPTICAL
        return T


def build_room(seed: int) -> Room:
    """Build a room and plan a walk.

    Args:
        seed: Same seed, same room, byte for byte.

    Returns:
        The room; its floor lies on z = 0 around the origin.

    Raises:
        ConfigError: the seed is negative.

    Example:
        >>> room = build_room(seed=1)
        >>> room.scene.kind.classes.names[1:4], 1.0 < room.T_world_cam(0.5)[2, 3] < 1.9
        (('wall', 'floor', 'ceiling'), True)
    """
    if seed < 0:
        raise ConfigError("build_room", "seed", "0 or more", seed)
    rngs = [np.random.default_rng([seed, 200 + part]) for part in range(5)]
    half = rngs[0].uniform(*_HALF_M, 2)
    height = float(rngs[0].uniform(*_HEIGHT_M))
    walk = _walk(rngs[1], half)
    palette, builder = Palette(rngs[2]), MeshBuilder()
    _add_shell(rngs[2], builder, palette, half, height)
    _furnish(rngs[3], builder, palette, _Plan(half, walk))
    light = _light(rngs[4])
    paint = np.zeros((2, 2, 2), np.uint8)  # no pattern of this world reads it
    nobody = Trajectory.standing(np.zeros(3), 0.0)
    scene = StreetScene(seed, ROOMS_WORLD, 1.0, builder.mesh(), (), palette.table(), paint, light, nobody, "room")
    return Room(scene, walk)


def _wave(rng: np.random.Generator, at: np.ndarray, slowest: float) -> np.ndarray:
    """(K,) smooth noise of standard deviation about 1: three sines, the slowest with so many periods over the walk."""
    result = np.zeros(len(at))
    for octave in range(3):
        periods = slowest * rng.uniform(1.5, 2.5) ** octave
        result += 0.5**octave * np.sin(2 * np.pi * (periods * at + rng.uniform()))
    return result * 1.2


def _walk(rng: np.random.Generator, half_m: np.ndarray) -> Trajectory:
    """Around something in the room that is looked at, up and down and to and fro as a hand moves."""
    at = np.linspace(0.0, 1.0, _KNOTS)
    looked = rng.uniform(-0.2, 0.2, (1, 2)) * half_m + 0.1 * np.stack([_wave(rng, at, 0.5) for _ in range(2)], 1)
    turn = np.deg2rad(rng.uniform(50.0, 80.0)) * float(rng.choice([-1.0, 1.0]))
    angle = rng.uniform(-np.pi, np.pi) + turn * at + 0.06 * _wave(rng, at, 1.0)
    reach = half_m - _WALL_CLEAR_M
    radius = rng.uniform(0.7, 0.9) + 0.05 * _wave(rng, at, 0.7)
    place = np.stack([np.cos(angle), np.sin(angle)], 1) * reach * radius[:, None]
    place = np.clip(place, -reach, reach)
    z = rng.uniform(1.25, 1.65) + 0.04 * _wave(rng, at, 1.5)
    aim = looked - place
    yaw = np.unwrap(np.arctan2(aim[:, 1], aim[:, 0])) + 0.04 * _wave(rng, at, 1.2)
    # Down to what stands in the middle, the walls behind it in the picture too; pitch > 0 is nose down.
    pitch = np.deg2rad(rng.uniform(8.0, 20.0)) + 0.05 * _wave(rng, at, 1.0)
    roll = 0.03 * _wave(rng, at, 1.0)
    positions, angles = np.concatenate([place, z[:, None]], 1), np.stack([yaw, pitch, roll], 1)
    return Trajectory(at, positions, np.gradient(positions, at, axis=0), angles)


class _Plan:
    """The floor: what is taken, as rectangles along the walls, and the camera's way."""

    def __init__(self, half_m: np.ndarray, walk: Trajectory) -> None:
        self.half_m, self.way = half_m, walk.positions_m[:, :2]
        self._taken: list[tuple[np.ndarray, np.ndarray]] = []

    def take(self, mesh: Mesh, place: np.ndarray, yaw: float, under: bool = False) -> bool:
        """Take the room of a thing if it is free.

        Args:
            mesh: The thing.
            place: (2,) where its origin goes.
            yaw: Its turn, rad.
            under: It may stand where something else does, as chairs at a table.
        """
        corners = mesh.vertices_m @ rotation_from_angles(yaw, 0.0, 0.0).T
        lower, upper = corners[:, :2].min(0) + place, corners[:, :2].max(0) + place
        if (lower < -self.half_m).any() or (upper > self.half_m).any():
            return False
        if corners[:, 2].max() > _TALL_M:
            gap = np.maximum(np.maximum(lower - self.way, self.way - upper), 0.0)
            if np.hypot(*gap.T).min() < _CLEAR_M:
                return False
        if not under and any((lower < u + _GAP_M).all() and (upper > w - _GAP_M).all() for w, u in self._taken):
            return False
        self._taken.append((lower, upper))
        return True


class _Decorator:
    """Puts things into a room, each name with one look."""

    def __init__(self, rng: np.random.Generator, builder: MeshBuilder, palette: Palette, plan: _Plan) -> None:
        self.rng, self.builder, self.palette, self.plan = rng, builder, palette, plan
        self._looks: dict[str, Look] = {}

    def make(self, name: str) -> Mesh:
        if name not in self._looks:
            self._looks[name] = make_look(self.rng, self.palette, name)
        return make_furniture(self.rng, self._looks[name])

    def put(self, mesh: Mesh, place: np.ndarray, yaw: float, under: bool = False) -> bool:
        if not self.plan.take(mesh, place, yaw, under):
            return False
        self.builder.place(mesh, np.array([*place, 0.0]), yaw)
        return True

    def at_wall(self, name: str) -> tuple[np.ndarray, float] | None:
        """Back to a wall, somewhere along it; returns where and how it stands, None = nowhere."""
        mesh = self.make(name)
        back, half = -mesh.vertices_m[:, 0].min() + 0.03, self.plan.half_m
        for _ in range(_TRIES):
            side = int(self.rng.integers(4))
            yaw = side * np.pi / 2
            ahead = np.array([np.cos(yaw), np.sin(yaw)]).round()
            along = np.array([-ahead[1], ahead[0]])
            depth, length = abs(ahead @ half), abs(along @ half)
            place = ahead * (back - depth) + along * self.rng.uniform(-length, length)
            if self.put(mesh, place, yaw):
                return place, yaw
        return None

    def in_room(self, name: str, spread: float = 0.7) -> tuple[np.ndarray, float] | None:
        """Anywhere on the floor."""
        mesh = self.make(name)
        for _ in range(_TRIES):
            place = self.rng.uniform(-spread, spread, 2) * self.plan.half_m
            yaw = float(self.rng.integers(4)) * np.pi / 2
            if self.put(mesh, place, yaw):
                return place, yaw
        return None


def _furnish(rng: np.random.Generator, builder: MeshBuilder, palette: Palette, plan: _Plan) -> None:
    """Large things first, or they would find no room."""
    decorator = _Decorator(rng, builder, palette, plan)
    if rng.uniform() < 0.6:
        decorator.at_wall("bed" if rng.uniform() < 0.65 else "bunk bed")
    if rng.uniform() < 0.65 and (sofa := decorator.at_wall("sofa" if rng.uniform() < 0.6 else "corner sofa")):
        place, yaw = sofa
        ahead = np.array([np.cos(yaw), np.sin(yaw)])
        if rng.uniform() < 0.7:
            decorator.put(decorator.make("coffee table"), place + rng.uniform(1.15, 1.4) * ahead, yaw)
    if rng.uniform() < 0.75 and (table := decorator.in_room("table", 0.5)):
        _seats(rng, decorator, *table)
    if rng.uniform() < 0.6 and (desk := decorator.at_wall("desk")):
        place, yaw = desk
        seat = place + rng.uniform(0.45, 0.6) * np.array([np.cos(yaw), np.sin(yaw)])
        name = "chair" if rng.uniform() < 0.7 else "stool"
        decorator.put(decorator.make(name), seat, yaw + np.pi + rng.uniform(-0.3, 0.3), under=True)
    for name in rng.permutation(["cabinet", "bookshelf", "armchair", "cabinet", "bookshelf"])[:3]:
        decorator.at_wall(str(name))
    for name in rng.permutation(["lamp", "plant", "box", "stool", "armchair", "coffee table", "box"])[:4]:
        decorator.in_room(str(name), 0.95)


def _seats(rng: np.random.Generator, decorator: _Decorator, place: np.ndarray, yaw: float) -> None:
    """Chairs around a table."""
    R = rotation_from_angles(yaw, 0.0, 0.0)[:2, :2]
    name = "chair" if rng.uniform() < 0.8 else "stool"
    for x, y, turn in ((-0.35, 0.62, -0.5), (0.35, 0.62, -0.5), (-0.35, -0.62, 0.5), (0.35, -0.62, 0.5), (0.95, 0, 1)):
        if rng.uniform() < 0.7:
            where = place + R @ (np.array([x, y]) * rng.uniform(0.95, 1.1))
            decorator.put(decorator.make(name), where, yaw + turn * np.pi + rng.uniform(-0.25, 0.25), under=True)


def _add_shell(
    rng: np.random.Generator, builder: MeshBuilder, palette: Palette, half: np.ndarray, height: float
) -> None:
    """Floor, ceiling, four walls, and what is on them."""
    x, y = half
    floor = np.array([[-x, -y, 0], [x, -y, 0], [x, y, 0], [-x, y, 0]])
    for name, corners in (
        (str(rng.choice(["wooden floor", "tiled floor", "carpet"])), floor),
        ("ceiling", (floor + np.array([0, 0, height]))[::-1]),
    ):
        look = make_look(rng, palette, name)
        builder.quads(corners[None], look.class_id, look.material, name_id=look.name_id)
    kinds = [make_look(rng, palette, str(name)) for name in rng.choice(["wall", "brick wall", "wallpaper"], 2)]
    fittings = {name: make_look(rng, palette, name) for name in ("picture", "door", "window")}
    feature = int(rng.integers(4))  # one wall may differ from the others
    for side in range(4):
        a, b = floor[side], floor[(side + 1) % 4]
        look = kinds[side == feature]
        up = np.array([0, 0, height])
        builder.quads(np.array([[b, a, a + up, b + up]]), look.class_id, look.material, name_id=look.name_id)
        _hang(rng, builder, fittings, a, b, height)


def _hang(
    rng: np.random.Generator, builder: MeshBuilder, looks: dict[str, Look], a: np.ndarray, b: np.ndarray, height: float
) -> None:
    """Pictures, a door or windows, side by side on the wall from ``a`` to ``b``, which has the room on its left."""
    length = float(np.linalg.norm(b - a))
    along = (b - a) / length
    inward = np.array([-along[1], along[0], 0.0])
    names = [str(name) for name in rng.choice(["picture", "picture", "window", "door"], int(rng.integers(1, 4)))]
    cell = length / len(names)
    for i, name in enumerate(names):
        wide, high, low = {
            "picture": (rng.uniform(0.4, 0.9), rng.uniform(0.4, 0.8), rng.uniform(1.2, 1.5)),
            "window": (rng.uniform(0.8, 1.3), rng.uniform(0.9, 1.2), 0.95),
            "door": (0.9, 2.0, 0.0),
        }[name]
        wide, high = min(wide, 0.8 * cell), min(high, height - low - 0.1)
        middle = a + along * (cell * (i + 0.5) + rng.uniform(-0.5, 0.5) * (0.9 * cell - wide))
        center = middle + 0.02 * inward + np.array([0.0, 0.0, low + 0.5 * high])
        look, yaw = looks[name], float(np.arctan2(along[1], along[0]))
        with builder.named(look.name_id):
            builder.box(tuple(center), (wide, 0.04, high), look.class_id, look.material, yaw)
            frame = middle + 0.01 * inward + np.array([0.0, 0.0, low + 0.5 * high])
            builder.box(tuple(frame), (wide + 0.12, 0.02, high + 0.12 * (low > 0)), look.class_id, look.dark, yaw)


def _light(rng: np.random.Generator) -> Light:
    """Light from above of a random colour and strength, and more or less of it from everywhere."""
    azimuth, elevation = rng.uniform(-np.pi, np.pi), rng.uniform(0.8, 1.4)
    direction = (
        float(np.cos(elevation) * np.cos(azimuth)), float(np.cos(elevation) * np.sin(azimuth)), float(np.sin(elevation))
    )  # fmt: skip
    warmth, lamp, around = rng.uniform(-0.15, 0.2), rng.uniform(0.3, 1.1), rng.uniform(0.6, 1.0)
    tint = np.array([1.0 + warmth, 1.0, 1.0 - warmth])
    sun, sky = tuple((lamp * tint).tolist()), tuple((around * tint).tolist())
    below = tuple((0.75 * around * tint).tolist())
    white = tuple((1.0 / (1.0 + 0.6 * (tint - 1.0))).tolist())  # a camera takes part of the tint out
    exposure = float(rng.uniform(1.0, 1.5)) / (around + 0.6 * lamp)
    return Light(direction, sun, sky, sky, below, 0.0, 0.0, exposure, white, 0.006, 0.1)
