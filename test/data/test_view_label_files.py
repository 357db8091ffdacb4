# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from gsocc_core.data.view_label_files import (
    DEPTH_RANGE_M,
    decode,
    encode_classes,
    encode_depth,
    label_path,
    write_folder_content,
)
from gsocc_core.data.view_labels import camera_order, sample_view_labels
from gsocc_core.errors import DataError, ShapeError
from gsocc_core.geometry.cameras import Camera


@pytest.mark.parametrize("max_error", [1e-4, 0.0025, 0.05])
def test_the_error_of_depth_is_bounded_at_every_distance(max_error):
    metres = np.geomspace(*DEPTH_RANGE_M, 40_000).reshape(200, 200)
    read = decode(encode_depth({"a": metres}, max_error), "depth")["a"]
    relative = np.abs(read / metres - 1)
    assert relative.max() < max_error * 1.01 + 1e-6
    assert relative.max() > max_error * 0.9  # the bound is used, else the files could be smaller


def test_what_is_no_depth_is_no_label():
    read = decode(encode_depth({"a": np.array([[0.0, -1.0, np.nan, np.inf, 0.01, 1e6]])}), "depth")["a"][0]
    assert (read[:4] == 0).all()
    assert read[4] == pytest.approx(0.1)
    assert read[5] == pytest.approx(300.0, rel=0.0026)


def test_classes_come_back_exactly_in_other_sizes_per_camera_and_look_like_something():
    rng = np.random.default_rng(0)
    ids = {"left": rng.integers(0, 17, (9, 16)), "right": rng.integers(0, 256, (30, 21))}
    stored = encode_classes(ids)
    read = decode(stored, "classes")
    assert list(read) == ["left", "right"]
    assert all((read[name] == ids[name]).all() for name in ids)
    assert stored == encode_classes(ids)
    with zipfile.ZipFile(io.BytesIO(stored)) as file:
        colours = np.asarray(Image.open(file.open("left.png")).convert("RGB"))
    car = ids["left"] == 4
    assert (colours[car] == (0, 150, 245)).all()
    assert (colours[ids["left"] == 0] == 0).all()


def test_a_small_file_reads_like_the_published_one_whatever_the_order_of_cameras(tmp_path):
    rng = np.random.default_rng(1)
    names = ("CAM_FRONT", "CAM_BACK", "CAM_LEFT")
    ids = rng.integers(0, 17, (3, 45, 80)).astype(np.int8)
    cameras = [Camera(name, np.diag([60.0, 60.0, 1.0]), np.eye(4), 160, 90) for name in names]
    np.save(tmp_path / "t.npy", ids)
    (tmp_path / "t.zip").write_bytes(encode_classes({name: ids[i] for i, name in reversed(list(enumerate(names)))}))
    expected = sample_view_labels(tmp_path / "t.npy", names, cameras, 64, 32, "classes")
    read = sample_view_labels(tmp_path / "t.zip", ("an", "order", "that", "is", "wrong"), cameras, 64, 32, "classes")
    np.testing.assert_array_equal(read, expected)
    assert (expected[0] != expected[1]).any()


def test_the_smaller_file_wins_and_the_folder_knows_its_cameras(tmp_path):
    (tmp_path / "scene").mkdir()
    assert label_path(tmp_path, "scene", "t") == tmp_path / "scene" / "t.npy"
    (tmp_path / "scene" / "t.zip").write_bytes(encode_classes({"a": np.zeros((2, 2), np.uint8)}))
    assert label_path(tmp_path, "scene", "t") == tmp_path / "scene" / "t.zip"
    write_folder_content(tmp_path, {"cameras": ["a", "b"]})
    assert camera_order(tmp_path) == ("a", "b")
    (tmp_path / "labels.json").write_text(json.dumps({"cameras": "a"}))
    with pytest.raises(DataError, match=r"labels\.json: cameras"):
        camera_order(tmp_path)


@pytest.mark.parametrize("suffix", ["zip", "npy"])
def test_class_labels_are_not_taken_for_metres(tmp_path, suffix):
    camera = Camera("a", np.eye(3), np.eye(4), 4, 2)
    if suffix == "zip":
        (tmp_path / "t.zip").write_bytes(encode_classes({"a": np.ones((2, 4), np.uint8)}))
    else:
        np.save(tmp_path / "t.npy", np.ones((1, 2, 4), np.int8))
    with pytest.raises(DataError, match="kind: expected depth"):
        sample_view_labels(tmp_path / f"t.{suffix}", ("a",), [camera], 4, 2, "depth")


def test_damage_is_reported_with_the_file_and_the_camera(tmp_path):
    path = tmp_path / "t.zip"
    with pytest.raises(DataError, match=r"t\.zip: file: expected labels per picture"):
        decode(path, "depth")
    whole = encode_depth({"front": np.random.default_rng(0).uniform(1, 50, (40, 40))})
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"t\.zip: content"):
        decode(path, "depth")
    broken = bytearray(whole)
    broken[len(whole) // 2] ^= 0xFF
    path.write_bytes(broken)
    with pytest.raises(DataError, match=r"t\.zip: front"):
        decode(path, "depth")
    path.write_bytes(whole)
    camera = Camera("back", np.eye(3), np.eye(4), 4, 2)
    with pytest.raises(DataError, match=r"back: expected one of \('front',\)"):
        sample_view_labels(path, (), [camera], 4, 2, "depth")


def test_impossible_requests_are_refused():
    with pytest.raises(ShapeError, match="max_error"):
        encode_depth({"a": np.ones((2, 2))}, 0.5)
    with pytest.raises(ShapeError, match=r"\(H, W\)"):
        encode_classes({"a": np.ones((2, 2, 3))})
