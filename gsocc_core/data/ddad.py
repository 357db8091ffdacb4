# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""DDAD: six cameras and a long-range LiDAR in TRI's dgp layout; depth, and no voxel labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gsocc_core.data.args import DataArgs
from gsocc_core.data.ddad_index import DdadIndex, choose_ddad_scenes, dataset_file
from gsocc_core.data.ddad_info import DdadInfo, read_ddad_info
from gsocc_core.data.drives import DriveDataset
from gsocc_core.data.key_frames import KeyFrame
from gsocc_core.data.protocol import Protocol, read_protocol
from gsocc_core.data.voxel_labels import VoxelLabels
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.geometry.classes import OCC3D_NUSCENES
from gsocc_core.geometry.voxels import VoxelGrid

#: Without labels of voxels the grid is that on which GaussianOcc writes them, and the classes those of its pictures.
DDAD_PROTOCOL = Protocol(
    title="DDAD",
    classes=OCC3D_NUSCENES,
    grid=VoxelGrid.occ3d(),
    mask="none",
    rays=False,
    ground=("driveable_surface", 0.0),
    labels_field=None,
    max_depth_m=200.0,
)


class DdadDrives(DriveDataset):
    """Samples of DDAD, ten per second; see :class:`DriveDataset` for items.

    The vehicle's frame (rear axle, on the ground) is the ego frame, the LiDAR's stamp the reference time. Pixels that
    show the own vehicle have no labels of pictures, and ``usable`` of the frame set tells them.

    Args:
        args: What to load.
        image_size: (height, width) of the network's pictures, pixels.

    Raises:
        ConfigError: a number in ``args`` makes no sense.
        DataError: scenes, cameras, calibration, pictures, clouds or masks are missing or damaged, or sensors of a
            sample did not fire together.

    Example:
        >>> data = DataArgs("data/ddad", dataset="ddad", split="val")
        >>> data.cameras[:2], data.version
        (('CAMERA_01', 'CAMERA_05'), 'ddad')
        >>> DdadDrives(data, image_size=(384, 640))[0].usable.shape  # doctest: +SKIP
        torch.Size([1, 1, 6, 384, 640])
    """

    protocol = DDAD_PROTOCOL
    _info: DdadInfo | None

    @classmethod
    def protocol_for(cls, args: DataArgs) -> Protocol:
        """DDAD's; where the root has ``protocol.yaml`` and ``classes.yaml``, their grid and classes."""
        own = read_protocol(args.dataroot)
        if own is None:
            return cls.protocol
        return replace(cls.protocol, title=own.title, grid=own.grid, classes=own.classes, ground=own.ground)

    def _read_scenes(self, args: DataArgs) -> list[list[KeyFrame]]:
        if args.view_sweeps:
            raise ConfigError("data", "view_sweeps", "none with ddad: every picture is a key frame", args.view_sweeps)
        path = dataset_file(self.root, args.version)
        masks = None if args.masks_dir is None else self.root / args.masks_dir
        if masks is not None and not masks.is_dir():
            expected = "a folder with self-occlusion masks, or null to do without"
            raise DataError(masks, "masks_dir", expected, "no such folder")
        self._info = None if args.info_dir is None else read_ddad_info(self.root / args.info_dir, args.split)
        index = DdadIndex(args.cameras, masks)
        if self._info is None:
            return [index.read_scene(file) for file in choose_ddad_scenes(path, args.split, args.scenes)]
        names = sorted(self._info.scenes) if args.scenes is None else args.scenes
        if missing := [name for name in names if name not in self._info.scenes]:
            raise DataError(self._info.path, f"scene {missing[0]}", "samples of it", "none")
        return [self._info.applied(index.read_scene(file)) for file in choose_ddad_scenes(path, None, names)]

    def _is_listed(self, frame: KeyFrame) -> bool:
        return self._info is None or self._info.listed is None or frame.token in self._info.listed

    def _read_voxels(self, folder: Path, frame: KeyFrame) -> VoxelLabels:
        raise DataError(folder, frame.token, "another data set: DDAD has no voxel labels", "none")
