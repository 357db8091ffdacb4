# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures in folders become sets by three rules; what is missing is told, what does not fit is an error."""

import logging

import numpy as np
import pytest

from gsocc_core import Camera
from gsocc_core.errors import ConfigError, DataError
from gsocc_core.rigs.picture_sets import find_picture_sets
from gsocc_core.rigs.rig_file import CameraRig

CAMERAS = [Camera(name, np.eye(3), np.eye(4), 8, 4) for name in ("front", "left", "rear [2]")]
RIG = CameraRig.of(CAMERAS, {"left": 20.0, "rear [2]": -5.0})


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def rows(folder, rig=RIG):
    return [(s.name, *(f and f.name for f in s.files)) for s in find_picture_sets(folder, rig)]


def test_one_set_of_files_named_like_cameras(tmp_path, caplog):
    touch(tmp_path, "front.jpg", "left.PNG", "leftover.jpg", "notes.txt", "rear [2].jpeg")
    assert rows(tmp_path) == [(tmp_path.name, "front.jpg", "left.PNG", "rear [2].jpeg")]
    assert not caplog.records
    (tmp_path / "left.PNG").unlink()
    with caplog.at_level(logging.WARNING):
        assert rows(tmp_path) == [(tmp_path.name, "front.jpg", None, "rear [2].jpeg")]
    assert "left: no picture in 1 of 1 sets" in caplog.text
    assert "of no camera's name: leftover.jpg" in caplog.text
    touch(tmp_path, "front.png")
    with pytest.raises(DataError, match="front: expected one picture"):
        rows(tmp_path)


def test_equal_names_go_together(tmp_path, caplog):
    touch(tmp_path, "front/000001.jpg", "front/000002.jpg", "left/000002.png", "left/000003.png", "front/readme.txt")
    assert rows(tmp_path) == [
        ("000001", "000001.jpg", None, None),
        ("000002", "000002.jpg", "000002.png", None),
        ("000003", None, "000003.png", None),
    ]
    assert "rear [2]: no picture in 3 of 3 sets (000001, 000002, 000003)" in caplog.text


def test_stamps_go_together_by_offset_and_tolerance(tmp_path, caplog):
    base = 1_700_000_000_000  # ms
    touch(tmp_path, *(f"front/{base + t}.jpg" for t in (0, 100, 200)))
    touch(tmp_path, *(f"left/{(base + t) * 1000}.jpg" for t in (21, 118, 350)))  # microseconds, 20 ms later
    touch(tmp_path, *(f"rear [2]/1700000000.{t:03d}.jpg" for t in (95, 194)))
    sets = find_picture_sets(tmp_path, RIG)
    assert [[f is not None for f in s.files] for s in sets] == [
        [True, True, False],
        [True, True, True],
        [True, False, True],
    ]
    assert sets[1].stamps_ns == ((base + 100) * 10**6, (base + 118) * 10**6, (base + 95) * 10**6)
    assert sets[1].reference_stamp_ns == (base + 100) * 10**6
    assert "1 pictures lie more than 10 ms from every picture of front" in caplog.text
    unknown = CameraRig(tuple(CAMERAS), (0.0, None, 0.0), "front")
    with pytest.raises(DataError, match="cameras.left.trigger_offset_ms"):
        find_picture_sets(tmp_path, unknown)


def test_equally_many_go_together_in_order(tmp_path):
    for name, prefix in (("front", "f"), ("left", "l"), ("rear [2]", "r")):
        touch(tmp_path, *(f"{name}/{prefix}_{i}.jpg" for i in (1, 2)))
    assert rows(tmp_path) == [("f_1", "f_1.jpg", "l_1.jpg", "r_1.jpg"), ("f_2", "f_2.jpg", "l_2.jpg", "r_2.jpg")]
    (tmp_path / "left/l_2.jpg").unlink()
    with pytest.raises(DataError, match=r"equally many pictures in each, received \{'front': 2, 'left': 1"):
        rows(tmp_path)


def test_folders_that_fit_nothing_are_errors(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        rows(tmp_path / "nowhere")
    touch(tmp_path, "CAM_FRONT.jpg")
    with pytest.raises(DataError, match=r"named front, left, rear \[2\], received \['CAM_FRONT.jpg'\]"):
        rows(tmp_path)
    touch(tmp_path, "front.jpg", "left/1.jpg")
    with pytest.raises(DataError, match="both pictures and folders"):
        rows(tmp_path)
    (tmp_path / "front.jpg").unlink()
    (tmp_path / "left/1.jpg").unlink()
    with pytest.raises(DataError, match="in the cameras' folders, received none"):
        rows(tmp_path)
    touch(tmp_path, "left/1.jpg", "left/1.png")
    with pytest.raises(DataError, match="1: expected one picture of that name"):
        rows(tmp_path)


def test_a_rig_has_different_names_and_an_anchor():
    with pytest.raises(ConfigError, match="different names"):
        CameraRig.of([CAMERAS[0], CAMERAS[0]])
    with pytest.raises(ConfigError, match="anchor"):
        CameraRig(tuple(CAMERAS), (0.0, 0.0, 0.0), "top")
