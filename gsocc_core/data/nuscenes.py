# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""nuScenes and trees in its layout with the labels of Occ3D-nuScenes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gsocc_core.data.args import DataArgs
from gsocc_core.data.drives import DriveDataset, camera_at, collate
from gsocc_core.data.key_frames import KeyFrame
from gsocc_core.data.nuscenes_index import choose_scenes, open_nuscenes, read_key_frames, tables_version
from gsocc_core.data.occ3d import OCC3D_FOLDER, OCC3D_PROTOCOL, read_occ3d
from gsocc_core.data.protocol import Protocol, read_protocol
from gsocc_core.data.voxel_labels import VoxelLabels

__all__ = ["DataArgs", "NuScenesOccupancy", "camera_at", "collate"]


class NuScenesOccupancy(DriveDataset):
    """Key frames of nuScenes with Occ3D labels; see :class:`DriveDataset` for items.

    A tree whose labels lie on a grid of their own, or have classes of their own, says so in two files beside them, see
    :func:`gsocc_core.data.protocol.read_protocol`.

    A version whose name ends in ``test`` (v1.0-test) has no labels to offer: folders that do not exist count as None.

    Args:
        args: What to load.
        image_size: (height, width) of the network's pictures, pixels.

    Raises:
        ConfigError: nuscenes-devkit is missing, or a number in ``args`` makes no sense.
        DataError: the tree lacks tables, scenes, pictures or label folders.

    Example:
        >>> data = DataArgs("data/nuscenes", "v1.0-mini", split="mini_train")
        >>> frames = NuScenesOccupancy(data, image_size=(256, 704))[0]  # doctest: +SKIP
        >>> frames.images.shape  # doctest: +SKIP
        torch.Size([1, 1, 6, 3, 256, 704])
    """

    protocol = OCC3D_PROTOCOL

    @classmethod
    def located(cls, args: DataArgs) -> DataArgs:
        """With the version of the only tables there are, where none was named."""
        return replace(args, version=tables_version(args.dataroot, args.version))

    @classmethod
    def protocol_for(cls, args: DataArgs) -> Protocol:
        """That of the tree, where its labels bring a grid and classes of their own; else Occ3D's.

        Without voxel labels (``occ3d_dir`` null) the files in ``gts`` say what the labels of pictures mean.
        """
        own = read_protocol(Path(args.dataroot) / (args.occ3d_dir or OCC3D_FOLDER))
        return cls.protocol if own is None else own

    def _read_scenes(self, args: DataArgs) -> list[list[KeyFrame]]:
        nusc = open_nuscenes(args.dataroot, args.version)
        names = choose_scenes(nusc, args.split, args.scenes)
        return read_key_frames(nusc, names, args.cameras, self.protocol if args.boxes else None, args.view_sweeps)

    def _read_voxels(self, folder: Path, frame: KeyFrame) -> VoxelLabels:
        return read_occ3d(folder / frame.scene_name / frame.token / "labels.npz", self.protocol)
