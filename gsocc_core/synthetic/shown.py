# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What pictures of synthetic trees show, as their files tell it: names per pixel, and depth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gsocc_core.data.key_frames import KeyFrame
from gsocc_core.data.names import NAMES_FOLDER, NO_NAME, NameTable, read_names
from gsocc_core.data.scannet import LABEL_TABLE, LabelTable, label_table, read_depth, read_ids
from gsocc_core.data.video import CAMERA, VideoFrame
from gsocc_core.data.view_label_files import Kind
from gsocc_core.data.view_labels import camera_order
from gsocc_core.errors import DataError

#: What the sky is called.
SKY_NAME = "sky"


@dataclass(frozen=True)
class DriveNames:
    """Names in pictures of drives.

    Attributes:
        folder: ``<dataroot>/names``.
        names: One per id.
        order: Camera names along axis 0 of the pictures.
        cameras: Those wanted.
    """

    folder: Path
    names: tuple[str, ...]
    order: tuple[str, ...]
    cameras: tuple[str, ...]
    #: What the id behind the last name means.
    beyond = SKY_NAME

    @classmethod
    def open(cls, root: Path, cameras: tuple[str, ...]) -> DriveNames:
        """Open the names of a tree.

        Args:
            root: The tree.
            cameras: Those wanted.

        Raises:
            DataError: it has none, or none of a camera.
        """
        folder = root / NAMES_FOLDER
        if not folder.is_dir():
            expected = "fine-grained names, as gsocc_core synthesize --names true writes them"
            raise DataError(folder, "folder", expected, "no such folder")
        order = camera_order(folder)
        if missing := [name for name in cameras if name not in order]:
            raise DataError(folder / "cameras.json", missing[0], f"one of {order}", "no names for this camera")
        return cls(folder, NameTable.load(folder / "names.json").names, order, cameras)

    def pictures(self, frame: KeyFrame) -> dict[str, np.ndarray]:
        """(H, W) ids per camera name; the id behind the last name is the sky.

        Raises:
            DataError: the file is missing or damaged, or holds other cameras or ids.
        """
        stored = read_names(self.folder, frame.scene_name, frame.token).pictures
        path, count = self.folder / frame.scene_name / f"{frame.token}.npz", len(self.names)
        if len(stored) != len(self.order):
            raise DataError(path, "pictures", f"{len(self.order)} cameras", len(stored))
        ids = np.where(stored == NO_NAME, count, stored)
        if ids.max(initial=0) > count:
            raise DataError(path, "pictures", f"ids below {count} and {NO_NAME}", int(ids.max()))
        return {name: ids[self.order.index(name)] for name in self.cameras}


@dataclass(frozen=True)
class VideoNames:
    """Names in label pictures of videos; see :mod:`gsocc_core.data.scannet`.

    Attributes:
        table: What their ids mean.
    """

    table: LabelTable
    beyond = None

    @classmethod
    def open(cls, root: Path) -> VideoNames:
        """Open the names of a tree.

        Raises:
            DataError: it has none.
        """
        table = label_table(root)
        if table is None:
            raise DataError(root / LABEL_TABLE, "file", "names of the ids of label pictures", "no such file")
        return cls(table)

    @property
    def names(self) -> tuple[str, ...]:
        """One per id."""
        return self.table.names

    def pictures(self, frame: KeyFrame) -> dict[str, np.ndarray]:
        """(H, W) ids of the only camera; the id behind the last name has no name.

        Raises:
            DataError: the frame has no label picture, or it is damaged.
        """
        shown = _video_frame(frame)
        ids = read_ids(shown, shown.width, shown.height)
        if ids is None:
            raise DataError(shown.path.parent.parent / "labels", f"{shown.name}.png", "a label picture", "no such file")
        rows = self.table.row_of_id[ids].astype(np.int64)
        return {CAMERA: np.where(rows < 0, len(self.names), rows)}


@dataclass(frozen=True)
class VideoDepth:
    """The depth that belongs to videos."""

    def labels(self, frame: KeyFrame, width: int, height: int, kind: Kind) -> np.ndarray:
        """(1, height, width) metres of a key frame's only picture, 0 = unknown.

        Raises:
            DataError: it has none, or the file is damaged.
        """
        shown = _video_frame(frame)
        if (metres := read_depth(shown, width, height)) is None:
            raise DataError(shown.path, kind, "a depth picture beside it", "no such file")
        return metres[None]


def _video_frame(frame: KeyFrame) -> VideoFrame:
    shot = frame.shots[0]
    return VideoFrame(
        frame.scene_name, frame.token, shot.path, shot.camera.width, shot.camera.height, shot.camera.intrinsics, None
    )
