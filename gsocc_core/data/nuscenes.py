# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""nuScenes and trees in its layout as frame sets for training and evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
from gsocc_core.data.view_labels import camera_order, sample_view_labels
from gsocc_core.errors import ConfigError
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


class NuScenesOccupancy(Dataset[FrameSet]):
    """One frame set (B = 1, T = 1) per key frame.

    Item access takes an index, or (index, seed): the seed draws the neighbouring views, else the nearest are taken.

    Args:
        args: What to load.
        image_size: (height, width) of the network's pictures, pixels.

    Raises:
        ConfigError: nuscenes-devkit is missing, or ``views`` asks for more than ``view_offsets`` holds.
        DataError: the tree lacks tables, scenes, pictures or label folders.
    """

    def __init__(self, args: DataArgs, image_size: tuple[int, int]) -> None:
        if not 1 <= args.views <= 1 + len(args.view_offsets):
            raise ConfigError("data", "views", f"1 ... {1 + len(args.view_offsets)}", args.views)
        nusc = open_nuscenes(args.dataroot, args.version)
        names = choose_scenes(nusc, args.split, args.scenes)
        self.args, self.image_size, self.root = args, tuple(image_size), Path(args.dataroot)
        self.scenes = read_key_frames(nusc, names, args.cameras)
        self.items = [(s, k) for s, frames in enumerate(self.scenes) for k in range(len(frames))]
        self.orders = {d: camera_order(self.root / d) for d in (args.depth_dir, args.semantics_dir) if d is not None}

    def __len__(self) -> int:
        return len(self.items)

    def key_frame(self, index: int) -> KeyFrame:
        """The record of one item."""
        scene, position = self.items[index]
        return self.scenes[scene][position]

    def __getitem__(self, item: int | tuple[int, int]) -> FrameSet:
        index, seed = item if isinstance(item, tuple) else (item, None)
        scene, position = self.items[index]
        present = self.scenes[scene][position]
        height, width = self.image_size
        pictures, cameras = [], []
        for shot in present.shots:
            small = decode_image(shot.path, min_width=width, min_height=height)
            picture, camera = fit_image(small, camera_at(present, shot.camera, shot.T_world_ego), width, height)
            pictures.append(picture)
            cameras.append(camera)
        return FrameSet(
            images=torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)[None, None],
            cameras=Cameras.stack(cameras).map(lambda t: t[None, None]),
            camera_names=tuple(self.args.cameras),
            camera_stamps_ns=torch.tensor([[[shot.stamp_ns for shot in present.shots]]]),
            reference_stamp_ns=torch.tensor([[present.stamp_ns]]),
            T_ref_ego=torch.eye(4)[None, None],
            valid=torch.ones(1, 1, len(cameras), dtype=torch.bool),
            pose_valid=torch.ones(1, 1, dtype=torch.bool),
            targets=self._targets(scene, position, seed),
            sample_tokens=(present.token,),
            scene_names=(present.scene_name,),
        )

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
            if i >= len(offsets):
                continue
            if args.semantics_dir is not None:
                path = self.root / args.semantics_dir / frame.scene_name / f"{frame.token}.npy"
                ids = sample_view_labels(path, self.orders[args.semantics_dir], full, width, height)
                semantics[i] = np.where(ids > 0, ids, OCC3D_NUSCENES.ignore_id)
            if args.depth_dir is not None:
                path = self.root / args.depth_dir / frame.scene_name / f"{frame.token}.npy"
                depth[i] = sample_view_labels(path, self.orders[args.depth_dir], full, width, height)
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


def camera_at(present: KeyFrame, camera: Camera, T_world_ego: np.ndarray) -> Camera:
    """A camera with its ego motion to the present reference time, composed in float64."""
    T_ref_ego = np.linalg.inv(present.T_world_ego) @ T_world_ego
    return Camera(
        camera.name, camera.intrinsics, camera.T_ego_cam, camera.width, camera.height, camera.model, camera.distortion,
        T_ref_ego,
    )  # fmt: skip


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
