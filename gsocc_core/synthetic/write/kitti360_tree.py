# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Synthetic drives in the layout of SSCBench-KITTI360: pictures, calibration, poses and voxel labels."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from gsocc_core.data.kitti360_index import CAMERA_NAMES, PERIOD_NS, PICTURES, STEP
from gsocc_core.data.sscbench_labels import SSCBENCH_GRID, SSCBENCH_KITTI360, write_sscbench
from gsocc_core.data.view_label_files import encode_classes, encode_depth, write_folder_content
from gsocc_core.errors import ConfigError
from gsocc_core.geometry.classes import OCC3D_NUSCENES
from gsocc_core.geometry.ray_traversal import trace
from gsocc_core.synthetic.render.camera import RenderedView, render_camera
from gsocc_core.synthetic.render.rays import cast_rays
from gsocc_core.synthetic.sensors.kitti360_car import Kitti360Car, make_car, write_calibration
from gsocc_core.synthetic.sensors.rig import lidar_directions
from gsocc_core.synthetic.world.scene import StreetScene
from gsocc_core.synthetic.world.street import build_street
from gsocc_core.synthetic.write.nuscenes_tree import Tables
from gsocc_core.synthetic.write.occupancy import OPEN_RAY_M, SurfaceMemory
from gsocc_core.synthetic.write.write_drive import LIDAR_RANGE_M, DriveOptions, scene_name, scene_seed

DEPTH_FOLDER, CLASSES_FOLDER = "depth", "classes"
_START = np.datetime64("2026-01-01T12:00:00.000000000", "ns")
#: Key frames whose rays tell what is known around another one, and how near they are.
_OBSERVERS, _OBSERVER_RANGE_M = 8, 60.0
_RAY_COLUMNS = 350  # of the rays that tell what is known: neighbours 0.2 m apart at 50 m
#: SSCBench's name of every Occ3D class.
_NAMES = {
    "others": "other_object", "barrier": "fence", "bus": "other_vehicle", "construction_vehicle": "other_vehicle",
    "pedestrian": "person", "traffic_cone": "other_object", "trailer": "other_vehicle", "driveable_surface": "road",
    "other_flat": "other_ground", "manmade": "building",
}  # fmt: skip


@dataclass(frozen=True)
class _Rays:
    """Rays of one key frame: world frame, metres; ``hits`` = the ray ends on a surface."""

    origins: np.ndarray
    ends: np.ndarray
    hits: np.ndarray


def sscbench_ids() -> np.ndarray:
    """(256,) uint8 SSCBench class id of every Occ3D id; sky and other ids without a class are free.

    Example:
        >>> [SSCBENCH_KITTI360.names[i] for i in sscbench_ids()[[0, 4, 11, 17, 255]]]
        ['other_object', 'car', 'road', 'free', 'free']
    """
    table = np.full(256, SSCBENCH_KITTI360.free_id, np.uint8)
    for i, name in enumerate(OCC3D_NUSCENES.names):
        table[i] = SSCBENCH_KITTI360.names.index(_NAMES.get(name, name))
    return table


def kitti360_key_frame_count(duration_s: float) -> int:
    """Number of key frames in a drive, 2 per second.

    Raises:
        ConfigError: the drive is too short for one key frame, or longer than ten minutes.

    Example:
        >>> kitti360_key_frame_count(20.0)
        40
    """
    if not 0.1 <= duration_s <= 600:
        raise ConfigError("synthesize", "duration_s", "0.1 to 600 seconds", duration_s)
    return (_frame_count(duration_s) - 1) // STEP + 1


def _frame_count(duration_s: float) -> int:
    return int(round(duration_s * 1e9) // PERIOD_NS)


def write_kitti360_drive(root: Path, options: DriveOptions, index: int, on_key_frame: Callable[[], object]) -> Tables:
    """Write pictures, poses, stamps and labels of one drive.

    Args:
        root: Root of the tree.
        options: What to write.
        index: Number of the drive within its seed.
        on_key_frame: Called once per key frame whose pictures are complete.

    Returns:
        Nothing: this layout has no tables.
    """
    _Drive(root, options, index).write(on_key_frame)
    return {}


def write_kitti360_shared(root: Path, options: DriveOptions, splits: Mapping[str, Sequence[str]]) -> None:
    """Write what all drives share: calibration, ``splits.json``, and what the label folders hold.

    Args:
        root: Root of the tree.
        options: What was written.
        splits: Drives per split, for instance train and val.
    """
    write_calibration(root, make_car(options.image_scale))
    text = json.dumps({name: list(drives) for name, drives in splits.items()}, indent=1)
    (root / "splits.json").write_text(text + "\n", encoding="utf-8")
    if options.pseudo_labels:
        for folder in (DEPTH_FOLDER, CLASSES_FOLDER):
            write_folder_content(root / folder, {"cameras": list(CAMERA_NAMES)})


class _Drive:
    """The street and car of one drive, and what its readings have shown so far."""

    def __init__(self, root: Path, options: DriveOptions, index: int) -> None:
        self.root, self.options, self.name = root, options, scene_name(options.seed, index)
        self.scene: StreetScene = build_street(scene_seed(options.seed, index), options.duration_s)
        self.car: Kitti360Car = make_car(options.image_scale)
        self.frames = range(_frame_count(options.duration_s))
        self.grid = replace(SSCBENCH_GRID, T_ego_grid=tuple(map(tuple, self.car.T_ego_velo.tolist())))
        self.rays: dict[int, _Rays] = {}
        if options.labels:
            poses = np.stack([self.scene.T_world_ego(self._time_s(n)) for n in self.frames[::STEP]])
            self.memory = SurfaceMemory(self.scene, poses, self.grid, spacing_m=0.05)

    def write(self, on_key_frame: Callable[[], object]) -> None:
        """Take all readings, then make the labels, which need all of them."""
        self._write_poses_and_stamps()
        for number in self.frames:
            is_key = number % STEP == 0
            if not is_key and not self.options.sweeps:
                continue
            views = self._take_pictures(number)
            if is_key and self.options.pseudo_labels:
                self._write_pseudo_labels(number, views)
            if is_key and self.options.labels:
                self._remember(number, views)
            if is_key:
                on_key_frame()
        if self.options.labels:
            for number in self.frames[::STEP]:
                write_sscbench(self.root / "preprocess/labels" / self.name, _frame(number), self._labels(number))

    def _time_s(self, number: int) -> float:
        return number * PERIOD_NS * 1e-9

    def _T_world_velo(self, number: int) -> np.ndarray:
        return self.scene.T_world_ego(self._time_s(number)) @ self.car.T_ego_velo

    def _write_poses_and_stamps(self) -> None:
        folder = self.root / PICTURES / self.name
        lines = []
        for number in self.frames:
            T_world_imu = self._T_world_velo(number) @ np.linalg.inv(self.car.T_imu_velo)
            lines.append(" ".join([str(number), *(f"{value:.12g}" for value in T_world_imu[:3].ravel())]))
        stamps = [str(_START + np.timedelta64(n * PERIOD_NS, "ns")).replace("T", " ") for n in self.frames]
        for camera in CAMERA_NAMES:
            (folder / camera).mkdir(parents=True)
            (folder / camera / "timestamps.txt").write_text("\n".join(stamps) + "\n", encoding="utf-8")
        (folder / "poses.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _take_pictures(self, number: int) -> list[RenderedView]:
        views = []
        for camera in self.car.cameras:
            T_world_cam = self._T_world_velo(number) @ camera.T_ego_cam
            size = camera.width, camera.height
            view = render_camera(self.scene, self._time_s(number), camera.intrinsics, T_world_cam, *size)
            folder = self.root / PICTURES / self.name / camera.name / "data_rect"
            folder.mkdir(exist_ok=True)
            Image.fromarray(view.rgb).save(folder / f"{_frame(number)}.png")
            views.append(view)
        return views

    def _write_pseudo_labels(self, number: int, views: Sequence[RenderedView]) -> None:
        ids = sscbench_ids()
        depth = encode_depth({name: view.depth_m for name, view in zip(CAMERA_NAMES, views)})
        classes = encode_classes({name: ids[view.class_ids] for name, view in zip(CAMERA_NAMES, views)})
        for folder, content in ((DEPTH_FOLDER, depth), (CLASSES_FOLDER, classes)):
            path = self.root / folder / self.name / f"{_frame(number)}.zip"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def _remember(self, number: int, views: Sequence[RenderedView]) -> None:
        """Mark the surfaces that the cameras and one LiDAR turn see, and keep their rays."""
        t_s, T_world_velo = self._time_s(number), self._T_world_velo(number)
        origins, ends, hits = [], [], []
        for camera, view in zip(self.car.cameras, views, strict=True):
            T_world_cam = T_world_velo @ camera.T_ego_cam
            self.memory.see_camera(camera.intrinsics, T_world_cam, t_s, view.depth_m)
            step = max(camera.width // _RAY_COLUMNS, 1)
            rows, columns = np.mgrid[0 : camera.height : step, 0 : camera.width : step]
            depth = view.depth_m[rows, columns].ravel()
            pixels = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5, np.ones(depth.size)], axis=-1)
            reach = np.where(depth > 0, depth, OPEN_RAY_M)[:, None]
            local = (pixels @ np.linalg.inv(camera.intrinsics).T) * reach
            ends.append(local @ T_world_cam[:3, :3].T + T_world_cam[:3, 3])
            origins.append(np.broadcast_to(T_world_cam[:3, 3], ends[-1].shape))
            hits.append(depth > 0)
        beams, _ = lidar_directions()
        directions = beams @ T_world_velo[:3, :3].T
        start = np.ascontiguousarray(np.broadcast_to(T_world_velo[:3, 3], directions.shape))
        found = cast_rays(self.scene, t_s, start, directions)
        hit = np.isfinite(found.distance_m) & (found.distance_m < LIDAR_RANGE_M)
        ends.append(start + directions * np.where(hit, found.distance_m, OPEN_RAY_M)[:, None])
        self.memory.see_lidar(ends[-1][hit], found.instance_ids[hit], t_s)
        self.memory.end_moment()
        origins.append(start)
        hits.append(hit)
        self.rays[number] = _Rays(*(np.concatenate(parts) for parts in (origins, ends, hits)))

    def _labels(self, number: int) -> np.ndarray:
        """(256, 256, 32) uint8 labels of one key frame; what no ray of the drive reached has none."""
        T_world_ego = self.scene.T_world_ego(self._time_s(number))
        found = self.memory.labels(T_world_ego, self._time_s(number))
        T_ego_world = np.linalg.inv(T_world_ego)
        known = np.zeros(self.grid.shape, bool)
        for other in self._observers(number):
            rays = self.rays[other]
            origins, ends = (p @ T_ego_world[:3, :3].T + T_ego_world[:3, 3] for p in (rays.origins, rays.ends))
            known |= trace(origins, ends, rays.hits, self.grid).astype(bool)
        labels = sscbench_ids()[found]
        labels[(found == self.scene.kind.classes.free_id) & ~known] = SSCBENCH_KITTI360.ignore_id
        return labels

    def _observers(self, number: int) -> list[int]:
        """The key frame itself and others around it, evenly spread."""
        here = self._T_world_velo(number)[:3, 3]
        near = [n for n in self.rays if np.linalg.norm(self._T_world_velo(n)[:3, 3] - here) < _OBSERVER_RANGE_M]
        picks = np.unique(np.linspace(0, len(near) - 1, min(_OBSERVERS, len(near))).round().astype(int))
        return sorted({number, *(near[i] for i in picks)})


def _frame(number: int) -> str:
    return f"{number:06d}"
