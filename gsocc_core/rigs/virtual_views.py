# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Pinhole views cut out of fisheye pictures, so that a rig of both lenses has one projection model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from gsocc_core.geometry.cameras import Camera, Cameras
from gsocc_core.rigs.coverage import field_of_view_deg, project

#: Largest field of view of one view, degrees: beyond, a pinhole stretches its borders too much.
LARGEST_DEG = 95.0


def pinhole_views(camera: Camera, width: int) -> list[Camera]:
    """Pinhole cameras at a fisheye's place that together see its horizontal field of view.

    Args:
        camera: A fisheye camera.
        width: Width of each view, pixels; it is as high as the fisheye's picture has shape.

    Returns:
        One to three cameras named ``<name>/0`` ... from left to right, turned around the picture's vertical axis.

    Example:
        >>> K = np.array([[352.0, 0, 640], [0, 352, 480], [0, 0, 1]])
        >>> [view.name for view in pinhole_views(Camera("left", K, np.eye(4), 1280, 960, "fisheye"), 400)]
        ['left/0', 'left/1', 'left/2']
    """
    across = min(field_of_view_deg(camera)[0], 240.0)
    count = max(1, math.ceil(across / LARGEST_DEG))
    each = across / count
    height = round(width * camera.height / camera.width)
    focal = width / 2 / math.tan(math.radians(min(each, LARGEST_DEG)) / 2)
    K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    views = []
    for i in range(count):
        angle = math.radians((i - (count - 1) / 2) * each)
        turn = np.eye(4)
        turn[0, 0], turn[0, 2], turn[2, 0], turn[2, 2] = np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle)
        views.append(
            Camera(f"{camera.name}/{i}", K, camera.T_ego_cam @ turn, width, height, T_ref_ego=camera.T_ref_ego)
        )
    return views


def cut_view(picture: np.ndarray, camera: Camera, view: Camera) -> np.ndarray:
    """Sample a view from a picture.

    Args:
        picture: (H, W, 3) uint8 of ``camera``, of its size or reduced.
        camera: Where it was taken.
        view: A camera at the same place.

    Returns:
        (view.height, view.width, 3) uint8, black where the picture shows nothing; bilinear.
    """
    height, width = picture.shape[:2]
    stored = replace(camera.resized(width, height), T_ref_ego=None)
    origins, directions = Cameras.stack([replace(view, T_ref_ego=None)], dtype=torch.float64).rays()
    points = (origins[0] + 10.0 * directions[0]).reshape(-1, 3).numpy()
    uv, _, valid = project(stored, points)
    x, y = np.where(valid, uv[:, 0], 0.5) - 0.5, np.where(valid, uv[:, 1], 0.5) - 0.5
    left, top = (np.clip(np.floor(v), 0, None).astype(int) for v in (x, y))
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    fx, fy = np.clip(x - left, 0, 1)[:, None], np.clip(y - top, 0, 1)[:, None]
    upper = picture[top, left] * (1 - fx) + picture[top, right] * fx
    lower = picture[bottom, left] * (1 - fx) + picture[bottom, right] * fx
    mixed = np.where(valid[:, None], upper * (1 - fy) + lower * fy, 0.0)
    return mixed.round().astype(np.uint8).reshape(view.height, view.width, 3)


def one_model(
    pictures: Sequence[np.ndarray | None], cameras: Sequence[Camera], width: int
) -> tuple[list[np.ndarray | None], list[Camera]]:
    """Pictures and cameras of one projection model: those of a mixed rig with its fisheyes cut into pinhole views.

    Args:
        pictures: One per camera, None = missing.
        cameras: The rig.
        width: Width of each view, pixels.

    Returns:
        The same where all lenses are of one model.
    """
    if len({camera.model for camera in cameras}) == 1:
        return list(pictures), list(cameras)
    shown: list[np.ndarray | None] = []
    used: list[Camera] = []
    for picture, camera in zip(pictures, cameras):
        if camera.model != "fisheye":
            shown.append(picture)
            used.append(camera)
            continue
        for view in pinhole_views(camera, width):
            shown.append(None if picture is None else _smooth(picture, camera, view))
            used.append(view)
    return shown, used


def _smooth(picture: np.ndarray, camera: Camera, view: Camera) -> np.ndarray:
    """Cut a view from a picture that was reduced to about its scale, so that no pixels are left out."""
    scale = view.intrinsics[0, 0] / camera.intrinsics[0, 0] * camera.width / picture.shape[1]
    if scale < 0.7:
        size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
        picture = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))
    return cut_view(picture, camera, view)
