# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""All counts of one run over a data set, and the scores that they come to."""

from __future__ import annotations

import math

import numpy as np
import torch

from gsocc_core.data.drives import DriveDataset
from gsocc_core.data.key_frames import KeyFrame
from gsocc_core.errors import DataError
from gsocc_core.evaluation.label_sources import Answer
from gsocc_core.evaluation.report import Scores
from gsocc_core.geometry.cameras import Cameras
from gsocc_core.geometry.classes import ClassTable
from gsocc_core.geometry.frames import FrameSet
from gsocc_core.geometry.voxels import VoxelGrid
from gsocc_core.metrics.confusion import (
    LEFT_OUT_OF_15,
    AbsentRule,
    IoUScores,
    MaskPolicy,
    VoxelConfusion,
    bootstrap_interval,
    scores_of,
)
from gsocc_core.metrics.depth import DepthErrors
from gsocc_core.metrics.image_metrics import TOP_DOWN, ImageMetrics
from gsocc_core.metrics.rayiou import RayIoU, ray_origins, ray_scores_of
from gsocc_core.metrics.velocity import VelocityErrors

#: Scores where there are no voxel labels.
_NO_VOXELS = IoUScores(math.nan, math.nan, math.nan, {}, ())


class Counts:
    """All counts of one run over a data set; those with an interval are kept apart by scene."""

    def __init__(self, classes: ClassTable, grid: VoxelGrid, mask: MaskPolicy, absent: AbsentRule) -> None:
        self.classes, self.mask, self.absent = classes, mask, absent
        self.confusion, self.ray = VoxelConfusion(classes, mask), RayIoU(classes, grid)
        self.remembered_parts: dict[str, np.ndarray] = {}
        self.velocities = VelocityErrors(classes)
        self.depths: dict[str, DepthErrors] = {}
        self.pictures = ImageMetrics(classes)
        self.voxel_parts: dict[str, np.ndarray] = {}
        self.ray_parts: dict[str, np.ndarray] = {}
        self.seen: set[str] = set()  # scenes
        self.seconds = 0.0

    def add_labels(
        self,
        dataset: DriveDataset,
        frames: FrameSet,
        frame: KeyFrame,
        answer: Answer,
        grid: VoxelGrid,
        ray_origins_ego: np.ndarray | None,
        image_width: int | None,
    ) -> None:
        """Compare an answer with the voxel labels of its key frame, and with its boxes."""
        targets = frames.targets
        if targets is None or targets.labels is None or targets.mask_camera is None or targets.mask_lidar is None:
            key = dataset.protocol.labels_field or "voxel labels"
            raise DataError(dataset.root, key, "voxel labels (a test split has none)", "none")
        truth = targets.labels[0].numpy()
        masks = targets.mask_camera[0].numpy(), targets.mask_lidar[0].numpy()
        self._add_voxels(frame.scene_name, truth, answer.labels, *masks)
        if targets.mask_remembered is not None:
            part = VoxelConfusion(self.classes).count(truth, answer.labels, targets.mask_remembered[0].numpy())
            _add(self.remembered_parts, frame.scene_name, part)
        if ray_origins_ego is not None:
            T_grid_ego = np.linalg.inv(grid.T_ego_grid_matrix)
            origins = ray_origins(ray_origins_ego) @ T_grid_ego[:3, :3].T + T_grid_ego[:3, 3]
            solid = np.where(truth == self.classes.ignore_id, np.uint8(self.classes.free_id), truth)
            self._add_rays(frame.scene_name, solid, answer.labels, origins)
        if frame.boxes is not None and answer.velocity is not None:
            self.velocities.update(answer.labels, answer.velocity, grid, frame.boxes)
        if image_width is not None:
            cameras = frames.cameras.map(lambda t: t[:, 0].cpu())
            self._add_pictures(truth, answer.labels, masks, grid, cameras, image_width)

    def _add_voxels(self, scene: str, truth: np.ndarray, labels: np.ndarray, *masks: np.ndarray) -> None:
        _add(self.voxel_parts, scene, self.confusion.count(truth, labels, *masks))

    def _add_rays(self, scene: str, truth: np.ndarray, labels: np.ndarray, origins: np.ndarray) -> None:
        _add(self.ray_parts, scene, self.ray.count(truth, labels, origins))

    def _add_pictures(
        self,
        truth: np.ndarray,
        labels: np.ndarray,
        masks: tuple[np.ndarray, np.ndarray],
        grid: VoxelGrid,
        cameras: Cameras,
        width: int,
    ) -> None:
        both = masks[0].astype(bool) & masks[1].astype(bool)
        counts = {"camera": masks[0], "lidar": masks[1], "camera_and_lidar": both}.get(self.mask)
        known = truth if counts is None else np.where(counts, truth, np.uint8(self.classes.ignore_id))
        names = [str(view) for view in range(cameras.intrinsics.shape[1])]
        true, found = (torch.from_numpy(np.ascontiguousarray(volume))[None] for volume in (known, labels))
        self.pictures.update_voxels(true, found, grid, cameras, names, render_width=width, top_down_px=width)

    def scores(self, name: str, frames: int) -> Scores:
        """Scores of everything added, under a name, with the number of key frames."""
        classes, voxel_parts, ray_parts = self.classes, list(self.voxel_parts.values()), list(self.ray_parts.values())
        absent, has_15 = self.absent, set(LEFT_OUT_OF_15) <= set(classes.names)
        total = scores_of(np.sum(voxel_parts, axis=0), classes, absent) if voxel_parts else _NO_VOXELS
        rays = ray_scores_of(np.sum(ray_parts, axis=0), classes) if ray_parts else None
        intervals = {}
        if voxel_parts:
            intervals["miou"] = bootstrap_interval(voxel_parts, lambda m: scores_of(m, classes, absent).miou)
            intervals["iou"] = bootstrap_interval(voxel_parts, lambda m: scores_of(m, classes).iou)
        if ray_parts:
            intervals["rayiou"] = bootstrap_interval(ray_parts, lambda c: ray_scores_of(c, classes).rayiou)
        remembered = [part for part in self.remembered_parts.values() if part.any()]
        hidden = scores_of(np.sum(remembered, axis=0), classes) if remembered else _NO_VOXELS
        if remembered:
            intervals["miou_remembered"] = bootstrap_interval(remembered, lambda m: self._still(scores_of(m, classes)))
        velocity, every = self.velocities.scores(), DepthErrors()
        for errors in self.depths.values():
            every.merge(errors)
        depth, of_cameras = every.scores(), {name: errors.scores() for name, errors in self.depths.items()}
        return Scores(
            name=name,
            frames=frames,
            scenes=len(self.seen),
            mask=self.mask,
            miou=total.miou,
            miou_15=total.miou_15 if has_15 else math.nan,
            iou=total.iou,
            rayiou=rays.rayiou if rays else math.nan,
            rayiou_15=rays.rayiou_15 if rays and has_15 else math.nan,
            intervals=intervals,
            per_class=total.per_class,
            absent=total.absent,
            absent_rule=absent,
            seconds_per_frame=self.seconds / max(frames, 1),
            miou_dynamic=(total.miou_of([classes.names[i] for i in classes.dynamic_ids]) if voxel_parts else math.nan),
            miou_remembered=self._still(hidden),
            iou_remembered=hidden.iou,
            remembered_voxels=int(np.sum(remembered)),
            velocity=velocity if velocity.matches else None,
            depth=depth if depth.pixels else None,
            depth_of_cameras=of_cameras if depth.pixels else {},
            images=self.pictures.scores(absent=absent) if self.pictures.views else None,
            top_down=self.pictures.scores((TOP_DOWN,), absent) if self.pictures.views else None,
        )

    def _still(self, scores: IoUScores) -> float:
        """Mean IoU over the classes that cannot move; nan when none is present."""
        moving = {self.classes.names[i] for i in self.classes.dynamic_ids}
        return scores.miou_of([name for name in scores.per_class if name not in moving])


def _add(parts: dict[str, np.ndarray], scene: str, part: np.ndarray) -> None:
    """Add counts to those of a scene."""
    parts[scene] = parts[scene] + part if scene in parts else part
