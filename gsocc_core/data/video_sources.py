# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Where videos of one camera come from: trees in ScanNet's layouts, and one camera of drives in nuScenes' layout."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np

from gsocc_core.data.args import DataArgs
from gsocc_core.data.build import protocol_of
from gsocc_core.data.depth_maps import checked_metres
from gsocc_core.data.images import fit_nearest
from gsocc_core.data.key_frames import KeyFrame
from gsocc_core.data.names import NAMES_FOLDER, NO_NAME, NameTable, read_names
from gsocc_core.data.nuscenes_index import choose_scenes, open_nuscenes, read_camera_video
from gsocc_core.data.scannet import SCANNET8, label_table, list_scenes, read_depth, read_frame, read_ids
from gsocc_core.data.video import VideoFrame, VideoScene
from gsocc_core.data.view_args import ViewArgs
from gsocc_core.data.view_labels import PictureFolder, camera_order, open_picture_folder
from gsocc_core.errors import DataError
from gsocc_core.geometry.classes import ClassTable


class VideoSource(ABC):
    """Videos of one camera and what is known of their pictures.

    Attributes:
        scenes: The videos.
        classes: Meaning of class ids.
        names: Fine-grained names; () = there are none.
    """

    scenes: list[VideoScene]
    classes: ClassTable
    names: tuple[str, ...] = ()

    @abstractmethod
    def frame(self, scene: int, index: int) -> VideoFrame:
        """One frame of a video; DataError: it is damaged."""

    @abstractmethod
    def depth(self, frame: VideoFrame, width: int, height: int) -> np.ndarray | None:
        """(height, width) float32 metres fitted as the picture is, 0 = unknown; None = it has none."""

    @abstractmethod
    def labels(self, frame: VideoFrame, width: int, height: int) -> tuple[np.ndarray, np.ndarray | None] | None:
        """(height, width) uint8 class ids, and int16 rows of ``names`` (-1 = none) or None; None = no labels."""


class ScanNetSource(VideoSource):
    """A tree in one of ScanNet's layouts; see :mod:`gsocc_core.data.scannet`.

    Args:
        args: What to load.

    Raises:
        DataError: see :func:`gsocc_core.data.scannet.list_scenes`, or its table of labels is damaged.
    """

    def __init__(self, args: ViewArgs) -> None:
        self.root, self.classes = Path(args.dataroot), SCANNET8
        self.scenes = list_scenes(self.root, args.split, args.scenes)
        self._table = label_table(self.root)
        self.names = () if self._table is None else self._table.names

    def frame(self, scene: int, index: int) -> VideoFrame:
        """One frame of a video."""
        return read_frame(self.root, self.scenes[scene].name, self.scenes[scene].frames[index])

    def depth(self, frame: VideoFrame, width: int, height: int) -> np.ndarray | None:
        """Depth of a frame."""
        return read_depth(frame, width, height)

    def labels(self, frame: VideoFrame, width: int, height: int) -> tuple[np.ndarray, np.ndarray | None] | None:
        """Classes and names of a frame."""
        if self._table is None or (ids := read_ids(frame, width, height)) is None:
            return None
        return self._table.class_of_id[ids], self._table.row_of_id[ids]


class DriveSource(VideoSource):
    """One camera of a tree in nuScenes' layout.

    Args:
        args: What to load.

    Raises:
        ConfigError: nuscenes-devkit is missing.
        DataError: the tree is wrong, has no such scenes or camera, or a folder of labels is wrong.
    """

    def __init__(self, args: ViewArgs) -> None:
        nusc = open_nuscenes(args.dataroot, args.version)
        self.root, self.args = Path(args.dataroot), args
        self.classes = protocol_of(DataArgs(args.dataroot, args.version)).classes
        self._videos: list[list[VideoFrame]] = []
        for name in choose_scenes(nusc, args.split, args.scenes):
            video = []
            for shot, record in read_camera_video(nusc, name, args.camera, args.sweeps):
                called = shot.path.stem if record is None else record.token
                camera = shot.camera
                pose = None if shot.T_world_ego is None else shot.T_world_ego @ camera.T_ego_cam
                video.append(VideoFrame(
                    name, called, shot.path, camera.width, camera.height, camera.intrinsics, pose, record,
                ))  # fmt: skip
            self._videos.append(video)
        self.scenes = [VideoScene(v[0].scene_name, tuple(frame.name for frame in v)) for v in self._videos]
        first = self._videos[0][0].key_frame()
        self._depth = self._folder(args.depth_dir, first)
        self._classes = self._folder(args.semantics_dir, first)
        self._order: tuple[str, ...] = ()
        if (self.root / NAMES_FOLDER).is_dir():
            self.names = NameTable.load(self.root / NAMES_FOLDER / "names.json").names
            self._order = camera_order(self.root / NAMES_FOLDER)

    def _folder(self, name: str | None, first: KeyFrame) -> PictureFolder | None:
        return None if name is None else open_picture_folder(self.root / name, first.shots)

    def frame(self, scene: int, index: int) -> VideoFrame:
        """One frame of a video."""
        return self._videos[scene][index]

    def depth(self, frame: VideoFrame, width: int, height: int) -> np.ndarray | None:
        """Depth of a frame; what lies between key frames has none."""
        if self._depth is None or frame.record is None:
            return None
        metres = self._depth.labels(frame.record, width, height, "depth")[0]
        return checked_metres(metres, self._depth.file(frame.record, frame.record.shots[0]))

    def labels(self, frame: VideoFrame, width: int, height: int) -> tuple[np.ndarray, np.ndarray | None] | None:
        """Classes and names of a frame; what lies between key frames has none."""
        if self._classes is None or frame.record is None:
            return None
        ids = self._classes.labels(frame.record, width, height, "classes")[0]
        limit = self.classes.free_id or len(self.classes.names)
        if ids.size and ids.max() >= limit:
            path = self._classes.file(frame.record, frame.record.shots[0])
            raise DataError(path, "class ids", f"below {limit}, 0 = none", int(ids.max()))
        return np.where(ids > 0, ids, self.classes.ignore_id).astype(np.uint8), self._names(frame, width, height)

    def _names(self, frame: VideoFrame, width: int, height: int) -> np.ndarray | None:
        if not self.names or frame.record is None:
            return None
        stored = read_names(self.root / NAMES_FOLDER, frame.scene_name, frame.name).pictures
        picture = fit_nearest(stored[self._order.index(self.args.camera)], frame.camera, width, height)
        return np.where(picture == NO_NAME, -1, picture).astype(np.int16)
