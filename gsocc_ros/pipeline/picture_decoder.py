# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Decodes pictures in threads, also before their set is complete."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from gsocc_core import Camera
from gsocc_ros.pipeline.camera_input import read_mask, read_picture
from gsocc_ros.pipeline.rig import Rig, RigCamera
from gsocc_ros.pipeline.synchronizer import SyncedSet


class _EarlyPicture(NamedTuple):
    """A picture that is being decoded before its set is complete."""

    stamp_ns: int
    full_size: tuple[int, int]
    picture: Future[np.ndarray]


class PictureDecoder:
    """The pictures of a rig as arrays.

    Args:
        rig: The cameras.
        min_size: (height, width) in pixels that suffice, see :func:`~gsocc_ros.pipeline.camera_input.read_picture`;
            None = full size.

    Raises:
        ConfigError: a mask file of the rig is damaged.
    """

    def __init__(self, rig: Rig, min_size: tuple[int, int] | None) -> None:
        self._rig, self._min_size = rig, min_size
        self._masks = {camera.name: read_mask(camera) for camera in rig.cameras}
        self._threads = ThreadPoolExecutor(max_workers=min(4, len(rig.cameras)), thread_name_prefix="decode")
        self._early: dict[str, _EarlyPicture] = {}  # the newest picture of each camera, decoded ahead
        self._lock = threading.Lock()
        self._closed = False

    def use(self, min_size: tuple[int, int] | None) -> None:
        """Decode at another size from now on."""
        with self._lock:
            self._min_size = min_size
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

    def begin(self, camera: RigCamera, stamp_ns: int, message: Any, full_size: tuple[int, int]) -> None:
        """Decode a picture while the others of its cycle are on their way.

        Args:
            camera: Its camera.
            stamp_ns: Its stamp.
            message: sensor_msgs/CompressedImage or sensor_msgs/Image.
            full_size: (height, width) in pixels that CameraInfo announces.
        """
        with self._lock:
            if not self._closed:
                self._early[camera.name] = _EarlyPicture(stamp_ns, full_size, self._submit(camera, message, full_size))

    def decode(self, synced: SyncedSet[Any], cameras: Sequence[Camera]) -> tuple[list[np.ndarray | None], list[Camera]]:
        """Pictures of a set.

        Args:
            synced: The messages.
            cameras: Cameras at the size that CameraInfo announces.

        Returns:
            A picture (H, W, 3) uint8 per camera, None where it gave none, and the cameras at the pictures' sizes.

        Raises:
            DataError: a picture does not decode or has the wrong size.
        """
        started: list[Future[np.ndarray] | None] = []
        for camera in cameras:
            frame, early = synced.frames.get(camera.name), self._early.get(camera.name)
            full = (camera.height, camera.width)
            if frame is None:
                started.append(None)
            elif early is not None and (early.stamp_ns, early.full_size) == (frame.stamp_ns, full):
                started.append(early.picture)
            else:
                started.append(self._submit(self._rig.camera(camera.name), frame.payload, full))
        images = [None if one is None else one.result() for one in started]
        resized = [
            camera if image is None else camera.resized(image.shape[1], image.shape[0])
            for camera, image in zip(cameras, images)
        ]
        return images, resized

    def _submit(self, camera: RigCamera, message: Any, full_size: tuple[int, int]) -> Future[np.ndarray]:
        mask = self._masks[camera.name]
        return self._threads.submit(read_picture, message, camera, full_size, self._min_size, mask)
