# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Numba kernels of activations, eight numbers at a time."""

from __future__ import annotations

import numba
import numpy as np

from gsocc_core.compiling import kernel
from gsocc_core.splat.simd import exp32

#: Numbers that a thread takes at once.
SHARE = 65_536
_FAST_MATH = {"reassoc", "contract", "nsz", "arcp"}


@kernel(fastmath=_FAST_MATH)
def _softplus(x, out):
    one = np.float32(1.0)
    for i in range(x.shape[0]):
        u = exp32(max(-abs(x[i]), np.float32(-87.0)))
        # log(1 + u) = 2 artanh(u / (2 + u)), whose series ends at 1e-7 of it, since the argument is at most 1/3
        s = u / (np.float32(2.0) + u)
        q = s * s
        series = np.float32(1 / 7) + q * (np.float32(1 / 9) + q * np.float32(1 / 11))
        series = one + q * (np.float32(1 / 3) + q * (np.float32(1 / 5) + q * series))
        out[i] = max(x[i], np.float32(0.0)) + np.float32(2.0) * s * series


@kernel(fastmath=_FAST_MATH)
def _softplus_gradient(x, grad, out):
    one = np.float32(1.0)
    for i in range(x.shape[0]):
        u = exp32(max(-abs(x[i]), np.float32(-87.0)))
        out[i] = grad[i] * ((one if x[i] > 0.0 else u) / (one + u))


@kernel(parallel=True)
def softplus(x, out):
    """Fill out (N,) with log(1 + exp(x)) of x (N,), both float32."""
    for share in numba.prange((x.shape[0] + SHARE - 1) // SHARE):
        part = slice(share * SHARE, min((share + 1) * SHARE, x.shape[0]))
        _softplus(x[part], out[part])


@kernel(parallel=True)
def softplus_gradient(x, grad, out):
    """Fill out (N,) with grad (N,) times the derivative at x (N,)."""
    for share in numba.prange((x.shape[0] + SHARE - 1) // SHARE):
        part = slice(share * SHARE, min((share + 1) * SHARE, x.shape[0]))
        _softplus_gradient(x[part], grad[part], out[part])
