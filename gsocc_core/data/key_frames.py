# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Light records of key frames, which loaders can carry to other processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gsocc_core.errors import DataError
from gsocc_core.geometry.boxes import Boxes
from gsocc_core.geometry.cameras import Camera


@dataclass(frozen=True)
class CameraShot:
    """One picture of a key frame.

    Attributes:
        path: The JPEG.
        stamp_ns: Trigger time.
        camera: Calibration at the picture's full size, without ego motion.
        T_world_ego: (4, 4) float64 ego pose at the trigger time; None = unknown.
        mask_path: Picture of where the camera sees the own vehicle; see :mod:`gsocc_core.data.vehicle_masks`. None =
            it is not known.
        travelled_m: Metres that the odometer has counted until then, from an arbitrary zero; None = there is none.
    """

    path: Path
    stamp_ns: int
    camera: Camera
    T_world_ego: np.ndarray | None
    mask_path: Path | None = None
    travelled_m: float | None = None

    def known_pose(self, use: str) -> np.ndarray:
        """``T_world_ego``, for what cannot do without.

        Args:
            use: What needs it, for the error.

        Raises:
            DataError: it is unknown.
        """
        return _known(self.T_world_ego, self.path, use)


@dataclass(frozen=True)
class KeyFrame:
    """One sample of a data set.

    Attributes:
        token: Its name, unique in its scene; nuScenes' sample token.
        scene_name: Its scene.
        index: Position in the scene.
        stamp_ns: The reference time; nuScenes: LIDAR_TOP's stamp.
        T_world_ego: (4, 4) float64 ego pose at the reference time; None = unknown, and then so are those of all shots.
        T_ego_lidar: (4, 4) float64 LiDAR calibration.
        lidar_path: The key frame's point cloud.
        shots: One per camera, in the order asked for.
        boxes: Annotated boxes, if asked for.
        sweeps: Further pictures of each camera, by offset in its cycles, if asked for; None where it took none.
    """

    token: str
    scene_name: str
    index: int
    stamp_ns: int
    T_world_ego: np.ndarray | None
    T_ego_lidar: np.ndarray
    lidar_path: Path
    shots: tuple[CameraShot, ...]
    boxes: Boxes | None = None
    sweeps: Mapping[int, tuple[CameraShot | None, ...]] = field(default_factory=dict)

    def known_pose(self, use: str) -> np.ndarray:
        """``T_world_ego``, for what cannot do without.

        Args:
            use: What needs it, for the error.

        Raises:
            DataError: it is unknown.
        """
        return _known(self.T_world_ego, f"{self.scene_name}/{self.token}", use)

    @property
    def T_ego_world(self) -> np.ndarray | None:
        """(4, 4) float64 inverse of ``T_world_ego``; None = unknown."""
        if self.T_world_ego is None:
            return None
        # LAPACK would cost a loader more than all its other arithmetic.
        T = np.eye(4)
        T[:3, :3] = self.T_world_ego[:3, :3].T
        T[:3, 3] = -T[:3, :3] @ self.T_world_ego[:3, 3]
        return T

    @property
    def T_world_lidar(self) -> np.ndarray | None:
        """(4, 4) float64 pose of the LiDAR in the world at the reference time; None = unknown."""
        return None if self.T_world_ego is None else self.T_world_ego @ self.T_ego_lidar


def _known(T_world_ego: np.ndarray | None, where: object, use: str) -> np.ndarray:
    if T_world_ego is None:
        raise DataError(where, "ego pose", f"a known one, for {use}", "none: the data set's poses are unknown")
    return T_world_ego
