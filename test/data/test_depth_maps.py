# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Depth beside pictures: fitted as they are, and bad maps told in one line."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gsocc_core import Camera
from gsocc_core.data.depth_maps import check_depth, fit_depth, read_depth_map
from gsocc_core.errors import DataError, ShapeError

K = np.array([[120.0, 0, 80], [0, 120, 45], [0, 0, 1]])
CAMERA = Camera("front", K, np.eye(4), 160, 90)


@given(
    st.integers(40, 200),
    st.integers(40, 200),
    st.integers(4, 60),
    st.integers(4, 60),
    st.sampled_from((1, 0.5, 0.3, 2)),
)
def test_a_pixel_has_the_depth_of_the_point_that_it_shows(width, height, new_width, new_height, scale):
    """A map of another size that encodes where its pixels lie in the picture, read back through the fitted camera."""
    full = Camera("c", np.diag([width * 0.7, width * 0.7, 1.0]), np.eye(4), width, height)
    rows, columns = round(height * scale), round(width * scale)
    v, u = np.meshgrid((np.arange(rows) + 0.5) / rows, (np.arange(columns) + 0.5) / columns, indexing="ij")
    map_m = (np.floor(100 * u) + v).astype(np.float32)  # both in one number
    fitted = fit_depth(map_m, full, new_width, new_height)
    assert fitted.shape == (new_height, new_width)
    assert fitted.dtype == np.float32
    assert np.isin(fitted, map_m).all(), "the nearest pixel, never a mean"
    cover = max(new_width / width, new_height / height)
    j, i = np.meshgrid(np.arange(new_height) + 0.5, np.arange(new_width) + 0.5, indexing="ij")
    true_u = (i + (cover * width - new_width) / 2) / cover / width
    true_v = (j + cover * height - new_height) / cover / height
    found_u, found_v = np.floor(fitted) / 100, fitted % 1
    assert np.abs(found_u - true_u).max() <= 0.5 / columns + 0.011
    assert np.abs(found_v - true_v).max() <= 0.5 / rows + 1e-3


def test_what_is_unknown_is_zero():
    given_m = np.full((90, 160), 5.0)
    given_m[0, 0], given_m[0, 1], given_m[0, 2], given_m[0, 3], given_m[0, 4] = np.nan, np.inf, -np.inf, 0, 1e300
    found = check_depth(given_m, CAMERA)
    assert found.dtype == np.float32
    assert found[0, :6].tolist() == [0, 0, 0, 0, 0, 5]


@pytest.mark.parametrize("size", [(90, 160), (45, 80), (23, 40), (22, 40), (113, 200), (900, 1600)])
def test_any_size_of_the_aspect_is_taken(size):
    assert check_depth(np.ones(size, np.float16), CAMERA).shape == size


@pytest.mark.parametrize(
    ("depth", "error", "told"),
    [
        (np.ones((90, 120)), ShapeError, r"front: depth: expected \(h, w\) of the picture's aspect, 90 : 160, .*120"),
        (np.ones((90, 160, 1)), ShapeError, r"front: depth: .*\(90, 160, 1\)"),
        (np.ones((0, 0)), ShapeError, r"front: depth: .*\(0, 0\)"),
        (np.full((90, 160), 2500, np.uint16), DataError, "type uint16 .metres expected, looks like millimetres"),
        (np.full((90, 160), 2500.0), DataError, "front: depth: .*2500 .metres expected, looks like millimetres"),
        (np.full((90, 160), -1.0), DataError, "front: depth: expected metres of 0 or more, 0 = unknown, received -1"),
        (
            np.full((90, 160), "a"),
            DataError,
            "front: depth: expected floating-point metres, received values of type <U1",
        ),
    ],
)
def test_a_map_that_cannot_be_right_is_told(depth, error, told):
    with pytest.raises(error, match=told) as caught:
        check_depth(depth, CAMERA)
    assert "\n" not in str(caught.value)


def test_far_points_and_few_known_ones_are_no_millimetres():
    sky = np.full((90, 160), 199.0)
    sky[:40] = 900.0
    assert check_depth(sky, CAMERA).max() == 900
    sparse = np.zeros((90, 160))
    sparse[5, 5] = 3000.0
    with pytest.raises(DataError, match="looks like millimetres"):
        check_depth(sparse, CAMERA)


def test_files_hold_millimetres_or_metres(tmp_path):
    millimetres = np.array([[0, 1, 2500], [65535, 7, 8]], np.uint16)
    Image.fromarray(millimetres).save(tmp_path / "a.png")
    found = read_depth_map(tmp_path / "a.png")
    assert found.dtype == np.float32
    assert found == pytest.approx(np.array([[0, 0.001, 2.5], [65.535, 0.007, 0.008]]))
    np.save(tmp_path / "a.npy", found)
    np.testing.assert_array_equal(read_depth_map(tmp_path / "a.npy"), found)
    Image.new("RGB", (3, 2)).save(tmp_path / "b.png")
    with pytest.raises(DataError, match=r"b.png: content: expected a grey PNG of 16 bits, in mm, received .*mode RGB"):
        read_depth_map(tmp_path / "b.png")
    Image.new("L", (3, 2)).save(tmp_path / "c.png")
    with pytest.raises(DataError, match="mode L"):
        read_depth_map(tmp_path / "c.png")
    (tmp_path / "d.png").write_bytes((tmp_path / "a.png").read_bytes()[:50])
    with pytest.raises(DataError, match=r"d.png: content"):
        read_depth_map(tmp_path / "d.png")
    with pytest.raises(DataError, match=r"nothing.npy: file"):
        read_depth_map(tmp_path / "nothing.npy")
