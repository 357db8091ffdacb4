# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Pinhole views cut out of fisheye pictures and depth, so that a rig of both lenses has one projection model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image

from gsocc_core.data.images import decoding_scale, fit_camera
from gsocc_core.geometry.cameras import Camera, Cameras
from gsocc_core.rigs.coverage import field_of_view_deg, project

#: Largest field of view of one view, degrees: beyond, a pinhole stretches its borders too much.
LARGEST_DEG = 95.0
#: How many times a view's size a fisheye's picture must have, so that the views have something to show: a view spans
#: about half of the picture, whose middle it stretches least.
FISHEYE_OVERSIZE = 2
#: Farther off a fisheye's optical axis, depth along it is next to nothing and says nothing of distance, degrees.
LARGEST_DEPTH_ANGLE_DEG = 89.0
#: Calibrations that are remembered.
_MOST_REMEMBERED = 64


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
    height = max(1, round(width * camera.height / camera.width))
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


@dataclass(frozen=True)
class Cut:
    """Where the pixels of a view lie in the picture that it is cut from.

    Attributes:
        uv_px: (H * W, 2) float32, pixels of the picture at full size.
        shown: (H, W) bool: the picture shows something there.
        step_px: Pixels of the picture from one pixel of the view to the next, in the middle of the picture.
    """

    uv_px: np.ndarray
    shown: np.ndarray
    step_px: float

    @classmethod
    def between(cls, camera: Camera, view: Camera) -> Cut:
        """Of two cameras at the same place."""
        origins, directions = Cameras.stack([replace(view, T_ref_ego=None)], dtype=torch.float64).rays()
        points = (origins[0] + 10.0 * directions[0]).reshape(-1, 3).numpy()
        uv, _, valid = project(replace(camera, T_ref_ego=None), points)
        uv[~valid] = 0.5
        step = camera.intrinsics[0, 0] / view.intrinsics[0, 0]
        return cls(uv.astype(np.float32), valid.reshape(view.height, view.width), step)

    def __call__(self, picture: np.ndarray, camera: Camera) -> np.ndarray:
        """Sample the view.

        Args:
            picture: (H, W, 3) uint8 of the camera, of its size or decoded at 1/2, 1/4 or 1/8.
            camera: Where it was taken.

        Returns:
            (view height, view width, 3) uint8, black where the picture shows nothing; bilinear, of means over as many
            pixels as the view would otherwise leave out.

        Raises:
            DataError: the picture has another size.
        """
        scale = decoding_scale(picture.shape[:2], (camera.height, camera.width), camera.name)
        mean_over = int(self.step_px * scale)
        if mean_over > 1:
            picture = np.asarray(Image.fromarray(picture).reduce(mean_over))
            scale /= mean_over
        height, width = picture.shape[:2]
        x, y = (self.uv_px * scale - 0.5).T
        left, top = (np.clip(np.floor(v), 0, most).astype(np.intp) for v, most in ((x, width - 1), (y, height - 1)))
        right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
        fx, fy = np.clip(x - left, 0, 1)[:, None], np.clip(y - top, 0, 1)[:, None]
        upper = picture[top, left] * (1 - fx) + picture[top, right] * fx
        lower = picture[bottom, left] * (1 - fx) + picture[bottom, right] * fx
        mixed = (upper * (1 - fy) + lower * fy).round().astype(np.uint8).reshape(*self.shown.shape, 3)
        return np.where(self.shown[..., None], mixed, np.uint8(0))


@dataclass(frozen=True)
class DepthCut:
    """Depth of a view from depth of the picture that it is cut from.

    Both are measured along the optical axis of their own camera, so a point's depth changes by a factor that depends
    on its direction alone. The direction is that of the pixel which is read, not of the one which is written: towards
    90 degrees off axis the factor grows without bounds, and a fraction of a pixel would move the point.

    Attributes:
        rows: (H, W) row of the nearest pixel.
        columns: (H, W) its column.
        factor: (H, W) float32, depth in the view over depth in the picture; 0 = none.
    """

    rows: np.ndarray
    columns: np.ndarray
    factor: np.ndarray

    @classmethod
    def between(cls, camera: Camera, rays: np.ndarray, view: Camera, cut: Cut) -> DepthCut:
        """Of two cameras at the same place.

        Args:
            camera: The fisheye.
            rays: (h, w, 3) directions of the depth maps' pixels in its frame; the maps show the whole picture.
            view: Its view.
            cut: Where the view's pixels lie.
        """
        height, width = rays.shape[:2]
        u, v = cut.uv_px.reshape(*cut.shown.shape, 2).transpose(2, 0, 1)
        columns = np.clip(u * (width / camera.width), 0, width - 1).astype(np.intp)
        rows = np.clip(v * (height / camera.height), 0, height - 1).astype(np.intp)
        read = rays[rows, columns]
        axis = np.linalg.inv(camera.T_ego_cam)[:3, :3] @ view.T_ego_cam[:3, 2]  # of the view, in the camera's frame
        ahead, along = read[..., 2], read @ axis
        known = cut.shown & (ahead > math.cos(math.radians(LARGEST_DEPTH_ANGLE_DEG))) & (along > 0)
        factor = np.where(known, along / np.where(known, ahead, 1.0), 0.0)
        return cls(rows, columns, factor.astype(np.float32))

    def __call__(self, depth_m: np.ndarray) -> np.ndarray:
        """(H, W) float32 metres of the view from (h, w) metres of the whole picture; 0 = unknown in both."""
        return depth_m[self.rows, self.columns].astype(np.float32) * self.factor


class OneModel:
    """Makes the pictures, depth and cameras of a rig of one projection model.

    Where pinhole and fisheye lenses are mixed, pinhole views are cut out of the fisheyes, at once at the size of the
    network's pictures. Which pixel comes from where is worked out once per calibration.

    Args:
        width: Width of the network's pictures, pixels.
        height: Their height, pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = width, height
        self._known: dict[tuple[object, ...], tuple[tuple[Camera, Cut], ...]] = {}
        self._known_depth: dict[tuple[object, ...], tuple[DepthCut, ...]] = {}

    def __call__(
        self, pictures: Sequence[np.ndarray | None], cameras: Sequence[Camera]
    ) -> tuple[list[np.ndarray | None], list[Camera], list[int]]:
        """Pictures and cameras of one projection model.

        Args:
            pictures: One per camera, None = missing.
            cameras: The rig.

        Returns:
            Pictures, cameras, and for each the index of the camera that it comes from. A rig of one model comes back as
            it is.

        Raises:
            DataError: a picture has not the size of its camera.
        """
        if not is_mixed(cameras):
            return list(pictures), list(cameras), list(range(len(cameras)))
        shown: list[np.ndarray | None] = []
        used: list[Camera] = []
        source: list[int] = []
        for index, (picture, camera) in enumerate(zip(pictures, cameras)):
            if camera.model != "fisheye":
                shown.append(picture)
                used.append(camera)
                source.append(index)
                continue
            for i, (view, cut) in enumerate(self._views(camera)):
                pose = camera.T_ego_cam @ view.T_ego_cam
                shown.append(None if picture is None else cut(picture, camera))
                used.append(replace(view, name=f"{camera.name}/{i}", T_ego_cam=pose, T_ref_ego=camera.T_ref_ego))
                source.append(index)
        return shown, used, source

    def depths(self, depths_m: Sequence[np.ndarray | None], cameras: Sequence[Camera]) -> list[np.ndarray | None]:
        """Depth of the pictures that a call with the same cameras gives, along each one's own optical axis.

        Args:
            depths_m: (h, w) metres per camera, of whole pictures and at any size, 0 = unknown; None = none.
            cameras: The rig.

        Returns:
            One per picture. A rig of one model gets back its own.
        """
        if not is_mixed(cameras):
            return list(depths_m)
        result: list[np.ndarray | None] = []
        for depth_m, camera in zip(depths_m, cameras):
            if camera.model != "fisheye":
                result.append(depth_m)
            elif depth_m is None:
                result += [None] * len(self._views(camera))
            else:
                result += [cut(depth_m) for cut in self._depth_cuts(camera, depth_m.shape)]
        return result

    def _depth_cuts(self, camera: Camera, size: tuple[int, ...]) -> tuple[DepthCut, ...]:
        key = (_lens(camera), size)
        if key not in self._known_depth:
            if len(self._known_depth) >= _MOST_REMEMBERED:
                self._known_depth.clear()
            still = replace(camera, T_ego_cam=np.eye(4), T_ref_ego=None)
            _, directions = Cameras.stack([still.resized(size[1], size[0])], dtype=torch.float64).rays()
            rays = directions[0].numpy()
            self._known_depth[key] = tuple(
                DepthCut.between(still, rays, view, cut) for view, cut in self._views(camera)
            )
        return self._known_depth[key]

    def _views(self, camera: Camera) -> tuple[tuple[Camera, Cut], ...]:
        """Views in the frame of a fisheye."""
        lens = _lens(camera)
        if lens not in self._known:
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            still = replace(camera, T_ego_cam=np.eye(4), T_ref_ego=None)
            views = [fit_camera(view, self._width, self._height) for view in pinhole_views(still, self._width)]
            self._known[lens] = tuple((view, Cut.between(still, view)) for view in views)
        return self._known[lens]


def is_mixed(cameras: Sequence[Camera]) -> bool:
    """Whether cameras have lenses of several models."""
    return len({camera.model for camera in cameras}) > 1


def _lens(camera: Camera) -> tuple[object, ...]:
    return camera.intrinsics.tobytes(), camera.distortion, camera.width, camera.height
