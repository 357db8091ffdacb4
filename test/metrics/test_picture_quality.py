# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""PSNR and SSIM against their formulas, written out window by window."""

import math

import numpy as np
import pytest
import torch

from gsocc_core.errors import ShapeError
from gsocc_core.metrics.picture_quality import mean_of, psnr_db, ssim


def slow_ssim(one, other, side=11):
    """Wang et al. 2004, equations 13 to 17, for every whole window of every channel."""
    places = np.arange(side) - side // 2
    weights = np.exp(-(places[:, None] ** 2 + places[None] ** 2) / (2 * 1.5**2))
    weights /= weights.sum()
    values = []
    for x, y in zip(one, other):
        for i in range(x.shape[0] - side + 1):
            for j in range(x.shape[1] - side + 1):
                a, b = x[i : i + side, j : j + side], y[i : i + side, j : j + side]
                ma, mb = (weights * a).sum(), (weights * b).sum()
                va, vb = (weights * (a - ma) ** 2).sum(), (weights * (b - mb) ** 2).sum()
                cov = (weights * (a - ma) * (b - mb)).sum()
                values.append((2 * ma * mb + 1e-4) * (2 * cov + 9e-4)
                              / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4)))  # fmt: skip
    return np.mean(values)


def test_ssim_is_the_mean_over_whole_windows():
    rng = np.random.default_rng(0)
    one = rng.random((2, 3, 14, 16))
    other = np.clip(one + rng.normal(0, 0.2, one.shape), 0, 1)
    found = ssim(torch.from_numpy(other), torch.from_numpy(one))
    assert found.tolist() == pytest.approx([slow_ssim(a, b) for a, b in zip(other, one)], abs=1e-12)
    small = ssim(torch.from_numpy(other[:, :, :5, :8]), torch.from_numpy(one[:, :, :5, :8]))
    assert bool(((small > -1) & (small < 1)).all())


def test_psnr_is_of_each_picture_and_of_values_that_can_be_shown():
    rng = np.random.default_rng(1)
    truth, picture = rng.random((2, 3, 6, 7)), rng.normal(0.5, 0.6, (2, 3, 6, 7))
    expected = [10 * math.log10(1 / np.mean((np.clip(p, 0, 1) - t) ** 2)) for p, t in zip(picture, truth)]
    assert psnr_db(torch.from_numpy(picture), torch.from_numpy(truth)).tolist() == pytest.approx(expected)
    assert math.isinf(psnr_db(torch.ones(3, 2, 2), torch.ones(3, 2, 2)).item())
    assert mean_of([1.0, 2.0]) == 1.5
    assert math.isnan(mean_of([]))


def test_pictures_of_two_sizes_are_refused():
    for score in (psnr_db, ssim):
        with pytest.raises(ShapeError, match=r"picture: expected .*\(3, 4, 4\)"):
            score(torch.ones(3, 4, 5), torch.ones(3, 4, 4))
