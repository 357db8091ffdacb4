# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Average precision of scores, with ties."""

from __future__ import annotations

import numpy as np

from gsocc_core.errors import ShapeError


def average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under precision over recall: the sum of precision times the growth of recall over all thresholds.

    Equal scores share one threshold, so a score that says nothing has the share of positives.

    Args:
        scores: (N,) finite numbers.
        positive: (N,) bool.

    Returns:
        0..1; nan without a positive.

    Raises:
        ShapeError: shapes differ, or a score is not finite.

    Example:
        >>> average_precision(np.array([0.9, 0.8, 0.1]), np.array([True, False, True]))
        0.8333333333333333
        >>> average_precision(np.zeros(4), np.array([True, False, False, False]))
        0.25
    """
    if scores.ndim != 1 or scores.shape != positive.shape:
        raise ShapeError("average_precision", "positive", f"(N,) as scores {scores.shape}", positive.shape)
    if not np.isfinite(scores).all():
        raise ShapeError("average_precision", "scores", "finite numbers", "NaN or infinity")
    total = int(np.count_nonzero(positive))
    if not total:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # the last of each run of equal scores
    found = np.cumsum(positive[order])[ends]
    precision, recall = found / (ends + 1), found / total
    return float(np.sum(precision * np.diff(recall, prepend=0.0)))
