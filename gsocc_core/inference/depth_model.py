# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Depth for methods that look at it, where the caller gives none: a depth model named in the bundle."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from gsocc_core.errors import ConfigError, DataError
from gsocc_core.geometry.cameras import Camera
from gsocc_core.geometry.frames import FrameSet
from gsocc_core.methods.method import Method

if TYPE_CHECKING:
    from gsocc_core.labels.depth import DepthLabeller

#: Pictures that the model sees at once.
_BATCH = 6


class MissingDepth:
    """Fills in the depth that a method wants and a frame set lacks.

    A picture lacks depth when its map is unknown everywhere, or when no map is given at all.

    Args:
        method: Says what it does with depth, and which model gives it. The model is loaded when it is first needed.
        where: Name of the bundle, for errors.
        device: Where the model runs.
    """

    def __init__(self, method: Method, where: object, device: torch.device) -> None:
        self._use, self._source, self._where, self._device = method.depth_input, method.depth_model, where, device
        self._model: DepthLabeller | None = None

    def of(self, frames: FrameSet) -> Tensor:
        """Pictures whose depth is to be filled in.

        Args:
            frames: A frame set, best on the CPU: its depth is looked at.

        Returns:
            (B, T, V) bool, on the CPU.

        Raises:
            DataError: the method cannot do without depth, there is no model, and no present picture has any.
        """
        valid = frames.valid.cpu()
        if self._use == "unused" or (self._source is None and self._use != "required"):
            return torch.zeros_like(valid)
        known = torch.zeros_like(valid) if frames.depth_m is None else frames.depth_m.flatten(3).gt(0).any(-1).cpu()
        if self._source is not None:
            return valid & ~known
        if not bool((known & valid)[:, 0].any()):
            without = frames.camera_names[int(valid[0, 0].nonzero()[0, 0])]
            expected = (
                "a depth map (metres), which the method requires: --input_depth_dir of a data set, --depth_dir beside "
                "own pictures, or depths_m of predict; the bundle names no depth_model"
            )
            raise DataError(self._where, f"depth_m of camera {without}", expected, "none")
        return torch.zeros_like(valid)

    def fill(self, frames: FrameSet, lacking: Tensor) -> FrameSet:
        """Run the model on pictures.

        Args:
            frames: On the predictor's device.
            lacking: (B, T, V) bool, which pictures.

        Returns:
            The frame set with their depth, and that of the others as it was; 0 where neither is.

        Raises:
            ConfigError: the model is not there or of another kind; it names the bundle and the model.
        """
        model = self._load()
        images, size = frames.images, frames.images.shape[-2:]
        depth_m = frames.depth_m
        depth_m = (
            images.new_zeros((*images.shape[:3], *size), dtype=torch.float32) if depth_m is None else depth_m.clone()
        )
        places = [tuple(place) for place in lacking.nonzero().tolist()]
        for begin in range(0, len(places), _BATCH):
            batch = tuple(zip(*places[begin : begin + _BATCH]))
            pictures = images[batch]
            if pictures.is_floating_point():
                pictures = pictures.round().clamp(0, 255).to(torch.uint8)
            cameras = [_camera(frames, place) for place in zip(*batch)]
            depth_m[batch] = model(pictures, cameras, (depth_m.shape[-2], depth_m.shape[-1]))
        return replace(frames, depth_m=depth_m)

    def _load(self) -> DepthLabeller:
        if self._model is None:
            from gsocc_core.labels.depth import load_depth

            try:
                self._model = load_depth(str(self._source), self._device)
            except ConfigError as error:
                expected = f"{error.expected}; or depth with every picture"
                raise ConfigError(self._where, "depth_model", expected, error.received) from error
        return self._model


def _camera(frames: FrameSet, place: tuple[int, ...]) -> Camera:
    """The camera of one picture, at rest."""
    cameras = frames.cameras
    K = cameras.intrinsics[place].double().cpu().numpy()
    return Camera(frames.camera_names[place[2]], K, np.eye(4), cameras.width, cameras.height)
