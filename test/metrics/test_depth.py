# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Depth errors against a plain loop."""

import math

import numpy as np
import pytest

from gsocc_core.errors import ShapeError
from gsocc_core.metrics.depth import DepthErrors, fit_depth, mean_depth_scores


def maps(seed=0, shape=(3, 7, 9)):
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.5, 100, shape).astype(np.float32)
    truth[rng.random(shape) < 0.2] = 0
    predicted = (truth * rng.uniform(0.5, 2.0, shape)).astype(np.float32)
    return truth, predicted, rng.random(shape) < 0.8


def test_scores_equal_a_loop_over_pixels():
    truth, predicted, valid = maps()
    metric = DepthErrors(1.0, 60.0)
    metric.update(truth, predicted, valid)
    n, rel, squared_rel, squared, logs, within = 0, 0.0, 0.0, 0.0, 0.0, [0, 0, 0]
    for index in np.ndindex(truth.shape):
        z, p = float(truth[index]), min(max(float(predicted[index]), 1.0), 60.0)
        if not valid[index] or not 1 <= z <= 60:
            continue
        n += 1
        rel += abs(p - z) / z
        squared_rel += (p - z) ** 2 / z
        squared += (p - z) ** 2
        logs += (math.log(p) - math.log(z)) ** 2
        within = [w + (max(p / z, z / p) < 1.25**k) for k, w in enumerate(within, 1)]
    scores = metric.scores()
    assert scores.pixels == n
    assert (scores.abs_rel, scores.sq_rel) == pytest.approx((rel / n, squared_rel / n))
    assert (scores.rmse_m, scores.rmse_log) == pytest.approx((math.sqrt(squared / n), math.sqrt(logs / n)))
    assert scores.delta == pytest.approx([w / n for w in within])


def test_parts_add_up_to_the_whole():
    whole, first, second = DepthErrors(), DepthErrors(), DepthErrors()
    truth, predicted, valid = maps()
    whole.update(truth, predicted, valid)
    first.update(truth[:1], predicted[:1], valid[:1])
    second.update(truth[1:], predicted[1:], valid[1:])
    first.merge(second)
    assert first.sums == pytest.approx(whole.sums)


def test_perfect_depth_has_no_error_and_nothing_seen_is_nan():
    metric = DepthErrors()
    assert math.isnan(metric.scores().abs_rel)
    truth = np.array([2.0, 30.0])
    metric.update(truth, truth)
    assert metric.scores().rmse_m == 0
    assert metric.scores().delta == (1, 1, 1)


def test_bad_input_is_named():
    with pytest.raises(ShapeError, match="min_m"):
        DepthErrors(5.0, 1.0)
    with pytest.raises(ShapeError, match="predicted_m"):
        DepthErrors().update(np.ones(3), np.ones(2))
    with pytest.raises(ShapeError, match="1 nan"):
        DepthErrors().update(np.ones(2), np.array([1.0, np.nan]))


def test_the_mean_of_cameras_weighs_each_alike():
    parts = []
    for seed, factor in ((0, 1.1), (1, 1.5)):
        metric, (truth, _, _) = DepthErrors(), maps(seed, (seed + 1, 5, 5))
        metric.update(truth, factor * truth)
        parts.append(metric.scores())
    mean = mean_depth_scores(parts)
    assert mean.pixels == parts[0].pixels + parts[1].pixels
    for name in ("abs_rel", "sq_rel", "rmse_m", "rmse_log"):
        assert getattr(mean, name) == pytest.approx((getattr(parts[0], name) + getattr(parts[1], name)) / 2)
    assert mean.delta == pytest.approx([(a + b) / 2 for a, b in zip(parts[0].delta, parts[1].delta)])


def test_the_limit_of_a_good_ratio_can_be_chosen():
    truth, predicted = np.array([1.0, 1.0, 1.0, 1.0]), np.array([1.02, 1.05, 1.08, 1.2])
    metric = DepthErrors(limit=1.03)
    metric.update(truth, predicted)
    assert metric.scores().delta == (0.25, 0.5, 0.75)
    with pytest.raises(ShapeError, match="limit: expected above 1, received 1"):
        DepthErrors(limit=1.0)


def test_depth_is_fitted_as_a_solver_does_it_twice_over():
    rng = np.random.default_rng(0)
    truth = rng.uniform(1, 4, (6, 7))
    truth[0] = 0  # unknown
    predicted = 0.3 * truth + 0.8 + rng.normal(0, 0.01, truth.shape)
    predicted[1, :5] = 3.0  # outliers
    x, y = predicted[truth > 0], truth[truth > 0]
    chosen = np.arange(len(x))
    for step in range(3):
        (scale, shift), *_ = np.linalg.lstsq(np.stack([x, np.ones_like(x)], 1)[chosen], y[chosen], rcond=None)
        if step < 2:
            chosen = np.argsort(np.abs(scale * x + shift - y), kind="stable")[: round(0.8 * len(x))]
    found = fit_depth(truth, predicted)
    np.testing.assert_allclose(found, scale * predicted + shift, atol=1e-9)
    once = fit_depth(truth, predicted, refits=0)
    assert np.abs(found - truth)[2:].mean() < 0.9 * np.abs(once - truth)[2:].mean()
    assert fit_depth(np.array([2.0, 0.0]), np.array([5.0, 6.0])).tolist() == [5.0, 6.0]
    assert fit_depth(np.array([2.0, 4.0, 4.0]), np.ones(3), trim=0.0) == pytest.approx(np.full(3, 10 / 3))
