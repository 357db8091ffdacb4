# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""A tiny SSCBench-KITTI360 tree made by hand: no part of it comes from the package."""

from pathlib import Path

import numpy as np
from PIL import Image

DRIVE = "2013_05_28_drive_0004_sync"
SIZE = (88, 24)  # width, height
# The Velodyne 1 m ahead of and 2 m above the IMU, whose z axis points down; the camera 0.5 m ahead of the Velodyne and
# 0.2 m to its left.
T_IMU_VELO = np.array([[1.0, 0, 0, 1], [0, -1, 0, 0], [0, 0, -1, -2], [0, 0, 0, 1]])
T_VELO_CAM = np.array([[0.0, 0, 1, 0.5], [-1, 0, 0, 0.2], [0, -1, 0, 0], [0, 0, 0, 1]])


def words(matrix):
    """Numbers as KITTI writes them."""
    return " ".join(f"{value:.9f}" for value in np.asarray(matrix).ravel())


def _rotation_x(angle):
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1.0, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1]])


def write_kitti360(root: Path) -> Path:
    """Three key frames 5 m apart with one labelled voxel each, of class 1, 2 and 3; the nearest 2 m have no label."""
    rng = np.random.default_rng(0)
    rect = _rotation_x(0.02)
    (root / "calibration").mkdir(parents=True)
    lens, pose = [], []
    for n, shift in (("00", 0.0), ("01", 0.6)):
        camera = T_VELO_CAM.copy()
        camera[1, 3] -= shift
        lens += [f"S_rect_{n}: {SIZE[0]} {SIZE[1]}", f"R_rect_{n}: {words(rect[:3, :3])}",
                 f"P_rect_{n}: 40 0 44 {-40 * shift} 0 40 12 0 0 0 1 0"]  # fmt: skip
        pose.append(f"image_{n}: {words((T_IMU_VELO @ camera @ rect)[:3])}")
    (root / "calibration" / "perspective.txt").write_text("calib_time: today\n" + "\n".join(lens) + "\n")
    (root / "calibration" / "calib_cam_to_pose.txt").write_text("\n".join(pose) + "\n")
    (root / "calibration" / "calib_cam_to_velo.txt").write_text(words((T_VELO_CAM @ rect)[:3]) + "\n")
    raw = root / "data_2d_raw" / DRIVE
    lines, stamps = [], []
    for number in range(11):
        pose = np.eye(4)
        pose[1, 1] = pose[2, 2] = -1.0  # the world's z axis points up
        pose[0, 3] = 1000 + number
        lines.append(f"{number} {words(pose[:3])}")
        stamps.append(f"2013-05-28 08:46:{2 + number:02d}.123456789")
    for camera in ("image_00", "image_01"):
        (raw / camera / "data_rect").mkdir(parents=True)
        for number in (0, 5, 10):
            picture = rng.integers(0, 256, (SIZE[1], SIZE[0], 3)).astype(np.uint8)
            Image.fromarray(picture).save(raw / camera / "data_rect" / f"{number:06d}.png")
    (raw / "poses.txt").write_text("\n".join(lines) + "\n")
    (raw / "image_00" / "timestamps.txt").write_text("\n".join(stamps) + "\n")
    folder = root / "preprocess" / "labels" / DRIVE
    folder.mkdir(parents=True)
    for number in (0, 5, 10):
        labels = np.zeros((256, 256, 32), np.uint8)
        labels[100, 120, 10], labels[:10] = 1 + number // 5, 255
        np.save(folder / f"{number:06d}_1_1.npy", labels)
    return root
