# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Numba kernels of the Lovasz-softmax: errors are sorted by the digits of their bits, in linear time."""

from __future__ import annotations

import numba
import numpy as np

from gsocc_core.compiling import kernel

_DIGIT_BITS, _PASSES = 11, 3
_DIGITS = 1 << _DIGIT_BITS


@kernel()
def _largest_first(errors):
    """Errors (P,) from the largest to the smallest, and their order: non-negative floats are ordered as their bits."""
    count = errors.shape[0]
    keys, order = ~errors.view(np.uint32), np.arange(count).astype(np.int32)
    other_keys, other_order = np.empty_like(keys), np.empty_like(order)
    for step in range(_PASSES):
        shift = np.uint32(step * _DIGIT_BITS)
        places = np.zeros(_DIGITS + 1, np.int64)
        for p in range(count):
            places[((keys[p] >> shift) & np.uint32(_DIGITS - 1)) + 1] += 1
        places = np.cumsum(places)
        for p in range(count):
            digit = (keys[p] >> shift) & np.uint32(_DIGITS - 1)
            place = places[digit]
            other_keys[place], other_order[place] = keys[p], order[p]
            places[digit] = place + 1
        keys, other_keys, order, other_order = other_keys, keys, other_order, order
    return (~keys).view(np.float32), order


@kernel(parallel=True)
def lovasz_gradients(probabilities, target, classes, losses, gradients):
    """Lovasz extension of the Jaccard loss of every listed class, and its gradient.

    Args:
        probabilities: (P, C) float32.
        target: (P,) int64.
        classes: (K,) int64, each at least once in ``target``.
        losses: (K,) float64, filled.
        gradients: (K, P) float32, filled: of each loss by the probabilities of its class.
    """
    count = target.shape[0]
    for j in numba.prange(classes.shape[0]):
        c = classes[j]
        errors, hit, total = np.empty(count, np.float32), np.empty(count, np.bool_), 0
        for p in range(count):
            hit[p] = target[p] == c
            total += hit[p]
            errors[p] = abs((np.float32(1.0) if hit[p] else np.float32(0.0)) - probabilities[p, c])
        hits, loss, before = 0, 0.0, 0.0
        errors, order = _largest_first(errors)
        for place in range(count):
            p = order[place]
            hits += hit[p]
            jaccard = 1.0 - (total - hits) / (total + place + 1 - hits)
            step = jaccard - before
            before = jaccard
            loss += errors[place] * step
            step = step if errors[place] > 0.0 else 0.0
            gradients[j, p] = -step if hit[p] else step
        losses[j] = loss
