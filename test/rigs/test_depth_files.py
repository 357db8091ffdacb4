# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Depth files lie where the pictures do, in a folder of their own."""

import logging
from dataclasses import replace

import numpy as np
import pytest

from gsocc_core import Camera
from gsocc_core.errors import DataError
from gsocc_core.rigs.depth_files import find_depth_files
from gsocc_core.rigs.picture_sets import find_picture_sets
from gsocc_core.rigs.rig_file import CameraRig

FRONT = Camera("front", np.array([[9.0, 0, 8], [0, 9, 5], [0, 0, 1]]), np.eye(4), 16, 10)
RIG = CameraRig.of([FRONT, replace(FRONT, name="rear")])


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_files_are_found_by_place_and_name(tmp_path, caplog):
    images = touch(
        tmp_path / "pictures", "front/1700000000.25.jpg", "rear/1700000000.25.jpg", "front/1700000000.75.jpg"
    )
    depth = touch(tmp_path / "depth", "front/1700000000.25.png", "front/1700000000.75.npy", "rear/else.png")
    with caplog.at_level(logging.WARNING):
        sets = find_picture_sets(images, RIG)
        found = find_depth_files(depth, images, RIG, sets)
    assert found == [
        (depth / "front/1700000000.25.png", None),
        (depth / "front/1700000000.75.npy", None),
    ]
    assert "rear: no depth beside 1 of 1 pictures" in caplog.text
    assert "front: no depth" not in caplog.text


def test_one_set_has_one_file_per_camera(tmp_path):
    images = touch(tmp_path / "pictures", "front.png", "rear.jpg")
    depth = touch(tmp_path / "depth", "front.npy", "rear.png")
    found = find_depth_files(depth, images, RIG, find_picture_sets(images, RIG))
    assert found == [(depth / "front.npy", depth / "rear.png")]


def test_what_does_not_fit_is_told(tmp_path):
    images = touch(tmp_path / "pictures", "front/0.jpg", "rear/0.jpg")
    sets = find_picture_sets(images, RIG)
    with pytest.raises(DataError, match="depth: depth_dir: expected a folder, received no such folder"):
        find_depth_files(tmp_path / "depth", images, RIG, sets)
    depth = touch(tmp_path / "depth", "0.png")
    with pytest.raises(
        DataError, match=r"depth_dir: expected .*depth/front/0.png, or .npy, and so on, received .'0.png'"
    ):
        find_depth_files(depth, images, RIG, sets)
    touch(depth, "front/0.png", "front/0.npy")
    with pytest.raises(DataError, match=r"front/0.jpg: expected one depth file, received .'0.png', '0.npy'."):
        find_depth_files(depth, images, RIG, sets)
