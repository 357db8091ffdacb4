# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Rig files from the calibrations of other tools and data sets: ``gsocc_core rig``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from gsocc_core.errors import ConfigError
from gsocc_core.rigs.camera_info_files import read_camera_info_files
from gsocc_core.rigs.kalibr import read_kalibr
from gsocc_core.rigs.kitti import read_kitti, read_kitti360
from gsocc_core.rigs.nuscenes_rig import read_nuscenes
from gsocc_core.rigs.poses import pose_words
from gsocc_core.rigs.rig_file import CameraRig

Source = Literal["kalibr", "nuscenes", "kitti", "kitti360", "camera_info"]


def read_calibration(
    source: Source,
    calibration: str | Path,
    *,
    T_ego_imu: np.ndarray | None = None,
    T_ego_cam0: np.ndarray | None = None,
    version: str = "v1.0-trainval",
    scene: str | None = None,
    size: tuple[int, int] | None = None,
    rectified: bool = True,
    cameras: tuple[str, ...] | None = None,
    poses: str | Path | None = None,
) -> tuple[CameraRig, str]:
    """Read a calibration of another tool.

    Args:
        source: Whose it is.
        calibration: kalibr: camchain.yaml or camchain-imucam.yaml; nuscenes: dataroot; kitti: folder of a day or a file
            of the object or odometry benchmark; kitti360: the calibration folder; camera_info: a YAML file of ROS, or
            a folder of them.
        T_ego_imu: (4, 4) pose of the IMU in the ego frame (kalibr, kitti, kitti360).
        T_ego_cam0: (4, 4) pose of cam0 in the ego frame (kalibr, the benchmarks of kitti, a single camera_info file).
        version: Name of the tables' folder (nuscenes).
        scene: Whose calibration; None = the first scene's (nuscenes).
        size: (width, height) of the pictures, pixels (benchmarks of KITTI).
        rectified: The pictures are rectified (kitti).
        cameras: Only these, in this order; None = all.
        poses: YAML file with the cameras' poses (camera_info).

    Returns:
        The rig, and what the reader should know about it, a few lines.

    Raises:
        ConfigError: a pose or size is missing or cannot be used, or a camera's name is unknown.
        DataError: files are missing or damaged, or a lens model has no counterpart.
    """
    if T_ego_cam0 is not None and source in {"nuscenes", "kitti360"}:
        raise ConfigError("rig", "T_ego_cam0", "nothing, but with kalibr, kitti or camera_info", source)
    if T_ego_imu is not None and source == "nuscenes":
        raise ConfigError("rig", "T_ego_imu", "nothing: nuScenes' calibration leads to the ego frame", "a pose")
    if T_ego_imu is not None and source == "camera_info":
        raise ConfigError("rig", "T_ego_imu", "--poses or --T_ego_cam0: camera_info knows no IMU", "a pose")
    if poses is not None and source != "camera_info":
        raise ConfigError("rig", "poses", "nothing, but with camera_info", source)
    comment = f"Cameras of {Path(calibration).name}, {source} calibration."
    if source == "kalibr":
        rig = read_kalibr(calibration, T_ego_imu, T_ego_cam0)
    elif source == "nuscenes":
        rig, T_ego_lidar = read_nuscenes(calibration, version, scene, cameras)
        comment += f" It holds for one log only.\nLIDAR_TOP: --T_ego_lidar {pose_words(T_ego_lidar)}"
    elif source == "kitti":
        found = read_kitti(calibration, T_ego_imu, size, rectified, T_ego_cam0)
        rig = found.rig
        if found.T_ego_velo is not None:
            comment += f"\nVelodyne: --T_ego_lidar {pose_words(found.T_ego_velo)}"
        comment += f"\n{found.ego}" if found.ego else ""
    elif source == "camera_info":
        rig = read_camera_info_files(calibration, poses, T_ego_cam0)
    else:
        rig, left_out = read_kitti360(calibration, T_ego_imu)
        if left_out:
            comment += f"\nLeft out, omnidirectional (MEI) lenses: {', '.join(left_out)}."
    if cameras is not None:
        rig = _only(rig, cameras)
    return rig, comment


def _only(rig: CameraRig, names: tuple[str, ...]) -> CameraRig:
    offsets = dict(zip(rig.names, rig.trigger_offsets_ms))
    by_name = {camera.name: camera for camera in rig.cameras}
    for name in names:
        if name not in by_name:
            raise ConfigError("rig", "cameras", f"names among {', '.join(rig.names)}", name)
    return CameraRig.of([by_name[name] for name in names], {name: offsets[name] for name in names})
