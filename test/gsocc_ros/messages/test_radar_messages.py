# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Radar files: what nuscenes-devkit reads of them without its filters, in their own types; damage is named."""

import numpy as np
import pytest

from gsocc_core.errors import DataError
from gsocc_ros.messages.message_host import rosbags_host
from gsocc_ros.messages.radar_messages import RADAR_POINT, read_radar
from gsocc_ros.messages.sensor_messages import point_cloud

NAMES = [
    "x", "y", "z", "dyn_prop", "id", "rcs", "vx", "vy", "vx_comp", "vy_comp", "is_quality_valid", "ambig_state",
    "x_rms", "y_rms", "invalid_state", "pdh0", "vx_rms", "vy_rms",
]  # fmt: skip


def returns(count):
    """Returns of all states, valid or not, with ids that need 16 bits."""
    rng = np.random.default_rng(count)
    points = np.zeros(count, RADAR_POINT)
    for name in NAMES:
        points[name] = rng.normal(0, 50, count) if RADAR_POINT[name].kind == "f" else rng.integers(0, 18, count)
    points["id"] = rng.integers(-32768, 32767, count)
    points["dyn_prop"], points["ambig_state"] = rng.integers(0, 8, count), rng.integers(0, 5, count)
    return points


@pytest.fixture
def devkit_cloud():
    """nuscenes-devkit's reader."""
    return pytest.importorskip("nuscenes.utils.data_classes").RadarPointCloud


@pytest.fixture
def file(tmp_path, radar_writer):
    """A file of 60 returns."""
    radar_writer(tmp_path / "radar.pcd", returns(60))
    return tmp_path / "radar.pcd"


def test_values_are_those_of_the_devkit_without_filters(file, devkit_cloud):
    everything = {"invalid_states": list(range(18)), "dynprop_states": list(range(8)), "ambig_states": list(range(5))}
    devkit = devkit_cloud.from_file(str(file), **everything).points
    ours = read_radar(file)
    assert ours.dtype.names == tuple(NAMES)
    assert devkit.shape == (18, 60)
    for row, name in zip(devkit, NAMES, strict=True):
        np.testing.assert_array_equal(ours[name].astype(np.float64), row)
    assert len(devkit_cloud.from_file(str(file)).points.T) < 60  # its filters would have taken some away


def test_the_cloud_says_where_each_field_lies(file):
    host, types = rosbags_host()
    message = point_cloud(host, read_radar(file), 5, "radar_front")
    message = types.deserialize_cdr(types.serialize_cdr(message, message.__msgtype__), message.__msgtype__)
    assert [f.name for f in message.fields] == NAMES
    assert all(f.offset % RADAR_POINT[f.name].itemsize == 0 for f in message.fields)
    kinds = {1: "i1", 3: "<i2", 7: "<f4"}
    for field in message.fields:
        layout = {"names": [field.name], "formats": [kinds[field.datatype]], "offsets": [field.offset]}
        values = np.frombuffer(message.data, np.dtype({**layout, "itemsize": message.point_step}))[field.name]
        np.testing.assert_array_equal(values, returns(60)[field.name])


def test_no_returns_are_an_empty_cloud(tmp_path, radar_writer):
    nothing = returns(1)
    nothing["x"] = np.nan
    radar_writer(tmp_path / "nan.pcd", nothing)
    radar_writer(tmp_path / "zero.pcd", returns(0))
    for name in ("nan", "zero"):
        assert read_radar(tmp_path / f"{name}.pcd").shape == (0,)


def test_the_devkit_finds_no_returns_there_either(tmp_path, radar_writer, devkit_cloud):
    nothing = returns(1)
    nothing["x"] = np.nan
    radar_writer(tmp_path / "nan.pcd", nothing)
    assert devkit_cloud.from_file(str(tmp_path / "nan.pcd")).points.shape == (18, 0)


def test_fields_in_another_order_and_more_of_them(tmp_path, radar_writer):
    points = returns(5)
    order = [("snr", "<f4"), *((name, RADAR_POINT[name]) for name in reversed(NAMES))]
    shuffled = np.zeros(5, order)
    for name in NAMES:
        shuffled[name] = points[name]
    radar_writer(tmp_path / "radar.pcd", shuffled)
    np.testing.assert_array_equal(read_radar(tmp_path / "radar.pcd"), points)


FAULTS = {
    "text": (lambda data: b"hello", r"header: .*5 bytes that begin with b'hello'"),
    "empty": (lambda data: b"", r"header: .*0 bytes"),
    "ascii": (lambda data: data.replace(b"DATA binary", b"DATA ascii"), r"DATA: expected binary, received ascii"),
    "cut short": (lambda data: data[:-5], r"size: expected 60 points of 43 bytes"),
    "missing field": (lambda data: data.replace(b" pdh0", b" other"), r"FIELDS: .*none named \['pdh0'\]"),
    "too wide": (lambda data: data.replace(b"SIZE 4 4 4 1 2", b"SIZE 4 4 8 1 2"), r"z: expected values that fit"),
    "no width": (lambda data: data.replace(b"WIDTH 60", b"WIDTH many"), r"WIDTH, HEIGHT: expected two numbers"),
    "negative": (lambda data: data.replace(b"WIDTH 60", b"WIDTH -1"), r"size: expected -1 points"),
    "odd type": (lambda data: data.replace(b"TYPE F", b"TYPE X"), r"SIZE, TYPE: expected sizes and types of numbers"),
    "short list": (lambda data: data.replace(b"SIZE 4 ", b"SIZE "), r"SIZE, TYPE, COUNT: expected 18 each"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_damage_is_named(file, fault):
    damage, expected = FAULTS[fault]
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DataError, match=rf"radar\.pcd: {expected}"):
        read_radar(file)
