# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Shapes out of triangles: boxes, prisms, ellipsoids, lofts and quads, collected into one mesh."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import numpy as np

from gsocc_core.synthetic.world.scene import Mesh, rotation_from_angles

_BOX_FACES = np.array([[0, 4, 6, 2], [1, 3, 7, 5], [0, 1, 5, 4], [2, 6, 7, 3], [0, 2, 3, 1], [4, 5, 7, 6]])
_BOX_CORNERS = np.array([[x, y, z] for z in (-1, 1) for y in (-1, 1) for x in (-1, 1)], np.float64) * 0.5


class MeshBuilder:
    """Collects triangles; every method appends one shape with one class and one material.

    Shapes are given in the builder's frame; ``place`` moves what other builders collected. What is appended within
    ``named`` has that name; the rest is called as ``mesh`` says, or as its class: the first names of a world's table
    are its classes' names.

    Example:
        >>> builder = MeshBuilder()
        >>> builder.box((0, 0, 0.5), (1, 1, 1), class_id=15, material=0)
        >>> len(builder.mesh().triangles)
        12
    """

    def __init__(self) -> None:
        self._vertices: list[np.ndarray] = []
        self._normals: list[np.ndarray] = []
        self._uv: list[np.ndarray] = []
        self._triangles: list[np.ndarray] = []
        self._classes: list[np.ndarray] = []
        self._names: list[np.ndarray | None] = []
        self._name: int | None = None
        self._materials: list[np.ndarray] = []
        self._count = 0

    @contextmanager
    def named(self, name_id: int) -> Iterator[None]:
        """Give a name to everything that is appended within."""
        before, self._name = self._name, name_id
        try:
            yield
        finally:
            self._name = before

    def add(
        self,
        vertices: np.ndarray,
        triangles: np.ndarray,
        class_id: int | np.ndarray,
        material: int | np.ndarray,
        normals: np.ndarray | None = None,
        uv: np.ndarray | None = None,
        name_id: int | np.ndarray | None = None,
    ) -> None:
        """Append triangles.

        Args:
            vertices: (V, 3) metres.
            triangles: (T, 3) indices into them.
            class_id: Occ3D id, one or (T,).
            material: Row of the material table, one or (T,).
            normals: (V, 3); None = computed from the triangles around each vertex (smooth).
            uv: (V, 2) metres; None = along the wall and up, from the position.
            name_id: One or (T,); None = without one. That of ``named`` wins.
        """
        vertices = np.asarray(vertices, np.float64)
        triangles = np.asarray(triangles, np.int64)
        if normals is None:
            normals = smooth_normals(vertices, triangles)
        if uv is None:
            uv = np.stack([vertices[:, 0] + vertices[:, 1], vertices[:, 2]], 1)
        self._vertices.append(vertices)
        self._normals.append(np.asarray(normals, np.float64))
        self._uv.append(np.asarray(uv, np.float64))
        self._triangles.append(triangles + self._count)
        if self._name is not None:
            name_id = self._name
        self._classes.append(np.broadcast_to(np.asarray(class_id, np.uint8), len(triangles)))
        self._names.append(None if name_id is None else np.broadcast_to(np.asarray(name_id, np.uint8), len(triangles)))
        self._materials.append(np.broadcast_to(np.asarray(material, np.int32), len(triangles)))
        self._count += len(vertices)

    def quads(
        self,
        corners: np.ndarray,
        class_id: int | np.ndarray,
        material: int | np.ndarray,
        uv: np.ndarray | None = None,
        name_id: int | np.ndarray | None = None,
    ) -> None:
        """Append flat quads.

        Args:
            corners: (Q, 4, 3) corners, counter-clockwise seen from outside.
            class_id: One or (Q,).
            material: One or (Q,).
            uv: (Q, 4, 2) metres; None = metres along the first edge and along the last.
            name_id: One or (Q,); see ``add``.
        """
        corners = np.asarray(corners, np.float64)
        count = len(corners)
        normal = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
        normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-12)
        if uv is None:
            along = np.linalg.norm(corners[:, 1] - corners[:, 0], axis=-1)
            up = np.linalg.norm(corners[:, 3] - corners[:, 0], axis=-1)
            uv = np.zeros((count, 4, 2))
            uv[:, 1:3, 0], uv[:, 2:, 1] = along[:, None], up[:, None]
        index = np.arange(count)[:, None, None] * 4 + np.array([[0, 1, 2], [0, 2, 3]])
        self.add(
            corners.reshape(-1, 3), index.reshape(-1, 3), np.repeat(np.broadcast_to(class_id, count), 2),
            np.repeat(np.broadcast_to(material, count), 2), np.repeat(normal, 4, axis=0), uv.reshape(-1, 2),
            None if name_id is None else np.repeat(np.broadcast_to(name_id, count), 2),
        )  # fmt: skip

    def box(
        self,
        center: tuple[float, float, float],
        size: tuple[float, float, float],
        class_id: int,
        material: int,
        yaw: float = 0.0,
        taper: tuple[float, float] = (1.0, 1.0),
        top_shift: float = 0.0,
    ) -> None:
        """Append a box.

        Args:
            center: Centre, metres.
            size: Edges along x, y, z, metres.
            class_id: Occ3D id.
            material: Material row.
            yaw: Turn about z, rad.
            taper: Factors on the top face's x and y edges.
            top_shift: Shift of the top face along x, metres.
        """
        corners = _BOX_CORNERS * np.asarray(size, np.float64)
        corners[4:, :2] *= taper
        corners[4:, 0] += top_shift
        corners = corners @ rotation_from_angles(yaw, 0.0, 0.0).T + np.asarray(center, np.float64)
        self.quads(corners[_BOX_FACES], class_id, material)

    def prism(
        self,
        bottom: tuple[float, float, float],
        top: tuple[float, float, float],
        radius: float,
        class_id: int,
        material: int,
        sides: int = 8,
        top_radius: float | None = None,
        caps: bool = True,
    ) -> None:
        """Append a cylinder or cone frustum between two points, with smooth sides.

        Args:
            bottom: Centre of one end, metres.
            top: Centre of the other.
            radius: Radius at ``bottom``, metres.
            class_id: Occ3D id.
            material: Material row.
            sides: Number of sides.
            top_radius: Radius at ``top``; None = the same.
            caps: Whether the ends are closed.
        """
        start, end = np.asarray(bottom, np.float64), np.asarray(top, np.float64)
        axis = end - start
        length = float(np.linalg.norm(axis))
        axis = axis / length
        side = np.cross(axis, [0.0, 0.0, 1.0] if abs(axis[2]) < 0.9 else [1.0, 0.0, 0.0])
        side /= np.linalg.norm(side)
        angles = np.arange(sides + 1) * (2 * math.pi / sides)
        ring = np.cos(angles)[:, None] * side + np.sin(angles)[:, None] * np.cross(axis, side)
        end_radius = radius if top_radius is None else top_radius
        vertices = np.concatenate([start + ring * radius, end + ring * end_radius])
        along = angles * max(radius, end_radius)
        uv = np.concatenate(
            [np.stack([along, np.zeros(sides + 1)], 1), np.stack([along, np.full(sides + 1, length)], 1)]
        )
        i = np.arange(sides)
        j = i + sides + 1
        triangles = np.concatenate([np.stack([i, i + 1, j + 1], 1), np.stack([i, j + 1, j], 1)])
        self.add(vertices, triangles, class_id, material, np.concatenate([ring, ring]), uv)
        if caps:
            for center, size, sign in ((start, radius, -1.0), (end, end_radius, 1.0)):
                disc = np.concatenate([center[None], center + ring[:-1] * size])
                fan = np.stack([np.zeros(sides, np.int64), 1 + i, 1 + (i + 1) % sides], 1)
                self.add(disc, fan[:, :: int(sign)], class_id, material, np.tile(axis * sign, (sides + 1, 1)))

    def ellipsoid(
        self,
        center: tuple[float, float, float] | np.ndarray,
        radii: tuple[float, float, float] | np.ndarray,
        class_id: int,
        material: int,
        detail: int = 1,
        bumps: np.ndarray | None = None,
    ) -> None:
        """Append an ellipsoid.

        Args:
            center: Centre, metres.
            radii: Half axes along x, y, z, metres.
            class_id: Occ3D id.
            material: Material row.
            detail: 0 = 20 triangles, each step four times as many.
            bumps: (V,) factors on the radius per vertex; None = smooth.
        """
        unit, triangles = icosphere(detail)
        factor = 1.0 if bumps is None else bumps[: len(unit), None]
        vertices = unit * factor * np.asarray(radii) + np.asarray(center)
        normals = unit / np.asarray(radii)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        if bumps is not None:
            normals = smooth_normals(vertices, triangles)
        self.add(vertices, triangles, class_id, material, normals)

    def loft(
        self, sections: np.ndarray, class_id: int, material: int | np.ndarray, smooth: bool = False, closed: bool = True
    ) -> None:
        """Append a skin over cross-sections.

        Args:
            sections: (S, P, 3) rings of P points each, counter-clockwise seen from the last section.
            class_id: Occ3D id.
            material: One, or (S - 1, P) per quad.
            smooth: Whether normals run over the edges.
            closed: Whether the first and the last section are closed by fans.
        """
        count, points = sections.shape[:2]
        material = np.broadcast_to(material, (count - 1, points))
        following = np.roll(sections, -1, axis=1)
        corners = np.stack([sections[:-1], following[:-1], following[1:], sections[1:]], axis=2).reshape(-1, 4, 3)
        if smooth:
            s, p = np.meshgrid(np.arange(count - 1), np.arange(points), indexing="ij")
            a, b = s * points + p, s * points + (p + 1) % points
            quads = np.stack([a, b, b + points, a + points], -1).reshape(-1, 4)
            triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
            self.add(sections.reshape(-1, 3), triangles, class_id, np.tile(material.reshape(-1), 2))
        else:
            self.quads(corners, class_id, material.reshape(-1))
        if closed:
            fan = np.stack([np.zeros(points - 2, np.int64), np.arange(1, points - 1), np.arange(2, points)], 1)
            for section, order, index in ((sections[0], fan[:, ::-1], 0), (sections[-1], fan, -1)):
                flat = section[order].reshape(-1, 3)
                self.add(flat, np.arange(len(flat)).reshape(-1, 3), class_id, int(material[index, 0]))

    def place(
        self,
        other: Mesh,
        position: np.ndarray,
        yaw: float,
        scale: float | tuple[float, float, float] = 1.0,
        pitch: float = 0.0,
        roll: float = 0.0,
    ) -> None:
        """Append another mesh, scaled, turned and moved.

        Args:
            other: What to append.
            position: (3,) where its origin goes, metres.
            yaw: rad.
            scale: Factor, or one per axis.
            pitch: rad.
            roll: rad.
        """
        R = rotation_from_angles(yaw, pitch, roll)
        vertices = (other.vertices_m * np.asarray(scale, np.float64)) @ R.T + np.asarray(position, np.float64)
        normals = other.normals @ R.T
        self.add(vertices, other.triangles, other.class_ids, other.material_ids, normals, other.uv_m, other.name_ids)

    def mesh(self, name_id: int | None = None) -> Mesh:
        """Everything collected so far, as one mesh.

        Args:
            name_id: Name of what was appended without one; None = its class.
        """
        if not self._vertices:
            none = np.zeros((0, 3), np.float32)
            empty = np.zeros(0, np.int32)
            labels = empty.astype(np.uint8)
            return Mesh(none, np.zeros((0, 3), np.int32), labels, labels, empty, none, none[:, :2])
        return Mesh(
            np.concatenate(self._vertices).astype(np.float32),
            np.concatenate(self._triangles).astype(np.int32),
            np.concatenate(self._classes).astype(np.uint8),
            np.concatenate([self._own_names(i, name_id) for i in range(len(self._names))]),
            np.concatenate(self._materials).astype(np.int32),
            np.concatenate(self._normals).astype(np.float32),
            np.concatenate(self._uv).astype(np.float32),
        )

    def _own_names(self, i: int, name_id: int | None) -> np.ndarray:
        """Names of the triangles of the i-th shape."""
        names, classes = self._names[i], self._classes[i]
        if names is not None:
            return names
        return classes if name_id is None else np.full_like(classes, name_id)


def smooth_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(V, 3) unit normals: area-weighted mean of the triangles around each vertex."""
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    face = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for i in range(3):
        np.add.at(normals, triangles[:, i], face)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


@lru_cache(maxsize=4)
def icosphere(detail: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit sphere of 20 * 4^detail nearly equal triangles: (V, 3) vertices, (T, 3) indices."""
    g = (1 + math.sqrt(5)) / 2
    corners = [(-1, g, 0), (1, g, 0), (-1, -g, 0), (1, -g, 0), (0, -1, g), (0, 1, g), (0, -1, -g), (0, 1, -g)]
    vertices = [np.array(v) / math.hypot(1, g) for v in [*corners, (g, 0, -1), (g, 0, 1), (-g, 0, -1), (-g, 0, 1)]]
    faces = [
        (0, 11, 5), (0, 5, 1), (0, 1, 7), (0, 7, 10), (0, 10, 11), (1, 5, 9), (5, 11, 4), (11, 10, 2), (10, 7, 6),
        (7, 1, 8), (3, 9, 4), (3, 4, 2), (3, 2, 6), (3, 6, 8), (3, 8, 9), (4, 9, 5), (2, 4, 11), (6, 2, 10),
        (8, 6, 7), (9, 8, 1),
    ]  # fmt: skip
    for _ in range(detail):
        middle: dict[tuple[int, int], int] = {}

        def between(i: int, j: int, middle: dict[tuple[int, int], int] = middle) -> int:
            key = (min(i, j), max(i, j))
            if key not in middle:
                point = vertices[i] + vertices[j]
                vertices.append(point / np.linalg.norm(point))
                middle[key] = len(vertices) - 1
            return middle[key]

        finer = []
        for a, b, c in faces:
            ab, bc, ca = between(a, b), between(b, c), between(c, a)
            finer += [(a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca)]
        faces = finer
    return np.array(vertices), np.array(faces)
