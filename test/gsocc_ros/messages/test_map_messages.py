# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""The map around a drive says of every place what nuscenes-devkit says of the whole picture."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gsocc_core.errors import DataError, ShapeError
from gsocc_ros.messages.map_messages import read_mask, road_map
from gsocc_ros.messages.message_host import rosbags_host

SIZE = (203, 157)  # width, height, pixels


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    """A map picture without any symmetry."""
    pixels = (np.random.default_rng(0).random(SIZE[::-1]) < 0.4).astype(np.uint8) * 255
    path = tmp_path_factory.mktemp("maps") / "map.png"
    Image.fromarray(pixels).save(path)
    return path


def cells_and_centers(message):
    """Values (rows, columns) and the world places of the cells' centres."""
    info = message.info
    origin = info.origin.position
    x = origin.x + (np.arange(info.width) + 0.5) * info.resolution
    y = origin.y + (np.arange(info.height) + 0.5) * info.resolution
    return message.data.reshape(info.height, info.width), *np.meshgrid(x, y)


@settings(max_examples=40, deadline=None)
@given(
    x=st.floats(-3, 23, allow_nan=False), y=st.floats(-3, 19, allow_nan=False), margin=st.floats(0.3, 6),
    along=st.floats(0, 4),
)  # fmt: skip
def test_every_cell_is_what_the_devkit_says_of_its_centre(picture, x, y, margin, along):
    host, _ = rosbags_host()
    message = road_map(host, read_mask(picture), np.array([[x, y, 1.0], [x + along, y, 1.0]]), 7, "map", margin)
    mask = pytest.importorskip("nuscenes.utils.map_mask").MapMask(str(picture))
    places = np.stack([np.linspace(x - margin, x + along + margin, 9), np.full(9, y)])
    if message is None:
        assert not mask.is_on_mask(*places).any()
        return
    cells, xs, ys = cells_and_centers(message)
    road = mask.is_on_mask(xs.ravel(), ys.ravel()).reshape(xs.shape)
    np.testing.assert_array_equal(cells, np.where(road, 0, 100))
    lower, upper = (xs.min() - 0.05, ys.min() - 0.05), (xs.max() + 0.05, ys.max() + 0.05)
    for px, py in places.T:  # what the picture knows of the surroundings is in the crop
        column, row = mask.to_pixel_coords(px, py)
        if 0 <= column < SIZE[0] and 0 <= row < SIZE[1]:
            assert lower[0] - 1e-6 <= px <= upper[0] + 1e-6
            assert lower[1] - 1e-6 <= py <= upper[1] + 1e-6


def test_the_message_as_it_is_written(picture):
    host, types = rosbags_host()
    message = road_map(host, read_mask(picture), np.array([[10.0, 8.0]]), 1_500_000_000, "map", 2.0)
    message = types.deserialize_cdr(types.serialize_cdr(message, message.__msgtype__), message.__msgtype__)
    assert message.__msgtype__ == "nav_msgs/msg/OccupancyGrid"
    assert (message.header.frame_id, message.header.stamp.sec, message.header.stamp.nanosec) == ("map", 1, 500_000_000)
    assert message.info.resolution == pytest.approx(0.1)
    assert message.info.width == pytest.approx(41, abs=1)
    assert message.info.height == pytest.approx(41, abs=1)
    assert set(np.unique(message.data)) == {0, 100}
    assert (message.info.origin.orientation.w, message.info.origin.position.z) == (1.0, 0.0)


def test_a_drive_off_the_picture_has_no_map(picture):
    host, _ = rosbags_host()
    assert road_map(host, read_mask(picture), np.array([[500.0, 8.0]]), 0, "map") is None


def test_faults_are_named(tmp_path, picture):
    (tmp_path / "map.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"map\.png: content: expected a map picture"):
        read_mask(tmp_path / "map.png")
    with pytest.raises(ShapeError, match="positions_m"):
        road_map(rosbags_host()[0], read_mask(picture), np.zeros((0, 3)), 0, "map")
