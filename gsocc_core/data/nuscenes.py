# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""nuScenes and trees in its layout as frame sets for training and evaluation."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from gsocc_core.data.images import decode_image, fit_camera, fit_image
from gsocc_core.data.nuscenes_index import (
    SURROUND_CAMERAS,
    KeyFrame,
    choose_scenes,
    open_nuscenes,
    read_key_frames,
)
from gsocc_core.data.occ3d import read_occ3d
from gsocc_core.data.photometric import jitter
from gsocc_core.data.view_label_files import label_path
from gsocc_core.data.view_labels import camera_order, sample_view_labels
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.geometry.cameras import Camera, Cameras
from gsocc_core.geometry.classes import OCC3D_NUSCENES
from gsocc_core.geometry.frames import FrameSet, Targets


@dataclass(frozen=True)
class DataArgs:
    """What to load from a tree in nuScenes layout.

    Attributes:
        dataroot: Folder with the tables' folder, pictures and label folders.
        version: Name of the tables' folder, for instance v1.0-trainval.
        split: A split of ``splits.json`` or an official one; None = all scenes.
        scenes: Explicit scene names; they win over ``split``.
        cameras: Camera names, in this order.
        occ3d_dir: Folder of Occ3D labels; None = no voxel labels.
        depth_dir: Folder of depth labels per picture; None = none.
        semantics_dir: Folder of class labels per picture; None = none.
        view_size: (height, width) of the supervised views, pixels.
        views: Key frames that supervise a sample: the present and views - 1 drawn from ``view_offsets``.
        view_offsets: Candidates, in key frames from the present.
        max_view_depth_m: View labels beyond are ignored.
        history: Earlier key frames whose pictures come along as moments 1 ... history.
        photometric: Strength of random brightness, contrast and gamma of items that come with a seed; 0 = none.
        boxes: Read the annotated boxes into the records of key frames, to score velocities.
    """

    dataroot: str
    version: str = "v1.0-trainval"
    split: str | None = None
    scenes: tuple[str, ...] | None = None
    cameras: tuple[str, ...] = SURROUND_CAMERAS
    occ3d_dir: str | None = "gts"
    depth_dir: str | None = "metric_3d_nusc"
    semantics_dir: str | None = "grounded_sam_nusc"
    view_size: tuple[int, int] = (256, 704)
    views: int = 7
    view_offsets: tuple[int, ...] = (-6, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6)
    max_view_depth_m: float = 40.0
    history: int = 0
    photometric: float = 0.0
    boxes: bool = False


class NuScenesOccupancy(Dataset[FrameSet]):
    """One frame set (B = 1, T = 1 + history) per key frame.

    Item access takes an index, or (index, seed): the seed draws the neighbouring views and the change of light, else
    the nearest neighbours are taken and the pictures are left as they are.

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

    def __init__(self, args: DataArgs, image_size: tuple[int, int]) -> None:
        if not 1 <= args.views <= 1 + len(args.view_offsets):
            raise ConfigError("data", "views", f"1 ... {1 + len(args.view_offsets)}", args.views)
        if 0 in args.view_offsets or len(set(args.view_offsets)) != len(args.view_offsets):
            raise ConfigError("data", "view_offsets", "different numbers, without 0", args.view_offsets)
        if args.history < 0:
            raise ConfigError("data", "history", "0 or more", args.history)
        if not 0 <= args.photometric <= 1:
            raise ConfigError("data", "photometric", "0 ... 1", args.photometric)
        nusc = open_nuscenes(args.dataroot, args.version)
        names = choose_scenes(nusc, args.split, args.scenes)
        self.root, self.image_size = Path(args.dataroot), tuple(image_size)
        self.args = _existing_labels(args)
        self.scenes = read_key_frames(nusc, names, args.cameras, args.boxes)
        self.items = [(s, k) for s, frames in enumerate(self.scenes) for k in range(len(frames))]
        folders = (self.args.depth_dir, self.args.semantics_dir)
        self.orders = {folder: camera_order(self.root / folder) for folder in folders if folder is not None}

    def __len__(self) -> int:
        return len(self.items)

    def of_scenes(self, names: Sequence[str]) -> NuScenesOccupancy:
        """The part that holds some scenes, without reading the tables again.

        Raises:
            DataError: a name is not among this part's scenes.
        """
        known = [frames[0].scene_name for frames in self.scenes]
        if missing := [name for name in names if name not in known]:
            raise DataError(self.root, f"scene {missing[0]}", f"one of {known[:5]}...", "no such scene")
        part = copy.copy(self)
        part.scenes = [frames for frames in self.scenes if frames[0].scene_name in set(names)]
        part.items = [(s, k) for s, frames in enumerate(part.scenes) for k in range(len(frames))]
        return part

    def key_frame(self, index: int) -> KeyFrame:
        """The record of one item."""
        scene, position = self.items[index]
        return self.scenes[scene][position]

    def __getitem__(self, item: int | tuple[int, int]) -> FrameSet:
        index, seed = item if isinstance(item, tuple) else (item, None)
        scene, position = self.items[index]
        frames = self.scenes[scene]
        present = frames[position]
        # Before the scene's beginning there is nothing: the present's cameras stand in, marked as invalid.
        known = [position - t >= 0 for t in range(self.args.history + 1)]
        moments = [frames[position - t] if there else present for t, there in enumerate(known)]
        loaded = [self._pictures(present, moment, seed) for moment, there in zip(moments, known) if there]
        images = np.zeros((len(moments), *loaded[0][0].shape), np.uint8)
        images[: len(loaded)] = [pictures for pictures, _ in loaded]
        views = len(self.args.cameras)
        cameras = [cameras for _, cameras in loaded] + [loaded[0][1]] * (len(moments) - len(loaded))
        T_ref_ego = np.stack([present.T_ego_world @ moment.T_world_ego for moment in moments])
        return FrameSet(
            images=torch.from_numpy(images).permute(0, 1, 4, 2, 3)[None],
            cameras=Cameras.stack([c for moment in cameras for c in moment]).map(
                lambda t: t.view(1, len(moments), views, *t.shape[1:])
            ),
            camera_names=tuple(self.args.cameras),
            camera_stamps_ns=torch.tensor([[[shot.stamp_ns for shot in moment.shots] for moment in moments]]),
            reference_stamp_ns=torch.tensor([[moment.stamp_ns for moment in moments]]),
            T_ref_ego=torch.from_numpy(T_ref_ego).float()[None],
            valid=torch.tensor(known)[None, :, None].repeat(1, 1, views),
            pose_valid=torch.tensor(known)[None],
            targets=self._targets(scene, position, seed),
            sample_tokens=(present.token,),
            scene_names=(present.scene_name,),
            T_world_ego=torch.from_numpy(present.T_world_ego)[None].clone(),
        )

    def _pictures(self, present: KeyFrame, moment: KeyFrame, seed: int | None) -> tuple[np.ndarray, list[Camera]]:
        """(V, H, W, 3) pictures of one key frame and their cameras."""
        height, width = self.image_size
        pictures, cameras = [], []
        for shot in moment.shots:
            small = decode_image(shot.path, min_width=width, min_height=height)
            full = camera_at(present, shot.camera, shot.T_world_ego)
            picture, camera = fit_image(small, full, width, height, where=str(shot.path))
            pictures.append(picture)
            cameras.append(camera)
        stacked = np.stack(pictures)
        if seed is not None and self.args.photometric:
            stacked = jitter(stacked, seed, self.args.photometric)
        return stacked, cameras

    def _targets(self, scene: int, position: int, seed: int | None) -> Targets | None:
        args, present = self.args, self.scenes[scene][position]
        voxels: dict[str, Any] = {}
        if args.occ3d_dir is not None:
            found = read_occ3d(self.root / args.occ3d_dir / present.scene_name / present.token / "labels.npz")
            parts = (found.semantics, found.mask_camera, found.mask_lidar)
            voxels = {k: torch.from_numpy(v)[None] for k, v in zip(("labels", "mask_camera", "mask_lidar"), parts)}
        if args.depth_dir is None and args.semantics_dir is None:
            return Targets(**voxels) if voxels else None
        return Targets(**voxels, **self._views(scene, position, seed))

    def _views(self, scene: int, position: int, seed: int | None) -> dict[str, Any]:
        """Labels of the present and neighbouring key frames' pictures; places without a neighbour are invalid."""
        args, frames = self.args, self.scenes[scene]
        present, (height, width) = frames[position], args.view_size
        existing = [o for o in args.view_offsets if 0 <= position + o < len(frames)]
        if seed is None:
            existing.sort(key=abs)
        else:
            np.random.default_rng(seed).shuffle(existing)
        offsets = [0, *existing][: args.views]
        semantics = np.full((args.views, len(args.cameras), height, width), OCC3D_NUSCENES.ignore_id, np.uint8)
        depth = np.zeros(semantics.shape, np.float32)
        cameras: list[Camera] = []
        for i in range(args.views):
            frame = frames[position + offsets[i]] if i < len(offsets) else present
            full = [camera_at(present, shot.camera, shot.T_world_ego) for shot in frame.shots]
            cameras += [fit_camera(camera, width, height) for camera in full]
            if i < len(offsets):
                self._read_view_labels(frame, full, semantics[i], depth[i])
        far = depth > args.max_view_depth_m
        depth[far] = 0.0
        semantics[far] = OCC3D_NUSCENES.ignore_id
        stamps = [frames[position + o].stamp_ns - present.stamp_ns for o in offsets]
        stacked = Cameras.stack(cameras)
        shape = (1, args.views, len(args.cameras))
        return {
            "view_cameras": stacked.map(lambda t: t.view(*shape, *t.shape[1:])),
            "view_semantics": torch.from_numpy(semantics)[None],
            "view_depth_m": torch.from_numpy(depth)[None],
            "view_valid": (torch.arange(args.views) < len(offsets))[None, :, None].expand(shape).contiguous(),
            "view_time_s": torch.tensor([[s * 1e-9 for s in stamps] + [0.0] * (args.views - len(offsets))]),
        }

    def _read_view_labels(
        self, frame: KeyFrame, cameras: Sequence[Camera], semantics: np.ndarray, depth: np.ndarray
    ) -> None:
        """Fill (V, height, width) class ids and metres from the label files of one key frame."""
        height, width = self.args.view_size
        if (folder := self.args.semantics_dir) is not None:
            path = label_path(self.root / folder, frame.scene_name, frame.token)
            ids = sample_view_labels(path, self.orders[folder], cameras, width, height, "classes")
            if ids.size and ids.max() >= OCC3D_NUSCENES.free_id:
                raise DataError(path, "class ids", f"below {OCC3D_NUSCENES.free_id}, 0 = none", int(ids.max()))
            np.copyto(semantics, ids, where=ids > 0, casting="unsafe")
        if (folder := self.args.depth_dir) is not None:
            path = label_path(self.root / folder, frame.scene_name, frame.token)
            metres = sample_view_labels(path, self.orders[folder], cameras, width, height, "depth")
            # Written so that nan, which compares false, means no label.
            np.copyto(depth, metres, where=(metres > 0) & (metres < np.inf), casting="unsafe")


def _existing_labels(args: DataArgs) -> DataArgs:
    """The arguments without the label folders that a test version does not have."""

    def checked(key: str, folder: str | None) -> str | None:
        if folder is None or (Path(args.dataroot) / folder).is_dir():
            return folder
        if args.version.endswith("test"):
            return None
        path = Path(args.dataroot) / folder
        raise DataError(path, key, "a folder with labels, or null to do without", "no such folder")

    return replace(
        args,
        occ3d_dir=checked("occ3d_dir", args.occ3d_dir),
        depth_dir=checked("depth_dir", args.depth_dir),
        semantics_dir=checked("semantics_dir", args.semantics_dir),
    )


def camera_at(present: KeyFrame, camera: Camera, T_world_ego: np.ndarray) -> Camera:
    """A camera with its ego motion to the present reference time, composed in float64."""
    return replace(camera, T_ref_ego=present.T_ego_world @ T_world_ego)


def collate(samples: Sequence[FrameSet]) -> FrameSet:
    """Batch frame sets of the same cameras and sizes along B.

    Args:
        samples: At least one; all with targets of the same kind, or all without.

    Returns:
        One frame set.
    """
    first = samples[0]

    def join(tensors: list[torch.Tensor]) -> torch.Tensor:
        return torch.cat(tensors, dim=0)

    columns: list[list[torch.Tensor]] = []
    for sample in samples:
        column: list[torch.Tensor] = []
        sample.map(lambda t, column=column: column.append(t) or t)
        columns.append(column)
    joined = iter([join(list(group)) for group in zip(*columns, strict=True)])
    batch = first.map(lambda _: next(joined))
    return FrameSet(
        **{
            **batch.__dict__,
            "sample_tokens": tuple(t for s in samples for t in s.sample_tokens),
            "scene_names": tuple(n for s in samples for n in s.scene_names),
        }
    )
