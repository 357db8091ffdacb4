# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Key frames of KITTI-360 as SSCBench lays it out: calibration, poses, stamps and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gsocc_core.data.key_frames import CameraShot, KeyFrame
from gsocc_core.data.kitti_text import affine, pose, projection, read_matrix, read_table, rotation, take
from gsocc_core.data.stated_poses import check_same_pose
from gsocc_core.data.stored import read_splits, reading
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.geometry.cameras import Camera

PICTURES, CALIBRATION = "data_2d_raw", "calibration"
#: The rectified perspective cameras.
CAMERA_NAMES = ("image_00", "image_01")
#: Key frames are every so many frames of the recording.
STEP = 5
#: The recording's rate: the stamp of a frame without ``timestamps.txt``.
PERIOD_NS = 100_000_000
#: Drives per official split of SSCBench.
SPLITS = {
    split: tuple(f"2013_05_28_drive_{number:04d}_sync" for number in numbers)
    for split, numbers in {"train": (0, 2, 3, 4, 5, 7, 10), "val": (6,), "test": (9,)}.items()
}


@dataclass(frozen=True)
class Kitti360Calibration:
    """What is fixed on the car.

    Attributes:
        cameras: Rectified cameras by name; ``T_ego_cam`` is their pose in the Velodyne's frame.
        T_imu_velo: (4, 4) float64 pose of the Velodyne in the GPS/IMU's frame.
    """

    cameras: Mapping[str, Camera]
    T_imu_velo: np.ndarray


def read_kitti360_calibration(folder: str | Path) -> Kitti360Calibration:
    """Read perspective.txt, calib_cam_to_pose.txt and calib_cam_to_velo.txt.

    Args:
        folder: Folder with the three files.

    Returns:
        The calibration. The pictures are rectified, so the rectifying rotation belongs to the cameras' poses.

    Raises:
        DataError: a file or an entry is missing or damaged, or the files contradict each other.
    """
    folder = Path(folder)
    where = folder / "calib_cam_to_pose.txt"
    with reading(folder, "calibration with poses that can be inverted"):
        T_imu_cam0 = pose(where, read_table(where), "image_00")
        T_imu_velo = T_imu_cam0 @ np.linalg.inv(read_matrix(folder / "calib_cam_to_velo.txt"))
        cameras = {
            camera.name: replace(camera, T_ego_cam=np.linalg.inv(T_imu_velo) @ camera.T_ego_cam)
            for camera in read_perspective_cameras(folder, CAMERA_NAMES)
        }
    return Kitti360Calibration(cameras, T_imu_velo)


def read_perspective_cameras(folder: Path, names: Sequence[str] | None = None) -> list[Camera]:
    """Read perspective.txt and calib_cam_to_pose.txt.

    Args:
        folder: Folder with the two files.
        names: Which cameras; None = all of perspective.txt.

    Returns:
        Rectified cameras; ``T_ego_cam`` is their pose in the GPS/IMU's frame.

    Raises:
        DataError: a file or an entry is missing or damaged, or the two files differ in where a camera stands with
            respect to the first one.
    """
    lens, where = folder / "perspective.txt", folder / "calib_cam_to_pose.txt"
    lenses, poses = read_table(lens), read_table(where)
    if names is None:
        names = [f"image_{key[7:]}" for key in sorted(lenses) if key.startswith("P_rect_")]
    if not names:
        raise DataError(lens, "P_rect_00", "rectified cameras", sorted(lenses))
    cameras: list[Camera] = []
    T_rect0_first = np.eye(4)
    for name in names:
        number = name.removeprefix("image_")
        K, T_cam_rect0 = projection(lens, lenses, f"P_rect_{number}")
        width, height = take(lens, lenses, f"S_rect_{number}", 2)
        # The pose file holds the camera before rectification.
        T_imu_cam = pose(where, poses, name) @ np.linalg.inv(rotation(lens, lenses, f"R_rect_{number}"))
        if not cameras:
            T_rect0_first = np.linalg.inv(T_cam_rect0)
        elif lenses[f"P_rect_{number}"][3::4].any():  # a column of zeros tells nothing
            T_cam_first = np.linalg.inv(T_imu_cam) @ cameras[0].T_ego_cam
            one, other = (f"P_rect_{number}", T_cam_rect0 @ T_rect0_first), (where.name, T_cam_first)
            check_same_pose(lens, f"{cameras[0].name} in {name}", one, other)
        cameras.append(Camera(name, K, T_imu_cam, int(width), int(height)))
    return cameras


def choose_drives(root: str | Path, split: str | None, scenes: Sequence[str] | None) -> list[str]:
    """Drives in alphabetical order.

    Args:
        root: Root of the data set.
        split: A split of ``splits.json`` in the root ({split: [drives]}), else train, val or test of SSCBench; None =
            all drives.
        scenes: Explicit names; they win over ``split``.

    Returns:
        Names of drives that have pictures. Drives of a split that were not downloaded are an error.

    Raises:
        DataError: a name or split does not exist.
    """
    folder = Path(root) / PICTURES
    known = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not known:
        raise DataError(folder, "drives", "folders such as 2013_05_28_drive_0000_sync", "none")
    if scenes is not None:
        wanted = tuple(scenes)
    elif split is None:
        wanted = tuple(known)
    else:
        splits = _splits(Path(root))
        if split not in splits:
            raise DataError(root, f"split {split}", f"one of {sorted(splits)}", "no such split")
        wanted = tuple(splits[split])
    if missing := [name for name in wanted if name not in known]:
        raise DataError(folder, f"drive {missing[0]}", f"all drives of the split among {known}", "no such folder")
    return sorted(wanted)


def _splits(root: Path) -> Mapping[str, Sequence[str]]:
    own = root / "splits.json"
    if not own.is_file():
        return SPLITS
    return read_splits(own)


def frame_names(root: Path, drive: str, labels: Path | None) -> list[str]:
    """Key frames of a drive, as the data set lists them: files in ``voxels``, else labels, else every fifth picture.

    Raises:
        DataError: there are none.
    """
    raw = root / PICTURES / drive
    names = [path.stem for path in raw.glob("voxels/*.bin")]
    if not names and labels is not None:
        names = [path.name.removesuffix("_1_1.npy") for path in (labels / drive).glob("*_1_1.npy")]
    if not names and labels is None:
        names = [path.stem for path in raw.glob("image_00/data_rect/*.png")]
        names = [name for name in names if name.isdigit() and int(name) % STEP == 0]
    if not names:
        where = raw if labels is None else labels / drive
        raise DataError(where, "key frames", "voxels/*.bin, labels <frame>_1_1.npy or pictures", "none")
    if wrong := [name for name in names if not name.isdigit()]:
        raise DataError(raw, "key frames", "names that are numbers", wrong[0])
    return sorted(names, key=int)


def read_drive(
    root: Path, drive: str, names: Sequence[str], cameras: Sequence[str], calibration: Kitti360Calibration
) -> list[KeyFrame]:
    """Key frames of a drive. The Velodyne's frame serves as the ego frame.

    Args:
        root: Root of the data set.
        drive: Name of the drive.
        names: Names of the key frames, ascending.
        cameras: Camera names, the order of ``KeyFrame.shots``.
        calibration: Of the car.

    Raises:
        ConfigError: there is no such camera.
        DataError: a pose or picture is missing.
    """
    for camera in cameras:
        if camera not in calibration.cameras:
            raise ConfigError("data", "cameras", f"names among {CAMERA_NAMES}", camera)
    raw = root / PICTURES / drive
    where, poses = _read_poses(root, drive)
    stamps = _read_stamps(raw / "image_00" / "timestamps.txt")
    if stamps is not None and int(names[-1]) >= len(stamps):
        expected = f"a line per frame, at least {int(names[-1]) + 1}; without the file, frames are 0.1 s apart"
        raise DataError(raw / "image_00" / "timestamps.txt", "lines", expected, len(stamps))
    frames = []
    for index, name in enumerate(names):
        number = int(name)
        if number not in poses:
            raise DataError(where, f"frame {number}", "a pose of every key frame", "none")
        T_world_velo = poses[number] @ calibration.T_imu_velo
        stamp_ns = number * PERIOD_NS if stamps is None else stamps[number]
        shots = tuple(
            CameraShot(_picture(raw / camera / "data_rect", name), stamp_ns, calibration.cameras[camera], T_world_velo)
            for camera in cameras
        )
        cloud = raw / "voxels" / f"{name}.bin"
        frames.append(KeyFrame(name, drive, index, stamp_ns, T_world_velo, np.eye(4), cloud, shots))
    return frames


def _read_poses(root: Path, drive: str) -> tuple[Path, dict[int, np.ndarray]]:
    """The file and (4, 4) poses of the GPS/IMU in the world by frame number."""
    raw = root / PICTURES / drive
    candidates = (raw / "poses.txt", raw / "pose.txt", root / "data_poses" / drive / "poses.txt")
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        raise DataError(
            candidates[0], "file", "poses of the GPS/IMU: frame number and 12 numbers a line", "no such file"
        )
    poses = {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        words = line.split()
        if not words:
            continue
        try:
            values = np.array([float(word) for word in words[1:]])
            frame = int(float(words[0]))
        except (ValueError, OverflowError) as error:
            raise DataError(path, f"line {number}", "a frame number and 12 numbers", line[:40]) from error
        if values.size != 12 or not np.isfinite(values).all():
            raise DataError(path, f"line {number}", "a frame number and 12 numbers", f"{len(words)} words")
        poses[frame] = affine(values)
    return path, poses


def _read_stamps(path: Path) -> list[int] | None:
    """Stamps of all frames of the recording, nanoseconds; None = there is no such file."""
    if not path.is_file():
        return None
    with reading(path, "a date and time a line"):
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        return [int(np.datetime64(line.replace(" ", "T"), "ns").astype(np.int64)) for line in lines] or None


def _picture(folder: Path, name: str) -> Path:
    """A frame's picture: SSCBench writes 6 digits, KITTI-360 writes 10."""
    candidates = [folder / f"{stem}.png" for stem in dict.fromkeys((name, name.zfill(6), name.zfill(10)))]
    for path in candidates:
        if path.is_file():
            return path
    raise DataError(candidates[0], "file", "a picture of every key frame", "no such file")
