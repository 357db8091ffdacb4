# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Depth that a scene of Gaussians renders, compared with the key frame's LiDAR points."""

from __future__ import annotations

import numpy as np
import torch

from gsocc_core.data.key_frames import KeyFrame
from gsocc_core.data.stored import read_records
from gsocc_core.geometry.frames import FrameSet
from gsocc_core.geometry.gaussians import Gaussians
from gsocc_core.metrics.depth import DepthErrors
from gsocc_core.splat import splat_to_image


@torch.no_grad()
def add_lidar_depth(errors: dict[str, DepthErrors], scene: Gaussians, frames: FrameSet, frame: KeyFrame) -> None:
    """Render the expected depth of all cameras and read it where LiDAR points fall.

    Args:
        errors: Receives the depths, by camera name; cameras that it lacks are added.
        scene: (N) Gaussians, ego frame at the reference time.
        frames: Cameras at the size of the rendering; moment 0 is used.
        frame: The same key frame; its point cloud is read from disk.

    Raises:
        DataError: the point cloud cannot be read.
    """
    cameras = frames.cameras.map(lambda t: t[0, 0].cpu())
    rendered = splat_to_image(
        scene.replace(velocities=None, features=scene.features[:, :1]).map(lambda t: t.cpu()), cameras
    )
    uv, depth_m, visible = cameras.project(torch.from_numpy(_lidar_points_ego(frame)))
    column, row = uv.long().unbind(-1)
    for view, name in enumerate(frames.camera_names):
        sums = errors.setdefault(name, DepthErrors())
        seen = visible[view]
        found = rendered.depth[view, row[view, seen], column[view, seen]]
        hit = rendered.alpha[view, row[view, seen], column[view, seen]] > 0
        # Where the scene is empty a picture shows no depth: the sky, as far as the metric reaches.
        found = torch.where(hit, found, sums.max_m)
        sums.update(depth_m[view, seen].numpy(), found.numpy())


def _lidar_points_ego(frame: KeyFrame) -> np.ndarray:
    values = read_records(frame.lidar_path, np.dtype(("<f4", 5)), "float32 x, y, z, intensity, ring per point")
    points = values[:, :3].astype(np.float64)
    T = frame.T_ego_lidar
    return (points @ T[:3, :3].T + T[:3, 3]).astype(np.float32)
