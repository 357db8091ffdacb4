# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Own pictures as a frame set: fitted to the network's size, with what comes beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gsocc_core.data.depth_maps import check_depth
from gsocc_core.data.images import decode_image, fit_camera, fit_image, fit_nearest, upright_rgb
from gsocc_core.errors import ShapeError
from gsocc_core.geometry.cameras import Camera, CameraModel, Cameras
from gsocc_core.geometry.frames import FrameSet
from gsocc_core.methods.method import Method
from gsocc_core.rigs.virtual_views import OneModel, is_mixed

#: What people have: an array (H, W, 3) uint8 RGB, one of Pillow's pictures, or a file.
Picture: TypeAlias = "np.ndarray | Image.Image | str | Path"


def as_arrays(
    images: Sequence[Picture | None] | Mapping[str, Picture | None],
    cameras: Sequence[Camera],
    least_size: Callable[[CameraModel], tuple[int, int]],
) -> list[np.ndarray | None]:
    """Pictures of any kind as arrays.

    Args:
        images: One per camera, or by camera name; None, or no such name, = missing.
        cameras: Whose pictures they are.
        least_size: (height, width) that a decoded file must keep, by its camera's lens.

    Returns:
        (H, W, 3) uint8 RGB, upright, of each of ``images``, in the order of the cameras where they come by name.

    Raises:
        ShapeError: a name is none of the cameras'.
        DataError: a picture cannot be read.
    """
    if isinstance(images, Mapping):
        names = [camera.name for camera in cameras]
        if strange := [name for name in images if name not in names]:
            raise ShapeError("predict", f"images[{strange[0]!r}]", f"names among {', '.join(names)}", strange[0])
        images = [images.get(name) for name in names]
    arrays: list[np.ndarray | None] = []
    for i, image in enumerate(images):
        if isinstance(image, Image.Image):
            arrays.append(upright_rgb(image, f"picture {i}"))
        elif isinstance(image, str | Path):
            height, width = least_size(cameras[i].model) if i < len(cameras) else (None, None)
            arrays.append(decode_image(image, min_width=width, min_height=height))
        else:
            arrays.append(image)
    return arrays


class OwnPictures:
    """Makes frame sets for one method."""

    def __init__(self, method: Method) -> None:
        """Build for a method's picture size and inputs."""
        self.method, self.image_size = method, method.image_size
        self._one_model = OneModel(self.image_size[1], self.image_size[0])

    def __call__(
        self,
        images: Sequence[np.ndarray | None],
        cameras: Sequence[Camera],
        stamps_ns: Sequence[int],
        reference_stamp_ns: int,
        T_world_ego: np.ndarray | None,
        depths_m: Sequence[np.ndarray | None] | None,
        features: Sequence[np.ndarray | None] | None,
    ) -> FrameSet:
        """Make a frame set; see :meth:`gsocc_core.OccupancyPredictor.predict`.

        Args:
            images: One per camera.
            cameras: V cameras.
            stamps_ns: One per camera.
            reference_stamp_ns: Time that the result refers to.
            T_world_ego: (4, 4) ego pose at that time, or None.
            depths_m: One map per camera, or None.
            features: One map per camera, or None.

        Returns:
            One sample of one moment.

        Raises:
            ShapeError: a depth map has another aspect than its picture, or features differ in shape.
            DataError: a picture does not fit its camera, or a depth map holds no metres.
        """
        shown, used, source = self._one_model(images, cameras)
        frames = self._frames(shown, used, [stamps_ns[i] for i in source], reference_stamp_ns, T_world_ego)
        depth_m = self._depth(depths_m, images, cameras, used)
        return replace(frames, depth_m=depth_m, features=self._features(features, images, cameras))

    def _frames(
        self,
        images: Sequence[np.ndarray | None],
        cameras: Sequence[Camera],
        stamps: Sequence[int],
        reference: int,
        T_world_ego: np.ndarray | None,
    ) -> FrameSet:
        height, width = self.image_size
        pictures, fitted = [], []
        for image, camera in zip(images, cameras):
            if image is None:
                pictures.append(np.zeros((height, width, 3), np.uint8))
                fitted.append(fit_camera(camera, width, height))
            else:
                picture, small = fit_image(image, camera, width, height)
                pictures.append(picture)
                fitted.append(small)
        valid = torch.tensor([[[image is not None for image in images]]])
        pose = None if T_world_ego is None else torch.as_tensor(np.asarray(T_world_ego), dtype=torch.float64)[None]
        return FrameSet(
            images=torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)[None, None],
            cameras=Cameras.stack(_equal_distortion(fitted)).map(lambda t: t[None, None]),
            camera_names=tuple(camera.name for camera in cameras),
            camera_stamps_ns=torch.tensor([[list(stamps)]]),
            reference_stamp_ns=torch.tensor([[reference]]),
            T_ref_ego=torch.eye(4)[None, None],
            valid=valid,
            pose_valid=torch.ones(1, 1, dtype=torch.bool),
            T_world_ego=pose,
        )

    def _depth(
        self,
        depths_m: Sequence[np.ndarray | None] | None,
        images: Sequence[np.ndarray | None],
        cameras: Sequence[Camera],
        used: Sequence[Camera],
    ) -> Tensor | None:
        """(1, 1, V, H, W) metres, 0 where a picture or its map is missing; None where there is no map at all."""
        if depths_m is None or self.method.depth_input == "unused":
            return None
        checked = [
            None if depth is None or image is None else check_depth(np.asarray(depth), camera)
            for depth, image, camera in zip(depths_m, images, cameras)
        ]
        if all(depth is None for depth in checked):
            return None
        height, width = self.image_size
        cut = self._one_model.depths(checked, cameras)
        unknown = np.zeros((height, width), np.float32)
        fitted = [unknown if d is None else fit_nearest(d, c, width, height) for d, c in zip(cut, used)]
        return torch.from_numpy(np.stack(fitted))[None, None]

    def _features(
        self,
        features: Sequence[np.ndarray | None] | None,
        images: Sequence[np.ndarray | None],
        cameras: Sequence[Camera],
    ) -> Tensor | None:
        """(1, 1, V, D, h, w), zeros where a picture or its features are missing; None where there are none at all."""
        if features is None or self.method.features_input == "unused":
            return None
        given = [None if image is None else feature for feature, image in zip(features, images)]
        shapes = {camera.name: feature.shape for feature, camera in zip(given, cameras) if feature is not None}
        if not shapes:
            return None
        if is_mixed(cameras):
            expected = "cameras of one lens model: features are not cut into views"
            raise ShapeError("predict", "features", expected, "pinhole and fisheye lenses")
        first = next(iter(shapes.values()))
        for name, shape in shapes.items():
            if len(shape) != 3 or shape != first:
                raise ShapeError("predict", f"features of {name}", "(D, h, w), the same of all cameras", shape)
        stacked = np.stack([np.zeros(first, np.float32) if f is None else f.astype(np.float32) for f in given])
        return torch.from_numpy(stacked)[None, None]


def _equal_distortion(cameras: Sequence[Camera]) -> list[Camera]:
    """Cameras with as many coefficients each: a coefficient that is not given is zero."""
    count = max(len(camera.distortion or ()) for camera in cameras)
    if not count:
        return list(cameras)
    padded = [(*(c.distortion or ()), *(0.0,) * count)[:count] for c in cameras]
    return [replace(camera, distortion=distortion) for camera, distortion in zip(cameras, padded)]
