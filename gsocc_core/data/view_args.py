# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What to load as samples of several views of one scene."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from gsocc_core.data.view_schedule import ViewSchedule
from gsocc_core.errors import ConfigError

ViewLayout = Literal["scannet", "nuscenes"]


@dataclass(frozen=True)
class ViewArgs:
    """What to load.

    Attributes:
        dataroot: Folder with the data set.
        layout: scannet, see :mod:`gsocc_core.data.scannet`; nuscenes = one camera of drives.
        split: A split of ``splits.json``, of nuScenes an official one too; None = all scenes.
        scenes: Explicit scene names; they win over ``split``.
        schedule: Which frames are the views of a sample.
        features_dir: Folder of features of the pictures, below ``dataroot`` or absolute; None = none.
        hide_intrinsics: Context views come without intrinsics, as if nobody had calibrated the camera.
        mirror: Half of the samples with a seed are mirrored, left for right, in everything that they hold: a room and a
            camera that could be.
        keep_frames: So many frames, fitted to the picture size, are kept in memory, those used last: as many as there
            are, where memory allows, since a frame costs more to open than to learn from at small sizes. Per process;
            a frame of 64 x 64 pixels is 50 kilobytes, and its features 4 bytes per number.
        min_overlap: Least share of each context view's surface that another context view must see, where depth and
            poses are known. A sample with a seed takes views nearer together until that holds; without one it is an
            error. 0 = views are taken as they come.
        version: Name of the tables' folder; nuscenes only, and so are the following.
        camera: The camera.
        sweeps: The pictures between key frames belong to the video.
        depth_dir: Folder of depth labels; None = none.
        semantics_dir: Folder of class labels; None = none.

    Raises:
        ConfigError: a number is out of range.
    """

    dataroot: str
    layout: ViewLayout = "scannet"
    split: str | None = None
    scenes: tuple[str, ...] | None = None
    schedule: ViewSchedule = field(default_factory=ViewSchedule)
    features_dir: str | None = None
    hide_intrinsics: bool = False
    min_overlap: float = 0.0
    mirror: bool = False
    keep_frames: int = 0
    version: str = "v1.0-trainval"
    camera: str = "CAM_FRONT"
    sweeps: bool = False
    depth_dir: str | None = "metric_3d_nusc"
    semantics_dir: str | None = "grounded_sam_nusc"

    def __post_init__(self) -> None:
        if not 0 <= self.min_overlap <= 1:
            raise ConfigError("data", "min_overlap", "0 ... 1", self.min_overlap)
        if self.keep_frames < 0:
            raise ConfigError("data", "keep_frames", "0 or more", self.keep_frames)
