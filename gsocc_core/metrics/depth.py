# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Errors of depth maps, as in Eigen et al. 2014, "Depth map prediction from a single image", section 4.2."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from gsocc_core.errors import ShapeError


@dataclass(frozen=True)
class DepthScores:
    """Errors pooled over all pixels with a true depth; nan when there is none.

    Attributes:
        abs_rel: Mean of error / truth.
        sq_rel: Mean of squared error / truth, metres.
        rmse_m: Root mean square error, metres.
        rmse_log: Root mean square difference of natural logarithms.
        delta: Share of pixels whose ratio to the truth is below a limit, 1.25 unless told otherwise, its square and its
            cube.
        pixels: Number of pixels.
    """

    abs_rel: float
    sq_rel: float
    rmse_m: float
    rmse_log: float
    delta: tuple[float, float, float]
    pixels: int


class DepthErrors:
    """Sums depth errors over pictures.

    Args:
        min_m: Pixels whose true depth is smaller do not count, and predictions are clamped to it, metres.
        max_m: Likewise the largest depth, metres.
        limit: Of the ratio to the truth, above 1.

    Example:
        >>> metric = DepthErrors()
        >>> metric.update(np.array([10.0, 20.0, 0.0]), np.array([11.0, 20.0, 5.0]))  # 0 = no true depth
        >>> metric.scores().abs_rel, metric.scores().pixels
        (0.05, 2)
    """

    def __init__(self, min_m: float = 0.1, max_m: float = 80.0, limit: float = 1.25) -> None:
        if not 0 < min_m < max_m:
            raise ShapeError("DepthErrors", "min_m, max_m", "0 < min_m < max_m", (min_m, max_m))
        if limit <= 1:
            raise ShapeError("DepthErrors", "limit", "above 1", limit)
        self.min_m, self.max_m, self.limit = min_m, max_m, limit
        # Pixels; sums of |e|/z, e^2/z, e^2 and squared log ratio; pixels within the limit, its square, its cube.
        self.sums = np.zeros(8)

    def update(self, truth_m: np.ndarray, predicted_m: np.ndarray, valid: np.ndarray | None = None) -> None:
        """Add depth maps.

        Args:
            truth_m: (...) metres; 0 = unknown.
            predicted_m: (...) metres.
            valid: (...) bool: pixels that count; None = all with a true depth.

        Raises:
            ShapeError: shapes differ, or a prediction that counts is nan.
        """
        self.sums += self.count(truth_m, predicted_m, valid)

    def count(self, truth_m: np.ndarray, predicted_m: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
        """(8,) sums of some depth maps, without adding them; see :meth:`update`."""
        for key, array in (("predicted_m", predicted_m), ("valid", valid)):
            if array is not None and array.shape != truth_m.shape:
                raise ShapeError("DepthErrors", key, truth_m.shape, array.shape)
        used = (truth_m >= self.min_m) & (truth_m <= self.max_m)
        if valid is not None:
            used = used & valid.astype(bool)
        truth, predicted = truth_m[used].astype(np.float64), predicted_m[used].astype(np.float64)
        if np.isnan(predicted).any():
            raise ShapeError("DepthErrors", "predicted_m", "numbers", f"{int(np.isnan(predicted).sum())} nan")
        predicted = predicted.clip(self.min_m, self.max_m)
        error = np.abs(predicted - truth)
        ratio = np.maximum(predicted / truth, truth / predicted)
        logs = np.log(ratio)
        sums = [truth.size, (error / truth).sum(), (error**2 / truth).sum(), (error**2).sum(), (logs**2).sum()]
        return np.array([*sums, *((ratio < self.limit**n).sum() for n in (1, 2, 3))], np.float64)

    def merge(self, other: DepthErrors) -> None:
        """Add the sums of another part of the data set."""
        self.sums += other.sums

    def scores(self) -> DepthScores:
        """Scores of everything seen so far."""
        return depth_scores_of(self.sums)


def depth_scores_of(sums: np.ndarray) -> DepthScores:
    """Scores of summed errors (see :class:`DepthErrors`)."""
    pixels = int(sums[0])
    abs_rel, sq_rel, square, square_log, *delta = sums[1:] / pixels if pixels else np.full(7, np.nan)
    return DepthScores(
        abs_rel=float(abs_rel),
        sq_rel=float(sq_rel),
        rmse_m=float(np.sqrt(square)),
        rmse_log=float(np.sqrt(square_log)),
        delta=(float(delta[0]), float(delta[1]), float(delta[2])),
        pixels=pixels,
    )


def fit_depth(truth_m: np.ndarray, predicted: np.ndarray, trim: float = 0.2, refits: int = 2) -> np.ndarray:
    """Depth scaled and shifted onto the truth by least squares, refitted without the pixels that fit worst.

    Uni3R scores its depth so, picture by picture: what is left tells shape, and says nothing of metres.

    Args:
        truth_m: (...) metres; 0 = unknown.
        predicted: (...) in any unit.
        trim: Share of the pixels that every refit leaves out.
        refits: How often.

    Returns:
        (...) metres; the prediction as it is where fewer than two pixels are known.

    Example:
        >>> truth = np.array([1.0, 2.0, 3.0, 0.0])
        >>> fit_depth(truth, 10 * truth + 5)[:3].round(6).tolist()
        [1.0, 2.0, 3.0]
    """
    used = truth_m > 0
    x, y = predicted[used].astype(np.float64), truth_m[used].astype(np.float64)
    if len(x) < 2:
        return predicted
    chosen = np.arange(len(x))
    scale, shift = 1.0, 0.0
    for step in range(refits + 1):
        a, b = x[chosen], y[chosen]
        spread = ((a - a.mean()) ** 2).sum()
        scale = float(((a - a.mean()) * (b - b.mean())).sum() / spread) if spread > 1e-12 * (a**2).sum() else 0.0
        shift = float(b.mean() - scale * a.mean())
        if step < refits:
            kept = max(2, round((1 - trim) * len(x)))
            chosen = np.argsort(np.abs(scale * x + shift - y), kind="stable")[:kept]
    return scale * predicted.astype(np.float64) + shift


def mean_depth_scores(parts: Sequence[DepthScores]) -> DepthScores:
    """Mean of each number over cameras, whatever each has seen; pixels are added.

    Args:
        parts: One or more, each with pixels.

    Example:
        >>> near, far = DepthErrors(), DepthErrors()
        >>> near.update(np.array([10.0]), np.array([11.0]))
        >>> far.update(np.array([40.0, 40.0]), np.array([48.0, 48.0]))
        >>> round(mean_depth_scores([near.scores(), far.scores()]).abs_rel, 3)  # of 0.1 and 0.2
        0.15
    """

    def mean(values: Iterable[float]) -> float:
        return float(np.mean(list(values)))

    first, second, third = (mean(part.delta[i] for part in parts) for i in range(3))
    return DepthScores(
        abs_rel=mean(part.abs_rel for part in parts),
        sq_rel=mean(part.sq_rel for part in parts),
        rmse_m=mean(part.rmse_m for part in parts),
        rmse_log=mean(part.rmse_log for part in parts),
        delta=(first, second, third),
        pixels=sum(part.pixels for part in parts),
    )
