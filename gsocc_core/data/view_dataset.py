# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Videos of one camera as samples of several unposed views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from gsocc_core.data.feature_files import FeatureFolder, open_features
from gsocc_core.data.images import decode_image, fit_camera, fit_image
from gsocc_core.data.video import VideoFrame
from gsocc_core.data.video_sources import DriveSource, ScanNetSource, VideoSource
from gsocc_core.data.view_args import ViewArgs, ViewLayout
from gsocc_core.data.view_overlap import view_overlap
from gsocc_core.data.view_schedule import ViewChoice
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.geometry.view_sets import ViewSet

#: Layout -> how it is opened.
_SOURCES: Mapping[ViewLayout, type[ScanNetSource | DriveSource]] = {"scannet": ScanNetSource, "nuscenes": DriveSource}


@dataclass(frozen=True, eq=False)
class _Opened:
    """One frame, fitted to the picture size; what is unknown is NaN, 0, the ignored id, -1 or None.

    Attributes:
        frame: Where it is from.
        image: (H, W, 3) uint8 RGB.
        intrinsics: (3, 3) float32 pixels.
        depth_m: (H, W) float32.
        class_ids: (H, W) uint8.
        name_ids: (H, W) int16.
        features: (D, h, w) float32.
    """

    frame: VideoFrame
    image: np.ndarray
    intrinsics: np.ndarray
    depth_m: np.ndarray
    class_ids: np.ndarray
    name_ids: np.ndarray
    features: np.ndarray | None


class ViewDataset(Dataset[ViewSet]):
    """One set of views (B = 1) per item.

    Item access takes an index; (index, seed): the seed draws the number of views, the span, the beginning and the
    targets; or (index, seed, step): the span and the number of views are those of a training step, the latter the same
    for all samples of the step. Pictures of any size and aspect are scaled until they cover ``image_size`` and cropped,
    at the top and equally on both sides; intrinsics, depth and labels follow. What views overlap is computed without a
    seed, or where ``min_overlap`` asks for it.

    Args:
        args: What to load.
        image_size: (height, width) of the views, pixels.

    Attributes:
        source: The videos, with ``classes`` and ``names``.
        items: Video and first frame of each sample without a seed.

    Raises:
        ConfigError: there is no such layout, or nuscenes-devkit is missing.
        DataError: files are missing or damaged, or a video is too short for the views of a sample.
    """

    def __init__(self, args: ViewArgs, image_size: tuple[int, int]) -> None:
        if args.layout not in _SOURCES:
            raise ConfigError("data", "layout", f"one of {', '.join(_SOURCES)}", args.layout)
        self.args, self.image_size, self.schedule = args, tuple(image_size), args.schedule
        self.source: VideoSource = _SOURCES[args.layout](args)
        for scene in self.source.scenes:
            self._check_length(scene.name, len(scene.frames))
        lengths = [len(scene.frames) for scene in self.source.scenes]
        self.items = [(i, start) for i, n in enumerate(lengths) for start in self.schedule.starts(n)]
        height, width = self.image_size
        first = self.source.frame(0, 0)
        self._has_depth = self.source.depth(first, width, height) is not None
        labels = self.source.labels(first, width, height)
        self._has_labels, self._has_names = labels is not None, labels is not None and labels[1] is not None
        self.features: FeatureFolder | None = None
        if args.features_dir is not None:
            self.features = open_features(Path(args.dataroot) / args.features_dir, first.key_frame())
        self._kept: dict[tuple[int, int], _Opened] = {}  # the one used last comes last

    def _check_length(self, scene: str, frames: int) -> None:
        """Raise DataError if a video is too short for some sample."""
        for stage in self.schedule.stages:
            for count in self.schedule.context:
                if not all(self.schedule.fits(min(s, frames - 1), count) for s in stage.span):
                    expected = f"frames for {count} context views and {self.schedule.targets} targets between them"
                    raise DataError(Path(self.args.dataroot) / scene, "frames", expected, frames)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, item: int | tuple[int, int] | tuple[int, int, int]) -> ViewSet:
        index, seed, step = (*item, None)[:3] if isinstance(item, tuple) else (item, None, None)
        scene, start = self.items[index]
        frames = len(self.source.scenes[scene].frames)
        stage, draw = self.schedule.stage(step), None if seed is None else np.random.default_rng(seed)
        count, span = self.schedule.context[0], stage.span[1]
        if draw is not None:
            drawn = int(draw.integers(len(self.schedule.context)))
            count = self.schedule.context[drawn] if step is None else self.schedule.views_at(step)
            span = int(draw.integers(stage.span[0], stage.span[1] + 1))
        span = min(span, frames - 1)
        while True:
            first = min(start, frames - 1 - span) if draw is None else int(draw.integers(frames - span))
            choice = self.schedule.choose(count, span, first, draw)
            views = self._sample(scene, choice, overlap=draw is None or self.args.min_overlap > 0)
            least = self._least_overlap(views)
            if least >= self.args.min_overlap:
                return views.mirrored() if draw is not None and self.args.mirror and draw.random() < 0.5 else views
            span = span // 2
            if draw is None or not self.schedule.fits(span, count):
                key = f"overlap of frames {', '.join(views.frame_names[0])}"
                where = Path(self.args.dataroot) / self.source.scenes[scene].name
                raise DataError(where, key, f"at least {self.args.min_overlap:g}", f"{least:.2f}")

    @staticmethod
    def _least_overlap(views: ViewSet) -> float:
        """Of the context views; 1 where it is unknown."""
        return 1.0 if views.overlap is None else float(views.overlap.nan_to_num(1.0).min())

    def _sample(self, scene: int, choice: ViewChoice, overlap: bool) -> ViewSet:
        """Context and target views of one sample."""
        frames = [self._opened(scene, i) for i in (*choice.context, *choice.targets)]
        T_world_first = frames[0].frame.T_world_cam
        context = self._views(frames[: len(choice.context)], T_world_first)
        T_world = np.full((4, 4), np.nan) if T_world_first is None else T_world_first
        context = replace(
            context,
            overlap=torch.from_numpy(self._overlap(context))[None] if overlap else None,
            targets=self._views(frames[len(choice.context) :], T_world_first) if choice.targets else None,
            T_world_first=torch.from_numpy(T_world)[None].clone(),
        )
        return context.without_intrinsics() if self.args.hide_intrinsics else context

    def _overlap(self, views: ViewSet) -> np.ndarray:
        if views.depth_m is None:
            return np.full(views.images.shape[1], np.nan, np.float32)
        arrays = (views.depth_m, views.intrinsics, views.T_first_cam)
        return view_overlap(*(array[0].double().numpy() for array in arrays))

    def _views(self, frames: Sequence[_Opened], T_world_first: np.ndarray | None) -> ViewSet:
        poses = np.full((len(frames), 4, 4), np.nan, np.float32)
        for pose, one in zip(poses, frames):
            if one.frame.T_world_cam is not None and T_world_first is not None:
                pose[:] = _inverse(T_world_first) @ one.frame.T_world_cam
        features = self._features(frames)
        return ViewSet(
            _stacked([one.image for one in frames]).permute(0, 1, 4, 2, 3),
            _stacked([one.intrinsics for one in frames]),
            torch.from_numpy(poses)[None],
            torch.ones(1, len(frames), dtype=torch.bool),
            depth_m=_stacked([one.depth_m for one in frames]) if self._has_depth else None,
            semantics=_stacked([one.class_ids for one in frames]) if self._has_labels else None,
            name_ids=_stacked([one.name_ids for one in frames]) if self._has_names else None,
            features=None if features is None else _stacked(features),
            scene_names=tuple(one.frame.scene_name for one in frames[:1]),
            frame_names=(tuple(one.frame.name for one in frames),),
        )

    def _opened(self, scene: int, index: int) -> _Opened:
        """One frame, from memory if it is there."""
        found = self._kept.pop((scene, index), None)
        found = self._open(scene, index) if found is None else found
        self._kept[scene, index] = found
        if len(self._kept) > self.args.keep_frames:
            del self._kept[next(iter(self._kept))]
        return found

    def _open(self, scene: int, index: int) -> _Opened:
        """One frame, fitted to the picture size."""
        height, width = self.image_size
        frame = self.source.frame(scene, index)
        small = decode_image(frame.path, min_width=width, min_height=height)
        image, _ = fit_image(small, frame.camera, width, height, where=str(frame.path))
        intrinsics = np.full((3, 3), np.nan)
        if frame.intrinsics is not None:
            intrinsics = fit_camera(frame.camera, width, height).intrinsics
        depth = np.zeros((height, width), np.float32)
        if self._has_depth and (metres := self.source.depth(frame, width, height)) is not None:
            depth = metres
        class_ids = np.full((height, width), self.source.classes.ignore_id, np.uint8)
        name_ids = np.full((height, width), -1, np.int16)
        if self._has_labels and (found := self.source.labels(frame, width, height)) is not None:
            class_ids = found[0]
            name_ids = name_ids if found[1] is None else found[1]
        features: np.ndarray | None = None
        if self.features is not None and (self.args.layout != "nuscenes" or frame.record is not None):
            features = self.features.read(frame.key_frame(), width, height)[0]
        return _Opened(frame, image, intrinsics.astype(np.float32), depth, class_ids, name_ids, features)

    def _features(self, frames: Sequence[_Opened]) -> list[np.ndarray] | None:
        """V of (D, h, w) float32; zeros for what lies between the key frames of a drive."""
        if self.features is None:
            return None
        maps = [one.features for one in frames]
        known = [one for one in maps if one is not None]
        if not known:
            raise DataError(frames[0].frame.path, "features", "a key frame among the views", "none")
        if len({one.shape for one in known}) > 1:
            received = [None if one is None else one.shape for one in maps]
            where = frames[0].frame.path.parent
            raise DataError(where, "features", "one size after fitting, in all views", received)
        return [np.zeros_like(known[0]) if one is None else one for one in maps]


def _stacked(arrays: Sequence[np.ndarray]) -> torch.Tensor:
    """(1, V, ...), in memory of its own."""
    return torch.from_numpy(np.stack(arrays))[None]


def _inverse(T: np.ndarray) -> np.ndarray:
    """(4, 4) inverse of a rigid transform."""
    result = np.eye(4)
    result[:3, :3] = T[:3, :3].T
    result[:3, 3] = -T[:3, :3].T @ T[:3, 3]
    return result
