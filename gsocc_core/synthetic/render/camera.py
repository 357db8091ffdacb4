# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Camera pictures of a synthetic street: colour, depth, class and instance of every pixel."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cache
from typing import TypeVar, cast

import numpy as np

from gsocc_core.errors import ShapeError
from gsocc_core.synthetic.render.picture_kernels import (
    Lens,
    Look,
    Shades,
    Surfaces,
    develop,
    pose_triangles,
    shade,
    tone_curve,
)
from gsocc_core.synthetic.render.raster_kernels import rasterize, visible_chunks
from gsocc_core.synthetic.render.shadows import ActorShadows, GroundMaps, SunMap
from gsocc_core.synthetic.world.materials import noise_tile
from gsocc_core.synthetic.world.paint import PaintedNames
from gsocc_core.synthetic.world.scene import SKY, Light, Mesh, StreetScene

#: Farthest thing that is drawn, metres.
FAR_M = 260.0
#: Pictures up to this width are coloured with 2x2 samples per pixel.
SUPERSAMPLED_WIDTH = 640
_CHUNK_M = 24.0
#: Actors farther from the camera cast no shadow, metres.
_SHADOW_RANGE_M = 70.0

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class RenderedView:
    """What a camera sees.

    Attributes:
        rgb: (H, W, 3) uint8 picture.
        depth_m: (H, W) float32 depth along the optical axis at pixel centres, metres; 0 = sky.
        class_ids: (H, W) uint8 ids of the scene's class table; 255 = sky.
        name_ids: (H, W) uint8 ids of the scene's table of names; 255 = sky.
        instance_ids: (H, W) int32 ``Actor.instance_index``; -1 = static or sky.
    """

    rgb: np.ndarray
    depth_m: np.ndarray
    class_ids: np.ndarray
    name_ids: np.ndarray
    instance_ids: np.ndarray


def render_camera(
    scene: StreetScene, t_s: float, intrinsics: np.ndarray, T_world_cam: np.ndarray, width: int, height: int
) -> RenderedView:
    """Take a picture.

    Args:
        scene: The street.
        t_s: Time in the drive, seconds.
        intrinsics: (3, 3) pinhole intrinsics, pixels.
        T_world_cam: (4, 4) pose of the optical frame (x right, y down, z ahead) in the world.
        width: Pixels.
        height: Pixels.

    Returns:
        The picture and its exact labels.

    Raises:
        ShapeError: a matrix has the wrong shape.

    Example:
        >>> from gsocc_core.synthetic.world.street import build_street
        >>> scene = build_street(seed=0, duration_s=2.0)
        >>> T_ego_cam = np.array([[0.0, 0, 1, 1.5], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]])
        >>> K = np.array([[100.0, 0, 80], [0, 100, 45], [0, 0, 1]])
        >>> render_camera(scene, 0.5, K, scene.T_world_ego(0.5) @ T_ego_cam, 160, 90).rgb.shape
        (90, 160, 3)
    """
    K, pose = np.asarray(intrinsics, np.float64), np.asarray(T_world_cam, np.float64)
    if K.shape != (3, 3) or pose.shape != (4, 4):
        raise ShapeError("render_camera", "intrinsics, T_world_cam", "(3, 3) and (4, 4)", (K.shape, pose.shape))
    stage = _stage(scene)
    moving = _pose_actors(scene, stage, t_s)
    lens = _lens(K, pose)
    planes = _side_planes(lens, width, height)
    groups = _visible(stage, moving, planes, lens.origin)
    inverse_depth, triangle_of = _draw(groups, lens, K, width, height)
    factor = 2 if width <= SUPERSAMPLED_WIDTH else 1
    samples = triangle_of
    K_color = np.diag([factor, factor, 1.0]) @ K
    color_lens = lens
    if factor > 1:
        color_lens = _lens(K_color, pose)
        _, samples = _draw(groups, color_lens, K_color, width * factor, height * factor)
    seed = zlib.crc32(np.round(np.append(pose[:3].ravel(), t_s), 6).tobytes()) & 0xFFFFFF
    radiance = np.empty((height * factor, width * factor, 3), np.float32)
    shades = _shades(stage, moving, planes, lens.origin)
    light = light_vector(scene.light)
    shade(color_lens, factor, samples, stage.surfaces, moving.surfaces, stage.look, shades, light, radiance)
    rgb = np.empty((height, width, 3), np.uint8)
    develop(radiance, factor, samples, light, _tone_curve(), seed, rgb)
    sky = triangle_of < 0
    depth = np.where(sky, 0.0, 1.0 / np.where(sky, 1.0, inverse_depth)).astype(np.float32)
    names = _names(stage, triangle_of, depth, lens)
    return RenderedView(rgb, depth, stage.class_ids[triangle_of], names, stage.instance_ids[triangle_of])


def _names(stage: Stage, triangle_of: np.ndarray, depth: np.ndarray, lens: Lens) -> np.ndarray:
    """(H, W) uint8 name of every pixel: that of its triangle, or of what is painted there."""
    names = stage.name_ids[triangle_of]
    M = lens.R_cam_world.T @ lens.K_inv
    u, v = np.arange(names.shape[1]) + 0.5, np.arange(names.shape[0])[:, None] + 0.5
    x, y = (lens.origin[k] + depth * (M[k, 0] * u + (M[k, 1] * v + M[k, 2])) for k in range(2))
    stage.painted.rename(stage.roads[triangle_of], x, y, names)
    return names


def light_vector(light: Light) -> np.ndarray:
    """(24,) float64: sun direction, sun, sky, horizon and ground colours (3 each), haze, clouds, exposure, noise,
    vignetting, cloud offset, exposure times white balance (3).
    """  # noqa: D205
    return np.array(
        [
            *light.sun_direction, *light.sun_color, *light.sky_color, *light.horizon_color, *light.ground_color,
            light.haze_per_m, light.cloud_cover, light.exposure, light.noise, light.vignetting,
            100.0 * light.cloud_cover, *(light.exposure * factor for factor in light.white_balance),
        ]
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class PosedActors:
    """The actors' triangles at one time: world surfaces and each actor's bounding box."""

    surfaces: Surfaces
    lower: np.ndarray
    upper: np.ndarray
    poses: np.ndarray


@dataclass(frozen=True, eq=False)
class Stage:
    """A scene prepared for drawing: triangles sorted into chunks, tables over all triangles, static shadow maps.

    ``standing`` holds the actors that stand as they are at all times; of those that move it holds nothing of use.
    """

    surfaces: Surfaces
    chunk_starts: np.ndarray
    chunk_lower: np.ndarray
    chunk_upper: np.ndarray
    actor_rest: Surfaces
    actor_starts: np.ndarray
    standing: PosedActors
    shadows: ActorShadows
    class_ids: np.ndarray
    name_ids: np.ndarray
    instance_ids: np.ndarray
    roads: np.ndarray
    painted: PaintedNames
    look: Look


def _stage(scene: StreetScene) -> Stage:
    cache = scene._cache  # noqa: SLF001  the scene lends its room for what is derived from it
    if "stage" not in cache:
        cache["stage"] = _build_stage(scene)
    return cast("Stage", cache["stage"])


def _surfaces(mesh: Mesh) -> Surfaces:
    t = mesh.triangles
    return Surfaces(
        np.ascontiguousarray(mesh.vertices_m[t], np.float64), np.ascontiguousarray(mesh.normals[t], np.float64),
        np.ascontiguousarray(mesh.uv_m[t], np.float64), np.ascontiguousarray(mesh.material_ids, np.int32),
    )  # fmt: skip


def _join(parts: list[Surfaces]) -> Surfaces:
    return Surfaces(*(np.concatenate(column) for column in zip(*parts)))


def _build_stage(scene: StreetScene) -> Stage:
    surfaces = _surfaces(scene.static)
    cells = np.floor(surfaces.corners.mean(1)[:, :2] / _CHUNK_M).astype(np.int64)
    cells -= cells.min(0)
    key = cells[:, 0] * (cells[:, 1].max() + 1) + cells[:, 1]
    order = np.argsort(key, kind="stable")
    surfaces = Surfaces(*(np.ascontiguousarray(column[order]) for column in surfaces))
    starts = np.flatnonzero(np.diff(key[order], prepend=-1))
    lower = np.minimum.reduceat(surfaces.corners.min(1), starts)
    upper = np.maximum.reduceat(surfaces.corners.max(1), starts)
    meshes = [actor.mesh for actor in scene.actors]
    counts = np.array([0, *(len(mesh.triangles) for mesh in meshes)])
    rest = _join([Surfaces(*(column[:0] for column in surfaces)), *(_surfaces(mesh) for mesh in meshes)])
    # The last entry serves index -1: sky.
    classes = np.concatenate([scene.static.class_ids[order], *(mesh.class_ids for mesh in meshes), [SKY]])
    names = np.concatenate([scene.static.name_ids[order], *(mesh.name_ids for mesh in meshes), [SKY]])
    owner = np.repeat(np.arange(len(meshes)), counts[1:])
    instances = np.concatenate([np.full(len(order), -1), owner, [-1]])
    table = scene.materials
    look = Look(table.patterns, table.colors, table.params, scene.paint, noise_tile())
    painted = PaintedNames(scene.static, table, scene.paint)
    roads = np.append(painted.road_of[order], np.full(len(classes) - len(order), -1))
    solid = ~np.isin(scene.static.class_ids[order], scene.kind.lit_through_ids)
    ground = GroundMaps.of(surfaces.corners[solid], np.isin(scene.static.class_ids[order][solid], scene.kind.flat_ids))
    sun = SunMap.of(surfaces.corners[solid], scene.light.sun_direction)
    actor_starts = np.cumsum(counts)
    moves = np.array([actor.trajectory.moves for actor in scene.actors], bool)
    poses = scene.T_world_actors(0.0)
    standing = _pose(rest, actor_starts, ~moves, poses, rest, np.zeros((2, len(meshes), 3)))
    spans = np.stack([actor_starts[:-1], actor_starts[1:]], 1)
    sizes = np.array([actor.size_wlh_m for actor in scene.actors], np.float64).reshape(-1, 3)
    shadows = ActorShadows.of(sun, ground, spans, sizes, moves, standing.surfaces.corners, poses)
    return Stage(
        surfaces, np.append(starts, len(order)), lower, upper, rest, actor_starts, standing, shadows,
        classes.astype(np.uint8), names.astype(np.uint8), instances.astype(np.int32), roads, painted, look,
    )  # fmt: skip


def _pose_actors(scene: StreetScene, stage: Stage, t_s: float) -> PosedActors:
    still = stage.standing
    boxes = np.stack([still.lower, still.upper])
    return _pose(
        stage.actor_rest, stage.actor_starts, stage.shadows.moves, scene.T_world_actors(t_s), still.surfaces, boxes
    )


def _pose(
    rest: Surfaces, starts: np.ndarray, which: np.ndarray, poses: np.ndarray, others: Surfaces, boxes: np.ndarray
) -> PosedActors:
    """Pose some actors; triangles and boxes (2, A, 3) of the others are taken as they are."""
    corners, normals, (lower, upper) = others.corners.copy(), others.normals.copy(), boxes
    pose_triangles(np.flatnonzero(which), rest.corners, rest.normals, starts, poses, corners, normals, lower, upper)
    return PosedActors(Surfaces(corners, normals, rest.uv, rest.materials), lower, upper, poses)


@cache
def _tone_curve() -> np.ndarray:
    return tone_curve()


def _lens(K: np.ndarray, T_world_cam: np.ndarray) -> Lens:
    R_cam_world, origin = np.ascontiguousarray(T_world_cam[:3, :3].T), np.ascontiguousarray(T_world_cam[:3, 3])
    return Lens(R_cam_world, origin, np.linalg.inv(K))


#: What is drawn of some triangles: corners, chunks in the order of drawing, first triangles of all chunks, first id.
_Group = tuple[np.ndarray, np.ndarray, np.ndarray, int]


def _visible(stage: Stage, moving: PosedActors, planes: np.ndarray, origin: np.ndarray) -> list[_Group]:
    groups = []
    for corners, starts, lower, upper, first in (
        (moving.surfaces.corners, stage.actor_starts, moving.lower, moving.upper, len(stage.surfaces.corners)),
        (stage.surfaces.corners, stage.chunk_starts, stage.chunk_lower, stage.chunk_upper, 0),
    ):
        seen = np.flatnonzero(visible_chunks(lower, upper, planes, origin, FAR_M))
        gap = np.maximum(np.maximum(lower[seen] - origin, origin - upper[seen]), 0.0)
        order = np.argsort((gap**2).sum(1), kind="stable")  # near ones first: fewer pixels are written twice
        groups.append((corners, seen[order], starts, first))
    return groups


def _draw(groups: list[_Group], lens: Lens, K: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    inverse_depth, triangle_of = np.zeros((height, width), np.float32), np.full((height, width), -1, np.int32)
    for group in groups:
        rasterize(*group, lens.R_cam_world, lens.origin, K, lens.K_inv, inverse_depth, triangle_of)
    return inverse_depth, triangle_of


def _side_planes(lens: Lens, width: int, height: int) -> np.ndarray:
    """(5, 4) inward planes of the view pyramid and its tip, world frame."""
    corners = np.array([[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1]], np.float64) @ lens.K_inv.T
    normals_cam = np.concatenate([np.cross(corners, np.roll(corners, -1, axis=0)), [[0.0, 0.0, 1.0]]])
    normals = normals_cam @ lens.R_cam_world
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return np.concatenate([normals, -(normals @ lens.origin)[:, None]], axis=1)


def _shades(stage: Stage, moving: PosedActors, planes: np.ndarray, origin: np.ndarray) -> Shades:
    near = np.linalg.norm(0.5 * (moving.lower + moving.upper) - origin, axis=1) < _SHADOW_RANGE_M
    shadows = stage.shadows
    drawn = near & visible_chunks(*shadows.boxes(moving.lower, moving.upper), planes, origin, np.inf)
    sun, ground = shadows.sun, shadows.ground
    return Shades(
        sun.heights, shadows.sun_map(moving.surfaces.corners, drawn), shadows.contact_map(moving.poses, drawn),
        ground.height, ground.openness, sun.frame, ground.frame,
    )  # fmt: skip
