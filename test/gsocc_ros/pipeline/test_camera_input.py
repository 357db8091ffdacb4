# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""CameraInfo and picture messages become cameras and RGB arrays."""

import io
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from gsocc_core.errors import ConfigError, DataError
from gsocc_ros.pipeline.camera_input import read_camera_info, read_mask, read_picture
from gsocc_ros.pipeline.rig import RigCamera

CAMERA = RigCamera("front", "/front/image", "/front/camera_info")
RAW = RigCamera("front", "/front/image", "/front/camera_info", transport="raw")
HEADER = SimpleNamespace(frame_id="optical", stamp=SimpleNamespace(sec=3, nanosec=7))


def info(width=64, height=36, model="plumb_bob", d=(), roi=(0, 0, 0, 0), binning=(0, 0), k=None, p=None):
    x, y, w, h = roi
    return SimpleNamespace(
        header=HEADER, width=width, height=height, distortion_model=model, d=np.array(d, float),
        k=np.array(k or [50, 0, 32, 0, 60, 18, 0, 0, 1], float), binning_x=binning[0], binning_y=binning[1],
        p=np.array(p or [40, 0, 31, 0, 0, 41, 17, 0, 0, 0, 1, 0], float), r=np.eye(3).ravel(),
        roi=SimpleNamespace(x_offset=x, y_offset=y, width=w, height=h),
    )  # fmt: skip


def compressed(array, kind="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind)
    return SimpleNamespace(header=HEADER, format=kind.lower(), data=np.frombuffer(buffer.getvalue(), np.uint8))


def raw(array, encoding, padding=0):
    height, width = array.shape[:2]
    rows = np.pad(array.reshape(height, -1), ((0, 0), (0, padding)))
    return SimpleNamespace(
        header=HEADER,
        encoding=encoding,
        width=width,
        height=height,
        step=rows.shape[1],
        data=rows.ravel(),
        is_bigendian=0,
    )


@pytest.fixture
def rgb():
    return np.random.default_rng(0).integers(0, 256, (36, 64, 3), np.uint8)


def test_intrinsics_follow_region_and_binning():
    calibration = read_camera_info(info(roi=(10, 4, 40, 20), binning=(2, 4)), CAMERA)
    assert (calibration.width, calibration.height) == (20, 5)
    np.testing.assert_allclose(calibration.intrinsics, [[25, 0, 11], [0, 15, 3.5], [0, 0, 1]])


def test_rectified_pictures_use_the_projection_matrix():
    rectified = RigCamera("front", "/front/image", "/front/camera_info", rectified=True)
    calibration = read_camera_info(info(d=(0.1, 0, 0, 0, 0)), rectified)
    assert calibration.distortion is None
    np.testing.assert_allclose(calibration.intrinsics, [[40, 0, 31], [0, 41, 17], [0, 0, 1]])


@pytest.mark.parametrize(
    ("model", "d", "expected"),
    [
        ("plumb_bob", (0.1, 0.2, 0, 0, 0), "pinhole"),
        ("rational_polynomial", (0.1,) * 8, "pinhole"),
        ("equidistant", (0.1,) * 4, "fisheye"),
        ("fisheye", (0.1,) * 4, "fisheye"),
        ("KANNALA_BRANDT", (0.1,) * 4, "fisheye"),
    ],
)
def test_lens_models(model, d, expected):
    calibration = read_camera_info(info(model=model, d=d), CAMERA)
    assert (calibration.model, calibration.distortion) == (expected, tuple(d))
    assert read_camera_info(info(model=model, d=[0.0] * len(d)), CAMERA).distortion is None


@pytest.mark.parametrize(
    ("model", "d", "kept"),
    [
        ("equidistant", (0.1, 0.2, 0.3, 0.4, 0), 4),
        ("rational_polynomial", (0.1,) * 8 + (0,) * 4, 8),
        ("rational_polynomial", (0.1,) * 5 + (0,) * 9, 8),
        ("plumb_bob", (0.1,) * 5 + (0,) * 7, 8),
    ],
)
def test_zeros_that_drivers_fill_up_with_say_nothing(model, d, kept):
    calibration = read_camera_info(info(model=model, d=d), CAMERA)
    assert calibration.distortion == tuple(map(float, d[:kept]))
    with pytest.raises(DataError, match=rf"d: expected .* coefficients for {model}, received {len(d)}"):
        read_camera_info(info(model=model, d=[*d[:-1], 0.1]), CAMERA)


@pytest.mark.parametrize(
    ("message", "key"),
    [
        (info(k=[0] * 9), "k"),
        (info(k=[50, 0, 32, 0, float("nan"), 18, 0, 0, 1]), "k"),
        (info(width=0), "width, height"),
        (info(model="thin_prism", d=(0.1,) * 12), "distortion_model"),
        (info(model="equidistant", d=(0.1,) * 5), "d"),
        (info(d=(0.1, float("nan"), 0, 0, 0)), "d"),
        (info(model="equidistant", d=(0.1, 0, 0, float("inf"))), "d"),
    ],
)
def test_a_broken_calibration_names_topic_and_key(message, key):
    with pytest.raises(DataError) as error:
        read_camera_info(message, CAMERA)
    assert (error.value.where, error.value.key) == ("/front/camera_info", key)


@pytest.mark.parametrize("padding", [0, 5])
def test_raw_encodings_become_rgb(rgb, padding):
    alpha = np.full((36, 64, 1), 9, np.uint8)
    variants = {
        "rgb8": rgb, "bgr8": rgb[..., ::-1], "rgba8": np.concatenate([rgb, alpha], -1),
        "bgra8": np.concatenate([rgb[..., ::-1], alpha], -1),
    }  # fmt: skip
    for encoding, array in variants.items():
        np.testing.assert_array_equal(read_picture(raw(array, encoding, padding), RAW, (36, 64)), rgb)
    grey = read_picture(raw(rgb[..., :1], "mono8", padding), RAW, (36, 64))
    np.testing.assert_array_equal(grey, np.repeat(rgb[..., :1], 3, -1))


@pytest.mark.parametrize("encoding", ["uyvy", "yuv422", "yuyv", "yuv422_yuy2"])
def test_yuv_pictures_become_rgb(encoding):
    """White, black, red, green and blue of BT.601 in pairs, and one pair of grey and white that shares its colour."""
    pairs = {(235, 128, 128): (255, 255, 255), (16, 128, 128): (0, 0, 0), (81, 90, 240): (254, 0, 0),
             (145, 54, 34): (0, 255, 1), (41, 240, 110): (0, 0, 255)}  # fmt: skip
    row = [(y, y, cb, cr) for y, cb, cr in pairs] + [(126, 235, 128, 128)]
    order = (2, 0, 3, 1) if encoding in {"uyvy", "yuv422"} else (0, 2, 1, 3)
    packed = np.array([[[pair[i] for i in order] for pair in row]] * 36, np.uint8).reshape(36, 12, 2)
    message = raw(packed, encoding, 3)
    picture = read_picture(message, RAW, (36, 12))
    expected = [rgb for rgb in pairs.values() for _ in range(2)] + [(128, 128, 128), (255, 255, 255)]
    np.testing.assert_allclose(picture[17].astype(int), expected, atol=1)
    message.width = 11
    with pytest.raises(DataError, match=f"width: expected an even number of pixels with {encoding}, received 11"):
        read_picture(message, RAW, (36, 11))


def test_broken_raw_pictures_are_named(rgb, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv_bridge", None)  # as without ROS
    expected = r"/front/image at 3000000007 ns: encoding: .*'rgb8'.*cv_bridge.*not installed.*received nv21"
    with pytest.raises(DataError, match=expected):
        read_picture(raw(rgb, "nv21"), RAW, (36, 64))
    short = raw(rgb, "rgb8")
    short.data = short.data[:-1]
    with pytest.raises(DataError, match="data: expected 36 rows of 192 bytes"):
        read_picture(short, RAW, (36, 64))


@pytest.mark.ros
def test_other_raw_encodings_go_through_cv_bridge():
    pytest.importorskip("cv_bridge")
    bayer = raw(np.full((36, 64, 1), 200, np.uint8), "bayer_rggb8")
    assert (read_picture(bayer, RAW, (36, 64)) == 200).all()
    deep = raw(np.full((36, 64, 1), 40_000, "<u2").view(np.uint8), "mono16")
    assert read_picture(deep, RAW, (36, 64)).shape == (36, 64, 3)
    with pytest.raises(DataError, match="encoding: .*no_such_encoding"):
        read_picture(raw(np.zeros((36, 64, 3), np.uint8), "no_such_encoding"), RAW, (36, 64))


def test_lossless_pictures_come_through_unchanged(rgb):
    np.testing.assert_array_equal(read_picture(compressed(rgb), CAMERA, (36, 64)), rgb)


def test_a_mask_is_painted_black_at_every_scale(tmp_path):
    (tmp_path / "hood.yaml").write_text("[[0, 600], [1600, 600], [1600, 900], [0, 900]]")
    camera = RigCamera("front", "/front/image", "/front/camera_info", mask=tmp_path / "hood.yaml")
    white = compressed(np.full((900, 1600, 3), 255, np.uint8), "JPEG")
    for size, rows in ((None, 900), ((100, 200), 113)):
        picture = read_picture(white, camera, (900, 1600), size, read_mask(camera))
        assert picture.shape[0] == rows
        assert picture[: rows * 2 // 3 - 1].min() == 255
        assert picture[rows * 2 // 3 + 1 :].max() == 0


@pytest.mark.parametrize("content", ["[[0, 0], [1, 1]]", "[[0, 0], [1, 1], [2]]", "5", "[[a, b], [c, d], [e, f]]"])
def test_a_broken_mask_names_its_file(tmp_path, content):
    (tmp_path / "hood.yaml").write_text(content)
    with pytest.raises(ConfigError, match=r"hood\.yaml: polygon"):
        read_mask(RigCamera("front", "/f", "/i", mask=tmp_path / "hood.yaml"))
