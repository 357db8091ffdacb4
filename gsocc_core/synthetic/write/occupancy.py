# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Voxel labels of a synthetic drive: visible surfaces accumulated over the whole drive, at every key frame.

The surfaces of the street and of every actor are sampled once. Each sensor reading marks the samples that it sees; at a
key frame the marked samples vote for the class of their voxel, actors at their pose of that moment. What no sensor sees
during the drive (interiors, the far side of buildings) therefore stays free, as in labels made from LiDAR sweeps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import maximum_filter

from gsocc_core.geometry.ray_traversal import T_voxel_ego
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.synthetic.world.paint import PaintedNames
from gsocc_core.synthetic.world.scene import Mesh, StreetScene
from gsocc_core.synthetic.write import occupancy_kernels as kernels

#: Length of rays that hit nothing, metres: longer than the way out of the grid.
OPEN_RAY_M = 130.0
_TILE_M = 6.0
_CAMERA_RANGE_M = 70.0
_STATIC_CELL_M, _ACTOR_CELL_M = 0.4, 0.2


@dataclass(frozen=True, eq=False)
class SurfaceSamples:
    """Points on the surfaces of all bodies: body 0 is the street, body i + 1 is actor i.

    Attributes:
        points_m: (N, 3) float32, each in its body's frame (street: world), sorted by tile.
        class_ids: (N,) uint8.
        name_ids: (N,) uint8.
        tile_starts: (M + 1,) int64 first sample of every tile.
        tile_bodies: (M,) int64 body of every tile.
        tile_centers_m: (M, 3) float64 centre of every tile, body frame.
        tile_radii_m: (M,) float64 sphere around the centre that holds the tile's samples.
    """

    points_m: np.ndarray
    class_ids: np.ndarray
    name_ids: np.ndarray
    tile_starts: np.ndarray
    tile_bodies: np.ndarray
    tile_centers_m: np.ndarray
    tile_radii_m: np.ndarray


def sample_mesh(
    mesh: Mesh, spacing_m: float, T_voxel_world: np.ndarray | None = None, shape: tuple[int, int, int] = (0, 0, 0)
) -> tuple[np.ndarray, np.ndarray]:
    """Points on a mesh, neighbours at most ``spacing_m`` apart.

    Args:
        mesh: Triangles.
        spacing_m: Largest distance, metres.
        T_voxel_world: (K, 4, 4) affine maps into the voxel units of K grids; points outside all of them are left out.
            None = keep all points.
        shape: Voxels of those grids along each axis.

    Returns:
        (N, 3) float32 points in the mesh's frame, metres, and (N,) int32 triangle of each.
    """
    corners = mesh.vertices_m.astype(np.float64)[mesh.triangles]
    grids = np.zeros((0, 4, 4)) if T_voxel_world is None else np.ascontiguousarray(T_voxel_world)
    limits = np.asarray(shape, np.int64)
    points, triangles = np.zeros((0, 3), np.float32), np.zeros(0, np.int32)
    count = kernels.sample_triangles(corners, spacing_m, grids, limits, points, triangles)
    if count:
        points, triangles = np.empty((count, 3), np.float32), np.empty(count, np.int32)
        kernels.sample_triangles(corners, spacing_m, grids, limits, points, triangles)
    return points, triangles


class SurfaceMemory:
    """Which surfaces the sensors of one drive have seen so far, and the voxel labels that follow from it.

    Args:
        scene: The street or plain world.
        T_world_ego: (K, 4, 4) float64 ego poses at the key frames; only surfaces inside one of their grids are kept.
        grid: Label grid in the ego frame; None = that of the scene's world.
        spacing_m: Distance of the surface samples; None = a quarter of a voxel, which is safe.

    Example:
        ``memory.see_camera(...)`` and ``memory.see_lidar(...)`` for all readings first, then ``memory.labels(...)``
        per key frame.
    """

    def __init__(
        self,
        scene: StreetScene,
        T_world_ego: np.ndarray,
        grid: VoxelGrid | None = None,
        spacing_m: float | None = None,
    ) -> None:
        self.scene, self.grid = scene, scene.kind.grid if grid is None else grid
        spacing_m = min(self.grid.size_m) / 4 if spacing_m is None else spacing_m
        T_voxel_world = T_voxel_ego(self.grid) @ np.linalg.inv(np.asarray(T_world_ego, np.float64))
        points, triangles = sample_mesh(scene.static, spacing_m, T_voxel_world, self.grid.shape)
        labels = _labels(scene.static, triangles)
        painted = PaintedNames(scene.static, scene.materials, scene.paint)
        x, y = points[:, :2].astype(np.float64).T
        painted.rename(painted.road_of[triangles], x, y, labels[1])
        bodies = [(points, labels)]
        for actor in scene.actors:
            points, triangles = sample_mesh(actor.mesh, spacing_m)
            bodies.append((points, _labels(actor.mesh, triangles)))
        self.samples = _collect(bodies)
        self.seen = np.zeros(len(self.samples.points_m), np.uint8)
        self._visible = np.zeros_like(self.seen)
        self._layout_cells()
        classes = scene.kind.classes
        # Samples of flat ground count half, so that small things standing on it keep their voxel.
        flat = np.isin(np.arange(max(len(classes.names), 1)), scene.kind.flat_ids)
        self._weights = np.where(flat, 1, 2).astype(np.uint8)
        self._votes = np.zeros((*self.grid.shape, len(self._weights)), np.uint16)

    def _layout_cells(self) -> None:
        """Cells in which LiDAR returns are remembered: one dense box of flags per body."""
        s = self.samples
        bodies = 1 + len(self.scene.actors)
        self._lower, upper = np.zeros((bodies, 3)), np.zeros((bodies, 3))
        sample_bodies = np.repeat(s.tile_bodies, np.diff(s.tile_starts))
        for body in range(bodies):
            first, last = np.searchsorted(sample_bodies, [body, body + 1])
            if first < last:
                self._lower[body] = s.points_m[first:last].min(0) - 0.01
                upper[body] = s.points_m[first:last].max(0) + 0.01
        self._cell_m = np.where(np.arange(bodies) == 0, _STATIC_CELL_M, _ACTOR_CELL_M)
        self._counts = np.ceil((upper - self._lower) / self._cell_m[:, None]).astype(np.int64).clip(min=1)
        self._starts = np.concatenate([[0], np.cumsum(self._counts.prod(1))])
        self._cells = np.zeros(self._starts[-1], np.uint8)
        self._cells_pending = False

    def see_camera(self, intrinsics: np.ndarray, T_world_cam: np.ndarray, t_s: float, depth_m: np.ndarray) -> None:
        """Mark what one camera sees.

        A sample counts as seen when it is not farther than the farthest of the 3 x 3 pixels around its projection, so
        that surfaces at grazing angles are complete whatever the resolution.

        Args:
            intrinsics: (3, 3) pixels, of the depth picture's size.
            T_world_cam: (4, 4) pose of the optical frame.
            t_s: Drive time of the picture, seconds.
            depth_m: (H, W) float32 depth along the optical axis, 0 = sky.
        """
        far = maximum_filter(np.where(depth_m > 0, depth_m, np.inf).astype(np.float32), size=3, mode="nearest")
        T_cam_body = np.linalg.inv(T_world_cam) @ self.T_world_bodies(t_s)
        s = self.samples
        kernels.mark_seen_by_camera(
            s.points_m, self._visible, s.tile_starts, s.tile_bodies, s.tile_centers_m, s.tile_radii_m,
            T_cam_body, np.asarray(intrinsics, np.float64), far, _CAMERA_RANGE_M,
        )  # fmt: skip

    def end_moment(self) -> np.ndarray:
        """Close a moment, for instance a key frame.

        Returns:
            Bits (``np.packbits``) of the samples that the cameras have seen since the last moment was closed, for
            :meth:`visible_voxels`.
        """
        bits = np.packbits(self._visible)
        self.seen |= self._visible
        self._visible[:] = 0
        return bits

    def see_lidar(self, points_world_m: np.ndarray, instance_ids: np.ndarray, t_s: float) -> None:
        """Mark what one LiDAR turn sees: samples that share a small cell with a return from the same body.

        Args:
            points_world_m: (N, 3) returns.
            instance_ids: (N,) actor index of every return, -1 = street.
            t_s: Drive time of the turn, seconds.
        """
        kernels.mark_cells(
            np.ascontiguousarray(points_world_m, np.float64), instance_ids.astype(np.int64) + 1,
            np.linalg.inv(self.T_world_bodies(t_s)),
            self._lower, self._counts, self._starts, self._cell_m, self._cells,
        )  # fmt: skip
        self._cells_pending = True

    def labels(self, T_world_ego: np.ndarray, t_s: float) -> np.ndarray:
        """Class of every voxel at one moment.

        Args:
            T_world_ego: (4, 4) ego pose at that moment.
            t_s: Drive time, seconds.

        Returns:
            (X, Y, Z) uint8 ids of the scene's class table.
        """
        s = self.samples
        self.end_moment()
        if self._cells_pending:
            kernels.mark_seen_in_cells(
                s.points_m, self.seen, s.tile_starts, s.tile_bodies,
                self._lower, self._counts, self._starts, self._cell_m, self._cells,
            )  # fmt: skip
            self._cells_pending = False
        T_voxel_body = self._T_voxel_bodies(T_world_ego, t_s)
        labels = np.full(self.grid.shape, kernels.NOTHING, np.uint8)
        kernels.vote(
            s.points_m, s.class_ids, self.seen, s.tile_starts, s.tile_bodies, s.tile_centers_m,
            s.tile_radii_m / min(self.grid.size_m), T_voxel_body, self._weights, self._votes, labels,
        )  # fmt: skip
        labels[labels == kernels.NOTHING] = self.scene.kind.classes.free_id
        return labels

    def names(self, labels: np.ndarray, T_world_ego: np.ndarray, t_s: float) -> np.ndarray:
        """Name of every voxel at the moment of :meth:`labels`.

        Args:
            labels: (X, Y, Z) uint8 class ids, what :meth:`labels` returned.
            T_world_ego: (4, 4) ego pose at that moment.
            t_s: Drive time, seconds.

        Returns:
            (X, Y, Z) uint8 ids of the scene's table of names, 255 = no surface.
        """
        s, found = self.samples, np.full(self.grid.shape, kernels.NOTHING, np.uint8)
        kernels.name_voxels(
            s.points_m, s.class_ids, s.name_ids, self.seen, s.tile_starts, s.tile_bodies,
            self._T_voxel_bodies(T_world_ego, t_s), labels, found, np.zeros(self.grid.shape, np.uint16),
        )  # fmt: skip
        return found

    def visible_voxels(self, bits: np.ndarray, T_world_ego: np.ndarray, t_s: float) -> np.ndarray:
        """Voxels with a surface that the cameras saw in one moment.

        Rays through pixels leave gaps on surfaces at grazing angles, such as the road far ahead; this does not.

        Args:
            bits: What :meth:`end_moment` returned.
            T_world_ego: (4, 4) ego pose that the grid belongs to.
            t_s: Drive time of the grid, seconds.

        Returns:
            (X, Y, Z) uint8, 1 = holds a visible surface.
        """
        s, mask = self.samples, np.zeros(self.grid.shape, np.uint8)
        flags = np.unpackbits(bits, count=len(s.points_m))
        T_voxel_body = self._T_voxel_bodies(T_world_ego, t_s)
        kernels.mark_voxels(s.points_m, flags, s.tile_starts, s.tile_bodies, T_voxel_body, mask)
        return mask

    def _T_voxel_bodies(self, T_world_ego: np.ndarray, t_s: float) -> np.ndarray:
        return T_voxel_ego(self.grid) @ np.linalg.inv(T_world_ego) @ self.T_world_bodies(t_s)

    def T_world_bodies(self, t_s: float) -> np.ndarray:
        """(B, 4, 4) float64 poses of all bodies at a drive time in seconds."""
        return np.concatenate([np.eye(4)[None], self.scene.T_world_actors(t_s)])


def _labels(mesh: Mesh, triangles: np.ndarray) -> np.ndarray:
    """(2, N) uint8 classes and names of triangles."""
    return np.stack([mesh.class_ids[triangles], mesh.name_ids[triangles]])


def _collect(bodies: list[tuple[np.ndarray, np.ndarray]]) -> SurfaceSamples:
    """Sort each body's samples into square tiles, so that whole tiles can be skipped."""
    points, labels, sizes, tile_bodies, centers, radii = [], [], [], [], [], []
    for body, (unsorted, unsorted_labels) in enumerate(bodies):
        if not len(unsorted):
            continue
        plan = np.floor((unsorted[:, :2] - unsorted[:, :2].min(0)) / _TILE_M).astype(np.int64)
        keys = plan[:, 0] * (plan[:, 1].max() + 1) + plan[:, 1]
        order = np.argsort(keys, kind="stable")
        body_points = unsorted[order]
        starts = np.concatenate([[0], np.flatnonzero(np.diff(keys[order])) + 1])
        low, high = np.minimum.reduceat(body_points, starts), np.maximum.reduceat(body_points, starts)
        points.append(body_points)
        labels.append(unsorted_labels[:, order])
        sizes.append(np.diff(starts, append=len(body_points)))
        tile_bodies.append(np.full(len(starts), body, np.int64))
        centers.append((low.astype(np.float64) + high) / 2)
        radii.append(np.linalg.norm(high.astype(np.float64) - low, axis=1) / 2 + 1e-3)
    if not points:
        empty = np.zeros(0, np.int64)
        return SurfaceSamples(
            np.zeros((0, 3), np.float32), np.zeros(0, np.uint8), np.zeros(0, np.uint8), np.zeros(1, np.int64), empty,
            np.zeros((0, 3)), np.zeros(0),
        )  # fmt: skip
    class_ids, name_ids = np.concatenate(labels, axis=1)
    return SurfaceSamples(
        points_m=np.concatenate(points),
        class_ids=class_ids,
        name_ids=name_ids,
        tile_starts=np.concatenate([[0], np.cumsum(np.concatenate(sizes))]),
        tile_bodies=np.concatenate(tile_bodies),
        tile_centers_m=np.concatenate(centers),
        tile_radii_m=np.concatenate(radii),
    )
