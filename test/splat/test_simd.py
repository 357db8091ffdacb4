# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Eight-lane operations against NumPy."""

import numba
import numpy as np
import pytest

from gsocc_core.splat.simd import add_four_half, add_scaled, add_scaled_half, dot, dot_half, exp32


@numba.njit
def _add(y, y_row, x, x_row, column, scale):
    add_scaled(y, y_row, x, x_row, column, scale)


@numba.njit
def _dot(y, y_row, x, x_row, column):
    return dot(y, y_row, x, x_row, column)


@numba.njit
def _halves(y, x, rows, scales):
    add_scaled_half(y, 0, x, 1, 4, np.float32(2.0))
    add_four_half(y, 1, x, rows, 0, scales)
    return dot_half(x, 0, x, 1, 4)


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


def test_half_blocks_and_four_rows_at_once():
    rng = np.random.default_rng(1)
    y, x = rng.normal(size=(2, 12)).astype(np.float32), rng.normal(size=(5, 12)).astype(np.float32)
    expected, scales = y.copy(), np.float32([0.5, -1.0, 2.0, 0.25])
    expected[0, 4:8] += 2 * x[1, 4:8]
    expected[1, :4] += scales @ x[[4, 0, 2, 3], :4]
    assert _halves(y, x, (4, 0, 2, 3), tuple(scales)) == pytest.approx(x[0, 4:8] @ x[1, 4:8], rel=1e-5)
    np.testing.assert_allclose(y, expected, rtol=1e-5)


def test_only_gapless_float32_matrices_are_taken():
    with pytest.raises(numba.TypingError):
        _dot(np.zeros((2, 8)), 0, np.zeros((2, 8)), 0, 0)


def test_the_exponential_is_good_to_float32():
    x = np.linspace(-87, 87, 20001).astype(np.float32)
    out = np.empty_like(x)
    _exp(x, out)
    np.testing.assert_allclose(out, np.exp(x.astype(np.float64)), rtol=5e-7)
