# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Synthetic drives in the layout of DDAD: pictures, points, calibration, poses and masks of the own car."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from gsocc_core.data.args import DDAD_CAMERAS
from gsocc_core.data.protocol import write_protocol
from gsocc_core.data.view_label_files import encode_classes, encode_depth, write_folder_content
from gsocc_core.errors import ConfigError
from gsocc_core.synthetic.render.camera import RenderedView, render_camera
from gsocc_core.synthetic.render.rays import cast_rays
from gsocc_core.synthetic.sensors.ddad_car import (
    LIDAR_POSITION,
    LIDAR_RANGE_M,
    DdadCar,
    hits_body,
    make_ddad_car,
)
from gsocc_core.synthetic.sensors.rig import lidar_directions
from gsocc_core.synthetic.world.plain import build_plain
from gsocc_core.synthetic.world.scene import SKY, StreetScene
from gsocc_core.synthetic.world.street import build_street
from gsocc_core.synthetic.write.dgp_scene import (
    Json,
    cloud_datum,
    image_datum,
    write_calibration,
    write_data_set,
    write_scene,
)
from gsocc_core.synthetic.write.meanings import protocol_of_world
from gsocc_core.synthetic.write.nuscenes_tree import Tables
from gsocc_core.synthetic.write.write_drive import DriveOptions, scene_name, scene_seed

DEPTH_FOLDER, CLASSES_FOLDER, MASK_FOLDER = "depth", "classes", "mask"
#: From one sample to the next, and from the cameras' trigger to the LiDAR's stamp, in tenths of microseconds.
_STEP, _LIDAR_DELAY = 1_000_000, 90_000
_START = 16_000_000_000_000_000
_LIDAR_NOISE_M = 0.002
_BODY_COLOUR = (34, 37, 44)


def ddad_sample_count(duration_s: float) -> int:
    """Number of samples in a drive, 10 per second.

    Raises:
        ConfigError: the drive is too short for one, or longer than ten minutes.

    Example:
        >>> ddad_sample_count(10.0)
        100
    """
    if not 0.1 <= duration_s <= 600:
        raise ConfigError("synthesize", "duration_s", "0.1 to 600 seconds", duration_s)
    return int(round(duration_s * 1e7) // _STEP)


def write_ddad_drive(root: Path, options: DriveOptions, index: int, on_key_frame: Callable[[], object]) -> Tables:
    """Write pictures, points, masks and JSON files of one drive.

    Args:
        root: Root of the tree.
        options: What to write.
        index: Number of the drive within its seed.
        on_key_frame: Called once per sample that is complete.

    Returns:
        Nothing: this layout has no tables.
    """
    _Drive(root, options, index).write(on_key_frame)
    return {}


def write_ddad_shared(root: Path, options: DriveOptions, splits: Mapping[str, Sequence[str]]) -> None:
    """Write what all drives share: ``ddad.json``, what classes there are, and what the label folders hold.

    Args:
        root: Root of the tree.
        options: What was written.
        splits: Drives per split, train and val.
    """
    write_data_set(root, "ddad", splits)
    if options.world == "plain":
        write_protocol(root, protocol_of_world(options.world))
    if options.pseudo_labels:
        for folder in (DEPTH_FOLDER, CLASSES_FOLDER):
            write_folder_content(root / folder, {"cameras": list(DDAD_CAMERAS)})


class _Drive:
    """The street and car of one drive."""

    def __init__(self, root: Path, options: DriveOptions, index: int) -> None:
        self.root, self.options, self.name = root, options, scene_name(options.seed, index)
        self.seed, plain = scene_seed(options.seed, index), options.world == "plain"
        self.scene: StreetScene = (build_plain if plain else build_street)(self.seed, options.duration_s)
        self.car: DdadCar = make_ddad_car(options.image_scale, plain)
        self.start = _START + (options.seed % 10_000) * 10**12 + index * 10**10

    def write(self, on_key_frame: Callable[[], object]) -> None:
        """Take all readings in the order of time."""
        folder = self.root / self.name
        calibration = write_calibration(folder, self.car.cameras, np.eye(4))
        for name, mask in self.car.masks.items():
            picture = Image.fromarray(np.where(mask, 255, 0).astype(np.uint8))
            self._save(picture, f"{MASK_FOLDER}/{name}/{self.name}/mask")
        samples = []
        for number in range(ddad_sample_count(self.options.duration_s)):
            count = self.start + number * _STEP
            samples.append([self._take_points(count + _LIDAR_DELAY), *self._take_pictures(count)])
            on_key_frame()
        write_scene(folder, samples, calibration)

    def _time_s(self, count: int) -> float:
        return (count - self.start) * 1e-7

    def _save(self, picture: Image.Image, stem: str) -> None:
        path = self.root / f"{stem}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)

    def _take_pictures(self, count: int) -> list[Json]:
        t_s = self._time_s(count)
        views, data = {}, []
        for camera in self.car.cameras:
            T_world_cam = self.scene.T_world_ego(t_s) @ camera.T_ego_cam
            size = camera.width, camera.height
            view = render_camera(self.scene, t_s, camera.intrinsics, T_world_cam, *size)
            view.rgb[self.car.masks[camera.name]] = _BODY_COLOUR
            self._save(Image.fromarray(view.rgb), f"{self.name}/rgb/{camera.name}/{count}")
            data.append(image_datum(camera.name, f"rgb/{camera.name}/{count}.png", count, T_world_cam, size))
            views[camera.name] = view
        if self.options.pseudo_labels:
            self._write_pseudo_labels(count, views)
        return data

    def _write_pseudo_labels(self, count: int, views: Mapping[str, RenderedView]) -> None:
        own = self.car.masks
        depth = encode_depth({name: np.where(own[name], 0, view.depth_m) for name, view in views.items()})
        ids = {name: np.where(own[name] | (v.class_ids == SKY), 0, v.class_ids) for name, v in views.items()}
        classes = encode_classes(ids, self.scene.kind.classes)
        for folder, content in ((DEPTH_FOLDER, depth), (CLASSES_FOLDER, classes)):
            path = self.root / folder / self.name / f"{count}.zip"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def _take_points(self, count: int) -> Json:
        """Write one turn: x, y, z in the vehicle's frame and intensity, float64, as DDAD has them."""
        t_s = self._time_s(count)
        T_world_ego = self.scene.T_world_ego(t_s)
        beams, _ = lidar_directions()
        beams = beams[~hits_body(np.asarray(LIDAR_POSITION), beams)]
        origin = T_world_ego[:3, :3] @ LIDAR_POSITION + T_world_ego[:3, 3]
        origins = np.ascontiguousarray(np.broadcast_to(origin, beams.shape))
        found = cast_rays(self.scene, t_s, origins, np.ascontiguousarray(beams @ T_world_ego[:3, :3].T))
        hits = np.isfinite(found.distance_m) & (found.distance_m > 0) & (found.distance_m < LIDAR_RANGE_M)
        rng = np.random.default_rng([self.seed, 4, count - self.start])
        distance = found.distance_m[hits].astype(np.float64) + rng.normal(0.0, _LIDAR_NOISE_M, int(hits.sum()))
        points = beams[hits] * distance[:, None] + LIDAR_POSITION
        filename = f"point_cloud/LIDAR/{count}.npz"
        path = self.root / self.name / filename
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, data=np.c_[points, rng.random(len(points))])
        return cloud_datum(filename, count, T_world_ego)
