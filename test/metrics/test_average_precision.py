# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Average precision against the definition, threshold by threshold."""

import math

import numpy as np
import pytest

from gsocc_core.errors import ShapeError
from gsocc_core.metrics.average_precision import average_precision


def by_definition(scores, positive):
    area, recall = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        chosen = [bool(p) for s, p in zip(scores, positive) if s >= threshold]
        now = sum(chosen) / positive.sum()
        area, recall = area + sum(chosen) / len(chosen) * (now - recall), now
    return area


@pytest.mark.parametrize("levels", [2, 7, 1000])
def test_it_is_the_sum_over_thresholds(levels):
    draw = np.random.default_rng(levels)
    for count in (1, 5, 60):
        scores = draw.integers(0, levels, count).astype(np.float32) / levels
        positive = draw.random(count) < 0.4
        positive[draw.integers(count)] = True
        assert average_precision(scores, positive) == pytest.approx(by_definition(scores, positive))


def test_a_label_counts_as_two_thresholds():
    """Half of the positives among the two labelled ones, then everything."""
    scores, positive = np.array([1, 1, 0, 0, 0]), np.array([True, False, True, False, False])
    assert average_precision(scores, positive) == pytest.approx(0.5 * 0.5 + 0.4 * 0.5)
    assert average_precision(np.array([3.0, 2.0, 1.0]), np.array([True, True, False])) == 1.0


def test_what_has_no_answer():
    assert math.isnan(average_precision(np.zeros(3), np.zeros(3, bool)))
    with pytest.raises(ShapeError, match="average_precision: positive"):
        average_precision(np.zeros(3), np.zeros(2, bool))
    with pytest.raises(ShapeError, match="average_precision: scores: expected finite numbers"):
        average_precision(np.array([0.0, np.nan]), np.ones(2, bool))
