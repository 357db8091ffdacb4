# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Voxels as triangles: one mesh per class, of its visible faces only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gsocc_core.geometry.voxels import SemanticGrid
from gsocc_core.viewer.kernels import merge_faces

#: Corners of a rectangle, as (use a1, use b1), counter-clockwise when a, b and the normal are right-handed.
_CORNERS = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
_GUESS = 16_384


@dataclass(frozen=True, eq=False)
class TriangleMesh:
    """Triangles of one colour.

    Attributes:
        vertices_m: (V, 3) float32 metres, ego frame.
        faces: (F, 3) uint32 vertex numbers, counter-clockwise seen from outside.
        voxels: How many voxels the triangles enclose.
    """

    vertices_m: np.ndarray
    faces: np.ndarray
    voxels: int


def voxel_meshes(grid: SemanticGrid) -> dict[int, TriangleMesh]:
    """The outer faces of each class, merged into rectangles.

    Faces between voxels of one class are left out; faces between two classes stay, so that hiding a class leaves
    no holes in its neighbours.

    Args:
        grid: Labels (X, Y, Z).

    Returns:
        A mesh per class id that is there; free and unlabelled voxels have none.

    Example:
        >>> import torch
        >>> from gsocc_core import OCC3D_NUSCENES, VoxelGrid
        >>> box = VoxelGrid((0.0, 0.0, 0.0), (4.0, 4.0, 2.0), 1.0)
        >>> labels = torch.full(box.shape, 17, dtype=torch.uint8)
        >>> labels[1:3, 1:3, 0] = 4
        >>> meshes = voxel_meshes(SemanticGrid(labels, box, OCC3D_NUSCENES))
        >>> {i: (mesh.voxels, len(mesh.faces)) for i, mesh in meshes.items()}
        {4: (4, 12)}
    """
    labels = grid.labels.cpu().numpy()
    free, ignored = grid.classes.free_id, grid.classes.ignore_id
    counts = np.bincount(labels.reshape(-1), minlength=256)
    if counts[ignored]:
        labels = np.where(labels == ignored, np.uint8(free), labels)
    rectangles = _rectangles(np.ascontiguousarray(labels), free)
    vertices, faces = _triangles(rectangles, grid)
    order = np.argsort(rectangles[:, 0], kind="stable")
    ids, starts = np.unique(rectangles[order, 0], return_index=True)
    meshes = {}
    for label, part in zip(ids.tolist(), np.split(order, starts[1:])):
        local = (np.arange(len(part), dtype=np.uint32)[:, None, None] * 4 + faces[part]).reshape(-1, 3)
        meshes[label] = TriangleMesh(vertices[part].reshape(-1, 3), local, int(counts[label]))
    return meshes


def _rectangles(labels: np.ndarray, free: int) -> np.ndarray:
    rectangles = np.empty((_GUESS, 8), np.int32)
    count = merge_faces(labels, free, rectangles)
    if count > len(rectangles):
        rectangles = np.empty((count, 8), np.int32)
        merge_faces(labels, free, rectangles)
    return rectangles[:count]


def _triangles(rectangles: np.ndarray, grid: SemanticGrid) -> tuple[np.ndarray, np.ndarray]:
    """(R, 4, 3) float32 corners in the ego frame and (R, 2, 3) uint32 triangles of each rectangle's own corners."""
    axis, side = rectangles[:, 1], rectangles[:, 2]
    corners = np.empty((len(rectangles), 4, 3))
    rows = np.arange(len(rectangles))
    a_axis, b_axis = np.where(axis == 0, 1, 0), np.where(axis == 2, 1, 2)
    for k, (far_a, far_b) in enumerate(_CORNERS):
        corners[rows, k, axis] = rectangles[:, 3]
        corners[rows, k, a_axis] = rectangles[:, 4 + far_a]
        corners[rows, k, b_axis] = rectangles[:, 6 + far_b]
    T = grid.grid.T_ego_grid_matrix
    points = corners * np.asarray(grid.grid.size_m) + np.asarray(grid.grid.lower)
    points = (points @ T[:3, :3].T + T[:3, 3]).astype(np.float32)
    # (a, b, normal) is right-handed for x and z, left-handed for y; the lower side looks the other way.
    outward = (side == 1) != (axis == 1)
    front = np.array([[0, 1, 2], [0, 2, 3]], np.uint32)
    return points, np.where(outward[:, None, None], front, front[:, ::-1])
