# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Decoding and fitting of pictures."""

import io

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageOps

from gsocc_core import Camera
from gsocc_core.data.images import decode_image, decoding_scale, fit_image, read_header
from gsocc_core.errors import DataError


def camera(width, height):
    K = np.array([[width * 0.7, 0, width * 0.45], [0, width * 0.7, height * 0.55], [0, 0, 1]])
    return Camera("c", K, np.eye(4), width, height)


@given(st.integers(20, 300), st.integers(20, 300), st.integers(4, 80), st.integers(4, 80))
def test_a_mark_stays_where_the_camera_sees_it(width, height, new_width, new_height):
    """A gradient picture encodes its own coordinates: the fitted camera must point back to them."""
    u, v = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    picture = np.stack([255 * u / width, 255 * v / height, 0 * u], -1).astype(np.uint8)
    fitted, small = fit_image(picture, camera(width, height), new_width, new_height)
    assert fitted.shape == (new_height, new_width, 3)
    full = camera(width, height)
    row, column = new_height // 2, new_width // 2
    ray = np.linalg.inv(small.intrinsics) @ [column + 0.5, row + 0.5, 1]
    x, y, _ = full.intrinsics @ ray
    assert fitted[row, column, 0] / 255 == pytest.approx(x / width, abs=2 / min(width, new_width) + 0.01)
    assert fitted[row, column, 1] / 255 == pytest.approx(y / height, abs=2 / min(height, new_height) + 0.01)


def test_the_top_is_cut_off_and_the_bottom_kept():
    picture = np.zeros((90, 160, 3), np.uint8)
    picture[-10:] = 200
    fitted, small = fit_image(picture, camera(160, 90), 80, 20)
    assert fitted[-4:].min() > 150
    assert small.intrinsics[1, 2] == pytest.approx(90 * 0.55 / 2 - 25)


def test_reduced_decoding_gives_nearly_the_same_picture():
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 256, (9, 16, 3)).astype(np.uint8)).resize(
        (1600, 900), Image.Resampling.BICUBIC
    )
    buffer = io.BytesIO()
    smooth.save(buffer, "JPEG", quality=95)
    reduced = decode_image(buffer.getvalue(), min_width=176, min_height=64)
    assert reduced.shape[1] < 1600
    assert reduced.shape[1] >= 176
    a, ca = fit_image(reduced, camera(1600, 900), 176, 64)
    b, cb = fit_image(decode_image(buffer.getvalue()), camera(1600, 900), 176, 64)
    assert np.abs(a.astype(int) - b).mean() < 4
    assert np.array_equal(ca.intrinsics, cb.intrinsics)


@pytest.mark.parametrize(("width", "height"), [(1601, 903), (1600, 900), (60, 1999), (1999, 60)])
def test_reduced_decoding_keeps_marks_in_place(width, height):
    """Sizes that are no multiple of 8: a reduced JPEG hangs over the edge, but its scale is exactly 1/2, 1/4 or 1/8."""
    v = np.arange(height) / height
    u = np.arange(width) / width
    picture = np.stack(np.broadcast_arrays(255 * v[:, None], 255 * u[None], np.zeros((height, width))), -1)
    buffer = io.BytesIO()
    Image.fromarray(picture.astype(np.uint8)).save(buffer, "JPEG", quality=100, subsampling=0)
    target = (max(width // 9, 1), max(height // 9, 1))
    reduced = decode_image(buffer.getvalue(), min_width=target[0], min_height=target[1])
    assert reduced.shape[0] == -(-height // 8)
    a, _ = fit_image(reduced, camera(width, height), *target)
    b, _ = fit_image(decode_image(buffer.getvalue()), camera(width, height), *target)
    difference = a.astype(float) - b
    # One level is width / 255 columns or height / 255 rows; the error of a wrong scale grows towards the far edges.
    assert abs(difference[1:-1, -4:-1, 1].mean()) < max(0.6, 255 / width)
    assert abs(difference[-4:-1, 1:-1, 0].mean()) < max(0.6, 255 / height)


@given(st.integers(16, 4096), st.integers(16, 4096), st.integers(8, 4096), st.integers(8, 4096))
@example(1640, 922, 176, 64)
@example(1696, 954, 176, 64)
@example(1224, 370, 176, 64)
@example(1226, 370, 176, 64)
@example(1238, 374, 176, 64)
def test_the_scale_of_a_decoding_is_known_at_every_size(width, height, min_width, min_height):
    """Against the size that Pillow's JPEG decoder says it will decode to."""
    stream = io.BytesIO()
    Image.new("L", (16, 16)).save(stream, "JPEG")
    data = bytearray(stream.getvalue())
    start = data.index(b"\xff\xc0")  # the frame header: length, precision, height, width
    data[start + 5 : start + 9] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    assert read_header(bytes(data)) == (width, height, 1)
    with Image.open(io.BytesIO(data)) as opened:
        opened.draft("RGB", (min_width, min_height))
        size = (opened.height, opened.width)
    scale = decoding_scale(size, (height, width), "here")
    assert size[1] - 1 < width * scale <= size[1]
    assert size[0] - 1 < height * scale <= size[0]
    assert min(size[0] / min_height, size[1] / min_width) >= 1 or scale == 1


def oriented(picture, orientation, kind="PNG", **options):
    """Encoded bytes of a picture with an EXIF orientation."""
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[ExifTags.Base.Orientation] = orientation
    picture.save(buffer, kind, exif=exif, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_upright(orientation, kind, tmp_path):
    """What EXIF says of the orientation is applied, and the header tells the upright size; Pillow is the judge."""
    stored = Image.fromarray(np.random.default_rng(0).integers(0, 256, (33, 50, 3)).astype(np.uint8))
    data = oriented(stored, orientation, kind)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(decode_image(data), expected)
    # Reduced, the row that hangs over the bottom edge would lie at the top of a picture that was turned by 180 degrees.
    small = decode_image(data, min_width=6, min_height=4)
    assert small.shape == ((5, 7, 3) if (orientation, kind) == (1, "JPEG") else expected.shape)
    (tmp_path / "picture").write_bytes(data)
    size = (50, 33) if orientation < 5 else (33, 50)
    assert read_header(tmp_path / "picture") == (*size, orientation)


def test_a_turned_picture_is_the_upright_one():
    upright = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 16, 3)).astype(np.uint8))
    for orientation, turn in ((3, Image.Transpose.ROTATE_180), (6, Image.Transpose.ROTATE_90)):
        assert np.array_equal(decode_image(oriented(upright.transpose(turn), orientation)), np.asarray(upright))


def test_an_orientation_that_cannot_be_read_is_none():
    data = oriented(Image.new("RGB", (16, 9)), 6, "JPEG")
    for broken in (data.replace(b"II*\0", b"??*\0").replace(b"MM\0*", b"??\0*"),
                   oriented(Image.new("RGB", (16, 9)), 77, "JPEG")):  # fmt: skip
        assert decode_image(broken).shape == (9, 16, 3)


def test_grey_pictures_become_rgb():
    buffer = io.BytesIO()
    Image.new("L", (160, 90), 77).save(buffer, "JPEG")
    assert decode_image(buffer.getvalue(), min_width=40, min_height=20).tolist()[0][0] == [77, 77, 77]


def test_bad_pictures_are_named(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        decode_image(tmp_path / "none.jpg")
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match="bad.jpg"):
        decode_image(tmp_path / "bad.jpg")
    with pytest.raises(DataError, match="/cam_front"):
        decode_image(b"\xff\xd8\xff", where="/cam_front at 3 ns")
    deep = io.BytesIO()
    Image.fromarray(np.full((4, 4), 5000, np.uint16)).save(deep, "PNG")
    with pytest.raises(DataError, match="8 bits"):
        decode_image(deep.getvalue())
    with pytest.raises(DataError, match="here"):
        fit_image(np.zeros((7, 7, 3), np.uint8), camera(160, 90), 10, 10, where="here")
    with pytest.raises(DataError, match=r"\(90, 160\)"):
        fit_image(np.zeros((90, 120, 3), np.uint8), camera(160, 90), 10, 10)
    with pytest.raises(DataError, match="uint8"):
        fit_image(np.zeros((90, 160, 3)), camera(160, 90), 10, 10)


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "WEBP", "PNG"])
def test_formats_decode_alike(tmp_path, kind):
    rgb = np.zeros((12, 20, 3), np.uint8)
    rgb[:6], rgb[:, :10, 1] = (200, 30, 40), 120
    path = tmp_path / f"front.{kind.lower()}"
    Image.fromarray(rgb).save(path, **({"lossless": True} if kind == "WEBP" else {}))
    np.testing.assert_array_equal(decode_image(path, min_width=10, min_height=6), rgb)
    assert read_header(path)[:2] == (20, 12)


def test_an_orientation_is_applied_in_every_format_that_has_one(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    for kind in ("tiff", "webp", "png"):
        path = tmp_path / f"front.{kind}"
        Image.fromarray(rgb).save(path, exif=exif, **({"lossless": True} if kind == "webp" else {}))
        np.testing.assert_array_equal(decode_image(path), np.rot90(rgb, -1))
        assert read_header(path)[:2] == (12, 20)
