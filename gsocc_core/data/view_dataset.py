# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Videos of one camera as samples of several unposed views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
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


class ViewDataset(Dataset[ViewSet]):
    """One set of views (B = 1) per item.

    Item access takes an index; (index, seed): the seed draws the number of views, the span, the beginning and the
    targets; or (index, seed, step): the span and the number of views are those of a training step, the latter the same
    for all samples of the step. Pictures of any size and aspect are scaled until they cover ``image_size`` and cropped,
    at the top and equally on both sides; intrinsics, depth and labels follow.

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
            views = self._sample(scene, choice)
            least = self._least_overlap(views)
            if least >= self.args.min_overlap:
                return views
            span = span // 2
            if draw is None or not self.schedule.fits(span, count):
                key = f"overlap of frames {', '.join(views.frame_names[0])}"
                where = Path(self.args.dataroot) / self.source.scenes[scene].name
                raise DataError(where, key, f"at least {self.args.min_overlap:g}", f"{least:.2f}")

    @staticmethod
    def _least_overlap(views: ViewSet) -> float:
        """Of the context views; 1 where it is unknown."""
        return 1.0 if views.overlap is None else float(views.overlap.nan_to_num(1.0).min())

    def _sample(self, scene: int, choice: ViewChoice) -> ViewSet:
        """Context and target views of one sample."""
        frames = [self.source.frame(scene, i) for i in (*choice.context, *choice.targets)]
        T_world_first = frames[0].T_world_cam
        context = self._views(frames[: len(choice.context)], T_world_first)
        T_world = np.full((4, 4), np.nan) if T_world_first is None else T_world_first
        context = replace(
            context,
            overlap=torch.from_numpy(self._overlap(context))[None],
            targets=self._views(frames[len(choice.context) :], T_world_first) if choice.targets else None,
            T_world_first=torch.from_numpy(T_world)[None].clone(),
        )
        return context.without_intrinsics() if self.args.hide_intrinsics else context

    def _overlap(self, views: ViewSet) -> np.ndarray:
        if views.depth_m is None:
            return np.full(views.images.shape[1], np.nan, np.float32)
        arrays = (views.depth_m, views.intrinsics, views.T_first_cam)
        return view_overlap(*(array[0].double().numpy() for array in arrays))

    def _views(self, frames: Sequence[VideoFrame], T_world_first: np.ndarray | None) -> ViewSet:
        height, width = self.image_size
        count = len(frames)
        images = np.zeros((count, height, width, 3), np.uint8)
        K, T = np.full((count, 3, 3), np.nan, np.float32), np.full((count, 4, 4), np.nan, np.float32)
        depth = np.zeros((count, height, width), np.float32)
        ids = np.full((count, height, width), self.source.classes.ignore_id, np.uint8)
        names = np.full((count, height, width), -1, np.int16)
        for i, frame in enumerate(frames):
            small = decode_image(frame.path, min_width=width, min_height=height)
            images[i], _ = fit_image(small, frame.camera, width, height, where=str(frame.path))
            if frame.intrinsics is not None:
                K[i] = fit_camera(frame.camera, width, height).intrinsics
            if frame.T_world_cam is not None and T_world_first is not None:
                T[i] = _inverse(T_world_first) @ frame.T_world_cam
            if self._has_depth and (metres := self.source.depth(frame, width, height)) is not None:
                depth[i] = metres
            if self._has_labels and (found := self.source.labels(frame, width, height)) is not None:
                ids[i] = found[0]
                if found[1] is not None:
                    names[i] = found[1]
        features = self._features(frames)
        return ViewSet(
            torch.from_numpy(images).permute(0, 3, 1, 2)[None],
            torch.from_numpy(K)[None],
            torch.from_numpy(T)[None],
            torch.ones(1, count, dtype=torch.bool),
            depth_m=torch.from_numpy(depth)[None] if self._has_depth else None,
            semantics=torch.from_numpy(ids)[None] if self._has_labels else None,
            name_ids=torch.from_numpy(names)[None] if self._has_names else None,
            features=None if features is None else torch.from_numpy(features)[None],
            scene_names=tuple(frame.scene_name for frame in frames[:1]),
            frame_names=(tuple(frame.name for frame in frames),),
        )

    def _features(self, frames: Sequence[VideoFrame]) -> np.ndarray | None:
        """(V, D, h, w) float32; zeros for what lies between the key frames of a drive."""
        if self.features is None:
            return None
        height, width = self.image_size
        drive = self.args.layout == "nuscenes"
        maps = [None if drive and f.record is None else self.features.read(f.key_frame(), width, height)[0]
                for f in frames]  # fmt: skip
        known = [one for one in maps if one is not None]
        if not known:
            raise DataError(frames[0].path, "features", "a key frame among the views", "none")
        if len({one.shape for one in known}) > 1:
            received = [None if one is None else one.shape for one in maps]
            raise DataError(frames[0].path.parent, "features", "one size after fitting, in all views", received)
        return np.stack([np.zeros_like(known[0]) if one is None else one for one in maps])


def _inverse(T: np.ndarray) -> np.ndarray:
    """(4, 4) inverse of a rigid transform."""
    result = np.eye(4)
    result[:3, :3] = T[:3, :3].T
    result[:3, 3] = -T[:3, :3].T @ T[:3, 3]
    return result
