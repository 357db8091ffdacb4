# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What a synthetic street is made of: triangle meshes, moving actors, materials, light and the ego's drive."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import numpy as np

from gsocc_core.data.names import NameTable
from gsocc_core.errors import ShapeError
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.voxels import VoxelGrid

#: Class id of sky and of rays that hit nothing.
SKY = 255


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles with a semantic class and a material each.

    Attributes:
        vertices_m: (V, 3) float32 points, metres.
        triangles: (T, 3) int32 vertex indices.
        class_ids: (T,) uint8 ids of the scene's class table.
        name_ids: (T,) uint8 ids of the scene's table of names.
        material_ids: (T,) int32 rows of the scene's :class:`Materials`.
        normals: (V, 3) float32 unit shading normals.
        uv_m: (V, 2) float32 surface coordinates of the texture, metres.

    Raises:
        ShapeError: lengths do not fit.
    """

    vertices_m: np.ndarray
    triangles: np.ndarray
    class_ids: np.ndarray
    name_ids: np.ndarray
    material_ids: np.ndarray
    normals: np.ndarray
    uv_m: np.ndarray

    def __post_init__(self) -> None:
        vertex_count, triangle_count = len(self.vertices_m), len(self.triangles)
        shapes = {
            "vertices_m": (vertex_count, 3), "triangles": (triangle_count, 3), "class_ids": (triangle_count,),
            "name_ids": (triangle_count,), "material_ids": (triangle_count,), "normals": (vertex_count, 3),
            "uv_m": (vertex_count, 2),
        }  # fmt: skip
        for key, shape in shapes.items():
            if getattr(self, key).shape != shape:
                raise ShapeError("Mesh", key, shape, getattr(self, key).shape)


@dataclass(frozen=True, eq=False)
class Trajectory:
    """A smooth motion: cubic Hermite through sampled points, so that the velocity is the exact derivative.

    Attributes:
        times_s: (K,) float64 ascending sample times; before the first and after the last the motion goes straight on.
        positions_m: (K, 3) float64 positions in the world.
        velocities_m_s: (K, 3) float64 velocities in the world.
        yaw_pitch_roll: (K, 3) float64 rad, unwrapped; rotation = Rz(yaw) Ry(pitch) Rx(roll), pitch > 0 is nose down.

    Raises:
        ShapeError: lengths do not fit or times do not ascend.
    """

    times_s: np.ndarray
    positions_m: np.ndarray
    velocities_m_s: np.ndarray
    yaw_pitch_roll: np.ndarray

    def __post_init__(self) -> None:
        count = len(self.times_s)
        for key in ("positions_m", "velocities_m_s", "yaw_pitch_roll"):
            if getattr(self, key).shape != (count, 3):
                raise ShapeError("Trajectory", key, (count, 3), getattr(self, key).shape)
        if count < 1 or (np.diff(self.times_s) <= 0).any():
            raise ShapeError("Trajectory", "times_s", "at least one time, ascending", self.times_s)

    @classmethod
    def standing(cls, position_m: np.ndarray, yaw: float, pitch: float = 0.0, roll: float = 0.0) -> Trajectory:
        """A body that never moves.

        Args:
            position_m: (3,) position in the world, metres.
            yaw: rad.
            pitch: rad, > 0 is nose down.
            roll: rad.

        Returns:
            A trajectory with one sample.
        """
        angles = np.array([[yaw, pitch, roll]], np.float64)
        return cls(np.zeros(1), np.asarray(position_m, np.float64).reshape(1, 3), np.zeros((1, 3)), angles)

    @property
    def moves(self) -> bool:
        """Whether it has more than one pose."""
        return len(self.times_s) > 1

    @cached_property
    def glide(self) -> Glide:
        """The motion's samples, positions and angles side by side."""
        rates = np.gradient(self.yaw_pitch_roll, self.times_s, axis=0)
        return Glide(
            self.times_s.tolist(),
            np.hstack([self.positions_m, self.yaw_pitch_roll]),
            np.hstack([self.velocities_m_s, rates]),
        )

    @cached_property
    def _standing_pose(self) -> np.ndarray:
        T = np.eye(4)
        T[:3, :3], T[:3, 3] = rotation_from_angles(*self.yaw_pitch_roll[0]), self.positions_m[0]
        return T

    def pose(self, t_s: float) -> np.ndarray:
        """(4, 4) float64 pose of the body in the world at a time in seconds."""
        if not self.moves:
            return self._standing_pose.copy()
        T, way = np.eye(4), self.glide.at(t_s)
        T[:3, :3], T[:3, 3] = rotation_from_angles(*way[3:]), way[:3]
        return T

    def velocity(self, t_s: float) -> np.ndarray:
        """(3,) float64 velocity in the world at a time in seconds, m/s: the derivative of :meth:`pose`."""
        if not self.moves:
            return np.zeros(3)
        if t_s < self.times_s[0] or t_s > self.times_s[-1]:
            return self.velocities_m_s[0 if t_s < self.times_s[0] else -1].copy()
        i, length, u = self.glide.segment(t_s)
        slope = 6 * u * (1 - u) / length
        basis = (-slope, (1 - u) * (1 - 3 * u) / length, slope, u * (3 * u - 2) / length)
        return _hermite(basis, self.positions_m, self.velocities_m_s, i, length)


@dataclass(frozen=True, eq=False)
class Glide:
    """Cubic Hermite motion of one body or of several that are sampled at the same times.

    Attributes:
        times_s: K ascending sample times.
        values: (K, ..., 6) positions, metres, and yaw, pitch, roll, rad.
        rates: (K, ..., 6) their derivatives.
    """

    times_s: list[float]
    values: np.ndarray
    rates: np.ndarray

    def segment(self, t_s: float) -> tuple[int, float, float]:
        """Index of the interval around a time, its length in seconds and how far into it the time is, 0 ... 1."""
        times = self.times_s
        i = min(max(bisect_right(times, t_s) - 1, 0), len(times) - 2)
        length = times[i + 1] - times[i]
        return i, length, (t_s - times[i]) / length

    def at(self, t_s: float) -> np.ndarray:
        """(..., 6) positions and angles at a time; outside the samples they go straight on without turning."""
        times = self.times_s
        if t_s < times[0] or t_s > times[-1]:
            end = 0 if t_s < times[0] else -1
            way = self.values[end].copy()
            way[..., :3] += (t_s - times[end]) * self.rates[end][..., :3]
            return way
        i, length, u = self.segment(t_s)
        basis = ((1 + 2 * u) * (1 - u) ** 2, u * (1 - u) ** 2, u * u * (3 - 2 * u), u * u * (u - 1))
        return _hermite(basis, self.values, self.rates, i, length)


def _hermite(
    basis: tuple[float, float, float, float], values: np.ndarray, rates: np.ndarray, i: int, length: float
) -> np.ndarray:
    return (
        basis[0] * values[i]
        + basis[1] * length * rates[i]
        + basis[2] * values[i + 1]
        + basis[3] * length * rates[i + 1]
    )


def rotation_from_angles(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """(3, 3) float64 Rz(yaw) Ry(pitch) Rx(roll), angles in rad.

    Example:
        >>> rotation_from_angles(0.0, 0.0, 0.0)[0]
        array([1., 0., 0.])
    """
    cy, sy, cp, sp = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
    cr, sr = math.cos(roll), math.sin(roll)
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


@dataclass(frozen=True, eq=False)
class Actor:
    """One annotated object: a road user, or a movable thing such as a barrier.

    Attributes:
        instance_index: Its place in ``StreetScene.actors`` and its value in instance pictures.
        category: nuScenes category, for instance ``vehicle.car``.
        attribute: nuScenes attribute, for instance ``vehicle.moving``; None where the category has none.
        class_id: Id of the scene's class table.
        size_wlh_m: (3,) width, length, height, metres.
        mesh: Triangles in the box frame (x forward, y left, z up, origin at the box centre), all inside the box.
        trajectory: Motion of the box centre.
    """

    instance_index: int
    category: str
    attribute: str | None
    class_id: int
    size_wlh_m: tuple[float, float, float]
    mesh: Mesh
    trajectory: Trajectory

    def T_world_box(self, t_s: float) -> np.ndarray:
        """(4, 4) float64 pose of the box centre in the world at a time in seconds."""
        return self.trajectory.pose(t_s)

    def velocity_world(self, t_s: float) -> np.ndarray:
        """(3,) float64 velocity of the box centre in the world at a time in seconds, m/s."""
        return self.trajectory.velocity(t_s)


@dataclass(frozen=True, eq=False)
class Materials:
    """What surfaces look like. One row per material.

    Attributes:
        patterns: (M,) int32 pattern ids (see ``materials.py``).
        colors: (M, 2, 3) float32 two linear RGB albedos per material.
        params: (M, 8) float32 numbers whose meaning depends on the pattern.
    """

    patterns: np.ndarray
    colors: np.ndarray
    params: np.ndarray


@dataclass(frozen=True)
class Light:
    """Light and lens of a scene.

    Attributes:
        sun_direction: (3,) unit vector towards the sun, world frame.
        sun_color: Linear RGB irradiance of the sun.
        sky_color: Linear RGB radiance of the sky overhead.
        horizon_color: Linear RGB radiance of the sky at the horizon.
        ground_color: Linear RGB radiance that comes back from the ground.
        haze_per_m: Extinction coefficient.
        cloud_cover: 0 ... 1.
        exposure: Factor before the tone curve.
        white_balance: RGB factors.
        noise: Standard deviation of the sensor noise, in display units of 0 ... 1.
        vignetting: Loss of light in the picture's corner, 0 ... 1.
    """

    sun_direction: tuple[float, float, float]
    sun_color: tuple[float, float, float]
    sky_color: tuple[float, float, float]
    horizon_color: tuple[float, float, float]
    ground_color: tuple[float, float, float]
    haze_per_m: float
    cloud_cover: float
    exposure: float
    white_balance: tuple[float, float, float]
    noise: float
    vignetting: float


@dataclass(frozen=True, eq=False)
class WorldKind:
    """What all scenes of one world have in common.

    Attributes:
        title: Name for people.
        version: Changes whenever the same seed gives another scene or another picture.
        classes: Meaning of ``Mesh.class_ids``.
        names: Meaning of ``Mesh.name_ids``.
        grid: Grid of the voxel labels, ego frame.
        road_id: Class of the surface that a map shows.
        flat_ids: Classes of the ground.
        lit_through_ids: Classes that neither cast a shadow nor hide the sky: walls and ceilings of rooms, whose lamps
            are inside.
    """

    title: str
    version: str
    classes: ClassTable
    names: NameTable
    grid: VoxelGrid
    road_id: int
    flat_ids: tuple[int, ...]
    lit_through_ids: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class StreetScene:
    """A street, everything that stands and moves in it, its light and the ego's drive through it.

    Attributes:
        seed: What it was built from.
        kind: What the labels of its meshes mean.
        duration_s: Length of the drive; poses are defined for all times, the world is furnished for 0 ... duration.
        static: Everything without a box, world frame.
        actors: Everything with a box; ``actors[i].instance_index == i``.
        materials: Table that the meshes' material ids index.
        paint: (P, Q, 3) uint8 road paint, patches and names of what is painted, over the streets' surface coordinates,
            see ``paint.py``.
        light: Sun, sky, lens.
        ego: Motion of the ego frame (rear axle's projection on the road).
        description: A few words for people.
    """

    seed: int
    kind: WorldKind
    duration_s: float
    static: Mesh
    actors: tuple[Actor, ...]
    materials: Materials
    paint: np.ndarray
    light: Light
    ego: Trajectory
    description: str = ""
    _cache: dict[str, Any] = field(default_factory=dict, repr=False)

    def T_world_ego(self, t_s: float) -> np.ndarray:
        """(4, 4) float64 pose of the ego frame (REP-103, on the road under the rear axle) in the world."""
        return self.ego.pose(t_s)

    def T_world_actors(self, t_s: float) -> np.ndarray:
        """(A, 4, 4) float64 poses of the actors' box centres in the world at a time in seconds.

        The last answer is kept and given again for the same time: it must not be written to.
        """
        kept = self._cache.get("posed")
        if kept is None or kept[0] != t_s:
            still, groups = self._motions()
            poses = still.copy()
            for which, glide in groups:
                ways = glide.at(t_s)
                poses[which, :3, 3] = ways[:, :3]
                poses[which, :3, :3] = [rotation_from_angles(*angles) for angles in ways[:, 3:].tolist()]
            kept = self._cache["posed"] = t_s, poses
        return cast("np.ndarray", kept[1])

    def _motions(self) -> tuple[np.ndarray, list[tuple[list[int], Glide]]]:
        """(A, 4, 4) poses of the actors that stand, and those that move in groups with the same sample times."""
        if "motions" not in self._cache:
            still, groups = np.tile(np.eye(4), (len(self.actors), 1, 1)), defaultdict(list)
            for i, actor in enumerate(self.actors):
                if actor.trajectory.moves:
                    groups[actor.trajectory.times_s.tobytes()].append(i)
                else:
                    still[i] = actor.T_world_box(0.0)
            joined = []
            for which in groups.values():
                glides = [self.actors[i].trajectory.glide for i in which]
                values, rates = (np.stack([getattr(g, key) for g in glides], 1) for key in ("values", "rates"))
                joined.append((which, Glide(glides[0].times_s, values, rates)))
            self._cache["motions"] = still, joined
        return cast("tuple[np.ndarray, list[tuple[list[int], Glide]]]", self._cache["motions"])

    def ego_velocity_world(self, t_s: float) -> np.ndarray:
        """(3,) float64 velocity of the ego in the world, m/s."""
        return self.ego.velocity(t_s)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the acceleration structures behind when the scene crosses a process boundary."""
        return {**self.__dict__, "_cache": {}}
