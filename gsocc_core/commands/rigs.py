# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Commands around a rig: write its file, check it."""

from __future__ import annotations

from typing import Literal


def rig(
    source: Literal["kalibr", "nuscenes", "kitti", "kitti360", "camera_info"],
    calibration: str,
    out: str,
    T_ego_imu: tuple[float, ...] | None = None,
    T_ego_cam0: tuple[float, ...] | None = None,
    version: str = "v1.0-trainval",
    scene: str | None = None,
    size: tuple[int, int] | None = None,
    rectified: bool = True,
    cameras: tuple[str, ...] | None = None,
    poses: str | None = None,
) -> None:
    """Write a rig file from the calibration of another tool or data set.

    Poses are x,y,z,qw,qx,qy,qz or the 12 or 16 numbers of a matrix, row by row.

    Args:
        source: Whose calibration it is.
        calibration: kalibr: camchain.yaml or camchain-imucam.yaml; nuscenes: dataroot; kitti: folder of a day of the
            raw data or a file of the object or odometry benchmark; kitti360: the calibration folder; camera_info: a
            YAML file of ROS per camera, or a folder of them.
        out: Rig file to make.
        T_ego_imu: Pose of the IMU in base_link (kalibr with IMU, kitti, kitti360).
        T_ego_cam0: Pose of cam0's optical frame in base_link (kalibr, a benchmark of kitti, one camera_info file).
        version: Name of the tables' folder (nuscenes).
        scene: Whose calibration; None = the first scene's (nuscenes).
        size: width,height of the pictures (benchmarks of KITTI).
        rectified: The pictures are rectified (kitti).
        cameras: Only these; None = all.
        poses: YAML file {camera: [x, y, z, qw, qx, qy, qz]} of the cameras' optical frames in base_link (camera_info).
    """
    from gsocc_core.rigs.from_calibration import read_calibration
    from gsocc_core.rigs.poses import pose_of

    made, comment = read_calibration(
        source,
        calibration,
        T_ego_imu=None if T_ego_imu is None else pose_of(T_ego_imu, "T_ego_imu"),
        T_ego_cam0=None if T_ego_cam0 is None else pose_of(T_ego_cam0, "T_ego_cam0"),
        version=version,
        scene=scene,
        size=size,
        rectified=rectified,
        cameras=cameras,
        poses=poses,
    )
    made.save(out, comment)
    print(f"{comment}\n{out}: {', '.join(made.names)}. Look at it with `gsocc_core check-rig {out}`.")


def check_rig(
    rig: str,
    images: str | None = None,
    out: str | None = None,
    points: str | None = None,
    T_ego_lidar: tuple[float, ...] | None = None,
    picture_set: str | None = None,
    tile_width: int = 800,
) -> None:
    """Check a rig file and draw ground, horizon, neighbours and LiDAR points into its pictures.

    Ends with status 1 when a finding is an error.

    Args:
        rig: Rig file, or the name of a shipped rig; of one without calibration, times alone are checked.
        images: Folder of pictures, as for predict; None = grey pictures.
        out: PNG to make; None = check only.
        points: Point cloud: .npy, .pcd, .bin (KITTI), .pcd.bin (nuScenes) or .ply.
        T_ego_lidar: Pose of the cloud's frame in the ego frame: x,y,z,qw,qx,qy,qz or a matrix row by row; None = the
            cloud is in the ego frame.
        picture_set: Which set of the folder; None = the first complete one.
        tile_width: Width of one camera in the picture, pixels.
    """
    from gsocc_core.rigs.check_picture import check_and_draw
    from gsocc_core.rigs.checks import check_times, table
    from gsocc_core.rigs.poses import pose_of
    from gsocc_core.rigs.rig_file import CameraRig, uncalibrated_offsets_ms

    pose = None if T_ego_lidar is None else pose_of(T_ego_lidar, "T_ego_lidar")
    offsets_ms = uncalibrated_offsets_ms(rig)
    if offsets_ms and images is None and out is None and points is None:
        findings = check_times(offsets_ms)
    else:
        findings = check_and_draw(CameraRig.load(rig), images, out, points, pose, picture_set, tile_width)
    print(table(findings))
    if any(finding.level == "error" for finding in findings):
        raise SystemExit(1)
