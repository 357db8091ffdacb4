# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Eight-lane operations against NumPy."""

import numba
import numpy as np
import pytest

from gsocc_core.splat.simd import add_scaled, dot, exp32


@numba.njit
def _add(y, y_row, x, x_row, column, scale):
    add_scaled(y, y_row, x, x_row, column, scale)


@numba.njit
def _dot(y, y_row, x, x_row, column):
    return dot(y, y_row, x, x_row, column)


@numba.njit
def _exp(x, out):
    for k in range(len(x)):
        out[k] = exp32(x[k])


def test_blocks_are_added_and_multiplied_where_they_stand():
    rng = np.random.default_rng(0)
    y, x = rng.normal(size=(5, 24)).astype(np.float32), rng.normal(size=(3, 24)).astype(np.float32)
    expected = y.copy()
    expected[4, 8:16] += np.float32(0.5) * x[1, 8:16]
    assert _dot(y, 2, x, 2, 16) == pytest.approx(y[2, 16:] @ x[2, 16:], rel=1e-5)
    _add(y, 4, x, 1, 8, np.float32(0.5))
    np.testing.assert_allclose(y, expected, rtol=1e-6)


def test_only_gapless_float32_matrices_are_taken():
    with pytest.raises(numba.TypingError):
        _dot(np.zeros((2, 8)), 0, np.zeros((2, 8)), 0, 0)


def test_the_exponential_is_good_to_float32():
    x = np.linspace(-87, 87, 20001).astype(np.float32)
    out = np.empty_like(x)
    _exp(x, out)
    np.testing.assert_allclose(out, np.exp(x.astype(np.float64)), rtol=5e-7)
