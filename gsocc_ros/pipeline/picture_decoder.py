# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Decodes pictures in threads, also before their set is complete."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from gsocc_core import Camera
from gsocc_core.geometry.cameras import CameraModel
from gsocc_ros.pipeline.camera_input import Calibration, read_mask, read_picture
from gsocc_ros.pipeline.rig import Rig, RigCamera
from gsocc_ros.pipeline.synchronizer import SyncedSet

#: (height, width) in pixels that a decoded picture must keep, by its camera's lens; None = full size.
LeastSize = Callable[[CameraModel], "tuple[int, int] | None"]


class _Wanted(NamedTuple):
    """How a picture is to be decoded."""

    stamp_ns: int
    full_size: tuple[int, int]
    least_size: tuple[int, int] | None


class _EarlyPicture(NamedTuple):
    """A picture that is being decoded before its set is complete."""

    wanted: _Wanted
    picture: Future[np.ndarray]


class PictureDecoder:
    """The pictures of a rig as arrays.

    Args:
        rig: The cameras.
        least_size: (height, width) in pixels that a decoded picture must keep, by its camera's lens.

    Raises:
        ConfigError: a mask file of the rig is damaged.
    """

    def __init__(self, rig: Rig, least_size: LeastSize) -> None:
        self._rig, self._least_size = rig, least_size
        self._masks = {camera.name: read_mask(camera) for camera in rig.cameras}
        self._threads = ThreadPoolExecutor(max_workers=min(4, len(rig.cameras)), thread_name_prefix="decode")
        self._early: dict[str, _EarlyPicture] = {}  # the newest picture of each camera, decoded ahead
        self._lock = threading.Lock()
        self._closed = False

    def use(self, least_size: LeastSize) -> None:
        """Decode at another size from now on."""
        with self._lock:
            self._least_size = least_size
            self._early.clear()

    def forget(self) -> None:
        """Drop what was decoded ahead."""
        with self._lock:
            self._early.clear()

    def close(self) -> None:
        """Stop the threads; from now on nothing is decoded ahead."""
        with self._lock:
            self._closed = True
        self._threads.shutdown()

    def begin(self, camera: RigCamera, stamp_ns: int, message: Any, calibration: Calibration) -> None:
        """Decode a picture while the others of its cycle are on their way.

        Args:
            camera: Its camera.
            stamp_ns: Its stamp.
            message: sensor_msgs/CompressedImage or sensor_msgs/Image.
            calibration: What its CameraInfo says.
        """
        with self._lock:
            if not self._closed:
                wanted = self._wanted(stamp_ns, calibration)
                self._early[camera.name] = _EarlyPicture(wanted, self._submit(camera, message, wanted))

    def decode(self, synced: SyncedSet[Any], cameras: Sequence[Camera]) -> list[np.ndarray | None]:
        """Pictures of a set.

        Args:
            synced: The messages.
            cameras: Cameras at the size that CameraInfo announces.

        Returns:
            A picture (H, W, 3) uint8 per camera, at full size or decoded at 1/2, 1/4 or 1/8 of it; None where the
            camera gave none.

        Raises:
            DataError: a picture does not decode or has the wrong size.
        """
        started: list[Future[np.ndarray] | None] = []
        for camera in cameras:
            frame, early = synced.frames.get(camera.name), self._early.get(camera.name)
            if frame is None:
                started.append(None)
                continue
            wanted = self._wanted(frame.stamp_ns, camera)
            if early is not None and early.wanted == wanted:
                started.append(early.picture)
            else:
                started.append(self._submit(self._rig.camera(camera.name), frame.payload, wanted))
        return [None if one is None else one.result() for one in started]

    def _wanted(self, stamp_ns: int, camera: Camera | Calibration) -> _Wanted:
        return _Wanted(stamp_ns, (camera.height, camera.width), self._least_size(camera.model))

    def _submit(self, camera: RigCamera, message: Any, wanted: _Wanted) -> Future[np.ndarray]:
        mask = self._masks[camera.name]
        return self._threads.submit(read_picture, message, camera, wanted.full_size, wanted.least_size, mask)
