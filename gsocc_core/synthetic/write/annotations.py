# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Which actors of a drive get a box at which key frame, and how well they are seen there."""

from __future__ import annotations

import numpy as np

from gsocc_core.synthetic.write.nuscenes_tree import BoxNote
from gsocc_core.synthetic.write.occupancy import SurfaceMemory

_PROBES = 64
_MIN_VISIBLE = 0.05
_NEAR_M, _FAR_M = 0.1, 80.0


class BoxObserver:
    """Counts, key frame by key frame, how much of every actor the sensors see.

    A few points of each actor's surface are projected into the instance pictures; a point counts as visible when the
    pixel belongs to the actor, so an object does not hide itself.

    Args:
        memory: Holds the street, its surface samples and the actors' poses.
        key_count: Number of key frames.
    """

    def __init__(self, memory: SurfaceMemory, key_count: int) -> None:
        self.memory, self.scene = memory, memory.scene
        samples, actors = memory.samples, len(memory.scene.actors)
        bodies = np.repeat(samples.tile_bodies, np.diff(samples.tile_starts))
        self._probes = np.zeros((actors, _PROBES, 3))
        for index in range(actors):
            first, last = np.searchsorted(bodies, [index + 1, index + 2])
            if first < last:
                picks = np.linspace(first, last - 1, _PROBES).astype(np.int64)
                self._probes[index] = samples.points_m[picks]
        self._lidar_points = np.zeros((key_count, actors), np.int64)
        self._inside = np.zeros((key_count, actors), np.int64)
        self._visible = np.zeros((key_count, actors), np.int64)

    def see_camera(
        self, key_index: int, intrinsics: np.ndarray, T_world_cam: np.ndarray, t_s: float, instance_ids: np.ndarray
    ) -> None:
        """Add one picture of a key frame.

        Args:
            key_index: Key frame.
            intrinsics: (3, 3) pixels.
            T_world_cam: (4, 4) pose of the optical frame.
            t_s: Drive time of the picture, seconds.
            instance_ids: (H, W) actor index per pixel, negative = none.
        """
        if not self.scene.actors:
            return
        T = np.linalg.inv(T_world_cam) @ self.memory.T_world_bodies(t_s)[1:]
        points = self._probes @ T[:, :3, :3].transpose(0, 2, 1) + T[:, None, :3, 3]
        depth = points[..., 2]
        pixels = points @ intrinsics.T
        pixels = np.floor(pixels[..., :2] / np.maximum(depth, _NEAR_M)[..., None]).clip(-1, 1e6).astype(np.int64)
        u, v = pixels[..., 0], pixels[..., 1]
        height, width = instance_ids.shape
        inside = (depth > _NEAR_M) & (depth < _FAR_M) & (u >= 0) & (u < width) & (v >= 0) & (v < height)
        found = instance_ids[v.clip(0, height - 1), u.clip(0, width - 1)] == np.arange(len(T))[:, None]
        self._inside[key_index] += inside.sum(1)
        self._visible[key_index] += (inside & found).sum(1)

    def see_lidar(self, key_index: int, instance_ids: np.ndarray) -> None:
        """Add the LiDAR turn of a key frame: (N,) actor index per return, negative = none."""
        actors = instance_ids[instance_ids >= 0]
        self._lidar_points[key_index] += np.bincount(actors, minlength=len(self.scene.actors))

    def notes(self, key_times_s: np.ndarray, T_global_world: np.ndarray) -> list[BoxNote]:
        """Annotations: every actor from the first to the last key frame in which some sensor sees it.

        Args:
            key_times_s: (K,) drive times of the key frames.
            T_global_world: (4, 4) pose of the street's world in the global frame of the tables.

        Returns:
            Notes ordered by key frame, then actor.
        """
        fraction = self._visible / np.maximum(self._inside, 1)
        noticed = (self._lidar_points > 0) | (fraction > _MIN_VISIBLE)
        notes = []
        for key_index, t_s in enumerate(key_times_s):
            poses = self.scene.T_world_actors(float(t_s))
            for actor in self.scene.actors:
                i = actor.instance_index
                if noticed[: key_index + 1, i].any() and noticed[key_index:, i].any():
                    T = T_global_world @ poses[i]
                    points = int(self._lidar_points[key_index, i])
                    notes.append(BoxNote(actor, key_index, T, points, float(fraction[key_index, i])))
        return notes
