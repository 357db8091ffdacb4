# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Numba kernel from features of voxels to labels, and to the channels that win anywhere."""

from __future__ import annotations

import math

import numba
import numpy as np

from gsocc_core.compiling import kernel

#: Voxels that one step takes.
CHUNK = 8192


@kernel(fastmath={"nnan", "nsz", "reassoc"})
def _largest(row):
    """Largest number of a row; as a plain maximum, without its place, it is found eight numbers at a time."""
    value = row[0]
    for c in range(1, row.shape[0]):
        value = max(value, row[c])
    return value


@kernel()
def _place(row, value):
    """First place of a number in a row that holds it."""
    c = 0
    while row[c] != value:
        c += 1
    return c


@kernel()
def _largest_kept(row, kept):
    """Place of the largest number that may win, 0 where none may."""
    best, value = 0, np.float32(-np.inf)
    for c in range(row.shape[0]):
        if kept[c] and row[c] > value:
            best, value = c, row[c]
    return best


@kernel(parallel=True)
def classify(
    density, features, kept, temperature, least, faint, threshold, ids, free_id, labels, confidence, present, won
):  # fmt: skip
    """Label voxels by the largest kept channel, and find out which channels are present.

    Args:
        density: (V,) float32.
        features: (V, C) float32; where the density is 0 they count as 0.
        kept: (C,) bool: channels that may win.
        temperature: Factor of the features before the softmax that decides on presence.
        least: Share of that softmax from which on a channel is present.
        faint: Density below which features fade.
        threshold: Smallest occupancy of an occupied voxel.
        ids: (C,) uint8 class of every channel.
        free_id: Class of all other voxels.
        labels: (V,) uint8, written.
        confidence: (V,) float32, written.
        present: (C,) bool; True is written for who reaches ``least`` in a voxel that is not empty. Threads may look at
            each other's entries: whoever is present need not be looked for, and nobody is ever taken back.
        won: (C,) bool; True is written for who is the largest one in some occupied voxel.
    """
    voxels, channels = features.shape
    # A share of ``least`` needs exp(t (f - f_max)) >= least, which most channels of most voxels miss by far.
    gap = -math.log(least) / temperature if least > 0.0 else math.inf
    # With less than this between t f of the largest and of the smallest, all shares are too small.
    even = math.log(least * channels) if least > 0.0 else -math.inf
    for chunk in numba.prange((voxels + CHUNK - 1) // CHUNK):
        missing = np.flatnonzero(~present)
        for v in range(chunk * CHUNK, min((chunk + 1) * CHUNK, voxels)):
            total = density[v]
            if total <= 0.0:  # all shares are equal there: whoever reaches ``least`` so is present where it wins, too
                labels[v], confidence[v] = free_id, 1.0
                continue
            occupied = min(float(total), 1.0)
            full = occupied >= threshold
            labels[v], confidence[v] = free_id, 1.0 - occupied
            if not full and len(missing) == 0:
                continue
            row = features[v]
            value = _largest(row)
            if full:
                best = _place(row, value)
                if not kept[best]:
                    best = _largest_kept(row, kept)
                won[best] = True
                labels[v], confidence[v] = ids[best], occupied
            if len(missing) > 0:
                fade = temperature
                if total < faint:
                    fade *= total / faint
                    if fade * (value + _largest(-row)) < even:  # so faint that not even the largest one gets there
                        continue
                floor, shares, found = value - gap * temperature / fade, 0.0, False
                for c in missing:
                    if row[c] >= floor:
                        if shares == 0.0:
                            for k in range(channels):
                                shares += math.exp(fade * (row[k] - value))
                        if math.exp(fade * (row[c] - value)) >= least * shares:
                            present[c] = found = True
                if found:
                    missing = np.flatnonzero(~present)
