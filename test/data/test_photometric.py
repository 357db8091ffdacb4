# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Random light."""

import numpy as np
import pytest

from gsocc_core.data.photometric import jitter


@pytest.fixture
def pictures():
    return np.random.default_rng(0).integers(0, 256, (6, 9, 16, 3)).astype(np.uint8)


def test_each_picture_has_its_own_change_and_the_seed_decides(pictures):
    same = np.repeat(pictures[:1], 6, axis=0)
    changed = jitter(same, 3, 0.3)
    assert changed.dtype == np.uint8
    assert len({picture.tobytes() for picture in changed}) == 6
    assert np.array_equal(changed, jitter(same, 3, 0.3))
    assert not np.array_equal(changed, jitter(same, 4, 0.3))


def test_no_strength_changes_nothing_and_the_input_is_left_alone(pictures):
    before = pictures.copy()
    assert np.array_equal(jitter(pictures, 0, 0.0), pictures)
    jitter(pictures, 0, 0.5)
    assert np.array_equal(pictures, before)


@pytest.mark.parametrize("seed", range(5))
def test_brighter_stays_brighter_and_pictures_stay_recognisable(pictures, seed):
    changed = jitter(pictures, seed, 0.3)
    for before, after in zip(pictures, changed):
        order = np.argsort(before, axis=None, kind="stable")
        assert (np.diff(after.reshape(-1)[order].astype(int)) >= 0).all()
    assert np.abs(changed.astype(int) - pictures).mean() < 60
