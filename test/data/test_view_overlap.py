# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The share of a wall that two cameras both see is known without any picture."""

import numpy as np
import pytest

from gsocc_core.data.view_overlap import view_overlap

K = np.array([[30.0, 0, 16], [0, 30.0, 12], [0, 0, 1]])


def sliding(*places):
    """Cameras that look ahead from places along x, 2 m before a wall of which each sees 2.133 m."""
    T = np.tile(np.eye(4), (len(places), 1, 1))
    T[:, 0, 3] = places
    return np.full((len(places), 24, 32), 2.0), np.tile(K, (len(places), 1, 1)), T


def test_cameras_along_a_wall_share_what_their_distance_leaves():
    shares = view_overlap(*sliding(0.0, 0.5, 10.0))
    np.testing.assert_allclose(shares, [1 - 0.5 * 15 / 32] * 2 + [0.0], atol=1 / 32)


def test_what_stands_before_the_wall_hides_it():
    depth, intrinsics, T = sliding(0.0, 0.0)
    depth[1, :, :16] = 1.0
    assert view_overlap(depth, intrinsics, T) == pytest.approx([0.5, 0.5])


def test_what_is_unknown_has_no_share_and_gives_none():
    depth, intrinsics, T = sliding(0.0, 0.1, 0.2)
    intrinsics[2] = np.nan
    assert np.isnan(view_overlap(depth, intrinsics, T)).tolist() == [False, False, True]
    T[1], depth[2] = np.nan, 0.0
    assert np.isnan(view_overlap(depth, intrinsics, T)).all()
    assert np.isnan(view_overlap(*sliding(0.0))).all()
