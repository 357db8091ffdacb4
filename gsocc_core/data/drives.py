# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Drives as frame sets: everything that data sets have in common."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch.utils.data import Dataset

from gsocc_core.data.args import DataArgs
from gsocc_core.data.depth_maps import checked_metres
from gsocc_core.data.ego_poses import (
    camera_at,
    check_without_poses,
    mean_time_s,
    pose_error,
    pose_from,
    told_motion,
    travelled_m,
)
from gsocc_core.data.feature_files import FeatureFolder, open_features
from gsocc_core.data.images import decode_image, fit_camera, fit_image
from gsocc_core.data.key_frames import CameraShot, KeyFrame
from gsocc_core.data.mirror import check_mirror, comes_mirrored, mirrored
from gsocc_core.data.photometric import jitter
from gsocc_core.data.protocol import Protocol
from gsocc_core.data.remembered import remembered_voxels
from gsocc_core.data.subset import choose_fraction
from gsocc_core.data.vehicle_masks import usable_pixels
from gsocc_core.data.view_labels import PictureFolder, open_picture_folder
from gsocc_core.data.voxel_labels import VoxelLabels
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.geometry.cameras import Camera, Cameras
from gsocc_core.geometry.frames import FrameSet, Targets

_Self = TypeVar("_Self", bound="DriveDataset")


class DriveDataset(Dataset[FrameSet], ABC):
    """One frame set (B = 1, T = 1 + history) per key frame.

    Item access takes an index, or (index, seed): the seed draws the neighbouring views, the change of light and the
    mirror, else the nearest neighbours are taken and everything is left as it is.

    Args:
        args: What to load.
        image_size: (height, width) of the network's pictures, pixels.

    Attributes:
        poses_known: Where the ego was is told. Else the ego is taken to rest from a picture's stamp to the reference
            stamp, and neighbouring views are where nobody knows: ``Targets.view_cameras.T_ref_ego`` is NaN there.

    Raises:
        ConfigError: a number in ``args`` makes no sense, or asks for poses that are unknown.
        DataError: files are missing or damaged, or tell poses for some of the pictures alone.
    """

    #: What the data set's benchmark fixes; of an opened one, what its tree says.
    protocol: Protocol

    def __init__(self, args: DataArgs, image_size: tuple[int, int]) -> None:
        _check(args)
        self.root, self.image_size = Path(args.dataroot), tuple(image_size)
        if not self.root.is_dir():
            raise DataError(self.root, "dataroot", "a folder with the data set", "no such folder")
        args = self.located(args)
        self.protocol = self.protocol_for(args)
        if args.mirror:
            check_mirror(self.protocol.grid)
        self.args = self._with_existing_labels(args)
        self.scenes = self._read_scenes(args)
        every = [frame for frames in self.scenes for frame in frames]
        self.poses_known, self._odometer = told_motion(self.root, every)
        if not self.poses_known:
            check_without_poses(self.root, args)
        items = [(s, k) for s, frames in enumerate(self.scenes) for k in range(len(frames))]
        items = [(s, k) for s, k in items if self._is_listed(self.scenes[s][k])]
        names = ["/".join((self.scenes[s][k].scene_name, self.scenes[s][k].token)) for s, k in items]
        chosen = choose_fraction(names, args.fraction, args.fraction_seed)
        self.items = [item for item, name in zip(items, names) if name in chosen]
        self.folders: dict[str, PictureFolder] = {}
        self.features: dict[str, FeatureFolder] = {}
        for first in every[:1]:
            folders = (self.args.depth_dir, self.args.semantics_dir, self.args.input_depth_dir)
            self.folders = {f: open_picture_folder(self.root / f, first.shots) for f in folders if f is not None}
            features = (self.args.features_dir, self.args.input_features_dir)
            self.features = {f: open_features(self.root / f, first) for f in features if f is not None}

    @classmethod
    def located(cls, args: DataArgs) -> DataArgs:
        """The arguments with what the folder itself tells, where they leave it open.

        Raises:
            DataError: it does not tell.
        """
        return args

    @classmethod
    def protocol_for(cls, args: DataArgs) -> Protocol:
        """Grid, classes and scoring rules of what ``args`` name.

        Raises:
            ConfigError: the tree brings its own, and its files are wrong.
        """
        del args
        return cls.protocol

    @abstractmethod
    def _read_scenes(self, args: DataArgs) -> list[list[KeyFrame]]:
        """Key frames per scene, in time order."""

    @abstractmethod
    def _read_voxels(self, folder: Path, frame: KeyFrame) -> VoxelLabels:
        """Voxel labels of one key frame."""

    def _is_listed(self, frame: KeyFrame) -> bool:
        """Whether a key frame may be an item; else it is only a neighbour of others."""
        del frame
        return True

    @property
    def labels_dir(self) -> Path | None:
        """Folder of the voxel labels; None = there are none to read."""
        if self.protocol.labels_field is None:
            return None
        folder = getattr(self.args, self.protocol.labels_field)
        return None if folder is None else self.root / folder

    def voxel_labels(self, index: int) -> VoxelLabels:
        """Voxel labels of one item.

        Raises:
            DataError: there are none, or the file is missing or damaged.
        """
        if self.labels_dir is None:
            expected = "a folder with voxel labels (a test split has none)"
            raise DataError(self.root, self.protocol.labels_field or "voxel labels", expected, "none")
        return self._read_voxels(self.labels_dir, self.key_frame(index))

    def __len__(self) -> int:
        return len(self.items)

    def of_scenes(self: _Self, names: Sequence[str]) -> _Self:
        """The part that holds some scenes, without reading the tables again.

        Raises:
            DataError: a name is not among this part's scenes.
        """
        known = [frames[0].scene_name for frames in self.scenes]
        if missing := [name for name in names if name not in known]:
            raise DataError(self.root, f"scene {missing[0]}", f"one of {known[:5]}...", "no such scene")
        part = copy.copy(self)
        kept = [s for s, name in enumerate(known) if name in set(names)]
        part.scenes = [self.scenes[s] for s in kept]
        part.items = [(kept.index(s), k) for s, k in self.items if s in kept]
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
        T_ref_ego = np.stack([pose_from(present, moment.T_world_ego) for moment in moments])
        result = FrameSet(
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
            T_world_ego=None if present.T_world_ego is None else torch.from_numpy(present.T_world_ego)[None].clone(),
            features=self._features(moments, known),
            depth_m=self._input_depth(moments, known),
            usable=self._usable([moment.shots for moment in moments], *self.image_size),
        )
        return mirrored(result) if comes_mirrored(seed, self.args.mirror) else result

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

    def _features(self, moments: Sequence[KeyFrame], known: Sequence[bool]) -> torch.Tensor | None:
        """(1, T, V, D, h, w) features beside the pictures; zeros where there is no such moment."""
        if (folder := self.args.input_features_dir) is None:
            return None
        height, width = self.image_size
        maps = [self.features[folder].read(m, width, height) for m, there in zip(moments, known) if there]
        maps += [np.zeros_like(maps[0])] * (len(moments) - len(maps))
        return torch.from_numpy(np.stack(maps))[None]

    def _input_depth(self, moments: Sequence[KeyFrame], known: Sequence[bool]) -> torch.Tensor | None:
        """(1, T, V, H, W) metres beside the pictures, 0 = unknown, also where there is no such moment."""
        if (folder := self.args.input_depth_dir) is None:
            return None
        height, width = self.image_size
        depth_m = np.zeros((len(moments), len(self.args.cameras), height, width), np.float32)
        for i, (moment, there) in enumerate(zip(moments, known)):
            if there:
                metres = self.folders[folder].labels(moment, width, height, "depth")
                depth_m[i] = checked_metres(metres, self.folders[folder].file(moment, moment.shots[0]))
        return torch.from_numpy(depth_m)[None]

    def _usable(self, moments: Sequence[Sequence[CameraShot | None]], height: int, width: int) -> torch.Tensor | None:
        """(1, T, V, height, width) where pictures show the world; None = there are no masks."""
        if not any(shot is not None and shot.mask_path is not None for shot in moments[0]):
            return None
        usable = np.ones((len(moments), len(self.args.cameras), height, width), bool)
        for moment, row in zip(moments, usable):
            for v, shot in enumerate(moment):
                if shot is not None:
                    row[v] = usable_pixels(shot, width, height)
        return torch.from_numpy(usable)[None]

    def _targets(self, scene: int, position: int, seed: int | None) -> Targets | None:
        args, present = self.args, self.scenes[scene][position]
        voxels: dict[str, Any] = {}
        if self.labels_dir is not None:
            found = self._read_voxels(self.labels_dir, present)
            parts = (found.semantics, found.mask_camera, found.mask_lidar)
            voxels = {k: torch.from_numpy(v)[None] for k, v in zip(("labels", "mask_camera", "mask_lidar"), parts)}
            if args.remembered:
                voxels["mask_remembered"] = torch.from_numpy(self._remembered(scene, position, found))[None]
        if not args.view_images and all(d is None for d in (args.depth_dir, args.semantics_dir, args.features_dir)):
            return Targets(**voxels) if voxels else None
        return Targets(**voxels, **self._views(scene, position, seed))

    def _remembered(self, scene: int, position: int, found: VoxelLabels) -> np.ndarray:
        """(X, Y, Z) bool voxels that are hidden now and were seen before; none where the scene begins."""
        assert self.labels_dir is not None
        use, frames = "voxels seen before", self.scenes[scene]
        before = frames[max(position - self.args.remembered, 0) : position]
        earlier = ((self._read_voxels(self.labels_dir, frame), frame.known_pose(use)) for frame in reversed(before))
        pose, protocol = frames[position].known_pose(use), self.protocol
        return remembered_voxels(protocol.grid, protocol.classes, found, pose, earlier)

    def _views(self, scene: int, position: int, seed: int | None) -> dict[str, Any]:
        """The present and its neighbours' labels and pictures; places without a neighbour are invalid."""
        args, frames = self.args, self.scenes[scene]
        present, (height, width) = frames[position], args.view_size
        existing = [o for o in args.view_offsets if 0 <= position + o < len(frames)]
        if seed is None:
            existing.sort(key=abs)
        else:
            np.random.default_rng(seed).shuffle(existing)
        shown = [frames[position + offset] for offset in [0, *existing][: args.views]]
        missing = args.views - len(shown)
        nothing: tuple[CameraShot | None, ...] = (None,) * len(args.cameras)
        moments = [*(frame.shots for frame in shown), *[nothing] * missing]
        times = [(frame.stamp_ns - present.stamp_ns) * 1e-9 for frame in shown] + [0.0] * missing
        for offset in args.view_sweeps:
            moments.append(present.sweeps[offset])
            times.append(mean_time_s(present, present.sweeps[offset]))
        shape = (1, len(moments), len(args.cameras))
        semantics = np.full((*shape[1:], height, width), self.protocol.classes.ignore_id, np.uint8)
        depth = np.zeros(semantics.shape, np.float32)
        for i, frame in enumerate(shown):
            self._read_view_labels(frame, semantics[i], depth[i])
        usable = self._usable(moments, height, width)
        if usable is not None:
            semantics[~usable[0].numpy()] = self.protocol.classes.ignore_id
            depth[~usable[0].numpy()] = 0.0
        far = depth > args.max_view_depth_m
        depth[far] = 0.0
        semantics[far & (semantics != self.protocol.classes.free_id)] = self.protocol.classes.ignore_id
        parts: dict[str, Any] = {}
        if (folder := args.features_dir) is not None:
            maps = [self.features[folder].read(frame, width, height) for frame in shown]
            maps += [np.zeros_like(maps[0])] * (len(moments) - len(shown))
            parts["view_features"] = torch.from_numpy(np.stack(maps))[None]
        if args.view_images:
            parts["view_images"] = torch.from_numpy(self._view_images(moments)).permute(0, 1, 4, 2, 3)[None]
        cameras: list[Camera] = []
        for place, moment in enumerate(moments):
            T_wrong = pose_error(present, place, args.view_pose_noise)
            # The present's cameras stand in for those of pictures that are not there.
            for shot in (shot or stand_in for shot, stand_in in zip(moment, present.shots)):
                pose = None if shot.T_world_ego is None else shot.T_world_ego @ T_wrong
                cameras.append(fit_camera(camera_at(present, shot.camera, pose), width, height))
        view_cameras = Cameras.stack(cameras).map(lambda t: t.view(*shape, *t.shape[1:]))
        if not self.poses_known:
            assert view_cameras.T_ref_ego is not None
            view_cameras.T_ref_ego[:, 1:] = torch.nan
        if self._odometer:
            parts["view_travelled_m"] = torch.tensor([[travelled_m(present, moment) for moment in moments]])
        return {
            **parts,
            "view_cameras": view_cameras,
            "view_semantics": torch.from_numpy(semantics)[None],
            "view_depth_m": torch.from_numpy(depth)[None],
            "view_valid": torch.tensor([[[shot is not None for shot in moment] for moment in moments]]),
            "view_time_s": torch.tensor([times]),
            "view_usable": usable,
        }

    def _view_images(self, moments: Sequence[Sequence[CameraShot | None]]) -> np.ndarray:
        """(S, V, H, W, 3) pictures at the views' size; black where there is none."""
        height, width = self.args.view_size
        pictures = np.zeros((len(moments), len(self.args.cameras), height, width, 3), np.uint8)
        for moment, row in zip(moments, pictures):
            for v, shot in enumerate(moment):
                if shot is not None:
                    small = decode_image(shot.path, min_width=width, min_height=height)
                    row[v], _ = fit_image(small, shot.camera, width, height, where=str(shot.path))
        return pictures

    def _read_view_labels(self, frame: KeyFrame, semantics: np.ndarray, depth: np.ndarray) -> None:
        """Fill (V, height, width) class ids and metres from the label files of one key frame."""
        height, width = self.args.view_size
        if (folder := self.args.semantics_dir) is not None:
            ids = self.folders[folder].labels(frame, width, height, "classes")
            free_id = self.protocol.classes.free_id
            # Nothing is free in a picture: that id is left for the sky in folders that know it.
            sky = (ids == free_id) if self.folders[folder].order is None and free_id else np.zeros(ids.shape, bool)
            limit = free_id or len(self.protocol.classes.names)
            if ids.size and (largest := ids.max(where=~sky, initial=0)) >= limit:
                worst = next(i for i, of_camera in enumerate(ids) if largest in of_camera)
                path = self.folders[folder].file(frame, frame.shots[worst])
                raise DataError(path, "class ids", f"below {limit}, 0 = none", int(largest))
            np.copyto(semantics, ids, where=(ids > 0) & (~sky | self.args.label_sky), casting="unsafe")
        if (folder := self.args.depth_dir) is not None:
            metres = self.folders[folder].labels(frame, width, height, "depth")
            # Written so that nan, which compares false, means no label.
            np.copyto(depth, metres, where=(metres > 0) & (metres < np.inf), casting="unsafe")

    def _with_existing_labels(self, args: DataArgs) -> DataArgs:
        """The arguments without the label folders that a test version does not have."""

        def checked(key: str) -> str | None:
            folder: str | None = getattr(args, key)
            if folder is None or (self.root / folder).is_dir():
                return folder
            if args.version.endswith("test"):
                return None
            raise DataError(self.root / folder, key, "a folder with labels, or null to do without", "no such folder")

        keys = (self.protocol.labels_field, "depth_dir", "semantics_dir", "features_dir")
        changes: dict[str, Any] = {key: checked(key) for key in keys if key is not None}
        return replace(args, **changes)


def _check(args: DataArgs) -> None:
    if not args.cameras or len(set(args.cameras)) != len(args.cameras):
        raise ConfigError("data", "cameras", "one or more different camera names", args.cameras)
    if not 1 <= args.views <= 1 + len(args.view_offsets):
        raise ConfigError("data", "views", f"1 ... {1 + len(args.view_offsets)}", args.views)
    if 0 in args.view_offsets or len(set(args.view_offsets)) != len(args.view_offsets):
        raise ConfigError("data", "view_offsets", "different numbers, without 0", args.view_offsets)
    if 0 in args.view_sweeps or len(set(args.view_sweeps)) != len(args.view_sweeps):
        raise ConfigError("data", "view_sweeps", "different numbers, without 0", args.view_sweeps)
    if args.view_sweeps and not args.view_images:
        expected = "none without view_images: they have no labels"
        raise ConfigError("data", "view_sweeps", expected, args.view_sweeps)
    if min(args.view_pose_noise) < 0:
        raise ConfigError("data", "view_pose_noise", "0 or more (m, degrees)", args.view_pose_noise)
    if args.history < 0:
        raise ConfigError("data", "history", "0 or more", args.history)
    if args.remembered < 0:
        raise ConfigError("data", "remembered", "0 or more", args.remembered)
    if not 0 <= args.photometric <= 1:
        raise ConfigError("data", "photometric", "0 ... 1", args.photometric)
    if not 0 <= args.mirror <= 1:
        raise ConfigError("data", "mirror", "0 ... 1", args.mirror)


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
