# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""SSCBench-KITTI360: one or two cameras that look ahead, voxel labels in front of the car."""

from __future__ import annotations

from pathlib import Path

from gsocc_core.data.args import DataArgs
from gsocc_core.data.drives import DriveDataset
from gsocc_core.data.key_frames import KeyFrame
from gsocc_core.data.kitti360_index import (
    CALIBRATION,
    PICTURES,
    choose_drives,
    frame_names,
    read_drive,
    read_kitti360_calibration,
)
from gsocc_core.data.protocol import Protocol
from gsocc_core.data.sscbench_labels import SSCBENCH_GRID, SSCBENCH_KITTI360, read_sscbench
from gsocc_core.data.voxel_labels import VoxelLabels
from gsocc_core.errors import ConfigError


class Kitti360Occupancy(DriveDataset):
    """Key frames of KITTI-360 with SSCBench's labels; see :class:`DriveDataset` for items.

    The Velodyne's frame serves as the ego frame. Both cameras fire with it, so nothing moves between them.

    Args:
        args: What to load; ``sscbench_dir`` names the labels.
        image_size: (height, width) of the network's pictures, pixels.

    Raises:
        ConfigError: a camera's name or a number in ``args`` makes no sense.
        DataError: drives, calibration, poses, pictures or labels are missing or damaged.

    Example:
        >>> data = DataArgs("data/kitti360", dataset="kitti360", split="train")
        >>> data.cameras
        ('image_00',)
        >>> frames = Kitti360Occupancy(data, image_size=(376, 1408))[0]  # doctest: +SKIP
        >>> frames.targets.labels.shape  # doctest: +SKIP
        torch.Size([1, 256, 256, 32])
    """

    protocol = Protocol(
        title="SSCBench-KITTI360",
        classes=SSCBENCH_KITTI360,
        grid=SSCBENCH_GRID,
        mask="none",
        rays=False,
        ground=("road", -1.73),
        labels_field="sscbench_dir",
        lidar_clouds=False,
    )

    def _read_scenes(self, args: DataArgs) -> list[list[KeyFrame]]:
        if args.view_sweeps:
            raise ConfigError("data", "view_sweeps", "none with kitti360: only key frames are read", args.view_sweeps)
        calibration = read_kitti360_calibration(self.root / CALIBRATION)
        result = []
        for drive in choose_drives(self.root, args.split, args.scenes):
            names = frame_names(self.root, drive, self.labels_dir)
            result.append(read_drive(self.root, drive, names, args.cameras, calibration))
        return result

    def _read_voxels(self, folder: Path, frame: KeyFrame) -> VoxelLabels:
        path = folder / frame.scene_name / f"{frame.token}_1_1.npy"
        if folder.name == PICTURES:
            path = folder / frame.scene_name / "voxels" / f"{frame.token}.label"
        return VoxelLabels.without_masks(read_sscbench(path), SSCBENCH_KITTI360.ignore_id)
