# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Light records of videos of one camera whose calibration and poses may be unknown."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from gsocc_core.data.key_frames import CameraShot, KeyFrame
from gsocc_core.geometry.cameras import Camera

#: Name of the camera of a video that has none of its own, in folders of labels and features.
CAMERA = "color"


@dataclass(frozen=True)
class VideoScene:
    """One video.

    Attributes:
        name: Its name.
        frames: File names of its pictures, or what else names a frame, in the order of time.
    """

    name: str
    frames: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """One picture of a video.

    Attributes:
        scene_name: The video.
        name: The frame's name, unique in it.
        path: The picture.
        width: Its width, pixels.
        height: Its height, pixels.
        intrinsics: (3, 3) float64 pixels; None = unknown.
        T_world_cam: (4, 4) float64 pose of the optical frame; None = unknown.
        record: The key frame of a drive to which the picture belongs, that camera alone; None = it belongs to none.
    """

    scene_name: str
    name: str
    path: Path
    width: int
    height: int
    intrinsics: np.ndarray | None
    T_world_cam: np.ndarray | None
    record: KeyFrame | None = None

    @cached_property
    def camera(self) -> Camera:
        """The camera for fitting pictures and labels, which takes nothing from it but the size where K is unknown."""
        K = np.eye(3) if self.intrinsics is None else self.intrinsics
        return Camera(CAMERA, K, np.eye(4), self.width, self.height)

    def key_frame(self, index: int = 0) -> KeyFrame:
        """The frame as a key frame of one camera, by which folders of labels and features are read.

        Args:
            index: Its place in the video.
        """
        if self.record is not None:
            return self.record
        pose = np.eye(4) if self.T_world_cam is None else self.T_world_cam
        shot = CameraShot(self.path, index, self.camera, pose)
        return KeyFrame(self.name, self.scene_name, index, index, pose, np.eye(4), self.path, (shot,))
