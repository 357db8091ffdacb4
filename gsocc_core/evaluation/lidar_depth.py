# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Depth of pictures compared with the key frame's LiDAR points: what a scene renders, or a constant per pixel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm

from gsocc_core.data.drives import DriveDataset
from gsocc_core.data.key_frames import KeyFrame
from gsocc_core.data.lidar_clouds import read_cloud
from gsocc_core.errors import DataError
from gsocc_core.geometry.frames import FrameSet
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.metrics.depth import DepthErrors
from gsocc_core.splat import splat_to_image

#: Gaussians farther away are not rendered, unless points are that count.
_FAR_M = 100.0


@dataclass(frozen=True)
class LidarPixels:
    """Where LiDAR points of a key frame fall in one camera's picture.

    Attributes:
        camera: Name.
        rows: (N,) int64 pixels.
        columns: (N,) int64 pixels.
        depth_m: (N,) metres along the optical axis.
    """

    camera: str
    rows: np.ndarray
    columns: np.ndarray
    depth_m: np.ndarray


def lidar_pixels(frames: FrameSet, frame: KeyFrame) -> Iterator[LidarPixels]:
    """Where the LiDAR points of a key frame fall, one camera after the other; none on the own vehicle, if it is told.

    Args:
        frames: Cameras at the size of the pictures, and which pixels are usable; moment 0 is used.
        frame: The same key frame; its point cloud is read from disk.

    Raises:
        DataError: the point cloud cannot be read.
    """
    cameras = frames.cameras.map(lambda t: t[0, 0].cpu())
    uv, depth_m, visible = cameras.project(torch.from_numpy(_lidar_points_ego(frame)))
    column, row = uv.long().unbind(-1)
    for view, name in enumerate(frames.camera_names):
        seen = visible[view]
        if frames.usable is not None:
            # What does not fall into the picture has some place in it, too: it is out already.
            usable, places = frames.usable[0, 0, view].cpu(), (row[view], column[view])
            inside = [p.clamp(0, limit - 1) for p, limit in zip(places, usable.shape)]
            seen = seen & usable[inside[0], inside[1]]
        yield LidarPixels(name, row[view, seen].numpy(), column[view, seen].numpy(), depth_m[view, seen].numpy())


@torch.no_grad()
def add_lidar_depth(
    errors: dict[str, DepthErrors], scene: Gaussians, frames: FrameSet, frame: KeyFrame, max_m: float = 80.0
) -> None:
    """Render the expected depth of all cameras and read it where LiDAR points fall.

    Args:
        errors: Receives the depths, by camera name; cameras that it lacks are added.
        scene: (N) Gaussians, ego frame at the reference time.
        frames: Cameras at the size of the rendering; moment 0 is used.
        frame: The same key frame; its point cloud is read from disk.
        max_m: Points farther away do not count, metres.

    Raises:
        DataError: the point cloud cannot be read.
    """
    cameras = frames.cameras.map(lambda t: t[0, 0].cpu())
    rendered = splat_to_image(
        scene.replace(velocities=None, features=scene.features[:, :1]).map(lambda t: t.cpu()), cameras,
        far=max(_FAR_M, max_m),
    )  # fmt: skip
    for view, points in enumerate(lidar_pixels(frames, frame)):
        sums = errors.setdefault(points.camera, DepthErrors(max_m=max_m))
        found = rendered.depth[view, points.rows, points.columns].numpy()
        hit = rendered.alpha[view, points.rows, points.columns].numpy() > 0
        # Where the scene is empty a picture shows no depth: the sky, as far as the metric reaches.
        sums.update(points.depth_m, np.where(hit, found, np.float32(sums.max_m)))


class ConstantDepth:
    """The depth of every pixel of every camera that makes the least mean of error / truth over some key frames.

    That is the median of the pixel's LiDAR depths, each weighted by its inverse. A pixel that no point ever met has the
    depth that is best for its whole row, a row without points that of the camera, a camera without points that of all.

    Args:
        dataset: Drives whose LiDAR points are looked at; its pictures' size is that of the depth maps.
        min_m: Points nearer than this do not count, metres.
        max_m: Nor do those farther away; None = as far as the data set's protocol says.

    Raises:
        DataError: no LiDAR point is seen by any camera.
    """

    def __init__(self, dataset: DriveDataset, min_m: float = 0.1, max_m: float | None = None) -> None:
        self.max_m = max_m = dataset.protocol.max_depth_m if max_m is None else max_m
        found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
        shape = (0, 0)
        for index in tqdm(range(len(dataset)), desc="constant depth", unit="frame"):
            frames = dataset[index]
            shape = (frames.cameras.height, frames.cameras.width)
            for points in lidar_pixels(frames, dataset.key_frame(index)):
                used = (points.depth_m >= min_m) & (points.depth_m <= max_m)
                cells = points.rows[used] * shape[1] + points.columns[used]
                found.setdefault(points.camera, []).append((cells, points.depth_m[used]))
        self.depth_m: dict[str, np.ndarray] = {}
        for camera, parts in found.items():
            cells, depth_m = (np.concatenate(values) for values in zip(*parts))
            if len(cells):
                self.depth_m[camera] = _filled(cells, depth_m.astype(np.float64), shape)
        every = np.concatenate([depth_m for parts in found.values() for _, depth_m in parts] or [np.zeros(0)])
        if not len(every):
            raise DataError(dataset.root, "LiDAR points that a camera sees", "some", "none")
        self._elsewhere = np.full(
            shape, _best_constants(np.zeros(len(every), np.int64), every.astype(np.float64))[1][0]
        )

    def add(self, errors: dict[str, DepthErrors], frames: FrameSet, frame: KeyFrame) -> None:
        """Compare with a key frame's LiDAR points; see :func:`add_lidar_depth`.

        Raises:
            DataError: the point cloud cannot be read.
        """
        for points in lidar_pixels(frames, frame):
            constant = self.depth_m.get(points.camera, self._elsewhere)[points.rows, points.columns]
            errors.setdefault(points.camera, DepthErrors(max_m=self.max_m)).update(points.depth_m, constant)


def _filled(cells: np.ndarray, depth_m: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(H, W) metres: the best constant of each cell, else of its row, else of all."""
    height, width = shape
    best = np.full(height * width, _best_constants(np.zeros_like(cells), depth_m)[1][0])
    rows, of_rows = _best_constants(cells // width, depth_m)
    best.reshape(shape)[rows] = of_rows[:, None]
    known, of_cells = _best_constants(cells, depth_m)
    best[known] = of_cells
    return best.reshape(shape)


def _best_constants(groups: np.ndarray, depth_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per group that occurs, its number and the c that makes the sum of |c - z| / z least: a weighted median."""
    order = np.lexsort((depth_m, groups))
    groups, depth_m = groups[order], depth_m[order]
    known, starts = np.unique(groups, return_index=True)
    below = np.cumsum(1 / depth_m)
    before = np.concatenate([[0.0], below])[starts]
    ends = np.append(starts[1:], len(groups))
    half = before + (below[ends - 1] - before) / 2
    place = np.clip(np.searchsorted(below, half), starts, ends - 1)
    return known, depth_m[place]


def _lidar_points_ego(frame: KeyFrame) -> np.ndarray:
    T = frame.T_ego_lidar
    return (read_cloud(frame.lidar_path) @ T[:3, :3].T + T[:3, 3]).astype(np.float32)
