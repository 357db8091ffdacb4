# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Where the camera of rectified pictures stands: R and the fourth column of P of sensor_msgs/CameraInfo."""

from __future__ import annotations

from typing import Any

import numpy as np

from gsocc_core.errors import DataError
from gsocc_ros.pipeline.rig import RECTIFIED_FRAMES, RigCamera

#: R turns when one of its entries differs from the identity's by more: 0.1 px at a focal length of 1000 px.
TURNS = 1e-4
#: P shifts when its fourth column means more, metres.
SHIFTS_M = 1e-4


def rectified_pose(message: Any, camera: RigCamera) -> np.ndarray:
    """Pose of the camera of rectified pictures in the frame that the transform tree knows.

    CameraInfo holds a rotation R from the axes of the physical camera to those of the rectified pictures,
    ``x_rectified = R x_camera``, and a matrix P whose fourth column (Tx, Ty, 0) means that the camera stands at
    (-Tx / fx, -Ty / fy, 0) of the rectified frame of the stereo pair's first camera. Which of these frames is the one
    named in the header, drivers do not agree about, so the rig has to say it (:attr:`RigCamera.rectified_frame`) where
    it makes a difference.

    Args:
        message: A sensor_msgs/CameraInfo whose P holds positive focal lengths.
        camera: The camera of the rig that it belongs to; its pictures are rectified.

    Returns:
        (4, 4) float64 ``T_frame_cam``.

    Raises:
        DataError: R is no rotation, P's fourth column is not (Tx, Ty, 0), or one of them says something and the rig
            does not say what the frame is.
    """
    topic, T = camera.camera_info_topic, np.eye(4)
    R, P = np.asarray(message.r, np.float64).reshape(3, 3), np.asarray(message.p, np.float64).reshape(3, 4)
    if not R.any():  # drivers of single cameras leave it empty
        R = np.eye(3)
    if not (np.isfinite(R).all() and np.abs(R @ R.T - np.eye(3)).max() < 1e-3 and np.linalg.det(R) > 0):
        raise DataError(topic, "r", "a rotation, or nine zeros", R.tolist())
    if not (np.isfinite(P).all() and P[2, 3] == 0):
        raise DataError(topic, "p", "a fourth column (Tx, Ty, 0) of finite numbers", P[:, 3].tolist())
    shift_m = 0.0 - np.array([P[0, 3] / P[0, 0], P[1, 3] / P[1, 1], 0.0])
    said: dict[str, str] = {}
    if np.abs(R - np.eye(3)).max() > TURNS:
        angle_rad = 2 * np.arcsin(min(1.0, float(np.linalg.norm(R - np.eye(3))) / 8**0.5))
        said["r"] = f"R turns by {np.rad2deg(angle_rad):.3f} degrees"
    if np.abs(shift_m).max() > SHIFTS_M:
        said["p"] = f"P shifts by {shift_m[:2].round(4).tolist()} m"
    if camera.rectified_frame is None and said:
        expected = f"rectified_frame of {camera.name} in the rig file, one of {list(RECTIFIED_FRAMES)}, because "
        raise DataError(topic, ", ".join(said), expected + " and ".join(said.values()), "none")
    if camera.rectified_frame == "camera":
        left, _, right = np.linalg.svd(R)
        T[:3, :3] = (left @ right).T
    if camera.rectified_frame == "first":
        T[:3, 3] = shift_m
    return T
