# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""LiDAR rays through a synthetic street."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from gsocc_core.errors import ShapeError
from gsocc_core.synthetic.render.bvh_kernels import build_bvh, trace_actors, trace_static
from gsocc_core.synthetic.world.scene import SKY, Mesh, StreetScene


@dataclass(frozen=True, eq=False)
class RayHits:
    """What rays meet first.

    Attributes:
        distance_m: (N,) float32 metres; inf = nothing.
        class_ids: (N,) uint8 Occ3D ids; 255 = nothing.
        instance_ids: (N,) int32 ``Actor.instance_index``; -1 = static or nothing.
    """

    distance_m: np.ndarray
    class_ids: np.ndarray
    instance_ids: np.ndarray


@dataclass(frozen=True, eq=False)
class _Trees:
    """Bounding volume hierarchies of the static mesh and of every actor in its box frame, the latter concatenated."""

    static: tuple[np.ndarray, ...]
    static_classes: np.ndarray
    actors: tuple[np.ndarray, ...]
    actor_classes: np.ndarray
    first_nodes: np.ndarray
    first_triangles: np.ndarray
    radii: np.ndarray


def cast_rays(scene: StreetScene, t_s: float, origins_world: np.ndarray, directions_world: np.ndarray) -> RayHits:
    """Follow rays to the first surface at one time.

    Args:
        scene: The street.
        t_s: Time in the drive, seconds.
        origins_world: (N, 3) metres.
        directions_world: (N, 3) unit vectors.

    Returns:
        Distances, classes and instances.

    Raises:
        ShapeError: the arrays' shapes differ or are not (N, 3).

    Example:
        >>> from gsocc_core.synthetic.world.street import build_street
        >>> scene = build_street(seed=0, duration_s=2.0)
        >>> above = scene.T_world_ego(0.0)[:3, 3] + np.array([0.0, 0.0, 1.0])
        >>> hits = cast_rays(scene, 0.0, above[None], np.array([[0.0, 0.0, -1.0]]))
        >>> int(hits.class_ids[0]), round(float(hits.distance_m[0]), 1)
        (11, 1.0)
    """
    origins = np.ascontiguousarray(origins_world, np.float64)
    directions = np.ascontiguousarray(directions_world, np.float64)
    if origins.ndim != 2 or origins.shape[1] != 3 or origins.shape != directions.shape:
        raise ShapeError(
            "cast_rays", "origins_world, directions_world", "(N, 3) twice", (origins.shape, directions.shape)
        )
    trees = _trees(scene)
    distance = np.full(len(origins), np.inf)
    triangle = np.full(len(origins), -1, np.int64)
    instance = np.full(len(origins), -1, np.int32)
    trace_static(*trees.static, origins, directions, distance, triangle)
    class_ids = np.where(triangle >= 0, trees.static_classes[triangle], SKY).astype(np.uint8)
    if scene.actors:
        trace_actors(
            *trees.actors, trees.first_nodes, trees.first_triangles, trees.radii, scene.T_world_actors(t_s), origins,
            directions, distance, triangle, instance,
        )  # fmt: skip
        on_actor = instance >= 0
        class_ids[on_actor] = trees.actor_classes[triangle[on_actor]]
    return RayHits(distance.astype(np.float32), class_ids, instance)


def _trees(scene: StreetScene) -> _Trees:
    cache = scene._cache  # noqa: SLF001  the scene lends its room for what is derived from it
    if "rays" not in cache:
        cache["rays"] = _build_trees(scene)
    return cast("_Trees", cache["rays"])


def _tree(mesh: Mesh) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    corners = np.ascontiguousarray(mesh.vertices_m[mesh.triangles], np.float64)
    order, lower, upper, child, count = build_bvh(corners)
    return (np.ascontiguousarray(corners[order]), lower, upper, child, count), mesh.class_ids[order]


def _build_trees(scene: StreetScene) -> _Trees:
    static, static_classes = _tree(scene.static)
    parts = [_tree(actor.mesh) for actor in scene.actors]
    columns = tuple(np.concatenate(column) for column in zip(*(part[0] for part in parts))) if parts else ()
    return _Trees(
        static, static_classes, columns,
        np.concatenate([part[1] for part in parts]) if parts else np.zeros(0, np.uint8),
        np.cumsum([0, *(len(part[0][1]) for part in parts)]),
        np.cumsum([0, *(len(part[0][0]) for part in parts)]),
        np.array([np.linalg.norm(actor.mesh.vertices_m, axis=1).max() + 1e-3 for actor in scene.actors]),
    )  # fmt: skip
