# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""One synthetic drive: build its street, take every reading, write all files, return the rows of the tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from gsocc_core.data.names import NAMES_FOLDER, KeyFrameNames, write_names
from gsocc_core.data.occ3d import OCC3D_FOLDER, write_occ3d
from gsocc_core.data.surroundocc import label_file, surroundocc_grid, write_surroundocc
from gsocc_core.geometry.cameras import Camera
from gsocc_core.geometry.ray_traversal import trace
from gsocc_core.synthetic.render.camera import render_camera
from gsocc_core.synthetic.render.rays import cast_rays
from gsocc_core.synthetic.sensors.rig import CAMERA_NAMES, LIDAR_NAME, Rig, lidar_directions, make_rig, small_rig
from gsocc_core.synthetic.sensors.schedule import Schedule, Shot, make_schedule
from gsocc_core.synthetic.world.plain import build_plain
from gsocc_core.synthetic.world.scene import StreetScene
from gsocc_core.synthetic.world.street import build_street
from gsocc_core.synthetic.write.annotations import BoxObserver
from gsocc_core.synthetic.write.map_picture import drivable_mask
from gsocc_core.synthetic.write.meanings import World
from gsocc_core.synthetic.write.nuscenes_tree import (
    DriveRecord,
    Tables,
    map_filename,
    sample_token,
    scene_tables,
    shot_filename,
)
from gsocc_core.synthetic.write.occupancy import OPEN_RAY_M, SurfaceMemory
from gsocc_core.synthetic.write.pseudo_labels import write_pseudo_labels
from gsocc_core.synthetic.write.surroundocc_labels import SURROUNDOCC_FOLDER, surroundocc_labels

JPEG_QUALITY = 90
#: Returns farther than this are lost, metres.
LIDAR_RANGE_M = 100.0
_LIDAR_NOISE_M = 0.002
_MEMORY_WIDTH = 400  # columns of the depth pictures that mark seen surfaces
_MASK_WIDTH = 200  # columns of the rays behind mask_camera: neighbours 0.25 m apart at 40 m
_EPOCH_S = 1_600_000_000


@dataclass(frozen=True)
class DriveOptions:
    """What to write for every drive; see :func:`gsocc_core.synthetic.synthesize.synthesize`."""

    seed: int = 0
    image_scale: float = 1.0
    sweeps: bool = True
    duration_s: float = 20.0
    labels: bool = True
    pseudo_labels: bool = True
    surroundocc: bool = False
    world: World = "detailed"
    lidar_sweeps: bool = True
    names: bool = False
    frames: int = 24
    picture_size: tuple[int, int] = (112, 112)


@dataclass(frozen=True)
class _Rays:
    """Rays of one sensor at one key frame: world frame, metres; ``hits`` = the ray ends on a surface."""

    origins: np.ndarray
    ends: np.ndarray
    hits: np.ndarray


def scene_name(seed: int, index: int) -> str:
    """Name of a drive.

    Example:
        >>> scene_name(7, 3)
        'synthetic-7-0003'
    """
    return f"synthetic-{seed}-{index:04d}"


def scene_seed(seed: int, index: int) -> int:
    """Seed of the street of one drive: depends on nothing but ``seed`` and ``index``."""
    return int(np.random.SeedSequence([seed, index]).generate_state(1)[0])


def write_drive(root: Path, options: DriveOptions, index: int, on_key_frame: Callable[[], object]) -> Tables:
    """Write all files of one drive.

    Args:
        root: Root of the tree.
        options: What to write.
        index: Number of the drive within its seed.
        on_key_frame: Called once per key frame whose files are complete.

    Returns:
        The drive's rows of the tables.
    """
    return _DriveWriter(root, options, index).write(on_key_frame)


class _DriveWriter:
    """The street, rig and schedule of one drive, and what its readings have shown so far."""

    def __init__(self, root: Path, options: DriveOptions, index: int) -> None:
        self.root, self.options, self.name = root, options, scene_name(options.seed, index)
        street_seed = scene_seed(options.seed, index)
        plain = options.world == "plain"
        self.scene: StreetScene = (build_plain if plain else build_street)(street_seed, options.duration_s)
        rig_rng = np.random.default_rng([street_seed, 1])
        self.rig: Rig = (small_rig if plain else make_rig)(rig_rng, options.image_scale)
        start_us = (_EPOCH_S + 100_000 * (options.seed % 10_000) + 1000 * index) * 1_000_000
        self.schedule: Schedule = make_schedule(
            np.random.default_rng([street_seed, 2]), options.duration_s, start_us, options.sweeps,
            options.lidar_sweeps,
        )  # fmt: skip
        self.chart = drivable_mask(self.scene, 0.1)
        self.T_global_world = np.eye(4)  # the lower left corner of the map picture is the origin of the tables
        self.T_global_world[:2, 3] = -np.asarray(self.chart.origin_m)
        key_poses = np.stack([self._ego_pose(stamp) for stamp in self.schedule.key_stamps_us])
        self.memory = SurfaceMemory(self.scene, key_poses)
        self.memories = [self.memory] if options.labels or options.names else []
        if options.surroundocc:
            # A memory of its own: this grid reaches farther and lies in the LiDAR's frame.
            self.surround = SurfaceMemory(self.scene, key_poses, surroundocc_grid(self.rig.T_ego_lidar), 0.1)
            self.memories.append(self.surround)
        self.observer = BoxObserver(self.memory, len(key_poses))
        self.camera_rays: list[list[_Rays]] = [[] for _ in key_poses]
        self.lidar_rays: list[_Rays] = []
        self.visible: list[np.ndarray] = []
        self.name_pictures: list[dict[str, np.ndarray]] = [{} for _ in key_poses]
        self.street_seed = street_seed

    def write(self, on_key_frame: Callable[[], object]) -> Tables:
        """Take the readings in the order of time, then make the labels, which need all of them."""
        self._write_map()
        depth_m: dict[str, np.ndarray] = {}
        class_ids: dict[str, np.ndarray] = {}
        for number, shot in enumerate(self.schedule.shots):
            if shot.channel == LIDAR_NAME:
                self._take_lidar(shot)
            else:
                depth_m[shot.channel], class_ids[shot.channel] = self._take_picture(shot)
            if self._completes_key_frame(number):
                if self.options.pseudo_labels:
                    token = sample_token(self.name, shot.key_index)
                    write_pseudo_labels(self.root, self.name, token, depth_m, class_ids)
                self.visible.append(self.memory.end_moment())
                on_key_frame()
        for key_index in range(len(self.schedule.key_stamps_us)):
            if self.options.labels or self.options.names:
                self._write_labels(key_index)
            if self.options.surroundocc:
                self._write_surroundocc(key_index)
        return self._tables()

    def _completes_key_frame(self, number: int) -> bool:
        shots = self.schedule.shots
        following = shots[number + 1] if number + 1 < len(shots) else None
        return shots[number].is_key_frame and (
            following is None or not following.is_key_frame or following.key_index != shots[number].key_index
        )

    def _ego_pose(self, stamp_us: int) -> np.ndarray:
        return self.scene.T_world_ego(self.schedule.time_s(stamp_us))

    def _path(self, name: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _write_map(self) -> None:
        Image.fromarray(self.chart.raster).save(self._path(map_filename(self.name)), optimize=False)

    def _take_picture(self, shot: Shot) -> tuple[np.ndarray, np.ndarray]:
        """Write one picture; in key frames remember what it shows. Returns its depth and class pictures."""
        camera, t_s = self.rig.camera(shot.channel), self.schedule.time_s(shot.stamp_us)
        T_world_cam = self._ego_pose(shot.stamp_us) @ camera.T_ego_cam
        view = render_camera(self.scene, t_s, camera.intrinsics, T_world_cam, camera.width, camera.height)
        path = self._path(shot_filename(self.name, shot))
        Image.fromarray(view.rgb).save(path, format="JPEG", quality=JPEG_QUALITY)
        if shot.is_key_frame:
            self.name_pictures[shot.key_index][shot.channel] = view.name_ids
            self.observer.see_camera(shot.key_index, camera.intrinsics, T_world_cam, t_s, view.instance_ids)
            intrinsics, depth = _thinned(camera, view.depth_m, _MEMORY_WIDTH)
            for memory in self.memories:
                memory.see_camera(intrinsics, T_world_cam, t_s, depth)
            if self.options.labels:
                self.camera_rays[shot.key_index].append(_camera_rays(camera, view.depth_m, T_world_cam))
        return view.depth_m, view.class_ids

    def _take_lidar(self, shot: Shot) -> None:
        """Write one LiDAR turn (x, y, z, intensity, ring as float32); in key frames remember what it shows."""
        t_s = self.schedule.time_s(shot.stamp_us)
        rng = np.random.default_rng([self.street_seed, 3, shot.stamp_us - self.schedule.start_us])
        T_world_lidar = self._ego_pose(shot.stamp_us) @ self.rig.T_ego_lidar
        beams, rings = lidar_directions()
        directions = beams @ T_world_lidar[:3, :3].T
        origins = np.broadcast_to(T_world_lidar[:3, 3], directions.shape)
        found = cast_rays(self.scene, t_s, np.ascontiguousarray(origins), directions)
        hits = np.isfinite(found.distance_m) & (found.distance_m > 0) & (found.distance_m < LIDAR_RANGE_M)
        distance = found.distance_m[hits].astype(np.float64)
        noisy = distance + rng.normal(0.0, _LIDAR_NOISE_M, len(distance))
        intensity = (60.0 * rng.random(len(distance)) / (1.0 + distance / 20.0)).round()
        columns = [beams[hits] * noisy[:, None], intensity[:, None], rings[hits][:, None]]
        np.concatenate(columns, axis=1).astype("<f4").tofile(self._path(shot_filename(self.name, shot)))
        if shot.is_key_frame:
            self.observer.see_lidar(shot.key_index, found.instance_ids[hits])
            ends = origins + directions * np.where(hits, found.distance_m, OPEN_RAY_M)[:, None]
            for memory in self.memories:
                memory.see_lidar(ends[hits], found.instance_ids[hits], t_s)
            if self.options.labels:
                self.lidar_rays.append(_Rays(T_world_lidar[:3, 3], ends, hits))

    def _write_labels(self, key_index: int) -> None:
        stamp_us = self.schedule.key_stamps_us[key_index]
        T_world_ego, grid = self._ego_pose(stamp_us), self.memory.grid
        t_s = self.schedule.time_s(stamp_us)
        semantics = self.memory.labels(T_world_ego, t_s)
        token = sample_token(self.name, key_index)
        if self.options.names:
            voxels = self.memory.names(semantics, T_world_ego, t_s)
            pictures = np.stack([self.name_pictures[key_index][name] for name in CAMERA_NAMES])
            write_names(self.root / NAMES_FOLDER, self.name, token, KeyFrameNames(voxels, pictures))
        if not self.options.labels:
            return
        T_ego_world = np.linalg.inv(T_world_ego)
        masks = []
        for bundles in ([self.lidar_rays[key_index]], self.camera_rays[key_index]):
            ends = np.concatenate([rays.ends for rays in bundles]) @ T_ego_world[:3, :3].T + T_ego_world[:3, 3]
            origins = np.concatenate([np.broadcast_to(rays.origins, rays.ends.shape) for rays in bundles])
            origins = origins @ T_ego_world[:3, :3].T + T_ego_world[:3, 3]
            masks.append(trace(origins, ends, np.concatenate([rays.hits for rays in bundles]), grid))
        masks[1] |= self.memory.visible_voxels(self.visible[key_index], T_world_ego, t_s)
        folder = self.root / OCC3D_FOLDER / self.name / token
        write_occ3d(folder, semantics, mask_lidar=masks[0], mask_camera=masks[1])

    def _write_surroundocc(self, key_index: int) -> None:
        stamp_us = self.schedule.key_stamps_us[key_index]
        labels = self.surround.labels(self._ego_pose(stamp_us), self.schedule.time_s(stamp_us))
        shot = next(s for s in self.schedule.channel(LIDAR_NAME) if s.stamp_us == stamp_us)
        path = label_file(self.root / SURROUNDOCC_FOLDER, shot_filename(self.name, shot))
        write_surroundocc(path, surroundocc_labels(labels))

    def _tables(self) -> Tables:
        times = np.array([self.schedule.time_s(stamp) for stamp in self.schedule.key_stamps_us])
        generator = f"gsocc synthetic generator {self.scene.kind.version}"
        record = DriveRecord(
            name=self.name,
            description=f"{self.scene.description} ({generator})".strip(),
            generator=generator,
            rig=self.rig,
            schedule=self.schedule,
            T_global_ego=[self.T_global_world @ self._ego_pose(shot.stamp_us) for shot in self.schedule.shots],
            notes=self.observer.notes(times, self.T_global_world),
        )
        return scene_tables(record)


def _thinned(camera: Camera, depth_m: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Every n-th pixel of a depth picture, at least ``width`` columns if it has them, and the intrinsics that fit."""
    step = max(depth_m.shape[1] // width, 1)
    first = step // 2
    intrinsics = camera.intrinsics.copy()
    # Kept pixel i is the picture's pixel first + i * step; both have their centre at + 0.5.
    intrinsics[:2, 2] = (intrinsics[:2, 2] - first - 0.5) / step + 0.5
    intrinsics[:2, :2] /= step
    return intrinsics, depth_m[first::step, first::step]


def _camera_rays(camera: Camera, depth_m: np.ndarray, T_world_cam: np.ndarray) -> _Rays:
    intrinsics, depth = _thinned(camera, depth_m, _MASK_WIDTH)
    rows, columns = (grid.ravel() + 0.5 for grid in np.indices(depth.shape))
    directions = np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ np.linalg.inv(intrinsics).T
    hits = depth.ravel() > 0
    reach = np.where(hits, depth.ravel(), OPEN_RAY_M)
    ends = (directions * reach[:, None]) @ T_world_cam[:3, :3].T + T_world_cam[:3, 3]
    return _Rays(T_world_cam[:3, 3], ends.astype(np.float32), hits)
