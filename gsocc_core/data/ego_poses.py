# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Where the ego was at the moments of pictures, and what there is to say where nobody knows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from gsocc_core.data.args import DataArgs
from gsocc_core.data.key_frames import CameraShot, KeyFrame
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.geometry.cameras import Camera
from gsocc_core.geometry.rigid import rigid_from_quat


def told_motion(root: Path, frames: Sequence[KeyFrame]) -> tuple[bool, bool]:
    """What a data set tells of the ego's motion, of all of its pictures alike.

    Args:
        root: The data set, for errors.
        frames: All of its key frames.

    Returns:
        Whether there are ego poses, and whether there is an odometer.

    Raises:
        DataError: some pictures have one and others have not.
    """
    shots = [shot for frame in frames for shot in frame.shots]
    shots += [shot for frame in frames for moment in frame.sweeps.values() for shot in moment if shot is not None]
    poses = [shot.T_world_ego is not None for shot in shots] + [f.T_world_ego is not None for f in frames]
    counted = [shot.travelled_m is not None for shot in shots]
    return _all_or_none(root, "ego poses", poses), _all_or_none(root, "odometer", counted)


def _all_or_none(root: Path, what: str, told: Sequence[bool]) -> bool:
    if any(told) and not all(told):
        expected = "of all pictures, or of none (choose scenes that are alike)"
        raise DataError(root, what, expected, f"{sum(told)} of {len(told)}")
    return any(told)


def check_without_poses(root: Path, args: DataArgs) -> None:
    """Raise ConfigError where arguments ask for what unknown poses cannot give.

    Earlier key frames have no place beside the present one, and what is unknown has no error.
    """
    for key, value, used in (
        ("history", args.history, args.history > 0),
        ("remembered", args.remembered, args.remembered > 0),
        ("view_pose_noise", args.view_pose_noise, any(args.view_pose_noise)),
    ):
        if used:
            raise ConfigError("data", key, f"none, since the poses of {root} are unknown", value)


def pose_from(present: KeyFrame, T_world_ego: np.ndarray | None) -> np.ndarray:
    """(4, 4) float64 pose of the ego in the present ego frame; the identity where one of the two is unknown."""
    T_ego_world = present.T_ego_world
    return np.eye(4) if T_ego_world is None or T_world_ego is None else T_ego_world @ T_world_ego


def camera_at(present: KeyFrame, camera: Camera, T_world_ego: np.ndarray | None) -> Camera:
    """A camera with its ego motion to the present reference time, composed in float64; at rest where it is unknown."""
    return replace(camera, T_ref_ego=pose_from(present, T_world_ego))


def pose_error(present: KeyFrame, place: int, noise: tuple[float, float]) -> np.ndarray:
    """(4, 4) error of the ego pose of the view at a place, the same every time; none of the present's.

    Args:
        present: The key frame.
        place: Number of the view; 0 = the present.
        noise: Standard deviations per axis, metres and degrees.
    """
    metres, degrees = noise
    if not place or not (metres or degrees):
        return np.eye(4)
    draws = np.random.default_rng([*f"{present.scene_name}/{present.token}".encode(), place]).normal(size=6)
    turn = np.radians(degrees) * draws[3:]
    angle = max(float(np.linalg.norm(turn)), 1e-12)
    quaternion = [np.cos(angle / 2), *(np.sin(angle / 2) * turn / angle)]
    return rigid_from_quat(quaternion, metres * draws[:3])


def mean_time_s(present: KeyFrame, moment: Sequence[CameraShot | None]) -> float:
    """Mean time from each camera's present picture to another one, seconds; 0 where there is none."""
    apart = [shot.stamp_ns - now.stamp_ns for shot, now in zip(moment, present.shots) if shot is not None]
    return sum(apart) / len(apart) * 1e-9 if apart else 0.0


def farthest_s(present: KeyFrame, moments: Iterable[KeyFrame]) -> float:
    """Time from a key frame to the farthest of others and of its own sweeps, seconds."""
    times = [(moment.stamp_ns - present.stamp_ns) * 1e-9 for moment in moments]
    times += [mean_time_s(present, sweep) for sweep in present.sweeps.values()]
    return max(map(abs, times), default=0.0)


def spread_s(frame: KeyFrame) -> float:
    """Time from the first of a key frame's pictures to the last one, seconds."""
    stamps = [shot.stamp_ns for shot in frame.shots]
    return (max(stamps) - min(stamps)) * 1e-9


def travelled_m(present: KeyFrame, moment: Sequence[CameraShot | None]) -> list[float]:
    """Metres from each camera's present picture to another one; NaN where there is none, or nobody counted."""
    ways = [None if shot is None else shot.travelled_m for shot in moment]
    starts = [shot.travelled_m for shot in present.shots]
    return [math.nan if there is None or here is None else there - here for there, here in zip(ways, starts)]
