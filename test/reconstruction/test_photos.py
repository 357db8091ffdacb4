# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Folders of photographs: order, EXIF, doubles, sizes, and what cannot be used."""

import math

import numpy as np
import pytest
from PIL import ExifTags, Image

from gsocc_core.errors import ConfigError, DataError
from gsocc_core.reconstruction.photos import fit_centred, fit_intrinsics, read_photos, unfit_intrinsics


def save(path, seed=0, size=(36, 24), exif=None, **more):
    picture = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(picture).save(path, **({} if exif is None else {"exif": exif}), **more)
    return picture


def exif(orientation=1, **tags):
    made = Image.Exif()
    made[ExifTags.Base.Orientation] = orientation
    for name, value in tags.items():
        made.get_ifd(ExifTags.IFD.Exif)[getattr(ExifTags.Base, name)] = value
    return made


def test_order_counts_numbers_and_other_files_are_passed_over(tmp_path):
    for seed, name in enumerate(("b10.PNG", "b9.png", "a.jpeg")):
        save(tmp_path / name, seed)
    (tmp_path / "notes.txt").write_text("x")
    assert [photo.name for photo in read_photos(tmp_path).photos] == ["a", "b9", "b10"]


@pytest.mark.parametrize(
    ("tags", "size", "focal"),
    [
        ({"FocalLengthIn35mmFilm": 28}, (360, 240), 280.0),  # 3 : 2, as the film itself
        ({"FocalLengthIn35mmFilm": 28}, (400, 300), 28 / math.hypot(36, 24) * 500),
        ({"FocalLength": 4.0, "FocalPlaneXResolution": 2000.0, "FocalPlaneResolutionUnit": 3,
          "ExifImageWidth": 400, "ExifImageHeight": 300}, (400, 300), 800.0),
        ({"FocalLength": 4.0, "FocalPlaneXResolution": 2000.0, "FocalPlaneResolutionUnit": 3,
          "ExifImageWidth": 800, "ExifImageHeight": 600}, (400, 300), 400.0),
    ],
)  # fmt: skip
def test_focal_length_of_exif(tmp_path, tags, size, focal):
    save(tmp_path / "a.jpg", size=size, exif=exif(**tags))
    (photo,) = read_photos(tmp_path).photos
    np.testing.assert_allclose(photo.intrinsics, [[focal, 0, size[0] / 2], [0, focal, size[1] / 2], [0, 0, 1]])


def test_a_picture_that_is_stored_turned_comes_upright_with_its_focal_length(tmp_path):
    stored = save(tmp_path / "a.png", size=(360, 240), exif=exif(6, FocalLengthIn35mmFilm=28))
    (photo,) = read_photos(tmp_path).photos
    np.testing.assert_array_equal(photo.picture, np.rot90(stored, -1))
    np.testing.assert_allclose(photo.intrinsics, [[280, 0, 120], [0, 280, 180], [0, 0, 1]])


@pytest.mark.parametrize("tags", [{}, {"FocalLengthIn35mmFilm": 0}, {"FocalLength": 4.0}])
def test_no_focal_length_is_unknown_and_said(tmp_path, tags):
    save(tmp_path / "a.jpg", exif=exif(**tags))
    found = read_photos(tmp_path)
    assert found.photos[0].intrinsics is None
    assert found.notes == ("no focal length in EXIF, so it is estimated: a.jpg",)


@pytest.mark.parametrize("broken", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\x7f", "mad"])
def test_broken_exif_is_unknown_and_said(tmp_path, broken):
    save(tmp_path / "a.jpg", exif=exif(FocalLengthIn35mmFilm=60000) if broken == "mad" else broken)
    found = read_photos(tmp_path)
    assert found.photos[0].intrinsics is None
    assert found.notes == ("EXIF cannot be read, so the focal length is estimated: a.jpg",)


def test_doubles_are_used_once_and_sizes_are_told(tmp_path):
    for name, seed, size in (("a", 0, (36, 24)), ("b", 0, (36, 24)), ("c", 1, (24, 36))):
        save(tmp_path / f"{name}.png", seed, size)
    found = read_photos(tmp_path)
    assert [photo.name for photo in found.photos] == ["a", "c"]
    assert found.notes[0] == "the same picture again, used once: b.png (as a)"
    assert found.notes[-1].startswith("pictures of 2 sizes (24 x 36, 36 x 24): each is fitted")


def test_of_two_hundred_pictures_some_evenly_spread_ones_are_used(tmp_path):
    for i in range(200):
        save(tmp_path / f"{i}.png", i, (4, 4))
    seen = []
    found = read_photos(tmp_path, 5, lambda files: seen.extend(files) or files)
    assert [photo.name for photo in found.photos] == ["0", "50", "100", "149", "199"]
    assert len(seen) == 5
    assert found.notes[0] == "200 pictures, of which 5 are used, evenly spread (--max_views 5)"


def test_what_cannot_be_used_is_one_line(tmp_path):
    with pytest.raises(DataError, match="photos: expected a folder with pictures, received no such folder"):
        read_photos(tmp_path / "none")
    with pytest.raises(DataError, match=r"photos: expected pictures \(.jpg, .jpeg, .png\), received none"):
        read_photos(tmp_path)
    with pytest.raises(ConfigError, match="max_views: expected 1 or more, received 0"):
        read_photos(tmp_path, 0)
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"a.jpg.*a JPEG, PNG, BMP, TIFF or WebP"):
        read_photos(tmp_path)
    save(tmp_path / "a.jpg")
    save(tmp_path / "a.png")
    with pytest.raises(DataError, match="one picture of each name"):
        read_photos(tmp_path)


def test_the_middle_stays_the_middle_and_intrinsics_follow_there_and_back():
    picture = np.zeros((40, 100, 3), np.uint8)
    picture[:, 48:52] = 255
    small, scale = fit_centred(picture, 20, 20)
    assert scale == 0.5
    assert small[10, :, 0].argmax() in {9, 10}
    K = np.array([[90.0, 0, 55], [0, 91.0, 18], [0, 0, 1]])
    fitted = fit_intrinsics(K, (40, 100), (20, 20))
    np.testing.assert_allclose(fitted, [[45, 0, 12.5], [0, 45.5, 9], [0, 0, 1]])
    np.testing.assert_allclose(unfit_intrinsics(fitted, (40, 100), (20, 20)), K)
