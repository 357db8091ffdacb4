# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Decodes pictures in threads, also before their set is complete, and depth."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from gsocc_core import Camera
from gsocc_core.geometry.cameras import CameraModel
from gsocc_ros.pipeline.camera_input import Calibration, read_mask, read_picture
from gsocc_ros.pipeline.depth_input import read_depth
from gsocc_ros.pipeline.rig import Rig, RigCamera
from gsocc_ros.pipeline.synchronizer import Frame, SyncedSet

#: After so many pictures of a camera that were decoded ahead in vain, none is until a set has been decoded.
IN_VAIN = 3

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
        self._in_vain: dict[str, int] = {}  # per camera, how many were replaced since a set was decoded
        self._lock = threading.Lock()
        self._closed = False

    def use(self, least_size: LeastSize) -> None:
        """Decode at another size from now on."""
        with self._lock:
            self._least_size = least_size
            self._forget()

    def forget(self) -> None:
        """Drop what was decoded ahead."""
        with self._lock:
            self._forget()

    def close(self) -> None:
        """Stop the threads at once: what waits for one is not decoded any more."""
        with self._lock:
            self._closed = True
            self._forget()
        self._threads.shutdown(cancel_futures=True)

    def begin(self, camera: RigCamera, stamp_ns: int, message: Any, calibration: Calibration) -> None:
        """Decode a picture while the others of its cycle are on their way.

        One picture of a camera is held at most: an earlier one is dropped. While no set completes, decoding ahead ends
        after :data:`IN_VAIN` pictures of each camera.

        Args:
            camera: Its camera.
            stamp_ns: Its stamp.
            message: sensor_msgs/CompressedImage or sensor_msgs/Image.
            calibration: What its CameraInfo says.
        """
        with self._lock:
            before = self._early.pop(camera.name, None)
            if before is not None:
                before.picture.cancel()
                self._in_vain[camera.name] = self._in_vain.get(camera.name, 0) + 1
            if not self._closed and self._in_vain.get(camera.name, 0) < IN_VAIN:
                wanted = self._wanted(stamp_ns, calibration)
                self._early[camera.name] = _EarlyPicture(wanted, self._submit(camera, message, wanted))

    def _forget(self) -> None:
        for early in self._early.values():
            early.picture.cancel()
        self._early.clear()
        self._in_vain.clear()

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
        with self._lock:
            self._in_vain.clear()
            for camera in cameras:
                frame = synced.frames.get(camera.name)
                started.append(None if frame is None else self._picture(camera, frame))
        return [None if one is None else one.result() for one in started]

    def decode_depths(self, synced: SyncedSet[Any], cameras: Sequence[Camera]) -> list[np.ndarray | None]:
        """Depth of a set's pictures.

        Args:
            synced: The messages.
            cameras: Cameras at the size that CameraInfo announces.

        Returns:
            (h, w) float32 metres per camera; None where its picture has no map.

        Raises:
            DataError: a map does not decode, has an unknown encoding, or is not in the frame of its picture.
        """
        if not synced.depths:
            return [None] * len(cameras)
        return list(self._threads.map(lambda camera: self._depth(camera, synced), cameras))

    def _depth(self, camera: Camera, synced: SyncedSet[Any]) -> np.ndarray | None:
        depth, robot = synced.depths.get(camera.name), self._rig.camera(camera.name)
        if depth is None:
            return None
        # Whoever names the frame in the rig does not trust the headers.
        frame = None if robot.frame is not None else synced.frames[camera.name].payload.header.frame_id
        return read_depth(depth.payload, robot, (camera.height, camera.width), self._masks[camera.name], frame)

    def _picture(self, camera: Camera, frame: Frame[Any]) -> Future[np.ndarray]:
        """The picture that was begun, which is the set's from now on, or one that begins now."""
        wanted, early = self._wanted(frame.stamp_ns, camera), self._early.get(camera.name)
        if early is not None and early.wanted == wanted:
            del self._early[camera.name]
            return early.picture
        return self._submit(self._rig.camera(camera.name), frame.payload, wanted)

    def _wanted(self, stamp_ns: int, camera: Camera | Calibration) -> _Wanted:
        return _Wanted(stamp_ns, (camera.height, camera.width), self._least_size(camera.model))

    def _submit(self, camera: RigCamera, message: Any, wanted: _Wanted) -> Future[np.ndarray]:
        mask = self._masks[camera.name]
        return self._threads.submit(read_picture, message, camera, wanted.full_size, wanted.least_size, mask)
