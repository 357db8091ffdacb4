# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Confusion matrices of voxel labels, and the IoU scores read from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from gsocc_core.errors import ConfigError, ShapeError
from gsocc_core.geometry.classes import ClassTable

#: Voxels that count: seen by the cameras, by the LiDAR, by both (OccNeRF and GaussianOcc), or all.
MaskPolicy = Literal["camera", "lidar", "camera_and_lidar", "none"]
AbsentRule = Literal["left_out", "counts_as_one"]

#: Classes that 15-class protocols leave out.
LEFT_OUT_OF_15 = ("others", "other_flat")


@dataclass(frozen=True)
class IoUScores:
    """Scores of one confusion matrix.

    Attributes:
        miou: Mean IoU over all semantic classes, 0..1; nan when none is present.
        miou_15: The same without ``others`` and ``other_flat``.
        iou: Occupied against free.
        per_class: IoU per class name; nan where a class is neither in the ground truth nor predicted.
        absent: Classes to which the rule for absent ones was applied: by default, those left out of the means because
            they are neither in the ground truth nor predicted.
    """

    miou: float
    miou_15: float
    iou: float
    per_class: dict[str, float]
    absent: tuple[str, ...]

    def miou_of(self, names: Sequence[str]) -> float:
        """Mean IoU over some classes, those that are absent left out; nan when all are."""
        return _mean(np.array([self.per_class[name] for name in names]))


class VoxelConfusion:
    """Sums a confusion matrix (ground truth x prediction) over frames.

    Args:
        classes: Class table.
        mask: Voxels that count, see :data:`MaskPolicy`.
        drop_truth: Class names whose ground-truth voxels do not count. GaussianFlowOcc's evaluator drops ``others`` and
            ``other_flat``, so predictions there cost nothing.

    Example:
        >>> from gsocc_core import OCC3D_NUSCENES
        >>> metric = VoxelConfusion(OCC3D_NUSCENES, "none")
        >>> truth, predicted = np.array([4, 4, 17], np.uint8), np.array([4, 17, 17], np.uint8)
        >>> metric.update(truth, predicted)
        >>> metric.scores().per_class["car"]
        0.5
    """

    def __init__(self, classes: ClassTable, mask: MaskPolicy = "camera", drop_truth: Sequence[str] = ()) -> None:
        if mask not in get_args(MaskPolicy):
            raise ConfigError("VoxelConfusion", "mask", f"one of {', '.join(get_args(MaskPolicy))}", mask)
        if unknown := set(drop_truth) - set(classes.names):
            raise ConfigError("VoxelConfusion", "drop_truth", f"names among {classes.names}", sorted(unknown))
        self.classes, self.mask = classes, mask
        self.dropped = tuple(classes.names.index(name) for name in drop_truth)
        count = len(classes.names)
        self.matrix = np.zeros((count, count), np.int64)

    @classmethod
    def gaussianflowocc(cls, classes: ClassTable) -> VoxelConfusion:
        """GaussianFlowOcc's protocol, to be read as ``miou_15``: true ``others`` and ``other_flat`` do not count.

        It is kinder than ``miou_15`` of the default protocol, which charges what is predicted in the dropped voxels.
        """
        return cls(classes, "camera", [name for name in LEFT_OUT_OF_15 if name in classes.names])

    def update(
        self,
        truth: np.ndarray,
        predicted: np.ndarray,
        mask_camera: np.ndarray | None = None,
        mask_lidar: np.ndarray | None = None,
    ) -> None:
        """Add one frame.

        Args:
            truth: (...) uint8 ids; ``ignore_id`` does not count.
            predicted: (...) uint8 ids.
            mask_camera: (...) bool, needed for the mask policies ``camera`` and ``camera_and_lidar``.
            mask_lidar: (...) bool, needed for the mask policies ``lidar`` and ``camera_and_lidar``.

        Raises:
            ShapeError: shapes differ, the mask is missing, or an id is not in the table.
        """
        self.matrix += self.count(truth, predicted, mask_camera, mask_lidar)

    def count(
        self,
        truth: np.ndarray,
        predicted: np.ndarray,
        mask_camera: np.ndarray | None = None,
        mask_lidar: np.ndarray | None = None,
    ) -> np.ndarray:
        """Confusion matrix of one frame, without adding it; see :meth:`update`."""
        if truth.shape != predicted.shape:
            raise ShapeError("VoxelConfusion", "predicted", truth.shape, predicted.shape)
        used = truth != self.classes.ignore_id
        for name, mask in (("camera", mask_camera), ("lidar", mask_lidar)):
            if name not in self.mask:
                continue
            if mask is None or mask.shape != truth.shape:
                received = None if mask is None else mask.shape
                raise ShapeError("VoxelConfusion", f"mask_{name}", truth.shape, received)
            used = used & mask.astype(bool)
        for class_id in self.dropped:
            used = used & (truth != class_id)
        t, p = truth[used].astype(np.int64), predicted[used].astype(np.int64)
        count = len(self.classes.names)
        if t.size and max(t.max(), p.max()) >= count:
            raise ShapeError("VoxelConfusion", "labels", f"ids below {count}", int(max(t.max(), p.max())))
        return np.bincount(t * count + p, minlength=count * count).reshape(count, count)

    def merge(self, other: VoxelConfusion) -> None:
        """Add the counts of another part of the data set."""
        self.matrix += other.matrix

    def scores(self, absent: AbsentRule = "left_out") -> IoUScores:
        """Scores of everything seen so far; for ``absent`` see :func:`scores_of`."""
        return scores_of(self.matrix, self.classes, absent)


def scores_of(matrix: np.ndarray, classes: ClassTable, absent: AbsentRule = "left_out") -> IoUScores:
    """Scores of a confusion matrix.

    Args:
        matrix: (K, K) counts, ground truth x prediction.
        classes: Class table with K names.
        absent: ``left_out``: a class that is neither in the ground truth nor predicted is left out of the means.
            ``counts_as_one``: a class that is not in the ground truth has IoU 1 whatever is predicted, the rule of
            TPVFormer's and GaussRender's evaluators; it raises the mean of small sets.

    Returns:
        IoU_c = TP / (TP + FP + FN) and its means.

    Raises:
        ConfigError: unknown rule.
    """
    if absent not in get_args(AbsentRule):
        raise ConfigError("scores_of", "absent", f"one of {get_args(AbsentRule)}", absent)
    semantic = [i for i in range(len(classes.names)) if i != classes.free_id]
    hit = np.diag(matrix).astype(np.float64)
    union = matrix.sum(0) + matrix.sum(1) - hit
    ious = np.where(union > 0, hit / np.maximum(union, 1), np.nan)
    missing = union == 0
    if absent == "counts_as_one":
        missing = matrix.sum(1) == 0
        ious = np.where(missing, 1.0, ious)
    occupied = matrix[np.ix_(semantic, semantic)].sum()
    any_occupied = matrix.sum() - matrix[classes.free_id, classes.free_id]
    fifteen = [i for i in semantic if classes.names[i] not in LEFT_OUT_OF_15]
    return IoUScores(
        miou=_mean(ious[semantic]),
        miou_15=_mean(ious[fifteen]),
        iou=float(occupied / any_occupied) if any_occupied else float("nan"),
        per_class={classes.names[i]: float(ious[i]) for i in semantic},
        absent=tuple(classes.names[i] for i in semantic if missing[i]),
    )


def _mean(values: np.ndarray) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else float("nan")


def bootstrap_interval(
    parts: Sequence[np.ndarray],
    statistic: Callable[[np.ndarray], float],
    *,
    level: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap over scenes (Efron & Tibshirani 1993, chapter 13).

    Key frames of a scene resemble each other, so scenes are drawn, not frames.

    Args:
        parts: Counts of each scene, all of one shape.
        statistic: Score of summed counts.
        level: Coverage, 0..1.
        draws: Resamples.
        seed: Of the resampling.

    Returns:
        Lower and upper end.

    Raises:
        ShapeError: there are no scenes.

    Example:
        >>> hits_and_rays = [np.array([8, 10]), np.array([3, 10]), np.array([6, 10])]
        >>> low, high = bootstrap_interval(hits_and_rays, lambda total: total[0] / total[1])
        >>> bool(0.3 <= low < 17 / 30 < high <= 0.8)
        True
    """
    if not len(parts):
        raise ShapeError("bootstrap_interval", "parts", "counts of at least one scene", 0)
    stacked, rng = np.stack(parts), np.random.default_rng(seed)
    values = [statistic(stacked[rng.integers(0, len(parts), len(parts))].sum(0)) for _ in range(draws)]
    low, high = np.nanpercentile(values, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)
