# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""What to load: the arguments that all data sets share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gsocc_core.errors import ConfigError

#: Data sets out of a fixed list; :mod:`gsocc_core.data.build` says where each lives.
DatasetName = Literal["occ3d", "surroundocc", "kitti360", "ddad"]

#: nuScenes' surround cameras in GaussianFlowOcc's order.
SURROUND_CAMERAS = (
    "CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT",
)  # fmt: skip

#: DDAD's surround cameras in GaussianOcc's order: front, then to the left around the vehicle.
DDAD_CAMERAS = ("CAMERA_01", "CAMERA_05", "CAMERA_07", "CAMERA_09", "CAMERA_08", "CAMERA_06")

#: What takes the place of a default of :class:`DataArgs` that makes no sense for a data set.
_OWN_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "kitti360": {
        "version": "SSCBench-KITTI360", "cameras": ("image_00",), "depth_dir": None, "semantics_dir": None,
    },
    "ddad": {"version": "ddad", "cameras": DDAD_CAMERAS, "depth_dir": None, "semantics_dir": None},
}  # fmt: skip


def check_limit(where: str, limit: int | None) -> None:
    """Raise ConfigError unless a limit leaves something to do; None = all."""
    if limit is not None and limit < 1:
        raise ConfigError(where, "limit", "1 or more, or null for all", limit)


@dataclass(frozen=True)
class DataArgs:
    """What to load from a data set.

    Attributes:
        dataroot: Folder with the data set: tables, pictures, label folders.
        version: Name of the tables' folder of a nuScenes tree, for instance v1.0-trainval; of a dgp tree that of its
            JSON file, for ddad by default ddad.
        split: A split of ``splits.json`` or an official one; None = all scenes.
        scenes: Explicit scene names; they win over ``split``.
        cameras: Camera names, in this order; for kitti360 image_00, image_01 or both, by default image_00; for ddad by
            default all six.
        occ3d_dir: Folder of Occ3D labels; None = no voxel labels.
        depth_dir: Folder of depth labels per picture; None = none, the default of kitti360 and ddad.
        semantics_dir: Folder of class labels per picture, ids of the data set's class table; None = none, the
            default of kitti360 and ddad. One file per picture may also hold the id of free space, which stands for the
            sky.
        label_sky: Pixels that ``semantics_dir`` says are sky carry the id of free space, at whatever depth, for methods
            with a class for it; else they have no label.
        features_dir: Folder of features of the supervised views from a foundation model; None = none.
        input_features_dir: Folder of features that the method gets beside the pictures; None = none.
        input_depth_dir: Folder of depth that the method gets beside the pictures, as ``depth_dir``; None = none.
        view_size: (height, width) of the supervised views, pixels.
        views: Key frames that supervise a sample: the present and views - 1 drawn from ``view_offsets``.
        view_offsets: Candidates, in key frames from the present.
        view_images: The pictures of the supervised views come along, for losses that compare pictures.
        view_sweeps: Further views, behind those of key frames: the pictures that each camera took so many of its cycles
            (12 Hz on nuScenes) after the key frame's, -1 = just before. They have no labels. At a scene's ends they are
            invalid.
        view_pose_noise: Standard deviations, metres and degrees per axis, of an error put on the ego poses of the
            neighbouring views, for experiments; it is the same every time.
        max_view_depth_m: View labels beyond are ignored.
        history: Earlier key frames whose pictures come along as moments 1 ... history.
        remembered: So many earlier key frames say which voxels were seen before: ``Targets.mask_remembered``, see
            :func:`gsocc_core.data.remembered.remembered_voxels`. GaussianFlowOcc's losses on voxels count these too,
            since only they can teach a memory to keep what is hidden; 0 = none.
        photometric: Strength of random brightness, contrast and gamma of items that come with a seed; 0 = none.
        mirror: Share of items with a seed in which left and right are exchanged, in pictures, cameras and labels.
        boxes: Read the annotated boxes into the records of key frames, to score velocities; kitti360 and ddad have
            none.
        dataset: Which data set, its grid and its classes: occ3d, surroundocc, kitti360 or ddad.
        surroundocc_dir: Folder of SurroundOcc labels with ``samples/*.npy``, below ``dataroot`` or absolute; None = no
            voxel labels.
        sscbench_dir: Folder of SSCBench-KITTI360 labels, below ``dataroot`` or absolute: ``preprocess/labels``
            (``<drive>/<frame>_1_1.npy``), or ``data_2d_raw`` to read the raw ``voxels/<frame>.label`` files; None = no
            voxel labels.
        masks_dir: Folder of ddad's self-occlusion masks, below ``dataroot`` or absolute; None = none.
        info_dir: Folder with ``info_<split>.json``, exported from the pickles of GaussianOcc's authors, which then say
            which samples of ddad there are and where the cameras were; None = the tree's own scenes do.
        fraction: Part of the key frames that are items, chosen evenly at random and the same on every machine;
            0.2 = the small mode of ablations. Neighbours and history still come from all frames.
        fraction_seed: Chooses them.
    """

    dataroot: str
    version: str = "v1.0-trainval"
    split: str | None = None
    scenes: tuple[str, ...] | None = None
    cameras: tuple[str, ...] = SURROUND_CAMERAS
    occ3d_dir: str | None = "gts"
    depth_dir: str | None = "metric_3d_nusc"
    semantics_dir: str | None = "grounded_sam_nusc"
    label_sky: bool = False
    features_dir: str | None = None
    input_features_dir: str | None = None
    input_depth_dir: str | None = None
    view_size: tuple[int, int] = (256, 704)
    views: int = 7
    view_offsets: tuple[int, ...] = (-6, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6)
    view_images: bool = False
    view_sweeps: tuple[int, ...] = ()
    view_pose_noise: tuple[float, float] = (0.0, 0.0)
    max_view_depth_m: float = 40.0
    history: int = 0
    remembered: int = 0
    photometric: float = 0.0
    mirror: float = 0.0
    boxes: bool = False
    dataset: DatasetName = "occ3d"
    surroundocc_dir: str | None = "nuscenes_occ"
    sscbench_dir: str | None = "preprocess/labels"
    masks_dir: str | None = "mask"
    info_dir: str | None = None
    fraction: float = 1.0
    fraction_seed: int = 0

    def __post_init__(self) -> None:
        for key, value in _OWN_DEFAULTS.get(self.dataset, {}).items():
            if getattr(self, key) == DataArgs.__dataclass_fields__[key].default:
                object.__setattr__(self, key, value)
